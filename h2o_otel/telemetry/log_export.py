"""Hands log events, and on request the application's own records, to the OpenTelemetry Logs API."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from time import time_ns
from typing import Any

from opentelemetry._logs import Logger, LoggerProvider, SeverityNumber

from .log_rate import DROPPED, count_event
from .log_text import HIDDEN, EventDict, exception_fields

__all__ = ["EventExporter", "LogsHandler", "capture", "skip_sdk_handlers"]

NAME = "h2o_otel"

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SEVERITIES = {
    logging.DEBUG: (SeverityNumber.DEBUG, "DEBUG"),
    logging.INFO: (SeverityNumber.INFO, "INFO"),
    logging.WARNING: (SeverityNumber.WARN, "WARN"),
    logging.ERROR: (SeverityNumber.ERROR, "ERROR"),
    logging.CRITICAL: (SeverityNumber.FATAL, "FATAL"),
}


class EventExporter:
    """Processor: hands the event to the OpenTelemetry Logs API."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def __call__(self, _: Any, method: str, event: EventDict) -> EventDict:
        span = event.get("_span")
        number, text = _SEVERITIES[LEVELS.get(method, logging.INFO)]
        hidden = (*HIDDEN, "trace_id", "span_id")
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


class _SkipSdkHandlers(logging.Filter):
    """Keeps events that went to the Logs API away from the SDK's logging handlers, which would export them again.

    ``opentelemetry-instrument`` adds such a handler to the root logger.  This filter of the logger ``h2o_otel`` passes the
    event to all other handlers.
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
    """The handlers that records of the logger ``h2o_otel`` reach."""
    found: list[logging.Handler] = []
    logger: logging.Logger | None = logging.getLogger(NAME)
    while logger is not None:
        found += logger.handlers
        logger = logger.parent if logger.propagate else None
    return found


def _exports(handler: logging.Handler) -> bool:
    """Whether it hands records to OpenTelemetry: the SDK's, or that of opentelemetry-instrumentation-logging."""
    return any(cls.__name__ == "LoggingHandler" and cls.__module__.startswith("opentelemetry.") for cls in type(handler).__mro__)


skip_sdk_handlers = _SkipSdkHandlers()


class LogsHandler(logging.Handler):
    """Hands the application's own stdlib records to the OpenTelemetry Logs API, with the current trace.

    Where it is the only handler, warnings still go to standard error, as they do without any handler.
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
        # Events are exported already; records of the SDK would be exported in a loop when an export fails.
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
            count_event(DROPPED)


def capture(provider: LoggerProvider, level: int | None = None) -> Callable[[], None]:
    """Export the records of the whole application; returns a function that stops it.

    The application's own ``logging.basicConfig`` and ``logging.config`` work as without this handler: the
    first does nothing where the root logger has a handler, and the others remove those that it has.

    Args:
        provider: of the OpenTelemetry logs.
        level: set on the root logger if that has Python's default level; None leaves it unchanged.
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
            # Other code may have wrapped this function since; without the handler it only calls the original.
            if getattr(module, name) is own:
                setattr(module, name, function)

    return end
