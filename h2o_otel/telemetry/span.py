"""One span of a request or a connection: integers while it runs, the SDK's object made at its end.

Times given by callers are nanoseconds of ``counters.clock``.  Nothing raised in here reaches a
request: it is counted and logged once.
"""

from __future__ import annotations

import contextvars
from typing import Any

from opentelemetry import baggage as _baggage
from opentelemetry import trace as _trace_api
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from .. import _mem
from .. import counters as _counters
from ..counters import Trace
from . import _sdk_context, _sdk_spans, attributes, propagation
from .failures import failed
from .sdk_tracer import SdkTracer

__all__ = ["ConnectionSpan", "RequestSpan"]

_SERVER = SpanKind.SERVER
_INTERNAL = SpanKind.INTERNAL
_FLAGS = tuple(TraceFlags(i) for i in range(4))
_NO_STATE = NO_STATE = TraceState()
_ERROR = Status(StatusCode.ERROR)
_SPANS = _counters.slot("telemetry_spans")
_SPANS_TIME = _counters.slot("telemetry_time_ns") + 1
_RECORDED, _DROPPED, _UNSAMPLED = range(3)
_CHILDREN_MAX = 64
_SPAN_KEY = _sdk_context.SPAN_KEY
_make_current = _sdk_context.make_current
_context_variable = _sdk_context.context_variable
_CONTEXT = Context
_span_context = _sdk_spans.span_context
_copy_context = contextvars.copy_context
_local = _counters.local
_live_span = _sdk_spans.LiveSpan


def count(index: int, n: int) -> None:
    block = _local()
    block.slots[index] += n


def span_failed(what: str) -> None:
    count(_SPANS + _DROPPED, 1)
    failed(what)


class RequestSpan:
    """One request's place in its trace, sampled or not; made by ``Tracing``.

    Attributes:
        sampled: whether it is recorded; when False everything but ``context`` and ``finish`` does nothing.
        trace_id, span_id: integers; incomplete on an unsampled span until ``span_context`` is asked for.
        trace: layer marks at level ``detail``, else None; the owner puts it on the stream.
    """

    _sdk: SdkTracer
    _kind: SpanKind

    __slots__ = (
        "_attributes",
        "_baggage",
        "_children",
        "_connection",
        "_flags",
        "_high",
        "_id",
        "_kind",
        "_links",
        "_live",
        "_low",
        "_outer",
        "_parent",
        "_parent_flags",
        "_parent_id",
        "_parent_remote",
        "_sdk",
        "_span_context",
        "_start_ns",
        "_state",
        "_stream",
        "_unix_offset",
        "finished",
        "sampled",
        "trace",
    )

    # Without arguments, since parsing them would cost a tenth of an unsampled request; see _span_of.
    def __init__(self) -> None:
        self._start_ns = 0
        self._unix_offset = 0
        self.sampled = False
        self.finished = False
        # The trace id in halves, and the span id; 0 is not made yet.
        self._high = 0
        self._low = 0
        self._id = 0
        self.trace: Trace | None = None
        self._flags = 0
        self._parent_id = 0
        self._parent_flags = 0
        self._parent_remote = False
        self._parent: SpanContext | None = None
        self._state: Any = None
        # The OpenTelemetry context in which a client's request was made, when there is anything in it.
        self._outer: Any = None
        self._baggage: bytes | Context | None = None
        self._stream: Any = None
        self._connection: dict[str, Any] | None = None
        self._attributes: dict[str, Any] | None = None
        self._children: list[tuple[str, int, int, Any]] | None = None
        self._links: list[Any] | None = None
        self._live: Any = None
        self._span_context: SpanContext | None = None

    # -- identity

    @property
    def trace_id(self) -> int:
        return _mem.wide(self._high, self._low)

    @property
    def span_id(self) -> int:
        return self._id

    def span_context(self) -> SpanContext:
        """The OpenTelemetry identity of this span; made on first use."""
        found = self._span_context
        if found is None:
            self._identify()
            found = self._span_context = _span_context(
                (_mem.wide(self._high, self._low), self._id, False, _FLAGS[self._flags], self._trace_state(), self._id != 0)
            )
        return found

    # The current span of the application when the request is not sampled: correct ids for
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
        self._complete_trace_id()
        if not self._id:
            self._id = _mem.low_u64(self._sdk._new_span_id())

    def _complete_trace_id(self) -> None:
        """Make what is missing of it: all, or the half that no sampler looks at."""
        if self._high:
            return
        sdk = self._sdk
        if not self._low:
            self._take_trace_id(sdk._new_trace_id())
        elif self._parent_id == 0 and sdk._halves is not None:
            self._high = sdk._halves() or 1

    def _take_trace_id(self, trace_id: int) -> None:
        self._high = _mem.high_u64(trace_id)
        self._low = _mem.low_u64(trace_id)

    def _trace_state(self) -> TraceState:
        state = self._state
        if isinstance(state, bytes):
            state = self._state = TraceState(propagation.parse_tracestate(state)) if state else _NO_STATE
        return _NO_STATE if state is None else state

    def _parent_context(self) -> SpanContext | None:
        if self._parent is None and self._parent_id:
            flags = _FLAGS[self._parent_flags]
            self._parent = _span_context(
                (_mem.wide(self._high, self._low), self._parent_id, self._parent_remote, flags, self._trace_state(), True)
            )
        return self._parent

    def otel_context(self) -> Context:
        """The OpenTelemetry context with this span current and the peer's baggage in it."""
        current = self._open() if self.sampled else self
        context: Context = _mem.one_entry(_CONTEXT, _SPAN_KEY, current)
        if self._baggage is None:
            return context
        if not isinstance(self._baggage, bytes):
            # The context that the application's own propagator has read.
            context = _trace_api.set_span_in_context(current, self._baggage)  # type: ignore[arg-type]
        else:
            for name, value in propagation.parse_baggage(self._baggage).items():
                context = _baggage.set_baggage(name, value, context)
        return context

    def context(self) -> contextvars.Context:
        """A copy of the caller's context with this span current, to start the application's task in."""
        target: contextvars.Context = _copy_context()
        try:
            if _context_variable is None:
                target.run(_make_current, self.otel_context())
            else:
                _mem.set_in(target, _context_variable, self.otel_context())
        except Exception:
            span_failed("making a request's context")
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
            sdk = self._sdk
            fields = self._attributes
            self._attributes = None
            if self._kind is _SERVER and self._stream is not None:
                begun = attributes.server_request(self._stream, self._connection)
                if fields is not None:
                    begun.update(fields)
                fields = begun
            start = self._start_ns + self._unix_offset
            live = self._live = _live_span(
                sdk._access, "HTTP", self.span_context(), self._parent_context(), self._kind, start, {} if fields is None else fields
            )
            sdk._begin(live)
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
        began = _mem.now_ns()
        if stream is not None:
            self._stream = stream
        try:
            self._export(status, error_type, route, end_ns if end_ns else began)
        except Exception:
            span_failed("ending a request's span")
        self._stream = None
        count(_SPANS_TIME, _mem.now_ns() - began)

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
                live._links = [*live._links, Link(other.span_context())]
        made = 1
        offset = self._unix_offset
        if self.trace is not None:
            for name, start, end in self.trace.marks():
                self._export_child(name, start + offset, end + offset, None)
                made += 1
            if self.trace.dropped:
                fields["h2o.trace.dropped"] = self.trace.dropped
        if self._children is not None:
            for name, start, end, extra in self._children:
                self._export_child(name, start + offset, end + offset, extra)
                made += 1
        self._sdk._end(live, end_ns + offset)
        count(_SPANS + _RECORDED, made)

    def _export_child(self, name: str, start: int, end: int, fields: Any) -> None:
        sdk = self._sdk
        context = _span_context(
            (_mem.wide(self._high, self._low), sdk._new_span_id(), False, _FLAGS[self._flags], self._trace_state(), True)
        )
        child = _live_span(sdk._access, name, context, self.span_context(), _INTERNAL, start, {} if fields is None else fields)
        if fields is not None and "error.type" in fields:
            child._status = _ERROR
        sdk._begin(child)
        sdk._end(child, end)


def span_of(sdk: SdkTracer, kind: SpanKind, start_ns: int) -> RequestSpan:
    span = RequestSpan()
    span._sdk = sdk
    span._kind = kind
    span._start_ns = start_ns
    return span


class ConnectionSpan:
    """``HTTP connection_setup``: the root of its own trace, with one child per phase.

    Attributes:
        sampled: whether it is recorded.
    """

    def __init__(self, span: RequestSpan) -> None:
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


# Virtual, since a compiled class cannot inherit from a Python one.
_trace_api.Span.register(RequestSpan)
