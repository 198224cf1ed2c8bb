"""Pauses of the garbage collector, measured through ``gc.callbacks`` into a histogram by generation."""

from __future__ import annotations

import gc
import os

from .. import counters

__all__ = ["unwatch_gc", "watch_gc"]


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
