"""Section 1, buffers."""

from __future__ import annotations

import threading
from typing import Any

from benchmarks.fields import DISTINCT, REQUESTS, RESPONSES
from h2o_otel import counters
from h2o_otel.buffers.pool import OUTPUT, BufferPool
from h2o_otel.counters import Counters
from h2o_otel.io.driver import Driver
from h2o_otel.io.handler import DriverHandler
from h2o_otel.io.memory import VirtualLoop, pair
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.tuning import Tuning

from .row import Row, Workload

__all__ = ["ROWS", "Driven"]

BUFFERS = "buffers: 30-40 % fewer allocations, 15-20 % more throughput"


class Driven(Workload):
    """A client's and a server's driver on memory transports: the receive buffer, kept tails and writes are part of it."""

    def __init__(self, tuning: Tuning, batch: int = 10, body: int = 64, cut: int = 0) -> None:
        self.done = self.started = 0
        self.batch = batch
        self.loop = VirtualLoop()
        self.body = b"x" * body
        length = b"%d" % body
        self.responses = [[(n, length if n == b"content-length" else v) for n, v in fields] for fields in RESPONSES]
        workload = self

        class Client(DriverHandler):
            def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
                workload.client.credit(stream, len(data), workload.loop.now())
                workload.done += end_stream

        class Server(DriverHandler):
            def request_received(self, stream: Any, end_stream: bool) -> None:
                now = workload.loop.now()
                workload.server.send_response(stream, 200, workload.responses[stream.id % DISTINCT], False, now)
                workload.server.send_data(stream, workload.body, True, now)

        def end(config: Any, handler: DriverHandler, role: int) -> tuple[Driver, Connection]:
            block = Counters()
            connection = Connection(config, handler, block)
            driver = Driver(self.loop, config.limits, lambda d: d.bind(connection, handler), role=role, block=block, tuning=tuning)
            return driver, connection

        self.driver, self.client = end(client_config(CLIENT_LIMITS, tuning=tuning), Client(), counters.CLIENT)
        accepted, self.server = end(server_config(SERVER_LIMITS, tuning=tuning), Server(), counters.SERVER)
        # A handful of octets more or less in each read: frames are cut anywhere.
        cuts = (lambda: iter(lambda: cut, 0)) if cut else None
        pair(self.loop, self.driver, accepted, cuts=cuts)
        self.loop.run()

    def run(self, n: int) -> None:
        wanted = self.done + n
        left = n
        while left:
            for _ in range(min(left, self.batch)):
                self.client.send_request(REQUESTS[self.started % DISTINCT], True, self.loop.now())
                self.started += 1
                left -= 1
            self.driver.wake()
            self.loop.run()
        if self.done != wanted:
            raise RuntimeError(f"{wanted - self.done} of {n} responses did not arrive")


class Blocks(Workload):
    """Blocks of a pool, taken and given back; ``threads`` of them at once, a few blocks held by each."""

    unit = "block"

    def __init__(self, tuning: Tuning, size: int = 16_384, threads: int = 1) -> None:
        self.size = size
        self.pools = [BufferPool(Counters(), tuning=tuning) for _ in range(threads)]

    def run(self, n: int) -> None:
        share = -(-n // len(self.pools))
        if len(self.pools) == 1:
            self.work(self.pools[0], share)
            return
        threads = [threading.Thread(target=self.work, args=(pool, share)) for pool in self.pools]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def work(self, pool: BufferPool, n: int) -> None:
        size = self.size
        for _ in range(-(-n // 4)):
            held = [pool.acquire(size, OUTPUT) for _ in range(4)]
            for buffer in held:
                pool.release(buffer)


ROWS = [
    Row(
        "1.1",
        "pool by size class",
        "buffer_pool",
        BUFFERS,
        make=lambda t: Driven(t, body=30_000),
        note="responses of 30,000 octets; off: a fresh block for each write",
    ),
    Row(
        "1.2",
        "caches of threads",
        "buffer_thread_cache",
        BUFFERS,
        make=lambda t: Blocks(t, threads=4),
        note="four threads; off: the depot alone, under its lock",
    ),
    Row("1.3", "lifecycle tracking", "buffer_tracking", BUFFERS, make=Driven, note="what it costs: one block for each write"),
    Row(
        "1.4",
        "bodies by reference",
        "buffer_slices",
        BUFFERS,
        make=lambda t: Driven(t, batch=1, body=1_048_576),
        note="responses of 1 MiB; off: copied into the output",
    ),
    Row("1.5", "reused receive buffer and write block", "buffer_reuse", BUFFERS, make=Driven, note="off: fresh for each read and write"),
]
