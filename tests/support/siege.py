"""A server under attack on the running loop: the application, the attacker's raw connection, an honest client beside it.

What every attack must leave as it was is asserted by ``siege``: the honest client was answered,
memory grew by no more than a bound, handlers stayed inside their limit, the log stayed short,
nothing is left over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.errors import ErrorCode
from h2o_otel.limits import SERVER_LIMITS, EngineLimits
from tests.support import peer as honest_peer
from tests.support import wire
from tests.support.waiting import eventually

PATIENCE_S = 30.0
# What an attack may cost beyond the buffers that the limits name: the connection's objects, a hundred streams
# with their scopes and tasks, the attacker's own end of the socket (all of it is in this process).
GROWTH_BYTES_MAX = 4_000_000
START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}


class App:
    """Answers by path, and notes what ran.

    ``/`` answers at once; ``/wait`` after its client is gone; ``/read`` with the size of the body;
    ``/hold`` never reads its body; ``/large`` sends until it is stopped; ``/work`` takes a moment.
    """

    def __init__(self) -> None:
        self.running = self.most = self.started = 0
        self.sent = 0
        self.paths: list[str] = []
        self.ended: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.started += 1
        self.running += 1
        self.most = max(self.most, self.running)
        self.paths.append(scope["path"])
        try:
            await self.answer(scope["path"], receive, send)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        except OSError as error:
            self.ended.append(type(error).__name__)
        finally:
            self.running -= 1

    async def answer(self, path: str, receive: Any, send: Any) -> None:
        body = b"ok"
        if path == "/wait":
            while (await receive())["type"] != "http.disconnect":
                continue
        elif path == "/hold":
            await asyncio.sleep(PATIENCE_S * 3)
        elif path == "/work":
            await asyncio.sleep(0.05)
        elif path == "/read":
            size = 0
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                size += len(message["body"])
                more = message["more_body"]
            body = b"%d" % size
        await send(START)
        while path == "/large":
            await send({"type": "http.response.body", "body": bytes(10_000), "more_body": True})
            self.sent += 10_000
        await send({"type": "http.response.body", "body": body})


def request(stream_id: int, path: bytes = b"/", *fields: tuple[bytes, bytes], method: bytes = b"GET", end: bool = True) -> bytes:
    """HEADERS of a request that stands in no dynamic table."""
    block = wire.block((b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"test.example"), *fields)
    return wire.headers(stream_id, block, end_stream=end)


def post(stream_id: int, path: bytes, *fields: tuple[bytes, bytes]) -> bytes:
    return request(stream_id, path, *fields, method=b"POST", end=False)


class Attacker:
    """One raw connection; keeps every frame that comes back, of DATA only the length.

    Attributes:
        frames: what came back.
        ended: the server closed the connection, in order or not.
        cut: the kernel reset it, so that what was unread may be lost.
    """

    def __init__(self) -> None:
        self.frames: list[wire.Frame] = []
        self.data_bytes = 0
        self.ended = asyncio.Event()
        self.cut = False
        self._rest = b""
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._task: asyncio.Task[None]
        self._changed = asyncio.Event()

    async def connect(self, port: int, *, receive_buffer: int | None = None, tls: Any = None) -> Attacker:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        self._reader, self._writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname="localhost" if tls else None)
        self._task = asyncio.create_task(self._read())
        return self

    async def greet(self, values: dict[int, int] | None = None) -> None:
        """The preface, SETTINGS, and the acknowledgement of the server's."""
        await self.send(wire.PREFACE + wire.settings(values))
        await self.until(lambda: self.of(wire.SETTINGS))
        await self.send(wire.settings_ack())

    async def _read(self) -> None:
        try:
            while octets := await self._reader.read(65_536):
                self._rest += octets
                self._parse()
                self._changed.set()
        except ConnectionError:
            self.cut = True
        self.ended.set()
        self._changed.set()

    def _parse(self) -> None:
        while len(self._rest) >= 9 and len(self._rest) >= 9 + (size := int.from_bytes(self._rest[:3], "big")):
            (frame,) = wire.frames(self._rest[: 9 + size])
            self._rest = self._rest[9 + size :]
            if frame.type == wire.DATA:
                self.data_bytes += len(frame.payload)
                frame = frame._replace(payload=b"")
            self.frames.append(frame)

    def pause(self) -> None:
        """Read nothing more, until ``resume``."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a write of its own, with a turn of the loop between them."""
        await self.send_all(pieces)

    async def send_all(self, pieces: Iterable[bytes]) -> None:
        """As ``send``; stops when the server has closed."""
        for piece in pieces:
            if self.ended.is_set():
                return
            with contextlib.suppress(ConnectionError):
                self._writer.write(piece)
                await self._writer.drain()
            # The first turn ends before the loop has looked at its sockets.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                assert not self.ended.is_set(), f"the server closed; it had sent {self.frames[-5:]}"
                self._changed.clear()
                await self._changed.wait()

    async def closed(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.ended.wait()

    async def close(self) -> None:
        self._task.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    # -- what came back

    def of(self, type: int) -> list[wire.Frame]:
        return [frame for frame in self.frames if frame.type == type]

    def goaway(self) -> tuple[str, str]:
        """Code and reason of the last GOAWAY."""
        payload = self.of(wire.GOAWAY)[-1].payload
        return ErrorCode.label(int.from_bytes(payload[4:8], "big")), payload[8:].decode()

    def resets(self) -> dict[int, str]:
        """The code that each stream was reset with."""
        return {frame.stream_id: ErrorCode.label(int.from_bytes(frame.payload, "big")) for frame in self.of(wire.RST_STREAM)}

    def answered(self) -> list[int]:
        """Streams whose response ended."""
        return [f.stream_id for f in self.frames if f.type in (wire.DATA, wire.HEADERS) and f.flags & wire.END_STREAM]


class Siege:
    """What a test of an attack has at hand.

    Attributes:
        app, server: under attack.
        attacker: connected, not greeted.
    """

    def __init__(self, app: App, server: Any, attacker: Attacker) -> None:
        self.app = app
        self.server = server
        self.attacker = attacker
        self.port: int = server.addresses[0][1]
        self._before = detections()

    def detected(self) -> dict[tuple[str, ...], int]:
        """Abuse counted since the beginning: (rule, what was done) -> how often."""
        now = detections()
        return {key: n - self._before.get(key, 0) for key, n in now.items() if n != self._before.get(key, 0)}


def detections() -> dict[tuple[str, ...], int]:
    return dict(counters.collect().labelled.get("abuse_detections", {}))


@contextlib.asynccontextmanager
async def siege(
    caplog: pytest.LogCaptureFixture,
    *,
    limits: EngineLimits = SERVER_LIMITS,
    growth: int = GROWTH_BYTES_MAX,
    lines: int = 1,
    attacker: Attacker | None = None,
    receive_buffer: int | None = None,
    **settings: Any,
) -> AsyncIterator[Siege]:
    """The body attacks; what must hold whatever it did is asserted afterwards.

    Args:
        limits: of the server.
        growth: octets by which memory may have grown at its peak, all of this process.
        lines: of the log, at most.
        receive_buffer: SO_RCVBUF of the attacker's socket.
    """
    app = App()
    async with honest_peer.serving(app, limits=limits, **settings) as server:
        port = server.addresses[0][1]
        honest = Honest(port)
        await honest.ask()
        made = await (attacker or Attacker()).connect(port, receive_buffer=receive_buffer)
        service = server.service
        assert service is not None
        over = asyncio.Event()
        tracemalloc.start()
        try:
            with caplog.at_level(logging.INFO, "h2o_otel"):
                before = tracemalloc.get_traced_memory()[0]
                asked = asyncio.create_task(asking(honest, over))
                yield Siege(app, server, made)
                over.set()
                async with asyncio.timeout(PATIENCE_S):
                    assert await asked >= 10
            grown = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
            asked.cancel()
            await made.close()
            await honest.close()
        await eventually(lambda: not service.connections and not service.tasks and service.handlers == 0)
    assert grown <= growth, f"memory grew by {grown} octets"
    assert app.most <= limits.running_handlers_max + 1
    said = [record for record in caplog.records if getattr(record, "h2o_event", "") not in ("h2o.server.started", "h2o.server.stopped")]
    assert len(said) <= lines, [record.getMessage() for record in said]
    assert not [record for record in said if record.exc_info or record.levelno >= logging.ERROR]


class Honest:
    """A client that asks, of a connection of its own.

    Where limits are short, a machine that stops for a moment makes this connection idle for too long, too.
    Then it does as every client does: it asks again on another.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._peer: honest_peer.Peer | None = None

    async def ask(self) -> None:
        while True:
            if self._peer is None:
                self._peer = await honest_peer.Peer().connect(self._port)
            peer = self._peer
            answer = peer.request()
            done, closed = asyncio.create_task(answer.done()), asyncio.create_task(peer.closed.wait())
            await asyncio.wait([done, closed], return_when=asyncio.FIRST_COMPLETED)
            done.cancel()
            closed.cancel()
            if answer.ended:
                assert answer.body == b"ok"
                return
            # It ended in order, and not for what we did; nor was our request taken.
            last_stream_id, code, reason = peer.goaways[-1]
            assert (code, reason) == (ErrorCode.NO_ERROR, b"idle")
            assert last_stream_id < peer.stream_of(answer)
            await self.close()

    async def close(self) -> None:
        if self._peer is not None:
            await self._peer.close()
            self._peer = None


async def asking(honest: Honest, over: asyncio.Event) -> int:
    """Requests in turn until the attack is over, and at least ten; how many were answered."""
    answered = 0
    while answered < 10 or not over.is_set():
        await honest.ask()
        answered += 1
        if answered >= 10:
            await asyncio.sleep(0.01)
    return answered
