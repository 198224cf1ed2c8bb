"""How many connections a client has room for, whomever they go to.

A place is taken when an attempt to connect begins and given back when the connection's transport
is gone.  Origins that find none wait in a fair queue; the connection that was idle for longest goes
for them, as it does where too many are kept for later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from ..limits import Limits
from .connection import PooledConnection

__all__ = ["Room"]


class Waits(Protocol):
    """An origin, as far as it may wait for a place."""

    def enter(self) -> bool:
        """A place is there: use it, or say that nobody waits for it any more."""


class Room:
    """The places of one client on one loop.

    Args:
        limits: ``max_connections`` and ``max_keepalive_connections``.
        idle_connections: finds the connections that nobody uses or is about to use.

    Attributes:
        connections_max: ``Limits.max_connections``.
        taken: places that connections and attempts to connect have.
        idle: connections without a stream, those included that are about to close.
        waiting: origins without a place, in order.
    """

    def __init__(self, limits: Limits, idle_connections: Callable[[], Iterable[PooledConnection]]) -> None:
        self.taken = 0
        self.idle = 0
        self.waiting: deque[Waits] = deque()
        self.connections_max = limits.max_connections
        self._idle_max = limits.max_keepalive_connections
        self._idle_connections = idle_connections
        self._leaving = 0

    def take(self) -> bool:
        """Take a place, if there is one for whoever comes now."""
        if self.connections_max is not None and (self.taken >= self.connections_max or self.waiting):
            return False
        self.taken += 1
        return True

    def wait(self, origin: Waits) -> None:
        """``origin.enter`` is called once there is a place, which is already taken then."""
        self.waiting.append(origin)
        self.relieve()

    def leave(self, origin: Waits) -> None:
        """Nobody waits at ``origin`` any more."""
        if origin in self.waiting:
            self.waiting.remove(origin)

    def release(self) -> None:
        """A connection is gone, or was not made: its place goes to who waited longest."""
        self._leaving = max(0, self._leaving - 1)
        while self.waiting:
            if self.waiting.popleft().enter():
                return
        self.taken -= 1

    def rested(self) -> None:
        """A connection has ended its last stream."""
        if self.waiting or (self._idle_max is not None and self.idle > self._idle_max):
            self.relieve()

    def relieve(self) -> None:
        """Let idle connections go: one for each who waits, and those beyond the number to keep."""
        found = sorted(self._idle_connections(), key=_idle_since)
        wanted = len(self.waiting) - self._leaving
        if self._idle_max is not None:
            wanted = max(wanted, len(found) - self._idle_max)
        for connection in found[: max(0, wanted)]:
            self._leaving += 1
            connection.finish("evicted")


def _idle_since(connection: PooledConnection) -> float:
    return connection.idle_since
