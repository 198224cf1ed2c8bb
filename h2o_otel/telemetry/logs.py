"""Log events: names and fields of the catalogue, through structlog into stdlib logging and OpenTelemetry.

The library never configures structlog or the root logger: events reach the handlers that the
application has on the logger ``h2o_otel``, unless ``configure`` is given a format.  Events that a
peer can cause at will are rate limited.  Logging never raises into the caller.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any, TextIO

import structlog
from opentelemetry import trace as trace_api
from opentelemetry._logs import LoggerProvider, NoOpLogger, get_logger_provider
from opentelemetry.context import Context

from .. import counters
from ..escape import SHOWN_MAX
from ..limits import SERVER_LIMITS
from . import attributes, lines
from .catalogue import EVENTS, Event
from .failures import failed
from .log_export import LEVELS, NAME, EventExporter, skip_sdk_handlers
from .log_rate import DROPPED, EMITTED, SUPPRESSED, RateLimit, RateLimitFilter, count_event
from .log_text import ACCESS, Formatter, add_line, add_trace_ids, cleaned, exception_fields, render

__all__ = ["BoundLog", "EventLog", "install_handler", "remove_handler"]

_EVENTS = {event.name: event for event in EVENTS}
_LOGS_TIME = counters.SELF_COSTS.index("logs")
_ACCESS = _EVENTS[ACCESS]
# Bytes of a path that are kept in the queue: SHOWN_MAX characters of four bytes in UTF-8.
_PATH_MAX = 4 * SHOWN_MAX


class _Identity:
    """The trace ids of a queued line; it does not keep the span and its objects alive."""

    __slots__ = ("_context",)

    def __init__(self, context: trace_api.SpanContext) -> None:
        self._context = context

    def span_context(self) -> trace_api.SpanContext:
        return self._context

    def otel_context(self) -> Context:
        return trace_api.set_span_in_context(trace_api.NonRecordingSpan(self._context), Context())


class BoundLog:
    """The log of one connection (or process), whose fields are bound once."""

    __slots__ = ("_export_level", "_limit", "_logger", "_processors", "_stdlib")

    def __init__(self, logger: Any, stdlib: logging.Logger, limit: RateLimit, processors: list[Any], export_level: int) -> None:
        self._logger = logger
        self._stdlib = stdlib
        self._limit = limit
        self._processors = processors
        self._export_level = export_level

    def is_enabled_for(self, name: str) -> bool:
        """Whether the event would be logged or exported; check before building costly fields."""
        return self._is_enabled(_EVENTS[name])

    def _is_enabled(self, event: Event) -> bool:
        level = LEVELS[event.level]
        return level >= self._export_level or self._stdlib.isEnabledFor(level)

    def emit(self, name: str, fields: Mapping[str, Any] | None = None, *, span: Any = None, exception: BaseException | None = None) -> None:
        """Log one event of the catalogue; never raises.

        Args:
            name: of the event.
            fields: its attributes.
            span: the ``RequestSpan`` that it belongs to; the current span when left out.
            exception: adds type, message and stack trace.
        """
        try:
            event = _EVENTS[name]
            if self._is_enabled(event):
                began = counters.clock()
                self._emit(event, dict(fields or ()), span, exception)
                counters.local().add("telemetry_time_ns", _LOGS_TIME, counters.clock() - began)
        except Exception:
            count_event(DROPPED)
            failed("logging an event")

    def _emit(self, event: Event, fields: dict[str, Any], span: Any, exception: BaseException | None) -> None:
        if event.limited:
            suppressed = self._limit.suppressed_before(event.name)
            if suppressed < 0:
                count_event(SUPPRESSED)
                return
            if suppressed:
                fields["h2o.suppressed"] = suppressed
        if exception is not None:
            fields.update(exception_fields(exception))
        fields = cleaned(fields)
        if span is not None:
            fields["_span"] = span
        getattr(self._logger, event.level)(event.name, **fields)
        count_event(EMITTED)

    def access(
        self,
        span: Any,
        method: bytes | str,
        path: bytes | str,
        status: int,
        duration_s: float,
        received: int = 0,
        sent: int = 0,
        client: str = "",
        scheme: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Queue the access log line of one request; the thread of ``lines`` writes it.  Never raises.

        The line has no query, and a status only if a response began (not 0); ``more`` adds fields of a request that failed.
        """
        try:
            if not self._is_enabled(_ACCESS):
                return
            began = counters.clock()
            fields = {
                "http.request.method": method[:SHOWN_MAX],
                "url.path": path.partition("?" if isinstance(path, str) else b"?")[0][:_PATH_MAX],  # type: ignore[arg-type]
                "http.response.status_code": status,
                "h2o.duration": round(duration_s, 6),
                "http.request.body.size": received,
                "http.response.body.size": sent,
            }
            if client:
                fields["client.address"] = client
            if scheme:
                fields["url.scheme"] = scheme
            if not status:
                del fields["http.response.status_code"]
            if more is not None:
                fields.update(more)
            context = span.span_context() if span is not None else trace_api.get_current_span().get_span_context()
            identity = _Identity(context) if context.is_valid else None
            lines.queue.put(functools.partial(self._write, _ACCESS, fields, identity, time_ns()))
            counters.local().add("telemetry_time_ns", _LOGS_TIME, counters.clock() - began)
        except Exception:
            count_event(DROPPED)
            failed("logging an event")

    def _write(self, event: Event, fields: Mapping[str, Any], identity: _Identity | None, at_ns: int) -> None:
        """Export and log an event from the queue; runs on the queue's thread."""
        try:
            began = counters.clock()
            values: Any = {"event": event.name, **cleaned(fields), **structlog.get_context(self._logger), "_at": at_ns}
            if identity is not None:
                values["_span"] = identity
            for processor in self._processors:
                values = processor(None, event.level, values)
            (text,), named = values
            level = LEVELS[event.level]
            record = self._stdlib.makeRecord(NAME, level, __file__, 0, text, (), None, None, named["extra"])
            record.created = at_ns / 1e9
            record.msecs = at_ns // 1_000_000 % 1000
            if self._stdlib.isEnabledFor(level):
                self._stdlib.handle(record)
            count_event(EMITTED)
            counters.local().add("telemetry_time_ns", _LOGS_TIME, counters.clock() - began)
        except Exception:
            count_event(DROPPED)


class EventLog(BoundLog):
    """The log events of the process.

    Args:
        provider: of the OpenTelemetry logs; by default the global one.
        lines_per_s: ``EngineLimits.log_lines_per_s``.
        export_level: least level that is exported even where the logger's own level is higher; by default none.
    """

    __slots__ = ()

    def __init__(
        self,
        provider: LoggerProvider | None = None,
        lines_per_s: float = 10.0,
        clock: Callable[[], int] = counters.clock,
        export_level: int = sys.maxsize,
    ) -> None:
        stdlib = logging.getLogger(NAME)
        processors: list[Any] = [add_trace_ids, add_line]
        logger = (get_logger_provider() if provider is None else provider).get_logger(NAME, attributes.VERSION, attributes.SCHEMA_URL)
        skip_sdk_handlers.active = not isinstance(logger, NoOpLogger)
        if skip_sdk_handlers.active:
            processors.append(EventExporter(logger))
            stdlib.addFilter(skip_sdk_handlers)
        processors.append(render)
        wrapped = structlog.wrap_logger(stdlib, processors=processors, wrapper_class=structlog.stdlib.BoundLogger)
        super().__init__(wrapped.bind(), stdlib, RateLimit(lines_per_s, clock), processors, export_level)

    def bind(self, fields: Mapping[str, Any]) -> BoundLog:
        """A log whose every event carries ``fields``; made once per connection."""
        return BoundLog(self._logger.bind(**cleaned(fields)), self._stdlib, self._limit, self._processors, self._export_level)


def install_handler(
    style: str, level: str, stream: TextIO | None = None, lines_per_s: float = SERVER_LIMITS.log_lines_per_s
) -> logging.Handler:
    """Write events to ``stream`` (standard error); they no longer propagate to the root logger's handlers."""
    target = sys.stderr if stream is None else stream
    handler = lines.LineHandler(target, lines.queue)
    handler.setFormatter(Formatter(style, colors=target.isatty()))
    handler.addFilter(RateLimitFilter(lines_per_s))
    logger = logging.getLogger(NAME)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler


def remove_handler(handler: logging.Handler) -> None:
    """Undo ``install_handler`` after the queued lines are written."""
    lines.flush()
    logger = logging.getLogger(NAME)
    logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
