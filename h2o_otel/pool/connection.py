"""What the pool needs of a connection, as the base of the client's protocol objects."""

from __future__ import annotations

from typing import Any, Protocol

from ..io.handler import DriverHandler

__all__ = ["Decision", "Keeper", "PooledConnection"]

# Stream identifiers end at 2^31 - 1 (RFC 9113 section 5.1.1); a connection is replaced before.
_STREAMS_EVER_MAX = 2**30 - 16


class Keeper(Protocol):
    """A pool, as far as its connections tell it of themselves."""

    def released(self, connection: PooledConnection) -> None:
        """A stream of ``connection`` ended, or its limit rose."""

    def activity(self, busy: bool) -> None:
        """A connection got its first stream, or ended its last."""

    def slow_pings(self) -> None:
        """The peer said that it is asked too often."""

    def retired(self, connection: PooledConnection) -> None:
        """``connection`` takes no more requests."""

    def removed(self, connection: PooledConnection, reason: str, age_s: float) -> None:
        """The transport of ``connection`` is gone."""


class Decision:
    """What ``choose`` found.

    Attributes:
        connection: to open the request on, at once; None when it has to wait.
        reason: "reused"; or what it waits for: "new" (a connection) or "waited" (a free stream).
    """

    __slots__ = ("connection", "reason")

    def __init__(self, connection: PooledConnection | None, reason: str) -> None:
        self.connection = connection
        self.reason = reason

    def __repr__(self) -> str:
        return f"Decision({self.connection!r}, {self.reason!r})"


class PooledConnection(DriverHandler):
    """A connection that a pool hands out.

    Attributes:
        id: of this connection in this process, for people and telemetry.
        pool: that keeps it, None before and after.
        decision: what ``choose`` answers with it.
        streams_open: under way.
        reserved: streams promised to requests that are about to wake up.
        streams_max: the peer's limit, as far as it is known.
        streams_ever: requests made on it.
        retired: no new requests: GOAWAY, an error, or the end.
        suspect: the peer was silent; a PING decides, and new requests go elsewhere.
        idle_since: when its last stream ended, on the loop's clock; while it has none.
        error: why the connection ended, None while it has not, or when it ended in order.
    """

    def __init__(self, id: int) -> None:
        self.id = id
        self.pool: Keeper | None = None
        self.decision: Decision | None = None
        self.streams_open = 0
        self.reserved = 0
        self.streams_max = 0
        self.streams_ever = 0
        self.retired = False
        self.suspect = False
        self.idle_since = 0.0
        self.error: Exception | None = None

    def available(self) -> bool:
        """Whether a request may be opened on it now."""
        return self.streams_open + self.reserved < self.streams_max and self.usable()

    def usable(self) -> bool:
        """Whether it takes requests at all, once it has a stream to spare."""
        return not self.retired and not self.suspect and self.streams_ever < _STREAMS_EVER_MAX

    def finish(self, reason: str) -> None:
        """Take no more requests, and close once those under way are over.

        Args:
            reason: of the closed list of ``h2o.pool.connections.closed``.
        """

    def terminate(self, reason: str) -> None:
        """Close now; requests under way fail."""

    async def wait_closed(self) -> None:
        """Return once the transport is gone."""

    def describe(self) -> dict[str, Any]:
        """A snapshot for consoles and error reports."""
        return {
            "id": self.id,
            "streams_open": self.streams_open,
            "streams_max": self.streams_max,
            "streams_ever": self.streams_ever,
            "retired": self.retired,
            "suspect": self.suspect,
        }
