"""Log events: names and fields of the catalogue, through structlog into stdlib logging and OpenTelemetry.

The library never configures structlog or the root logger: events reach the handlers that the
application has on the logger ``h2o_otel``, unless ``configure`` is asked for a format.  What a
peer can cause at will is rate limited.  Logging never raises into the caller.
"""

from __future__ import annotations

import functools
import logging
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from time import time_ns
from typing import Any, TextIO

import structlog
from opentelemetry import trace as trace_api
from opentelemetry._logs import Logger, LoggerProvider, NoOpLogger, SeverityNumber, get_logger_provider
from opentelemetry.context import Context

from .. import counters
from ..escape import SHOWN_MAX, escaped, escaped_lines
from ..limits import SERVER_LIMITS
from . import attributes, lines
from .catalogue import EVENTS, Event
from .failures import failed

__all__ = ["BoundLog", "EventLog", "Formatter", "LogsHandler", "RateLimit", "capture", "install_handler"]

NAME = "h2o_otel"

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SEVERITIES = {
    logging.DEBUG: (SeverityNumber.DEBUG, "DEBUG"),
    logging.INFO: (SeverityNumber.INFO, "INFO"),
    logging.WARNING: (SeverityNumber.WARN, "WARN"),
    logging.ERROR: (SeverityNumber.ERROR, "ERROR"),
    logging.CRITICAL: (SeverityNumber.FATAL, "FATAL"),
}
_EVENTS = {event.name: event for event in EVENTS}
_EMITTED, _SUPPRESSED, _DROPPED = range(3)
_LOGS_TIME = counters.SELF_COSTS.index("logs")
_ACCESS = _EVENTS["h2o.access"]
# Octets of a path that wait in the queue: what is shown of it, if it is all UTF-8 of four octets.
_PATH_MAX = 4 * SHOWN_MAX
_STACK = "exception.stacktrace"
_STACK_MAX = 16_384
# Of a text that is escaped already: none is cut twice.
_ESCAPED_MAX = 16 * SHOWN_MAX
# What processors tell each other; all else of an event are its fields.
_HIDDEN = ("event", "_span", "_at", "_line")

EventDict = MutableMapping[str, Any]


class RateLimit:
    """Token buckets, one per event name: a flood of one kind must not hide another.

    Args:
        per_s: lines per second, and the burst.
        clock: nanoseconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], int] = counters.clock) -> None:
        self._per_s = per_s
        self._burst = max(1.0, per_s)
        self._clock = clock
        self._buckets: dict[str, tuple[float, int]] = {}
        self._suppressed: dict[str, int] = {}

    def take(self, name: str) -> int:
        """Lines suppressed since the last one that passed, or -1 when this one is suppressed too."""
        now = self._clock()
        tokens, at = self._buckets.get(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * 1e-9 * self._per_s)
        if tokens < 1.0:
            self._buckets[name] = (tokens, now)
            self._suppressed[name] = self._suppressed.get(name, 0) + 1
            return -1
        self._buckets[name] = (tokens - 1.0, now)
        return self._suppressed.pop(name, 0)


def add_trace_ids(_: Any, __: str, event: EventDict) -> EventDict:
    """Processor: ``trace_id`` and ``span_id`` of the event's span, or of the current one."""
    span = event.get("_span")
    context = span.span_context() if span is not None else trace_api.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


# An access line begins with these, as access logs do.
_ACCESS_FIRST = ("http.request.method", "url.path", "http.response.status_code", "h2o.duration")


def _first_words(name: str, fields: Mapping[str, Any]) -> str:
    """What a line for people begins with: the event's name, or of an access line method, path, status and duration."""
    if name != _ACCESS.name:
        return name
    method, path, status, duration = (fields.get(key) for key in _ACCESS_FIRST)
    took = f"{duration * 1e3:.3f}ms" if isinstance(duration, float) else "-"
    return f"{_short(method or '-')} {_short(path or '-')} {status or '-'} {took}"


def _said(name: str) -> tuple[str, ...]:
    """The fields that ``_first_words`` says."""
    return _ACCESS_FIRST if name == _ACCESS.name else ()


def add_line(_: Any, __: str, event: EventDict) -> EventDict:
    """Processor: the event as one line of text, for handlers and as the body of the exported record."""
    name = event["event"]
    hidden = (*_HIDDEN, _STACK, *_said(name))
    fields = (f"{key}={_short(value)}" for key, value in event.items() if key not in hidden)
    event["_line"] = " ".join([_first_words(name, event), *fields])
    return event


def render(_: Any, __: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """Last processor: the message for any handler, and the fields for a formatter that wants them."""
    text = event["_line"]
    if _STACK in event:
        text += "\n" + _indented(event[_STACK])
    fields = {key: value for key, value in event.items() if key not in _HIDDEN}
    # Stdlib logging formats its first argument with the others only when there are others.
    return (text,), {"extra": {"h2o_event": event["event"], "h2o_fields": fields}}


def _short(value: Any) -> str:
    # A peer's text must not forge lines or fields of the log.
    text = escaped(str(value), _ESCAPED_MAX)
    return text if text and " " not in text and '"' not in text else '"' + text.replace('"', '\\"') + '"'


def _indented(stack: str) -> str:
    """A traceback whose lines, also those of a message that came with line breaks, do not look like lines of the log."""
    return "    " + stack.rstrip("\n").replace("\n", "\n    ")


def _cleaned(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with every text escaped and bounded: handlers and exporters get nothing that is more than text."""
    return {key: value if key == _STACK else _clean(value) for key, value in fields.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        return escaped(value)
    return [_clean(each) for each in value] if isinstance(value, (list, tuple)) else value


class _Identity:
    """The trace of a line that waits in the queue, without the span and what that holds."""

    __slots__ = ("_context",)

    def __init__(self, context: trace_api.SpanContext) -> None:
        self._context = context

    def span_context(self) -> trace_api.SpanContext:
        return self._context

    def otel_context(self) -> Context:
        return trace_api.set_span_in_context(trace_api.NonRecordingSpan(self._context), Context())


class _Handover:
    """Processor: hands the event to the OpenTelemetry Logs API."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def __call__(self, _: Any, method: str, event: EventDict) -> EventDict:
        span = event.get("_span")
        number, text = _SEVERITIES[_LEVELS.get(method, logging.INFO)]
        hidden = (*_HIDDEN, "trace_id", "span_id")
        self._logger.emit(
            timestamp=event.get("_at") or time_ns(),
            context=None if span is None else span.otel_context(),
            severity_number=number,
            severity_text=text,
            body=event["_line"],
            # Backends that drop the name of an event still have it as an attribute.
            attributes={"event.name": event["event"], **{key: value for key, value in event.items() if key not in hidden}},
            event_name=event["event"],
        )
        return event


class _PastOpenTelemetry(logging.Filter):
    """On our logger: keeps events that were handed to the Logs API from the SDK's handlers of stdlib logging, which would repeat them.

    ``opentelemetry-instrument`` puts such a handler onto the root logger.  All other handlers get the event from here.
    """

    active = False

    def filter(self, record: logging.LogRecord) -> bool:
        if not self.active or not hasattr(record, "h2o_event"):
            return True
        handlers = _handlers()
        others = [handler for handler in handlers if not _exports(handler)]
        if len(others) == len(handlers):
            return True
        for handler in others:
            if record.levelno >= handler.level:
                handler.handle(record)
        return False


def _handlers() -> list[logging.Handler]:
    """Those that our logger's records reach."""
    found: list[logging.Handler] = []
    logger: logging.Logger | None = logging.getLogger(NAME)
    while logger is not None:
        found += logger.handlers
        logger = logger.parent if logger.propagate else None
    return found


def _exports(handler: logging.Handler) -> bool:
    """Whether it hands records to OpenTelemetry: the SDK's, or that of opentelemetry-instrumentation-logging."""
    return any(cls.__name__ == "LoggingHandler" and cls.__module__.startswith("opentelemetry.") for cls in type(handler).__mro__)


_past_opentelemetry = _PastOpenTelemetry()


class BoundLog:
    """The events of one connection (or process): its fields are bound once."""

    __slots__ = ("_export_level", "_limit", "_logger", "_processors", "_stdlib")

    def __init__(self, logger: Any, stdlib: logging.Logger, limit: RateLimit, processors: list[Any], export_level: int) -> None:
        self._logger = logger
        self._stdlib = stdlib
        self._limit = limit
        self._processors = processors
        self._export_level = export_level

    def wants(self, name: str) -> bool:
        """Whether anybody takes the event; ask before building costly fields."""
        return self._takes(_EVENTS[name])

    def _takes(self, event: Event) -> bool:
        level = _LEVELS[event.level]
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
            if self._takes(event):
                began = counters.clock()
                self._emit(event, dict(fields or ()), span, exception)
                counters.local().add("telemetry_time_ns", _LOGS_TIME, counters.clock() - began)
        except Exception:
            _count(_DROPPED)
            failed("logging an event")

    def _emit(self, event: Event, fields: dict[str, Any], span: Any, exception: BaseException | None) -> None:
        if event.limited:
            suppressed = self._limit.take(event.name)
            if suppressed < 0:
                _count(_SUPPRESSED)
                return
            if suppressed:
                fields["h2o.suppressed"] = suppressed
        if exception is not None:
            fields.update(exception_fields(exception))
        fields = _cleaned(fields)
        if span is not None:
            fields["_span"] = span
        getattr(self._logger, event.level)(event.name, **fields)
        _count(_EMITTED)

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
        """The access log's line of one request, for the queue's thread to write.  Never raises.

        The query is not part of it, and a status is where a response began (not 0); ``more`` are fields of a request that failed.
        """
        try:
            if not self._takes(_ACCESS):
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
            _count(_DROPPED)
            failed("logging an event")

    def _write(self, event: Event, fields: Mapping[str, Any], identity: _Identity | None, at_ns: int) -> None:
        """Hand an event that waited in the queue to everybody who wants it; on the queue's thread."""
        try:
            began = counters.clock()
            values: Any = {"event": event.name, **_cleaned(fields), **structlog.get_context(self._logger), "_at": at_ns}
            if identity is not None:
                values["_span"] = identity
            for processor in self._processors:
                values = processor(None, event.level, values)
            (text,), named = values
            level = _LEVELS[event.level]
            record = self._stdlib.makeRecord(NAME, level, __file__, 0, text, (), None, None, named["extra"])
            record.created = at_ns / 1e9
            record.msecs = at_ns // 1_000_000 % 1000
            if self._stdlib.isEnabledFor(level):
                self._stdlib.handle(record)
            _count(_EMITTED)
            counters.local().add("telemetry_time_ns", _LOGS_TIME, counters.clock() - began)
        except Exception:
            _count(_DROPPED)


def _count(result: int) -> None:
    counters.local().add("telemetry_logs", result, 1)


def exception_fields(exception: BaseException) -> dict[str, Any]:
    """``exception.*`` as the semantic conventions name them, bounded."""
    kind = type(exception)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    stack = "".join(traceback.format_exception(exception))
    return {"exception.type": name, "exception.message": escaped(str(exception)), _STACK: escaped_lines(stack, _STACK_MAX)}


class EventLog(BoundLog):
    """The log events of the process.

    Args:
        provider: of the OpenTelemetry logs; by default the global one.
        lines_per_s: ``Limits.log_lines_per_s``.
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
        _past_opentelemetry.active = not isinstance(logger, NoOpLogger)
        if _past_opentelemetry.active:
            processors.append(_Handover(logger))
            stdlib.addFilter(_past_opentelemetry)
        processors.append(render)
        wrapped = structlog.wrap_logger(stdlib, processors=processors, wrapper_class=structlog.stdlib.BoundLogger)
        super().__init__(wrapped.bind(), stdlib, RateLimit(lines_per_s, clock), processors, export_level)

    def bind(self, fields: Mapping[str, Any]) -> BoundLog:
        """A log whose every event carries ``fields``; made once per connection."""
        return BoundLog(self._logger.bind(**_cleaned(fields)), self._stdlib, self._limit, self._processors, self._export_level)


class Formatter(logging.Formatter):
    """JSON, one object per line, or text for people; of our events and of everybody else's records.

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
            for_people = isinstance(self._renderer, structlog.dev.ConsoleRenderer)
            event["event"] = _first_words(name, fields) if for_people else name
            said = _said(name) if for_people else ()
            event.update((key, value) for key, value in fields.items() if key not in said)
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
        import time

        return time.gmtime(seconds)


class LogsHandler(logging.Handler):
    """Hands the application's own stdlib records to the OpenTelemetry Logs API, with the current trace.

    Where it is the only handler, warnings still go to standard error, as without any.
    """

    def __init__(self, provider: LoggerProvider, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        self._export(record)
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and self._is_alone(logging.getLogger(record.name)):
            last.handle(record)

    def _is_alone(self, logger: logging.Logger | None) -> bool:
        while logger is not None:
            if any(not isinstance(handler, LogsHandler) for handler in logger.handlers):
                return False
            logger = logger.parent if logger.propagate else None
        return True

    def _export(self, record: logging.LogRecord) -> None:
        # Ours were handed over already; those of the SDK would go round in circles when an export fails.
        if hasattr(record, "h2o_event") or record.name.startswith("opentelemetry"):
            return
        try:
            number, text = _SEVERITIES.get(record.levelno - record.levelno % 10, (SeverityNumber.INFO, record.levelname))
            fields: dict[str, Any] = {
                "code.file.path": record.pathname,
                "code.function.name": record.funcName,
                "code.line.number": record.lineno,
            }
            if record.exc_info and record.exc_info[1] is not None:
                fields.update(exception_fields(record.exc_info[1]))
            self._provider.get_logger(record.name).emit(
                timestamp=int(record.created * 1e9),
                severity_number=number,
                severity_text=text,
                body=record.getMessage(),
                attributes=fields,
            )
        except Exception:
            _count(_DROPPED)


def capture(provider: LoggerProvider, level: int | None = None) -> Callable[[], None]:
    """Export the records of the whole application; the function returned ends it.

    The application's own ``logging.basicConfig`` and ``logging.config`` work as if nothing was there: the
    first does nothing where the root logger has a handler, and the others remove those that it has.

    Args:
        provider: of the OpenTelemetry logs.
        level: for the root logger, where it has the one that Python gives it; None leaves that alone.
    """
    import logging.config

    root = logging.getLogger()
    handler = LogsHandler(provider, logging.NOTSET if level is None else level)
    # Our own logger keeps its records from the root logger's handlers where it has a format of its own.
    loggers = [root] if logging.getLogger(NAME).propagate else [root, logging.getLogger(NAME)]
    for logger in loggers:
        logger.addHandler(handler)
    lowered = level is not None and root.level == logging.WARNING
    if lowered and level is not None:
        root.setLevel(level)

    def apart(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def configured(*arguments: Any, **named: Any) -> Any:
            there = handler in root.handlers
            root.removeHandler(handler)
            try:
                return function(*arguments, **named)
            finally:
                if there:
                    root.addHandler(handler)

        return configured

    places: list[tuple[Any, str]] = [(logging, "basicConfig"), (logging.config, "dictConfig"), (logging.config, "fileConfig")]
    before = [(module, name, getattr(module, name)) for module, name in places]
    ours = [(module, name, apart(function)) for module, name, function in before]
    for module, name, function in ours:
        setattr(module, name, function)

    def end() -> None:
        for logger in loggers:
            logger.removeHandler(handler)
        if lowered and root.level == level:
            root.setLevel(logging.WARNING)
        for (module, name, function), (_, _, own) in zip(before, ours, strict=True):
            # Somebody else may have put a function around ours; with the handler gone it does nothing more.
            if getattr(module, name) is own:
                setattr(module, name, function)

    return end


class Unflooded(logging.Filter):
    """Lets pass so many of our own records of one kind: a mistake of ours that peers find must not fill the disk with tracebacks."""

    def __init__(self, lines_per_s: float, clock: Callable[[], int] = counters.clock) -> None:
        super().__init__()
        self._limit = RateLimit(lines_per_s, clock)

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "h2o_event"):
            return True  # events have limits of their own
        suppressed = self._limit.take(f"{record.name}:{record.lineno}")
        if suppressed < 0:
            _count(_SUPPRESSED)
            return False
        if suppressed:
            record.h2o_suppressed = suppressed
        return True


def install_handler(
    style: str, level: str, stream: TextIO | None = None, lines_per_s: float = SERVER_LIMITS.log_lines_per_s
) -> logging.Handler:
    """Write our events to ``stream`` (standard error); they no longer go up to the root logger's handlers."""
    target = sys.stderr if stream is None else stream
    handler = lines.LineHandler(target, lines.queue)
    handler.setFormatter(Formatter(style, colors=target.isatty()))
    handler.addFilter(Unflooded(lines_per_s))
    logger = logging.getLogger(NAME)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler


def remove_handler(handler: logging.Handler) -> None:
    """Undo ``install_handler``, once what was logged is written."""
    lines.flush()
    logger = logging.getLogger(NAME)
    logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
