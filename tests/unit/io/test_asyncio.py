"""The fast path on real sockets, on asyncio and uvloop, with and without TLS."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.errors import ConnectError
from h2o_otel.io.asyncio import H2Protocol, Listener, connect, serve
from h2o_otel.io.loop import asyncio_loop
from h2o_otel.io.sockets import listen
from h2o_otel.io.transport import AsyncioTransport
from h2o_otel.limits import CLIENT_LIMITS
from h2o_otel.tls.certificates import Authority
from h2o_otel.tls.context import ClientTLS, ServerTLS, client_context, server_context
from tests.support import backends
from tests.support.ends import Client, Server, body, client_driver, server_driver
from tests.support.programs import refusing_port
from tests.support.waiting import eventually

pytestmark = backends.asyncio_loops
SIZE = 8 << 20


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def refusing() -> Iterator[int]:
    with refusing_port() as port:
        yield port


class Ends:
    def __init__(self, client: Client, client_driver: H2Protocol, listener: Listener, servers: list[tuple[H2Protocol, Server]]) -> None:
        self.client = client
        self.client_driver = client_driver
        self.listener = listener
        self.servers = servers
        self.phases: dict[str, float] = {}


@asynccontextmanager
async def joined(authority: Authority | None = None, block: Counters | None = None, **options: Any) -> AsyncIterator[Ends]:
    """A client connected to a listening server; ``options`` go to both ``serve`` and ``connect`` where they concern both."""
    loop = asyncio_loop()
    servers: list[tuple[H2Protocol, Server]] = []
    server_tls = client_tls = None
    if authority is not None:
        leaf = authority.issue()
        server_tls = ServerTLS(context=server_context(leaf.certificate, leaf.key))
        client_tls = ClientTLS(context=client_context(ca=authority.certificate), alpn_required=("h2",))

    def accepted() -> H2Protocol:
        made = server_driver(loop, H2Protocol, tls=server_tls.pump() if server_tls is not None else None)
        servers.append(made)
        return made[0]

    listener = await serve(accepted, **options)
    driver, client = client_driver(loop, H2Protocol, tls=client_tls.pump("localhost") if client_tls is not None else None, block=block)
    ends = Ends(client, driver, listener, servers)
    try:
        if "path" in options:
            ends.phases = await connect(driver, path=options["path"])
        else:
            ends.phases = await connect(driver, "127.0.0.1", listener.addresses[0][1])
        yield ends
    finally:
        listener.close()
        for each in [driver, *(server for server, _ in servers)]:
            each.abort()
        await eventually(lambda: driver.closed and all(server.closed for server, _ in servers))


@pytest.mark.parametrize("tls", [False, True])
async def test_bodies_arrive_intact(tls: bool, authority: Authority) -> None:
    async with joined(authority if tls else None) as ends:
        down, up = ends.client.ask(SIZE), ends.client.ask(upload=body(SIZE))
        assert await down.body() == body(SIZE)
        assert await up.body() == b"%d" % SIZE


@pytest.mark.parametrize("tls", [False, True])
async def test_full_socket_then_reuse(tls: bool, authority: Authority) -> None:
    """What a full socket did not take must not change while the blocks it came from are used for other connections."""
    async with joined(authority if tls else None) as ends, joined(authority if tls else None) as other:
        server_driver_, server = ends.servers[0]
        server_driver_.transport.extra("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        ends.client_driver.transport.extra("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        ends.client_driver.transport.pause_reading()
        exchange = ends.client.ask(SIZE)
        await eventually(lambda: server.paused)
        for _ in range(20):
            assert await other.client.ask(50_000).body() == body(50_000)
        assert not exchange.waiter.done()
        ends.client_driver.transport.resume_reading()
        assert await exchange.body() == body(SIZE)
        assert server.paused == server.resumed


async def test_socket_too_small_pauses_and_resumes() -> None:
    block = Counters()
    async with joined(block=block) as ends:
        server_driver_, server = ends.servers[0]
        sock = ends.client_driver.transport.extra("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        exchange = ends.client.ask(upload=body(SIZE // 4))
        await exchange.waiter
        assert exchange.data == b"%d" % (SIZE // 4)
        assert ends.client.paused == ends.client.resumed > 0
        assert not server.paused
        assert not server_driver_.closing
        snapshot = Snapshot()
        snapshot.add_block(block)
        assert snapshot.value("io_pauses", "client") == ends.client.paused
        assert snapshot.value("io_write_queue_size", "client") == 0
        assert snapshot.value("io_operations", "transmit", "partial") + snapshot.value("io_operations", "transmit", "would_block") > 0


async def test_many_streams() -> None:
    async with joined() as ends:
        for _ in range(20):
            exchanges = [ends.client.ask(n) for n in range(100)]
            assert [await e.body() for e in exchanges] == [body(n) for n in range(100)]


async def test_phases_and_agreement(authority: Authority) -> None:
    block = Counters()
    async with joined(authority, block) as ends:
        assert list(ends.phases) == ["dns", "tcp", "tls"]
        pump = ends.client_driver.tls
        assert (pump.alpn, pump.version, pump.complete) == ("h2", "1.3", True)
        assert await ends.client.ask(1).body() == body(1)
        assert ends.servers[0][0].tls.alpn == "h2"
        assert ends.client_driver.peername == ends.listener.addresses[0]
        recorded = block.read_labelled()["pool_connect_duration"]
        assert set(recorded) == {("dns", ""), ("tcp", ""), ("tls", "")}


async def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with joined(path=path) as ends:
        assert await ends.client.ask(10).body() == body(10)
    # The file that is left is no obstacle to the next.
    async with joined(path=path) as ends:
        assert await ends.client.ask(10).body() == body(10)


async def test_unix_path_of_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="cannot listen on"):
        listen(path=path)
    assert path.read_text() == "data"


async def test_unix_socket_of_a_living_server_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with joined(path=path) as ends:
        with pytest.raises(OSError, match=r"cannot listen on .*: Address already in use"):
            listen(path=path)
        assert await ends.client.ask(10).body() == body(10)


async def test_inherited_descriptor() -> None:
    sock = listen()[0]
    async with joined(fd=os.dup(sock.fileno())) as ends:
        assert await ends.client.ask(10).body() == body(10)
    sock.close()


async def test_shared_port() -> None:
    first = listen(reuse_port=True)[0]
    async with joined(port=first.getsockname()[1], reuse_port=True) as ends:
        first.close()
        assert ends.listener.addresses[0][1]
    taken = listen()[0]
    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1 port"):
        listen(port=taken.getsockname()[1])
    taken.close()


async def test_refused() -> None:
    block = Counters()
    driver, client = client_driver(asyncio_loop(), H2Protocol, block=block)
    with refusing_port() as port, pytest.raises(ConnectError, match=f"cannot connect to 127.0.0.1 port {port}"):
        await connect(driver, "127.0.0.1", port)
    assert ("tcp", "ConnectionRefusedError") in block.read_labelled()["pool_connect_duration"]
    assert client.lost == []


async def test_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that is out of reach would take its time to say so."""

    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    driver, _ = client_driver(asyncio_loop(), H2Protocol)
    with pytest.raises(ConnectError, match=r"cannot resolve name\.invalid"):
        await connect(driver, "name.invalid", 80)


async def test_second_address_answers(refusing: int) -> None:
    async with joined() as ends:
        driver, client = client_driver(asyncio_loop(), H2Protocol)
        addresses = [(socket.AF_INET, ("127.0.0.1", refusing)), (socket.AF_INET, ends.listener.addresses[0])]
        await connect(driver, "test", 0, addresses=addresses)
        assert await client.ask(10).body() == body(10)
        driver.close()
        await eventually(lambda: driver.closed)
        driver, _ = client_driver(asyncio_loop(), H2Protocol)
        with pytest.raises(ConnectError, match=r"Errno .*; .*Errno "):
            await connect(driver, "test", 0, addresses=[addresses[0], addresses[0]])


async def test_cancelled_connect_leaves_nothing() -> None:
    """The server accepts and says nothing, so the handshake waits."""
    silent = listen()[0]
    driver, client = client_driver(asyncio_loop(), H2Protocol, tls=ClientTLS(context=client_context(verify=False)).pump("localhost"))
    task = asyncio.create_task(connect(driver, *silent.getsockname()))
    await eventually(lambda: driver.transport is not None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: driver.closed)
    assert client.lost == []
    silent.close()


async def test_server_that_does_not_speak_tls(authority: Authority) -> None:
    async with joined() as ends:
        pump = ClientTLS(context=client_context(ca=authority.certificate)).pump("localhost")
        driver, _ = client_driver(asyncio_loop(), H2Protocol, tls=pump)
        with pytest.raises(ConnectError, match="TLS handshake with localhost"):
            await connect(driver, "127.0.0.1", ends.listener.addresses[0][1])
        await eventually(lambda: driver.closed)


async def test_goaway_survives_unread_input() -> None:
    """A peer that floods an ended connection still learns why it ended."""
    async with joined() as ends:
        host, port = ends.listener.addresses[0]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 10 + bytes(30_000))
        octets = await reader.read()
        assert b"the connection began with" in octets
        writer.close()
        await writer.wait_closed()


async def test_close_on_both_sides_ends(authority: Authority) -> None:
    async with joined(authority) as ends:
        ends.client_driver.close()
        await eventually(lambda: ends.client_driver.closed and ends.servers[0][0].closed)
        assert ends.client.lost == ends.servers[0][1].lost == [None]
        assert ends.servers[0][0].error is None


async def test_idle_connections_share_one_buffer() -> None:
    async with joined() as ends, joined() as other:
        assert ends.client_driver.loop is other.client_driver.loop
        view = ends.client_driver.get_buffer(-1)
        assert view.obj is other.servers[0][0].get_buffer(-1).obj


async def test_waiter_is_a_future() -> None:
    loop = asyncio_loop()
    assert loop is asyncio_loop()
    waiter = loop.create_waiter()
    assert asyncio.isfuture(waiter)
    assert waiter.get_loop() is asyncio.get_running_loop()
    called: list[float] = []
    due = loop.now() + 0.02
    loop.call_at(due, lambda: called.append(loop.now()))
    loop.call_at(due, lambda: called.append(0.0)).cancel()
    await eventually(lambda: called)
    assert called[0] >= due - 0.002
    assert len(called) == 1


async def test_role_of_counters() -> None:
    driver, _ = client_driver(asyncio_loop(), H2Protocol, limits=CLIENT_LIMITS)
    assert driver.role == counters.CLIENT
    assert not driver.closed
    assert not driver.closing


async def test_what_a_peer_has_not_taken_shows_whether_it_reads_on() -> None:
    """Also where the socket's own buffer holds it: a slow reader is told from one that does not read."""
    ours, theirs = socket.socketpair()
    with theirs:
        raw, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transport = AsyncioTransport(raw)
        transport.write([bytes(1000)])
        before = transport.unacknowledged()
        assert transport.buffered() == 0
        assert (before > 0) is sys.platform.startswith("linux")
        theirs.recv(1000)
        assert transport.unacknowledged() == 0
        transport.write([bytes(SIZE)])
        assert transport.unacknowledged() >= transport.buffered() > 0
        transport.abort()
        assert transport.unacknowledged() == transport.buffered()
