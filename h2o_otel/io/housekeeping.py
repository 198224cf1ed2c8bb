"""What a loop does now and then beside its connections: give back idle memory, let idle connections go under pressure.

A sweep follows activity and ends with it: a loop where nothing happens has no timer of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from .. import counters
from ..buffers.pool import local_pools
from ..limits import EngineLimits
from ..memory.budget import DROP_IDLE, REFUSE, RELAXED
from ..memory.heap import Heap
from ..memory.machine import process_bytes_max
from ..streams.pool import local_stream_pools
from ..tuning import Tuning

__all__ = ["Housekeeper"]

# Where the memory of the process is bounded, pressure is looked at this often.
_PRESSURE_INTERVAL_S = 1.0


class _Loop(Protocol):
    def now(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], object]) -> Any: ...


class Housekeeper:
    """One of a loop, on its thread.

    Attributes:
        resting: no sweep is due; ``stir`` says that there is activity again.
        drivers: the connections of the loop, in the order in which they came.
        heap: the process's.  It keeps what bodies of either end need again, and is trimmed for servers
            alone: a client's process is not the runtime's to tidy.  None on loops without a process
            of their own to look after, such as those of tests.
    """

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self._timer: Any = None
        self._trims = False
        self._quiet_s = math.inf
        self._interval_s = math.inf
        self._trim_at = 0.0
        self._drops_max = 0
        self._heap_free_bytes_max: int | None = None
        self.heap: Heap | None = None
        self.resting = True
        self.drivers: dict[Any, None] = {}

    def join(self, driver: Any, limits: EngineLimits, tuning: Tuning) -> None:
        """``driver`` is one of the loop's from now on; the connection that asks for most decides for all."""
        self.drivers[driver] = None
        if tuning.memory_heap_kept and self.heap is not None:
            self.heap.keep(limits.heap_free_bytes_max)
        interval_s = limits.buffer_quiet_s
        if tuning.memory_trimming:
            self._trims = True
            self._quiet_s = min(self._quiet_s, interval_s)
            if driver.role == counters.SERVER:
                self._heap_free_bytes_max = limits.heap_free_bytes_max
        if tuning.memory_budget and process_bytes_max(limits) is not None:
            self._drops_max = max(self._drops_max, limits.idle_drops_per_sweep_max)
            interval_s = min(_PRESSURE_INTERVAL_S, interval_s)
        self._interval_s = min(self._interval_s, interval_s)

    def leave(self, driver: Any) -> None:
        """``driver`` has ended; a loop without connections keeps nothing."""
        self.drivers.pop(driver, None)
        if self.drivers:
            self.stir()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.resting = True
            if self._trims:
                for pool in local_pools():
                    pool.trim_unused()
        if self._heap_free_bytes_max is not None and self.heap is not None and self.heap.grown() > self._heap_free_bytes_max:
            # What handlers hold goes when they have ended, too.
            self._timer = self._loop.call_at(self._loop.now() + self._quiet_s, self._rest)

    def _rest(self) -> None:
        self._timer = None
        self._trim_heap()

    def _trim_heap(self) -> None:
        if self._heap_free_bytes_max is not None and self.heap is not None:
            counters.local().add("memory_trimmed", 0, self.heap.trim(self._heap_free_bytes_max))

    def stir(self) -> None:
        """There is activity: sweep later."""
        if self._timer is None and (self._trims or self._drops_max) and self.drivers:
            self.resting = False
            now = self._loop.now()
            if self._trim_at <= now:
                self._trim_at = now + self._quiet_s
            self._timer = self._loop.call_at(now + self._interval_s, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        self.resting = True
        now = self._loop.now()
        idle = 0
        if self._trims:
            trim = now >= self._trim_at
            for pool in local_pools():
                if trim:
                    pool.trim_unused()
                idle += pool.cached_bytes
            for streams in local_stream_pools():
                if trim:
                    streams.trim_unused()
                idle += streams.kept
            if trim:
                self._trim_heap()
            idle += self._trim_connections(now) if trim else 1
        pressed = self._drops_max > 0 and self._relieve(now)
        if idle or pressed:
            self.stir()

    def _trim_connections(self, now: float) -> int:
        """Idle connections give back what they can make again; of how many it was too early to ask."""
        later = 0
        for driver in self.drivers:
            connection = driver.connection
            if connection is not None and not connection.trim(now, self._quiet_s):
                later += 1
        return later

    def _relieve(self, now: float) -> bool:
        """Close the connections that were idle for longest, while memory is short; whether it is."""
        # Nearly always the connections have one budget, and there is nothing to do.
        budgets = {getattr(driver.connection, "budget", None) for driver in self.drivers}
        level = max((budget.check(now) for budget in budgets if budget is not None), default=RELAXED)
        if level < REFUSE:
            return level > RELAXED
        idle: list[tuple[float, int, Any, Any]] = []
        for order, driver in enumerate(self.drivers):
            connection = driver.connection
            budget = getattr(connection, "budget", None)
            if budget is not None and connection.started and not connection.closed and not connection.streams:
                idle.append((connection.active_at, order, driver, budget))
        for _, _, driver, budget in sorted(idle)[: self._drops_max]:
            # What goes is accounted at once, so a few may be enough.
            if budget.check(now) < REFUSE:
                break
            driver.counters.add("memory_sheds", DROP_IDLE, 1)
            driver.close()
        return True
