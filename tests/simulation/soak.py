"""Hours of traffic in minutes: one connection that lives throughout, many that come and go, abuse now and then, and memory that stays.

The clock is the simulation's.  Every second the long connection makes a request; every 20 s a
connection opens, serves some and ends in one of five ways; every minute somebody sends what
nobody should, to a server and to a client.  Memory is measured every simulated hour, after the
first, in which caches fill.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fuzz.connections import new_frame
from h2o_otel import _pure
from h2o_otel.counters import CLIENT, SERVER, Counters, Snapshot
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import ConnectionConfig
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.streams.stream import Stream
from tests.simulation.faults import GAUGES
from tests.support import wire

# Between the end of the warm-up and the end of the run: what pools and caches go up and down by.
TRACED_GROWTH_MAX = 192 * 1024
RESIDENT_GROWTH_MAX = 4 * 1024 * 1024
WARM_UP_HOURS = 1.0
# More names than the caches take.
NAMES = 500
LIMITS = {
    CLIENT: replace(CLIENT_LIMITS, names_cached_max=100),
    SERVER: replace(SERVER_LIMITS, names_cached_max=100),
}
REQUEST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"soak.example")]


class Measured(NamedTuple):
    """Memory at one moment of the simulated clock."""

    hours: float
    requests: int
    connections: int
    traced_bytes: int
    resident_bytes: int


class Server(Handler):
    """Answers with as many octets as the path says."""

    def __init__(self, soak: Soak) -> None:
        self.soak = soak
        self.connection: Connection

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        size = int((stream.path or b"/0")[1:])
        self.connection.send_response(stream, 200, [(b"x-size", b"%d" % size)], False, self.soak.now)
        self.connection.send_data(stream, bytes(size), True, self.soak.now)

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        self.connection.credit(stream, len(data), self.soak.now)


class Client(Handler):
    """Reads what comes, and now and then is slow about it: the rest of a body is read with the next one."""

    def __init__(self, soak: Soak) -> None:
        self.soak = soak
        self.connection: Connection
        self.unread: list[tuple[Stream, int]] = []

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        self.unread.append((stream, len(data)))
        if self.soak.rng.random() < 0.9:
            self.read_all()

    def read_all(self) -> None:
        for stream, n in self.unread:
            self.connection.credit(stream, n, self.soak.now)
        self.unread.clear()

    def stream_closed(self, stream: Stream) -> None:
        self.soak.ended += 1


class Link:
    """A client and a server without anything between them."""

    def __init__(self, soak: Soak) -> None:
        self.soak = soak
        client, server = Client(soak), Server(soak)
        self.reader = client
        self.client = client.connection = Connection(ConnectionConfig(role=CLIENT, limits=LIMITS[CLIENT]), client, soak.block)
        self.server = server.connection = Connection(ConnectionConfig(role=SERVER, limits=LIMITS[SERVER]), server, soak.block)
        soak.connections += 1
        for connection in (self.client, self.server):
            connection.start(soak.now)
        self.exchange()

    def request(self) -> Stream:
        rng = self.soak.rng
        size = rng.choice([0, 10, 1000, 1000, 20_000, 200_000] if rng.random() < 0.1 else [0, 10, 1000])
        fields = [*REQUEST, (b":path", b"/%d" % size), (b"x-%d" % rng.randrange(NAMES), b"%032x" % rng.getrandbits(128))]
        stream = self.client.send_request(fields, False, self.soak.now)
        self.client.send_data(stream, bytes(rng.choice([0, 0, 100, 30_000])), True, self.soak.now)
        self.soak.requests += 1
        return stream

    def exchange(self) -> None:
        """Octets go both ways, cut somewhere, until neither side has any."""
        now, rng = self.soak.now, self.soak.rng
        moved = True
        while moved:
            moved = False
            for end, other in ((self.client, self.server), (self.server, self.client)):
                end.pump(now)
                data = end.data_to_send()
                if data:
                    moved = True
                    cut = rng.randrange(len(data) + 1)
                    other.receive(data[:cut], now)
                    other.receive(data[cut:], now)

    def tick(self) -> None:
        self.client.tick(self.soak.now)
        self.server.tick(self.soak.now)

    def end(self) -> None:
        """In one of the ways that connections end, sometimes with exchanges under way."""
        now, how = self.soak.now, self.soak.rng.randrange(5)
        if how == 0:
            self.server.shutdown(now)
            self.server.finish_shutdown(now)
        elif how == 1:
            self.client.close(0, now)
        elif how == 2:
            self.request()
            self.server.close(2, now, b"soaked")
        elif how == 3:
            self.client.reset_stream(self.request(), 8, now)
        if how != 4:
            self.exchange()
        else:
            self.request()
        self.client.connection_lost(None, now)
        self.server.connection_lost(ConnectionResetError("soaked"), now)
        self.reader.read_all()


class Soak:
    """The whole of it.

    Attributes:
        measured: one entry per simulated hour, the first after the warm-up.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.block = Counters()
        self.now = 1.0
        self.requests = 0
        self.ended = 0
        self.connections = 0
        self.abused = 0
        self.measured: list[Measured] = []

    def run(self, hours: float, warm_up_hours: float = WARM_UP_HOURS) -> None:
        began = self.now
        long = Link(self)
        next_measure = began + warm_up_hours * 3600
        second = 0
        while self.now < began + hours * 3600:
            self.now += 1.0
            second += 1
            # An hour has a minute in which nobody asks for anything, which is long enough for no idle limit.
            if second % 3600 > 60:
                stream = long.request()
                if self.rng.random() < 0.05:
                    long.client.reset_stream(stream, 8, self.now)
            if second % 30 == 0:
                long.client.send_ping(b"%08d" % second, self.now)
            long.exchange()
            long.tick()
            if second % 20 == 0:
                self.come_and_go()
            if second % 60 == 0:
                self.abuse(SERVER)
                self.abuse(CLIENT)
            if self.now >= next_measure:
                self.measure(began)
                next_measure += 3600
        assert not long.client.closed, long.client.error
        assert not long.server.closed, long.server.error
        self.measure(began)
        long.end()

    def come_and_go(self) -> None:
        link = Link(self)
        for _ in range(self.rng.randrange(1, 10)):
            link.request()
            if self.rng.random() < 0.7:
                link.exchange()
        link.end()

    def abuse(self, role: int) -> None:
        """Frames at random, or a flood, into a new connection, and then silence until its deadlines."""
        connection = Connection(ConnectionConfig(role=role, limits=LIMITS[role]), None, self.block)
        connection.start(self.now)
        connection.receive((wire.PREFACE if role == SERVER else b"") + wire.settings() + wire.settings_ack(), self.now)
        self.connections += 1
        self.abused += 1
        ids = range(1, 4001, 2)
        floods = [
            lambda: b"".join(new_frame(role, self.rng) for _ in range(30)),
            lambda: b"".join(wire.headers(i, wire.request_block()) + wire.rst_stream(i, 8) for i in ids),
            lambda: b"".join(wire.headers(i, wire.request_block(b"POST")) for i in ids),
            lambda: wire.ping() * 5000,
            lambda: wire.settings({4: 1}) * 50,
            lambda: wire.headers(1, b"\x82", end_headers=False) + wire.continuation(1, b"\x00\x01a\x01b" * 100, end_headers=False) * 50,
            lambda: wire.headers(1, wire.block((b"x-%d" % self.rng.getrandbits(60), bytes(4000).replace(b"\0", b"v")))) * 3,
            lambda: wire.frame(0xEE, 0, 0, b"grease") * 5000,
        ]
        connection.receive(self.rng.choice(floods)(), self.now)
        for later in (6.0, 20.0, 90.0):
            connection.tick(self.now + later)
            connection.data_to_send()
        connection.connection_lost(None, self.now + 100.0)
        for event in connection.take_events():
            stream = getattr(event, "stream", None)
            if stream is not None:
                connection.credit(stream, stream.recv_unread, self.now + 100.0)

    def measure(self, began: float) -> None:
        gc.collect()
        traced = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
        self.measured.append(Measured((self.now - began) / 3600, self.requests, self.connections, traced, resident()))

    def check(self) -> None:
        """Memory is what it was after the warm-up, and the counters say that everything is over."""
        first, last = self.measured[0], self.measured[-1]
        assert last.requests > first.requests
        assert last.traced_bytes - first.traced_bytes <= TRACED_GROWTH_MAX, self.measured
        # AddressSanitizer keeps what was freed, to see it used again.
        if "asan" not in os.environ.get("LD_PRELOAD", ""):
            assert last.resident_bytes - first.resident_bytes <= RESIDENT_GROWTH_MAX, self.measured
        snapshot = Snapshot()
        snapshot.add_block(self.block)
        for gauge in GAUGES:
            assert snapshot.value(gauge) == 0, gauge
        assert self.ended == self.requests


def resident() -> int:
    """Octets of memory the process has now; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=8.0, help="of simulated time, the first to warm up")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    soak = Soak(arguments.seed)
    tracemalloc.start()
    soak.run(arguments.hours + WARM_UP_HOURS)
    tracemalloc.stop()
    for at in soak.measured:
        print(  # noqa: T201
            f"{at.hours:6.2f} h  {at.requests:8} requests  {at.connections:6} connections  "
            f"{at.traced_bytes / 1024:9.1f} KiB traced  {at.resident_bytes / 1024:9.0f} KiB resident"
        )
    print(f"{_pure.build()}, {soak.abused} of the connections abusive, {time.monotonic() - began:.0f} s")  # noqa: T201
    soak.check()
    return 0


if __name__ == "__main__":
    sys.exit(main())
