"""The life of a driver: its beginning, its end, mistakes kept to one connection, time."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.errors import ErrorCode
from h2o_otel.io.driver import Driver
from h2o_otel.io.memory import MemoryTransport, VirtualLoop, pair
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from tests.support.drivers import Ends, Wire, feed, on_wire, request
from tests.support.ends import Client, Server, body, client_driver, server_driver
from tests.support.wire import PREFACE, frames, goaway, settings


def test_request_and_response() -> None:
    ends = Ends().settled()
    exchange = ends.client.ask(1000)
    ends.loop.run()
    assert exchange.data == body(1000)


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


def test_setup_that_closes_before_it_binds_aborts(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    Driver(VirtualLoop(), CLIENT_LIMITS, lambda d: d.close(), role=counters.CLIENT).attach(wire)
    assert wire.calls[0] == "abort"


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
