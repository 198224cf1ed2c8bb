"""What requests wait for in a pool: an attempt to connect that they share, or a place in the queue for a stream."""

from __future__ import annotations

import math
from typing import Any

from ..io.loop import Waiter
from .connection import PooledConnection

__all__ = ["Attempt", "Place"]


class Attempt:
    """One attempt to connect, and who waits for it; it lasts as long as the most patient of them would have waited."""

    __slots__ = ("deadline", "expired", "limit_s", "task", "timer", "told", "waiters")

    def __init__(self) -> None:
        self.waiters: list[Waiter] = []
        self.told: set[Waiter] = set()
        self.task: Any = None
        self.timer: Any = None
        self.deadline = 0.0
        self.limit_s = 0.0
        self.expired = False

    def extend(self, timeout_s: float | None, now: float) -> None:
        """One more waits, so long."""
        limit_s = math.inf if timeout_s is None else timeout_s
        if now + limit_s > self.deadline:
            self.deadline = now + limit_s
            self.limit_s = limit_s


class Place:
    """A request's place in the queue for a stream, and the connection on which it was given one."""

    __slots__ = ("connection", "waiter")

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter
        self.connection: PooledConnection | None = None
