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
from typing import Any, NamedTuple

from .. import _mem, counters
from ..counters import Counters
from ..limits import SERVER_LIMITS
from ..memory.budget import BUFFERS
from ..tuning import Tuning

__all__ = [
    "OUTPUT",
    "RECEIVE",
    "SIZES",
    "TAIL",
    "Buffer",
    "BufferPool",
    "DoubleReleaseError",
    "PoolStatistics",
    "limit_depot",
    "local_pool",
    "local_pools",
]

SIZES = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576)
_SIZES = SIZES
# Positions in ``counters.BUFFER_POOLS``: what a buffer is for.
RECEIVE, OUTPUT, TAIL = range(3)
_OUTPUT = OUTPUT
# Blocks of output come and go with every write, and are alike: the holding of one in so many is timed, since
# two readings of the clock cost more than the rest of lending one.
_OUTPUTS_TIMED = 16

_ACQUISITIONS = counters.slot("buffer_pool_acquisitions")
_IN_USE = counters.slot("buffer_pool_in_use")
_REQUESTED = counters.slot("buffer_pool_requested")
_IDLE = counters.slot("buffer_pool_idle")
_ALLOCATED = counters.slot("buffer_pool_allocated")
_EVICTED = counters.slot("buffer_pool_evicted")
_LEAKED = counters.slot("buffer_pool_leaked")
_CONTENDED = counters.slot("buffer_pool_contended")
_USAGE = counters.slot("memory_usage") + BUFFERS
_CLASSES = len(counters.SIZE_CLASSES)
_RESULTS = len(counters.BUFFER_RESULTS)
_HIT, _MISS, _OVERSIZE = range(_RESULTS)

# What a thread keeps idle, and all threads together in the depot.
CACHE_BYTES_MAX = SERVER_LIMITS.buffer_cache_bytes_max
DEPOT_BYTES_MAX = SERVER_LIMITS.buffer_depot_bytes_max


class DoubleReleaseError(RuntimeError):
    """A buffer was released that nobody held: two holders would have got it next.

    Attributes:
        size: octets of the buffer.
        site: where it was acquired last, in debug mode.
    """

    def __init__(self, size: int, site: str | None) -> None:
        super().__init__(f"a buffer of {size} octets is released twice" + (f", acquired at {site}" if site else ""))
        self.size = size
        self.site = site


class Buffer:
    """A piece of memory that its holder gives back with ``BufferPool.release``.

    Attributes:
        memory: the octets; never resized.
        size: its length.
        requested: octets that its holder asked for.
        size_class: position in ``SIZES``, or ``len(SIZES)`` for one that is larger than all.
        name: ``RECEIVE``, ``OUTPUT`` or ``TAIL``.
        in_use: somebody holds it.
        collected: it was garbage while somebody held it, and has been counted as leaked.
        lent_ns: when it was acquired, on ``counters.clock``; 0 when its holding is not timed.
        site: where it was acquired, in debug mode.
    """

    __slots__ = ("collected", "in_use", "lent_ns", "mem", "memory", "name", "pool", "requested", "site", "size", "size_class")

    def __init__(self, pool: BufferPool, memory: bytearray, size_class: int) -> None:
        self.pool = pool
        self.memory = memory
        self.mem = self.memory
        self.size = len(memory)
        self.requested = 0
        self.size_class = size_class
        self.name = 0
        self.in_use = False
        self.collected = False
        self.lent_ns = 0
        self.site: str | None = None

    def __del__(self) -> None:
        # The interpreter takes the module's names away before the last buffers.
        if self.in_use and not self.pool.is_finalizing():
            self.pool.leaked(self)


class IdleBuffers:
    """Buffers of one size class that nobody holds, the one that came back last on top.

    The list keeps the room that it once had: one that goes between none and one, as with every write
    of a connection, would go to the allocator each time.

    Attributes:
        n: how many.
        low: the fewest that there were since the last trim: what nobody needed.
    """

    __slots__ = ("_room", "low", "n")

    def __init__(self) -> None:
        self._room: list[Any] = []
        self.n = 0
        self.low = 0

    def push(self, buffer: Buffer) -> None:
        """``buffer`` is the next to be taken."""
        if self.n == len(self._room):
            self._room.append(buffer)
        else:
            self._room[self.n] = buffer
        self.n += 1

    def pop(self) -> Buffer:
        """The one that was used last; there must be one."""
        self.n -= 1
        if self.n < self.low:
            self.low = self.n
        buffer: Buffer = self._room[self.n]
        self._room[self.n] = None
        return buffer

    def drop_unused(self) -> list[Buffer]:
        """Those that nobody needed since the last call, used longest ago, are here no more."""
        unused: list[Buffer] = self._room[: self.low]
        self._room = self._room[self.low : self.n]
        self.n = self.low = len(self._room)
        return unused


class PoolStatistics(NamedTuple):
    """What a thread's pool holds, in octets; ``idle`` is the number of buffers by size class, ``oldest_s`` the age of
    the buffer that is held for longest, known in debug mode alone and 0.0 otherwise."""

    in_use: int
    high_water: int
    cached: int
    idle: dict[int, int]
    depot: int
    oldest_s: float


class _Depot:
    """Idle buffers that any thread may take; bounded."""

    def __init__(self, bytes_max: int) -> None:
        self._lock = threading.Lock()
        self._kept: list[list[bytearray]] = [[] for _ in SIZES]
        self._bytes_max = bytes_max
        self.bytes = 0

    def limit(self, bytes_max: int) -> None:
        with self._lock:
            self._bytes_max = bytes_max

    def enter(self, block: Counters) -> None:
        """Take the lock; having to wait for it is counted."""
        if not self._lock.acquire(blocking=False):
            block.add("buffer_pool_contended", 0, 1)
            self._lock.acquire()

    def put(self, memory: bytearray, size_class: int, block: Counters) -> bool:
        self.enter(block)
        try:
            if self.bytes + len(memory) > self._bytes_max:
                return False
            self.bytes += len(memory)
            self._kept[size_class].append(memory)
            return True
        finally:
            self._lock.release()

    def take(self, size_class: int, block: Counters) -> bytearray | None:
        if not self._kept[size_class]:
            return None
        self.enter(block)
        try:
            if not self._kept[size_class]:
                return None
            memory = self._kept[size_class].pop()
            self.bytes -= len(memory)
            return memory
        finally:
            self._lock.release()

    def clear(self) -> int:
        with self._lock:
            dropped = self.bytes
            self.bytes = 0
            self._kept = [[] for _ in SIZES]
            return dropped


_SHARED = _Depot(DEPOT_BYTES_MAX)


def limit_depot(bytes_max: int) -> None:
    """Bound what all threads of the process together keep idle; more that is there already stays until it is lent."""
    _SHARED.limit(bytes_max)


class BufferPool:
    """The pool of one thread.

    Args:
        block: counters of the thread.
        cache_bytes_max: idle octets that the thread keeps for itself.
        debug: remember where each buffer was acquired, and which are held.
        tuning: ``buffer_pool`` off, every buffer is fresh; ``buffer_thread_cache`` off, idle ones
            lie in the depot alone; ``buffer_tracking`` off, what is in use is not tracked.
    """

    __slots__ = (
        "_caches",
        "_depot",
        "_held",
        "_held_times",
        "_outputs",
        "_pooled",
        "_slots",
        "_tracked",
        "cache_bytes_max",
        "cached_bytes",
        "counters",
        "debug",
        "high_water_bytes",
        "in_use_bytes",
        "is_finalizing",
    )

    def __init__(
        self,
        block: Counters,
        cache_bytes_max: int = CACHE_BYTES_MAX,
        debug: bool = False,
        depot: _Depot | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        tuning = Tuning() if tuning is None else tuning
        self.counters = block
        self._slots = self.counters.slots
        self.is_finalizing = sys.is_finalizing
        self._caches: list[IdleBuffers] = [IdleBuffers() for _ in SIZES]
        self._depot: _Depot = _SHARED if depot is None else depot
        self._pooled = tuning.buffer_pool
        self._tracked = tuning.buffer_tracking
        self._held_times = [block.histogram("buffer_pool_held", name) for name in range(len(counters.BUFFER_POOLS))]
        self._held: dict[int, int] = {}
        self._outputs = 0
        self.cache_bytes_max = cache_bytes_max if tuning.buffer_thread_cache else 0
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
        cache = self._caches[size_class] if size_class < 7 else None
        if cache is not None and cache.n:
            buffer = cache.pop()
            self.cached_bytes -= buffer.size
            self._slots[_IDLE + buffer.name] -= buffer.size
            self._slots[_ACQUISITIONS + (name * _CLASSES + size_class) * _RESULTS + _HIT] += 1
        else:
            buffer = self._make(size, size_class, name)
        buffer.name = name
        buffer.requested = size
        if self._tracked:
            self._track(buffer)
        return buffer

    def _track(self, buffer: Buffer) -> None:
        """``buffer`` is lent from now on."""
        buffer.in_use = True
        if buffer.name == _OUTPUT and not self.debug:
            buffer.lent_ns = _mem.now_ns() if self._outputs % _OUTPUTS_TIMED == 0 else 0
            self._outputs += 1
        else:
            buffer.lent_ns = _mem.now_ns()
        self._slots[_IN_USE + buffer.name] += buffer.size
        self._slots[_REQUESTED + buffer.name] += buffer.requested
        self.in_use_bytes += buffer.size
        if self.in_use_bytes > self.high_water_bytes:
            self.high_water_bytes = self.in_use_bytes
        if self.debug:
            buffer.site = _site()
            self._held[id(buffer)] = buffer.lent_ns

    def _make(self, size: int, size_class: int, name: int) -> Buffer:
        """From the depot, or from the allocator."""
        result = _OVERSIZE if size_class == 7 else _MISS
        memory = self._depot.take(size_class, self.counters) if self._pooled and size_class < 7 else None
        if memory is None:
            memory = bytearray(_SIZES[size_class] if self._pooled and size_class < 7 else size)
            self._slots[_ALLOCATED + name] += len(memory)
            self._slots[_USAGE] += len(memory)
        else:
            result = _HIT
        self._slots[_ACQUISITIONS + (name * _CLASSES + size_class) * _RESULTS + result] += 1
        return Buffer(self, memory, size_class)

    def release(self, buffer: Buffer) -> None:
        """Give ``buffer`` back; nothing may refer to its memory any more.

        Raises:
            DoubleReleaseError: it was released before.
        """
        if self._tracked:
            if not buffer.in_use:
                if buffer.collected:
                    # Its holder is garbage of the same collection, and is finalised only now.
                    return
                raise DoubleReleaseError(buffer.size, buffer.site)
            self._untrack(buffer)
            if buffer.lent_ns:
                times = self._held_times[buffer.name]
                times.record((_mem.now_ns() - buffer.lent_ns) * 1e-9)
        size_class = buffer.size_class
        if size_class < 7 and self._pooled and self.cached_bytes + buffer.size <= self.cache_bytes_max:
            cache = self._caches[size_class]
            cache.push(buffer)
            self.cached_bytes += buffer.size
            self._slots[_IDLE + buffer.name] += buffer.size
            return
        if size_class == 7 or not self._pooled or not self._depot.put(buffer.memory, size_class, self.counters):
            self._slots[_USAGE] -= buffer.size
            self._slots[_EVICTED + buffer.name] += buffer.size

    def _untrack(self, buffer: Buffer) -> None:
        """``buffer`` is not lent any more."""
        buffer.in_use = False
        self._slots[_IN_USE + buffer.name] -= buffer.size
        self._slots[_REQUESTED + buffer.name] -= buffer.requested
        self.in_use_bytes -= buffer.size
        if self.debug:
            self._held.pop(id(buffer), None)

    def leaked(self, buffer: Buffer) -> None:
        """``buffer`` was collected without being released: its holder has a bug."""
        buffer.collected = True
        self._slots[_LEAKED + buffer.name] += 1
        self._slots[_USAGE] -= buffer.size
        self._untrack(buffer)
        if self.debug:
            warnings.warn(f"a buffer of {buffer.size} octets was not released, acquired at {buffer.site}", ResourceWarning, stacklevel=2)

    def trim(self) -> int:
        """Drop everything idle, here and in the depot; returns the octets that went back to the allocator."""
        for cache in self._caches:
            cache.low = cache.n
        shared = self._depot.clear()
        self._slots[_USAGE] -= shared
        return self.trim_unused() + shared

    def trim_unused(self) -> int:
        """Drop the idle buffers that nobody needed since the last trim; returns their octets."""
        dropped = 0
        for cache in self._caches:
            for buffer in cache.drop_unused():
                self._slots[_IDLE + buffer.name] -= buffer.size
                self._slots[_EVICTED + buffer.name] += buffer.size
                dropped += buffer.size
        self._slots[_USAGE] -= dropped
        self.cached_bytes -= dropped
        return dropped

    def statistics(self) -> PoolStatistics:
        """What is held now."""
        idle = {size: cache.n for size, cache in zip(SIZES, self._caches, strict=True)}
        oldest_s = (_mem.now_ns() - min(self._held.values())) * 1e-9 if self._held else 0.0
        return PoolStatistics(self.in_use_bytes, self.high_water_bytes, self.cached_bytes, idle, self._depot.bytes, oldest_s)


def _site() -> str:
    """The caller outside this module, as ``file:line``."""
    for frame in reversed(traceback.extract_stack(limit=8)):
        if frame.filename != __file__:
            return f"{frame.filename}:{frame.lineno}"
    return "?"


_thread = threading.local()


def local_pool(block: Counters, tuning: Tuning | None = None, cache_bytes_max: int = CACHE_BYTES_MAX) -> BufferPool:
    """The pool of the calling thread for these switches, made on first use; ``block`` are the counters that it adds to.

    Python's development mode (``-X dev``) turns debug mode on.
    """
    key = (True, True, True) if tuning is None else (tuning.buffer_pool, tuning.buffer_thread_cache, tuning.buffer_tracking)
    pools: dict[tuple[object, ...], BufferPool] | None = getattr(_thread, "pools", None)
    if pools is None:
        pools = _thread.pools = {}
    found = pools.get(key)
    if found is None or found.counters is not block:
        found = pools[key] = BufferPool(block, cache_bytes_max, sys.flags.dev_mode, None, tuning)
    return found


def local_pools() -> list[BufferPool]:
    """The pools that the calling thread has: for trimming and statistics."""
    return list(getattr(_thread, "pools", {}).values())
