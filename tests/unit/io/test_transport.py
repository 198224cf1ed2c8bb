"""What event loops promise about writing, on each Python: who does not read holds the writer back.

``asyncio`` of Python 3.12.0 to 3.12.8, 3.13.0 and 3.13.1 does not pause a protocol in ``writelines()``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.stapled import StapledByteStream

from h2o_otel.io.anyio import AnyioLoop, AnyioTransport
from h2o_otel.io.memory import MemoryTransport
from h2o_otel.io.transport import AsyncioTransport
from h2o_otel.limits import SERVER_LIMITS
from tests.support import backends
from tests.support.drivers import Ends
from tests.support.ends import body
from tests.support.waiting import eventually

SOCKET_BYTES = 16_384
# Far more than the buffers of a socket hold.
CHUNK = bytes(range(256)) * 4096
SHAPES = {"one": [CHUNK], "three": [CHUNK[:7], CHUNK, CHUNK[7:]], "thousands": [CHUNK[i : i + 512] for i in range(0, len(CHUNK), 512)]}


class Told(asyncio.Protocol):
    """Counts what the loop says."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


@asynccontextmanager
async def unread() -> AsyncIterator[tuple[Any, Told, socket.socket]]:
    """A transport of the running loop, its protocol, and the other end, which nobody reads."""
    here, there = socket.socketpair()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
    there.setblocking(False)
    told = Told()
    loop = asyncio.get_running_loop()
    raw, _ = await loop.create_connection(lambda: told, sock=here)
    try:
        yield raw, told, there
    finally:
        raw.abort()
        there.close()


async def read_until(there: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        got += await asyncio.get_running_loop().sock_recv(there, 1 << 20)
    return bytes(got)


@backends.asyncio_loops
@pytest.mark.parametrize("shape", SHAPES)
async def test_unread_socket_pauses_before_write_returns(shape: str) -> None:
    chunks = SHAPES[shape]
    size = sum(map(len, chunks))
    async with unread() as (raw, told, there):
        transport = AsyncioTransport(raw)
        left = transport.write(list(chunks))
        assert left == transport.buffered() > transport.high_water_bytes
        assert told.calls == ["pause"]
        # What is written in spite of it is kept, and tells nothing new.
        assert transport.write([b"tail"]) == transport.write([]) == left + 4
        assert told.calls == ["pause"]
        assert await read_until(there, size + 4) == b"".join(chunks) + b"tail"
        await eventually(lambda: told.calls == ["pause", "resume"])
        assert transport.buffered() == 0
        # The same again: the limit holds as long as the connection.
        assert transport.write(list(chunks)) > 0
        assert told.calls == ["pause", "resume", "pause"]


@backends.asyncio_loops
@pytest.mark.parametrize("shape", SHAPES)
async def test_setting_the_limit_compares_with_it(shape: str) -> None:
    """What ``AsyncioTransport`` relies on, of the loop alone."""
    async with unread() as (raw, told, there):
        raw.set_write_buffer_limits(high=0)
        assert raw.get_write_buffer_limits() == (0, 0)
        raw.writelines(list(SHAPES[shape]))
        waiting = raw.get_write_buffer_size()
        assert waiting > 0
        raw.set_write_buffer_limits(high=0)
        assert told.calls == ["pause"]
        raw.set_write_buffer_limits(high=0)
        assert told.calls == ["pause"]
        assert len(await read_until(there, sum(map(len, SHAPES[shape])))) == sum(map(len, SHAPES[shape]))
        await eventually(lambda: raw.get_write_buffer_size() == 0)
        assert told.calls == ["pause", "resume"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_anyio_stream_pauses_and_resumes(shape: str) -> None:
    """On trio, and on asyncio through AnyIO."""
    chunks = SHAPES[shape]
    sender, receiver = anyio.create_memory_object_stream[bytes](0)
    nothing, _ = anyio.create_memory_object_stream[bytes](0)
    told = Told()
    async with AnyioLoop() as loop, anyio.create_task_group() as group:
        transport = AnyioTransport(loop, told, StapledByteStream(sender, _))  # type: ignore[arg-type]
        group.start_soon(transport._write_all)
        assert transport.write(list(chunks)) == sum(map(len, chunks)) > transport.high_water_bytes
        assert told.calls == ["pause"]
        got = b""
        while len(got) < sum(map(len, chunks)):
            got += await receiver.receive()
        assert got == b"".join(chunks)
        await eventually(lambda: told.calls == ["pause", "resume"])
        group.cancel_scope.cancel()
    for stream in (sender, receiver, nothing, _):
        stream.close()


class ForgetfulTransport(MemoryTransport):
    """Of a loop that says neither that it is full nor that it is empty."""

    def write(self, chunks: list[bytes | memoryview]) -> int:
        self._paused_writing = True
        MemoryTransport.write(self, chunks)
        self._paused_writing = False
        return self.buffered()


def test_a_loop_that_does_not_say_so_holds_back_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("h2o_otel.io.memory.MemoryTransport", ForgetfulTransport)
    ends = Ends(capacity_bytes=10_000).settled()
    assert isinstance(ends.server_end, ForgetfulTransport)
    ends.server_end.stall()
    exchange = ends.client.ask(2_000_000)
    ends.loop.run()
    assert ends.server.paused == 1
    assert ends.server_end.sent <= SERVER_LIMITS.output_high_water_bytes + 16_384
    ends.server_end.stall(False)
    ends.loop.advance(5)
    assert exchange.data == body(2_000_000)
    assert ends.server.paused == ends.server.resumed > 1


def test_a_connection_that_is_lost_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("h2o_otel.io.memory.MemoryTransport", ForgetfulTransport)
    ends = Ends(capacity_bytes=10_000).settled()
    ends.server_end.stall()
    ends.client.ask(2_000_000)
    ends.loop.run()
    assert ends.server.paused == 1
    ends.server_end.cut()
    ends.loop.advance(1)
    assert ends.server_driver.closed
    assert ends.loop.timers == 0
