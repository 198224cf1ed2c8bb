"""The telemetry seam: integer slots, histograms and request traces that the layers add to.

A leaf.  It knows nothing of OpenTelemetry: layers add to plain integers here, and ``telemetry``
reads them at collection, never the other way.  There is one block per thread, written only by
that thread; ``collect()`` sums the blocks and folds those of ended threads into totals, so that
sums stay monotonic.

What is counted is declared in ``families``, whose names can be had from here.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Any, NamedTuple

from . import _mem
from .families import *  # noqa: F403 - layers need one import for a family and for its labels
from .families import HISTOGRAMS, LABELLED, SLOTS

__all__ = [
    "Counters",
    "Histogram",
    "Snapshot",
    "Tally",
    "Trace",
    "blocks",
    "clock",
    "collect",
    "feeders",
    "feeds",
    "histogram_index",
    "local",
    "slot",
]

# A key beyond this many of one family is counted under a key of the same length made of "other".
LABELLED_KEYS_MAX = 512
TRACE_MARKS_MAX = 48

clock = _mem.now_ns


def _size(dimensions: tuple[tuple[str, ...], ...]) -> int:
    n = 1
    for values in dimensions:
        n *= len(values)
    return n


_OFFSETS: dict[str, int] = {}
_SLOTS_USED = 0
for _name, _dimensions in SLOTS.items():
    _OFFSETS[_name] = _SLOTS_USED
    _SLOTS_USED += _size(_dimensions)

_HISTOGRAM_OFFSETS: dict[str, int] = {}
_HISTOGRAM_BOUNDS: list[tuple[float, ...]] = []
for _name, (_bounds, _dimensions) in HISTOGRAMS.items():
    _HISTOGRAM_OFFSETS[_name] = len(_HISTOGRAM_BOUNDS)
    _HISTOGRAM_BOUNDS.extend([_bounds] * _size(_dimensions))


def slot(name: str) -> int:
    """First index of the family ``name`` in ``Counters.slots``; last dimension varies fastest."""
    return _OFFSETS[name]


def histogram_index(name: str) -> int:
    """First index of the family ``name`` in ``Counters.histograms``."""
    return _HISTOGRAM_OFFSETS[name]


_INFINITY = math.inf


class Histogram:
    """Explicit-bucket histogram, aggregated in place; a value belongs to the bucket whose upper bound is >= it."""

    __slots__ = (
        "_above",
        "_bounds",
        "_bounds_memory",
        "_bounds_n",
        "_counts",
        "_counts_memory",
        "_last",
        "_max",
        "_min",
        "_sum",
        "_up_to",
        "exemplars",
    )

    def __init__(self, bounds: tuple[float, ...]) -> None:
        n = len(bounds)
        self._bounds_n = n
        self._bounds_memory = bytearray(8 * n + 8)
        self._bounds = _mem.floats(self._bounds_memory)
        self._counts_memory = bytearray(8 * n + 8)
        self._counts = _mem.integers(self._counts_memory)
        for i in range(n):
            self._bounds[i] = bounds[i]
        self._sum = 0.0
        self._min = 0.0
        self._max = 0.0
        # The bucket that took the last value, between these two bounds; no value is between them at first.
        self._last = 0
        self._above = self._up_to = _INFINITY
        # bucket -> (value, unix time in ns, trace id, span id) of its last sampled request
        self.exemplars: dict[int, tuple[float, int, int, int]] | None = None

    def record(self, value: float) -> int:
        """Add one value; returns the bucket that took it."""
        low = self._last if self._above < value <= self._up_to else self._search(value)
        self._counts[low] += 1
        self._sum += value
        if value > self._max:
            self._max = value
        if value < self._min or self._min == 0.0:
            self._min = value
        return low

    def _search(self, value: float) -> int:
        """The bucket of ``value``, remembered for the next one: values that follow each other are often alike."""
        low = 0
        high = self._bounds_n
        while low < high:
            middle = (low + high) >> 1
            if self._bounds[middle] < value:
                low = middle + 1
            else:
                high = middle
        self._last = low
        self._above = self._bounds[low - 1] if low else -_INFINITY
        self._up_to = self._bounds[low] if low < self._bounds_n else _INFINITY
        return low

    def read(self) -> tuple[list[int], float, float, float]:
        """Bucket counts (one more than bounds), sum, minimum and maximum of what was recorded."""
        return [self._counts[i] for i in range(self._bounds_n + 1)], self._sum, self._min, self._max


class Trace:
    """The work of the layers for one request or connection at level ``detail``: (layer, start, end) marks, in ns of ``clock``.

    Preallocated and bounded: marks beyond ``TRACE_MARKS_MAX`` are counted in ``dropped``.
    Layers are positions in ``LAYERS``; telemetry turns marks into child spans at the end.
    """

    __slots__ = ("_marks", "_memory", "_n", "dropped")

    def __init__(self) -> None:
        self._n = 0
        self.dropped = 0
        self._memory = bytearray(8 * 3 * TRACE_MARKS_MAX)
        self._marks = _mem.integers(self._memory)

    def mark(self, layer: int, start_ns: int, end_ns: int) -> None:
        n = self._n
        if n >= TRACE_MARKS_MAX:
            self.dropped += 1
            return
        marks = self._marks
        marks[3 * n] = layer
        marks[3 * n + 1] = start_ns
        marks[3 * n + 2] = end_ns
        self._n = n + 1

    def marks(self) -> list[tuple[str, int, int]]:
        """(span name, start, end) in the order in which they were made."""
        m = self._marks
        return [(LAYERS[m[3 * i]], m[3 * i + 1], m[3 * i + 2]) for i in range(self._n)]


# Child spans of level ``detail``: the index is what a layer passes to ``Trace.mark``.
LAYERS = (
    "h2o.hpack.encode",
    "h2o.hpack.decode",
    "h2o.frames.write",
    "h2o.frames.read",
    "h2o.stream.wait_slot",
    "h2o.stream.wait_window",
    "h2o.buffers.acquire",
    "h2o.tls.encrypt",
    "h2o.tls.decrypt",
    "h2o.io.flush",
    "h2o.pool.acquire",
)
HPACK_ENCODE, HPACK_DECODE, FRAMES_WRITE, FRAMES_READ, WAIT_SLOT, WAIT_WINDOW = range(6)
BUFFERS_ACQUIRE, TLS_ENCRYPT, TLS_DECRYPT, IO_FLUSH, POOL_ACQUIRE = range(6, 11)


class Tally:
    """One labelled counter, kept by callers that add to it at every request, to avoid the lookup."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Counters:
    """One block: every family of this module, written by one thread only."""

    __slots__ = ("__weakref__", "_labelled", "_memory", "histograms", "slots")

    def __init__(self) -> None:
        self._memory = bytearray(8 * _SLOTS_USED)
        self.slots = _mem.integers(self._memory)
        self.histograms = [Histogram(bounds) for bounds in _HISTOGRAM_BOUNDS]
        self._labelled: dict[str, dict[tuple[str, ...], Any]] = {name: {} for name in LABELLED}

    def histogram(self, name: str, index: int = 0) -> Histogram:
        """The histogram at ``index`` of the family ``name``; keep it, do not look it up per request."""
        return self.histograms[_HISTOGRAM_OFFSETS[name] + index]

    def add(self, name: str, index: int, n: int) -> None:
        """Add to a slot by name: for places that do not run per request."""
        self.slots[_OFFSETS[name] + index] += n

    def count(self, name: str, key: tuple[str, ...], n: int = 1) -> None:
        """Add to a labelled counter."""
        family = self._labelled[name]
        value = family.get(key)
        if value is None and len(family) >= LABELLED_KEYS_MAX:
            key = ("other",) * len(key)
            value = family.get(key)
        if value.__class__ is Tally:
            value.n += n
        else:
            family[key] = n if value is None else value + n

    def tally(self, name: str, key: tuple[str, ...]) -> Tally:
        """The labelled counter of ``key``, to be kept and added to."""
        self.count(name, key, 0)
        family = self._labelled[name]
        key = key if key in family else ("other",) * len(key)
        found = family[key]
        if found.__class__ is not Tally:
            tally = Tally()
            tally.n = found
            family[key] = found = tally
        made: Tally = found
        return made

    def labelled_histogram(self, name: str, key: tuple[str, ...]) -> Histogram:
        """The labelled histogram of ``key``, made on first use."""
        family = self._labelled[name]
        found: Histogram | None = family.get(key)
        if found is None:
            if len(family) >= LABELLED_KEYS_MAX:
                key = ("other",) * len(key)
                found = family.get(key)
            if found is None:
                found = family[key] = Histogram(LABELLED[name])
        return found

    def read_slots(self) -> list[int]:
        """A copy of all slots in use."""
        return [self.slots[i] for i in range(_SLOTS_USED)]

    def read_labelled(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """Copies of the labelled families, safe against the writing thread: integers, or histograms themselves."""
        return {
            name: {key: value.n if value.__class__ is Tally else value for key, value in family.copy().items()}
            for name, family in self._labelled.items()
        }


class HistogramValue(NamedTuple):
    """A histogram as read: bucket counts, sum, minimum, maximum, exemplars by bucket."""

    counts: list[int]
    sum: float
    min: float
    max: float
    exemplars: dict[int, tuple[float, int, int, int]]

    def plus(self, other: HistogramValue) -> HistogramValue:
        low = min(self.min, other.min) if self.min and other.min else self.min or other.min
        return HistogramValue(
            [a + b for a, b in zip(self.counts, other.counts, strict=True)],
            self.sum + other.sum,
            low,
            max(self.max, other.max),
            {**self.exemplars, **other.exemplars},
        )


class Snapshot:
    """The sum of some blocks."""

    __slots__ = ("histograms", "labelled", "labelled_histograms", "slots")

    def __init__(self) -> None:
        self.slots: list[int] = [0] * _SLOTS_USED
        self.histograms: list[HistogramValue] = [HistogramValue([0] * (len(b) + 1), 0.0, 0.0, 0.0, {}) for b in _HISTOGRAM_BOUNDS]
        self.labelled: dict[str, dict[tuple[str, ...], int]] = {n: {} for n, b in LABELLED.items() if not b}
        self.labelled_histograms: dict[str, dict[tuple[str, ...], HistogramValue]] = {n: {} for n, b in LABELLED.items() if b}

    def add_block(self, block: Counters) -> None:
        self.slots = [a + b for a, b in zip(self.slots, block.read_slots(), strict=True)]
        self.histograms = [a.plus(_read(b)) for a, b in zip(self.histograms, block.histograms, strict=True)]
        for name, family in block.read_labelled().items():
            if name in self.labelled:
                counters = self.labelled[name]
                for key, value in family.items():
                    counters[key] = counters.get(key, 0) + value
            else:
                histograms = self.labelled_histograms[name]
                for key, value in family.items():
                    read = _read(value)
                    histograms[key] = histograms[key].plus(read) if key in histograms else read

    def add(self, other: Snapshot) -> None:
        self.slots = [a + b for a, b in zip(self.slots, other.slots, strict=True)]
        self.histograms = [a.plus(b) for a, b in zip(self.histograms, other.histograms, strict=True)]
        for name, counters in other.labelled.items():
            for key, value in counters.items():
                self.labelled[name][key] = self.labelled[name].get(key, 0) + value
        for name, histograms in other.labelled_histograms.items():
            for key, read in histograms.items():
                mine = self.labelled_histograms[name]
                mine[key] = mine[key].plus(read) if key in mine else read

    def value(self, name: str, *labels: str) -> int:
        """One slot by its labels, or the sum of the family when none are given; for tests and views."""
        if name in self.labelled:
            family = self.labelled[name]
            return sum(family.values()) if not labels else family.get(labels, 0)
        start = _OFFSETS[name]
        dimensions = SLOTS[name]
        if not labels:
            return sum(self.slots[start : start + _size(dimensions)])
        index = 0
        for values, label in zip(dimensions, labels, strict=True):
            index = index * len(values) + values.index(label)
        return self.slots[start + index]


def _read(histogram: Histogram) -> HistogramValue:
    counts, total, low, high = histogram.read()
    return HistogramValue(counts, total, low, high, dict(histogram.exemplars or ()))


_lock = threading.Lock()
_thread = threading.local()
_live: list[tuple[threading.Thread, Counters]] = []
_ended = Snapshot()


def local() -> Counters:
    """The block of the calling thread, made on first use."""
    block: Counters | None = getattr(_thread, "block", None)
    if block is None:
        block = _thread.block = Counters()
        with _lock:
            _live.append((threading.current_thread(), block))
    return block


def blocks() -> list[Counters]:
    """The blocks of the threads that live."""
    with _lock:
        return [block for _, block in _live]


def collect() -> Snapshot:
    """The sum over all threads, those that ended included."""
    global _live
    total = Snapshot()
    with _lock:
        for thread, block in _live:
            if not thread.is_alive():
                _ended.add_block(block)
        _live = [(thread, block) for thread, block in _live if thread.is_alive()]
        total.add(_ended)
        for _, block in _live:
            total.add_block(block)
    return total


_feeders: set[str] = set()


def feeds(name: str) -> None:
    """From now on something feeds the families of ``name``: "client", "server", or another of ``families.FEEDERS``."""
    _feeders.add(name)


def feeders() -> set[str]:
    """The components in use in this process; families that belong to others are not exported while zero."""
    return _feeders


def _reset_after_fork() -> None:
    """A forked worker starts from nothing: its parent's counts are the parent's to report."""
    global _live, _ended, _lock, _thread
    _lock = threading.Lock()
    _thread = threading.local()
    _live = []
    _ended = Snapshot()


os.register_at_fork(after_in_child=_reset_after_fork)
