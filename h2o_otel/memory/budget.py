"""How much memory the runtime holds, by component, and how hard it must push back.

Layers account what they hold in the slots of ``memory_usage`` of their thread's counters; the
budget of the thread adds them up, with those of other threads, and compares the sum with
``EngineLimits.memory_process_bytes_max``.  It decides only how pressing the matter is: what gives way,
and how, is for the layers.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from .. import counters
from ..counters import Counters

__all__ = [
    "BUFFERS",
    "CONNECTIONS",
    "CONNECTION_BYTES",
    "DROP_IDLE",
    "HPACK",
    "QUEUES",
    "REFUSE",
    "REFUSE_STREAM",
    "RELAXED",
    "SHRINK",
    "SHRINK_WINDOW",
    "STREAMS",
    "STREAM_BYTES",
    "TELEMETRY",
    "TLS",
    "TLS_BYTES",
    "Budget",
    "eased",
    "local_budget",
]

# Positions in ``counters.MEMORY_COMPONENTS``.
CONNECTIONS, STREAMS, HPACK, BUFFERS, QUEUES, TLS, TELEMETRY = range(len(counters.MEMORY_COMPONENTS))
# Positions in ``counters.SHED_REASONS``.
REFUSE_STREAM, SHRINK_WINDOW, DROP_IDLE = range(len(counters.SHED_REASONS))

# How pressing: nothing to do; take windows back; refuse new streams and let idle connections go.
RELAXED, SHRINK, REFUSE = range(3)
_RELAXED, _SHRINK, _REFUSE = RELAXED, SHRINK, REFUSE

# What an object and those that it owns cost, as measured by benchmarks/memory.py; what varies is accounted beside it.
CONNECTION_BYTES = 8192
STREAM_BYTES = 1024
TLS_BYTES = 27 * 1024

_USAGE = counters.slot("memory_usage")
_COMPONENTS = len(counters.MEMORY_COMPONENTS)
# What other threads hold is read this often, in seconds of the caller's clock.
_OTHERS_INTERVAL_S = 0.25


class Budget:
    """What one thread may hold, in view of all.

    Args:
        block: counters of the thread.
        bytes_max: of the whole process, None for no bound.
        shrink_percent, refuse_percent: of ``bytes_max``, from where on each level holds.
        pressure_percent: of ``bytes_max``, above which memory is short; it is short until a tenth less is used.

    Attributes:
        level: ``RELAXED``, ``SHRINK`` or ``REFUSE``, as of the last ``check``.
        used_bytes: of the whole process, as of then.
        short: whether memory is short, as of then.
        watchers: their ``memory_changed()`` is called when ``short`` has changed; held weakly.
    """

    __slots__ = (
        "_eased_bytes",
        "_others_bytes",
        "_pressure_bytes",
        "_read_at",
        "_refuse_bytes",
        "_shrink_bytes",
        "_slots",
        "bytes_max",
        "counters",
        "level",
        "short",
        "used_bytes",
        "watchers",
    )

    def __init__(
        self,
        block: Counters,
        bytes_max: int | None = None,
        shrink_percent: int = 75,
        refuse_percent: int = 90,
        pressure_percent: int = 75,
    ) -> None:
        self.counters = block
        self._slots = self.counters.slots
        self.bytes_max = -1 if bytes_max is None else bytes_max
        self._shrink_bytes = self.bytes_max * shrink_percent // 100
        self._refuse_bytes = self.bytes_max * refuse_percent // 100
        self._pressure_bytes = self.bytes_max * pressure_percent // 100
        self._eased_bytes = eased(self._pressure_bytes)
        self.short = False
        self.watchers: weakref.WeakSet[Any] = weakref.WeakSet()
        self.level = _RELAXED
        self.used_bytes = 0
        self._others_bytes = 0
        self._read_at = 0.0

    def check(self, now: float) -> int:
        """Add up; returns the level."""
        if self.bytes_max < 0:
            return _RELAXED
        if now - self._read_at >= _OTHERS_INTERVAL_S or now < self._read_at:
            self._read_at = now
            self._others_bytes = others_bytes(self.counters)
        used = self._others_bytes
        for i in range(_COMPONENTS):
            used += self._slots[_USAGE + i]
        self.used_bytes = used
        self.level = _REFUSE if used >= self._refuse_bytes else _SHRINK if used >= self._shrink_bytes else _RELAXED
        if used > self._pressure_bytes:
            if not self.short:
                self._change(True)
        elif self.short and used <= self._eased_bytes:
            self._change(False)
        return self.level

    def _change(self, short: bool) -> None:
        self.short = short
        for watcher in list(self.watchers):
            watcher.memory_changed()


def eased(threshold: int) -> int:
    """A resource that is short above ``threshold`` is not any more at or below this: at the threshold itself it would flap."""
    return threshold - threshold // 10


def others_bytes(block: Counters) -> int:
    """What the threads beside that of ``block`` hold."""
    total = 0
    for other in counters.blocks():
        if other is not block:
            total += sum(other.read_slots()[_USAGE : _USAGE + _COMPONENTS])
    return total


_thread = threading.local()


def local_budget(block: Counters, bytes_max: int | None, shrink_percent: int, refuse_percent: int, pressure_percent: int = 75) -> Budget:
    """The budget of the calling thread for ``block`` and these bounds, made on first use."""
    key = (bytes_max, shrink_percent, refuse_percent, pressure_percent)
    found: Budget | None = getattr(_thread, "budget", None)
    if found is None or found.counters is not block or _thread.key != key:
        found = _thread.budget = Budget(block, bytes_max, shrink_percent, refuse_percent, pressure_percent)
        _thread.key = key
    return found
