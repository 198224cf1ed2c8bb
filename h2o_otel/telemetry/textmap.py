"""The propagator of the process, as ``OTEL_PROPAGATORS`` and ``set_global_textmap`` choose it.

W3C Trace Context and Baggage, the default, are read from and written to header lists directly
(``propagation``); another propagator is called for each request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from . import _sdk_context
from .environment import warn_once
from .failures import failed

__all__ = ["BAGGAGE", "OTHER", "TRACE", "extract", "get_textmap", "inject", "kind_of"]

Fields = Iterable[tuple[bytes, bytes]]

# Bits for the fields that this package carries itself; OTHER is a propagator that has to be called.
TRACE, BAGGAGE, OTHER = 1, 2, 4

# A propagator of the application may write anything; a request must not fail for it (RFC 9110 section 5.5 and 5.6.2).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def _global() -> Callable[[], Any]:
    try:
        from opentelemetry.propagate import get_global_textmap
    except Exception as error:
        # A misspelled OTEL_PROPAGATORS makes the API's module fail.
        text = str(error)
        warn_once(f"OTEL_PROPAGATORS cannot be honoured ({text}); tracecontext and baggage are used")
        return lambda: None
    return _sdk_context.global_textmap(get_global_textmap)


get_textmap: Callable[[], Any] = _global()
"""The propagator of the process; None where the API has none."""


def kind_of(textmap: Any) -> int:
    """The fields that ``textmap`` carries: ``TRACE`` and ``BAGGAGE`` in W3C's form, or ``OTHER``."""
    if textmap is None:
        return TRACE | BAGGAGE
    found = 0
    for part in _sdk_context.propagators_of(textmap):
        found |= TRACE if type(part) is TraceContextTextMapPropagator else BAGGAGE if type(part) is W3CBaggagePropagator else OTHER
    return OTHER if found & OTHER else found


class _Fields(Getter[Fields]):
    """Reads a header list for a propagator."""

    def get(self, carrier: Fields, key: str) -> list[str] | None:
        name = key.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for field, value in carrier if field == name] or None

    def keys(self, carrier: Fields) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier if not name.startswith(b":")]


_fields = _Fields()


def extract(textmap: Any, headers: Fields) -> Context | None:
    """The context that ``headers`` carry; None where there is none.  Never raises."""
    try:
        return textmap.extract(headers, context=Context(), getter=_fields) or None
    except Exception:
        failed("reading the context of a request")
        return None


def inject(textmap: Any, context: Context, headers: Fields, span: trace_api.SpanContext | None = None) -> list[tuple[bytes, bytes]]:
    """The fields by which ``textmap`` carries ``context``, without those that ``headers`` have.  Never raises.

    Args:
        textmap: the propagator.
        context: to carry on.
        headers: the request's fields so far.
        span: current instead of the context's own.
    """
    carrier: dict[str, Any] = {}
    try:
        if span is not None:
            context = trace_api.set_span_in_context(trace_api.NonRecordingSpan(span), context)
        textmap.inject(carrier, context=context)
    except Exception:
        failed("writing the context of a request")
    present = {name.lower() for name, _ in headers}
    return [field for name, value in carrier.items() if (field := _field(name, value)) is not None and field[0] not in present]


def _field(name: object, value: object) -> tuple[bytes, bytes] | None:
    lower, text = str(name).lower(), str(value).strip(" \t")
    if not _NAME.fullmatch(lower) or not _VALUE.fullmatch(text):
        warn_once(f"the propagator wrote a field that HTTP does not allow, {lower!r:.80}; it is not sent")
        return None
    return lower.encode("ascii"), text.encode("latin-1")
