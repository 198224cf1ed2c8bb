"""The text of log events: one line for handlers, JSON or console output, and bounded, escaped fields."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from opentelemetry import trace as trace_api

from ..escape import SHOWN_MAX, escaped, escaped_lines

__all__ = ["Formatter", "add_line", "add_trace_ids", "cleaned", "exception_fields", "render"]

ACCESS = "h2o.access"
_STACK = "exception.stacktrace"
_STACK_MAX = 16_384
# For text that is escaped already, so that it is not truncated twice.
_ESCAPED_MAX = 16 * SHOWN_MAX
# Keys that processors pass to each other; the other keys of an event are its fields.
HIDDEN = ("event", "_span", "_at", "_line")

EventDict = MutableMapping[str, Any]

# An access line begins with these, as access logs do.
_ACCESS_FIRST = ("http.request.method", "url.path", "http.response.status_code", "h2o.duration")


def add_trace_ids(_: Any, __: str, event: EventDict) -> EventDict:
    """Processor: ``trace_id`` and ``span_id`` of the event's span, or of the current one."""
    span = event.get("_span")
    context = span.span_context() if span is not None else trace_api.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _first_fields(name: str, fields: Mapping[str, Any]) -> str:
    """The beginning of a console line: the event's name, or for an access line its method, path, status and duration."""
    if name != ACCESS:
        return name
    method, path, status, duration = (fields.get(key) for key in _ACCESS_FIRST)
    took = f"{duration * 1e3:.3f}ms" if isinstance(duration, float) else "-"
    return f"{_short(method or '-')} {_short(path or '-')} {status or '-'} {took}"


def _fields_of_first(name: str) -> tuple[str, ...]:
    """The fields that ``_first_fields`` includes."""
    return _ACCESS_FIRST if name == ACCESS else ()


def add_line(_: Any, __: str, event: EventDict) -> EventDict:
    """Processor: the event as one line of text, for handlers and as the body of the exported record."""
    name = event["event"]
    hidden = (*HIDDEN, _STACK, *_fields_of_first(name))
    fields = (f"{key}={_short(value)}" for key, value in event.items() if key not in hidden)
    event["_line"] = " ".join([_first_fields(name, event), *fields])
    return event


def render(_: Any, __: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """Last processor: the message for any handler, and the fields for formatters."""
    text = event["_line"]
    if _STACK in event:
        text += "\n" + _indented(event[_STACK])
    fields = {key: value for key, value in event.items() if key not in HIDDEN}
    # Stdlib logging formats its first argument with the others only when there are others.
    return (text,), {"extra": {"h2o_event": event["event"], "h2o_fields": fields}}


def _short(value: Any) -> str:
    # Text from a peer must not forge log lines or fields.
    text = escaped(str(value), _ESCAPED_MAX)
    return text if text and " " not in text and '"' not in text else '"' + text.replace('"', '\\"') + '"'


def _indented(stack: str) -> str:
    """A traceback with every line indented, so that no line of it looks like a log line."""
    return "    " + stack.rstrip("\n").replace("\n", "\n    ")


def cleaned(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with every text escaped and bounded."""
    return {key: value if key == _STACK else _clean(value) for key, value in fields.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        return escaped(value)
    return [_clean(each) for each in value] if isinstance(value, (list, tuple)) else value


def exception_fields(exception: BaseException) -> dict[str, Any]:
    """``exception.*`` as the semantic conventions name them, bounded."""
    kind = type(exception)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    stack = "".join(traceback.format_exception(exception))
    return {"exception.type": name, "exception.message": escaped(str(exception)), _STACK: escaped_lines(stack, _STACK_MAX)}


class Formatter(logging.Formatter):
    """Formats this package's events and any other records: as JSON, one object per line, or as text for a console.

    Args:
        style: "json" or "console".
        colors: for "console".
    """

    def __init__(self, style: str = "json", colors: bool = False) -> None:
        super().__init__()
        if style not in ("json", "console"):
            raise ValueError(f"log format {style!r} is neither 'json' nor 'console'")
        json_lines = structlog.processors.JSONRenderer(default=str)
        self._renderer: Any = json_lines if style == "json" else structlog.dev.ConsoleRenderer(colors=colors)

    def format(self, record: logging.LogRecord) -> str:
        fraction = int(record.created * 1_000_000) % 1_000_000
        stamp = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        event: dict[str, Any] = {"timestamp": f"{stamp}.{fraction:06d}Z", "level": record.levelname.lower(), "logger": record.name}
        name = getattr(record, "h2o_event", None)
        if name is not None:
            fields = getattr(record, "h2o_fields", {})
            console = isinstance(self._renderer, structlog.dev.ConsoleRenderer)
            event["event"] = _first_fields(name, fields) if console else name
            included = _fields_of_first(name) if console else ()
            event.update((key, value) for key, value in fields.items() if key not in included)
        else:
            event["event"] = escaped(record.getMessage(), _STACK_MAX)
            if hasattr(record, "h2o_suppressed"):
                event["h2o.suppressed"] = record.h2o_suppressed
            context = trace_api.get_current_span().get_span_context()
            if context.is_valid:
                event["trace_id"] = f"{context.trace_id:032x}"
                event["span_id"] = f"{context.span_id:016x}"
            if record.exc_info and record.exc_info[1] is not None:
                event.update(exception_fields(record.exc_info[1]))
        if isinstance(self._renderer, structlog.dev.ConsoleRenderer) and _STACK in event:
            event["exception"] = _indented(event.pop(_STACK))
        return str(self._renderer(None, record.levelname.lower(), event)).replace("\x7f", "\\u007f")

    @staticmethod
    def converter(seconds: float | None) -> Any:
        return time.gmtime(seconds)
