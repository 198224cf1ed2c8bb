"""Writing: one write for a batch, and a socket that is full."""

from __future__ import annotations

from typing import Any

from h2o_otel.io.memory import VirtualLoop
from h2o_otel.limits import SERVER_LIMITS
from tests.support.drivers import Ends, feed, on_wire, request
from tests.support.ends import Server, body
from tests.support.wire import PREFACE, settings


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
