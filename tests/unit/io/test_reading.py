"""Reading: any cut of the octets, lent buffers and the tail, turns."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.io.driver import Driver
from h2o_otel.io.handler import DriverHandler
from h2o_otel.io.memory import VirtualLoop
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.engine import Engine
from tests.support.drivers import Ends, Wire, feed, on_wire, request
from tests.support.ends import body, serving
from tests.support.wire import PREFACE, frames, settings


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
    class Sniffer(Engine):
        """Looks at the first octets, then makes way."""

        def __init__(self, driver: Driver) -> None:
            Engine.__init__(self)
            self.driver = driver

        def start(self, now: float) -> None:
            self.started = True

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
