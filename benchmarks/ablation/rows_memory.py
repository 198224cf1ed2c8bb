"""Section 7, memory, and the stream pool of section 4, which is the same kind of thing."""

from __future__ import annotations

import gc

from benchmarks.fields import REQUESTS
from h2o_otel.buffers.assembly import Assembly
from h2o_otel.counters import Counters
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.memory.heap import hold_free
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.tuning import Tuning

from .row import Row, Workload
from .rows_buffers import Driven
from .workloads import pair_of

__all__ = ["ROWS"]

MEMORY = "memory: 25-30 % less GC pressure, 20 % more efficient"
STREAMS = "streams: 20-25 % less per stream"
# What browsers send beside.
MORE = [
    (b"accept-language", b"en-GB,en;q=0.7,de;q=0.3"),
    (b"sec-ch-ua", b'"Chromium";v="128", "Not;A=Brand";v="24", "Google Chrome";v="128"'),
    (b"sec-ch-ua-platform", b'"Linux"'),
]


class Alike(Workload):
    """Connections that stay, each after one request of the same client software: their tables hold the same values."""

    unit = "connection"

    def __init__(self, tuning: Tuning) -> None:
        self.config = server_config(SERVER_LIMITS, tuning=tuning)
        self.block = Counters()
        self.kept: list[Connection] = []
        client = Connection(client_config(CLIENT_LIMITS), Handler(), Counters())
        client.start(1.0)
        client.send_request([*REQUESTS[0], *MORE], True, 1.0)
        self.octets = client.data_to_send()

    def run(self, n: int) -> None:
        for _ in range(n):
            connection = Connection(self.config, Handler(), self.block)
            connection.start(1.0)
            connection.receive(self.octets, 1.0)
            connection.data_to_send()
            if connection.requests != 1:
                raise RuntimeError(f"the connection ended: {connection.error}")
            self.kept.append(connection)
        # Only one run's worth stays, however often it is measured.
        del self.kept[:-n]

    def close(self) -> None:
        for connection in self.kept:
            connection.connection_lost(None, 1.0)


class Burst(Driven):
    """Large answers all at once, a quiet time, and then the application wants memory for itself."""

    unit = "burst"

    def __init__(self, tuning: Tuning) -> None:
        super().__init__(tuning, batch=40, body=15_000)

    def run(self, n: int) -> None:
        for _ in range(n):
            super().run(self.batch)
            for _ in range(4):
                self.loop.advance(SERVER_LIMITS.buffer_quiet_s)
            application = bytearray(2 * 1_048_576)
            del application


class Bodies(Workload):
    """What a client's application does with bodies of 1 MiB: four at a time are put together and let go."""

    unit = "body"
    piece = bytes(16_384)

    def __init__(self, tuning: Tuning) -> None:
        # Off is where glibc arrives by itself when it has seen one such body: it keeps two.
        self.block = Counters()
        self.kept = CLIENT_LIMITS.heap_free_bytes_max if tuning.memory_heap_kept else 2 * 1_048_576

    def run(self, n: int) -> None:
        # A setting of the process, which both sides share.
        hold_free(self.kept)
        for _ in range(-(-n // 4)):
            bodies = [Assembly(1_048_576, self.block) for _ in range(4)]
            for _ in range(64):
                for body in bodies:
                    body.add(self.piece)
            found = [body.take() for body in bodies]
            if len(found[-1]) != 1_048_576:
                raise RuntimeError(f"a body of {len(found[-1])} octets")

    def close(self) -> None:
        hold_free(CLIENT_LIMITS.heap_free_bytes_max)


class Waves(Alike):
    """Thousands of connections at once, as under an attack, beside an application of half a million objects."""

    unit = "500 connections"
    each, wave = 500, 8000

    def __init__(self, tuning: Tuning) -> None:
        super().__init__(tuning)
        self.freeze = tuning.memory_gc_freeze
        self.application = [{"id": i, "name": f"item {i}", "tags": [i]} for i in range(250_000)]

    def run(self, n: int) -> None:
        # Both sides live in one process here, so what a server does once is done for each run of the one, and undone.
        if self.freeze:
            gc.freeze()
        try:
            left = n * self.each
            while left:
                wave = min(left, self.wave)
                super().run(wave)
                self.close()
                self.kept.clear()
                left -= wave
        finally:
            gc.unfreeze()


ROWS = [
    Row("4.1", "stream pool", "stream_pool", STREAMS, make=pair_of(batch=10), note="off: the type's own free list"),
    Row(
        "7.2", "accounting and budget", "memory_budget", MEMORY, make=pair_of(batch=10), note="what it costs: once for each read and write"
    ),
    Row("7.3", "interned values", "memory_interning", MEMORY, make=Alike, goal="memory", note="connections of clients that are alike"),
    Row(
        "7.5",
        "trimming",
        "memory_trimming",
        MEMORY,
        make=Burst,
        goal="memory",
        note="peak when an application wants 2 MiB after a burst; off: idle blocks stay",
    ),
    Row(
        "7.5",
        "freed memory kept for the next body",
        "memory_heap_kept",
        MEMORY,
        make=Bodies,
        note="bodies of 1 MiB, four at a time; off: the C library gives their pages back and takes them again",
    ),
    Row(
        "7.6",
        "application out of the collector's sight",
        "memory_gc_freeze",
        MEMORY,
        make=Waves,
        goal="gc",
        note="8,000 connections at once beside an application of half a million objects; off: generation 2 has all of them",
    ),
]
