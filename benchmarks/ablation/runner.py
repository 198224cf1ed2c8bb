"""Measures variants of the same work against each other.

The variants take turns, so that a busy moment hits all of them, and the least of the rounds is
the figure, since other load can only add; the median beside it shows how noisy the run was.
CPU time is that of the process.  Allocations and wire octets are exact.
"""

from __future__ import annotations

import gc
import importlib
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .allocations import AllocationCounter
from .row import Row, Workload

__all__ = ["Figures", "Runner", "find_rows", "verdict"]

# Rounds that differ by less than this say nothing.
EVEN = 0.02


@dataclass
class Figures:
    """One variant, per unit of work.

    Attributes:
        cpu_us: least CPU time; ``cpu_rounds`` has all of them.
        allocations, allocated_bytes: asked of CPython's allocators; None where they cannot be counted.
        wire_bytes: octets on the wire, both ways.
        peak_bytes: most that was alive at once, above what was there before, for the whole run of ``peak_units``.
        gc_collections, gc_pause_us: of the garbage collector, and the time it took, for 1,000 units.
        p95_us: 95th percentile of the CPU time of one unit alone, which is its latency where nothing else runs (least of the rounds).
    """

    cpu_us: float = 0.0
    cpu_rounds: list[float] = field(default_factory=list)
    allocations: float | None = None
    allocated_bytes: float | None = None
    wire_bytes: float = 0.0
    peak_bytes: int = 0
    peak_units: int = 0
    gc_collections: float = 0.0
    gc_pause_us: float = 0.0
    p95_us: float = 0.0
    unit: str = "request"

    def of(self, goal: str) -> float | None:
        """The figure that a row's goal is about."""
        return {
            "cpu": self.cpu_us,
            "allocations": self.allocations,
            "wire": self.wire_bytes,
            "memory": float(self.peak_bytes),
            "gc": self.gc_pause_us,
            "latency": self.p95_us,
        }[goal]

    @property
    def noise(self) -> float:
        """How far the median round is above the best."""
        return statistics.median(self.cpu_rounds) / self.cpu_us - 1 if self.cpu_us else 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class CollectorWatch:
    """Collections of the garbage collector, and the time that they took."""

    def __init__(self) -> None:
        self.collections = 0
        self.pause_ns = 0
        self._since = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        now = time.perf_counter_ns()
        if phase == "start":
            self._since = now
        else:
            self.collections += 1
            self.pause_ns += now - self._since

    def __enter__(self) -> CollectorWatch:
        gc.callbacks.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self)


class Runner:
    """How precisely: ``rounds`` of about ``seconds`` each for every variant."""

    def __init__(self, rounds: int = 5, seconds: float = 0.2) -> None:
        self.rounds = rounds
        self.seconds = seconds
        self.allocations = AllocationCounter()

    def compare(self, variants: dict[str, Callable[[], Workload]]) -> dict[str, Figures]:
        """The figures of each variant; all do the same number of units."""
        made = {name: make() for name, make in variants.items()}
        try:
            n = min(self._units(workload) for workload in made.values())
            found = {name: Figures(unit=workload.unit) for name, workload in made.items()}
            watches = {name: CollectorWatch() for name in made}
            latencies: dict[str, list[float]] = {name: [] for name in made}
            order = list(made)
            for i in range(self.rounds):
                for name in order[i % len(order) :] + order[: i % len(order)]:
                    found[name].cpu_rounds.append(self._timed(made[name], n, watches[name]))
                    latencies[name].append(self._p95(made[name], min(n, 400)))
            for name, workload in made.items():
                figures = found[name]
                figures.cpu_us = min(figures.cpu_rounds)
                figures.gc_collections = watches[name].collections * 1000 / (n * self.rounds)
                figures.gc_pause_us = watches[name].pause_ns / (n * self.rounds)
                figures.p95_us = min(latencies[name])
                self._exact(figures, workload, min(n, 2000))
        finally:
            for workload in made.values():
                workload.close()
        for name, make in variants.items():
            found[name].peak_units = peak_units = min(n, 500)
            found[name].peak_bytes = self._peak(make, peak_units)
        return found

    def _units(self, workload: Workload) -> int:
        """Units that take about ``seconds``; this warms the workload up, too."""
        n = 16
        while True:
            started = time.process_time_ns()
            workload.run(n)
            spent = (time.process_time_ns() - started) * 1e-9
            if spent > self.seconds / 8 or n >= 1 << 22:
                return max(16, int(n * self.seconds / max(spent, 1e-9)))
            n *= 4

    @staticmethod
    def _timed(workload: Workload, n: int, watch: CollectorWatch) -> float:
        """Microseconds of CPU for one unit."""
        gc.collect()
        with watch:
            started = time.process_time_ns()
            workload.run(n)
            return (time.process_time_ns() - started) / 1000 / n

    @staticmethod
    def _p95(workload: Workload, n: int) -> float:
        """95th percentile of single units, in microseconds."""
        took = []
        for _ in range(n):
            started = time.process_time_ns()
            workload.run(1)
            took.append(time.process_time_ns() - started)
        took.sort()
        return took[min(n - 1, n * 95 // 100)] / 1000

    def _exact(self, figures: Figures, workload: Workload, n: int) -> None:
        """What noise does not touch."""
        before = workload.wire_bytes
        if self.allocations.missing:
            workload.run(n)
        else:
            calls, octets = self.allocations.count(lambda: workload.run(n))
            figures.allocations = calls / n
            figures.allocated_bytes = octets / n
        figures.wire_bytes = (workload.wire_bytes - before) / n

    @staticmethod
    def _peak(make: Callable[[], Workload], n: int) -> int:
        """Most that was alive at once, from making the workload on."""
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            workload = make()
            try:
                workload.run(n)
                return tracemalloc.get_traced_memory()[1] - before
            finally:
                workload.close()
        finally:
            tracemalloc.stop()

    def measure(self, row: Row) -> dict[str, Any]:
        """A row's result: both sides, and on as a part of off by every measure."""
        found = self.compare({"on": lambda: row.make(row.tuning(True)), "off": lambda: row.make(row.tuning(False))})
        on, off = found["on"], found["off"]
        ratios = {goal: _ratio(on.of(goal), off.of(goal)) for goal in ("cpu", "allocations", "wire", "memory", "gc", "latency")}
        ratios["cpu_median"] = _ratio(statistics.median(on.cpu_rounds), statistics.median(off.cpu_rounds))
        return {
            "number": row.number,
            "name": row.name,
            "switch": row.switch,
            "estimate": row.estimate,
            "goal": row.goal,
            "note": row.note,
            "default": all(getattr(row.base, name.strip()) for name in row.switch.split(",")),
            "on": on.as_dict(),
            "off": off.as_dict(),
            "ratios": ratios,
            "verdict": verdict(ratios.get(row.goal), ratios["cpu_median"] if row.goal == "cpu" else None),
        }


def _ratio(on: float | None, off: float | None) -> float | None:
    return round(on / off, 4) if on is not None and off else None


def verdict(ratio: float | None, median: float | None = None) -> str:
    """``pays``, ``costs`` or ``even``; for CPU time the best and the median round must agree."""
    if ratio is None:
        return "-"
    seen = [ratio] if median is None else [ratio, median]
    if all(value < 1 - EVEN for value in seen):
        return "pays"
    return "costs" if all(value > 1 + EVEN for value in seen) else "even"


def find_rows(wanted: Iterable[str] = ()) -> list[Row]:
    """All rows, or those whose number, section or switch is among ``wanted``, in the checklist's order."""
    wanted = set(wanted)
    rows: list[Row] = []
    for path in sorted(Path(__file__).parent.glob("rows_*.py")):
        rows += importlib.import_module(f"{__package__}.{path.stem}").ROWS
    rows = [r for r in rows if not wanted or wanted & {r.number, r.number.partition(".")[0], r.switch}]
    return sorted(rows, key=lambda row: [int(part) if part.isdigit() else 0 for part in row.number.split(".")])
