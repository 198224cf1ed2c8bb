"""The current OpenTelemetry context, carried on by requests that have no span of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry import baggage as _baggage
from opentelemetry import trace as _trace_api

from . import _sdk_context, propagation, textmap

__all__ = ["current_context", "inject"]

# Empty while there is nothing to carry on.
current_context = _sdk_context.current_context


def inject(headers: Iterable[tuple[bytes, bytes]] = ()) -> list[tuple[bytes, bytes]]:
    """The fields that carry the current context on, by default W3C trace context and baggage, without those that ``headers`` has."""
    added: list[tuple[bytes, bytes]] = []
    context: Any = current_context()
    if not context or context.get(_sdk_context.SUPPRESS_KEY):
        return added
    propagator = textmap.get_textmap()
    carries = textmap.kind_of(propagator)
    if carries & textmap.OTHER:
        return textmap.inject(propagator, context, headers)
    parent, _, baggage = propagation.read_headers(headers)
    span = _trace_api.get_current_span(context).get_span_context()
    if parent is None and span.is_valid and carries & textmap.TRACE:
        flags = int(span.trace_flags) & 3
        added.append((propagation.TRACEPARENT, propagation.format_traceparent(span.trace_id, span.span_id, flags)))
        if span.trace_state:
            added.append((propagation.TRACESTATE, span.trace_state.to_header().encode("ascii")))
    entries = _baggage.get_all(context) if baggage is None and carries & textmap.BAGGAGE else None
    if entries:
        value = propagation.format_baggage(entries)
        if value:
            added.append((propagation.BAGGAGE, value))
    return added
