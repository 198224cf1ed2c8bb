"""The pool with connections that are none, on asyncio and trio."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import sniffio

from h2o_otel import counters
from h2o_otel.errors import ConnectError, ConnectTimeout, H2OError, PoolTimeout, TotalTimeout
from h2o_otel.io.anyio import AnyioLoop
from h2o_otel.io.loop import Loop, asyncio_loop
from h2o_otel.limits import Limits
from h2o_otel.pool.connection import PooledConnection
from h2o_otel.pool.origin import Origin
from h2o_otel.pool.pool import OriginPool
from tests.support import backends
from tests.support.judged import requirement
from tests.support.waiting import eventually

ORIGIN = Origin("http", "pool.test", 80)


class Fake(PooledConnection):
    def __init__(self, id: int, streams_max: int = 2) -> None:
        PooledConnection.__init__(self, id)
        self.streams_max = streams_max
        self.ended: list[str] = []

    def take(self) -> None:
        self.streams_open += 1

    def give(self) -> None:
        self.streams_open -= 1
        self.pool.released(self)

    def finish(self, reason: str) -> None:
        self.ended.append(reason)
        self.retired = True
        self.pool.retired(self)

    def terminate(self, reason: str) -> None:
        self.finish(reason)
        self.pool.removed(self, reason, 1.0)


class Opener:
    def __init__(self) -> None:
        self.made: list[Fake] = []
        self.attempts = 0
        self.error: Exception | None = None
        self.ended: Exception | None = None
        self.delay = 0.02
        self.go: anyio.Event | None = None

    async def __call__(self, origin: Origin, limits: Limits) -> Fake:
        self.attempts += 1
        await (anyio.sleep(self.delay) if self.go is None else self.go.wait())
        if self.error is not None:
            raise self.error
        self.made.append(Fake(len(self.made) + 1))
        if self.ended is not None:
            self.made[-1].retired = True
            self.made[-1].error = self.ended
        return self.made[-1]


@asynccontextmanager
async def pooled(**limits: Any) -> AsyncIterator[tuple[OriginPool, Opener]]:
    opener = Opener()

    def make(loop: Loop) -> tuple[OriginPool, Opener]:
        return OriginPool(ORIGIN, loop, opener, Limits(**limits), counters.local()), opener

    if sniffio.current_async_library() == "asyncio":
        yield make(asyncio_loop())
    else:
        async with AnyioLoop() as loop:
            yield make(loop)


async def acquire(pool: OriginPool, pool_s: float | None = 30.0, connect_s: float | None = 30.0, deadline: float = math.inf) -> Any:
    connection: Any = await pool.acquire(pool_s, connect_s, deadline)
    connection.take()
    return connection


def value(name: str, *key: str) -> int:
    return counters.collect().labelled[name].get(key, 0)


@requirement("9113-9.1-1")
async def test_first_connects_and_later_reuse() -> None:
    async with pooled() as (pool, opener):
        assert (pool.choose().connection, pool.choose().reason) == (None, "new")
        assert pool.take() is None
        first = await acquire(pool)
        assert (pool.choose().connection, pool.choose().reason) == (first, "reused")
        assert pool.take() is first
        first.take()
        assert (pool.choose().connection, pool.choose().reason) == (None, "waited")
        first.give()
        assert pool.take() is first
        assert opener.attempts == 1


@requirement("9113-9.1-1")
async def test_one_attempt_for_all() -> None:
    async with pooled() as (pool, opener):
        got: list[Any] = []

        async def one() -> None:
            connection = await acquire(pool)
            got.append(connection)
            await anyio.lowlevel.checkpoint()
            connection.give()

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(one)
        assert opener.attempts == 1
        assert got == [opener.made[0]] * 50
        assert not pool.waiting
        assert pool.current is not None
        assert (pool.current.streams_open, pool.current.reserved) == (0, 0)


async def test_cancelled_waiter_does_not_cancel_the_connect() -> None:
    async with pooled() as (pool, opener):
        opener.go = anyio.Event()
        with anyio.move_on_after(0.005):
            await acquire(pool)
        opener.go.set()
        await eventually(lambda: pool.current)
        assert pool.current is opener.made[0]
        assert opener.attempts == 1


async def test_error_reaches_everyone_as_their_own() -> None:
    async with pooled() as (pool, opener):
        opener.error = ConnectError("no")
        errors: list[Exception] = []

        async def one() -> None:
            try:
                await acquire(pool)
            except ConnectError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
        assert [str(error) for error in errors] == ["no"] * 3
        assert len({id(error) for error in errors}) == 3
        assert {error.__cause__ for error in errors} == {opener.error}
        opener.error = None
        assert await acquire(pool) is opener.made[0]


async def test_connect_times_out_for_the_impatient_only() -> None:
    async with pooled() as (pool, opener):
        opener.go = anyio.Event()
        results: list[Any] = []

        async def one(connect_s: float) -> None:
            try:
                results.append(await acquire(pool, connect_s=connect_s))
            except ConnectTimeout as error:
                results.append(error.timeout_s)
                opener.go.set()

        async with anyio.create_task_group() as group:
            group.start_soon(one, 0.05)
            group.start_soon(one, 30.0)
        assert results == [0.05, opener.made[0]]
        assert opener.attempts == 1


async def test_attempt_ends_with_its_most_patient_waiter() -> None:
    async with pooled() as (pool, opener):
        opener.go = anyio.Event()
        with pytest.raises(ConnectTimeout, match=r"http://pool.test within 0.05 s \(Timeout.connect\)"):
            await acquire(pool, connect_s=0.05)
        opener.go = None
        await acquire(pool)
        assert opener.attempts == 2


async def test_queue_is_fair() -> None:
    async with pooled() as (pool, _):
        connection = await acquire(pool)
        connection.take()
        order: list[int] = []

        async def one(i: int) -> None:
            await acquire(pool)
            order.append(i)

        async with anyio.create_task_group() as group:
            for i in range(5):
                group.start_soon(one, i)
                await eventually(lambda i=i: len(pool.waiting) == i + 1)
            assert value("pool_pending", "pool.test") == 5
            for i in range(5):
                connection.give()
                # The freed stream is promised: a newcomer does not get it.
                assert pool.take() is None
                await eventually(lambda i=i: len(order) > i)
                assert order == list(range(i + 1))
        assert value("pool_pending", "pool.test") == 0


@backends.asyncio_only
async def test_cancelled_after_being_woken_passes_it_on() -> None:
    async with pooled() as (pool, _):
        connection = await acquire(pool)
        connection.take()
        first = asyncio.create_task(acquire(pool))
        second = asyncio.create_task(acquire(pool))
        await eventually(lambda: len(pool.waiting) == 2)
        connection.give()
        assert connection.reserved == 1
        first.cancel()
        assert await second is connection
        assert first.cancelled()
        assert (connection.reserved, len(pool.waiting)) == (0, 0)


@pytest.mark.parametrize(("pool_s", "total_s", "kind"), [(0.03, None, PoolTimeout), (None, 0.03, TotalTimeout), (30.0, 0.03, TotalTimeout)])
async def test_waiting_ends(pool_s: float | None, total_s: float | None, kind: type[Exception]) -> None:
    async with pooled() as (pool, _):
        connection = await acquire(pool)
        connection.take()
        deadline = math.inf if total_s is None else pool.loop.now() + total_s
        with pytest.raises(kind):
            await acquire(pool, pool_s=pool_s, deadline=deadline)
        assert not pool.waiting
        connection.give()
        assert connection.reserved == 0


@pytest.mark.parametrize("end", [lambda c: c.finish("goaway"), lambda c: setattr(c, "suspect", True)])
async def test_retired_connection_is_replaced(end: Callable[[Any], None]) -> None:
    async with pooled() as (pool, _opener):
        first = await acquire(pool)
        end(first)
        second = await acquire(pool)
        assert second is not first
        assert pool.current is second
        assert first.ended
        assert first in pool.connections
        first.terminate("goaway")
        assert pool.connections == [second]


async def test_queue_moves_to_the_next_connection() -> None:
    async with pooled() as (pool, opener):
        first = await acquire(pool)
        first.take()
        got: list[Any] = []

        async def one() -> None:
            got.append(await acquire(pool))

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(one)
            await eventually(lambda: len(pool.waiting) == 2)
            first.finish("goaway")
        assert got == [opener.made[1]] * 2


async def test_raised_limit_wakes_the_queue() -> None:
    async with pooled() as (pool, _):
        connection = await acquire(pool)
        connection.take()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(acquire, pool)
            await eventually(lambda: len(pool.waiting) == 3)
            connection.streams_max = 10
            pool.released(connection)
        assert connection.streams_open == 5


async def test_close_fails_who_waits() -> None:
    async with pooled() as (pool, _opener):
        connection = await acquire(pool)
        connection.take()
        errors: list[Exception] = []

        async def one() -> None:
            try:
                await acquire(pool)
            except H2OError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            await eventually(lambda: pool.waiting)
            pool.terminate()
            pool.terminate()
        assert len(errors) == 1
        assert pool.connections == []
        with pytest.raises(H2OError, match="closed"):
            await acquire(pool)


async def test_connections_that_end_at_once_end_the_request() -> None:
    """A server that says GOAWAY with its SETTINGS: connecting again and again must end, and say why."""
    async with pooled(retries_max=2) as (pool, opener):
        opener.delay = 0.0
        because = opener.ended = H2OError("SETTINGS_MAX_FRAME_SIZE is 0")
        with pytest.raises(ConnectError, match=r"3 in a row \(Limits.retries_max is 2\): SETTINGS_MAX_FRAME_SIZE is 0") as caught:
            await acquire(pool)
        assert caught.value.__cause__ is because
        assert opener.attempts == 3
        with pytest.raises(TotalTimeout):
            await acquire(pool, deadline=pool.loop.now())
