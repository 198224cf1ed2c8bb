"""Streams that have ended and that nobody holds any more, ready for the next request of the thread.

A stream outlives its end for as long as somebody looks at it: an application, a response, a timer.
So it is taken back only when the pool's is the last reference, and then its generation goes up.
A late frame finds no stream under its identifier, and a late handle keeps its stream out of the
pool, so neither can reach the next owner.
"""

from __future__ import annotations

import threading

from .. import _mem, counters
from ..counters import Counters
from .stream import Stream

__all__ = ["StreamPool", "local_stream_pool", "local_stream_pools"]

_OBJECTS = counters.slot("memory_objects")
_HIT, _MISS, _HELD = range(len(counters.OBJECT_RESULTS))


def new_stream() -> Stream:
    """A stream of its own, on which ``begin`` is to be called."""
    stream = Stream.__new__(Stream)
    stream.generation = 0
    return stream


class StreamPool:
    """Of one thread.

    Args:
        block: counters of the thread.
        streams_max: streams that are kept.
    """

    __slots__ = ("_free", "_slots", "_streams_max", "_taken", "counters")

    def __init__(self, block: Counters, streams_max: int) -> None:
        self.counters = block
        self._slots = self.counters.slots
        self._streams_max = streams_max
        self._free: list[Stream] = []
        self._taken = False

    def take(self) -> Stream:
        """A stream on which ``begin`` is to be called."""
        self._taken = True
        if self._free:
            self._slots[_OBJECTS + _HIT] += 1
            return self._free.pop()
        self._slots[_OBJECTS + _MISS] += 1
        return new_stream()

    def give_all(self, ended: list[Stream]) -> None:
        """Empty ``ended`` and keep those of its streams that nobody else holds; the others go when their holders let go."""
        while ended:
            stream = ended.pop()
            if not _mem.alone(stream):
                self._slots[_OBJECTS + _HELD] += 1
            elif len(self._free) < self._streams_max:
                stream.clear()
                self._free.append(stream)

    def trim_unused(self) -> int:
        """Drop what is kept, if nobody took a stream since the last time; returns how many were dropped."""
        dropped = 0
        if not self._taken:
            dropped = len(self._free)
            self._free.clear()
        self._taken = False
        return dropped

    @property
    def kept(self) -> int:
        """Streams that are ready."""
        return len(self._free)


_thread = threading.local()


def local_stream_pool(block: Counters, streams_max: int) -> StreamPool:
    """The pool of the calling thread, made on first use."""
    found: StreamPool | None = getattr(_thread, "pool", None)
    if found is None or found.counters is not block:
        found = _thread.pool = StreamPool(block, streams_max)
    return found


def local_stream_pools() -> list[StreamPool]:
    """The pool that the calling thread has, if any: for trimming."""
    found: StreamPool | None = getattr(_thread, "pool", None)
    return [] if found is None else [found]
