"""An end that loses no request."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from h2o_otel.server import Config, Server
from tests.support import backends
from tests.support.peer import Peer, connected, serving
from tests.support.waiting import eventually

pytestmark = backends.asyncio_loops

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
ANY = 2**31 - 1


class Gate:
    """Answers when it is opened."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        await self.go.wait()
        await send(START)
        await send({"type": "http.response.body", "body": b"ok" * 100_000})


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_double_goaway_and_requests_under_way_finish(engine: str) -> None:
    app = Gate()
    async with connected(app, engine=engine, timeout_graceful_shutdown=10.0) as peer:
        answers = [peer.request() for _ in range(3)]
        await eventually(lambda: app.running == 3)
        peer.server.stop()
        await eventually(lambda: len(peer.goaways) == 2)
        assert [goaway[:2] for goaway in peer.goaways] == [(ANY, 0), (5, 0)]
        assert not peer.closed.is_set()
        app.go.set()
        for answer in answers:
            assert len((await answer.done()).body) == 200_000
        await peer.closed.wait()
        assert {goaway[1] for goaway in peer.goaways} == {0}


async def test_request_that_crosses_the_first_goaway_is_served() -> None:
    app = Gate()
    app.go.set()
    async with connected(app, timeout_graceful_shutdown=10.0) as peer:
        await peer.heard()
        # What the client has sent before it has read the GOAWAY.
        crossed = peer.request()
        peer.server.stop()
        assert len((await crossed.done()).body) == 200_000


async def test_idle_connection_ends_after_two_goaways() -> None:
    async with connected(Gate(), timeout_graceful_shutdown=10.0) as peer:
        await peer.heard()
        peer.server.stop()
        await peer.closed.wait()
        assert [goaway[:2] for goaway in peer.goaways] == [(ANY, 0), (0, 0)]


async def test_new_connections_are_refused_at_once() -> None:
    app = Gate()
    async with connected(app, timeout_graceful_shutdown=10.0) as peer:
        peer.request()
        await eventually(lambda: app.running)
        peer.server.stop()
        await eventually(lambda: peer.goaways)
        with pytest.raises(OSError):
            await Peer().connect(peer.server.addresses[0][1])
        app.go.set()


async def test_requests_beyond_the_grace_time_are_cancelled() -> None:
    """The gate stays shut: only the grace time ends this."""
    app = Gate()
    async with connected(app, timeout_graceful_shutdown=0.2) as peer:
        answer = peer.request()
        await eventually(lambda: app.running)
        peer.server.stop()
        await peer.closed.wait()
        assert not answer.ended or answer.status == 500


async def test_background_work_is_waited_for() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"ok"})
        await asyncio.sleep(0.2)
        ended.append(True)

    async with connected(app, timeout_graceful_shutdown=10.0) as peer:
        assert (await peer.get()).body == b"ok"
    assert ended


async def test_stop_before_start_and_twice() -> None:
    server = Server(Config(app=Gate(), port=0, lifespan="off"))
    server.stop()
    await server.serve()
    server.stop()


async def test_unix_socket_is_removed(tmp_path: Any) -> None:
    app = Gate()
    app.go.set()
    path = tmp_path / "socket"
    async with serving(app, uds=str(path)) as server:
        assert path.is_socket()
        assert server.addresses == [str(path)]
    assert not path.exists()


async def test_inherited_socket() -> None:
    app = Gate()
    app.go.set()
    inherited = socket.create_server(("127.0.0.1", 0))
    port = inherited.getsockname()[1]
    async with serving(app, fd=inherited.detach()):
        peer = await Peer().connect(port)
        assert (await peer.get()).status == 200
        await peer.close()
