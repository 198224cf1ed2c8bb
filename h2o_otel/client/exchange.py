"""One request and its response on one stream: what arrived, who waits for it, and by when.

It belongs to the loop's thread.  The protocol object fills it from the engine's calls; the client
and the response read from it.  Whatever ends it early (a timeout, a cancellation, a reader that
goes away) resets this stream alone, at once.
"""

from __future__ import annotations

import math
from typing import Any

from ..buffers.assembly import Assembly
from ..counters import Counters
from ..errors import (
    ErrorCode,
    H2OError,
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    StreamConsumed,
    StreamReset,
    TimeoutException,
    TotalTimeout,
    WriteError,
    WriteTimeout,
    copied,
)
from ..io.loop import Loop, Waiter
from ..limits import STREAM_ID_MAX, Limits
from ..pool.connection import PooledConnection
from ..streams.states import State
from ..streams.stream import Stream
from ..telemetry.requests import ClientRequestMetrics
from .content import Body, checked_chunk
from .decoders import DecodedBody, decoder_of, too_large
from .request import Request
from .timeouts import Timeout

__all__ = ["Carrier", "Exchange"]

_CLOSED = int(State.CLOSED)
_CANCEL = int(ErrorCode.CANCEL)
_NO_ERROR = int(ErrorCode.NO_ERROR)
_NEVER = math.inf
_UNBOUNDED = 2**62
# What a waiter waits for.
_NOTHING, _HEAD, _DATA, _END = range(4)
# Progress of an upload is looked at so often within Timeout.write.
_WRITE_LOOKS = 4


class Carrier(PooledConnection):
    """What an exchange needs of its connection; ``ClientProtocol`` is the one.

    Attributes:
        limits: every bound.
        connection: the engine.
        send_buffer_bytes: producers of a request body wait while more than this is queued.
        response_bytes_max: ``Limits.response_bytes_max`` as a number.
        counters: to add to.
        goaway: the error code of the GOAWAY that the peer sent, by name; empty before.
        goaway_last: the last stream that it names; no stream is above before it came.
    """

    def __init__(self, id: int, loop: Loop, connection: Any, limits: Limits, block: Counters) -> None:
        PooledConnection.__init__(self, id)
        self.limits = limits
        self.counters = block
        self.loop = loop
        self.connection = connection
        self.send_buffer_bytes = limits.send_buffer_stream_bytes
        self.response_bytes_max = _UNBOUNDED if limits.response_bytes_max is None else limits.response_bytes_max
        self.goaway = ""
        self.goaway_last = STREAM_ID_MAX
        self._timer: Any = None
        self._timer_at = _NEVER

    def wake(self) -> None:
        """Something was queued for the peer."""

    def credit(self, stream: Stream, n: int) -> None:
        """The reader took ``n`` octets."""

    def silent(self, since: float, now: float) -> None:
        """A deadline passed; nothing arrived for the exchange since ``since``."""

    def arm(self, at: float) -> None:
        """Look at the exchanges at ``at``, or before: one timer serves all of them, and is set anew only to an earlier time."""
        if at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self.loop.call_at(at, self.on_timer)

    def disarm(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = _NEVER

    def on_timer(self) -> None:
        """The time has come; ``arm`` again for the next."""


class Exchange:
    """One attempt at a request.

    Attributes:
        streaming: the body is credited as the reader takes it, not as it arrives.
        decoding: whoever takes the body decodes it, and says how that ended.
        delivered: the user gets the response as soon as its head is here.
        head: the final response's field section is here.
        ended: the whole response is here.
        closed: nobody will read any more.
        error: why it failed.
        informational: 1xx responses as ``(status, fields)``.
        asked_at, sent_at, head_at, ended_at: seconds on the loop's clock, 0.0 when it has not happened.
        waited_s: for a connection or a stream.
        fresh: the connection was made for this request, or while it waited.
        retry_reasons: of the attempts before this one, why each was sent again.
    """

    def __init__(self) -> None:
        self.protocol: Any = None
        self.stream: Any = None
        self.error: BaseException | None = None
        self.informational: list[tuple[int, list[tuple[bytes, bytes]]]] | None = None
        self._waiter: Waiter | None = None
        self._upload_task: Any = None
        self._write_waiter: Waiter | None = None
        self.metrics: ClientRequestMetrics | None = None
        self.span: Any = None

    def begin(self, request: Request, timeout: Timeout, streaming: bool, now: float) -> None:
        """The request is asked for."""
        self.request = request
        self.timeout = timeout
        self.streaming = streaming
        self.delivered = streaming
        self.decoding = False
        self.head = False
        self.ended = False
        self.closed = False
        self.finished = False
        self.fresh = False
        self.uploading = False
        self.chunks: list[bytes] = []
        self._assembly: Assembly | None = None
        self._decoded: DecodedBody | None = None
        self._taken = 0
        self._want = _NOTHING
        self.asked_at = now
        self.sent_at = 0.0
        self.head_at = 0.0
        self.ended_at = 0.0
        self.waited_s = 0.0
        self._active_at = now
        self._read_s = timeout.read_s
        self.total_at = now + timeout.total_s
        self._write_mark = -1
        self._write_at = 0.0
        self.metrics_index = 0
        self.retry_reasons: tuple[str, ...] = ()

    # -- what the protocol object reports

    def response_received(self, end: bool, now: float) -> None:
        self.head = True
        self.head_at = now
        self._active_at = now
        if end:
            self.complete(now)
        elif self._want == _HEAD:
            self.wake()

    def data_received(self, data: bytes, end: bool, now: float) -> None:
        self._active_at = now
        if self.closed:
            return
        if data:
            if self._assembly is not None:
                self._assembly.add(data)
            elif self.streaming:
                self.chunks.append(data)
            else:
                self._collect(data, len(data), end, now)
        if not self.streaming and self.stream.body_received > self.protocol.response_bytes_max:
            self.give_up(too_large(self.protocol.response_bytes_max, self.stream.body_received), now)
        if self.error is not None:
            return
        if end:
            self.complete(now)
        elif self._want == _DATA:
            self.wake()

    def _collect(self, data: bytes, waiting: int, end: bool, now: float) -> None:
        """The whole body is wanted: decode ``data``, or have the engine put what follows behind it; ``waiting`` octets are here."""
        stream = self.stream
        limits = self.protocol.limits
        if self._decoded is None:
            decoder = decoder_of(stream.headers, limits) if self._is_coded() else None
            if decoder is None:
                if end:
                    self.chunks.append(data)
                elif stream.content_length > self.protocol.response_bytes_max:
                    self.give_up(too_large(limits.response_bytes_max, stream.content_length), now)
                else:
                    rest = stream.content_length - stream.body_received
                    self._assembly = Assembly(rest + waiting, self.protocol.counters)
                    self._assembly.add(data)
                    stream.assembly = self._assembly
                return
            self._decoded = DecodedBody(decoder, limits)
        self._decode(data, False, now)

    def _is_coded(self) -> bool:
        """Whether the response names a content coding."""
        fields: list[tuple[bytes, bytes]] = self.stream.headers
        for field in fields:
            if field[0] == b"content-encoding":
                return True
        return False

    def _decode(self, data: bytes, last: bool, now: float) -> None:
        """More of the body, or its ``last``, to be decoded; what is wrong with it ends the exchange."""
        decoded = self._decoded
        assert decoded is not None
        try:
            decoded.add(data, last)
        except H2OError as error:
            self.give_up(error, now)

    def give_up(self, error: H2OError, now: float) -> None:
        """The peer's body is not one that can be had."""
        self.chunks = []
        self._assembly = None
        self._decoded = None
        self.stream.assembly = None
        if self.ended:
            # All of it is here, and was not looked at before.
            self.describe_failure(error)
            self.error = error
            self.finish(_error_type(error), now)
        else:
            self.fail(error, now)
            self.reset(_CANCEL)

    def complete(self, now: float) -> None:
        """The response is complete; a request body that is still under way is not wanted any more (RFC 9113 section 8.1)."""
        if self._decoded is not None:
            self._decode(b"", True, now)
            if self.error is not None:
                return
        self.ended = True
        self.ended_at = now
        if self.stream is not None and self.stream.state != _CLOSED:
            self.stop_upload()
            self.reset(_NO_ERROR)
        if not self.streaming:
            self.finish(None, now)
        self.wake()

    def fail(self, error: BaseException, now: float) -> None:
        """The exchange ends here; what was buffered can still be read."""
        if self.error is not None or self.ended:
            return
        self.error = error
        self.ended_at = now
        if isinstance(error, H2OError):
            self.describe_failure(error)
            self._attach_flight(error)
        self.stop_upload()
        self.finish(_error_type(error), now)
        self.wake()

    def failure(self) -> BaseException:
        """The error to raise.  The exchange keeps another one like it, without the traceback to come: that has
        the frames which have the response, and so the exchange.
        """
        error = self.error
        assert error is not None
        if isinstance(error, H2OError):
            self.error = copied(error)
        return error

    def describe_failure(self, error: H2OError) -> None:
        """Tell the error which request failed and how often it was sent; a text that does not say so is completed."""
        error.request = self.request
        error.retry_reasons = self.retry_reasons
        error.attempts = len(self.retry_reasons) + (self.stream is not None)
        if self.retry_reasons and self.stream is None:
            error.args = (f"{error} ({self._attempt()})",)

    def _attach_flight(self, error: H2OError) -> None:
        """The connection's last frames go with the error and onto the span; the reference engine has none."""
        recorder = None if self.protocol is None else getattr(self.protocol.connection, "recorder", None)
        if recorder is None:
            return
        if error.flight is None:
            error.flight = recorder.log()
        if self.span is not None and self.span.sampled and error.flight and self.stream is not None:
            shown_max = self.protocol.connection.limits.flight_recorder_shown_max
            self.span.set("h2o.flight", error.flight.lines(shown_max, self.stream.id))

    def stream_reset(self, error: StreamReset, now: float) -> None:
        """The stream ended early, by the peer or with the connection."""
        if self.ended:
            # A complete response, and then RST_STREAM: the rest of the upload is not wanted.
            self.stop_upload()
            return
        failure: Exception = error
        text = f"{error} during {self.describe(now)}"
        # An error is one stream's, so it can say whose.
        error.args = (text,)
        if error.rule == "connection_lost" and self.stream is not None and not self.stream.refused:
            kind = WriteError if self.uploading or self.stream.queued else ReadError
            failure = kind(text)
            failure.flight = error.flight
            failure.__cause__ = error
        self.fail(failure, now)

    # -- waiting

    def wake(self) -> None:
        """Whoever waits for something of the response goes on."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            self._want = _NOTHING
            if not waiter.done():
                waiter.set_result(None)

    def _wait(self, want: int, now: float) -> Waiter:
        """A waiter for ``want``, under the read timeout from now on."""
        if self._waiter is not None:
            raise StreamConsumed("the response is being read already: a body has one reader")
        protocol = self.protocol
        waiter: Waiter = protocol.loop.create_waiter()
        self._waiter = waiter
        self._want = want
        if now > self._active_at:
            self._active_at = now
        protocol.arm(min(self._active_at + self._read_s, self.total_at))
        return waiter

    def wait_head(self, now: float) -> Waiter | None:
        """What to await for the response's head, None when there is nothing to wait for."""
        return None if self.head or self.error is not None else self._wait(_HEAD, now)

    def wait_end(self, now: float) -> Waiter | None:
        """The same for the complete response."""
        return None if self.ended or self.error is not None else self._wait(_END, now)

    # -- reading

    def take(self) -> bytes:
        """The next piece that has arrived, credited; empty when there is none."""
        if self._taken >= len(self.chunks):
            return b""
        data = self.chunks[self._taken]
        self._taken += 1
        if self._taken == len(self.chunks):
            self.chunks = []
            self._taken = 0
            if self.ended and not self.decoding:
                self.finish(None, self.ended_at)
        if self.streaming:
            self.protocol.credit(self.stream, len(data))
        return data

    async def read(self) -> bytes:
        """The next piece of the body, empty at its end.

        Raises:
            TransportError: the exchange failed, after what had arrived was read.
        """
        while self._taken >= len(self.chunks):
            if self.error is not None:
                raise self.failure()
            if self.ended:
                if not self.decoding:
                    self.finish(None, self.ended_at)
                return b""
            try:
                await self._wait(_DATA, self.protocol.loop.now())
            except BaseException as error:
                self.abandon(error)
                raise
        return self.take()

    def body(self) -> bytes:
        """All that arrived and was not taken, of a response that is not streaming, decoded."""
        if self._decoded is not None:
            return self._decoded.take()
        chunks = self.chunks
        if self._assembly is not None:
            chunks = [*chunks, self._assembly.take()]
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def stop_streaming(self) -> None:
        """The body is credited as it arrives from here on: somebody wants all of it."""
        if self.streaming:
            self.streaming = False
            self._gather(self.protocol.loop.now())
            if self.stream is not None:
                self.protocol.credit(self.stream, self.stream.recv_unread)
            if self.ended:
                self.finish(None, self.ended_at)

    def _gather(self, now: float) -> None:
        """What has arrived for a reader becomes the beginning of the whole body."""
        chunks = self.chunks[self._taken :]
        self.chunks = []
        self._taken = 0
        if self.error is not None or not chunks:
            return
        if self.stream.body_received > self.protocol.response_bytes_max:
            self.give_up(too_large(self.protocol.response_bytes_max, self.stream.body_received), now)
            return
        waiting = sum(map(len, chunks))
        # Taken from the end, so that each is gone once it was copied.
        chunks.reverse()
        self._collect(chunks.pop(), waiting, self.ended and not chunks, now)
        while chunks and self.error is None:
            if self._assembly is not None:
                self._assembly.add(chunks.pop())
            else:
                self._decode(chunks.pop(), False, now)
        if self.ended and self._decoded is not None:
            self._decode(b"", True, now)

    def abandon(self, reason: BaseException | None = None) -> None:
        """Nobody will read any more: the stream is reset, and what was not read is credited."""
        if self.closed:
            return
        self.closed = True
        self._waiter = None
        self._want = _NOTHING
        protocol = self.protocol
        if protocol is None:
            return
        now = protocol.loop.now()
        self.stop_upload()
        self.chunks = []
        self._assembly = None
        self._decoded = None
        self._taken = 0
        if self.stream is not None and self.error is None and (not self.ended or self.streaming):
            # On a stream that has ended this only returns the credit.
            self.reset(_CANCEL)
        # Who has the response and leaves it has what they wanted of it, however they leave.
        left = self.ended or (self.delivered and self.head)
        self.finish(None if reason is None or left else _error_type(reason), now)

    def reset(self, code: int) -> None:
        protocol = self.protocol
        if protocol is not None and self.stream is not None:
            protocol.connection.reset_stream(self.stream, code, protocol.loop.now())
            protocol.wake()

    # -- deadlines

    def check(self, now: float) -> float:
        """When to look again; fails the exchange whose time has passed."""
        if self.ended or self.error is not None or self.closed:
            return _NEVER
        if now >= self.total_at:
            self._expire(TotalTimeout, "total", self.timeout.total, now)
            return _NEVER
        at = self.total_at
        stream = self.stream
        if stream.queued:
            # While the request is held up the response cannot be late.
            self._active_at = now
            write_s = self.timeout.write
            if write_s is not None:
                if stream.body_sent != self._write_mark:
                    self._write_mark = stream.body_sent
                    self._write_at = now
                elif now - self._write_at >= write_s:
                    self._expire(WriteTimeout, "write", write_s, now)
                    return _NEVER
                at = min(at, now + write_s / _WRITE_LOOKS)
        elif self.uploading:
            self._active_at = now
        if self._want != _NOTHING and self._read_s != _NEVER:
            read_at = self._active_at + self._read_s
            if now >= read_at:
                self._expire(ReadTimeout, "read", self._read_s, now)
                return _NEVER
            at = min(at, read_at)
        return at

    def _expire(self, kind: type[TimeoutException], name: str, limit_s: float | None, now: float) -> None:
        what = {
            "read": "nothing of the response arrived",
            "write": "the peer took nothing of the request body",
            "total": "the exchange was not complete",
        }[name]
        error = kind(f"{what} within {limit_s:g} s (Timeout.{name}): {self.describe(now)}", timeout_s=limit_s)
        self.reset(_CANCEL)
        self.fail(error, now)
        self.protocol.silent(self._write_at if name == "write" else self._active_at, now)

    def describe(self, now: float) -> str:
        """What was asked, where, and how far it came; for the text of errors."""
        stream = self.stream
        where = (
            "not sent"
            if stream is None
            else f"stream {stream.id} of connection {self.protocol.id}, {stream.body_received} octets of body received"
        )
        if stream is not None and (self.request.body.data is None or self.request.body.data):
            where += f", {stream.body_sent} sent"
        if stream is not None and self.protocol.goaway:
            where += f", the peer sent GOAWAY {self.protocol.goaway}"
        if self.retry_reasons:
            where += f", {self._attempt()}"
        return f"{self.request.method} {self.request._url_text()} ({where}, after {now - self.asked_at:.3g} s)"

    def _attempt(self) -> str:
        return f"attempt {len(self.retry_reasons) + 1} after {', '.join(self.retry_reasons)}"

    # -- the request body

    def stop_upload(self) -> None:
        """Send no more of the request body."""
        self.uploading = False
        task = self._upload_task
        if task is not None:
            self._upload_task = None
            task.cancel()

    def start_upload(self, task: Any) -> None:
        self._upload_task = task

    def writable(self) -> None:
        """There is room for more of the request body."""
        waiter = self._write_waiter
        if waiter is not None:
            self._write_waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def upload(self, body: Body) -> None:
        """Send ``body`` as it is made, no faster than the peer takes it; runs beside the reading of the response."""
        source: Any = None
        try:
            if body.is_async:
                source = body.async_chunks()
                async for chunk in source:
                    if self._send_chunk(checked_chunk(chunk)):
                        await self._room()
            else:
                for chunk in body.chunks():
                    if self._send_chunk(chunk):
                        await self._room()
            self._end_upload()
        except Exception as error:
            self._upload_task = None
            if self.uploading:
                self.reset(_CANCEL)
                self.fail(error, self.protocol.loop.now())
        finally:
            self.uploading = False
            self._upload_task = None
            if hasattr(source, "aclose"):
                # A generator that was left half-way cleans up now, not when it is collected.
                await source.aclose()

    def _send_chunk(self, chunk: bytes) -> bool:
        """Queue ``chunk``; whether there is no room for another."""
        protocol = self.protocol
        queued: int = protocol.connection.send_data(self.stream, chunk, False, protocol.loop.now())
        protocol.wake()
        if queued and self.timeout.write is not None:
            protocol.arm(protocol.loop.now() + self.timeout.write / _WRITE_LOOKS)
        return bool(queued > protocol.send_buffer_bytes)

    async def _room(self) -> None:
        waiter = self._write_waiter = self.protocol.loop.create_waiter()
        await waiter

    def _end_upload(self) -> None:
        check_length(self.request._fields(), self.stream.body_sent + self.stream.queued)
        self.uploading = False
        self._active_at = self.protocol.loop.now()
        self.protocol.connection.send_data(self.stream, b"", True, self._active_at)
        self.protocol.wake()
        if self._want != _NOTHING:
            self.protocol.arm(self._active_at + self._read_s)

    # -- telemetry

    def finish(self, error_type: str | None, now: float) -> None:
        """The exchange is over for the metrics and the span: the body was read or abandoned, or it failed."""
        if self.finished:
            return
        self.finished = True
        stream = self.stream
        status = stream.status if stream is not None else 0
        span = self.span
        if self.metrics is not None:
            exemplar = span if span is not None and span.sampled else None
            self.metrics.finished(self.metrics_index, status, error_type, now - self.asked_at, exemplar)
        if span is not None:
            span.finish(status, error_type, None, 0, stream)


def check_length(fields: list[tuple[bytes, bytes]], sent: int) -> None:
    """A body must be as long as its content-length says (RFC 9113 section 8.1.1).

    Raises:
        LocalProtocolError: it is not.
    """
    for field in fields:
        if field[0] == b"content-length" and field[1] != b"%d" % sent:
            said = field[1].decode("latin-1")
            raise LocalProtocolError(f"the request body has {sent} octets, content-length says {said}", initiator="user", actual=sent)


def _error_type(error: BaseException) -> str:
    """What telemetry calls the error: the rule that was broken, the peer's GOAWAY code, or the exception's class."""
    rule = getattr(error, "rule", "")
    if rule == "goaway_received" and isinstance(error, StreamReset) and error.scope == "connection":
        return ErrorCode.label(error.code)
    return rule if rule else type(error).__name__
