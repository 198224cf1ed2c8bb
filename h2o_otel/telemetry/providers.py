"""Builds or finds the three providers of OpenTelemetry and puts our parts into them."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from . import _sdk, environment, outputs, runtime
from .attributes import SCHEMA_URL, VERSION
from .exporters import CountedLogExporter, CountedMetricExporter, CountedSpanExporter, CountedSpanProcessor
from .handle import Telemetry, TelemetryError
from .logs import EventLog, LogsHandler, install_handler, remove_handler
from .metrics import Observables, Producer, register_build_info
from .spans import Tracing

__all__ = ["Builder", "reader_class"]

# The observable instruments of ``default()``; a reader of ours takes over from them.
_observables: list[Observables] = []


class Builder:
    """Fills a ``Telemetry``; each method does one signal."""

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        otlp: str | bool | None = None,
        console: dict[str, bool | None] | None = None,
        in_memory: bool = False,
        delta: bool = False,
        set_global: bool = True,
    ) -> None:
        self._telemetry = telemetry
        self._endpoint = otlp
        self._console = console or {}
        self._in_memory = in_memory
        self._delta = delta
        self._set_global = set_global
        self._resource = Resource.get_empty()

    def resource(self, service_name: str | None, extra: Mapping[str, Any] | None) -> None:
        fields = dict(extra or {})
        if service_name and not os.environ.get("OTEL_SERVICE_NAME"):
            fields["service.name"] = service_name
        self._resource = Resource.create(fields)

    def _wanted(self, signal: str) -> environment.Wanted:
        return environment.wanted(signal, self._endpoint, self._console.get(signal))

    # -- metrics

    def metrics(self, provider: Any, port: int | None, host: str) -> None:
        telemetry = self._telemetry
        producer = telemetry.producer = Producer()
        readers = self._readers()
        if port is None and self._wanted("metrics").prometheus:
            host, port = environment.prometheus_address()
        found = metrics_api.get_meter_provider() if provider is None else provider
        if isinstance(found, MeterProvider):
            self._join(found, readers)
        else:
            found = MeterProvider(metric_readers=readers, resource=self._resource, shutdown_on_exit=False)
            telemetry._owned.append(found)
            if self._set_global and provider is None:
                metrics_api.set_meter_provider(found)
        readers += [reader for reader in _sdk.counting_readers(found) if reader not in readers]
        for reader in readers:
            reader.h2o_produce = producer.produce
        telemetry.readers = readers
        telemetry.meter_provider = found
        if port is not None:
            self._prometheus(found, producer, port, host)
        meter = found.get_meter("h2o_otel", VERSION, SCHEMA_URL)
        register_build_info(meter)
        for observables in _observables:
            observables.enabled = False
        if not readers and port is None and found not in telemetry._owned:
            _observables.append(Observables(meter, producer))
        runtime.watch_gc()

    def _readers(self) -> list[Any]:
        readers: list[Any] = []
        wanted = self._wanted("metrics")
        periodic = _sdk.counting_reader_class(PeriodicExportingMetricReader)
        if wanted.otlp:
            readers.append(periodic(CountedMetricExporter(outputs.otlp("metrics", self._endpoint))))  # type: ignore[arg-type]
        if wanted.console:
            readers.append(periodic(CountedMetricExporter(outputs.console_metrics())))  # type: ignore[arg-type]
        if self._in_memory:
            preferred: dict[type, AggregationTemporality] | None = None
            if self._delta:
                preferred = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)
            readers.append(_sdk.counting_reader_class(InMemoryMetricReader)(preferred))
        return readers

    def _join(self, provider: Any, readers: list[Any]) -> None:
        """Add our readers to the application's own provider."""
        if readers and not _sdk.can_add_reader(provider):
            raise TelemetryError(
                "the application's MeterProvider takes no further readers in this version of the SDK: "
                "give it readers of h2o_otel.telemetry.reader_class(...) itself, or set no provider before configure()"
            )
        for reader in readers:
            provider.add_metric_reader(reader)
            self._telemetry._closers.append(functools.partial(provider.remove_metric_reader, reader))

    def _prometheus(self, provider: Any, producer: Producer, port: int, host: str) -> None:
        try:
            from .prometheus import PrometheusEndpoint

            endpoint = PrometheusEndpoint(producer, port, host)
        except ImportError as error:
            raise TelemetryError("prometheus_port needs the extra: pip install 'h2o-otel[prometheus]'") from error
        except OSError as error:
            raise TelemetryError(f"the Prometheus endpoint cannot listen on {host}:{port}: {error.strerror or error}") from error
        self._telemetry.prometheus = endpoint
        self._telemetry._closers.append(endpoint.close)
        if _sdk.can_add_reader(provider):
            provider.add_metric_reader(endpoint.reader)
            self._telemetry._closers.append(lambda: provider.remove_metric_reader(endpoint.reader))

    def observables(self) -> None:
        """Our numbers on the global meter, for whatever reader the application puts behind it."""
        producer = self._telemetry.producer = Producer()
        meter = metrics_api.get_meter("h2o_otel", VERSION, schema_url=SCHEMA_URL)
        _observables.append(Observables(meter, producer))
        register_build_info(meter)
        runtime.watch_gc()

    # -- traces

    def traces(self, provider: Any, sample_ratio: float | None, detail: bool) -> None:
        telemetry = self._telemetry
        found = trace_api.get_tracer_provider() if provider is None else provider
        if not isinstance(found, TracerProvider):
            sampler = None if sample_ratio is None else ParentBased(TraceIdRatioBased(sample_ratio))
            found = TracerProvider(sampler=sampler, resource=self._resource, shutdown_on_exit=False)
            telemetry._owned.append(found)
            if self._set_global and provider is None:
                trace_api.set_tracer_provider(found)
        wanted = self._wanted("traces")
        if wanted.otlp:
            found.add_span_processor(CountedSpanProcessor(CountedSpanExporter(outputs.otlp("traces", self._endpoint))))
        if wanted.console:
            found.add_span_processor(CountedSpanProcessor(CountedSpanExporter(outputs.console_spans())))
        if self._in_memory:
            telemetry.span_exporter = InMemorySpanExporter()
            found.add_span_processor(SimpleSpanProcessor(telemetry.span_exporter))
        telemetry.tracer_provider = found
        telemetry.tracing = Tracing(found, detail)

    # -- logs

    def handler(self, style: str, level: str, stream: TextIO | None, lines_per_s: float) -> None:
        try:
            handler = install_handler(style, level, stream, lines_per_s)
        except ValueError as error:
            raise TelemetryError(str(error)) from error
        self._telemetry._closers.append(lambda: remove_handler(handler))

    def events(self, provider: Any, lines_per_s: float, *, export: bool = True, capture: bool = False) -> None:
        telemetry = self._telemetry
        if not export:
            telemetry.events = EventLog(NoOpLoggerProvider(), lines_per_s)
            return
        found: Any = logs_api.get_logger_provider() if provider is None else provider
        wanted = self._wanted("logs")
        if (wanted.otlp or wanted.console or self._in_memory) and not isinstance(found, LoggerProvider):
            found = LoggerProvider(resource=self._resource, shutdown_on_exit=False)
            telemetry._owned.append(found)
            if self._set_global and provider is None:
                logs_api.set_logger_provider(found)
        if wanted.otlp:
            found.add_log_record_processor(BatchLogRecordProcessor(CountedLogExporter(outputs.otlp("logs", self._endpoint))))
        if wanted.console:
            found.add_log_record_processor(BatchLogRecordProcessor(CountedLogExporter(outputs.console_logs())))
        if self._in_memory:
            telemetry.log_exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
            found.add_log_record_processor(SimpleLogRecordProcessor(telemetry.log_exporter))
        telemetry.logger_provider = found
        # Ours are exported at their own level, whatever level the application's logging has.
        level = logging.INFO if isinstance(found, LoggerProvider) else sys.maxsize
        telemetry.events = EventLog(found, lines_per_s, export_level=level)
        if capture:
            self._capture(found)

    def _capture(self, provider: Any) -> None:
        handler = LogsHandler(provider)
        logging.getLogger().addHandler(handler)
        self._telemetry._closers.append(lambda: logging.getLogger().removeHandler(handler))


def reader_class(cls: type[MetricReader]) -> type[MetricReader]:
    """``cls`` with our points added, for applications that build their own ``MeterProvider``.

    The instances need ``configure(meter_provider=...)`` afterwards, which gives them their producer.
    """
    return _sdk.counting_reader_class(cls)
