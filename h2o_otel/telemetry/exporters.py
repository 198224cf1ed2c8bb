"""Exporters wrapped so that their failures are counted (``h2o.telemetry.exports``) and never raise.

They run on the SDK's export threads, never on a request's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from .. import counters
from . import _sdk_metrics, _sdk_spans
from .failures import failed

__all__ = ["CountedLogExporter", "CountedMetricExporter", "CountedSpanExporter", "CountedSpanProcessor"]

_METRICS, _TRACES, _LOGS = range(3)
_DROPPED = 1


def _count(signal: int, success: bool) -> None:
    counters.local().add("telemetry_exports", signal * 2 + (0 if success else 1), 1)


class CountedSpanExporter(SpanExporter):
    """Counts what ``inner`` does."""

    def __init__(self, inner: SpanExporter) -> None:
        self.inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self.inner.export(spans)
        except Exception:
            _count(_TRACES, False)
            failed("exporting spans")
            return SpanExportResult.FAILURE
        _count(_TRACES, result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self.inner.shutdown()  # type: ignore[no-untyped-call,unused-ignore]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.inner.force_flush(timeout_millis)


class CountedSpanProcessor(BatchSpanProcessor):
    """A batch processor that counts the spans it drops when the exporter is slower than the requests."""

    def on_end(self, span: ReadableSpan) -> None:
        if _sdk_spans.span_dropped(self):
            counters.local().add("telemetry_spans", _DROPPED, 1)
        super().on_end(span)


class CountedMetricExporter(MetricExporter):
    """Counts what ``inner`` does; prefers what it prefers."""

    def __init__(self, inner: MetricExporter) -> None:
        super().__init__(*_sdk_metrics.preferences(inner))
        self.inner = inner

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        try:
            result = self.inner.export(metrics_data, timeout_millis, **kwargs)
        except Exception:
            _count(_METRICS, False)
            failed("exporting metrics")
            return MetricExportResult.FAILURE
        _count(_METRICS, result is MetricExportResult.SUCCESS)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self.inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self.inner.shutdown(timeout_millis, **kwargs)


class CountedLogExporter(LogRecordExporter):
    """Counts what ``inner`` does."""

    def __init__(self, inner: LogRecordExporter) -> None:
        self.inner = inner

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        try:
            result = self.inner.export(batch)
        except Exception:
            _count(_LOGS, False)
            failed("exporting logs")
            return LogRecordExportResult.FAILURE
        _count(_LOGS, result is LogRecordExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self.inner.shutdown()  # type: ignore[no-untyped-call,unused-ignore]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.inner.force_flush(timeout_millis)
