"""The driver on memory transports and a virtual clock."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import random
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.errors import ErrorCode
from h2o_otel.io.driver import Driver, DriverHandler
from h2o_otel.io.memory import MemoryTransport, VirtualLoop, pair
from h2o_otel.io.transport import Transport
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from tests.support.ends import Client, Server, body, client_driver, server_driver, serving
from tests.support.wire import PREFACE, frames, goaway, settings


class Ends:
    """A client and a server joined by memory."""

    def __init__(self, **options: Any) -> None:
        self.loop = VirtualLoop()
        self.block = Counters()
        server_options = {k: options.pop(k) for k in ("handler", "limits") if k in options}
        self.server_driver, self.server = server_driver(self.loop, block=self.block, **server_options)
        self.client_driver, self.client = client_driver(self.loop, block=self.block)
        self.client_end, self.server_end = pair(self.loop, self.client_driver, self.server_driver, **options)

    def settled(self) -> Ends:
        self.loop.run()
        return self

    def counted(self, family: str, *labels: str) -> int:
        snapshot = Snapshot()
        snapshot.add_block(self.block)
        return snapshot.value(family, *labels)


class Wire(Transport):
    """A transport that keeps what is written and does nothing."""

    def __init__(self) -> None:
        Transport.__init__(self)
        self.written: list[bytes] = []
        self.calls: list[str] = []

    def write(self, chunks: list[bytes | memoryview]) -> int:
        self.written.append(b"".join(chunks))
        return 0

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")


def feed(driver: Driver, data: bytes) -> None:
    view = driver.get_buffer(-1)
    view[: len(data)] = data
    driver.buffer_updated(len(data))


def on_wire(loop: VirtualLoop, **options: Any) -> tuple[Driver, Server, Wire]:
    driver, handler = server_driver(loop, **options)
    wire = Wire()
    driver.attach(wire)
    return driver, handler, wire


def request(stream_id: int = 1, path: bytes = b"/5") -> bytes:
    block = b"\x82\x86\x41\x04test\x04" + bytes([len(path)]) + path
    return len(block).to_bytes(3, "big") + b"\x01\x05" + stream_id.to_bytes(4, "big") + block


# -- the way of the data


def test_request_and_response() -> None:
    ends = Ends().settled()
    exchange = ends.client.ask(1000)
    ends.loop.run()
    assert exchange.data == body(1000)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 10, 17])
def test_any_cut_is_the_same(size: int) -> None:
    ends = Ends(cuts=lambda: itertools.repeat(size)).settled()
    exchanges = [ends.client.ask(n) for n in (0, 1, 100, 5000)] + [ends.client.ask(upload=body(3000))]
    ends.loop.run()
    assert [e.data for e in exchanges] == [b"", body(1), body(100), body(5000), b"3000"]


def test_random_cuts_are_the_same(rng: random.Random) -> None:
    ends = Ends(cuts=lambda: (rng.choice((1, 7, 100, 9000, 70_000)) for _ in itertools.count())).settled()
    exchanges = [ends.client.ask(rng.randrange(200_000)) for _ in range(20)]
    sizes = [len(e.data) for e in exchanges if ends.loop.run() >= 0]
    assert [e.data for e in exchanges] == [body(n) for n in sizes]
    assert all(e.waiter.done() for e in exchanges)


def test_many_requests_one_write() -> None:
    ends = Ends().settled()
    before = ends.server_end.writes
    exchanges = [ends.client.ask() for _ in range(100)]
    ends.loop.run()
    assert all(e.data == body(64) for e in exchanges)
    assert ends.server_end.writes == before + 1


def test_wake_coalesces() -> None:
    ends = Ends().settled()
    before = ends.client_end.writes
    for _ in range(10):
        ends.client.ask()
    assert len(ends.loop._ready) == 1
    ends.loop.turn()
    assert ends.client_end.writes == before + 1


def test_wake_inside_a_batch_is_free() -> None:
    class Waking(Server):
        def request_received(self, stream: Any, end_stream: bool) -> None:
            self.driver.wake()
            self.driver.flush()
            super().request_received(stream, end_stream)

    loop = VirtualLoop()
    driver, _, wire = on_wire(loop, handler=Waking())
    wire.written.clear()
    feed(driver, PREFACE + settings() + request())
    assert len(wire.written) == 1
    assert not loop._ready


def test_get_buffer_without_a_read() -> None:
    loop = VirtualLoop()
    first, handler, _ = on_wire(loop)
    second, other, _ = on_wire(loop)
    octets = PREFACE + settings() + request(path=b"/5")
    feed(first, octets[:50])
    # Another connection is lent the same buffer, and reads that never come ask for it, too.
    for i in range(3):
        first.get_buffer(-1)
        feed(second, (PREFACE + settings() + request())[i * 30 : (i + 1) * 30])
        first.get_buffer(65_536)
    feed(second, (PREFACE + settings() + request())[90:])
    feed(first, octets[50:])
    assert not handler.terminated
    assert not other.terminated
    assert len(first.connection.streams) == len(second.connection.streams) == 0
    assert first.connection.requests == second.connection.requests == 1


def test_nothing_is_lent_but_room_for_one_read() -> None:
    driver, _, _ = on_wire(VirtualLoop())
    assert len(driver.get_buffer(-1)) == SERVER_LIMITS.read_buffer_bytes
    feed(driver, PREFACE[:10])
    assert len(driver.get_buffer(-1)) == SERVER_LIMITS.read_buffer_bytes


def test_tail_is_counted_and_dropped() -> None:
    block = Counters()
    driver, _, _ = on_wire(VirtualLoop(), block=block)
    feed(driver, PREFACE + settings() + request()[:7])
    snapshot = Snapshot()
    snapshot.add_block(block)
    assert snapshot.value("buffer_copied", "tail") == 7
    feed(driver, request()[7:])
    assert driver.connection.requests == 1


def test_bind_inside_a_batch_hands_over_what_is_unread() -> None:
    class Sniffer:
        """An engine that looks at the first octets, then makes way."""

        started, closed, turn_over = True, False, False

        def __init__(self, driver: Driver) -> None:
            self.driver = driver

        def receive_into(self, buffer: bytearray, start: int, end: int, now: float) -> int:
            if end - start >= len(PREFACE):
                self.driver.bind(Connection(server_config(), handler), handler)
            return 0

        def out_size(self) -> int:
            return 0

        def pump(self, now: float) -> None:
            assert now > 0

        def next_deadline(self) -> float:
            return 1e9

    handler, _ = serving()
    driver = Driver(VirtualLoop(), SERVER_LIMITS, lambda d: d.bind(Sniffer(d), DriverHandler()), role=counters.SERVER)
    wire = Wire()
    driver.attach(wire)
    octets = PREFACE + settings() + request()
    feed(driver, octets[:10])
    assert not wire.written
    feed(driver, octets[10:])
    assert driver.connection.requests == 1
    assert [f.type for f in frames(wire.written[0])][:2] == [4, 8]


# -- back-pressure


def test_full_transport_pauses_the_engine() -> None:
    ends = Ends(capacity_bytes=10_000).settled()
    exchange = ends.client.ask(1_000_000)
    ends.loop.run()
    assert exchange.data == body(1_000_000)
    assert ends.server.paused == ends.server.resumed > 1
    assert ends.counted("io_pauses", "server") == ends.server.paused
    assert ends.counted("io_write_queue_size") == 0


def test_stalled_peer_holds_the_body_back() -> None:
    ends = Ends(capacity_bytes=10_000).settled()
    ends.server_end.stall()
    exchange = ends.client.ask(2_000_000)
    ends.loop.run()
    limit = SERVER_LIMITS.output_high_water_bytes + 16_384
    assert ends.server_end.sent <= limit
    assert ends.counted("io_write_queue_size", "server") == ends.server_end.buffered() > 0
    ends.server_end.stall(False)
    ends.loop.run()
    assert exchange.data == body(2_000_000)


def test_upload_against_a_full_transport() -> None:
    ends = Ends(capacity_bytes=5_000).settled()
    exchange = ends.client.ask(upload=body(500_000))
    ends.loop.run()
    assert exchange.data == b"500000"


def test_large_response_goes_on_next_turn() -> None:
    """One turn writes no more than the high-water mark and a frame, so that other connections get theirs."""
    ends = Ends().settled()
    exchange = ends.client.ask(900_000)
    ends.loop.run()
    assert exchange.data == body(900_000)
    assert ends.server_end.writes > 900_000 // (SERVER_LIMITS.output_high_water_bytes + 16_384)


def test_greedy_transport_gets_its_time_and_no_more() -> None:
    loop = VirtualLoop()
    limits = dataclasses.replace(SERVER_LIMITS, read_buffer_bytes=100)
    driver, _, wire = on_wire(loop, limits=limits)
    wire.greedy = True
    unknown = (91).to_bytes(3, "big") + b"\xee\x00\x00\x00\x00\x00" + bytes(91)
    feed(driver, PREFACE + settings())
    for _ in range(5):
        feed(driver, unknown)
    assert wire.calls == []
    loop._now += limits.turn_s_max * 1.5
    feed(driver, unknown)
    assert wire.calls == ["pause_reading"]
    loop.turn()
    assert wire.calls == ["pause_reading", "resume_reading"]


# -- the end


def test_connection_lost_once() -> None:
    ends = Ends().settled()
    ends.server_end.stall()
    exchange = ends.client.ask(10)
    ends.loop.run()
    error = ConnectionResetError("gone")
    ends.client_end.cut(error)
    ends.loop.run()
    ends.client_driver.connection_lost(error)
    ends.client_driver.connection_lost(None)
    assert ends.client.lost == [error]
    assert len(ends.client.resets) == 1
    assert len(ends.client.terminated) == 1
    assert exchange.waiter.done()
    assert ends.client_driver.closed
    assert ends.client_driver.error is error
    assert ends.counted("connection_active") == 0
    assert ends.loop.timers == 0


def test_eof_then_lost_tells_each_once() -> None:
    ends = Ends().settled()
    ends.client_end.stall()
    exchange = ends.client.ask(10)
    ends.loop.run()
    ends.server_end.close()
    ends.loop.run()
    ends.client_end.stall(False)
    ends.loop.run()
    assert len(ends.client.resets) == 1
    assert len(ends.client.lost) == len(ends.server.lost) == 1
    assert exchange.waiter.done()


def test_verbs_after_the_end_do_nothing() -> None:
    ends = Ends().settled()
    ends.client_driver.abort()
    ends.loop.run()
    for verb in (ends.client_driver.wake, ends.client_driver.flush, ends.client_driver.close, ends.client_driver.abort):
        verb()
    ends.loop.run()
    assert ends.client.lost == [None]
    assert len(ends.server.lost) == 1


def test_close_delivers_goaway_before_the_end() -> None:
    ends = Ends().settled()
    seen = []
    ends.client.goaway_received = lambda last, code, debug: seen.append((code, ends.client_driver.closed))  # type: ignore[method-assign]
    ends.server_driver.close(ErrorCode.ENHANCE_YOUR_CALM)
    ends.loop.run()
    assert seen == [(ErrorCode.ENHANCE_YOUR_CALM, False)]
    assert ends.client_driver.closed
    assert ends.server_driver.closed


def test_close_half_closes_then_drains() -> None:
    loop = VirtualLoop()
    driver, handler, wire = on_wire(loop)
    feed(driver, PREFACE + settings())
    driver.close(ErrorCode.NO_ERROR)
    assert wire.written[-1] == goaway(0, 0)
    assert wire.calls == ["write_eof"]
    feed(driver, bytes(60_000))
    assert wire.calls == ["write_eof"]
    feed(driver, bytes(10_000))
    assert wire.calls == ["write_eof", "close"]
    assert handler.lost == []


def test_close_waits_no_longer_than_the_drain_time() -> None:
    loop = VirtualLoop()
    driver, _, wire = on_wire(loop)
    feed(driver, PREFACE + settings())
    driver.close()
    loop.advance(SERVER_LIMITS.close_drain_s - 0.01)
    assert wire.calls == ["write_eof"]
    loop.advance(0.02)
    assert wire.calls == ["write_eof", "close"]


def test_close_drops_what_a_silent_peer_does_not_take() -> None:
    ends = Ends(capacity_bytes=1000).settled()
    ends.server_end.stall()
    ends.client.ask(100_000)
    ends.loop.run()
    ends.server_driver.close()
    ends.loop.advance(SERVER_LIMITS.close_drain_s + 0.01)
    assert ends.server_driver.closed
    assert ends.client_driver.closed


def test_close_inside_a_batch_ends_after_it() -> None:
    class Closing(Server):
        def request_received(self, stream: Any, end_stream: bool) -> None:
            super().request_received(stream, end_stream)
            self.driver.close(ErrorCode.NO_ERROR)

    ends = Ends(handler=Closing()).settled()
    first, second = ends.client.ask(10), ends.client.ask(10)
    ends.loop.run()
    assert first.data == body(10)
    assert second.waiter.done()
    assert ends.client_driver.closed


def test_peer_fault_gets_its_goaway() -> None:
    loop = VirtualLoop()
    driver, handler, wire = on_wire(loop)
    feed(driver, PREFACE + settings() + b"\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    last = frames(wire.written[-1])[-1]
    assert (last.type, last.payload[4:8]) == (7, ErrorCode.PROTOCOL_ERROR.to_bytes(4, "big"))
    assert wire.calls == ["write_eof"]
    assert [e.rule for e in handler.terminated] == ["frame_on_stream_zero"]


# -- isolation


class Broken(Server):
    def request_received(self, stream: Any, end_stream: bool) -> None:
        raise ZeroDivisionError("a bug")


def test_handler_bug_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    loop = VirtualLoop()
    bad, handler, wire = on_wire(loop, handler=Broken())
    good, _, _ = on_wire(loop)
    octets = PREFACE + settings() + request()
    with caplog.at_level(logging.ERROR, "h2o_otel.io"):
        feed(bad, octets)
        feed(bad, request(3))
        feed(good, octets)
    last = frames(wire.written[-1])[-1]
    assert (last.type, last.payload[4:8]) == (7, ErrorCode.INTERNAL_ERROR.to_bytes(4, "big"))
    assert wire.calls == ["write_eof"]
    assert isinstance(bad.error, ZeroDivisionError)
    assert len(caplog.records) == 1
    assert len(handler.resets) == 1
    assert good.connection.requests == 1
    assert not good.closing


def test_bug_in_batch_finished_and_lost_is_contained(caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Server):
        def batch_finished(self, now: float) -> None:
            raise KeyError("bug")

        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            raise KeyError("bug")

    ends = Ends(handler=Bad())
    with caplog.at_level(logging.ERROR, "h2o_otel.io"):
        ends.loop.run()
        ends.loop.advance(5)
    assert ends.server_driver.closed
    assert ends.client_driver.closed
    assert len(ends.server.lost) == 1
    assert len(caplog.records) == 1


def test_failing_setup_is_told(caplog: pytest.LogCaptureFixture) -> None:
    loop = VirtualLoop()

    def setup(driver: Driver) -> None:
        raise ValueError("no")

    driver = Driver(loop, CLIENT_LIMITS, setup, role=counters.CLIENT)
    waiter = loop.create_waiter()
    driver.ready = waiter
    wire = Wire()
    driver.attach(wire)
    with pytest.raises(ValueError, match="no"):
        waiter.result()
    assert wire.calls == ["write_eof"]


def test_setup_that_binds_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    loop = VirtualLoop()
    driver = Driver(loop, CLIENT_LIMITS, lambda d: None, role=counters.CLIENT)
    waiter = loop.create_waiter()
    driver.ready = waiter
    driver.attach(Wire())
    with pytest.raises(RuntimeError, match="must call bind"):
        waiter.result()


def test_lost_before_ready_is_told() -> None:
    from h2o_otel.errors import ConnectError

    loop = VirtualLoop()
    driver, _ = client_driver(loop)
    waiter = loop.create_waiter()
    driver.ready = waiter
    driver.connection_lost(OSError("down"))
    with pytest.raises(ConnectError, match="before it was ready: down"):
        waiter.result()


# -- time


def test_silent_client_is_closed_after_the_preface_timeout() -> None:
    loop = VirtualLoop()
    _driver, handler, wire = on_wire(loop)
    loop.advance(SERVER_LIMITS.preface_timeout_s - 0.1)
    assert not handler.terminated
    loop.advance(0.2)
    assert [e.rule for e in handler.terminated] == ["preface_timeout"]
    assert wire.calls[0] == "write_eof"


def test_requests_make_no_timers() -> None:
    ends = Ends().settled()
    made: list[float] = []
    call_at = ends.loop.call_at
    ends.loop.call_at = lambda when, callback: (made.append(when), call_at(when, callback))[1]  # type: ignore[method-assign,func-returns-value]
    for _ in range(50):
        ends.client.ask()
        ends.loop.run()
    assert len(made) <= 2
    assert ends.loop.timers <= 3


def test_idle_connection_is_closed_in_time() -> None:
    ends = Ends().settled()
    ends.client.ask()
    ends.loop.advance(70)
    ends.client.ask()
    ends.loop.advance(70)
    assert not ends.server_driver.closing
    ends.loop.advance(10)
    assert ends.server_driver.closing


def test_counts() -> None:
    ends = Ends().settled()
    exchange = ends.client.ask(100_000)
    ends.loop.run()
    assert exchange.waiter.done()
    sent, received = ends.client_end.sent, ends.server_end.sent
    assert ends.counted("io_transferred", "client", "transmit") == ends.counted("io_transferred", "server", "receive") == sent
    assert ends.counted("io_transferred", "server", "transmit") == ends.counted("io_transferred", "client", "receive") == received
    writes = ends.client_end.writes + ends.server_end.writes
    assert ends.counted("io_operations", "transmit", "full") == writes
    assert ends.block.histogram("io_size", counters.SEND).read()[1] == sent + received


def test_delayed_line() -> None:
    ends = Ends(delay_s=0.05)
    ends.loop.advance(0.5)
    started = ends.loop.now()
    exchange = ends.client.ask(10)
    ends.loop.advance(0.099)
    assert not exchange.waiter.done()
    ends.loop.advance(0.002)
    assert exchange.waiter.done()
    assert ends.loop.now() - started == pytest.approx(0.101)


def test_memory_never_delivers_inside_write() -> None:
    loop = VirtualLoop()
    driver, handler = server_driver(loop)
    client, asked = client_driver(loop)
    one, two = pair(loop, client, driver)
    assert isinstance(one, MemoryTransport)
    assert handler.batches == asked.batches == 0
    assert isinstance(asked, Client)
    loop.turn()
    assert handler.batches == 1
    assert two.sent > 0
