"""The instruments of this package on a MeterProvider: for other readers, and for Views that name them.

A reader made by this package gets all points from the counters, at collection, and nothing runs per request.  A
reader of the application gets counters, sums and gauges through observable instruments,
and the request histograms, which have no observable form, by one ``record`` for each request.  The same is
done where a View of the application matches one of these instruments, and for readers that want exponential
buckets: only the SDK itself can honour them.
"""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Any

from opentelemetry.context import Context

from .. import counters
from . import _sdk_metrics
from .attributes import SCHEMA_URL, VERSION
from .catalogue import INSTRUMENTS, by_name
from .failures import failed
from .metrics import Observables, Producer, attributes_of, register_build_info
from .requests import RECORDING

__all__ = ["REQUEST_HISTOGRAMS", "MeterBridge", "attach", "follow_global"]

_log = logging.getLogger("h2o_otel.telemetry")

REQUEST_HISTOGRAMS = frozenset(
    {
        "http.server.request.duration",
        "http.server.request.body.size",
        "http.server.response.body.size",
        "http.client.request.duration",
        "http.client.request.time_in_queue",
    }
)
"""Histograms recorded once per request where a reader or a View needs it."""

_KINDS = {instrument.name: (instrument.kind, instrument.unit) for instrument in INSTRUMENTS}
_HISTOGRAMS = frozenset(name for name, (kind, _) in _KINDS.items() if kind == "histogram")
# Instruments that have a value in every process.
_ALWAYS = ("process.thread.count", "process.cpu.time", "process.memory.usage")
_NAMED_MAX = 5
_NOTHING = Context()


class MeterBridge:
    """Our instruments on one provider; made by ``attach``.

    Args:
        provider: the SDK's, or another implementation of the API.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = weakref.ref(provider)
        self._meter = provider.get_meter(_sdk_metrics.METER, VERSION, schema_url=SCHEMA_URL)
        self._users: weakref.WeakSet[Any] = weakref.WeakSet()
        self._producer = Producer()
        self._histograms: dict[str, Any] = {}
        self._recorded: frozenset[str] = frozenset()
        self._points: dict[tuple[str, tuple[str, ...]], tuple[Any, dict[str, Any]]] = {}
        self._series: dict[str, int] = {}
        self._elsewhere: frozenset[str] = frozenset()
        self._meters_seen = -1
        self._seen: Any = None
        self._warned: set[str] = set()
        self._lock = threading.Lock()
        register_build_info(self._meter, self._begin_collection)
        # Made now, since the SDK holds its lock while it collects.
        self._observables = Observables(self._meter, self._producer, self.elsewhere)
        self._observables.enabled = False

    def use(self, user: Any) -> None:
        """Serve ``user``, a ``Telemetry``, until ``release``."""
        self._users.add(user)
        self._seen = None
        self.look()

    def release(self, user: Any) -> None:
        self._users.discard(user)
        self._seen = None
        self.look()

    def _begin_collection(self) -> None:
        self.look()
        self._observables.begin_round()

    # -- what the provider needs

    def look(self) -> None:
        """See which readers and Views the provider has: an application may add readers at any time."""
        provider = self._provider()
        if provider is None:
            RECORDING.remove(self.record)
            return
        ours = _sdk_metrics.counting_readers(provider)
        seen = (bool(self._users), _sdk_metrics.has_foreign_reader(provider), tuple(map(id, ours)))
        if seen != self._seen:
            with self._lock:
                self._seen = seen
                self._apply(provider, ours, seen[0], seen[1])

    def _apply(self, provider: Any, ours: list[Any], used: bool, foreign: bool) -> None:
        matched = _sdk_metrics.views_by_name(provider, _KINDS, VERSION, SCHEMA_URL)
        dropped = frozenset(name for name, drops in matched.items() if drops)
        held = frozenset(matched) - dropped
        exponential = [reader for reader in ours if _sdk_metrics.prefers_exponential(reader)]
        through_sdk = dropped | (held - (_HISTOGRAMS - REQUEST_HISTOGRAMS))
        for reader in ours:
            reader.h2o_left = through_sdk | REQUEST_HISTOGRAMS if reader in exponential else through_sdk
        recorded = REQUEST_HISTOGRAMS if foreign or exponential else held & REQUEST_HISTOGRAMS
        self._recorded = recorded if used else frozenset()
        if self._recorded:
            RECORDING.add(self.record)
        else:
            RECORDING.remove(self.record)
        self._observables.enabled = used and (foreign or bool(held - _HISTOGRAMS))
        # Where Views drop h2o.build.info, another instrument makes the SDK call the readers of this package, which add their value of it.
        kept = [name for name in _ALWAYS if name not in matched]
        self._observables.sign = kept[0] if used and "h2o.build.info" in dropped and kept else ""
        self._warn(held & (_HISTOGRAMS - REQUEST_HISTOGRAMS), "a View of the MeterProvider matches")
        if exponential:
            self._warn(_HISTOGRAMS - REQUEST_HISTOGRAMS - dropped, "a reader asks for exponential buckets of")

    def _warn(self, names: frozenset[str], what: str) -> None:
        if names and what not in self._warned:
            self._warned.add(what)
            shown = sorted(names)[:_NAMED_MAX]
            more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
            _log.warning(
                "telemetry: %s %s%s, which cannot hold: these histograms are kept without the SDK, with fixed buckets, "
                "and go only to readers made by configure() or reader_class()",
                what,
                ", ".join(shown),
                more,
            )

    # -- requests

    def elsewhere(self) -> frozenset[str]:
        """Instruments of servers that other instrumentation records to the same provider, for the same requests."""
        provider = self._provider()
        count = _sdk_metrics.meters_count(provider)
        if count != self._meters_seen:
            self._meters_seen = count
            self._elsewhere = _sdk_metrics.recorded_elsewhere(provider)
        return self._elsewhere

    def record(self, name: str, labels: tuple[str, ...], value: float, span: Any) -> None:
        """One request; costs about as much as all else that telemetry does for it (docs/telemetry-beside.md)."""
        if name not in self._recorded:
            return
        try:
            if name in _sdk_metrics.SERVER_NAMES and name in self.elsewhere():
                return
            point = self._points.get((name, labels))
            if point is None:
                point = self._point(name, labels)
            context = _NOTHING if span is None or not span.sampled else span.otel_context()
            point[0].record(value, point[1], context)
        except Exception:
            failed("recording a request through the application's meter")

    def _point(self, name: str, labels: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
        """The instrument and the attributes of one series; beyond the bound of series they are ``other``."""
        instrument = by_name[name]
        histogram = self._histograms.get(name)
        if histogram is None:
            histogram = self._histograms[name] = self._meter.create_histogram(
                name, instrument.unit, instrument.why, explicit_bucket_boundaries_advisory=list(instrument.bounds)
            )
        kept = self._series.get(name, 0)
        if kept >= counters.LABELLED_KEYS_MAX:
            return histogram, attributes_of(instrument, ("other",) * len(labels))
        self._series[name] = kept + 1
        point = self._points[(name, labels)] = (histogram, attributes_of(instrument, labels))
        return point


_bridges: weakref.WeakKeyDictionary[Any, MeterBridge] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def attach(provider: Any, user: Any) -> MeterBridge:
    """Our instruments on ``provider``, on behalf of ``user``: one bridge per provider, since the counters are the process's."""
    with _lock:
        bridge = _bridges.get(provider)
        if bridge is None:
            bridge = _bridges[provider] = MeterBridge(provider)
    bridge.use(user)
    return bridge


def follow_global(user: Any) -> None:
    """Attach to the global MeterProvider, now or when the application sets it; ``user`` gives it to its ``bridged``."""
    provider = _sdk_metrics.meter_provider()
    if provider is not None:
        user.bridged(provider)
        return
    reference = weakref.ref(user)

    def is_set(provider: Any) -> None:
        found = reference()
        if found is not None:
            found.bridged(provider)

    _sdk_metrics.when_meter_provider_is_set(is_set)
