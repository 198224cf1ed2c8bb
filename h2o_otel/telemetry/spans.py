"""Starts the spans of requests and connections and decides sampling once for each.

The SDK's API costs 22 to 31 us for a sampled span and 4 to 8 us for one that is not.  Here
the sampler's decision is read from its rules (``_sdk_spans.SamplerRules``) and called only when it is
not one of the SDK's; the exported object is made once.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import time_ns as _time_ns
from typing import Any

from opentelemetry import baggage as _baggage
from opentelemetry import trace as _trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanKind

from .. import _mem
from .. import counters as _counters
from ..counters import Counters, Trace
from . import _sdk_context, attributes, propagation, textmap
from .sdk_tracer import CUSTOM, OFF, ON, RATIO, SdkTracer
from .span import NO_STATE, ConnectionSpan, RequestSpan, count, span_failed, span_of

__all__ = ["ConnectionSpan", "RequestSpan", "Tracing"]

_SERVER = SpanKind.SERVER
_CLIENT = SpanKind.CLIENT
_INTERNAL = SpanKind.INTERNAL
_OFF, _ON, _CUSTOM, _RATIO = OFF, ON, CUSTOM, RATIO
_TRACE, _BAGGAGE, _OTHER = textmap.TRACE, textmap.BAGGAGE, textmap.OTHER
_SPANS = _counters.slot("telemetry_spans")
_UNSAMPLED = _counters.SPAN_RESULTS.index("unsampled")
_SUPPRESS_KEY = _sdk_context.SUPPRESS_KEY
_SUPPRESS_HTTP_KEY = _sdk_context.SUPPRESS_HTTP_KEY
_EMPTY = Context()
_NO_STATE = NO_STATE
_current_context = _sdk_context.current_context


def _text(url: Any) -> str:
    text: str = url if isinstance(url, str) else url._url_text()
    return text


def _is_of(span: Any, request: Any) -> bool:
    """Whether other instrumentation made ``span`` for this request: then its traceparent is in the request's headers."""
    value = propagation.read_headers(getattr(request, "raw", ()))[0]
    parsed = None if value is None else propagation.parse_traceparent(value)
    identity = span.get_span_context()
    return parsed is not None and parsed[0] == identity.trace_id and parsed[1] == identity.span_id


class Tracing:
    """Makes the spans of a process; shared by its clients and servers, safe to use from several threads.

    Args:
        provider: of the application; by default the global one, looked up until it is set.
        detail: level ``detail``: a child span for each layer's work.
    """

    def __init__(self, provider: Any = None, detail: bool = False) -> None:
        self.detail = detail
        self._sdk = SdkTracer(provider)

    # -- sampling

    def _decide(self, span: RequestSpan, rule: int, name: str, fields: Any, block: Counters | None = None) -> None:
        """Sample ``span`` once; ``fields`` are the attributes that a sampler of the application may read."""
        sdk = self._sdk
        if rule == _CUSTOM:
            self._ask(span, name, fields)
        elif rule == _ON:
            span.sampled = True
        elif rule != _OFF:
            # The rule looks at the low half alone.
            if not span._low and not span._high:
                if sdk._halves is None:
                    span._complete_trace_id()
                else:
                    span._low = sdk._halves() or 1
            bound = sdk._bounds[rule - _RATIO]
            span.sampled = span._low < bound
        if not span._parent_id:
            span._flags = sdk._random_flag
        else:
            span._flags = span._parent_flags & 2
        if span.sampled:
            if rule != _CUSTOM or span._attributes is None or not span._attributes.pop("h2o.record_only", False):
                span._flags |= 1
            span._identify()
            span._unix_offset = _time_ns() - _mem.now_ns()
            if self.detail:
                span.trace = Trace()
        else:
            self._unsampled(block)

    def _unsampled(self, block: Counters | None) -> None:
        if block is None:
            count(_SPANS + _UNSAMPLED, 1)
        else:
            block.slots[_SPANS + _UNSAMPLED] += 1

    def _ask(self, span: RequestSpan, name: str, fields: Any) -> None:
        """Let the application's own sampler decide."""
        sdk = self._sdk
        span._complete_trace_id()
        parent = span._parent_context()
        context = _EMPTY if parent is None else _trace_api.set_span_in_context(NonRecordingSpan(parent), _EMPTY)
        try:
            result = sdk._sampler.should_sample(context, _mem.wide(span._high, span._low), name, span._kind, fields, ())
        except Exception:
            span_failed("the sampler")
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

    def server_started(
        self, stream: Any, headers: Any, start_ns: int, connection: dict[str, Any] | None = None, block: Counters | None = None
    ) -> RequestSpan | None:
        """A request's field section is complete.

        Args:
            stream: the request's stream; at level ``detail`` its ``trace`` is set.
            headers: its fields as ``(name, value)`` pairs of bytes, for traceparent, tracestate and baggage.
            start_ns: when it began, on ``counters.clock``.
            connection: what ``connection()`` returned.
            block: the counters of the calling thread, looked up without it.

        Returns:
            The request's span, sampled or not (an unsampled one still gives the application the right
            parent), or None while the application has set no SDK.
        """
        sdk = self._sdk
        if sdk._access is None and not sdk._resolve():
            return None
        span = span_of(sdk, _SERVER, start_ns)
        rule = sdk._root
        carries = sdk._propagator()
        if carries & _OTHER:
            if self._take_extracted(span, headers):
                rule = sdk._remote_on if span._parent_flags & 1 else sdk._remote_off
        else:
            parent, state, baggage = propagation.read_headers(headers)
            if parent is not None and carries & _TRACE:
                parsed = propagation.parse_traceparent(parent)
                if parsed is not None:
                    span._take_trace_id(parsed[0])
                    span._parent_id = parsed[1]
                    span._parent_flags = parsed[2]
                    span._parent_remote = True
                    span._state = state
                    rule = sdk._remote_on if span._parent_flags & 1 else sdk._remote_off
                else:
                    propagation.ignored("traceparent", None)
            if carries & _BAGGAGE:
                span._baggage = baggage
        if rule == _OFF:
            span._flags = span._parent_flags & 2 if span._parent_id else sdk._random_flag
            self._unsampled(block)
            return span
        span._stream = stream
        span._connection = connection
        self._decide(span, rule, "HTTP", attributes.server_request(stream, connection) if rule == _CUSTOM else None, block)
        if span.trace is not None:
            if stream.trace is not None:
                # The engine has begun one: it decoded the request before anyone could decide.
                span.trace = stream.trace
            else:
                stream.trace = span.trace
        elif not span.sampled:
            span._stream = None
        return span

    def _take_extracted(self, span: RequestSpan, headers: Any) -> bool:
        """Have the application's propagator read the fields of a request; whether there is a parent in them."""
        sdk = self._sdk
        context = textmap.extract(sdk._textmap, headers)
        if context is None:
            return False
        # The application gets all of it: baggage, and what the propagator may have put beside.
        span._baggage = context
        parent = _trace_api.get_current_span(context).get_span_context()
        if not parent.is_valid:
            return False
        span._take_trace_id(parent.trace_id)
        span._parent_id = parent.span_id
        span._parent_flags = int(parent.trace_flags) & 3
        span._parent_remote = True
        span._state = parent.trace_state
        return True

    def connection_ended(
        self, connection: dict[str, Any], start_ns: int, end_ns: int, error_type: str, fields: dict[str, Any] | None = None
    ) -> None:
        """A server's connection ended abnormally: a root span ``h2o.connection`` with what was known of it."""
        sdk = self._sdk
        if sdk._access is None and not sdk._resolve():
            return
        span = span_of(sdk, _SERVER, start_ns)
        self._decide(span, sdk._root, "h2o.connection", connection)
        if span.sampled:
            span._attributes = {**connection, **(fields or {}), **(span._attributes or {})}
            span._open()._name = "h2o.connection"
            span.finish(0, error_type, None, end_ns)

    # -- client

    def client_started(
        self,
        method: str,
        url: Any,
        server_address: str,
        server_port: int,
        start_ns: int,
        resend_count: int = 0,
        block: Counters | None = None,
    ) -> RequestSpan | None:
        """One attempt of a request begins; the current span is its parent.

        Args:
            method: as given by the caller.
            url: the absolute URL, or what has it as ``_url_text()``, asked only when it is wanted;
                credentials and known signatures in it are redacted.
            server_address, server_port: of the origin.
            start_ns: on ``counters.clock``.
            resend_count: how often it was sent before: 0 for the first attempt.
            block: the counters of the calling thread, looked up without it.

        Returns:
            The attempt's span, to be given to ``inject`` and ended with ``finish``; None while the
            application has set no SDK, inside an exporter, and where other instrumentation has made
            the span of this request.
        """
        sdk = self._sdk
        if sdk._access is None and not sdk._resolve():
            return None
        context = _current_context()
        span = span_of(sdk, _CLIENT, start_ns)
        rule = sdk._root
        parent: Any = None
        if context:
            if context.get(_SUPPRESS_KEY) or context.get(_SUPPRESS_HTTP_KEY):
                return None
            span._outer = context
            around = _trace_api.get_current_span(context)
            parent = around.get_span_context()
            if parent.is_valid and getattr(around, "kind", None) is _CLIENT and _is_of(around, url):
                return None
        if parent is not None and parent.is_valid:
            span._parent = parent
            span._take_trace_id(parent.trace_id)
            span._parent_id = parent.span_id
            span._parent_flags = int(parent.trace_flags) & 3
            span._state = parent.trace_state
            if parent.is_remote:
                rule = sdk._remote_on if span._parent_flags & 1 else sdk._remote_off
            else:
                rule = sdk._local_on if span._parent_flags & 1 else sdk._local_off
        begun: Any = None
        if rule == _CUSTOM:
            begun = attributes.client_request(method, _text(url), server_address, server_port, resend_count)
        self._decide(span, rule, "HTTP", begun, block)
        if span.sampled:
            if begun is None:
                begun = attributes.client_request(method, _text(url), server_address, server_port, resend_count)
            if span._attributes is not None:
                begun.update(span._attributes)
            span._attributes = begun
        return span

    def inject(self, span: RequestSpan | None, headers: Iterable[tuple[bytes, bytes]] = ()) -> list[tuple[bytes, bytes]]:
        """The fields to add to a request, by default traceparent, tracestate and baggage, unless ``headers`` has them."""
        sdk = self._sdk
        added: list[tuple[bytes, bytes]] = []
        if span is None:
            return added
        carries = sdk._propagator()
        if carries & _OTHER:
            return textmap.inject(sdk._textmap, span._outer or _EMPTY, headers, span.span_context())
        parent, _, baggage = propagation.read_headers(headers)
        if parent is None and carries & _TRACE:
            span._identify()
            added.append((propagation.TRACEPARENT, _mem.traceparent(span._high, span._low, span._id, span._flags)))
            state = span._trace_state()
            if state is not _NO_STATE and state:
                added.append((propagation.TRACESTATE, state.to_header().encode("ascii")))
        if baggage is None and span._outer is not None and carries & _BAGGAGE:
            entries = _baggage.get_all(span._outer)
            if entries:
                value = propagation.format_baggage(entries)
                if value:
                    added.append((propagation.BAGGAGE, value))
        return added

    def connection_started(self, server_address: str, server_port: int, start_ns: int) -> ConnectionSpan | None:
        """Start the span of a connection set-up, the root of its own trace."""
        sdk = self._sdk
        if sdk._access is None and not sdk._resolve():
            return None
        span = span_of(sdk, _INTERNAL, start_ns)
        fields = {"server.address": server_address, "server.port": server_port}
        self._decide(span, sdk._root, "HTTP connection_setup", fields)
        if span.sampled:
            span._attributes = {**fields, **(span._attributes or {})}
            span._open()._name = "HTTP connection_setup"
        return ConnectionSpan(span)
