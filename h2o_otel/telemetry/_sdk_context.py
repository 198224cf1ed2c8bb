"""Private names of OpenTelemetry's context and propagators; see ``_sdk_check``."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator

__all__ = [
    "SPAN_KEY",
    "SUPPRESS_HTTP_KEY",
    "SUPPRESS_KEY",
    "context_variable",
    "current_context",
    "global_textmap",
    "make_current",
    "propagators_of",
]

_context_variable: Any = getattr(getattr(context_api, "_RUNTIME_CONTEXT", None), "_current_context", None)


# True in the context of an exporter, whose own requests must not be traced.
SUPPRESS_KEY: str = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")


# True where other instrumentation has a span for the HTTP request that is about to be made.
SUPPRESS_HTTP_KEY: str = getattr(context_api, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation")


# The variable that holds the OpenTelemetry context, to set it in a context that is not entered; None if there is none.
context_variable: contextvars.ContextVar[Context] | None = _context_variable if type(_context_variable) is contextvars.ContextVar else None


# Called inside a ``contextvars.Context`` that is not yet entered, with the OpenTelemetry context to make current in it.
make_current: Callable[[Context], Any] = context_api.attach if _context_variable is None else _context_variable.set


# The OpenTelemetry context that is current where it is called.
current_context: Callable[[], Context] = context_api.get_current if _context_variable is None else _context_variable.get


def _span_key() -> str:
    """The key under which a context holds its span; made with a random suffix when the API is imported."""
    probe = trace.set_span_in_context(trace.INVALID_SPAN, Context())
    return next(iter(probe))


SPAN_KEY = _span_key()


def propagators_of(textmap: Any) -> Sequence[Any]:
    """The propagators that ``textmap`` puts together, or itself alone."""
    if type(textmap) is CompositePropagator:
        found: Sequence[Any] = textmap._propagators
        return found
    return [textmap]


def global_textmap(get: Callable[[], Any]) -> Callable[[], Any]:
    """``propagate.get_global_textmap``, without a Python frame for each request: the same variable, read from its module."""
    name = "_HTTP_TEXT_FORMAT"
    names: dict[str, Any] = getattr(get, "__globals__", {})
    return functools.partial(names.get, name) if name in names else get
