"""Places for connections across the origins of one client, with connections that are none, on asyncio and trio."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import sniffio

from h2o_otel.errors import ConnectError, ConnectTimeout, H2OError, PoolTimeout
from h2o_otel.io.anyio import AnyioLoop
from h2o_otel.io.loop import asyncio_loop
from h2o_otel.limits import Limits
from h2o_otel.pool.connection import PooledConnection
from h2o_otel.pool.origin import Origin
from h2o_otel.pool.pool import OriginPool, Pool
from tests.support.waiting import eventually, still

A, B, C = (Origin("http", f"{name}.test", 80) for name in "abc")


class Fake(PooledConnection):
    def __init__(self, id: int, loop: Any) -> None:
        PooledConnection.__init__(self, id)
        self.streams_max = 2
        self.ended: list[str] = []
        self.loop = loop
        self.idle_since = loop.now()

    def take(self) -> None:
        self.streams_open += 1
        self.streams_ever += 1
        if self.streams_open == 1:
            self.pool.activity(True)

    def give(self) -> None:
        self.streams_open -= 1
        if self.streams_open == 0:
            self.idle_since = self.loop.now()
            self.pool.activity(False)
        self.pool.released(self)

    def finish(self, reason: str) -> None:
        self.ended.append(reason)
        if not self.retired:
            self.retired = True
            self.pool.retired(self)
            if self.streams_open == 0:
                self.loop.call_soon(lambda: self.terminate(reason))

    def terminate(self, reason: str) -> None:
        self.retired = True
        self.pool.removed(self, reason, 1.0)


class Opener:
    def __init__(self) -> None:
        self.loop: Any = None
        self.made: list[Fake] = []
        self.origins: list[Origin] = []
        self.limits: list[Limits] = []
        self.error: Exception | None = None
        self.delay_s = 0.005

    async def __call__(self, origin: Origin, limits: Limits) -> Fake:
        self.origins.append(origin)
        self.limits.append(limits)
        await anyio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        self.made.append(Fake(len(self.made) + 1, self.loop))
        return self.made[-1]


@asynccontextmanager
async def pooled(**limits: Any) -> AsyncIterator[tuple[Pool, Opener]]:
    opener = Opener()
    if sniffio.current_async_library() == "asyncio":
        opener.loop = asyncio_loop()
        yield Pool(opener.loop, opener, Limits(**limits)), opener
    else:
        async with AnyioLoop() as loop:
            opener.loop = loop
            yield Pool(loop, opener, Limits(**limits)), opener


async def acquire(pool: OriginPool, pool_s: float | None = 30.0, connect_s: float | None = 30.0) -> Any:
    connection: Any = pool.take()
    if connection is None:
        connection = await pool.acquire(pool_s, connect_s, math.inf)
    connection.take()
    return connection


async def outside(pool: Pool, origin: Origin) -> None:
    """Wait until ``origin`` waits for a place for its connection."""
    await eventually(lambda: pool.origin(origin) in pool.origin(origin).room.waiting)


async def test_idle_connection_makes_room() -> None:
    async with pooled(max_connections=2) as (pool, opener):
        first = await acquire(pool.origin(A))
        second = await acquire(pool.origin(B))
        second.give()
        first.give()
        third = await acquire(pool.origin(C))
        # The one that was idle for longest went.
        assert second.ended == ["evicted"]
        assert first.ended == []
        assert pool.origin(C).connections == [third]
        assert pool.origin(B).connections == []
        assert opener.origins == [A, B, C]


async def test_busy_connections_are_waited_for_in_order() -> None:
    async with pooled(max_connections=1) as (pool, opener):
        first = await acquire(pool.origin(A))
        order: list[Origin] = []

        async def one(origin: Origin) -> None:
            connection = await acquire(pool.origin(origin))
            order.append(origin)
            await anyio.sleep(0.002)
            connection.give()

        async with anyio.create_task_group() as group:
            # The second of B shares the place of the first, whenever it comes.
            for origin in (B, B, C):
                group.start_soon(one, origin)
                await outside(pool, origin)
            await still(lambda: len(order))
            assert order == []
            first.give()
        assert order == [B, B, C]
        # Requests of one origin that waited for a place share the attempt.
        assert opener.origins == [A, B, C]


async def test_timeout_names_the_limit() -> None:
    async with pooled(max_connections=1) as (pool, opener):
        first = await acquire(pool.origin(A))
        with pytest.raises(PoolTimeout) as caught:
            await acquire(pool.origin(B), 0.01)
        assert str(caught.value) == (
            "no place for a connection to http://b.test became free within 0.01 s (Timeout.pool):"
            " 1 connections are open or being made, and none is idle (Limits.max_connections is 1)"
        )
        # Who gave up does not stand in the way of others, nor take a place.
        first.give()
        assert first.ended == []
        assert (await acquire(pool.origin(A))) is first
        assert opener.origins == [A]


async def test_cancelled_waiter_leaves_the_queue() -> None:
    async with pooled(max_connections=1) as (pool, opener):
        first = await acquire(pool.origin(A))
        with anyio.move_on_after(0.005):
            await acquire(pool.origin(B))
        first.give()
        assert await still(lambda: first.ended) == []
        assert opener.origins == [A]


async def test_failed_attempts_give_their_place_back() -> None:
    async with pooled(max_connections=1) as (pool, opener):
        opener.error = ConnectError("no route")
        for _ in range(3):
            with pytest.raises(ConnectError):
                await acquire(pool.origin(A))
        opener.error = None
        opener.delay_s = 10.0
        with pytest.raises(ConnectTimeout):
            await acquire(pool.origin(A), 30.0, 0.01)
        opener.delay_s = 0.0
        assert (await acquire(pool.origin(B))) is opener.made[0]


async def test_no_time_to_connect_at_all() -> None:
    async with pooled(max_connections=1) as (pool, opener):
        for _ in range(2):
            with pytest.raises(ConnectTimeout):
                await acquire(pool.origin(A), 30.0, 0.0)
            await still(lambda: len(opener.origins))
        await acquire(pool.origin(A))
        assert len(opener.made) == 1


async def test_lost_connection_gives_its_place_back() -> None:
    async with pooled(max_connections=1) as (pool, _):
        first = await acquire(pool.origin(A))
        async with anyio.create_task_group() as group:
            group.start_soon(acquire, pool.origin(B))
            await outside(pool, B)
            first.terminate("error")
        assert len(pool.origin(B).connections) == 1


async def test_so_many_idle_ones_are_kept() -> None:
    async with pooled(max_keepalive_connections=1) as (pool, _):
        connections = [await acquire(pool.origin(origin)) for origin in (A, B, C)]
        for connection in connections:
            connection.give()
            await anyio.sleep(0.002)
        assert await still(lambda: [connection.ended for connection in connections]) == [["evicted"], ["evicted"], []]


async def test_none_is_kept() -> None:
    async with pooled(max_keepalive_connections=0) as (pool, _):
        first = await acquire(pool.origin(A))
        # A connection that was just made for somebody is not an idle one, whatever else rests.
        async with anyio.create_task_group() as group:
            group.start_soon(acquire, pool.origin(B))
            await eventually(lambda: pool.origin(B).connections)
            first.give()
        assert first.ended == ["evicted"]
        (second,) = pool.origin(B).connections
        second.give()
        await eventually(lambda: pool.origin(B).connections == [])


async def test_without_bounds() -> None:
    async with pooled(max_connections=None, max_keepalive_connections=None) as (pool, _opener):
        connections = [await acquire(pool.origin(Origin("http", f"{i}.test", 80))) for i in range(30)]
        for connection in connections:
            connection.give()
        assert await still(lambda: [connection.ended for connection in connections]) == [[]] * 30


async def test_closing_wakes_who_waits_for_a_place() -> None:
    async with pooled(max_connections=1) as (pool, _):
        await acquire(pool.origin(A))

        async def one() -> None:
            with pytest.raises(H2OError, match="closed"):
                await acquire(pool.origin(B))

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            await outside(pool, B)
            await pool.aclose()


async def test_ping_interval_doubles_up_to_its_bound() -> None:
    async with pooled(ping_interval_min_s=100.0, ping_interval_max_s=300.0) as (pool, opener):
        origin = pool.origin(A)
        first = await acquire(origin)
        seen = []
        for _ in range(3):
            origin.slow_pings()
            seen.append(origin.limits.ping_interval_min_s)
        assert seen == [200.0, 300.0, 300.0]
        first.give()
        first.finish("goaway")
        await eventually(lambda: origin.connections == [])
        await acquire(origin)
        assert [limits.ping_interval_min_s for limits in opener.limits] == [100.0, 300.0]
        # The PINGs that measure the path are meant as well, and other origins are not.
        assert [limits.window_probe_interval_s for limits in opener.limits] == [0.1, 300.0]
        assert pool.origin(B).limits.ping_interval_min_s == 100.0
        assert pool.describe()[0]["ping_interval_s"] == 300.0


async def test_ping_interval_above_the_bound_stays() -> None:
    async with pooled(ping_interval_min_s=600.0, ping_interval_max_s=300.0) as (pool, _):
        pool.origin(A).slow_pings()
        assert pool.origin(A).limits.ping_interval_min_s == 600.0
