"""The same driver on trio, and on asyncio through AnyIO."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from h2o_otel.counters import Counters
from h2o_otel.errors import ConnectError
from h2o_otel.io import anyio as h2_anyio
from h2o_otel.io.anyio import AnyioLoop, connect, serve
from h2o_otel.io.loop import asyncio_loop
from h2o_otel.tls.certificates import Authority
from h2o_otel.tls.context import ClientTLS, ServerTLS, client_context, server_context
from tests.support.ends import Client, Server, body, client_driver, server_driver
from tests.support.programs import refusing_port
from tests.support.waiting import eventually

SIZE = 8 << 20


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Ends:
    loop: AnyioLoop
    client: Client
    client_driver: Any
    servers: list[tuple[Any, Server]]
    listener: h2_anyio.Listener
    phases: dict[str, float]


@asynccontextmanager
async def joined(authority: Authority | None = None, block: Counters | None = None, **options: Any) -> AsyncIterator[Ends]:
    server_tls = client_tls = None
    if authority is not None:
        leaf = authority.issue()
        server_tls = ServerTLS(context=server_context(leaf.certificate, leaf.key))
        client_tls = ClientTLS(context=client_context(ca=authority.certificate), alpn_required=("h2",))
    ends = Ends()
    ends.servers = []
    async with AnyioLoop() as loop:
        ends.loop = loop

        def accepted() -> Any:
            ends.servers.append(server_driver(loop, tls=server_tls.pump() if server_tls is not None else None))
            return ends.servers[-1][0]

        ends.listener = await serve(loop, accepted, **options)
        pump = client_tls.pump("localhost") if client_tls is not None else None
        ends.client_driver, ends.client = client_driver(loop, tls=pump, block=block)
        if "path" in options:
            ends.phases = await connect(ends.client_driver, path=options["path"])
        else:
            ends.phases = await connect(ends.client_driver, "127.0.0.1", ends.listener.addresses[0][1])
        yield ends
        ends.listener.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_bodies_arrive_intact(tls: bool, authority: Authority) -> None:
    async with joined(authority if tls else None) as ends:
        down, up = ends.client.ask(SIZE), ends.client.ask(upload=body(SIZE))
        assert await down.body() == body(SIZE)
        assert await up.body() == b"%d" % SIZE
        assert ends.servers[0][1].paused == ends.servers[0][1].resumed > 0
        assert list(ends.phases) == (["tcp", "tls"] if tls else ["tcp"])


async def test_paused_reader_then_all(authority: Authority) -> None:
    async with joined() as ends:
        ends.client_driver.transport.pause_reading()
        exchanges = [ends.client.ask(1_000_000) for _ in range(5)]
        await anyio.sleep(0.05)
        ends.client_driver.transport.resume_reading()
        for exchange in exchanges:
            assert await exchange.body() == body(1_000_000)


async def test_leaving_the_loop_ends_everything() -> None:
    async with joined() as ends:
        assert await ends.client.ask(10).body() == body(10)
    assert ends.client_driver.closed
    assert all(server.closed for server, _ in ends.servers)
    assert len(ends.client.lost) == 1


async def test_close_ends_both(authority: Authority) -> None:
    async with joined(authority) as ends:
        ends.client_driver.close()
        await eventually(lambda: ends.client_driver.closed and ends.servers[0][0].closed)
        assert ends.client.lost == [None]
        assert ends.servers[0][0].error is None


async def test_abort_fails_the_other_end() -> None:
    async with joined() as ends:
        assert await ends.client.ask(1).body() == body(1)
        ends.servers[0][1].answer = lambda stream, data: None  # type: ignore[method-assign]
        exchange = ends.client.ask(10)
        await anyio.sleep(0.02)
        ends.servers[0][0].abort()
        with pytest.raises(Exception, match="connection"):
            await exchange.body()
        await eventually(lambda: ends.client_driver.closed)
        assert len(ends.client.lost) == 1


async def test_refused() -> None:
    async with AnyioLoop() as loop:
        driver, client = client_driver(loop, block=Counters())
        with refusing_port() as port, pytest.raises(ConnectError, match=rf"cannot connect to 127\.0\.0\.1 port {port}:"):
            await connect(driver, "127.0.0.1", port)
        ((phase, error_type),) = driver.counters.read_labelled()["pool_connect_duration"]
        assert phase == "tcp"
        assert error_type
        assert client.lost == []


async def test_failed_handshake(authority: Authority) -> None:
    async with joined(authority) as ends:
        driver, _ = client_driver(ends.loop, tls=ClientTLS(context=client_context(ca=authority.certificate)).pump("elsewhere.test"))
        with pytest.raises(ConnectError, match=r"elsewhere\.test"):
            await connect(driver, "127.0.0.1", ends.listener.addresses[0][1])
        await eventually(lambda: driver.closed)


async def test_cancelled_connect_leaves_nothing(authority: Authority) -> None:
    async with AnyioLoop() as loop, await anyio.create_tcp_listener(local_host="127.0.0.1") as silent:
        port = silent.extra(anyio.abc.SocketAttribute.local_port)
        driver, _ = client_driver(loop, tls=ClientTLS(context=client_context(ca=authority.certificate)).pump("localhost"))
        async with anyio.create_task_group() as group:
            group.start_soon(connect, driver, "127.0.0.1", port)
            await eventually(lambda: driver.transport is not None)
            group.cancel_scope.cancel()
        await eventually(lambda: driver.closed)


async def test_unix_socket(tmp_path: Path) -> None:
    async with joined(path=tmp_path / "socket") as ends:
        assert await ends.client.ask(10).body() == body(10)


async def test_listener_closes_and_connections_live() -> None:
    async with joined() as ends:
        ends.listener.close()
        await anyio.sleep(0.02)
        assert await ends.client.ask(10).body() == body(10)
        driver, _ = client_driver(ends.loop)
        with pytest.raises(ConnectError):
            await connect(driver, "127.0.0.1", ends.listener.addresses[0][1])


async def test_loop_orders_callbacks_and_timers() -> None:
    async with AnyioLoop() as loop:
        seen: list[str] = []
        # Far enough from now that the callbacks of now are before them on a busy machine, too.
        now = loop.now() + 0.5
        loop.call_at(now + 0.02, lambda: seen.append("late"))
        loop.call_at(now, lambda: seen.append("early"))
        loop.call_at(now + 0.01, lambda: seen.append("never")).cancel()
        loop.call_soon(lambda: seen.append("soon"))
        loop.call_soon(lambda: 1 // 0)
        loop.call_soon(lambda: seen.append("then"))
        await eventually(lambda: len(seen) == 4)
        assert seen == ["soon", "then", "early", "late"]


async def test_waiter() -> None:
    async with AnyioLoop() as loop:
        waiter = loop.create_waiter()
        loop.call_soon(lambda: waiter.set_result(5))
        assert await waiter == 5
        assert waiter.done()
        failing = loop.create_waiter()
        failing.set_exception(ValueError("x"))
        with pytest.raises(ValueError, match="x"):
            await failing
        cancelled = loop.create_waiter()
        assert cancelled.cancel()
        assert not cancelled.cancel()


async def test_driver_of_another_loop_is_refused(anyio_backend_name: str) -> None:
    if anyio_backend_name == "asyncio":
        driver, _ = client_driver(asyncio_loop())
        with pytest.raises(TypeError, match="AnyioLoop"):
            await connect(driver, "127.0.0.1", 1)
