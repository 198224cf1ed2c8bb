"""Peers that violate the protocol on purpose: a client and a server with hand-written frames.

They test the runtime's guards: framing faults, floods, sockets that are not read,
servers that fall silent.  Nothing of the engine is used here, so nothing here is counted twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import ErrorCode
from ..frames.types import CLIENT_PREFACE, Flag, FrameType, SettingCode

__all__ = ["OK_BLOCK", "PATIENCE_S", "Frame", "FrameClient", "FrameServer", "Visit", "frame", "request_block", "settings", "window_update"]

# Acts of the demo wait at most so long for their peer.
PATIENCE_S = 15.0
FAREWELL_S = 1.0
# These clients make no spans: their traceparent says that the request is not sampled.
UNTRACED = (b"traceparent", b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
# ":status: 200" of the static table (RFC 7541 appendix A).
OK_BLOCK = b"\x88"


class Frame(NamedTuple):
    """One frame as it arrived."""

    type: int
    flags: int
    stream_id: int
    payload: bytes


def frame(type: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    """The octets of one frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((type, flags)) + stream_id.to_bytes(4, "big") + payload


def settings(values: dict[SettingCode, int]) -> bytes:
    return frame(FrameType.SETTINGS, 0, 0, b"".join(code.to_bytes(2, "big") + value.to_bytes(4, "big") for code, value in values.items()))


def window_update(increment: int, stream_id: int = 0) -> bytes:
    return frame(FrameType.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def request_block(path: str, scheme: str = "https", method: int = 2) -> bytes:
    """The header block of a request that is not to be traced; ``method`` is 2 for GET and 3 for POST, its index in the static table."""
    target = path.encode("ascii")
    pseudo = bytes((0x80 | method, 0x87 if scheme == "https" else 0x86, 0x01, 9)) + b"localhost" + bytes((0x04, len(target))) + target
    return pseudo + b"\x00" + bytes((len(UNTRACED[0]),)) + UNTRACED[0] + bytes((len(UNTRACED[1]),)) + UNTRACED[1]


async def _read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame; None when the peer has closed."""
    try:
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
    except (asyncio.IncompleteReadError, OSError):
        return None
    return Frame(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, payload)


class FrameClient:
    """A connection to the demo's service.

    Args:
        url: of the service.
        context: for TLS, None for cleartext.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self.scheme = parts.scheme
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._context = context
        self._reader: Any = None
        self._writer: Any = None

    async def __aenter__(self) -> FrameClient:
        async with asyncio.timeout(PATIENCE_S):
            self._reader, self._writer = await asyncio.open_connection(
                self._host, self._port, ssl=self._context, server_hostname=self._host if self._context is not None else None
            )
        return self

    async def __aexit__(self, *exception: object) -> None:
        await _hang_up(self._writer)

    def write(self, octets: bytes) -> None:
        self._writer.write(octets)

    def preface(self, values: dict[SettingCode, int] | None = None) -> None:
        self.write(CLIENT_PREFACE + settings(values or {}))

    async def read(self) -> Frame | None:
        """The next frame; None when the server has closed.

        Raises:
            TimeoutError: nothing came.
        """
        async with asyncio.timeout(PATIENCE_S):
            return await _read_frame(self._reader)

    async def until(self, type: int, stream_id: int = 0) -> Frame | None:
        """Skip to a frame of this type and stream; None when the server closes before."""
        while (found := await self.read()) is not None:
            if found.type == type and found.stream_id == stream_id and not (type == FrameType.SETTINGS and found.flags & Flag.ACK):
                return found
        return None

    async def goodbye(self) -> str:
        """The error code of the server's GOAWAY, "" when it closes without one."""
        found = await self.until(FrameType.GOAWAY)
        return "" if found is None else ErrorCode.label(int.from_bytes(found.payload[4:8], "big"))


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close cleanly, or abort where the peer does not close."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            await writer.wait_closed()
            return
    writer.transport.abort()


class Visit:
    """One connection to a ``FrameServer``.

    Attributes:
        number: from 1, since ``FrameServer.script`` was set.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer

    def write(self, octets: bytes) -> None:
        self._writer.write(octets)

    async def request(self, *, pong: bool = False) -> int:
        """The stream of the next request, 0 when the client has closed; with ``pong``, PINGs before it are answered."""
        while (found := await _read_frame(self._reader)) is not None:
            if pong and found.type == FrameType.PING and not found.flags & Flag.ACK:
                self.write(frame(FrameType.PING, Flag.ACK, 0, found.payload))
            if found.type == FrameType.HEADERS:
                return found.stream_id
        return 0

    def respond(self, stream_id: int) -> None:
        self.write(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream_id, OK_BLOCK))


Script = Callable[[Visit], Awaitable[None]]


class FrameServer:
    """A cleartext server on 127.0.0.1 that does what its script says, and closes the connection when the script ends.

    Attributes:
        url: where it listens.
    """

    def __init__(self) -> None:
        self.url = ""
        self._script: Script | None = None
        self._settings: dict[SettingCode, int] = {}
        self._visits = 0
        self._server: Any = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def play(self, script: Script, values: dict[SettingCode, int] | None = None) -> None:
        """Choose the fault that further connections meet."""
        self._script = script
        self._settings = values or {}
        self._visits = 0

    async def __aenter__(self) -> FrameServer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._visit(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visits += 1
        visit = Visit(reader, writer, self._visits)
        script = self._script
        try:
            await reader.readexactly(len(CLIENT_PREFACE))
            visit.write(settings(self._settings) + frame(FrameType.SETTINGS, Flag.ACK))
            if script is not None:
                await script(visit)
            await writer.drain()
            # Yield to the loop once more, so that the peer reads the data before the end of file.
            await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            await _hang_up(writer)
