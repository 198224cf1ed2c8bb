"""How much memory there is for this process, and how much of it the runtime may hold."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..limits import EngineLimits

__all__ = ["machine_bytes", "process_bytes_max"]

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
# Kernels write a number near 2^63 where there is no bound.
_UNBOUNDED = 1 << 60


def process_bytes_max(limits: EngineLimits) -> int | None:
    """``EngineLimits.memory_process_bytes_max``; left out, ``memory_process_percent`` of what there is; None for no bound."""
    if limits.memory_process_bytes_max is not None:
        return limits.memory_process_bytes_max
    there = machine_bytes() if limits.memory_process_percent else None
    return None if there is None else there * limits.memory_process_percent // 100


@functools.cache
def machine_bytes() -> int | None:
    """The least of the machine's memory, its control groups' bounds and RLIMIT_AS, read once; None where nothing tells."""
    return min((n for n in (*_physical(), *cgroup_bounds(), *_address_space()) if 0 < n < _UNBOUNDED), default=None)


def _physical() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return


def _address_space() -> Iterator[int]:
    try:
        import resource
    except ImportError:
        return
    yield resource.getrlimit(resource.RLIMIT_AS)[0]


def cgroup_bounds(own: Path = _OWN_CGROUPS, root: Path = _CGROUPS) -> Iterator[int]:
    """The bounds of the control groups around this process, of both versions.

    Args:
        own: says which groups it is in.
        root: where they are mounted.  In a container the names of ``own`` may be the host's; its bound
            is at the top then, where every walk ends.
    """
    try:
        lines = own.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            folder, file = root, "memory.max"
        elif "memory" in controllers.split(","):
            folder, file = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        path = PurePosixPath("/", name)
        for group in (path, *path.parents):
            try:
                text = Path(folder, *group.parts[1:], file).read_text(encoding="ascii").strip()
            except OSError:
                continue
            if text.isdecimal():
                yield int(text)
