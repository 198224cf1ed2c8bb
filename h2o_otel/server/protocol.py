"""The server's end of one HTTP/2 connection: requests start in batches, inside the limits, and end in order.

It is the handler of an engine and of its driver.  Applications start when a whole read has been
parsed and before the one write that follows it; never from inside the engine.
"""

from __future__ import annotations

from typing import Any

from .. import counters as _counters
from ..errors import ConnectionTerminated, ErrorCode, StreamReset
from ..io.driver import Driver
from ..memory.budget import eased
from ..rules import Violation
from ..streams.stream import Stream
from .asgi import AsgiRequest
from .carrier import AsgiConnection
from .pressure import HANDLERS, threshold
from .refusals import Refusals, limit_fields, request_fields
from .routes import route_of
from .service import Service

__all__ = ["ServerProtocol"]

_ASGI = {"version": "3.0", "spec_version": "2.5"}
_HANDLERS_WAITING = _counters.slot("asgi_handlers") + 1
# After so long without an answer to its PING, a peer is taken to have seen the first GOAWAY.
_CANCEL = int(ErrorCode.CANCEL)
_REFUSED_STREAM = int(ErrorCode.REFUSED_STREAM)
_GOAWAY_WAIT_S = 1.0
# Handlers that are short for less are a burst.
_SHORTAGE_S = 1.0
_GOAWAY_PING = b"h2o-otel"


def address_of(name: Any) -> Any:
    """A socket address as ASGI has it: ``[host, port]``, or ``[path, None]`` for a Unix socket."""
    if isinstance(name, tuple) and len(name) >= 2:
        return (name[0], name[1])
    if isinstance(name, str) and name:
        return (name, None)
    return None


class ServerProtocol(AsgiConnection):
    """One connection of a server.

    Attributes:
        running: handlers that count against ``ServerLimits.running_handlers_max``.
        draining: a graceful end has begun.
    """

    def __init__(self, service: Service) -> None:
        AsgiConnection.__init__(self, service)
        limits = service.limits
        self.running = 0
        self.running_max = limits.running_handlers_max
        self.draining = False
        self._drained = False
        self._said_goodbye = False
        self._pending: list[AsgiRequest] = []
        self._waiting: dict[int, AsgiRequest] = {}
        self._resuming = False
        self._heads: list[AsgiRequest] = []
        self._requests_max = -1 if limits.requests_per_connection_max is None else limits.requests_per_connection_max
        self._age_timer: Any = None
        self._id = 0
        self._opened_ns = 0
        self._log: Any = None
        self._pressure_above = threshold(limits, self.running_max)
        self._short = False
        self._shortage_timer: Any = None
        self._refusals: Refusals | None = None

    # -- the connection

    def connection_made(self, driver: Driver) -> None:
        self.driver = driver
        service = self.service
        connection = driver.connection
        self.connection = connection
        self.scheme = b"http" if driver.tls is None else b"https"
        service.connections.add(self)
        service.connection_ids += 1
        self._id = service.connection_ids
        client = address_of(driver.peername)
        self.template = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "2",
            "method": "",
            "scheme": self.scheme.decode("ascii"),
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "root_path": service.root_path,
            "headers": None,
            "client": client if client is not None and client[1] is not None else None,
            "server": address_of(driver.sockname),
            "extensions": {"http.response.trailers": {}, "http.response.early_hint": {}},
        }
        trust = service.trust
        if trust is not None and trust.connection(driver.peername, driver.sockname):
            self.trust = trust
        self._opened_ns = _counters.clock()
        age_s = service.limits.connection_age_max_s
        if age_s is not None:
            self._age_timer = self.loop.call_at(self.loop.now() + age_s, self.shutdown)
        service.refresh()
        if service.tracing is not None:
            # Not from :scheme, in which HAProxy writes https for cleartext.
            self.span_base = service.tracing.connection(self._id, driver.peername, driver.sockname)
            self.span_base["url.scheme"] = self.template["scheme"]
            connection.trace_requests = service.tracing.detail
        if service.log.is_enabled_for("h2o.connection.opened"):
            self.emit("h2o.connection.opened", {})

    def connection_lost(self, error: Exception | None) -> None:
        self.service.connections.discard(self)
        if self._age_timer is not None:
            self._age_timer.cancel()
            self._age_timer = None
        if self.service.log.is_enabled_for("h2o.connection.closed"):
            fields = {"h2o.duration": (_counters.clock() - self._opened_ns) * 1e-9, "h2o.connection.requests": self.connection.requests}
            self.emit("h2o.connection.closed", fields)

    def connection_terminated(self, error: ConnectionTerminated) -> None:
        code = ErrorCode.label(error.code)
        # The reference engine has no flight recorder.
        shown = {"h2o.flight": error.flight.lines(self.service.limits.flight_recorder_shown_max)} if error.flight else {}
        fields = {"error.type": error.rule, "exception.message": str(error), "h2o.error_code": code}
        if error.rule == "connection_lost" and (self._said_goodbye or error.__cause__ is None):
            # Nobody broke a rule: a client that closes its connection does not want the answers any more.
            self.emit("h2o.connection.left", fields)
            if shown and self.service.log.is_enabled_for("h2o.connection.frames"):
                self.emit("h2o.connection.frames", shown)
            return
        limit = limit_fields(error.rule, self.service.limits, error.limit, error.actual) if error.initiator == "local" else {}
        self.emit("h2o.connection.failed", {**fields, **limit, **shown})
        if self.span_base is not None:
            self.service.tracing.connection_ended(self.span_base, self._opened_ns, _counters.clock(), error.rule, shown)

    def settings_received(self) -> None:
        """The client says whether it takes promises; requests from here on see it in their scope."""
        extensions = self.template["extensions"]
        if self.connection.can_push():
            extensions["http.response.push"] = {}
        else:
            extensions.pop("http.response.push", None)

    def goaway_received(self, last_stream_id: int, code: int, debug: bytes) -> None:
        self._said_goodbye = not code
        # A client that says good-bye is no news; its counter has it.
        if code and self.service.log.is_enabled_for("h2o.goaway"):
            label = ErrorCode.label(code)
            fields = {"network.io.direction": "receive", "h2o.error_code": label, "h2o.goaway.last_stream_id": last_stream_id}
            self.emit("h2o.goaway", fields)

    def emit(self, name: str, fields: dict[str, Any]) -> None:
        """A log event with the connection's fields, which are bound on first use."""
        if self._log is None:
            bound: dict[str, Any] = {"h2o.connection.id": self._id, "h2o.role": "server"}
            client = self.template.get("client")
            if client is not None:
                bound["network.peer.address"], bound["network.peer.port"] = client
            self._log = self.service.log.bind(bound)
        self._log.emit(name, fields)

    # -- requests

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        request = AsgiRequest(self, stream, end_stream)
        stream.user = request
        # The client owes body only while the application waits in receive().
        stream.awaited = False
        self._pending.append(request)

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        request = stream.user
        if request is None:
            self.credit(stream, len(data), self.loop.now())
        else:
            request.feed(data, end_stream)

    def trailers_received(self, stream: Stream) -> None:
        request = stream.user
        if request is not None:
            request.feed(b"", True)

    def stream_reset(self, stream: Stream, error: StreamReset) -> None:
        request = stream.user
        if request is not None:
            request.reset(error)
        if error.initiator == "local" and error.scope == "stream":
            self._refused(stream.id, stream, error.rule, error, error.limit, error.actual)
        if self.service.log.is_enabled_for("h2o.stream.reset"):
            fields = {"h2o.stream.id": stream.id, "h2o.error_code": ErrorCode.label(error.code), "error.type": error.rule}
            self.emit("h2o.stream.reset", fields)

    # -- what the server ends or refuses itself

    def short_of(self) -> str:
        return "handlers" if self._short else self.service.pressure.short_of()

    def body_overdue(self, stream: Stream, violation: Violation) -> bool:
        request = stream.user
        if request is None or not request.overdue(violation.rule.token):
            return False
        fields = violation.fields
        self._refused(stream.id, stream, violation.rule.token, violation, fields["limit"], fields["actual"])
        return True

    def request_refused(self, stream_id: int, rule: str, violation: Violation | None) -> None:
        fields = {} if violation is None else violation.fields
        self._refused(stream_id, None, rule, violation, fields.get("limit"), fields.get("actual"))

    def _refused(self, stream_id: int, stream: Stream | None, rule: str, reason: Any, limit: Any, actual: Any) -> None:
        """One line for whoever looks for a request that was lost; nothing is formatted for those that are not said."""
        if self._refusals is None:
            self._refusals = Refusals()
        unsaid = self._refusals.take(self.loop.now())
        if unsaid < 0:
            return
        fields: dict[str, Any] = {"h2o.stream.id": stream_id, "error.type": rule}
        if stream is not None:
            request = stream.user
            client = None
            if request is not None:
                client = request.client()
            fields.update(request_fields(stream, None if request is None else route_of(request.scope), client))
        if reason is not None:
            fields["exception.message"] = str(reason)
        fields.update(limit_fields(rule, self.service.limits, limit, actual))
        if unsaid:
            fields["h2o.refusals.unsaid"] = unsaid
        self.emit("h2o.request.refused", fields)

    def stream_writable(self, stream: Stream) -> None:
        request = stream.user
        if request is not None:
            request.writable()

    def stream_closed(self, stream: Stream) -> None:
        request = stream.user
        if request is not None:
            if request.waiting:
                self._unwait(request)
            request.closed()
        if self._waiting:
            # Its place among the streams is free, which a held one may have waited for.
            self._resume_soon()
        if self._drained:
            self._end_if_idle()

    def batch_finished(self, now: float) -> None:
        """Everything of one read is parsed: start what it brought, behind what waits since earlier."""
        pending = self._pending
        if pending:
            self._pending = []
            self.service.begin_batch()
            for request in pending:
                # A request whose stream was reset in the same read never runs.
                if not request.over:
                    self._admit(request)
            self.service.end_batch(now)
            if self._requests_max >= 0 and self.connection.requests >= self._requests_max:
                self.shutdown()
        if self._waiting:
            self._start_waiting()

    def _admit(self, request: AsgiRequest) -> None:
        """Start ``request``, or let it wait for a handler to end.

        It is never refused: a client may have as many streams open as SETTINGS_MAX_CONCURRENT_STREAMS
        told it, whatever the limit of handlers, and more before it was told.  What waits is open, so that
        there are at most ``EngineLimits.streams_max``, and ``streams_held_max`` in the beginning; and handlers
        that outlive their streams keep their place, so that a rapid reset makes others wait and nothing
        grow, until the ``rapid_reset`` rule ends it.
        """
        if request.stream.method == b"CONNECT":
            request.reply(501, b"Not Implemented")
        elif self.running < self.running_max and not self._waiting and not request.stream.held_bytes:
            self._begin(request)
        else:
            request.waiting = True
            self._waiting[request.stream.id] = request
            self.service.counters.slots[_HANDLERS_WAITING] += 1

    def _begin(self, request: AsgiRequest) -> None:
        service = self.service
        if service.concurrency_max >= 0 and service.handlers >= service.concurrency_max:
            self._refused(request.stream.id, request.stream, "limit_concurrency", None, service.concurrency_max, None)
            request.refuse(503, b"Service Unavailable", "limit_concurrency")
        else:
            self.running += 1
            if self.running > self._pressure_above and not self._short:
                self._begin_shortage()
            request.start()

    def _unwait(self, request: AsgiRequest) -> None:
        request.waiting = False
        del self._waiting[request.stream.id]
        self.service.counters.slots[_HANDLERS_WAITING] -= 1

    def handler_ended(self) -> None:
        self.running -= 1
        if self._short and self.running <= eased(self._pressure_above):
            self._end_shortage()
        if self._waiting:
            self._resume_soon()

    def _begin_shortage(self) -> None:
        """Most of the handlers run; a burst that is over before anybody could be asked to hurry is not worth a line."""
        self._short = True
        self.service.pressure.count(HANDLERS, 1)
        self._shortage_timer = self.loop.call_at(self.loop.now() + _SHORTAGE_S, self._report_shortage)

    def _report_shortage(self) -> None:
        self._shortage_timer = None
        self.emit("h2o.pressure.entered", self.service.pressure.entry(HANDLERS, self.running, self.running_max))

    def _end_shortage(self) -> None:
        self._short = False
        self.service.pressure.count(HANDLERS, -1)
        if self._shortage_timer is None:
            self.emit("h2o.pressure.left", self.service.pressure.fields(HANDLERS, self.running, self.running_max))
        else:
            self._shortage_timer.cancel()
            self._shortage_timer = None

    def _resume_soon(self) -> None:
        """Start what waits in the next turn: this may be inside the step of another application."""
        if not self._resuming:
            self._resuming = True
            self.loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._resuming = False
        self.batch_finished(self.loop.now())
        self.wake()

    def _start_waiting(self) -> None:
        """Start what waits, in order, inside both limits: of handlers, and of streams, which held ones exceed."""
        began = self.loop.now()
        self.service.begin_batch()
        streams_max = max(1, self.connection.local_streams_max)
        while self._waiting and self.running < self.running_max and self.connection.streams_remote - len(self._waiting) < streams_max:
            request = next(iter(self._waiting.values()))
            self._unwait(request)
            self._begin(request)
        self.service.end_batch(began)

    # -- heads of responses

    def head_waits(self, request: AsgiRequest) -> None:
        """Send the head a turn later: the first of the body mostly comes at once, and both go out together."""
        self._heads.append(request)
        if len(self._heads) == 1:
            self.loop.call_soon(self._heads_due)

    def _heads_due(self) -> None:
        # One turn more: frameworks hand what is sent through a queue of their own, or fail after the head.
        self.loop.call_soon(self._flush_heads)

    def _flush_heads(self) -> None:
        heads = self._heads
        self._heads = []
        for request in heads:
            request.flush_head()
        self.wake()

    # -- promises

    def push(self, parent: Stream, path: bytes, fields: list[tuple[bytes, bytes]], now: float) -> None:
        """Promise ``path`` and let the application answer it like a request, inside the same limits.

        Nothing happens where the client or a limit is against it, or the same was promised before
        (``Connection.can_push``): a promise is a hint, and no reason to fail the response.
        """
        connection = self.connection
        authority = parent.authority
        if parent.local or authority is None or self.draining or not connection.can_push():
            return
        fields = [pair for pair in fields if pair[0] != b"host"]
        pseudo = [(b":method", b"GET"), (b":scheme", self.scheme), (b":authority", authority), (b":path", path)]
        if connection.promised_before(pseudo):
            return
        promised = connection.send_push_promise(parent, pseudo + fields, now)
        promised.method = b"GET"
        promised.scheme = self.scheme
        promised.authority = authority
        promised.path = path
        promised.headers = fields
        promised.headers_at = now
        request = AsgiRequest(self, promised, True)
        promised.user = request
        self._pending.append(request)
        self._resume_soon()
        self.wake()

    # -- a graceful end

    def shutdown(self) -> None:
        """Begin to end the connection: what is under way finishes, nothing new is taken (RFC 9113 section 6.8)."""
        if self.draining or self.connection.closed:
            return
        self.draining = True
        now = self.loop.now()
        self.connection.shutdown(now)
        # The answer says that the client has read the GOAWAY; requests that crossed it were still taken.
        self.connection.send_ping(_GOAWAY_PING, now)
        self.loop.call_at(now + _GOAWAY_WAIT_S, self._finish_shutdown)
        self.wake()

    def notify_shutdown(self) -> None:
        """Tell the requests that are still open that the server ends."""
        for stream in list(self.connection.streams.values()):
            request = stream.user
            if request is not None:
                request.notify_shutdown()

    def cut(self) -> None:
        """Reset every stream whose response is not complete: its client must not take what it has for the whole.

        The others end with the connection.
        """
        now = self.loop.now()
        for stream in list(self.connection.streams.values()):
            request = stream.user
            if request is not None and not stream.answered():
                # Of what waits for a handler nothing was done: it may be sent again (RFC 9113 section 8.7).
                code = _REFUSED_STREAM if request.waiting else _CANCEL
                request.cut()
                self.connection.reset_stream(stream, code, now)
        self.wake()

    def ping_acknowledged(self, payload: bytes, rtt_s: float) -> None:
        if payload == _GOAWAY_PING:
            self.loop.call_soon(self._finish_shutdown)

    def _finish_shutdown(self) -> None:
        if self._drained or self.connection.closed:
            return
        self._drained = True
        if self.connection.streams:
            self.connection.finish_shutdown(self.loop.now())
            self.wake()
        else:
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        if not self.connection.streams and not self.connection.closed:
            # In the next turn: the last response may be in the middle of being written.
            self.loop.call_soon(self._end)

    def _end(self) -> None:
        if self.driver is not None and not self.connection.closed:
            self.driver.close()
