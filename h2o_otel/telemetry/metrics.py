"""From counters to OpenTelemetry points: a producer, shaped as the specification's MetricProducer.

Collection calls it on the reader's thread.  It never reads live objects of the runtime, only
``counters.collect()`` and what ``runtime`` says of the process.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from time import time_ns
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from .. import counters
from ..counters import HistogramValue, Snapshot
from . import environment, runtime
from .attributes import SCHEMA_URL, VERSION
from .catalogue import INSTRUMENTS, Instrument, by_name
from .failures import failed
from .runtime import Readings

__all__ = ["Observables", "Producer", "attributes_of", "read"]

# Families of more series than this give only those that were ever touched: a zero that never
# moves is worth a point (rates see the first increment), hundreds of them are not.
ZEROS_MAX = 24


def _labels(dimensions: tuple[tuple[str, ...], ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for values in dimensions:
        found = [(*labels, value) for labels in found for value in values]
    return found


def _feeders(family: str, labels: tuple[str, ...]) -> frozenset[str]:
    """The components that must be in use before a zero of this series is exported."""
    dimensions = counters.SLOTS[family]
    role = labels[:1] if dimensions and dimensions[0] is counters.ROLES else ()
    return frozenset((*role, *filter(None, [counters.FEEDERS.get(family)])))


def _series(family: str) -> list[tuple[tuple[str, ...], frozenset[str] | None]]:
    """The labels of each series of ``family``, with what makes its zero worth a point; None when nothing does."""
    labels = _labels(counters.SLOTS[family])
    return [(values, _feeders(family, values) if len(labels) <= ZEROS_MAX else None) for values in labels]


_SLOTS = [(i, counters.slot(i.family), _series(i.family)) for i in INSTRUMENTS if i.source == "slots"]
_HISTOGRAMS = [
    (i, counters.histogram_index(i.family), _labels(counters.HISTOGRAMS[i.family][1])) for i in INSTRUMENTS if i.source == "histograms"
]
_LABELLED = [i for i in INSTRUMENTS if i.source == "labelled"]


def attributes_of(instrument: Instrument, labels: tuple[str, ...]) -> dict[str, Any]:
    """Exported attributes of one series; an empty value means that the attribute is absent."""
    found: dict[str, Any] = {}
    for attribute, value in zip(instrument.attributes, labels, strict=True):
        if value == "":
            continue
        if attribute.type == "int" and value.isdecimal():
            found[attribute.name] = int(value)
        elif attribute.type == "boolean" and value in ("true", "false"):
            found[attribute.name] = value == "true"
        else:
            found[attribute.name] = value
    return found


def read(snapshot: Snapshot, process: Readings | None = None) -> Readings:
    """Values by instrument name and labels, scaled to the instrument's unit; series that nothing feeds are left out."""
    found: Readings = {}
    slots = snapshot.slots
    fed = counters.feeders()
    for instrument, start, series in _SLOTS:
        scale = instrument.scale
        values: dict[tuple[str, ...], Any] = {}
        for i, (labels, needed) in enumerate(series, start):
            value = slots[i]
            if value or (needed is not None and needed <= fed):
                values[labels] = value if scale == 1.0 else value * scale
        found[instrument.name] = values
    for instrument, start, all_labels in _HISTOGRAMS:
        recorded = ((labels, snapshot.histograms[i]) for i, labels in enumerate(all_labels, start))
        found[instrument.name] = {labels: value for labels, value in recorded if any(value.counts)}
    for instrument in _LABELLED:
        source: Mapping[tuple[str, ...], Any] = (
            snapshot.labelled_histograms[instrument.family] if instrument.bounds else snapshot.labelled[instrument.family]
        )
        found[instrument.name] = dict(source)
    if process is not None:
        found.update(process)
    return found


def _without_exemplars(readings: Readings) -> Readings:
    return {
        name: {labels: v._replace(exemplars={}) if isinstance(v, HistogramValue) else v for labels, v in values.items()}
        for name, values in readings.items()
    }


def _minus(now: HistogramValue, last: HistogramValue | None, bounds: tuple[float, ...]) -> HistogramValue:
    """The values recorded since ``last``; minimum and maximum are approximated by the edges of the outermost buckets."""
    if last is None:
        return now
    counts = [a - b for a, b in zip(now.counts, last.counts, strict=True)]
    used = [i for i, n in enumerate(counts) if n]
    if not used:
        return HistogramValue(counts, 0.0, 0.0, 0.0, {})
    low = max(now.min, bounds[used[0] - 1]) if used[0] else now.min
    high = min(now.max, bounds[used[-1]]) if used[-1] < len(bounds) else now.max
    fresh = {i: e for i, e in now.exemplars.items() if last.exemplars.get(i) != e}
    return HistogramValue(counts, now.sum - last.sum, low, high, fresh)


class Producer:
    """Makes our ``ScopeMetrics`` for a reader.

    Args:
        collect: where the counters come from.
        process: whether the process instruments are read too.
    """

    def __init__(self, collect: Callable[[], Snapshot] = counters.collect, process: bool = True) -> None:
        self._collect = collect
        self._process = process
        self._exemplars = environment.exemplars_wanted()
        self._scope = InstrumentationScope("h2o_otel", VERSION, SCHEMA_URL)
        self._attributes: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._start_ns = time_ns()
        # The last readings of each reader that prefers delta temporality, and their time.
        self._last: weakref.WeakKeyDictionary[Any, tuple[Readings, int]] = weakref.WeakKeyDictionary()

    def readings(self) -> Readings:
        """The current values, as the other surfaces (Prometheus, console, terminal) want them."""
        found = read(self._collect(), runtime.read_process() if self._process else None)
        return found if self._exemplars else _without_exemplars(found)

    def produce(self, reader: Any = None) -> list[ScopeMetrics]:
        """The points for ``reader``: cumulative, or the change since its last call where it prefers delta.

        With delta, what did not change has no point.
        """
        began = counters.clock()
        if os.getpid() != self._pid:
            self._reset()
        try:
            return self._produce(reader)
        except Exception:
            failed("collecting metrics")
            return []
        finally:
            counters.local().add("telemetry_time_ns", 0, counters.clock() - began)

    def _produce(self, reader: Any) -> list[ScopeMetrics]:
        from . import _sdk_metrics

        readings = self.readings()
        now = time_ns()
        deltas: set[str] = set()
        if reader is not None:
            deltas = {
                kind
                for kind in ("counter", "updowncounter", "histogram")
                if _sdk_metrics.temporality(reader, kind) is AggregationTemporality.DELTA
            }
        last: Readings = {}
        since = self._start_ns
        if deltas:
            last, since = self._last.get(reader, ({}, since))
            self._last[reader] = (readings, now)
        metrics = []
        for name, values in readings.items():
            instrument = by_name[name]
            if values:
                delta = instrument.kind in deltas
                data = self._data(instrument, values, last.get(name, {}) if delta else None, since if delta else self._start_ns, now)
                if data.data_points:
                    metrics.append(Metric(name, instrument.why, instrument.unit, data))
        return [ScopeMetrics(self._scope, metrics, SCHEMA_URL)]

    def _data(
        self, instrument: Instrument, values: dict[tuple[str, ...], Any], last: dict[tuple[str, ...], Any] | None, start: int, now: int
    ) -> Any:
        temporality = AggregationTemporality.CUMULATIVE if last is None else AggregationTemporality.DELTA
        if instrument.kind == "histogram":
            if last is not None:
                changes = {labels: _minus(value, last.get(labels), instrument.bounds) for labels, value in values.items()}
                values = {labels: change for labels, change in changes.items() if any(change.counts)}
            points = [_histogram_point(instrument, self._fields(instrument, labels), value, start, now) for labels, value in values.items()]
            return Histogram(points, temporality)
        if last is not None:
            values = {labels: value - last.get(labels, 0) for labels, value in values.items() if value != last.get(labels, 0)}
        numbers = [NumberDataPoint(self._fields(instrument, labels), start, now, value) for labels, value in values.items()]
        if instrument.kind == "gauge":
            return Gauge(numbers)
        return Sum(numbers, temporality, instrument.kind == "counter")

    def _fields(self, instrument: Instrument, labels: tuple[str, ...]) -> dict[str, Any]:
        key = (instrument.name, labels)
        found = self._attributes.get(key)
        if found is None:
            found = self._attributes[key] = attributes_of(instrument, labels)
        return found


def _histogram_point(instrument: Instrument, fields: dict[str, Any], value: HistogramValue, start: int, now: int) -> HistogramDataPoint:
    count = sum(value.counts)
    # Of nothing there is no minimum and no maximum; the protocol's two fields are optional, the SDK's annotations are not.
    least: Any = value.min if count else None
    most: Any = value.max if count else None
    exemplars = [Exemplar({}, v, at, span_id=span, trace_id=trace) for v, at, trace, span in value.exemplars.values()]
    return HistogramDataPoint(
        attributes=fields,
        start_time_unix_nano=start,
        time_unix_nano=now,
        count=count,
        sum=value.sum,
        bucket_counts=value.counts,
        explicit_bounds=instrument.bounds,
        min=least,
        max=most,
        exemplars=exemplars,
    )


class Observables:
    """The same numbers through observable instruments, for a meter whose reader does not add our points.

    Histograms have no observable form and are left out; one collection of the counters feeds all
    callbacks of a round.

    Args:
        meter: gets the instruments.
        producer: reads the counters.
        elsewhere: the instruments that other instrumentation records for the same requests; these are not observed.

    Attributes:
        enabled: False silences all of them.
        sign: the name of one that is observed nevertheless, or empty.
    """

    def __init__(self, meter: Meter, producer: Producer, elsewhere: Callable[[], Collection[str]] = frozenset) -> None:
        self.enabled = True
        self.sign = ""
        self._producer = producer
        self._elsewhere = elsewhere
        self._readings: Readings | None = None
        make = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }
        for instrument in INSTRUMENTS:
            if instrument.kind in make and instrument.name != "h2o.build.info":
                make[instrument.kind](instrument.name, [self._callback(instrument)], instrument.unit, instrument.why)

    def begin_round(self) -> None:
        """A collection begins: what was read for the last one is old."""
        self._readings = None

    def _callback(self, instrument: Instrument) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            if not self.enabled and instrument.name != self.sign:
                return []
            if instrument.name in self._elsewhere():
                return []
            if self._readings is None:
                self._readings = self._producer.readings()
            values = self._readings.get(instrument.name, {})
            return [Observation(value, attributes_of(instrument, labels)) for labels, value in values.items()]

        return observe


def register_build_info(meter: Meter, begin: Callable[[], object] | None = None) -> None:
    """``h2o.build.info`` as an observable gauge: with no instrument at all the SDK would not call its readers.

    Args:
        meter: gets it, before any other instrument.
        begin: called at the beginning of each collection.
    """
    instrument = by_name["h2o.build.info"]
    fields = attributes_of(instrument, runtime.build_info())

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        if begin is not None:
            begin()
        return [Observation(1, fields)]

    meter.create_observable_gauge(instrument.name, [observe], instrument.unit, instrument.why)
