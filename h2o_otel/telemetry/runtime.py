"""What is read about the process at collection, and the two watches of the runtime: garbage collector and event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from .. import counters
from ..memory.gcwatch import frozen_objects, unwatch_gc, watch_gc
from ..memory.heap import heap_bytes

__all__ = ["LoopWatch", "build_info", "read_process", "unwatch_gc", "watch_gc"]

Readings = dict[str, dict[tuple[str, ...], Any]]

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def read_process() -> Readings:
    """Values of the process instruments; those that the platform does not tell are absent."""
    found: Readings = {"h2o.memory.python.blocks": {(): sys.getallocatedblocks()}}
    found["h2o.gc.frozen"] = {(): frozen_objects()}
    times = os.times()
    found["process.cpu.time"] = {("user",): times.user, ("system",): times.system}
    collected = gc.get_stats()
    for name, key in (("collections", "collections"), ("collected_objects", "collected"), ("uncollectable_objects", "uncollectable")):
        found[f"cpython.gc.{name}"] = {(str(i),): generation[key] for i, generation in enumerate(collected[:3])}
    for read in (_read_memory, _read_descriptors, _read_usage, _read_heap):
        try:
            read(found)
        except (OSError, ImportError, ValueError, IndexError, AttributeError):
            continue
    if "process.thread.count" not in found:
        found["process.thread.count"] = {(): threading.active_count()}
    return found


def _read_memory(found: Readings) -> None:
    with open("/proc/self/statm", "rb") as file:
        virtual, resident = file.read().split()[:2]
    found["process.memory.virtual"] = {(): int(virtual) * _PAGE}
    found["process.memory.usage"] = {(): int(resident) * _PAGE}
    with open("/proc/self/stat", "rb") as file:
        # The second field is the name in parentheses and may hold anything; num_threads is field 20.
        found["process.thread.count"] = {(): int(file.read().rpartition(b")")[2].split()[17])}


def _read_descriptors(found: Readings) -> None:
    # One descriptor is the listing's own.
    found["process.unix.file_descriptor.count"] = {(): len(os.listdir("/proc/self/fd")) - 1}


def _read_usage(found: Readings) -> None:
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    found["process.paging.faults"] = {("major",): usage.ru_majflt, ("minor",): usage.ru_minflt}
    found["process.context_switches"] = {("voluntary",): usage.ru_nvcsw, ("involuntary",): usage.ru_nivcsw}


def _read_heap(found: Readings) -> None:
    allocated, used = heap_bytes()
    found["h2o.memory.heap"] = {("allocated",): allocated, ("used",): used}


def build_info() -> tuple[str, str, str, str]:
    """Values of the attributes of ``h2o.build.info``, in the catalogue's order."""
    import platform
    import ssl

    from .attributes import VERSION

    compiled = not str(getattr(counters, "__file__", "")).endswith(".py")
    return VERSION, "true" if compiled else "false", ssl.OPENSSL_VERSION, platform.python_version()


class LoopWatch:
    """Measures how late an asyncio event loop runs its timers, and the CPU time of its thread.

    A timer every ``interval_s``, about 2 us each.

    Args:
        loop: the loop to watch; call from its thread.
        interval_s: time between two measurements.
        clock: for tests; by default the loop's own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float = 0.25, clock: Callable[[], float] | None = None) -> None:
        self._loop = loop
        self._interval_s = interval_s
        self._clock = loop.time if clock is None else clock
        self._counters = counters.local()
        self._histogram = self._counters.histogram("loop_lag")
        self._busy_ns = time.thread_time_ns()
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._schedule()

    def _schedule(self) -> None:
        self._due = self._clock() + self._interval_s
        self._handle = self._loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        self._histogram.record(max(0.0, self._clock() - self._due))
        busy_ns = time.thread_time_ns()
        self._counters.add("loop_busy_ns", 0, busy_ns - self._busy_ns)
        self._busy_ns = busy_ns
        self._schedule()

    def close(self) -> None:
        """Stop measuring."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
