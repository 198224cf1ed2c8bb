"""Makes the exporters: OTLP over HTTP or gRPC, and the console, which gets one line for each span, record or series."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, LogRecordExporter
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter, MetricExporter, MetricsData
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from . import environment
from .handle import TelemetryError

__all__ = ["console_logs", "console_metrics", "console_spans", "otlp"]


def _over_http(signal: str) -> Any:
    if signal == "traces":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter
    if signal == "metrics":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter


def _over_grpc(signal: str) -> Any:
    if signal == "traces":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter
    if signal == "metrics":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

    return OTLPLogExporter


def otlp(signal: str, endpoint: str | bool | None) -> Any:
    """The OTLP exporter of ``signal``, by the protocol that the environment names.

    Args:
        signal: "traces", "metrics" or "logs".
        endpoint: of the collector, without the signal's path; anything else takes that of the environment.

    Raises:
        TelemetryError: the extra ``otlp`` is not installed.
    """
    over_grpc = environment.protocol(signal) == "grpc"
    try:
        exporter = _over_grpc(signal) if over_grpc else _over_http(signal)
    except ImportError as error:
        raise TelemetryError("exporting by OTLP needs the extra: pip install 'h2o-otel[otlp]'") from error
    if not isinstance(endpoint, str):
        return exporter()
    return exporter(endpoint=endpoint if over_grpc else f"{endpoint.rstrip('/')}/v1/{signal}")


def _printable(document: str) -> str:
    """A line of JSON; its writer escapes all that is not ASCII and all controls but one."""
    return document.replace("\x7f", "\\u007f") + "\n"


def console_spans() -> SpanExporter:
    return ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: _printable(span.to_json(indent=None)))


def console_logs() -> LogRecordExporter:
    return ConsoleLogRecordExporter(out=sys.stdout, formatter=lambda record: _printable(record.to_json(indent=None)))


def console_metrics() -> MetricExporter:
    """Prints a line for each series that changed since the last time."""
    changes = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)
    return ConsoleMetricExporter(out=sys.stdout, formatter=_Lines(), preferred_temporality=changes)  # type: ignore[arg-type]


class _Lines:
    """Points as lines; those of gauges and sums that go both ways only when they changed."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Any] = {}

    def __call__(self, data: MetricsData) -> str:
        return "".join(_printable(line) for line in self._lines(data))

    def _lines(self, data: MetricsData) -> Iterator[str]:
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        line = self._line(metric, point)
                        if line:
                            yield line

    def _line(self, metric: Any, point: Any) -> str:
        labels = json.dumps(dict(point.attributes), default=str)
        if hasattr(point, "count"):
            if not point.count:
                return ""
            value: Any = f"count={point.count} sum={point.sum:g} min={point.min:g} max={point.max:g}"
        else:
            value = point.value
            if getattr(metric.data, "aggregation_temporality", None) is AggregationTemporality.DELTA:
                if not value:
                    return ""
            elif self._last.get((metric.name, labels)) == value:
                return ""
            else:
                self._last[metric.name, labels] = value
        return f"{metric.name}{labels} {value} {metric.unit}"
