"""One object for equal field values: what thousands of connections keep in their tables is kept once.

Peers choose what comes here, so it is bounded twice: by the number of values and by their length.
Two generations make a flood of new values harmless: what is in use is found in the younger one or
comes back from the older, and what nobody asked for again is gone after two turns.
"""

from __future__ import annotations

import threading

from .. import counters
from ..counters import Counters

__all__ = ["ValueTable", "local_values"]

_LOOKUPS = counters.slot("memory_interned_lookups")
_SIZE = counters.slot("memory_interned_size")
_HIT, _MISS = range(len(counters.HIT_OR_MISS))
# What a bytes object costs beside its octets.
_OVERHEAD_BYTES = 33


class ValueTable:
    """Of one thread.

    Args:
        block: counters of the thread.
        values_max: values of each of the two generations.
        value_bytes_max: a longer value is given back as it is.
    """

    __slots__ = ("_bytes_max", "_old", "_old_bytes", "_slots", "_values_max", "_young", "_young_bytes", "counters")

    def __init__(self, block: Counters, values_max: int, value_bytes_max: int) -> None:
        self.counters = block
        self._slots = self.counters.slots
        self._values_max = values_max
        self._bytes_max = value_bytes_max
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._young_bytes = 0
        self._old_bytes = 0

    def intern(self, value: bytes) -> bytes:
        """The object that stands for ``value``; ``value`` itself when it is the first, or too long."""
        n = len(value)
        if n > self._bytes_max or n == 0:
            return value
        found = self._young.get(value)
        if found is not None:
            self._slots[_LOOKUPS + _HIT] += 1
            return found
        found = self._old.get(value)
        if found is None:
            self._slots[_LOOKUPS + _MISS] += 1
            found = value
        else:
            self._slots[_LOOKUPS + _HIT] += 1
        if len(self._young) >= self._values_max:
            self._turn()
        self._young[found] = found
        self._young_bytes += n + _OVERHEAD_BYTES
        self._slots[_SIZE] += n + _OVERHEAD_BYTES
        return found

    def _turn(self) -> None:
        """The younger generation becomes the older, whose values are forgotten."""
        self._slots[_SIZE] -= self._old_bytes
        self._old = self._young
        self._old_bytes = self._young_bytes
        self._young = {}
        self._young_bytes = 0

    @property
    def count(self) -> int:
        """Values of both generations."""
        return len(self._young) + len(self._old)


_thread = threading.local()


def local_values(block: Counters, values_max: int, value_bytes_max: int) -> ValueTable:
    """The table of the calling thread, made on first use."""
    found: ValueTable | None = getattr(_thread, "values", None)
    if found is None or found.counters is not block:
        found = _thread.values = ValueTable(block, values_max, value_bytes_max)
    return found
