"""An end that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

import pytest

from h2o_otel.limits import ServerLimits
from h2o_otel.server import SHUTDOWN_KEY, LifespanError, Server, ServerConfig
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
        assert (answer.ended, answer.reset) == (False, CANCEL)


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
    server = Server(ServerConfig(app=Gate(), port=0, lifespan="off"))
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


# -- what applications see of it


class Waiting:
    """An application that waits in a way that the path names, and notes how that ended."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.go = asyncio.Event()
        self.running = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                self.events.append(kind)
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        self.running += 1
        scope["route"] = Route(scope["path"])
        try:
            await getattr(self, scope["path"][1:])(scope, receive, send)
        except BaseException as error:
            self.events.append(type(error).__name__)
            raise

    async def state(self, scope: Any, receive: Any, send: Any) -> None:
        """A stream that ends when it sees the shutdown."""
        await send(START)
        await send(PIECE)
        shutdown = scope["state"][SHUTDOWN_KEY]
        assert not shutdown.is_set()
        await shutdown.wait()
        assert shutdown.is_set()
        await send(END)

    async def receive(self, scope: Any, receive: Any, send: Any) -> None:
        """A stream that ends when its client leaves, without an end of the response."""
        await send(START)
        await send(PIECE)
        while (kind := (await receive())["type"]) != "http.disconnect":
            pass
        self.events.append(kind)

    async def upload(self, scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            self.events.append(str(len(message["body"])))
        raise ClientDisconnect

    async def neither(self, scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(PIECE)
        await asyncio.sleep(3600)

    async def silent(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(3600)

    async def download(self, scope: Any, receive: Any, send: Any) -> None:
        """It waits in receive(), and goes on to send whatever that says."""
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass
        self.events.append("told")
        await self.go.wait()
        await send(PIECE)
        await send(END)


class ClientDisconnect(Exception):
    """What frameworks make of http.disconnect."""


class Route:
    def __init__(self, path: str) -> None:
        self.path = path


PIECE: dict[str, Any] = {"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True}
END: dict[str, Any] = {"type": "http.response.body", "body": b"", "more_body": False}
CANCEL, REFUSED_STREAM = 8, 7
# Nothing of the second phase comes before the test is over.
LONG = {"shutdown_grace_s": 1800.0}


async def begun(peer: Peer, app: Waiting, *paths: str, end: bool = True) -> list[Any]:
    answers = [peer.request(path=path, end=end) for path in paths]
    await eventually(lambda: app.running == len(paths))
    await peer.heard()
    return answers


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_shutdown_is_seen_at_once_in_the_lifespan_state(engine: str) -> None:
    app = Waiting()
    async with connected(app, engine=engine, lifespan="on", timeout_graceful_shutdown=None, limits=ServerLimits(**LONG)) as peer:
        (answer,) = await begun(peer, app, "/state")
        peer.server.stop()
        await answer.done()
        assert (answer.body, answer.ended, answer.reset) == (b"data: 1\n\n", True, None)
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


async def test_lifespan_itself_has_the_shutdown() -> None:
    states: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        states.append(scope["state"][SHUTDOWN_KEY])
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await states[0].wait()
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})

    async with serving(app, lifespan="on"):
        assert not states[0].is_set()
        assert repr(states[0]) == "<Shutdown not begun>"
    assert states[0].is_set()


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_disconnect_is_told_after_the_notice(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """What waits in receive() ends then; what sends on may do so; nothing of it is an error."""
    app = Waiting()
    limits = ServerLimits(shutdown_notice_s=0.05, **LONG)
    async with connected(app, engine=engine, lifespan="on", timeout_graceful_shutdown=None, limits=limits) as peer:
        answers = await begun(peer, app, "/receive", "/download", "/upload", end=False)
        stream, download, upload = answers
        peer.send(upload, b"abc")
        await eventually(lambda: "3" in app.events)
        peer.server.stop()
        await eventually(lambda: "told" in app.events)
        await stream.done()
        assert (stream.body, stream.ended, stream.reset) == (b"data: 1\n\n", False, CANCEL)
        await upload.done()
        assert (upload.status, upload.body) == (503, b"Service Unavailable")
        assert not download.ended
        app.go.set()
        await download.done()
        assert (download.body, download.ended, download.reset) == (b"data: 1\n\n", True, None)
    assert "lifespan.shutdown" in app.events
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "h2o.streams.cut=1" in caplog.text
    assert "'/receive (1)'" in caplog.text


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_open_streams_are_reset_after_the_grace(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Waiting()
    limits = ServerLimits(running_handlers_max=3, request_drain_s=3600.0)
    async with connected(app, engine=engine, lifespan="on", timeout_graceful_shutdown=0.1, limits=limits) as peer:
        answers = await begun(peer, app, "/neither", "/neither", "/silent")
        waits = peer.request(path="/silent")
        await peer.heard()
        peer.server.stop()
        await peer.closed.wait()
        assert [each.reset for each in answers] == [CANCEL, CANCEL, CANCEL]
        assert waits.reset == REFUSED_STREAM
        assert peer.goaways[-1][1] == 0
    assert app.events == ["lifespan.startup", "CancelledError", "CancelledError", "CancelledError", "lifespan.shutdown"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    (line,) = [record.getMessage() for record in caplog.records if "h2o.server.streams_cut" in record.getMessage()]
    assert "h2o.streams.cut=4" in line
    assert "['/neither (2)', '/silent (2)']" in line


async def test_queued_response_is_cut_with_a_reset() -> None:
    """The application is done, its client has not got everything: it must not take that for the whole."""
    app = Gate()
    app.go.set()
    async with connected(app, timeout_graceful_shutdown=0.1, peer=Peer(credit=False)) as peer:
        answer = peer.request()
        await eventually(lambda: len(answer.body) == 65_535)
        peer.server.stop()
        await peer.closed.wait()
        assert (answer.ended, answer.reset) == (False, CANCEL)


async def test_answered_upload_is_not_cut(caplog: pytest.LogCaptureFixture) -> None:
    app = Gate()
    app.go.set()
    async with connected(
        app, timeout_graceful_shutdown=0.1, limits=ServerLimits(request_drain_s=3600.0), peer=Peer(window=1_000_000)
    ) as peer:
        answer = peer.request("POST", end=False)
        peer.h2.increment_flow_control_window(1_000_000)
        peer.flush()
        await answer.done()
        peer.server.stop()
        await peer.closed.wait()
        assert (len(answer.body), answer.ended, answer.reset) == (200_000, True, None)
    assert "streams_cut" not in caplog.text


async def test_routes_that_were_cut_are_bounded_and_escaped(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(3600)

    async with connected(app, timeout_graceful_shutdown=0.1) as peer:
        for n in range(40):
            peer.request(path=f"/{n}?secret")
        peer.request(path="/" + "x" * 5000)
        await peer.heard()
        peer.server.stop()
        await peer.closed.wait()
    (line,) = [record.getMessage() for record in caplog.records if "h2o.server.streams_cut" in record.getMessage()]
    assert "h2o.streams.cut=41" in line
    assert "'others (25)'" in line
    assert "secret" not in line
    assert len(line) < 1000


async def test_handler_that_does_not_end_is_not_waited_for() -> None:
    stuck = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not stuck.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await stuck.wait()

    async with connected(app, timeout_graceful_shutdown=0.05, limits=ServerLimits(shutdown_cleanup_s=0.1)) as peer:
        peer.request()
        await peer.heard()
        peer.server.stop()
        await peer.closed.wait()
    stuck.set()


async def test_lifespan_that_does_not_end_is_cancelled() -> None:
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    with pytest.raises(LifespanError, match=r"lifespan shutdown took more than 0\.\d s and was cancelled"):
        async with serving(app, lifespan="on", timeout_graceful_shutdown=0.05, limits=ServerLimits(shutdown_cleanup_s=0.1)):
            pass
    assert events == ["cancelled"]
