"""Private names of the SDK's metrics: our points beside the SDK's, readers, Views; see ``_sdk_check``.

opentelemetry-python has no MetricProducer, so ``CountersReader`` adds our points inside each reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics as metrics_api
from opentelemetry.metrics import _internal as metrics_internal
from opentelemetry.sdk.metrics import (
    Histogram,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricReader,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

__all__ = [
    "CountersReader",
    "METER",
    "SERVER_NAMES",
    "counting_reader_class",
    "counting_readers",
    "has_foreign_reader",
    "meter_provider",
    "meters_count",
    "preferences",
    "prefers_exponential",
    "recorded_elsewhere",
    "temporality",
    "views_by_name",
    "when_meter_provider_is_set",
]

_SDK_KINDS: dict[str, str] = {
    "counter": "_Counter",
    "updowncounter": "_UpDownCounter",
    "histogram": "_Histogram",
    "gauge": "_ObservableGauge",
}


# The SDK's instrument classes for our instruments, where a reader does not add our points itself.
_OBSERVED = {"counter": ObservableCounter, "updowncounter": ObservableUpDownCounter, "histogram": Histogram, "gauge": ObservableGauge}


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
    """The SDK's metrics without those that our points replace: of our own meter, and of instrumentation of the same server."""
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
    """Whether ``provider`` has a reader that does not add the points of this package."""
    if not isinstance(provider, MeterProvider):
        return True  # not the SDK's: its readers are unknown
    return any(not isinstance(reader, CountersReader) for reader in _readers(provider))


def prefers_exponential(reader: Any) -> bool:
    """Whether ``reader`` wants histograms with exponential buckets."""
    preferred = getattr(reader, "_instrument_class_aggregation", {})
    return any(
        cls.__name__ == _SDK_KINDS["histogram"] and isinstance(how, ExponentialBucketHistogramAggregation) for cls, how in preferred.items()
    )


def _views(provider: Any) -> tuple[Any, ...]:
    return tuple(getattr(getattr(provider, "_sdk_config", None), "views", ()))


def views_by_name(provider: Any, instruments: Mapping[str, tuple[str, str]], version: str, schema_url: str) -> dict[str, bool]:
    """The instruments of this package that Views of ``provider`` match, and whether all of these drop them.

    Args:
        instruments: kind and unit by name.
        version, schema_url: of our meter.
    """
    found: dict[str, bool] = {}
    every = _views(provider)
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


def preferences(exporter: Any) -> tuple[Any, Any]:
    """Temporality and aggregation that a metric exporter prefers."""
    return exporter._preferred_temporality, exporter._preferred_aggregation
