"""The current OpenTelemetry context, carried on by requests that have no span of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry import baggage as _baggage
from opentelemetry import trace as _trace_api

from . import _sdk, propagation

__all__ = ["current_context", "inject"]

# Empty while there is nothing to carry on.
current_context = _sdk.current_context


def inject(headers: Iterable[tuple[bytes, bytes]] = ()) -> list[tuple[bytes, bytes]]:
    """The fields to add to a request: traceparent, tracestate and baggage of the current context, unless ``headers`` has them."""
    added: list[tuple[bytes, bytes]] = []
    context: Any = current_context()
    if not context or context.get(_sdk.SUPPRESS_KEY):
        return added
    parent, _, baggage = propagation.read_headers(headers)
    span = _trace_api.get_current_span(context).get_span_context()
    if parent is None and span.is_valid:
        flags = int(span.trace_flags) & 3
        added.append((propagation.TRACEPARENT, propagation.format_traceparent(span.trace_id, span.span_id, flags)))
        if span.trace_state:
            added.append((propagation.TRACESTATE, span.trace_state.to_header().encode("ascii")))
    entries = _baggage.get_all(context) if baggage is None else None
    if entries:
        value = propagation.format_baggage(entries)
        if value:
            added.append((propagation.BAGGAGE, value))
    return added
