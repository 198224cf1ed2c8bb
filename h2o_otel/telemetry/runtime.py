"""Metrics of the process, read at collection, and the watches of the garbage collector and the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from .. import counters
from ..memory.gcwatch import frozen_objects, unwatch_gc, watch_gc
from ..memory.heap import heap_bytes

__all__ = ["LoopWatch", "Watched", "build_info", "read_process", "unwatch_gc", "watch_gc", "watch_loop"]

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


# Event loops round their timers up to milliseconds: so much is no sign of a busy loop.
_TIMER_ERROR_S = 0.002


class Watched(Protocol):
    """Interface of a service that runs handlers on a watched loop.

    Attributes:
        handlers: how many run now.
        loop_asleep: ``loop_watch.wake()`` is to be called where one goes on after its first step.
    """

    handlers: int
    loop_asleep: bool
    loop_watch: LoopWatch | None


class LoopWatch:
    """Measures how late an asyncio event loop runs its timers, and how long it was busy.

    A timer fires every ``interval_s`` while handlers wait for something, so that one that then blocks
    the loop shows with its whole length, and every ``idle_interval_s`` otherwise.  Servers tell what the
    first steps of handlers took, which run together with what was read.

    Args:
        loop: the loop to watch; call from its thread.
        interval_s: time between two measurements while handlers run.
        clock: for tests; by default the loop's own.
        idle_interval_s: time between two measurements otherwise.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval_s: float = 0.01,
        clock: Callable[[], float] | None = None,
        idle_interval_s: float = 0.1,
    ) -> None:
        self._loop = loop
        self._interval_s = interval_s
        self._idle_interval_s = idle_interval_s
        self._clock = loop.time if clock is None else clock
        self._counters = counters.local()
        self._histogram = self._counters.histogram("loop_lag")
        counters.feeds("loop")
        self._busy_ns = time.thread_time_ns()
        self._blocked_s = 0.0
        self._users: list[Watched] = []
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._schedule()

    def add(self, user: Watched) -> None:
        """Let ``user``, a server's service, use this watch; ``remove`` undoes it."""
        self._users.append(user)
        user.loop_watch = self
        user.loop_asleep = True

    def remove(self, user: Watched) -> None:
        user.loop_asleep = False
        user.loop_watch = None
        self._users.remove(user)
        if not self._users:
            self.close()

    def wake(self) -> None:
        """A handler waits for something: measure often until none does."""
        if self._handle is not None:
            self._handle.cancel()
            self._schedule()

    def blocked(self, seconds: float) -> None:
        """Handlers took ``seconds`` in a row, in which the loop did nothing else."""
        self._histogram.record(seconds)
        self._blocked_s += seconds
        # The timer, which is late for it, is not to tell of it again.
        self._due = max(self._due, self._clock())

    def _schedule(self) -> None:
        asleep = True
        for user in self._users:
            if user.handlers:
                asleep = False
        for user in self._users:
            user.loop_asleep = asleep
        self._due = self._clock() + (self._idle_interval_s if asleep else self._interval_s)
        self._handle = self._loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        late_s = max(0.0, self._clock() - self._due)
        self._histogram.record(late_s)
        busy_ns = time.thread_time_ns()
        # A blocking call that waits takes no CPU time, and the loop is busy all the same.
        blocked_s = self._blocked_s + (late_s if late_s > _TIMER_ERROR_S else 0.0)
        self._counters.add("loop_busy_ns", 0, max(busy_ns - self._busy_ns, int(blocked_s * 1e9)))
        self._busy_ns = busy_ns
        self._blocked_s = 0.0
        self._schedule()

    def close(self) -> None:
        """Stop measuring."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        _loop_watches.pop(self._loop, None)


def watch_loop(loop: asyncio.AbstractEventLoop) -> LoopWatch:
    """The watch of ``loop``, which all servers on it share; call from its thread."""
    found = _loop_watches.get(loop)
    if found is None:
        found = _loop_watches[loop] = LoopWatch(loop)
    return found


_loop_watches: dict[asyncio.AbstractEventLoop, LoopWatch] = {}
