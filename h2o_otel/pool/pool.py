"""Which connection a request goes out on: decided synchronously, awaited only where it must wait.

One connection per origin.  Requests that find it full wait in a fair queue; those that find none
share one attempt to connect, which goes on whoever stops waiting for it.  Where the client has as
many connections as it may have, the attempt waits for a place (``room.py``).  The pool knows
nothing of requests or sockets: how to connect is given to it.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

from .. import counters
from ..counters import CLIENT, Counters
from ..errors import ConnectError, ConnectTimeout, H2OError, PoolTimeout, TotalTimeout
from ..io.loop import Loop, Waiter
from ..limits import Limits
from ..telemetry.requests import origin_label
from .connection import Decision, PooledConnection
from .origin import Origin
from .room import Room
from .tasks import back_off, spawn
from .waiting import Attempt, Place

__all__ = ["OriginPool", "Pool"]

Opener = Callable[[Origin, Limits], Coroutine[Any, Any, PooledConnection]]

CONNECT = Decision(None, "new")
WAIT = Decision(None, "waited")


class OriginPool:
    """The connections of one origin.

    Args:
        origin: their key.
        loop: they run on.
        open_connection: makes one.
        limits: of the pool.
        block: counters to add to.
        room: for the connections of all origins; without bounds by default.

    Attributes:
        limits: of the next connection; the interval of PINGs grows with the peer's complaints.
        current: the connection that new requests go to, None before the first and after the last.
        waiting: requests in the queue for a stream, in order.
        connections: all that are not closed, draining ones included.
        expected: requests that were told of a connection and have not run since.
    """

    def __init__(
        self, origin: Origin, loop: Loop, open_connection: Opener, limits: Limits, block: Counters, room: Room | None = None
    ) -> None:
        self.origin = origin
        self.loop = loop
        self.limits = limits
        self.counters = block
        self.current: PooledConnection | None = None
        self.waiting: deque[Place] = deque()
        self.connections: list[PooledConnection] = []
        self.expected = 0
        self.closed = False
        self.room = Room(Limits(max_connections=None, max_keepalive_connections=None), tuple) if room is None else room
        self._open_connection = open_connection
        self._attempt: Attempt | None = None
        # Who waits for a place, and how long each would wait for the connection then.
        self._outside: list[tuple[Waiter, float | None]] = []
        self._last: PooledConnection | None = None
        self._address, self._port = origin_label(origin.host, origin.port, limits.origins_labelled_max)
        self._key_reused = (self._address, "reused")
        self._key_active = ("active", self._address, self._port, "2")
        self._key_idle = ("idle", self._address, self._port, "2")
        block.count("pool_limit", (self._address,), 1)
        # A queue that was always empty is a fact, too.
        block.count("pool_pending", (self._address,), 0)

    # -- choosing

    def choose(self) -> Decision:
        """Decide now, without waiting: the connection to use, or what has to be waited for."""
        current = self.current
        if current is None or not current.usable():
            return CONNECT
        if self.waiting or not current.available():
            return WAIT
        return current.decision or WAIT

    def take(self) -> PooledConnection | None:
        """The connection to open a request on at once, counted as reused; None when ``acquire`` has to wait."""
        connection = self.choose().connection
        if connection is not None:
            self.counters.count("pool_acquisitions", self._key_reused)
        return connection

    async def acquire(
        self, pool_timeout_s: float | None, connect_timeout_s: float | None, deadline: float, attempts: int = 0
    ) -> PooledConnection:
        """A connection that has room for one more request, which must be opened before anything else is awaited.

        Args:
            pool_timeout_s: for a free stream, or for a place where the client has ``max_connections``.
            connect_timeout_s: for a new connection.
            deadline: on the loop's clock, whatever is waited for; ``math.inf`` for none.
            attempts: how often the request was sent in vain.

        Raises:
            PoolTimeout, ConnectTimeout: the time passed.
            ConnectError: no connection could be made, or one after another ended before it took a request.
        """
        result = "reused"
        try:
            while True:
                if self.closed:
                    raise H2OError("the client was closed")
                decision = self.choose()
                if decision.connection is not None:
                    return decision.connection
                if result != "waited":
                    result = decision.reason
                if decision is CONNECT and self._attempt is None and not self.room.take():
                    await self._place(pool_timeout_s, connect_timeout_s, deadline)
                    continue
                if decision is CONNECT:
                    await self._connected(connect_timeout_s, deadline)
                else:
                    connection = await self._turn(pool_timeout_s, deadline)
                    if connection is not None:
                        return connection
                if self.choose() is CONNECT:
                    attempts += 1
                    if attempts > self.limits.retries_max:
                        raise self._stillborn(attempts)
                    await back_off(self.loop, attempts, deadline)
        except PoolTimeout:
            result = "timeout"
            raise
        except BaseException:
            result = "rejected"
            raise
        finally:
            self.counters.count("pool_acquisitions", (self._address, result))

    # -- waiting for a stream

    async def _turn(self, timeout_s: float | None, deadline: float) -> PooledConnection | None:
        """Wait in the queue for a stream; None when the connection ended meanwhile and another choice is due."""
        place = Place(self.loop.create_waiter())
        self.waiting.append(place)
        self.counters.count("pool_pending", (self._address,), 1)
        self.counters.add("stream_pending", CLIENT, 1)
        began = self.loop.now()
        try:
            await self._limited(place.waiter, timeout_s, deadline, self._pool_timeout)
        except BaseException:
            if place in self.waiting:
                self.waiting.remove(place)
            elif place.connection is not None:
                # It was given a stream and is gone: the next one gets it.
                place.connection.reserved -= 1
                self.released(place.connection)
            raise
        finally:
            self.counters.count("pool_pending", (self._address,), -1)
            self.counters.add("stream_pending", CLIENT, -1)
            self.counters.histogram("stream_time_in_queue", CLIENT).record(self.loop.now() - began)
        connection = place.connection
        if connection is not None:
            connection.reserved -= 1
            if not connection.usable():
                return None
        return connection

    def released(self, connection: PooledConnection) -> None:
        """A stream of ``connection`` ended, or its limit rose: wake who waits, in order."""
        if connection is not self.current:
            return
        while self.waiting and connection.available():
            place = self.waiting.popleft()
            if not place.waiter.done():
                place.connection = connection
                connection.reserved += 1
                place.waiter.set_result(None)

    def _choose_again(self) -> None:
        """The connection that the queue waits for takes no more requests."""
        while self.waiting:
            place = self.waiting.popleft()
            if not place.waiter.done():
                place.waiter.set_result(None)

    # -- waiting for a place

    async def _place(self, pool_timeout_s: float | None, connect_timeout_s: float | None, deadline: float) -> None:
        """Wait until an attempt to connect has a place among the client's connections."""
        waiter = self.loop.create_waiter()
        waits = (waiter, connect_timeout_s)
        self._outside.append(waits)
        if len(self._outside) == 1:
            self.room.wait(self)
        try:
            await self._limited(waiter, pool_timeout_s, deadline, self._place_timeout)
        finally:
            if waits in self._outside:
                self._outside.remove(waits)
                if not self._outside:
                    self.room.leave(self)

    def enter(self) -> bool:
        """There is a place, already taken: connect, and True; False when nobody waits for it any more."""
        waits = [(waiter, timeout_s) for waiter, timeout_s in self._outside if not waiter.done()]
        self._outside = []
        if waits:
            self._begin([timeout_s for _, timeout_s in waits])
        for waiter, _ in waits:
            waiter.set_result(None)
        return bool(waits)

    def _place_timeout(self, timeout_s: float) -> PoolTimeout:
        return PoolTimeout(
            f"no place for a connection to {self.origin} became free within {timeout_s:g} s (Timeout.pool):"
            f" {self.room.taken} connections are open or being made, and none is idle"
            f" (Limits.max_connections is {self.room.connections_max})",
            timeout_s=timeout_s,
        )

    # -- connecting

    async def _connected(self, timeout_s: float | None, deadline: float) -> None:
        """Wait for the shared attempt, begun if there is none."""
        attempt = self._attempt
        if attempt is None:
            attempt = self._begin([timeout_s])
        else:
            attempt.extend(timeout_s, self.loop.now())
        waiter = self.loop.create_waiter()
        attempt.waiters.append(waiter)
        try:
            await self._limited(waiter, timeout_s, deadline, self._connect_timeout)
        finally:
            if waiter in attempt.waiters:
                attempt.waiters.remove(waiter)
            elif waiter in attempt.told:
                attempt.told.remove(waiter)
                self.expected -= 1

    def _begin(self, timeouts_s: list[float | None]) -> Attempt:
        """Begin an attempt, whose place is taken, for those who would wait so long."""
        attempt = self._attempt = Attempt()
        now = self.loop.now()
        for timeout_s in timeouts_s:
            attempt.extend(timeout_s, now)
        attempt.task = spawn(self.loop, self._run(attempt))
        # Not at once, however short: a task that is cancelled before it began would tell nobody.
        if attempt.deadline < math.inf:
            attempt.timer = self.loop.call_at(attempt.deadline, functools.partial(self._look, attempt))
        return attempt

    async def _run(self, attempt: Attempt) -> None:
        """Connect, and tell everyone who waits; runs on its own, so nobody's cancellation ends it."""
        error: Exception | None = None
        error_type = ""
        kept = False
        try:
            connection = await self._open_connection(self.origin, self.limits)
            if self.closed:
                connection.terminate("shutdown")
                error = ConnectError("the client was closed while it connected")
            else:
                self._add(connection)
                kept = True
        except Exception as failure:
            error = failure
            error_type = getattr(failure, "reason", "") or type(failure).__name__
        except BaseException:
            if attempt.expired:
                error = self._connect_timeout(attempt.limit_s)
            else:
                error = ConnectError(f"connecting to {self.origin} was cancelled")
            error_type = type(error).__name__
            raise
        finally:
            if attempt.timer is not None:
                attempt.timer.cancel()
            if self._attempt is attempt:
                self._attempt = None
            self.counters.count("pool_connections_created", (self._address, error_type))
            self._tell(attempt, error)
            if not kept:
                self.room.release()

    def _look(self, attempt: Attempt) -> None:
        """End ``attempt`` at its deadline, which may have moved since this was planned."""
        if self.loop.now() >= attempt.deadline:
            attempt.expired = True
            # Who comes before it has ended has time of their own, and begins another.
            if self._attempt is attempt:
                self._attempt = None
            attempt.task.cancel()
        elif attempt.deadline < math.inf:
            attempt.timer = self.loop.call_at(attempt.deadline, functools.partial(self._look, attempt))

    def _tell(self, attempt: Attempt, error: Exception | None) -> None:
        waiters, attempt.waiters = attempt.waiters, []
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                attempt.told.add(waiter)
                self.expected += 1
                waiter.set_result(None)
            else:
                # Each gets its own, since each has its own request and traceback.
                own = type(error).__new__(type(error), *error.args)
                own.__dict__.update(error.__dict__)
                own.__cause__ = error
                waiter.set_exception(own)

    async def _limited(self, waiter: Waiter, timeout_s: float | None, deadline: float, make_error: Callable[[float], Exception]) -> None:
        """Await ``waiter``, but no longer than either limit."""
        now = self.loop.now()
        until = deadline if timeout_s is None else min(deadline, now + timeout_s)
        if until == math.inf:
            await waiter
            return

        def expired() -> None:
            if waiter.done():
                return
            if timeout_s is None or until == deadline:
                waiter.set_exception(TotalTimeout(f"Timeout.total passed while the request waited for {self.origin}"))
            else:
                waiter.set_exception(make_error(timeout_s))

        timer = self.loop.call_at(until, expired)
        try:
            await waiter
        finally:
            timer.cancel()

    def _pool_timeout(self, timeout_s: float) -> PoolTimeout:
        current = self.current
        streams = "" if current is None else f": {current.streams_open} streams are open, the peer allows {current.streams_max}"
        return PoolTimeout(
            f"no stream to {self.origin} became free within {timeout_s:g} s (Timeout.pool){streams}; {len(self.waiting)} requests wait",
            timeout_s=timeout_s,
        )

    def _stillborn(self, attempts: int) -> ConnectError:
        last = self._last
        error = None if last is None else last.error
        made = ConnectError(
            f"connections to {self.origin} end before a request can go out, {attempts} in a row"
            f" (Limits.retries_max is {self.limits.retries_max}): {error or 'the peer says GOAWAY or hangs up at once'}"
        )
        made.__cause__ = error
        return made

    def _connect_timeout(self, timeout_s: float) -> ConnectTimeout:
        return ConnectTimeout(f"no connection to {self.origin} within {timeout_s:g} s (Timeout.connect)", timeout_s=timeout_s)

    # -- the life of connections

    def _add(self, connection: PooledConnection) -> None:
        connection.pool = self
        connection.decision = Decision(connection, "reused")
        self.connections.append(connection)
        self._last = connection
        self.room.idle += 1
        self.counters.count("http_client_open_connections", self._key_idle)
        previous = self.current
        self.current = connection
        if previous is not None:
            previous.finish("health" if previous.suspect else "goaway")
        if connection.retired:
            self.retired(connection)

    def activity(self, busy: bool) -> None:
        """A connection got its first stream, or ended its last."""
        block = self.counters
        block.count("http_client_open_connections", self._key_active, 1 if busy else -1)
        block.count("http_client_open_connections", self._key_idle, -1 if busy else 1)
        self.room.idle += -1 if busy else 1
        if not busy:
            self.room.rested()

    def slow_pings(self) -> None:
        """The peer said that we ask too often: half as often from the next connection on, for as long as the pool lives."""
        limits = self.limits
        interval_s = min(2 * limits.ping_interval_min_s, max(limits.ping_interval_min_s, limits.ping_interval_max_s))
        self.limits = replace(
            limits, ping_interval_min_s=interval_s, window_probe_interval_s=max(interval_s, limits.window_probe_interval_s)
        )

    def retired(self, connection: PooledConnection) -> None:
        """``connection`` takes no more requests."""
        if connection is self.current:
            self.current = None
            self._choose_again()

    def removed(self, connection: PooledConnection, reason: str, age_s: float) -> None:
        """The transport of ``connection`` is gone."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        if not connection.streams_open:
            self.room.idle -= 1
        block = self.counters
        block.count("http_client_open_connections", self._key_active if connection.streams_open else self._key_idle, -1)
        block.count("pool_connections_closed", (self._address, reason))
        block.labelled_histogram("http_client_connection_duration", (self._address, self._port, "2")).record(age_s)
        self.retired(connection)
        self.room.release()

    def terminate(self) -> None:
        """Close every connection; requests under way fail, those in the queue too.  May be called again."""
        if not self.closed:
            self.closed = True
            self.counters.count("pool_limit", (self._address,), -1)
        attempt = self._attempt
        if attempt is not None:
            self._attempt = None
            self._tell(attempt, ConnectError(f"the client was closed while it connected to {self.origin}"))
            attempt.task.cancel()
        outside, self._outside = self._outside, []
        self.room.leave(self)
        for waiter, _ in outside:
            if not waiter.done():
                waiter.set_result(None)
        for connection in list(self.connections):
            connection.terminate("shutdown")
        self.current = None
        self._choose_again()


class Pool:
    """The origins of one client on one loop."""

    def __init__(self, loop: Loop, open_connection: Opener, limits: Limits) -> None:
        self.loop = loop
        self.origins: dict[Origin, OriginPool] = {}
        self.closed = False
        self._open_connection = open_connection
        self._limits = limits
        self._block = counters.local()
        self._room = Room(limits, self._idle)

    def _idle(self) -> Iterator[PooledConnection]:
        """The connections that nobody uses, or is about to use."""
        for pool in self.origins.values():
            current = pool.current
            if current is not None and not (current.retired or current.streams_open or current.reserved or pool.waiting or pool.expected):
                yield current

    def origin(self, origin: Origin) -> OriginPool:
        """The pool of ``origin``, made on first use."""
        found = self.origins.get(origin)
        if found is None:
            if self.closed:
                raise H2OError("the client was closed")
            found = self.origins[origin] = OriginPool(origin, self.loop, self._open_connection, self._limits, self._block, self._room)
        return found

    async def aclose(self) -> None:
        """Close every connection of every origin.  May be called again."""
        self.closed = True
        connections = [connection for pool in self.origins.values() for connection in pool.connections]
        for pool in self.origins.values():
            pool.terminate()
        for connection in connections:
            await connection.wait_closed()

    def describe(self) -> list[dict[str, Any]]:
        """A snapshot for consoles and error reports."""
        return [
            {
                "origin": str(origin),
                "waiting": len(pool.waiting),
                "ping_interval_s": pool.limits.ping_interval_min_s,
                "connections": [c.describe() for c in pool.connections],
            }
            for origin, pool in self.origins.items()
        ]
