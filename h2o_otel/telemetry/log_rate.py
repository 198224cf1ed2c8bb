"""Limits log lines of one kind: a peer that causes an event at will must not fill the disk or hide other events."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .. import counters

__all__ = ["RateLimit", "RateLimitFilter", "count_event"]

EMITTED, SUPPRESSED, DROPPED = range(3)


def count_event(result: int) -> None:
    """Count one log event: ``EMITTED``, ``SUPPRESSED`` or ``DROPPED``."""
    counters.local().add("telemetry_logs", result, 1)


class RateLimit:
    """Token buckets, one per event name, so that a flood of one event does not suppress others.

    Args:
        per_s: lines per second, and the size of the bucket.
        clock: nanoseconds.
    """

    def __init__(self, per_s: float, clock: Callable[[], int] = counters.clock) -> None:
        self._per_s = per_s
        self._burst = max(1.0, per_s)
        self._clock = clock
        self._buckets: dict[str, tuple[float, int]] = {}
        self._suppressed: dict[str, int] = {}

    def suppressed_before(self, name: str) -> int:
        """Count one line; returns the number of lines suppressed since the last that passed, or -1 if this one is suppressed."""
        now = self._clock()
        tokens, at = self._buckets.get(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * 1e-9 * self._per_s)
        if tokens < 1.0:
            self._buckets[name] = (tokens, now)
            self._suppressed[name] = self._suppressed.get(name, 0) + 1
            return -1
        self._buckets[name] = (tokens - 1.0, now)
        return self._suppressed.pop(name, 0)


class RateLimitFilter(logging.Filter):
    """Limits the records of this package that are not events, by the line of code that logs them.

    An internal error that peers can provoke must not fill the disk with tracebacks.
    """

    def __init__(self, lines_per_s: float, clock: Callable[[], int] = counters.clock) -> None:
        super().__init__()
        self._limit = RateLimit(lines_per_s, clock)

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "h2o_event"):
            return True  # BoundLog.emit has limited events already
        suppressed = self._limit.suppressed_before(f"{record.name}:{record.lineno}")
        if suppressed < 0:
            count_event(SUPPRESSED)
            return False
        if suppressed:
            record.h2o_suppressed = suppressed
        return True
