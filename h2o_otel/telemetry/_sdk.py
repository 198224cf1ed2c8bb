"""Every private name of the OpenTelemetry SDK that this package touches, and nothing else does.

opentelemetry-python has no MetricProducer, no cheap way to decide sampling and no way to hand
over a finished span, so these reach inside.  ``check()`` says what an SDK release changed; a test
calls it.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import math
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace
from opentelemetry._logs import _internal as logs_internal
from opentelemetry.context import Context
from opentelemetry.metrics import _internal as metrics_internal
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import (
    Histogram,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
)
from opentelemetry.sdk.metrics import export as metrics_export
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

__all__ = [
    "CUSTOM",
    "OFF",
    "ON",
    "SPAN_KEY",
    "SUPPRESS_HTTP_KEY",
    "SUPPRESS_KEY",
    "LiveSpan",
    "SamplerRules",
    "TracerAccess",
    "begin_shutdown",
    "check",
    "clip",
    "close_exporter",
    "counting_reader_class",
    "context_variable",
    "current_context",
    "global_textmap",
    "has_plain_ids",
    "id_calls",
    "make_current",
    "parts_of",
    "propagators_of",
    "starters",
    "temporality",
]

# What a sampler decides where that needs no call: a ratio is a bound >= 0 on the low 64 bits of the trace id.
OFF, ON, CUSTOM = -1, -2, -3

_SDK_KINDS: dict[str, str] = {
    "counter": "_Counter",
    "updowncounter": "_UpDownCounter",
    "histogram": "_Histogram",
    "gauge": "_ObservableGauge",
}
# What carries our instruments where a reader is not ours.
_OBSERVED = {"counter": ObservableCounter, "updowncounter": ObservableUpDownCounter, "histogram": Histogram, "gauge": ObservableGauge}

_context_variable: Any = getattr(getattr(context_api, "_RUNTIME_CONTEXT", None), "_current_context", None)


# True in the context of an exporter, whose own requests must not be traced.
SUPPRESS_KEY: str = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")


# True where other instrumentation has a span for the HTTP request that is about to be made.
SUPPRESS_HTTP_KEY: str = getattr(context_api, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation")


# The same for a context that is written without being entered; None where OpenTelemetry keeps it elsewhere.
context_variable: contextvars.ContextVar[Context] | None = _context_variable if type(_context_variable) is contextvars.ContextVar else None

# Called inside a ``contextvars.Context`` that nobody runs yet, with the OpenTelemetry context to be current there.
make_current: Callable[[Context], Any] = context_api.attach if _context_variable is None else _context_variable.set

# The OpenTelemetry context that is current where it is called.
current_context: Callable[[], Context] = context_api.get_current if _context_variable is None else _context_variable.get


def _span_key() -> str:
    """The key under which a context holds its span; made with a random suffix when the API is imported."""
    probe = trace.set_span_in_context(trace.INVALID_SPAN, Context())
    return next(iter(probe))


SPAN_KEY = _span_key()


# -- metrics


def temporality(reader: Any, kind: str) -> AggregationTemporality:
    """Cumulative or delta, as ``reader`` prefers it for instruments of ``kind``."""
    for cls, value in reader._instrument_class_temporality.items():
        if cls.__name__ == _SDK_KINDS[kind]:
            found: AggregationTemporality = value
            return found
    return AggregationTemporality.CUMULATIVE


Produce = Callable[[Any], Sequence[ScopeMetrics]]

METER = "h2o_otel"
# Instruments of servers that other instrumentation (FastAPI's own, the contrib packages) records for the same requests.
SERVER_NAMES = frozenset(
    {
        "http.server.request.duration",
        "http.server.active_requests",
        "http.server.request.body.size",
        "http.server.response.body.size",
    }
)

if TYPE_CHECKING:
    _ReaderBase = MetricReader
else:
    _ReaderBase = object


class CountersReader(_ReaderBase):
    """In front of any ``MetricReader``: adds the points made by ``h2o_produce`` to what the SDK collected.

    Attributes:
        h2o_produce: makes our points.
        h2o_claims: names that are shown beside this reader, without it adding them.
        h2o_left: names that the SDK's own instruments show to this reader, since a View or its aggregation asks for it.
    """

    h2o_produce: Produce | None = None
    h2o_claims: Callable[[], frozenset[str]] | None = None
    h2o_left: frozenset[str] = frozenset()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        if metrics_data is not None and metrics_data.resource_metrics:
            first, *rest = metrics_data.resource_metrics
            ours: list[ScopeMetrics] = []
            claimed: frozenset[str] = frozenset() if self.h2o_claims is None else self.h2o_claims()
            if self.h2o_produce is not None:
                ours = [_without(scope, self.h2o_left) for scope in self.h2o_produce(self)]
                claimed |= frozenset(metric.name for scope in ours for metric in scope.metrics)
            if claimed:
                scopes = [*_once(first.scope_metrics, claimed - self.h2o_left), *ours]
                metrics_data = MetricsData([ResourceMetrics(first.resource, scopes, first.schema_url), *rest])
        super()._receive_metrics(metrics_data, timeout_millis=timeout_millis, **kwargs)  # type: ignore[safe-super]


def _without(scope: ScopeMetrics, names: frozenset[str]) -> ScopeMetrics:
    if not names:
        return scope
    return ScopeMetrics(scope.scope, [metric for metric in scope.metrics if metric.name not in names], scope.schema_url)


def _once(scopes: Sequence[ScopeMetrics], claimed: frozenset[str]) -> list[ScopeMetrics]:
    """What the SDK collected, less what our points say already: by our own instruments, or by others that watch our server."""
    mine = {metric.name for scope in scopes if scope.scope.name == METER for metric in scope.metrics}
    twice = (claimed | mine) & SERVER_NAMES
    found = []
    for scope in scopes:
        kept = _without(scope, claimed if scope.scope.name == METER else twice)
        if kept.metrics:
            found.append(kept)
    return found


_reader_classes: dict[type, type] = {}


def counting_reader_class(cls: type[MetricReader]) -> type[MetricReader]:
    """``cls`` with ``CountersReader`` in front of it."""
    found = _reader_classes.get(cls)
    if found is None:
        found = _reader_classes[cls] = type(f"H2O{cls.__name__}", (CountersReader, cls), {})
    return found


def _readers(provider: Any) -> list[Any]:
    consumer = getattr(provider, "_measurement_consumer", None)
    return list(getattr(consumer, "_reader_storages", ()))


def counting_readers(provider: Any) -> list[Any]:
    """The readers with ``CountersReader`` in front that ``provider`` has."""
    return [reader for reader in _readers(provider) if isinstance(reader, CountersReader)]


def has_foreign_reader(provider: Any) -> bool:
    """Whether somebody reads ``provider`` with a reader that does not add our points."""
    if not isinstance(provider, MeterProvider):
        return True  # not the SDK's: nobody can know
    return any(not isinstance(reader, CountersReader) for reader in _readers(provider))


def prefers_exponential(reader: Any) -> bool:
    """Whether ``reader`` wants histograms with exponential buckets."""
    preferred = getattr(reader, "_instrument_class_aggregation", {})
    return any(
        cls.__name__ == _SDK_KINDS["histogram"] and isinstance(how, ExponentialBucketHistogramAggregation) for cls, how in preferred.items()
    )


def views(provider: Any) -> tuple[Any, ...]:
    return tuple(getattr(getattr(provider, "_sdk_config", None), "views", ()))


def views_by_name(provider: Any, instruments: Mapping[str, tuple[str, str]], version: str, schema_url: str) -> dict[str, bool]:
    """The instruments of ours that Views of ``provider`` match, and whether all of these drop them.

    Args:
        instruments: kind and unit by name.
        version, schema_url: of our meter.
    """
    found: dict[str, bool] = {}
    every = views(provider)
    scope = InstrumentationScope(METER, version, schema_url)
    for name, (kind, unit) in instruments.items() if every else ():
        cls: Any = _OBSERVED[kind]
        instrument = object.__new__(cls)
        instrument.name, instrument.unit, instrument.instrumentation_scope = name, unit, scope
        matching = [view for view in every if view._match(instrument)]
        if matching:
            found[name] = all(isinstance(view._aggregation, DropAggregation) for view in matching)
    return found


def recorded_elsewhere(provider: Any) -> frozenset[str]:
    """Which of ``SERVER_NAMES`` another meter of ``provider`` has an instrument for."""
    found: set[str] = set()
    for scope, meter in list(getattr(provider, "_meters", {}).items()):
        if scope.name != METER:
            found.update(instrument.name for instrument in list(getattr(meter, "_instrument_id_instrument", {}).values()))
    return SERVER_NAMES & found


def meters_count(provider: Any) -> int:
    """Changes when ``recorded_elsewhere`` may."""
    return len(getattr(provider, "_meters", ()))


class _Listener:
    """Stands among the meters that wait for the global provider."""

    def __init__(self, call: Callable[[Any], object]) -> None:
        self._call = call

    def on_set_meter_provider(self, provider: Any) -> None:
        self._call(provider)


def meter_provider() -> Any:
    """The global MeterProvider, or None while none is set."""
    found = metrics_api.get_meter_provider()
    return None if type(found).__name__ in ("_ProxyMeterProvider", "NoOpMeterProvider") else found


def when_meter_provider_is_set(call: Callable[[Any], object]) -> None:
    """Have ``call`` run with the global MeterProvider as soon as the application sets one."""
    waiting = getattr(getattr(metrics_internal, "_PROXY_METER_PROVIDER", None), "_meters", None)
    if isinstance(waiting, list):
        waiting.append(_Listener(call))


def is_shut_down(provider: Any) -> bool:
    """Whether ``provider`` gives out nothing any more."""
    return bool(getattr(provider, "_shutdown", False) or getattr(provider, "_disabled", False))


def is_unset(provider: Any) -> bool:
    """Whether ``provider`` is what the API gives while the application has set none."""
    return type(provider).__name__ in ("ProxyTracerProvider", "_ProxyMeterProvider", "ProxyLoggerProvider")


# -- traces


class SamplerRules:
    """What ``sampler`` decides for each kind of parent, as ``ON``, ``OFF``, a bound, or ``CUSTOM``."""

    __slots__ = ("local_off", "local_on", "remote_off", "remote_on", "root")

    def __init__(self, sampler: Any) -> None:
        if isinstance(sampler, sampling.ParentBased) and type(sampler).should_sample is sampling.ParentBased.should_sample:
            self.root = _rule(sampler._root)
            self.remote_on = _rule(sampler._remote_parent_sampled)
            self.remote_off = _rule(sampler._remote_parent_not_sampled)
            self.local_on = _rule(sampler._local_parent_sampled)
            self.local_off = _rule(sampler._local_parent_not_sampled)
        else:
            self.root = self.remote_on = self.remote_off = self.local_on = self.local_off = _rule(sampler)


def _rule(sampler: Any) -> int:
    method = type(sampler).should_sample
    if method is sampling.StaticSampler.should_sample:
        if sampler._decision is sampling.Decision.DROP:
            return OFF
        return ON if sampler._decision is sampling.Decision.RECORD_AND_SAMPLE else CUSTOM
    if method is sampling.TraceIdRatioBased.should_sample:
        return int(sampler.bound)
    return CUSTOM


class TracerAccess:
    """What a finished span needs from the SDK's tracer, read once."""

    __slots__ = (
        "attribute_length_max",
        "attributes_max",
        "events_max",
        "ids",
        "links_max",
        "processor",
        "random_flag",
        "resource",
        "rules",
        "sampler",
        "scope",
        "tracer",
    )

    def __init__(self, tracer: sdk_trace.Tracer) -> None:
        limits = tracer._span_limits
        self.tracer = tracer
        self.sampler = tracer.sampler
        self.rules = SamplerRules(tracer.sampler)
        self.ids = tracer.id_generator
        # Trace Context level 2; releases of the SDK before 1.40 do not know the flag.
        is_random = getattr(tracer.id_generator, "is_trace_id_random", None)
        self.random_flag = 2 if is_random is not None and is_random() else 0
        self.scope = tracer._instrumentation_scope
        self.attributes_max: int | None = limits.max_span_attributes
        self.attribute_length_max: int | None = limits.max_span_attribute_length
        self.events_max: int | None = limits.max_events
        self.links_max: int | None = limits.max_links
        self.resource = tracer.resource
        self.processor: Any = tracer.span_processor

    @property
    def enabled(self) -> bool:
        is_enabled = getattr(self.tracer, "_is_enabled", None)
        return is_enabled is None or bool(is_enabled())

    @property
    def in_order(self) -> bool:
        """Whether ``processor`` does no more than to call those in its tuple ``_span_processors``, one after the other."""
        return type(self.processor) is sdk_trace.SynchronousMultiSpanProcessor


def starters(processors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Those that do something in ``on_start``: the SDK's exporting ones do not."""
    idle = (SpanProcessor.on_start, BatchSpanProcessor.on_start, SimpleSpanProcessor.on_start)
    return tuple(p for p in processors if type(p).on_start not in idle)


def has_plain_ids(generator: Any) -> bool:
    """Whether its ids are random bits and nothing else: the SDK's own class, not one derived from it."""
    return type(generator) is RandomIdGenerator


def id_calls(generator: Any) -> tuple[Callable[[], int], Callable[[], int]]:
    """What makes trace ids and span ids; for the SDK's own generator without its Python around the random bits.

    The caller asks again for an id of 0, which is invalid.
    """
    if has_plain_ids(generator):
        return functools.partial(random.getrandbits, 128), functools.partial(random.getrandbits, 64)
    return generator.generate_trace_id, generator.generate_span_id


# ``SpanContext`` without the range checks of its constructor, which are Python and have no question left
# for ids that our parser or the id generator made: (trace id, span id, remote, flags, state, valid).
span_context: Callable[[tuple[Any, ...]], SpanContext] = functools.partial(tuple.__new__, SpanContext)


_UNSET = Status(StatusCode.UNSET)


class LiveSpan(trace.Span, ReadableSpan):
    """The span of a sampled request: what the application sees as current, and what is exported at its end.

    It is the exported object itself, so that nothing is built twice.  ``end()`` called by the
    application does nothing: the runtime ends its own spans, through ``close``.
    """

    _h2o_access: TracerAccess
    # What few spans have is set on those alone.
    _h2o_dropped = 0
    _instrumentation_info = None
    _end_time: int | None = None
    _events: Sequence[Any] = ()
    _links: Sequence[Link] = ()
    _status = _UNSET

    def __init__(
        self,
        access: TracerAccess,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        start_time: int,
        attributes: dict[str, Any],
    ) -> None:
        self._h2o_access = access
        self._name = name
        self._context: SpanContext = context
        self._kind = kind
        self._instrumentation_scope = access.scope
        self._parent = parent
        self._start_time = start_time
        self._attributes: dict[str, Any] = attributes
        self._resource = access.resource

    def get_span_context(self) -> SpanContext:
        return self._context

    @property
    def dropped_attributes(self) -> int:
        return self._h2o_dropped

    def is_recording(self) -> bool:
        return self._end_time is None

    def set_attribute(self, key: str, value: Any) -> None:
        attributes = self._attributes
        limit = self._h2o_access.attributes_max
        if self._end_time is not None:
            return
        if limit is not None and len(attributes) >= limit and key not in attributes:
            self._h2o_dropped += 1
            return
        length = self._h2o_access.attribute_length_max
        attributes[key] = value[:length] if length is not None and isinstance(value, str) else value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        limit = self._h2o_access.events_max
        if self._end_time is None and (limit is None or len(self._events) < limit):
            self._events = [*self._events, sdk_trace.Event(name, attributes, time_ns() if timestamp is None else timestamp)]

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        limit = self._h2o_access.links_max
        if self._end_time is None and (limit is None or len(self._links) < limit):
            self._links = [*self._links, Link(context, attributes)]

    def update_name(self, name: str) -> None:
        if self._end_time is None:
            self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self._end_time is not None or self._status.status_code is StatusCode.OK:
            return
        new = status if isinstance(status, Status) else Status(status, description)
        if new.status_code is not StatusCode.UNSET:
            self._status = new

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        import traceback

        fields: dict[str, Any] = {
            "exception.type": f"{type(exception).__module__}.{type(exception).__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
        }
        if type(exception).__module__ == "builtins":
            fields["exception.type"] = type(exception).__qualname__
        fields.update(attributes or {})
        self.add_event("exception", fields, timestamp)

    def end(self, end_time: int | None = None) -> None:
        return None


def clip(live: LiveSpan) -> None:
    """Hold the attributes of an ending span to the limits that the application gave its provider."""
    access = live._h2o_access
    fields = live._attributes
    if access.attributes_max is not None:
        for name in list(fields)[access.attributes_max :]:
            del fields[name]
            live._h2o_dropped += 1
    length = access.attribute_length_max
    if length is not None:
        for name, value in fields.items():
            if isinstance(value, str) and len(value) > length:
                fields[name] = value[:length]


def span_dropped(processor: Any) -> bool:
    """Whether ``processor``, a ``BatchSpanProcessor``, drops a span with the next one."""
    queue = processor._batch_processor._queue
    return queue.maxlen is not None and len(queue) >= queue.maxlen


def tracer_access(provider: Any, name: str, version: str, schema_url: str) -> TracerAccess | None:
    """Access to the SDK's tracer of ``provider``, or None where the provider is not the SDK's."""
    if not isinstance(provider, TracerProvider):
        return None
    tracer = provider.get_tracer(name, version, schema_url)
    return TracerAccess(tracer) if isinstance(tracer, sdk_trace.Tracer) else None


def preferences(exporter: Any) -> tuple[Any, Any]:
    """Temporality and aggregation that a metric exporter prefers."""
    return exporter._preferred_temporality, exporter._preferred_aggregation


# -- propagation


def propagators_of(textmap: Any) -> Sequence[Any]:
    """The propagators that ``textmap`` puts together, or itself alone."""
    if type(textmap) is CompositePropagator:
        found: Sequence[Any] = textmap._propagators
        return found
    return [textmap]


def global_textmap(get: Callable[[], Any]) -> Callable[[], Any]:
    """``propagate.get_global_textmap``, without a Python frame for each request: the same variable, read from its module."""
    name = "_HTTP_TEXT_FORMAT"
    names: dict[str, Any] = getattr(get, "__globals__", {})
    return functools.partial(names.get, name) if name in names else get


# -- the end


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


def can_add_reader(provider: Any) -> bool:
    return isinstance(provider, MeterProvider) and hasattr(provider, "add_metric_reader")


def check() -> list[str]:
    """What the installed SDK no longer has, as sentences; empty when all is well."""
    missing: list[str] = []

    def want(condition: bool, what: str) -> None:
        if not condition:
            missing.append(what)

    reader = metrics_export.InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    want(_readers(meters) == [reader], "MeterProvider._measurement_consumer._reader_storages")
    meters.get_meter("check").create_histogram("http.server.request.duration")
    want(recorded_elsewhere(meters) == {"http.server.request.duration"}, "MeterProvider._meters, Meter._instrument_id_instrument")
    meters.shutdown()
    viewed = MeterProvider(views=[View(instrument_name="check.*", aggregation=DropAggregation())], shutdown_on_exit=False)
    matched = views_by_name(viewed, {"check.one": ("histogram", "s"), "other": ("counter", "By")}, "", "")
    want(matched == {"check.one": True}, "MeterProvider._sdk_config.views, View._match, View._aggregation")
    exponential = metrics_export.InMemoryMetricReader(preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()})
    want(prefers_exponential(exponential) and not prefers_exponential(reader), "MetricReader._instrument_class_aggregation")
    waiting = getattr(getattr(metrics_internal, "_PROXY_METER_PROVIDER", None), "_meters", None)
    want(isinstance(waiting, list), "opentelemetry.metrics._internal._PROXY_METER_PROVIDER._meters")
    unset = (trace.ProxyTracerProvider, metrics_internal._ProxyMeterProvider, logs_internal.ProxyLoggerProvider)
    want(all(is_unset(object.__new__(cls)) for cls in unset), "the API's Proxy*Provider")
    names = {cls.__name__ for cls in getattr(reader, "_instrument_class_temporality", {})}
    want(set(_SDK_KINDS.values()) <= names, "MetricReader._instrument_class_temporality with the SDK's instrument classes")
    parameters = list(inspect.signature(MetricReader._receive_metrics).parameters)
    want(parameters[:3] == ["self", "metrics_data", "timeout_millis"], "MetricReader._receive_metrics(metrics_data, timeout_millis)")
    want(_context_variable is not None, "opentelemetry.context._RUNTIME_CONTEXT._current_context")
    want(hasattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY"), "opentelemetry.context._SUPPRESS_INSTRUMENTATION_KEY")
    rules = SamplerRules(sampling.ParentBased(sampling.TraceIdRatioBased(0.5)))
    want(
        (rules.root, rules.remote_on, rules.remote_off, rules.local_on, rules.local_off) == (1 << 63, ON, OFF, ON, OFF),
        "the delegates of sampling.ParentBased, StaticSampler._decision",
    )
    made, quick = SpanContext(5, 6, True, TraceFlags(1)), span_context((5, 6, True, TraceFlags(1), trace.DEFAULT_TRACE_STATE, True))
    names_of = ("trace_id", "span_id", "is_remote", "trace_flags", "trace_state", "is_valid")
    want(made == quick and all(getattr(made, n) == getattr(quick, n) for n in names_of), "SpanContext as a tuple of six")
    provider = TracerProvider(shutdown_on_exit=False)
    access = tracer_access(provider, "check", "", "")
    usable = access is not None and access.enabled and access.scope.name == "check"
    want(usable, "Tracer._span_limits, ._instrumentation_scope, ._is_enabled")
    want(hasattr(provider._active_span_processor, "_span_processors"), "SynchronousMultiSpanProcessor._span_processors")
    exporter = metrics_export.ConsoleMetricExporter()
    preferred = hasattr(exporter, "_preferred_temporality")
    want(preferred and hasattr(exporter, "_preferred_aggregation"), "MetricExporter._preferred_temporality")
    batch = BatchSpanProcessor(ConsoleSpanExporter(), schedule_delay_millis=1e6)
    want(hasattr(getattr(getattr(batch, "_batch_processor", None), "_queue", None), "maxlen"), "BatchSpanProcessor._batch_processor._queue")
    worker = begin_shutdown(batch)
    want(worker is not None and parts_of([provider]) == [], "TracerProvider._active_span_processor")
    if worker is not None:
        worker.join(5.0)
        want(not worker.is_alive(), "BatchProcessor._shutdown, ._worker_awaken, ._worker_thread")
    close_exporter(batch)
    want(list(propagators_of(CompositePropagator([]))) == [], "CompositePropagator._propagators")
    loggers = LoggerProvider(shutdown_on_exit=False)
    want(parts_of([loggers]) == [], "LoggerProvider._multi_log_record_processor._log_record_processors")
    periodic = PeriodicExportingMetricReader(metrics_export.ConsoleMetricExporter(), math.inf)
    names = {"_shutdown_once", "_shutdown_event", "_daemon_thread", "_exporter"}
    want(names <= set(vars(periodic)), "PeriodicExportingMetricReader._shutdown_once, ._shutdown_event, ._daemon_thread, ._exporter")
    fields = set(vars(ReadableSpan("check")))
    span = LiveSpan(access, "check", trace.INVALID_SPAN_CONTEXT, None, SpanKind.INTERNAL, 0, {}) if access else None
    mine = {*vars(LiveSpan), *vars(span)} if span else set()
    want(fields <= mine, f"the fields of ReadableSpan: {sorted(fields - mine)} are new")
    return missing
