"""The heap of the C library: how much of it is free, and giving that back to the system.

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
    """

    def __init__(self, resident: Callable[[], int], free: Callable[[], int], release: Callable[[], object]) -> None:
        self._resident = resident
        self._free = free
        self._release = release
        self._least = resident()

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
        return Heap(_resident_bytes, lambda: int(_malloc_info().fordblks), lambda: trim(0))
    except (AttributeError, OSError, ValueError, IndexError):
        return None


def _malloc_info() -> _MallocInfo:
    read = ctypes.CDLL(None).mallinfo2
    read.restype = _MallocInfo
    info: _MallocInfo = read()
    return info


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
