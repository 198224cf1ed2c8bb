"""What requests and idle connections leave behind: nothing.

AsyncClient and server are the whole ones, on a real event loop, joined by memory instead of sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel._pure import build
from h2o_otel.buffers.pool import local_pools
from h2o_otel.client.client import AsyncClient
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.io import asyncio as h2_asyncio
from h2o_otel.io.driver import Driver
from h2o_otel.io.loop import asyncio_loop
from h2o_otel.io.memory import VirtualLoop, pair
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.server.protocol import ServerProtocol
from h2o_otel.server.service import Service
from h2o_otel.streams.stream import Stream
from h2o_otel.telemetry import configure
from tests.support import backends
from tests.support.ends import client_driver, server_driver

GAUGES = ("stream_active", "flow_control_unread", "asgi_handlers", "io_write_queue_size", "buffer_pool_in_use", "stream_pending")
TASKS = 50


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Small answers, large ones, uploads that are read, and errors."""
    path = scope["path"]
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if path == "/error":
        raise ValueError("asked for")
    if path == "/later":
        await asyncio.sleep(0)
    content = b"x" * 40_000 if path == "/large" else b"%d" % len(body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-id", path.encode())]})
    await send({"type": "http.response.body", "body": content})


@contextlib.asynccontextmanager
async def joined(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    """A client all of whose connections lead, by memory, to a server with ``app``."""
    telemetry = configure(level="off", otlp=False, set_global=False)
    loop = asyncio_loop()
    service = Service(app, loop, SERVER_LIMITS, telemetry)

    def accept(driver: Driver) -> None:
        handler = ServerProtocol(service)
        driver.bind(Connection(server_config(), handler, driver.counters), handler)

    async def connect(driver: Driver, *_: Any, **__: Any) -> dict[str, float]:
        driver.ready = loop.create_waiter()
        pair(loop, driver, Driver(loop, SERVER_LIMITS, accept, role=counters.SERVER))
        return {}

    monkeypatch.setattr(h2_asyncio, "connect", connect)
    async with AsyncClient(base_url="http://server.test", telemetry=telemetry) as client:
        yield client


async def batch(client: AsyncClient, requests: int) -> None:
    async def one(path: str, content: bytes | None, status: int) -> None:
        response = await client.request("GET" if content is None else "POST", path, content=content)
        assert response.status_code == status

    async def worker() -> None:
        for i in range(requests // TASKS):
            kind = i % 10
            if kind == 3:
                await one("/large", None, 200)
            elif kind == 5:
                await one("/up", b"u" * 20_000, 200)
            elif kind == 7:
                await one("/later", None, 200)
            elif kind == 9:
                await one("/error", None, 500)
            else:
                await one("/small", None, 200)

    await asyncio.gather(*[worker() for _ in range(TASKS)])


def levels() -> dict[str, int]:
    snapshot = counters.collect()
    return {name: snapshot.value(name) for name in GAUGES}


def settle(caplog: pytest.LogCaptureFixture) -> int:
    """Drop what is kept on purpose, and what only the test keeps; returns how many objects were in cycles."""
    found = gc.collect()
    caplog.clear()
    for pool in local_pools():
        pool.trim()
    return found


def objects(kind: type) -> int:
    return sum(isinstance(each, kind) for each in gc.get_objects())


@backends.asyncio_only
@pytest.mark.time_limit(120)
async def test_requests_leave_no_growth(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """10,000 requests where the code is compiled; fewer, of the same kinds, where it is not."""
    caplog.set_level("CRITICAL")
    requests = 10_000 if build() == "compiled" else 1500
    async with joined(monkeypatch) as client:
        # What is made once, and what is kept up to a bound, is there after this.
        await batch(client, 500)
        settle(caplog)
        before, tasks = levels(), len(asyncio.all_tasks())
        tracemalloc.start()
        try:
            await batch(client, 500)
            settle(caplog)
            start_bytes = tracemalloc.get_traced_memory()[0]
            streams = objects(Stream)
            held = sum(pool.in_use_bytes for pool in local_pools())
            gc.disable()
            await batch(client, requests)
            cyclic = settle(caplog)
            grown = tracemalloc.get_traced_memory()[0] - start_bytes
        finally:
            gc.enable()
            tracemalloc.stop()
        assert levels() == before
        assert len(asyncio.all_tasks()) == tasks
        assert sum(pool.in_use_bytes for pool in local_pools()) == held
        assert objects(Stream) <= streams + TASKS
        # A few octets each: below what one forgotten object would be.
        assert grown < 4 * requests + 20_000, grown
        # Not even where an application fails in its first step, inside a call of ours (eager tasks of Python 3.12).
        assert cyclic < TASKS, cyclic


def test_idle_connections_hold_no_buffers() -> None:
    loop = VirtualLoop()
    block = Counters()
    ends = []
    for _ in range(100):
        server, _ = server_driver(loop, block=block)
        client, handler = client_driver(loop, block=block)
        pair(loop, client, server)
        ends.append((client, server, handler))
    loop.run()
    for _, _, handler in ends:
        handler.ask(5000)
        handler.ask(upload=b"u" * 20_000)
    loop.run()
    snapshot = Snapshot()
    snapshot.add_block(block)
    assert snapshot.value("connection_active") == 200
    assert snapshot.value("buffer_pool_acquisitions") > 200
    assert snapshot.value("buffer_pool_in_use") == 0
    for _ in range(3):
        loop.advance(SERVER_LIMITS.buffer_quiet_s)
    snapshot = Snapshot()
    snapshot.add_block(block)
    assert snapshot.value("connection_active") == 200
    idle = snapshot.value("buffer_pool_idle", "output") + snapshot.value("buffer_pool_idle", "tail")
    assert idle == 0
