"""A server under test on the running loop, and an HTTP/2 client on the ``h2`` library that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from h2o_otel.server import Server, ServerConfig
from tests.support import wire
from tests.support.waiting import eventually


class Answer:
    """What came back on one stream."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.informational: list[list[tuple[bytes, bytes]]] = []
        self.body = b""
        self.data_frames = 0
        self.trailers: list[tuple[bytes, bytes]] | None = None
        self.ended = False
        self.reset: int | None = None
        self.changed = asyncio.Event()

    def __getitem__(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)

    async def done(self) -> Answer:
        """Wait until the stream ended or was reset."""
        while not self.ended and self.reset is None:
            await self.change()
        return self

    async def change(self) -> None:
        self.changed.clear()
        await self.changed.wait()


class Peer:
    """One client connection.

    Args:
        credit: open windows again as octets arrive.
        window: SETTINGS_INITIAL_WINDOW_SIZE to announce.
    """

    def __init__(self, *, credit: bool = True, window: int = 65_535) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.answers: dict[int, Answer] = {}
        self.goaways: list[tuple[int, int, bytes]] = []
        self.pongs = 0
        self.closed = asyncio.Event()
        self._credit = credit
        self._window = window
        self._rest = b""
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._task: asyncio.Task[None] | None = None

    async def connect(self, port: int) -> Peer:
        return self._begin(*await asyncio.open_connection("127.0.0.1", port))

    async def connect_unix(self, path: str) -> Peer:
        return self._begin(*await asyncio.open_unix_connection(path))

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Peer:
        self._reader, self._writer = reader, writer
        self.h2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: self._window}
        )
        self.h2.initiate_connection()
        self.flush()
        self._task = asyncio.create_task(self._read())
        return self

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    def write(self, octets: bytes) -> None:
        """Send octets that ``h2`` knows nothing of."""
        self._writer.write(octets)

    def pause(self) -> None:
        """Read nothing more from the socket."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def _read(self) -> None:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            while data := await self._reader.read(65_536):
                for event in self.h2.receive_data(self._without_goaways(data)):
                    self._handle(event)
                self.flush()
        self.closed.set()

    def _without_goaways(self, data: bytes) -> bytes:
        """``h2`` takes any GOAWAY for the end of the connection, where RFC 9113 section 6.8 lets streams finish."""
        self._rest += data
        kept = b""
        while len(self._rest) >= 9 and len(self._rest) >= 9 + (size := int.from_bytes(self._rest[:3], "big")):
            frame, self._rest = self._rest[: 9 + size], self._rest[9 + size :]
            if frame[3] == wire.GOAWAY:
                self.goaways.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big"), frame[17:]))
            else:
                kept += frame
        return kept

    def _handle(self, event: Any) -> None:
        if isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1
        answer = self.answers.get(getattr(event, "stream_id", 0) or 0)
        if answer is None:
            return
        match event:
            case h2.events.InformationalResponseReceived():
                answer.informational.append(event.headers)
            case h2.events.ResponseReceived():
                answer.headers = event.headers
                answer.status = int(dict(event.headers)[b":status"])
            case h2.events.DataReceived():
                answer.body += event.data
                answer.data_frames += 1
                if self._credit and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                answer.trailers = event.headers
            case h2.events.StreamEnded():
                answer.ended = True
            case h2.events.StreamReset():
                answer.reset = int(event.error_code)
        answer.changed.set()

    def request(
        self,
        method: str = "GET",
        path: str = "/",
        headers: list[tuple[str, str]] | None = None,
        body: bytes | None = None,
        *,
        end: bool = True,
    ) -> Answer:
        """Send a request; the answer fills itself while the loop runs."""
        fields = [(":method", method), (":scheme", "http"), (":authority", "test.example"), (":path", path), *(headers or [])]
        answer = self.open(fields, end=end and body is None)
        if body is not None:
            self.send(answer, body, end=end)
        return answer

    def open(self, fields: list[tuple[str, str]], *, end: bool = False) -> Answer:
        """Send a request with exactly these fields."""
        stream_id = self.h2.get_next_available_stream_id()
        answer = self.answers[stream_id] = Answer()
        self.h2.send_headers(stream_id, fields, end_stream=end)
        self.flush()
        return answer

    def stream_of(self, answer: Answer) -> int:
        return next(number for number, each in self.answers.items() if each is answer)

    def send(self, answer: Answer, data: bytes, *, end: bool = False) -> None:
        self.h2.send_data(self.stream_of(answer), data, end_stream=end)
        self.flush()

    def cancel(self, answer: Answer, code: int = 8) -> None:
        self.h2.reset_stream(self.stream_of(answer), code)
        self.flush()

    async def heard(self) -> None:
        """Wait until the server has read all that was sent; its answer to a PING says so."""
        before = self.pongs
        self.h2.ping(b"heard me")
        self.flush()
        await eventually(lambda: self.pongs > before)

    async def get(self, path: str = "/", **more: Any) -> Answer:
        return await self.request(path=path, **more).done()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(app: Callable[..., Any], **settings: Any) -> AsyncIterator[Server]:
    """A server of ``app`` on a free port of the running loop; ended in order."""
    settings = {"port": 0, "lifespan": "off", "timeout_graceful_shutdown": 0.5, **settings}
    server = Server(ServerConfig(app=app, **settings))
    task = asyncio.create_task(server.serve())
    started = asyncio.create_task(server.wait_started())
    await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if task.done():
        task.result()
    try:
        yield server
    finally:
        server.stop()
        await task


@contextlib.asynccontextmanager
async def connected(app: Callable[..., Any], *, peer: Peer | None = None, **settings: Any) -> AsyncIterator[Peer]:
    """A client connected to a server of ``app``."""
    async with serving(app, **settings) as server:
        client = await (peer or Peer()).connect(server.addresses[0][1])
        client.server = server  # type: ignore[attr-defined]
        try:
            yield client
        finally:
            await client.close()
