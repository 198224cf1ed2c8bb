"""Clients that go away, do not read, or cancel as fast as they can."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tracemalloc
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.errors import ClientDisconnected
from h2o_otel.limits import ServerLimits
from tests.support import backends, wire
from tests.support.peer import Peer, connected, serving
from tests.support.waiting import eventually, still

pytestmark = backends.asyncio_loops

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
CALM = 11


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Watcher:
    """An application that waits in receive() and notes what happens to it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.running = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        try:
            while True:
                message = await receive()
                self.events.append(message["type"])
                if message["type"] == "http.disconnect":
                    self.events.append((await receive())["type"])
                    break
            try:
                await send(START)
            except OSError as error:
                self.events.append(type(error).__name__)
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise
        finally:
            self.running -= 1


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_disconnect_is_told_at_once_and_cancels_after_the_grace(how: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Watcher()
    async with connected(app, limits=ServerLimits(disconnect_grace_s=0.3)) as peer:
        answer = peer.request()
        await eventually(lambda: app.events == ["http.request"])
        if how == "reset":
            peer.cancel(answer)
        else:
            await peer.close()
        await eventually(lambda: app.running == 0)
        # Without the grace, or with one that began too early, it would have been cancelled in receive().
        assert app.events == ["http.request", "http.disconnect", "http.disconnect", "ClientDisconnected", "cancelled"]
        await eventually(lambda: peer.server.service.handlers == 0 and not peer.server.service.tasks)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_handler_that_returns_in_time_is_not_cancelled() -> None:
    steps = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        steps.append("begun")
        await receive()
        await asyncio.sleep(0.02)
        steps.append("ended")

    async with connected(app, limits=ServerLimits(disconnect_grace_s=10.0)) as peer:
        answer = peer.request()
        await eventually(lambda: steps)
        peer.cancel(answer)
        await eventually(lambda: steps == ["begun", "ended"])


async def test_response_after_a_disconnect_raises_oserror_and_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    faults: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            while True:
                await send(body(b"tick" * 1000, True))
        except OSError as error:
            faults.append(error)
            with contextlib.suppress(OSError):
                await send(body(b"tick", True))
            raise

    # The window is shut, so that the application waits in send().
    async with connected(app, peer=Peer(credit=False)) as peer:
        answer = peer.request()
        await eventually(lambda: len(answer.body) == 65_535)
        peer.cancel(answer)
        await eventually(lambda: faults)
    assert isinstance(faults[0], ClientDisconnected)
    assert "rst_stream_received" in str(faults[0])
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("begun", [True, False], ids=["streams", "not begun"])
async def test_handler_that_waits_elsewhere(how: str, begun: bool, caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of a streaming response it is cancelled at once; one that has not begun its response is left alone for the grace."""
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send(START)
            await send(body(b"data: 1", True))
        events.append("waits")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async with connected(app, limits=ServerLimits(disconnect_grace_s=1800.0)) as peer:
        answer = peer.request()
        await eventually(lambda: events == ["waits"] and (answer.status or not begun))
        if how == "reset":
            peer.cancel(answer)
            await peer.heard()
        else:
            await peer.close()
            await eventually(lambda: not peer.server.service.connections)
        if begun:
            await eventually(lambda: events == ["waits", "cancelled"])
            await eventually(lambda: not peer.server.service.tasks)
        else:
            assert await still(lambda: list(events)) == ["waits"]
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_streaming_handler_that_waits_in_receive_is_told_and_not_cancelled() -> None:
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(body(b"data: 1", True))
        events.append((await receive())["type"])
        await asyncio.sleep(0)
        events.append("cleaned up")

    async with connected(app, limits=ServerLimits(disconnect_grace_s=1800.0)) as peer:
        answer = peer.request()
        await eventually(lambda: answer.status)
        peer.cancel(answer)
        await eventually(lambda: events == ["http.disconnect", "cleaned up"])


async def test_background_work_after_a_complete_response_is_not_cancelled() -> None:
    go, events = asyncio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"x"))
        events.append("answered")
        await go.wait()
        events.append("ended")

    async with connected(app) as peer:
        answer = peer.request("POST", end=False)
        await eventually(lambda: answer.ended)
        peer.cancel(answer)
        await peer.heard()
        go.set()
        await eventually(lambda: events == ["answered", "ended"])


async def test_other_exceptions_after_a_disconnect_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        raise KeyError("a bug")

    async with connected(app) as peer:
        answer = peer.request()
        await begun.wait()
        peer.cancel(answer)
        await eventually(lambda: "KeyError" in caplog.text)


async def test_one_cancelled_request_leaves_the_others_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for _ in range(20):
            await send(body(b"x" * 1000, True))
            await asyncio.sleep(0.002)
        await send(body())

    async with connected(app) as peer:
        answers = [peer.request() for _ in range(20)]
        await answers[0].change()
        for answer in answers[::2]:
            peer.cancel(answer)
        for answer in answers[1::2]:
            assert len((await answer.done()).body) == 20_000


# -- back-pressure


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_closed_window_makes_send_wait_and_memory_stay_flat(engine: str) -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(START)
        for _ in range(10_000):
            await send(body(bytes(10_000), True))
            sent += 10_000

    peer = Peer(credit=False, window=0)
    async with connected(app, peer=peer, engine=engine, limits=ServerLimits(disconnect_grace_s=0.0)) as peer:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            answer = peer.request()
            await eventually(lambda: answer.status and sent)
            stuck = await still(lambda: sent)
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert stuck <= 65_536 + 10_000
        assert grown < 1_000_000


async def test_many_stuck_streams_stay_inside_the_connection_buffer() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(START)
        for _ in range(10_000):
            await send(body(bytes(5_000), True))
            sent += 5_000

    peer = Peer(credit=False, window=0)
    async with connected(app, peer=peer, limits=ServerLimits(disconnect_grace_s=0.0)) as peer:
        for _ in range(100):
            peer.request()
        await eventually(lambda: sent)
        assert await still(lambda: sent) <= 524_288 + 100 * 10_000


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_slow_reader_gets_everything(engine: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for i in range(100):
            await send(body(bytes([i]) * 20_000, True))
        await send(body())

    async with connected(app, engine=engine, peer=Peer(window=20_000)) as peer:
        first, second = peer.request(), peer.request()
        expected = b"".join(bytes([i]) * 20_000 for i in range(100))
        assert (await first.done()).body == expected
        assert (await second.done()).body == expected


async def test_full_socket_holds_the_application_back() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(START)
        for _ in range(3_000):
            await send(body(bytes(100_000), True))
            sent += 100_000

    peer = Peer(credit=False, window=2**31 - 1)
    async with connected(app, peer=peer, limits=ServerLimits(disconnect_grace_s=0.0)) as peer:
        peer.pause()
        peer.request()
        peer.h2.increment_flow_control_window(2**30)
        peer.flush()
        await eventually(lambda: sent)
        assert await still(lambda: sent) < 30_000_000


async def test_cancelled_send_goes_on_with_the_next() -> None:
    """An application that gives up waiting has still queued its octets."""
    steps = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            async with asyncio.timeout(0.05):
                await send(body(b"a" * 200_000, True))
        except TimeoutError:
            steps.append("timeout")
        await send(body(b"b" * 10))

    async with connected(app, peer=Peer(credit=False, window=1000)) as peer:
        answer = peer.request()
        await eventually(lambda: steps)
        peer.h2.increment_flow_control_window(1_000_000, peer.stream_of(answer))
        peer.h2.increment_flow_control_window(1_000_000)
        peer.flush()
        assert (await answer.done()).body == b"a" * 200_000 + b"b" * 10


# -- handlers that outlive their streams


class Stubborn:
    """Never ends before it is told to, whatever happens to its client."""

    def __init__(self) -> None:
        self.running = self.most = self.started = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.started += 1
        self.running += 1
        self.most = max(self.most, self.running)
        while not self.go.is_set():
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                continue
        self.running -= 1
        try:
            await send(START)
            await send(body(b"ok"))
        except OSError:
            return


def small_limits(**more: Any) -> ServerLimits:
    return ServerLimits(running_handlers_max=5, disconnect_grace_s=0.0, **more)


async def test_reset_streams_do_not_free_their_handlers() -> None:
    """What is open waits for them, all that the client was told that it may open, and none is refused."""
    app = Stubborn()
    async with connected(app, limits=small_limits()) as peer:
        for n in range(1, 6):
            answer = peer.request()
            await eventually(lambda n=n: app.started == n)
            peer.cancel(answer)
        waiting = [peer.request() for _ in range(100)]
        await peer.heard()
        assert app.started == 5
        app.go.set()
        for answer in waiting:
            assert (await answer.done()).body == b"ok"
        assert app.most == 5


async def test_rapid_reset_is_bounded_and_ends_calmly() -> None:
    """Cancelled requests that wait leave nothing behind; too many of them are a rapid reset like any other."""
    app = Stubborn()
    before = dict(counters.collect().labelled.get("abuse_detections", {}))
    async with connected(app, limits=small_limits(resets_received_burst=50)) as peer:
        sent = 0
        while not peer.closed.is_set() and sent < 5000:
            answer = peer.request()
            await asyncio.sleep(0.001)
            peer.cancel(answer)
            sent += 1
        await peer.closed.wait()
        assert app.most <= 5
        assert peer.goaways[-1][1] == CALM
        assert b"cancelled" in peer.goaways[-1][2]
        app.go.set()
        await eventually(lambda: app.running == 0)
    after = counters.collect().labelled["abuse_detections"]
    assert after[("rapid_reset", "closed")] == before.get(("rapid_reset", "closed"), 0) + 1


async def test_connect_that_waits_is_not_for_the_application() -> None:
    app = Stubborn()
    async with connected(app, limits=small_limits()) as peer:
        busy = [peer.request() for _ in range(6)]
        await eventually(lambda: app.started == 5)
        connect = peer.open([(":method", "CONNECT"), (":authority", "x:443")], end=False)
        assert (await connect.done()).status == 501
        app.go.set()
        for answer in busy:
            assert (await answer.done()).body == b"ok"


async def test_request_reset_in_the_same_read_never_starts() -> None:
    app = Stubborn()
    async with connected(app) as peer:
        block = wire.block((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"x"))
        octets = b"".join(wire.headers(1 + 2 * i, block, end_stream=True) + wire.rst_stream(1 + 2 * i, 8) for i in range(50))
        await peer.heard()
        peer.write(octets)
        await peer.heard()
        assert await still(lambda: app.started) == 0
        assert peer.server.service.handlers == 0


async def test_waiting_request_that_is_reset_is_forgotten() -> None:
    app = Stubborn()
    offset = counters.slot("asgi_handlers")
    before = counters.collect().slots[offset : offset + 2]
    async with connected(app, limits=small_limits()) as peer:
        running = [peer.request() for _ in range(5)]
        await eventually(lambda: app.started == 5)
        for _ in range(100):
            peer.cancel(peer.request())
        await peer.heard()
        last = peer.request()
        app.go.set()
        for answer in [*running, last]:
            assert (await answer.done()).body == b"ok"
        assert app.started == 6
    assert counters.collect().slots[offset : offset + 2] == before


async def test_background_work_after_the_response_does_not_count() -> None:
    ended = 0
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal ended
        await send(START)
        await send(body(b"ok"))
        await go.wait()
        ended += 1

    async with connected(app, limits=small_limits()) as peer:
        for _ in range(20):
            assert (await peer.get()).body == b"ok"
        assert ended == 0
        go.set()
        await eventually(lambda: ended == 20)


async def test_limit_concurrency_answers_503() -> None:
    app = Stubborn()
    async with connected(app, limit_concurrency=2) as peer:
        first = [peer.request() for _ in range(2)]
        await eventually(lambda: app.running == 2)
        assert (await peer.get()).status == 503
        app.go.set()
        for answer in first:
            assert (await answer.done()).status == 200
        assert (await peer.get()).status == 200


async def test_connections_beyond_the_limit_are_dropped() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"ok"))

    async with serving(app, limits=ServerLimits(connections_max=2)) as server:
        port = server.addresses[0][1]
        peers = [await Peer().connect(port) for _ in range(3)]
        assert (await peers[0].get()).body == b"ok"
        await peers[2].closed.wait()
        await peers[1].close()
        await eventually(lambda: len(server.service.connections) == 1)
        again = await Peer().connect(port)
        assert (await again.get()).body == b"ok"
        for peer in [peers[0], peers[2], again]:
            await peer.close()
