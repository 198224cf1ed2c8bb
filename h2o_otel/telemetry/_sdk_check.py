"""Checks that the installed OpenTelemetry SDK still has each private name that the ``_sdk_*`` modules use.

Only these modules use private names; a test calls ``check`` and fails first when a release changes one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry._logs import _internal as logs_internal
from opentelemetry.metrics import _internal as metrics_internal
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics import export as metrics_export
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from . import _sdk_context, _sdk_metrics, _sdk_providers, _sdk_spans

__all__ = ["check"]


def check() -> list[str]:
    """The private names that the installed SDK no longer has; empty when it has all of them."""
    missing: list[str] = []

    def want(condition: bool, name: str) -> None:
        if not condition:
            missing.append(name)

    for check_topic in (_check_context, _check_metrics, _check_spans, _check_providers):
        check_topic(want)
    return missing


def _check_context(want: Callable[[bool, str], None]) -> None:
    want(_sdk_context._context_variable is not None, "opentelemetry.context._RUNTIME_CONTEXT._current_context")
    want(hasattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY"), "opentelemetry.context._SUPPRESS_INSTRUMENTATION_KEY")
    want(list(_sdk_context.propagators_of(CompositePropagator([]))) == [], "CompositePropagator._propagators")


def _check_metrics(want: Callable[[bool, str], None]) -> None:
    reader = metrics_export.InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    want(_sdk_metrics._readers(meters) == [reader], "MeterProvider._measurement_consumer._reader_storages")
    meters.get_meter("check").create_histogram("http.server.request.duration")
    want(
        _sdk_metrics.recorded_elsewhere(meters) == {"http.server.request.duration"},
        "MeterProvider._meters, Meter._instrument_id_instrument",
    )
    meters.shutdown()
    viewed = MeterProvider(views=[View(instrument_name="check.*", aggregation=DropAggregation())], shutdown_on_exit=False)
    matched = _sdk_metrics.views_by_name(viewed, {"check.one": ("histogram", "s"), "other": ("counter", "By")}, "", "")
    want(matched == {"check.one": True}, "MeterProvider._sdk_config.views, View._match, View._aggregation")
    exponential = metrics_export.InMemoryMetricReader(preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()})
    want(
        _sdk_metrics.prefers_exponential(exponential) and not _sdk_metrics.prefers_exponential(reader),
        "MetricReader._instrument_class_aggregation",
    )
    waiting = getattr(getattr(metrics_internal, "_PROXY_METER_PROVIDER", None), "_meters", None)
    want(isinstance(waiting, list), "opentelemetry.metrics._internal._PROXY_METER_PROVIDER._meters")
    unset = (trace.ProxyTracerProvider, metrics_internal._ProxyMeterProvider, logs_internal.ProxyLoggerProvider)
    want(all(_sdk_providers.is_unset(object.__new__(cls)) for cls in unset), "the API's Proxy*Provider")
    names = {cls.__name__ for cls in getattr(reader, "_instrument_class_temporality", {})}
    want(set(_sdk_metrics._SDK_KINDS.values()) <= names, "MetricReader._instrument_class_temporality with the SDK's instrument classes")
    parameters = list(inspect.signature(MetricReader._receive_metrics).parameters)
    want(parameters[:3] == ["self", "metrics_data", "timeout_millis"], "MetricReader._receive_metrics(metrics_data, timeout_millis)")
    exporter = metrics_export.ConsoleMetricExporter()
    preferred = hasattr(exporter, "_preferred_temporality")
    want(preferred and hasattr(exporter, "_preferred_aggregation"), "MetricExporter._preferred_temporality")


def _check_spans(want: Callable[[bool, str], None]) -> None:
    rules = _sdk_spans.SamplerRules(sampling.ParentBased(sampling.TraceIdRatioBased(0.5)))
    want(
        (rules.root, rules.remote_on, rules.remote_off, rules.local_on, rules.local_off)
        == (1 << 63, _sdk_spans.ON, _sdk_spans.OFF, _sdk_spans.ON, _sdk_spans.OFF),
        "the delegates of sampling.ParentBased, StaticSampler._decision",
    )
    made, quick = (
        SpanContext(5, 6, True, TraceFlags(1)),
        _sdk_spans.span_context((5, 6, True, TraceFlags(1), trace.DEFAULT_TRACE_STATE, True)),
    )
    names_of = ("trace_id", "span_id", "is_remote", "trace_flags", "trace_state", "is_valid")
    want(made == quick and all(getattr(made, n) == getattr(quick, n) for n in names_of), "SpanContext as a tuple of six")
    provider = TracerProvider(shutdown_on_exit=False)
    access = _sdk_spans.tracer_access(provider, "check", "", "")
    usable = access is not None and access.enabled and access.scope.name == "check"
    want(usable, "Tracer._span_limits, ._instrumentation_scope, ._is_enabled")
    want(hasattr(provider._active_span_processor, "_span_processors"), "SynchronousMultiSpanProcessor._span_processors")
    fields = set(vars(ReadableSpan("check")))
    span = _sdk_spans.LiveSpan(access, "check", trace.INVALID_SPAN_CONTEXT, None, SpanKind.INTERNAL, 0, {}) if access else None
    mine = {*vars(_sdk_spans.LiveSpan), *vars(span)} if span else set()
    want(fields <= mine, f"the fields of ReadableSpan: {sorted(fields - mine)} are new")


def _check_providers(want: Callable[[bool, str], None]) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    batch = BatchSpanProcessor(ConsoleSpanExporter(), schedule_delay_millis=1e6)
    want(hasattr(getattr(getattr(batch, "_batch_processor", None), "_queue", None), "maxlen"), "BatchSpanProcessor._batch_processor._queue")
    worker = _sdk_providers.begin_shutdown(batch)
    want(worker is not None and _sdk_providers.parts_of([provider]) == [], "TracerProvider._active_span_processor")
    if worker is not None:
        worker.join(5.0)
        want(not worker.is_alive(), "BatchProcessor._shutdown, ._worker_awaken, ._worker_thread")
    _sdk_providers.close_exporter(batch)
    loggers = LoggerProvider(shutdown_on_exit=False)
    want(_sdk_providers.parts_of([loggers]) == [], "LoggerProvider._multi_log_record_processor._log_record_processors")
    periodic = PeriodicExportingMetricReader(metrics_export.ConsoleMetricExporter(), math.inf)
    names = {"_shutdown_once", "_shutdown_event", "_daemon_thread", "_exporter"}
    want(names <= set(vars(periodic)), "PeriodicExportingMetricReader._shutdown_once, ._shutdown_event, ._daemon_thread, ._exporter")
