"""Requests of a client that has not read our SETTINGS yet: all are answered, and handlers stay inside their limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.limits import ServerLimits
from tests.support.backends import asyncio_only
from tests.support.peer import serving
from tests.support.waiting import eventually
from tests.support.wire import (
    ACK,
    END_STREAM,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Frame,
    frames,
    headers,
    ping,
    request_block,
    rst_stream,
    settings,
    settings_ack,
)

pytestmark = asyncio_only

ENGINES = pytest.mark.parametrize("engine", ["native", "h2"])


class Held:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.running = self.most = self.started = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.started += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


class Client:
    """Octets, and the frames that come back; SETTINGS are acknowledged when the test says so."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._octets = b""
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while data := await self._reader.read(65_536):
            self._octets += data

    def sent(self) -> list[Frame]:
        """What the server has sent, without an incomplete frame at the end."""
        end = 0
        while end + 9 <= len(self._octets) and (stop := end + 9 + int.from_bytes(self._octets[end : end + 3], "big")) <= len(self._octets):
            end = stop
        return frames(self._octets[:end])

    def answered(self) -> set[int]:
        return {frame.stream_id for frame in self.sent() if frame.type == HEADERS and frame.flags & END_STREAM}

    def reset(self) -> dict[int, int]:
        return {frame.stream_id: int.from_bytes(frame.payload, "big") for frame in self.sent() if frame.type == RST_STREAM}

    async def heard(self) -> None:
        """The server has read everything up to here."""
        before = len(self.pongs())
        self.writer.write(ping(b"heard me"))
        await eventually(lambda: len(self.pongs()) > before)

    def pongs(self) -> list[Frame]:
        return [frame for frame in self.sent() if frame.type == 0x6 and frame.flags & ACK]

    async def close(self) -> None:
        self._task.cancel()
        self.writer.close()
        await self.writer.wait_closed()


@asynccontextmanager
async def meeting(app: Any, **options: Any) -> AsyncIterator[Client]:
    """A connection to a server of ``app`` on which nothing has been said."""
    async with serving(app, **options) as server:
        client = Client(*await asyncio.open_connection("127.0.0.1", server.addresses[0][1]))
        try:
            yield client
        finally:
            await client.close()


def burst(streams: int, first: int = 1) -> bytes:
    return b"".join(headers(first + 2 * n, request_block(), end_stream=True) for n in range(streams))


@ENGINES
async def test_all_of_a_burst_are_answered(engine: str) -> None:
    """Preface, SETTINGS and 300 requests in one write, as from Envoy."""
    app = Held()
    async with meeting(app, engine=engine) as client:
        client.writer.write(PREFACE + settings() + burst(300))
        await eventually(lambda: app.started == 250)
        await client.heard()
        assert app.started == 250
        assert client.sent()[0].type == SETTINGS
        client.writer.write(settings_ack())
        app.go.set()
        await eventually(lambda: len(client.answered()) == 300)
        assert client.reset() == {}
        assert app.most == 250


@ENGINES
async def test_held_requests_start_no_more_handlers_than_streams_are_allowed(engine: str) -> None:
    app = Held()
    async with meeting(app, engine=engine, limits=ServerLimits(streams_max=5)) as client:
        client.writer.write(PREFACE + settings() + burst(20) + settings_ack())
        await eventually(lambda: app.started == 5)
        await client.heard()
        assert app.started == 5
        app.go.set()
        await eventually(lambda: len(client.answered()) == 20)
        assert app.most == 5


@ENGINES
async def test_held_requests_that_are_cancelled_never_run(engine: str) -> None:
    app = Held()
    async with meeting(app, engine=engine, limits=ServerLimits(streams_max=5)) as client:
        client.writer.write(PREFACE + settings() + burst(20) + settings_ack())
        await eventually(lambda: app.started == 5)
        client.writer.write(b"".join(rst_stream(2 * n + 1, 8) for n in range(5, 20)))
        await client.heard()
        app.go.set()
        await eventually(lambda: len(client.answered()) == 5)
        client.writer.write(burst(1, first=1001))
        await eventually(lambda: len(client.answered()) == 6)
        assert app.started == 6


@ENGINES
async def test_what_is_not_held_is_refused_and_counted(engine: str) -> None:
    app = Held()
    before = counters.collect()
    async with meeting(app, engine=engine, limits=ServerLimits(streams_max=5, streams_held_max=10)) as client:
        client.writer.write(PREFACE + settings() + burst(40))
        await eventually(lambda: len(client.reset()) == 25)
        assert set(client.reset().values()) == {7}
        client.writer.write(settings_ack())
        app.go.set()
        await eventually(lambda: len(client.answered()) == 15)
        client.writer.write(burst(5, first=1001))
        await eventually(lambda: len(client.answered()) == 20)
    after = counters.collect()
    assert after.value("streams", "server", "refused") - before.value("streams", "server", "refused") == 25
    assert after.labelled.get("abuse_detections", {}) == before.labelled.get("abuse_detections", {})


async def test_held_requests_outlive_a_limit_of_no_streams() -> None:
    """Setting the limit to 0 takes no new streams, and answers those that are open."""
    app = Held()
    async with serving(app, limits=ServerLimits(streams_max=5)) as server:
        client = Client(*await asyncio.open_connection("127.0.0.1", server.addresses[0][1]))
        client.writer.write(PREFACE + settings() + burst(20) + settings_ack())
        await eventually(lambda: app.started == 5)
        (connection,) = server.service.connections
        connection.connection.update_settings([(3, 0)], 0.0)
        client.writer.write(settings_ack())
        await client.heard()
        app.go.set()
        await eventually(lambda: len(client.answered()) == 20)
        await client.close()
