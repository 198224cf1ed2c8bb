"""Memory for octets, by size class: a cache per thread, a depot that all threads share.

A thread's cache needs no lock, since only its event loop uses it; what does not fit goes to the
depot, and what does not fit there is dropped.  Larger requests than the largest class are served
and counted, never kept.  A buffer that is garbage-collected while in use is a leak and counted as
one; releasing one twice is an error of the caller.
"""

from __future__ import annotations

import sys
import threading
import traceback
import warnings
from typing import NamedTuple

from .. import counters
from ..counters import Counters

__all__ = ["OUTPUT", "RECEIVE", "SIZES", "Buffer", "BufferPool", "PoolStatistics", "local_pool"]

SIZES = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576)
_SIZES = SIZES
# Positions in ``counters.BUFFER_POOLS``: what a buffer is for.
RECEIVE, OUTPUT = range(2)

_ACQUISITIONS = counters.slot("buffer_pool_acquisitions")
_IN_USE = counters.slot("buffer_pool_in_use")
_IDLE = counters.slot("buffer_pool_idle")
_ALLOCATED = counters.slot("buffer_pool_allocated")
_EVICTED = counters.slot("buffer_pool_evicted")
_LEAKED = counters.slot("buffer_pool_leaked")
_CLASSES = len(counters.SIZE_CLASSES)
_RESULTS = len(counters.BUFFER_RESULTS)
_HIT, _MISS, _OVERSIZE = range(_RESULTS)

# What a thread keeps idle, and all threads together in the depot.
CACHE_BYTES_MAX = 2 * 1_048_576
DEPOT_BYTES_MAX = 16 * 1_048_576


class Buffer:
    """A piece of memory that its holder gives back with ``BufferPool.release``.

    Attributes:
        memory: the octets; never resized.
        size: its length.
        size_class: position in ``SIZES``, or ``len(SIZES)`` for one that is larger than all.
        name: ``RECEIVE`` or ``OUTPUT``.
        in_use: somebody holds it.
        site: where it was acquired, in debug mode.
    """

    __slots__ = ("in_use", "mem", "memory", "name", "pool", "site", "size", "size_class")

    def __init__(self, pool: BufferPool, memory: bytearray, size_class: int, name: int) -> None:
        self.pool = pool
        self.memory = memory
        self.mem = self.memory
        self.size = len(memory)
        self.size_class = size_class
        self.name = name
        self.in_use = True
        self.site: str | None = None

    def __del__(self) -> None:
        if self.in_use and not sys.is_finalizing():
            self.pool.leaked(self)


class PoolStatistics(NamedTuple):
    """What a thread's pool holds, in octets; ``idle`` by size class."""

    in_use: int
    high_water: int
    cached: int
    idle: dict[int, int]
    depot: int


class _Depot:
    """Idle buffers that any thread may take; bounded."""

    def __init__(self, bytes_max: int) -> None:
        self._lock = threading.Lock()
        self._kept: list[list[bytearray]] = [[] for _ in SIZES]
        self._bytes_max = bytes_max
        self.bytes = 0

    def put(self, memory: bytearray, size_class: int) -> bool:
        with self._lock:
            if self.bytes + len(memory) > self._bytes_max:
                return False
            self.bytes += len(memory)
            self._kept[size_class].append(memory)
            return True

    def take(self, size_class: int) -> bytearray | None:
        if not self._kept[size_class]:
            return None
        with self._lock:
            if not self._kept[size_class]:
                return None
            memory = self._kept[size_class].pop()
            self.bytes -= len(memory)
            return memory

    def clear(self) -> int:
        with self._lock:
            dropped = self.bytes
            self.bytes = 0
            self._kept = [[] for _ in SIZES]
            return dropped


_SHARED = _Depot(DEPOT_BYTES_MAX)


class BufferPool:
    """The pool of one thread.

    Args:
        block: counters of the thread.
        cache_bytes_max: idle octets that the thread keeps for itself.
        debug: remember where each buffer was acquired.
    """

    __slots__ = ("_caches", "_depot", "_slots", "cache_bytes_max", "cached_bytes", "counters", "debug", "high_water_bytes", "in_use_bytes")

    def __init__(self, block: Counters, cache_bytes_max: int = CACHE_BYTES_MAX, debug: bool = False, depot: _Depot | None = None) -> None:
        self.counters = block
        self._slots = self.counters.slots
        self._caches: list[list[Buffer]] = [[] for _ in SIZES]
        self._depot: _Depot = _SHARED if depot is None else depot
        self.cache_bytes_max = cache_bytes_max
        self.cached_bytes = 0
        self.in_use_bytes = 0
        self.high_water_bytes = 0
        self.debug = debug

    def class_of(self, size: int) -> int:
        """The smallest class that holds ``size`` octets, or ``len(SIZES)``: classes are powers of four from 256."""
        size_class = 0
        bound = 256
        while bound < size and size_class < 7:
            bound <<= 2
            size_class += 1
        return size_class

    def acquire(self, size: int, name: int) -> Buffer:
        """A buffer of at least ``size`` octets, with whatever its last holder left in it."""
        size_class = self.class_of(size)
        if size_class < 7:
            cache = self._caches[size_class]
            if cache:
                buffer = cache.pop()
                self.cached_bytes -= buffer.size
                self._slots[_IDLE + buffer.name] -= buffer.size
                buffer.name = name
                buffer.in_use = True
                self._slots[_ACQUISITIONS + (name * _CLASSES + size_class) * _RESULTS + _HIT] += 1
                if self.debug:
                    buffer.site = _site()
            else:
                buffer = self._make(size, size_class, name)
        else:
            buffer = self._make(size, size_class, name)
        self._slots[_IN_USE + name] += buffer.size
        self.in_use_bytes += buffer.size
        if self.in_use_bytes > self.high_water_bytes:
            self.high_water_bytes = self.in_use_bytes
        return buffer

    def _make(self, size: int, size_class: int, name: int) -> Buffer:
        """From the depot, or from the allocator."""
        result = _OVERSIZE if size_class == 7 else _MISS
        memory = None if size_class == 7 else self._depot.take(size_class)
        if memory is None:
            memory = bytearray(size if size_class == 7 else _SIZES[size_class])
            self._slots[_ALLOCATED + name] += len(memory)
        else:
            result = _HIT
        self._slots[_ACQUISITIONS + (name * _CLASSES + size_class) * _RESULTS + result] += 1
        buffer = Buffer(self, memory, size_class, name)
        if self.debug:
            buffer.site = _site()
        return buffer

    def release(self, buffer: Buffer) -> None:
        """Give ``buffer`` back; nothing may refer to its memory any more.

        Raises:
            RuntimeError: it was released before.
        """
        if not buffer.in_use:
            raise RuntimeError(
                f"a buffer of {buffer.size} octets is released twice" + (f", acquired at {buffer.site}" if buffer.site else "")
            )
        buffer.in_use = False
        self._slots[_IN_USE + buffer.name] -= buffer.size
        self.in_use_bytes -= buffer.size
        if buffer.size_class < 7 and self.cached_bytes + buffer.size <= self.cache_bytes_max:
            cache = self._caches[buffer.size_class]
            cache.append(buffer)
            self.cached_bytes += buffer.size
            self._slots[_IDLE + buffer.name] += buffer.size
        elif buffer.size_class == 7 or not self._depot.put(buffer.memory, buffer.size_class):
            self._slots[_EVICTED + buffer.name] += buffer.size

    def leaked(self, buffer: Buffer) -> None:
        """``buffer`` was collected without being released: its holder has a bug."""
        self._slots[_LEAKED + buffer.name] += 1
        self._slots[_IN_USE + buffer.name] -= buffer.size
        self.in_use_bytes -= buffer.size
        if self.debug:
            warnings.warn(f"a buffer of {buffer.size} octets was not released, acquired at {buffer.site}", ResourceWarning, stacklevel=2)

    def trim(self) -> int:
        """Drop everything idle, here and in the depot; returns the octets that went back to the allocator."""
        dropped = 0
        for cache in self._caches:
            while cache:
                buffer = cache.pop()
                self._slots[_IDLE + buffer.name] -= buffer.size
                self._slots[_EVICTED + buffer.name] += buffer.size
                dropped += buffer.size
        self.cached_bytes = 0
        dropped += self._depot.clear()
        return dropped

    def statistics(self) -> PoolStatistics:
        """What is held now."""
        idle = {size: len(cache) for size, cache in zip(SIZES, self._caches, strict=True)}
        return PoolStatistics(self.in_use_bytes, self.high_water_bytes, self.cached_bytes, idle, self._depot.bytes)


def _site() -> str:
    """The caller outside this module, as ``file:line``."""
    for frame in reversed(traceback.extract_stack(limit=8)):
        if frame.filename != __file__:
            return f"{frame.filename}:{frame.lineno}"
    return "?"


_thread = threading.local()


def local_pool(block: Counters) -> BufferPool:
    """The pool of the calling thread; ``block`` are the counters that it adds to, when it is made by this call."""
    found: BufferPool | None = getattr(_thread, "pool", None)
    if found is None or found.counters is not block:
        found = BufferPool(block)
        _thread.pool = found
    return found
