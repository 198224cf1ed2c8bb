"""One ASGI request on one stream: ``receive()`` and ``send()``, and every way it can end.

A request has two lives that end apart: the stream's (the engine says so with ``closed``) and the
application's (its task is done).  Metrics and span follow the stream, the handler limit both.
What has arrived waits in ``body``, what the section of fields says is read in ``scope``, and
``service`` has what is reported of a request.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .. import _mem
from .. import counters as _counters
from ..errors import ClientDisconnected, ErrorCode, LocalProtocolError, StreamReset
from ..streams.stream import Stream
from .body import BodyQueue
from .carrier import AsgiConnection
from .checks import caused_by_disconnect, normalised, pushed_path
from .drain import UploadDrain
from .forwarded import Forwarded
from .routes import route_of
from .scope import expects_continue, make_scope, was_forwarded

__all__ = ["AsgiRequest"]

_WAIT_RECEIVE = _counters.slot("asgi_wait_ns")
_WAIT_SEND = _WAIT_RECEIVE + 1
_FIELDS_DROPPED = _counters.slot("asgi_fields_dropped")
_COPIED_ASGI = _counters.slot("buffer_copied") + _counters.COPY_REASONS.index("asgi")
_INTERNAL_ERROR = int(ErrorCode.INTERNAL_ERROR)
_CANCEL = int(ErrorCode.CANCEL)
_SHUTDOWN = "server_shutdown"
_TEXT: Any = (b"content-type", b"text/plain; charset=utf-8")


def _have_no_span(scope: dict[str, Any]) -> None:
    """Keep FastAPI 0.165 and Starlette 1.10 from making a span of their own: the request has one, or is to have none."""
    scope["fastapi.telemetry"] = None
    scope["starlette.opentelemetry"] = True


class AsgiRequest:
    """One request.

    Attributes:
        disconnected: the client is gone, or the stream ended in another way before the response was complete.
        response_done: the end of the response was handed to the engine.
        over: the stream is closed.
    """

    __slots__ = (
        "_app_started_ns",
        "_body",
        "_body_taken",
        "_bodyless",
        "_content_length",
        "_continued",
        "_counted",
        "_drain",
        "_expects_trailers",
        "_fields",
        "_has_date",
        "_has_server",
        "_head_sent",
        "_messages_done",
        "_metrics_index",
        "_receivers",
        "_running",
        "_scope_keys",
        "_senders",
        "_sent",
        "_task",
        "_timer",
        "_told",
        "_unobserved",
        "_waits",
        "body_ended",
        "disconnected",
        "error_type",
        "forwarded",
        "over",
        "owner",
        "response_done",
        "scope",
        "span",
        "started",
        "status",
        "stream",
        "waiting",
    )

    def __init__(self, owner: AsgiConnection, stream: Stream, body_ended: bool) -> None:
        self.owner = owner
        self.stream = stream
        self.scope: dict[str, Any] | None = None
        # How many keys the application was given: no more of them, no route.
        self._scope_keys = 0
        self.span: Any = None
        self.status = 0
        self.error_type: str | None = None
        self.started = False
        self.disconnected = False
        self.response_done = False
        self.over = False
        self.waiting = False
        self.body_ended = body_ended
        self._body_taken = False
        self._continued = False
        self._body: BodyQueue | None = None
        self._receivers: list[Any] | None = None
        self._senders: list[Any] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._timer: Any = None
        self._drain: UploadDrain | None = None
        self._waits = 0
        self._told = False
        self._running = False
        self._counted = False
        self._fields: list[tuple[bytes, bytes]] | None = None
        self._head_sent = False
        self._bodyless = False
        self._expects_trailers = False
        self._messages_done = False
        self._has_date = False
        self._has_server = False
        self._content_length = -1
        self._sent = 0
        self._app_started_ns = 0
        # From here on by attributes: their types are known where this is compiled, those of the arguments are not.
        service = self.owner.service
        self.forwarded: Forwarded | None = None
        if self.owner.trust is not None and was_forwarded(self.stream):
            self.forwarded = self.owner.trust.read(self.stream.headers or ())
        self._metrics_index = -1
        self._unobserved = service.excluded is not None and self._excluded()
        if service.metrics is not None and not self._unobserved:
            self._metrics_index = service.metrics.started(
                self.stream.method or b"", self.owner.scheme if self.forwarded is None else self.scheme().encode("ascii")
            )

    def _excluded(self) -> bool:
        """Whether the request is one of those that have no spans and no metrics."""
        stream = self.stream
        path = (stream.path or b"").partition(b"?")[0]
        url = f"{self.scheme()}://{(stream.authority or b'').decode('latin-1')}{path.decode('latin-1')}"
        return self.owner.service.excluded.search(url) is not None

    def scheme(self) -> str:
        """Of the client's URL, as far as the connection or a trusted proxy knows."""
        if self.forwarded is not None and self.forwarded.scheme is not None:
            return self.forwarded.scheme
        scheme: str = self.owner.template["scheme"]
        return scheme

    def client(self) -> tuple[Any, ...] | None:
        """Address and port of the client, as far as the connection or a trusted proxy knows."""
        if self.forwarded is not None and self.forwarded.client is not None:
            return self.forwarded.client
        client: tuple[Any, ...] | None = self.owner.template["client"]
        return client

    # -- the application

    def start(self) -> None:
        """Run the application's first step; what it sends goes into the output of this batch."""
        service = self.owner.service
        stream = self.stream
        scope = self.scope = make_scope(self.owner, stream)
        if self.forwarded is not None:
            scope["scheme"] = self.scheme()
            scope["client"] = self.client()
        if stream.local:
            # Promises are made on requests of the client only (RFC 9113 section 6.6).
            scope["extensions"].pop("http.response.push", None)
        self._running = True
        self._counted = True
        self._app_started_ns = service.handler_began()
        context = None
        tracing = service.tracing
        if self._unobserved:
            _have_no_span(scope)
        elif tracing is not None:
            # From the read that brought it: time spent waiting for a free handler is the request's, too.
            began_ns = int(stream.headers_at * 1e9)
            base = self.owner.span_base
            if self.forwarded is not None and base is not None:
                base = {**base, "url.scheme": scope["scheme"]}
                if self.forwarded.client is not None:
                    base["client.address"] = self.forwarded.client[0]
            self.span = tracing.server_started(stream, stream.headers, began_ns, base, service.counters)
            if self.span is not None:
                context = self.span.context()
                _have_no_span(scope)
        self._scope_keys = len(scope)
        try:
            if context is None:
                work = service.app(scope, self.receive, self.send)
            else:
                work = context.run(service.app, scope, self.receive, self.send)
            task = service.spawn(work, context)
        except Exception as error:
            self._app_ended(error)
            return
        if task.done():
            self._task_done(task)
        else:
            self._task = task
            service.tasks.add(task)
            task.add_done_callback(self._task_done)
            if self.started and not self._head_sent:
                self.owner.head_waits(self)
        # The application's first step ran inside this call, so the traceback of its failure reaches
        # this frame by f_back; together with the task it would be a reference cycle.
        del task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        if self._task is not None:
            self._task = None
            self.owner.service.tasks.discard(task)
        error: BaseException | None
        try:
            error = task.exception()
        except asyncio.CancelledError:
            # Another one, since the one raised here has this frame in its traceback, and the request with it.
            error = asyncio.CancelledError()
        self._app_ended(error)

    def _app_ended(self, error: BaseException | None) -> None:
        """The application returned or raised: whatever it left undone is done here."""
        self._running = False
        self.owner.service.handler_ended(self._app_started_ns, error)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if error is not None or not self.response_done:
            self._repair(error)
        self._uncount()

    def _repair(self, error: BaseException | None) -> None:
        """The application failed, or did not complete its response."""
        cancelled = isinstance(error, asyncio.CancelledError)
        unfinished = False
        if self.over and not self.response_done:
            # Nobody is there to be told; what the disconnection itself raised is no fault.
            if error is not None and not cancelled and not caused_by_disconnect(error):
                self.owner.service.report_exception(error, self.stream, self.span)
            return
        if error is None:
            if self._expects_trailers and self._messages_done and self._content_complete():
                self.response_done = True
                self.owner.data(self.stream, b"", True, self.owner.loop.now())
                self._end_response()
                return
            unfinished = True
            error = RuntimeError("the application returned without completing its response")
        told = (self._told and unfinished) or ((self._told or self.disconnected) and caused_by_disconnect(error))
        if not cancelled and not told:
            self.owner.service.report_exception(error, self.stream, self.span)
        if self.response_done:
            return
        if told:
            self._give_up()
            return
        self.error_type = type(error).__qualname__
        if self._head_sent:
            self.owner.reset(self.stream, _INTERNAL_ERROR, self.owner.loop.now())
        else:
            self.reply(500, b"Internal Server Error")

    def _give_up(self) -> None:
        """The application ended its response early because the server ends."""
        if self._head_sent:
            self.cut()
            self.owner.reset(self.stream, _CANCEL, self.owner.loop.now())
        else:
            self.error_type = _SHUTDOWN
            self.reply(503, b"Service Unavailable")

    def _content_complete(self) -> bool:
        return self._content_length < 0 or self._sent == self._content_length

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self.owner.handler_ended()

    def refuse(self, status: int, text: bytes, reason: str) -> None:
        """Answer without the application, for a limit of the server (``reason``)."""
        self.error_type = reason
        self.reply(status, text)

    def reply(self, status: int, text: bytes) -> None:
        """Answer without the application, if nothing was answered yet."""
        self.started = True
        self.response_done = True
        self.status = status
        self._fields = [_TEXT, (b"content-length", b"%d" % len(text))]
        self._content_length = -1
        self._expects_trailers = False
        self._has_date = self._has_server = False
        owner = self.owner
        now = owner.loop.now()
        if self.stream.method == b"HEAD":
            self._send_head(True, now)
        else:
            self._send_head(False, now)
            owner.data(self.stream, text, True, now)
        self._end_response()

    # -- what the engine says

    def feed(self, data: bytes, ended: bool) -> None:
        """Octets of the request's body."""
        n = len(data)
        if ended:
            self.body_ended = True
        if n:
            if self.response_done:
                self.owner.credit(self.stream, n, self.owner.loop.now())
                if self._drain is not None and not ended:
                    self._drain.drop(n)
            elif self._body is None:
                self._body = BodyQueue(self.owner.service.counters, data)
            else:
                self._body.push(data)
        if self._receivers is not None:
            wake_all(self._receivers)

    def reset(self, error: StreamReset) -> None:
        """The stream ended early; the application is told now, and cancelled where it does not notice by itself."""
        if not self.response_done:
            self.disconnected = True
        elif self.stream.queue is None and self.stream.queue_trailers is None:
            # It was answered in full: what the client does about the rest of its body is no failure of the request.
            return
        self.error_type = error.rule or "reset"
        if error.flight and self.span is not None and self.span.sampled:
            self.span.set("h2o.flight", error.flight.lines(self.owner.service.limits.flight_recorder_shown_max, error.stream_id))
        self._wake_everybody()
        if self._running and not self.response_done:
            if self.started and not self._waits and self._task is not None:
                # It would notice with its next event only, which may be far away.
                self._task.cancel("the client disconnected")
                return
            # Others are woken by receive() or send(), or may be in the middle of a commit.
            self._cancel_later()

    def _cancel_later(self) -> None:
        """The application has been told that nobody waits for it; it is cancelled after a grace time."""
        service = self.owner.service
        self._timer = service.loop.call_at(service.loop.now() + service.limits.disconnect_grace_s, self._expire)

    def overdue(self, rule: str) -> bool:
        """The body does not come: answer 408 and tell the application that its client is gone; false once a response has begun."""
        if self._head_sent or self.response_done or self.over:
            return False
        self.error_type = rule
        self.stream.awaited = False
        # Before the answer, which may close the stream: what still runs keeps its place among the handlers.
        self.disconnected = True
        self.reply(408, b"Request Timeout")
        self._wake_everybody()
        if self._running:
            self._cancel_later()
        return True

    def notify_shutdown(self) -> None:
        """The server ends: ``receive()`` gives ``http.disconnect`` from now on, ``send()`` works as before."""
        if not self.response_done and not self.disconnected:
            self._told = True
            if self._receivers is not None:
                wake_all(self._receivers)

    def cut(self) -> None:
        """The server resets the stream because it ends."""
        self.error_type = _SHUTDOWN
        self.owner.service.report_cut(self.stream, self._route())

    def _route(self) -> str | None:
        """The template of the route, looked for only where a framework put something into the scope."""
        scope = self.scope
        if scope is None or (len(scope) == self._scope_keys and "route" not in scope):
            return None
        return route_of(scope)

    def _expire(self) -> None:
        self._timer = None
        if self._task is not None:
            self._task.cancel("the client disconnected")

    def writable(self) -> None:
        """The stream's queue is short again."""
        if self._senders is not None:
            wake_all(self._senders)
        if self.response_done and not self.body_ended:
            self._end_early()

    def closed(self) -> None:
        """The stream is over: account for it, and let go of what refers to it."""
        self.over = True
        owner = self.owner
        stream = self.stream
        stream.user = None
        if self._drain is not None:
            self._drain.stop()
        if not self.response_done:
            # Reset by ourselves: the engine reports only what others end.
            self.disconnected = True
            self._wake_everybody()
        if stream.recv_unread:
            owner.credit(stream, stream.recv_unread, owner.loop.now())
        self._body = None
        status = self.status if self._head_sent else 0
        scheme, client = None, None
        if owner.service.access_log:
            scheme, client = self.scheme(), self.client()
        owner.service.report_request(stream, self._metrics_index, status, self._route(), self.error_type, self.span, scheme, client)
        self.scope = None
        if (self.response_done and not self.disconnected) or not self._running:
            # A background task after a complete response counts no more, a handler without a stream does.
            self._uncount()

    def _wake_everybody(self) -> None:
        if self._receivers is not None:
            wake_all(self._receivers)
        if self._senders is not None:
            wake_all(self._senders)

    # -- receive()

    async def receive(self) -> dict[str, Any]:
        """The next message; nothing is lost when the caller is cancelled while it waits."""
        message = self._take()
        if message is None and not self._continued:
            self._continue()
        while message is None:
            waiter = self.owner.loop.create_waiter()
            if self._receivers is None:
                self._receivers = []
            self._receivers.append(waiter)
            self._waits += 1
            began = _mem.now_ns()
            # Only now does the client owe its body.
            self.stream.awaited = True
            try:
                await waiter
            finally:
                self._waits -= 1
                self.stream.awaited = False
                self.owner.service.counters.slots[_WAIT_RECEIVE] += _mem.now_ns() - began
            message = self._take()
        return message

    def _continue(self) -> None:
        """The application wants the body: 100 to a client that holds it back for that (RFC 9110 section 10.1.1)."""
        self._continued = True
        stream = self.stream
        if not self.body_ended and not self._head_sent and not stream.body_received and expects_continue(stream):
            self.owner.inform(stream, 100, [], self.owner.loop.now())

    def _take(self) -> dict[str, Any] | None:
        if self.disconnected or self.response_done:
            return {"type": "http.disconnect"}
        if self._body is not None:
            body = self._body.pop()
            if not self._body.waits():
                self._body = None
            more = not self.body_ended or self._body is not None
            self._body_taken = not more
            self.owner.credit(self.stream, len(body), self.owner.loop.now())
            return {"type": "http.request", "body": body, "more_body": more}
        if self.body_ended and not self._body_taken:
            self._body_taken = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._told:
            return {"type": "http.disconnect"}
        return None

    # -- send()

    async def send(self, message: dict[str, Any]) -> None:
        """Take one message of the application; waits while too much is queued for the client."""
        if self._send(message):
            waiter = self.owner.loop.create_waiter()
            if self._senders is None:
                self._senders = []
            self._senders.append(waiter)
            self._waits += 1
            began = _mem.now_ns()
            try:
                await waiter
            finally:
                self._waits -= 1
                self.owner.service.counters.slots[_WAIT_SEND] += _mem.now_ns() - began
            if self.disconnected:
                raise gone(self)

    def _send(self, message: dict[str, Any]) -> bool:
        """Act on ``message``; true when the application must wait."""
        kind = message["type"]
        if self.disconnected:
            raise gone(self)
        if kind == "http.response.body":
            return self._send_body(message)
        if kind == "http.response.start":
            self._send_start(message)
        elif kind == "http.response.trailers":
            self._send_trailers(message)
        elif kind == "http.response.early_hint":
            self._send_early_hint(message)
        elif kind == "http.response.push":
            self._send_push(message)
        else:
            raise ValueError(f"an HTTP response has no message of type {kind!r}")
        return False

    def _send_start(self, message: dict[str, Any]) -> None:
        """Keep status and fields until the first body message: only then does the response begin (ASGI)."""
        if self.started:
            raise RuntimeError("http.response.start was sent twice")
        status = int(message["status"])
        if not 200 <= status <= 599:
            raise ValueError(f"http.response.start has status {status}; 200 to 599 are final responses")
        fields = list(message.get("headers", ()))
        self._content_length = -1
        self._has_date = self._has_server = False
        for name, value in fields:
            n = len(name)
            if n == 4:
                if name.lower() == b"date":
                    self._has_date = True
            elif n == 6:
                if name.lower() == b"server":
                    self._has_server = True
            elif n == 14 and name.lower() == b"content-length":
                if not value.isdigit():
                    raise ValueError(f"content-length {value!r} is not a number")
                self._content_length = int(value)
        if (status == 204 or status == 304) and self._content_length >= 0:
            # RFC 9110 section 8.6 forbids it with 204; with 304 it allows it, but clients that check it against the
            # missing body call the response malformed, and so does Caddy.
            fields = [pair for pair in fields if pair[0].lower() != b"content-length"]
            self.owner.service.counters.slots[_FIELDS_DROPPED] += 1
        self.status = status
        self._fields = fields
        self._expects_trailers = bool(message.get("trailers", False))
        self._bodyless = status == 204 or status == 304 or self.stream.method == b"HEAD"
        self.started = True
        if self._task is not None:
            self.owner.head_waits(self)

    def flush_head(self) -> None:
        """Send the head of a response whose application waits before it sends any body."""
        task = self._task
        if not self.started or self._head_sent or self.over or self.disconnected or task is None or task.done():
            return
        now = self.owner.loop.now()
        try:
            if self._bodyless:
                self._finish_bodyless(now)
            else:
                self._send_head(False, now)
        except Exception:
            # The application learns of it from its next send(), which tries again.
            self.started = True
            self._has_date = self._has_server = True

    def _finish_bodyless(self, now: float) -> None:
        """HEAD, 204 and 304 have no body, whatever the application sends (RFC 9110 sections 9.3.2, 15.3.5, 15.4.5)."""
        self.response_done = True
        self._send_head(True, now)
        self._end_response()

    def _send_body(self, message: dict[str, Any]) -> bool:
        if self._messages_done:
            raise RuntimeError("http.response.body was sent after the response was complete")
        if not self.started:
            raise RuntimeError("http.response.body was sent before http.response.start")
        owner = self.owner
        body: Any = message.get("body", b"")
        if type(body) is not bytes:
            body = bytes(memoryview(body))
            owner.service.counters.slots[_COPIED_ASGI] += len(body)
        more = bool(message.get("more_body", False))
        now = owner.loop.now()
        if self._bodyless:
            if not self._head_sent:
                self._finish_bodyless(now)
            self._messages_done = not more
            return False
        n = len(body)
        self._sent += n
        if self._content_length >= 0 and (self._sent > self._content_length or (not more and self._sent != self._content_length)):
            raise self._wrong_length(more)
        end = not more and not self._expects_trailers
        wait = False
        if n == 0 and end and not self._head_sent:
            self.response_done = True
            self._send_head(True, now)
        else:
            if not self._head_sent:
                self._send_head(False, now)
            self.response_done = end
            if n or end:
                wait = owner.data(self.stream, body, end, now)
        self._messages_done = not more
        if end:
            self._end_response()
        else:
            owner.wake()
        return wait

    def _wrong_length(self, more: bool) -> RuntimeError:
        sent, said = self._sent, self._content_length
        if not self._head_sent:
            # Nothing has gone out: the application's fault can still become a clean 500.
            self.started = False
        return RuntimeError(f"the response has {sent} octets of body{' so far' if more else ''}, its content-length is {said}")

    def _send_head(self, end: bool, now: float) -> None:
        owner = self.owner
        service = owner.service
        fields = self._fields
        assert fields is not None
        if service.date and not self._has_date:
            fields.append(service.date_field(now))
        if service.server_field is not None and not self._has_server:
            fields.append(service.server_field)
        self._head_sent = True
        try:
            try:
                owner.respond(self.stream, self.status, fields, end, now)
            except (LocalProtocolError, TypeError, ValueError):
                # Names in upper case and fields of HTTP/1.1 are the usual reasons; what is left raises again.
                owner.respond(self.stream, self.status, self._normalised(fields), end, now)
        except BaseException:
            self._head_sent = False
            self.response_done = False
            self.started = False
            raise
        self._fields = None

    def _normalised(self, fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """What of ``fields`` HTTP/2 can carry."""
        kept = normalised(fields)
        self.owner.service.counters.slots[_FIELDS_DROPPED] += len(fields) - len(kept)
        return kept

    def _send_trailers(self, message: dict[str, Any]) -> None:
        if not self.started or not self._expects_trailers:
            raise RuntimeError("http.response.trailers was sent, but http.response.start did not say trailers: True")
        if self.response_done:
            raise RuntimeError("http.response.trailers was sent after the response was complete")
        fields = self._normalised(list(message.get("headers", ())))
        if not self._content_complete():
            raise self._wrong_length(False)
        if message.get("more_trailers", False):
            raise ValueError("http.response.trailers with more_trailers: one section of trailers can be sent, in one message")
        owner = self.owner
        now = owner.loop.now()
        if not self._head_sent:
            self._send_head(self._bodyless, now)
        self.response_done = True
        if not self._bodyless:
            if fields:
                owner.connection.send_trailers(self.stream, fields, now)
            else:
                owner.data(self.stream, b"", True, now)
        self._end_response()

    def _send_early_hint(self, message: dict[str, Any]) -> None:
        """103 (RFC 8297); after the response has begun there is nothing left to hint at."""
        if self._head_sent:
            raise RuntimeError("http.response.early_hint was sent after the response began")
        fields = self._normalised([(b"link", link) for link in message.get("links", ())])
        self.owner.inform(self.stream, 103, fields, self.owner.loop.now())

    def _send_push(self, message: dict[str, Any]) -> None:
        """Promise what ``path`` names and answer it like a request (RFC 9113 section 8.4); a hint, so that it may come to nothing."""
        if self.response_done:
            raise RuntimeError("http.response.push was sent after the response was complete")
        path = pushed_path(message["path"])
        fields = self._normalised(list(message.get("headers", ())))
        self.owner.push(self.stream, path, fields, self.owner.loop.now())

    def _end_response(self) -> None:
        """The last of the response is with the engine."""
        self.response_done = True
        if self._receivers is not None:
            wake_all(self._receivers)
        if not self.over and not self.body_ended:
            self._end_early()
        self.owner.wake()

    def _end_early(self) -> None:
        """The request's body is not wanted any more: drop it for a while, once END_STREAM has gone out."""
        if self.over or self._drain is not None:
            return
        stream = self.stream
        if stream.queue is None:
            # What the application left unread opens the window again for what is to be dropped.
            self._body = None
            self.owner.credit(stream, stream.recv_unread, self.owner.loop.now())
            self._drain = UploadDrain(self.owner, stream)
        else:
            # Ask to be called again when more of the queue is framed.
            stream.writable_wanted = True


def wake_all(waiters: list[Any]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


def gone(request: AsgiRequest) -> ClientDisconnected:
    return ClientDisconnected(f"the client is gone: stream {request.stream.id} ended ({request.error_type or 'reset'})")
