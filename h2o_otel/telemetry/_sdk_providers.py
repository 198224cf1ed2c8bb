"""Private names of the SDK's providers: which are set, and how their processors and readers shut down; see ``_sdk_check``."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

__all__ = [
    "begin_shutdown",
    "close_exporter",
    "is_shut_down",
    "is_unset",
    "parts_of",
]


def is_shut_down(provider: Any) -> bool:
    """Whether ``provider`` gives out nothing any more."""
    return bool(getattr(provider, "_shutdown", False) or getattr(provider, "_disabled", False))


def is_unset(provider: Any) -> bool:
    """Whether ``provider`` is what the API gives while the application has set none."""
    return type(provider).__name__ in ("ProxyTracerProvider", "_ProxyMeterProvider", "ProxyLoggerProvider")


def parts_of(providers: Sequence[Any]) -> list[tuple[str, Any]]:
    """The processors and readers of ``providers`` with their signal: spans first, then logs, then metrics."""
    parts: dict[str, list[Any]] = {"spans": [], "logs": [], "metrics": []}
    for provider in providers:
        if isinstance(provider, TracerProvider):
            parts["spans"] += provider._active_span_processor._span_processors
        elif isinstance(provider, LoggerProvider):
            parts["logs"] += provider._multi_log_record_processor._log_record_processors
        else:
            parts["metrics"] += provider._metric_readers
    return [(signal, part) for signal, found in parts.items() for part in found]


def begin_shutdown(part: Any) -> threading.Thread | None:
    """Have the own thread of a processor or reader export what it has, and end; None where it has no such thread."""
    if isinstance(part, PeriodicExportingMetricReader) and part._daemon_thread is not None:
        reader: Any = part
        reader._shutdown_once.do_once(functools.partial(setattr, reader, "_shutdown", True))
        reader._shutdown_event.set()
        thread: threading.Thread = reader._daemon_thread
        return thread
    if isinstance(part, (BatchSpanProcessor, BatchLogRecordProcessor)):
        batch: Any = part._batch_processor
        batch._shutdown = True
        batch._worker_awaken.set()
        thread = batch._worker_thread
        return thread
    return None


def close_exporter(part: Any) -> None:
    """Have the exporter of ``part``, whose shutdown began, give up what it is still doing and close its connection."""
    if isinstance(part, PeriodicExportingMetricReader):
        part._exporter.shutdown()
    elif isinstance(part, (BatchSpanProcessor, BatchLogRecordProcessor)):
        batch: Any = part._batch_processor
        batch._shutdown_timeout_exceeded = True
        batch._exporter.shutdown()
