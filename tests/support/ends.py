"""A small server and a small client for tests of drivers and transports: bodies of a wanted size, and uploads counted.

``GET /n`` is answered with ``body(n)``; any other method with the number of octets of its body.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from h2o_otel import counters
from h2o_otel.counters import Counters
from h2o_otel.io.driver import Driver
from h2o_otel.io.handler import DriverHandler
from h2o_otel.io.loop import Loop
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.tuning import Tuning


@functools.lru_cache(8)
def body(size: int) -> bytes:
    """Octets in which a misplaced block shows: no 64 KiB of them are equal."""
    return b"".join(i.to_bytes(4, "big") for i in range((size + 3) // 4))[:size]


class Server(DriverHandler):
    """Answers at once, from inside the batch."""

    def __init__(self) -> None:
        self.lost: list[Exception | None] = []
        self.resets: list[Any] = []
        self.terminated: list[Any] = []
        self.paused = 0
        self.resumed = 0
        self.batches = 0
        self.driver: Any = None

    def connection_made(self, driver: Driver) -> None:
        self.driver = driver

    def request_received(self, stream: Any, end_stream: bool) -> None:
        stream.user = 0
        if end_stream:
            self.answer(stream, body(int(stream.path[1:])))

    def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
        self.driver.connection.credit(stream, len(data), self.driver.now)
        stream.user += len(data)
        if end_stream:
            self.answer(stream, b"%d" % stream.user)

    def answer(self, stream: Any, data: bytes) -> None:
        connection, now = self.driver.connection, self.driver.now
        connection.send_response(stream, 200, [], False, now)
        connection.send_data(stream, data, True, now)

    def stream_reset(self, stream: Any, error: Any) -> None:
        self.resets.append(error)

    def connection_terminated(self, error: Any) -> None:
        self.terminated.append(error)

    def batch_finished(self, now: float) -> None:
        self.batches += 1

    def writing_paused(self) -> None:
        self.paused += 1

    def writing_resumed(self) -> None:
        self.resumed += 1

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append(error)


class Exchange:
    """One request of ``Client``; ``waiter`` is done when the response has ended."""

    def __init__(self, waiter: Any) -> None:
        self.waiter = waiter
        self.chunks: list[bytes] = []

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    async def body(self) -> bytes:
        await self.waiter
        return self.data


class Client(Server):
    """Asks; credits what it gets at once."""

    def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
        self.driver.connection.credit(stream, len(data), self.driver.now)
        stream.user.chunks.append(data)
        if end_stream:
            stream.user.waiter.set_result(None)

    def stream_reset(self, stream: Any, error: Any) -> None:
        super().stream_reset(stream, error)
        if not stream.user.waiter.done():
            stream.user.waiter.set_exception(error)

    def ask(self, size: int = 64, upload: bytes | None = None) -> Exchange:
        exchange = Exchange(self.driver.loop.create_waiter())
        method = b"GET" if upload is None else b"POST"
        fields = [(b":method", method), (b":scheme", b"http"), (b":authority", b"test"), (b":path", b"/%d" % size)]
        now = self.driver.loop.now()
        stream = self.driver.connection.send_request(fields, upload is None, now, exchange)
        if upload is not None:
            self.driver.connection.send_data(stream, upload, True, now)
        self.driver.wake()
        return exchange


def serving(handler: Server | None = None, limits: EngineLimits = SERVER_LIMITS) -> tuple[Server, Callable[[Driver], None]]:
    """A server's handler, and the ``setup`` that binds it."""
    made = Server() if handler is None else handler
    return made, lambda driver: driver.bind(Connection(server_config(limits), made, driver.counters), made)


def asking(limits: EngineLimits = CLIENT_LIMITS) -> tuple[Client, Callable[[Driver], None]]:
    """A client's handler, and the ``setup`` that binds it."""
    made = Client()
    return made, lambda driver: driver.bind(Connection(client_config(limits), made, driver.counters), made)


def server_driver(
    loop: Loop,
    kind: Any = Driver,
    *,
    limits: EngineLimits = SERVER_LIMITS,
    tls: Any = None,
    handler: Server | None = None,
    block: Counters | None = None,
    tuning: Tuning | None = None,
) -> tuple[Any, Server]:
    made, setup = serving(handler, limits)
    return kind(loop, limits, setup, role=counters.SERVER, tls=tls, block=block, tuning=tuning), made


def client_driver(
    loop: Loop,
    kind: Any = Driver,
    *,
    limits: EngineLimits = CLIENT_LIMITS,
    tls: Any = None,
    block: Counters | None = None,
    tuning: Tuning | None = None,
) -> tuple[Any, Client]:
    made, setup = asking(limits)
    return kind(loop, limits, setup, role=counters.CLIENT, tls=tls, block=block, tuning=tuning), made
