"""Builds or finds the three providers of OpenTelemetry and puts our parts into them."""

from __future__ import annotations

import functools
import logging
import os
import sys
import weakref
from collections.abc import Callable, Mapping
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

from . import _sdk_metrics, _sdk_providers, environment, outputs, runtime
from .bridge import follow_global
from .exporters import CountedLogExporter, CountedMetricExporter, CountedSpanExporter, CountedSpanProcessor
from .handle import Telemetry, TelemetryError
from .log_export import capture
from .logs import EventLog, install_handler, remove_handler
from .metrics import Producer
from .spans import Tracing

__all__ = ["Builder", "reader_class"]

_log = logging.getLogger("h2o_otel.telemetry")

# Providers made here: only to these may something be added.
_made: weakref.WeakSet[Any] = weakref.WeakSet()


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
        self._foreign: list[str] = []
        self._asked: dict[str, bool] = {}

    def resource(self, service_name: str | None, extra: Mapping[str, Any] | None) -> None:
        fields = dict(extra or {})
        if service_name and not os.environ.get("OTEL_SERVICE_NAME"):
            fields["service.name"] = service_name
        self._resource = Resource.create(fields)

    def _wanted(self, signal: str) -> environment.Wanted:
        return environment.wanted(signal, self._endpoint, self._console.get(signal))

    # -- whose providers

    def _provider(self, given: Any, found: Any) -> Any:
        """The provider to use: what was given, or the global one; None where one has to be made."""
        if given is not None:
            return given
        if not self._set_global or _sdk_providers.is_unset(found) or (found in _made and _sdk_providers.is_shut_down(found)):
            return None
        return found

    def _made_here(self, provider: Any, global_one: Any, set_global: Callable[[Any], None]) -> None:
        """Keep a provider that was made here, and make it the global one where there is none."""
        _made.add(provider)
        self._telemetry._owned.append(provider)
        if self._set_global and _sdk_providers.is_unset(global_one):
            set_global(provider)

    def _is_mine(self, provider: Any, kind: str) -> bool:
        """Whether exporters may be added; requested ones that may not are named in a warning at the end."""
        if provider in _made:
            return True
        self._foreign.append(kind)
        return False

    def warn_unused(self) -> None:
        """Name in one warning the arguments that do not apply, since the application has providers of its own."""
        asked = {"otlp": bool(self._endpoint), "console": any(self._console.values()), "in_memory": self._in_memory, **self._asked}
        unused = [name for name, value in asked.items() if value]
        if self._foreign and unused:
            _log.warning(
                "telemetry: the application has a %s of its own, which is used as it is: %s of configure() does not apply to it; "
                "give that provider its exporters yourself, or set none before configure()",
                " and a ".join(self._foreign),
                ", ".join(unused),
            )

    # -- metrics

    def metrics(self, given: Any, port: int | None, host: str) -> None:
        telemetry = self._telemetry
        if telemetry.producer is None:
            telemetry.producer = Producer()
        global_one = metrics_api.get_meter_provider()
        provider = self._provider(given, global_one)
        readers: list[Any] = []
        if port is None and (provider is None or provider in _made) and self._wanted("metrics").prometheus:
            host, port = environment.prometheus_address()
        endpoint = None if port is None else self._prometheus(telemetry.producer, port, host)
        if provider is None or self._is_mine(provider, "MeterProvider"):
            readers = self._readers()
            shown = readers if endpoint is None else [*readers, endpoint.reader]
            if provider is not None:
                self._join(provider, shown)
            elif shown:
                provider = MeterProvider(metric_readers=shown, resource=self._resource, shutdown_on_exit=False)
                self._made_here(provider, global_one, metrics_api.set_meter_provider)
        runtime.watch_gc()
        telemetry.readers += readers
        if provider is None:
            if self._set_global:
                follow_global(telemetry)
            return
        telemetry.meter_provider = provider
        for reader in _sdk_metrics.counting_readers(provider):
            if reader.h2o_produce is None and (endpoint is None or reader is not endpoint.reader):
                reader.h2o_produce = telemetry.producer.produce
                if reader not in telemetry.readers:
                    telemetry.readers.append(reader)
        telemetry.bridged(provider)

    def _readers(self) -> list[Any]:
        readers: list[Any] = []
        wanted = self._wanted("metrics")
        periodic = _sdk_metrics.counting_reader_class(PeriodicExportingMetricReader)
        if wanted.otlp:
            readers.append(periodic(CountedMetricExporter(outputs.otlp("metrics", self._endpoint))))  # type: ignore[arg-type]
        if wanted.console:
            readers.append(periodic(CountedMetricExporter(outputs.console_metrics())))  # type: ignore[arg-type]
        if self._in_memory:
            preferred: dict[type, AggregationTemporality] | None = None
            if self._delta:
                preferred = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)
            readers.append(_sdk_metrics.counting_reader_class(InMemoryMetricReader)(preferred))
        return readers

    def _join(self, provider: Any, readers: list[Any]) -> None:
        """Add readers to a provider that an earlier ``configure`` made."""
        for reader in readers:
            provider.add_metric_reader(reader)
            self._telemetry._closers.append(functools.partial(provider.remove_metric_reader, reader))

    def _prometheus(self, producer: Producer, port: int, host: str) -> Any:
        try:
            from .prometheus import PrometheusEndpoint

            endpoint = PrometheusEndpoint(producer, port, host)
        except ImportError as error:
            raise TelemetryError("prometheus_port needs the extra: pip install 'h2o-otel[prometheus]'") from error
        except OSError as error:
            raise TelemetryError(f"the Prometheus endpoint cannot listen on {host}:{port}: {error.strerror or error}") from error
        self._telemetry.prometheus = endpoint
        self._telemetry._closers.append(endpoint.close)
        return endpoint

    def observe(self) -> None:
        """Our numbers on the global meter, for whatever reader the application puts behind it."""
        self._telemetry.producer = Producer()
        follow_global(self._telemetry)
        runtime.watch_gc()

    # -- traces

    def traces(self, given: Any, sample_ratio: float | None, detail: bool) -> None:
        telemetry = self._telemetry
        global_one = trace_api.get_tracer_provider()
        found = self._provider(given, global_one)
        if found is None:
            sampler = None if sample_ratio is None else ParentBased(TraceIdRatioBased(sample_ratio))
            found = TracerProvider(sampler=sampler, resource=self._resource, shutdown_on_exit=False)
            self._made_here(found, global_one, trace_api.set_tracer_provider)
        elif found is not telemetry.tracer_provider or sample_ratio is not None:
            self._asked["sample_ratio"] = sample_ratio is not None
        if self._is_mine(found, "TracerProvider"):
            self._span_processors(found)
        elif not isinstance(found, TracerProvider):
            _log.warning(
                "telemetry: the application's TracerProvider is a %s, not the SDK's: no spans are recorded", type(found).__qualname__
            )
        if telemetry.tracing is None or telemetry.tracer_provider is not found or telemetry.tracing.detail != detail:
            telemetry.tracing = Tracing(found, detail)
        telemetry.tracer_provider = found

    def _span_processors(self, provider: TracerProvider) -> None:
        telemetry = self._telemetry
        wanted = self._wanted("traces")
        if wanted.otlp:
            provider.add_span_processor(CountedSpanProcessor(CountedSpanExporter(outputs.otlp("traces", self._endpoint))))
        if wanted.console:
            provider.add_span_processor(CountedSpanProcessor(CountedSpanExporter(outputs.console_spans())))
        if self._in_memory:
            telemetry.span_exporter = InMemorySpanExporter()
            provider.add_span_processor(SimpleSpanProcessor(telemetry.span_exporter))

    # -- logs

    def handler(self, style: str, level: str, stream: TextIO | None, lines_per_s: float) -> None:
        try:
            handler = install_handler(style, level, stream, lines_per_s)
        except ValueError as error:
            raise TelemetryError(str(error)) from error
        before, self._telemetry.log_handler = self._telemetry.log_handler, handler
        if before is not None:
            # One line for each event: the last call says how it is written.
            logging.getLogger("h2o_otel").removeHandler(before)
        self._telemetry._closers.append(lambda: remove_handler(handler))

    def events(self, given: Any, lines_per_s: float, *, export: bool = True, captured: str | None = None) -> None:
        telemetry = self._telemetry
        if not export:
            telemetry.events = EventLog(NoOpLoggerProvider(), lines_per_s)
            return
        global_one: Any = logs_api.get_logger_provider()
        found = self._provider(given, global_one)
        wanted = self._wanted("logs")
        if found is None and (wanted.otlp or wanted.console or self._in_memory):
            found = LoggerProvider(resource=self._resource, shutdown_on_exit=False)
            self._made_here(found, global_one, logs_api.set_logger_provider)
        if found is None:
            found = global_one if self._set_global else NoOpLoggerProvider()
        elif self._is_mine(found, "LoggerProvider"):
            self._log_processors(found, wanted)
        telemetry.logger_provider = found
        # Ours are exported at their own level, whatever level the application's logging has.
        level = logging.INFO if isinstance(found, LoggerProvider) else sys.maxsize
        telemetry.events = EventLog(found, lines_per_s, export_level=level)
        if captured is not None:
            telemetry._closers.append(capture(found, getattr(logging, captured.upper())))

    def _log_processors(self, provider: LoggerProvider, wanted: environment.Wanted) -> None:
        telemetry = self._telemetry
        if wanted.otlp:
            provider.add_log_record_processor(BatchLogRecordProcessor(CountedLogExporter(outputs.otlp("logs", self._endpoint))))
        if wanted.console:
            provider.add_log_record_processor(BatchLogRecordProcessor(CountedLogExporter(outputs.console_logs())))
        if self._in_memory:
            telemetry.log_exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
            provider.add_log_record_processor(SimpleLogRecordProcessor(telemetry.log_exporter))


def reader_class(cls: type[MetricReader]) -> type[MetricReader]:
    """``cls`` with our points added, for applications that build their own ``MeterProvider``.

    The instances need ``configure(meter_provider=...)`` afterwards, which gives them their producer.
    """
    return _sdk_metrics.counting_reader_class(cls)
