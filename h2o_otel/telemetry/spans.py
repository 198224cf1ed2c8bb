"""Spans of requests and connections: sampling decided once, integers while it runs, built at the end.

The API of the SDK costs 22 to 31 us for a sampled span and 4 to 8 us for one that is not.  Here
the sampler's decision is read from its rules (``_sdk.SamplerRules``) and called only when it is
not one of the SDK's; the exported object is made once.  Times given by callers are nanoseconds
of ``counters.clock``.  Nothing raised in here reaches a request: it is counted and logged once.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterable
from time import time_ns as _time_ns
from typing import Any

from opentelemetry import baggage as _baggage
from opentelemetry import context as _context_api
from opentelemetry import trace as _trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from .. import counters as _counters
from ..counters import Trace
from . import _sdk, attributes, propagation
from .failures import failed

__all__ = ["ConnectionSpan", "RequestSpan", "Tracing"]

_SERVER = SpanKind.SERVER
_CLIENT = SpanKind.CLIENT
_INTERNAL = SpanKind.INTERNAL
# A sampler's rule for one kind of parent; _RATIO and above is an index into Tracing._bounds.
_OFF, _ON, _CUSTOM, _RATIO = range(4)
_RATIO_MASK = (1 << 64) - 1
_FLAGS = tuple(TraceFlags(i) for i in range(4))
_NO_STATE = TraceState()
_ERROR = Status(StatusCode.ERROR)
_SPANS = _counters.slot("telemetry_spans")
_SPANS_TIME = _counters.slot("telemetry_time_ns") + 1
_RECORDED, _DROPPED, _UNSAMPLED = range(3)
_CHILDREN_MAX = 64
_SPAN_KEY = _sdk.SPAN_KEY
_SUPPRESS_KEY = _sdk.SUPPRESS_KEY
_make_current = _sdk.make_current
_copy_context = contextvars.copy_context


def _count(index: int, n: int) -> None:
    block = _counters.local()
    block.slots[index] += n


def _failed(what: str) -> None:
    _count(_SPANS + _DROPPED, 1)
    failed(what)


class RequestSpan:
    """One request's place in its trace, sampled or not; made by ``Tracing``.

    Attributes:
        sampled: whether it is recorded; when False everything but ``context`` and ``finish`` does nothing.
        trace_id, span_id: integers; 0 on an unsampled span until ``span_context`` is asked for.
        trace: layer marks at level ``detail``, else None; the owner puts it on the stream.
    """

    _tracing: Tracing
    _kind: SpanKind

    __slots__ = (
        "_attributes",
        "_baggage",
        "_children",
        "_connection",
        "_flags",
        "_kind",
        "_links",
        "_live",
        "_outer",
        "_parent",
        "_parent_flags",
        "_parent_id",
        "_parent_remote",
        "_span_context",
        "_start_ns",
        "_state",
        "_stream",
        "_tracing",
        "_unix_offset",
        "finished",
        "sampled",
        "span_id",
        "trace",
        "trace_id",
    )

    # Without arguments, since parsing them would cost a tenth of an unsampled request; see _span_of.
    def __init__(self) -> None:
        self._start_ns = 0
        self._unix_offset = 0
        self.sampled = False
        self.finished = False
        self.trace_id = 0
        self.span_id = 0
        self.trace: Trace | None = None
        self._flags = 0
        self._parent_id = 0
        self._parent_flags = 0
        self._parent_remote = False
        self._parent: SpanContext | None = None
        self._state: Any = None
        # The OpenTelemetry context in which a client's request was made, when there is anything in it.
        self._outer: Any = None
        self._baggage: bytes | None = None
        self._stream: Any = None
        self._connection: dict[str, Any] | None = None
        self._attributes: dict[str, Any] | None = None
        self._children: list[tuple[str, int, int, Any]] | None = None
        self._links: list[Any] | None = None
        self._live: Any = None
        self._span_context: SpanContext | None = None

    # -- identity

    def span_context(self) -> SpanContext:
        """The OpenTelemetry identity of this span; made on first use."""
        found = self._span_context
        if found is None:
            self._identify()
            found = self._span_context = SpanContext(self.trace_id, self.span_id, False, _FLAGS[self._flags], self._trace_state())
        return found

    # What an application finds as its current span when the request is not sampled: right ids for
    # its children and logs, and nothing recorded.  A registered Span (see the end of the module).

    def get_span_context(self) -> SpanContext:
        found: SpanContext = self.span_context()
        return found

    def is_recording(self) -> bool:
        return False

    def set_attribute(self, key: str, value: Any) -> None:
        return None

    def set_attributes(self, attributes: Any) -> None:
        return None

    def add_event(self, name: str, attributes: Any = None, timestamp: Any = None) -> None:
        return None

    def add_link(self, context: Any, attributes: Any = None) -> None:
        return None

    def update_name(self, name: str) -> None:
        return None

    def set_status(self, status: Any, description: Any = None) -> None:
        return None

    def record_exception(self, exception: Any, attributes: Any = None, timestamp: Any = None, escaped: bool = False) -> None:
        return None

    def end(self, end_time: Any = None) -> None:
        return None

    def __enter__(self) -> RequestSpan:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    # -- making it

    def _identify(self) -> None:
        if not self.trace_id:
            self.trace_id = self._tracing._new_trace_id()
        if not self.span_id:
            self.span_id = self._tracing._new_span_id()

    def _trace_state(self) -> TraceState:
        state = self._state
        if isinstance(state, bytes):
            state = self._state = TraceState(propagation.parse_tracestate(state)) if state else _NO_STATE
        return _NO_STATE if state is None else state

    def _parent_context(self) -> SpanContext | None:
        if self._parent is None and self._parent_id:
            flags = _FLAGS[self._parent_flags]
            self._parent = SpanContext(self.trace_id, self._parent_id, self._parent_remote, flags, self._trace_state())
        return self._parent

    def otel_context(self) -> Context:
        """The OpenTelemetry context with this span current and the peer's baggage in it."""
        current = self._open() if self.sampled else self
        context = Context({_SPAN_KEY: current})
        if self._baggage is not None:
            for name, value in propagation.parse_baggage(self._baggage).items():
                context = _baggage.set_baggage(name, value, context)
        return context

    def context(self) -> contextvars.Context:
        """A copy of the caller's context with this span current, to start the application's task in."""
        target: contextvars.Context = _copy_context()
        try:
            target.run(_make_current, self.otel_context())
        except Exception:
            _failed("making a request's context")
        return target

    # -- what the layers above add

    def set(self, name: str, value: Any) -> None:
        """Set one attribute; names are those of the catalogue."""
        if self.sampled:
            if self._live is not None:
                self._live.set_attribute(name, value)
            elif self._attributes is None:
                self._attributes = {name: value}
            else:
                self._attributes[name] = value

    def child(self, name: str, start_ns: int, end_ns: int, fields: dict[str, Any] | None = None) -> None:
        """Add a child span of something that is over; at most 64 per request."""
        if self.sampled:
            if self._children is None:
                self._children = []
            if len(self._children) < _CHILDREN_MAX:
                self._children.append((name, start_ns, end_ns, fields))

    def link(self, other: RequestSpan | ConnectionSpan) -> None:
        """Link to another span, such as the connection's setup."""
        if self.sampled and other.sampled:
            if self._links is None:
                self._links = []
            self._links.append(other)

    # -- the end

    def _open(self) -> Any:
        """The span as the application sees it, made on first use."""
        live = self._live
        if live is None:
            tracing = self._tracing
            fields = self._attributes
            self._attributes = None
            if self._kind is _SERVER and self._stream is not None:
                begun = attributes.server_request(self._stream, self._connection)
                if fields is not None:
                    begun.update(fields)
                fields = begun
            start = self._start_ns + self._unix_offset
            live = self._live = _sdk.LiveSpan(
                tracing._access, "HTTP", self.span_context(), self._parent_context(), self._kind, start, {} if fields is None else fields
            )
            live.start()
        return live

    def finish(self, status: int = 0, error_type: str | None = None, route: str | None = None, end_ns: int = 0, stream: Any = None) -> None:
        """End the span; later calls do nothing.

        Args:
            status: of the response, 0 when there was none.
            error_type: exception class or rule token of what ended the request.
            route: template of the framework that handled it; server only.
            end_ns: on ``counters.clock``; now when left out.
            stream: the request's stream, where it was not known at the start (client).
        """
        if self.finished:
            return
        self.finished = True
        if not self.sampled:
            return
        began = _counters.clock()
        if stream is not None:
            self._stream = stream
        try:
            self._export(status, error_type, route, end_ns if end_ns else began)
        except Exception:
            _failed("ending a request's span")
        self._stream = None
        _count(_SPANS_TIME, _counters.clock() - began)

    def _export(self, status: int, error_type: str | None, route: str | None, end_ns: int) -> None:
        live = self._open()
        fields = live._attributes
        server = self._kind is _SERVER
        if error_type is None and status >= (500 if server else 400):
            error_type = str(status)
        if status:
            fields["http.response.status_code"] = status
        if error_type is not None:
            fields["error.type"] = error_type
            if live._status.status_code is StatusCode.UNSET:
                live._status = _ERROR
        stream = self._stream
        if stream is not None:
            attributes.stream_facts(fields, stream, server, end_ns)
        if live._name == "HTTP":
            method = fields.get("http.request.method", "HTTP")
            if method == "_OTHER":
                method = "HTTP"
            live._name = method if route is None else f"{method} {route}"
        if route is not None:
            fields["http.route"] = route
        if self._links is not None:
            for other in self._links:
                live._links.append(Link(other.span_context()))
        tracing = self._tracing
        made = 1
        offset = self._unix_offset
        if self.trace is not None:
            for name, start, end in self.trace.marks():
                tracing._export_child(self, name, start + offset, end + offset, None)
                made += 1
            if self.trace.dropped:
                fields["h2o.trace.dropped"] = self.trace.dropped
        if self._children is not None:
            for name, start, end, extra in self._children:
                tracing._export_child(self, name, start + offset, end + offset, extra)
                made += 1
        live.close(end_ns + offset)
        _count(_SPANS + _RECORDED, made)


_EMPTY = Context()


def _span_of(tracing: Tracing, kind: SpanKind, start_ns: int) -> RequestSpan:
    span = RequestSpan()
    span._tracing = tracing
    span._kind = kind
    span._start_ns = start_ns
    return span


class ConnectionSpan:
    """``HTTP connection_setup``: the root of its own trace, with one child per phase.

    Attributes:
        sampled: whether it is recorded.
    """

    def __init__(self, tracing: Tracing, span: RequestSpan) -> None:
        self._tracing = tracing
        self._span = span
        self.sampled = span.sampled

    def span_context(self) -> SpanContext:
        return self._span.span_context()

    def phase(self, name: str, start_ns: int, end_ns: int, error_type: str | None = None, **fields: Any) -> None:
        """Add a phase: ``dns``, ``tcp``, ``tls`` or ``settings``; ``fields`` are attributes with ``_`` for ``.``'s own names."""
        if self.sampled:
            extra: dict[str, Any] = dict(fields)
            if error_type is not None:
                extra["error.type"] = error_type
            self._span.child(attributes.PHASES[name], start_ns, end_ns, extra)

    def set(self, name: str, value: Any) -> None:
        self._span.set(name, value)

    def finish(self, error_type: str | None = None, end_ns: int = 0) -> None:
        """The connection is ready, or could not be made."""
        self._span.finish(0, error_type, None, end_ns)


class Tracing:
    """Makes the spans of a process; shared by its clients and servers, safe to use from several threads.

    Args:
        provider: of the application; by default the global one, looked up until it is set.
        detail: level ``detail``: a child span for each layer's work.
    """

    def __init__(self, provider: Any = None, detail: bool = False) -> None:
        self.detail = detail
        self._provider = provider
        self._access: Any = None
        self._sampler: Any = None
        self._ids: Any = None
        self._trace_ids: Any = None
        self._span_ids: Any = None
        self._random_flag = 0
        self._bounds: list[int] = []
        self._root = _OFF
        self._remote_on = _OFF
        self._remote_off = _OFF
        self._local_on = _OFF
        self._local_off = _OFF
        self._resolve()

    def _resolve(self) -> bool:
        """Find the SDK behind the provider; False while the application has set none."""
        provider = _trace_api.get_tracer_provider() if self._provider is None else self._provider
        access = _sdk.tracer_access(provider, "h2o_otel", attributes.VERSION, attributes.SCHEMA_URL)
        if access is None:
            return False
        rules = access.rules
        self._sampler = access.sampler
        self._ids = access.ids
        self._trace_ids = access.ids.generate_trace_id
        self._span_ids = access.ids.generate_span_id
        self._random_flag = access.random_flag
        self._root = self._rule(rules.root)
        self._remote_on = self._rule(rules.remote_on)
        self._remote_off = self._rule(rules.remote_off)
        self._local_on = self._rule(rules.local_on)
        self._local_off = self._rule(rules.local_off)
        self._access = access
        return True

    def _rule(self, rule: int) -> int:
        if rule == _sdk.OFF:
            return _OFF
        if rule == _sdk.ON:
            return _ON
        if rule == _sdk.CUSTOM:
            return _CUSTOM
        self._bounds.append(rule)
        return _RATIO + len(self._bounds) - 1

    def _new_trace_id(self) -> int:
        found: int = self._trace_ids()
        return found

    def _new_span_id(self) -> int:
        found: int = self._span_ids()
        return found

    # -- sampling

    def _decide(self, span: RequestSpan, rule: int, name: str, fields: Any) -> None:
        """Sample ``span`` once; ``fields`` are the attributes that a sampler of the application may read."""
        if rule == _CUSTOM:
            self._ask(span, name, fields)
        elif rule == _ON:
            span.sampled = True
        elif rule != _OFF:
            if not span.trace_id:
                span.trace_id = self._trace_ids()
            span.sampled = (span.trace_id & _RATIO_MASK) < self._bounds[rule - _RATIO]
        if not span._parent_id:
            span._flags = self._random_flag
        else:
            span._flags = span._parent_flags & 2
        if span.sampled:
            if rule != _CUSTOM or span._attributes is None or not span._attributes.pop("h2o.record_only", False):
                span._flags |= 1
            if not span.trace_id:
                span.trace_id = self._trace_ids()
            span.span_id = self._span_ids()
            span._unix_offset = _time_ns() - _counters.clock()
            if self.detail:
                span.trace = Trace()
        else:
            _count(_SPANS + _UNSAMPLED, 1)

    def _ask(self, span: RequestSpan, name: str, fields: Any) -> None:
        """Let the application's own sampler decide."""
        if not span.trace_id:
            span.trace_id = self._trace_ids()
        parent = span._parent_context()
        context = _EMPTY if parent is None else _trace_api.set_span_in_context(NonRecordingSpan(parent), _EMPTY)
        try:
            result = self._sampler.should_sample(context, span.trace_id, name, span._kind, fields, ())
        except Exception:
            _failed("the sampler")
            return
        if result.trace_state is not None:
            span._state = result.trace_state
        span.sampled = result.decision.is_recording()
        if span.sampled:
            span._attributes = dict(result.attributes or {})
            if result.decision is Decision.RECORD_ONLY:
                span._attributes["h2o.record_only"] = True

    # -- server

    def connection(self, connection_id: int, peername: Any = None, sockname: Any = None, protocol_version: str = "2") -> dict[str, Any]:
        """The attributes that every request of a connection has; made once per connection."""
        return attributes.connection(connection_id, peername, sockname, protocol_version)

    def server_started(self, stream: Any, headers: Any, start_ns: int, connection: dict[str, Any] | None = None) -> RequestSpan | None:
        """A request's field section is complete.

        Args:
            stream: the request's stream; at level ``detail`` its ``trace`` is set.
            headers: its fields as ``(name, value)`` pairs of bytes, for traceparent, tracestate and baggage.
            start_ns: when it began, on ``counters.clock``.
            connection: what ``connection()`` returned.

        Returns:
            The request's span, sampled or not (an unsampled one still gives the application the right
            parent), or None while the application has set no SDK.
        """
        if self._access is None and not self._resolve():
            return None
        span = _span_of(self, _SERVER, start_ns)
        rule = self._root
        parent, state, baggage = propagation.read_headers(headers)
        if parent is not None:
            parsed = propagation.parse_traceparent(parent)
            if parsed is not None:
                span.trace_id = parsed[0]
                span._parent_id = parsed[1]
                span._parent_flags = parsed[2]
                span._parent_remote = True
                span._state = state
                rule = self._remote_on if span._parent_flags & 1 else self._remote_off
        span._baggage = baggage
        if rule == _OFF:
            span._flags = span._parent_flags & 2 if span._parent_id else self._random_flag
            _count(_SPANS + _UNSAMPLED, 1)
            return span
        span._stream = stream
        span._connection = connection
        self._decide(span, rule, "HTTP", attributes.server_request(stream, connection) if rule == _CUSTOM else None)
        if span.trace is not None:
            if stream.trace is not None:
                # The engine has begun one: it decoded the request before anyone could decide.
                span.trace = stream.trace
            else:
                stream.trace = span.trace
        elif not span.sampled:
            span._stream = None
        return span

    def connection_ended(
        self, connection: dict[str, Any], start_ns: int, end_ns: int, error_type: str, fields: dict[str, Any] | None = None
    ) -> None:
        """A server's connection ended abnormally: a root span ``h2o.connection`` with what was known of it."""
        if self._access is None and not self._resolve():
            return
        span = _span_of(self, _SERVER, start_ns)
        self._decide(span, self._root, "h2o.connection", connection)
        if span.sampled:
            span._attributes = {**connection, **(fields or {}), **(span._attributes or {})}
            span._open()._name = "h2o.connection"
            span.finish(0, error_type, None, end_ns)

    # -- client

    def client_started(
        self, method: str, url: str, server_address: str, server_port: int, start_ns: int, resend_count: int = 0
    ) -> RequestSpan | None:
        """One attempt of a request begins; the current span is its parent.

        Args:
            method: as given by the caller.
            url: the absolute URL; credentials and known signatures in it are redacted.
            server_address, server_port: of the origin.
            start_ns: on ``counters.clock``.
            resend_count: how often it was sent before: 0 for the first attempt.

        Returns:
            The attempt's span, to be given to ``inject`` and ended with ``finish``; None while the
            application has set no SDK, or inside an exporter.
        """
        if self._access is None and not self._resolve():
            return None
        context = _context_api.get_current()
        span = _span_of(self, _CLIENT, start_ns)
        rule = self._root
        parent: Any = None
        if context:
            if context.get(_SUPPRESS_KEY):
                return None
            span._outer = context
            parent = _trace_api.get_current_span(context).get_span_context()
        if parent is not None and parent.is_valid:
            span._parent = parent
            span.trace_id = parent.trace_id
            span._parent_id = parent.span_id
            span._parent_flags = int(parent.trace_flags) & 3
            span._state = parent.trace_state
            if parent.is_remote:
                rule = self._remote_on if span._parent_flags & 1 else self._remote_off
            else:
                rule = self._local_on if span._parent_flags & 1 else self._local_off
        begun: Any = None
        if rule == _CUSTOM:
            begun = attributes.client_request(method, url, server_address, server_port, resend_count)
        self._decide(span, rule, "HTTP", begun)
        if span.sampled:
            if begun is None:
                begun = attributes.client_request(method, url, server_address, server_port, resend_count)
            if span._attributes is not None:
                begun.update(span._attributes)
            span._attributes = begun
        return span

    def inject(self, span: RequestSpan | None, headers: Iterable[tuple[bytes, bytes]] = ()) -> list[tuple[bytes, bytes]]:
        """The fields to add to a request: traceparent, tracestate and baggage, unless ``headers`` has them."""
        added: list[tuple[bytes, bytes]] = []
        if span is None:
            return added
        parent, _, baggage = propagation.read_headers(headers)
        if parent is None:
            span._identify()
            added.append((propagation.TRACEPARENT, propagation.format_traceparent(span.trace_id, span.span_id, span._flags)))
            state = span._trace_state()
            if state:
                added.append((propagation.TRACESTATE, state.to_header().encode("ascii")))
        if baggage is None and span._outer is not None:
            entries = _baggage.get_all(span._outer)
            if entries:
                value = propagation.format_baggage(entries)
                if value:
                    added.append((propagation.BAGGAGE, value))
        return added

    def connection_started(self, server_address: str, server_port: int, start_ns: int) -> ConnectionSpan | None:
        """A connection is being made for whoever needs it: the root of its own trace."""
        if self._access is None and not self._resolve():
            return None
        span = _span_of(self, _INTERNAL, start_ns)
        fields = {"server.address": server_address, "server.port": server_port}
        self._decide(span, self._root, "HTTP connection_setup", fields)
        if span.sampled:
            span._attributes = {**fields, **(span._attributes or {})}
            span._open()._name = "HTTP connection_setup"
        return ConnectionSpan(self, span)

    # -- children

    def _export_child(self, parent: RequestSpan, name: str, start: int, end: int, fields: Any) -> None:
        context = SpanContext(parent.trace_id, self._span_ids(), False, _FLAGS[parent._flags], parent._trace_state())
        child = _sdk.LiveSpan(self._access, name, context, parent.span_context(), _INTERNAL, start, {} if fields is None else fields)
        if fields is not None and "error.type" in fields:
            child._status = _ERROR
        child.start()
        child.close(end)


# Virtual, since a compiled class cannot inherit from a Python one.
_trace_api.Span.register(RequestSpan)
