"""The heap of the C library: how much of it stays free for the next use, and giving the rest back to the system.

glibc gives the end of its heap back as soon as it is free, and takes it again with the next body: for
a body of 1 MiB that costs hundreds of page faults, more than all the rest of it.  ``Heap.keep`` lets it
have more before it does so.

What is freed below the highest block in use stays with the process: after a burst of large bodies
a few small blocks hold gigabytes that nobody uses.  ``malloc_trim`` of glibc gives the pages of
all free blocks back; other C libraries do it by themselves or not at all.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

__all__ = ["Heap", "heap_bytes", "process_heap"]


# <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_MAX = 33_554_432


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    )


class Heap:
    """When the heap is worth trimming, and doing it.

    The C library's count of free octets stays the same when their pages are given back, so what
    the process has grown by since its smallest decides, too.

    Args:
        resident: reads the resident memory of the process in octets.
        free: reads the free octets of the heap.
        release: gives their pages back.
        hold: lets the C library keep so many octets at the heap's end.
    """

    def __init__(
        self,
        resident: Callable[[], int],
        free: Callable[[], int],
        release: Callable[[], object],
        hold: Callable[[int], object],
    ) -> None:
        self._resident = resident
        self._free = free
        self._release = release
        self._hold = hold
        self._held = 0
        self._least = resident()

    def keep(self, free_bytes: int) -> None:
        """Up to ``free_bytes`` at the heap's end stay with the process when they are freed; the largest wish counts."""
        if free_bytes > self._held:
            self._held = free_bytes
            self._hold(free_bytes)

    def grown(self) -> int:
        """Octets by which the process is larger than its smallest since it began, or since the last trim."""
        resident = self._resident()
        self._least = min(self._least, resident)
        return resident - self._least

    def trim(self, free_bytes_max: int) -> int:
        """Give back what is free if it is more than ``free_bytes_max``; returns by how much the process shrank."""
        grown = self.grown()
        if grown <= free_bytes_max or self._free() <= free_bytes_max:
            return 0
        before = self._least + grown
        self._release()
        self._least = self._resident()
        return max(0, before - self._least)


def heap_bytes() -> tuple[int, int]:
    """Octets allocated from the system, and used, of all arenas.

    Raises:
        AttributeError: the C library does not tell.
    """
    info = _malloc_info()
    return info.arena + info.hblkhd, info.uordblks + info.hblkhd


@functools.cache
def process_heap() -> Heap | None:
    """The heap of this process; None where it cannot be looked at or trimmed."""
    try:
        if heap_bytes()[0] == 0:
            # Another allocator stands in front of the C library's.
            return None
        trim = ctypes.CDLL(None).malloc_trim
        return Heap(_resident_bytes, lambda: int(_malloc_info().fordblks), lambda: trim(0), hold_free)
    except (AttributeError, OSError, ValueError, IndexError):
        return None


def hold_free(free_bytes: int) -> None:
    """Set glibc's thresholds for the whole process, unless its user has set them in the environment.

    Raises:
        AttributeError: the C library has none.
    """
    if any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")):
        return
    set_option = ctypes.CDLL(None).mallopt
    set_option(_M_TRIM_THRESHOLD, min(free_bytes, 2**31 - 1))
    # Blocks from here on are mapped one by one, and so given back one by one: what glibc itself arrives at once it
    # has seen a block of this size freed (mallopt(3), "dynamic mmap threshold").
    set_option(_M_MMAP_THRESHOLD, min(free_bytes // 2, _MMAP_THRESHOLD_MAX))


def _malloc_info() -> _MallocInfo:
    read = ctypes.CDLL(None).mallinfo2
    read.restype = _MallocInfo
    info: _MallocInfo = read()
    return info


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
