"""The garbage collector: its pauses, through ``gc.callbacks`` into a histogram by generation, and what is kept out of its sight."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator

from .. import counters

__all__ = ["frozen", "frozen_objects", "unwatch_gc", "watch_gc"]


class _GCWatch:
    """Records every pause of the garbage collector.

    It writes into the block of the thread that installed it, whichever thread collects: collections
    never overlap and nobody else writes these histograms.  Asking for the thread's own block here
    could take the registry's lock in the middle of ``counters.collect()``, which holds it.
    """

    def __init__(self) -> None:
        block = counters.local()
        self._histograms = [block.histogram("gc_pause_duration", i) for i in range(3)]
        self._started = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._started = counters.clock()
        elif self._started:
            self._histograms[min(info.get("generation", 2), 2)].record((counters.clock() - self._started) * 1e-9)
            self._started = 0


_gc_watch: _GCWatch | None = None
_frozen_objects = 0
# An interpreter may freeze some of its own objects before it runs any program: Python 3.12.1 freezes
# 375.  A program that calls gc.freeze() freezes thousands, for the smallest has more than 4,000.
_INTERPRETER_FREEZES_MAX = 1000


@contextlib.contextmanager
def frozen(wanted: bool = True) -> Iterator[None]:
    """Keep what is alive now out of the collector's sight for as long as this lasts.

    A collection of generation 2 looks at every container of the process, most of which a server's
    application made once, when it was loaded.  Garbage goes first, or it would stay for good.  A
    process that froze objects itself, such as the parent of forked workers, is left as it is.
    """
    global _frozen_objects
    if not wanted or gc.get_freeze_count() > _INTERPRETER_FREEZES_MAX:
        yield
        return
    gc.collect()
    gc.freeze()
    # Counting walks through all of them, so it is done once.
    _frozen_objects = gc.get_freeze_count()
    try:
        yield
    finally:
        gc.unfreeze()
        _frozen_objects = 0


def frozen_objects() -> int:
    """Containers that ``frozen`` keeps out of the collector's sight."""
    return _frozen_objects


def watch_gc() -> None:
    """Measure garbage collections from now on; calling it again changes nothing."""
    global _gc_watch
    if _gc_watch is None:
        _gc_watch = _GCWatch()
        gc.callbacks.append(_gc_watch)


def unwatch_gc() -> None:
    global _gc_watch
    if _gc_watch is not None:
        if _gc_watch in gc.callbacks:
            gc.callbacks.remove(_gc_watch)
        _gc_watch = None


def _reset_after_fork() -> None:
    # The counters of the parent are gone, and with them the histograms that the watch wrote to.
    if _gc_watch is not None:
        unwatch_gc()
        watch_gc()


os.register_at_fork(after_in_child=_reset_after_fork)
