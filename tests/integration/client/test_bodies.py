"""Bodies that nobody reads, and uploads that the peer stops, slows or answers early."""

from __future__ import annotations

import gc
import gzip
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import h2.settings
import pytest

import h2o_otel
from h2o_otel import Limits, Timeout
from h2o_otel.limits import CLIENT_LIMITS
from h2o_otel.telemetry import configure
from tests.support.peers import Peer, path_of
from tests.support.waiting import eventually, still

CANCEL = 8
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


class Large(Peer):
    def ended(self, stream_id: int) -> None:
        self.respond(stream_id, b"x" * 100_000)


@pytest.mark.time_limit(60)
async def test_abandoned_bodies_do_not_wedge(serve: Any, client: Any) -> None:
    server = serve(Large)
    limits = Limits(stream_window_bytes=65_536, connection_window_bytes=262_144)
    rounds = 1000
    async with client(limits=limits) as c:

        async def abandon(times: int) -> None:
            for _ in range(times):
                async with c.stream("GET", server.url) as response:
                    async for piece in response.aiter_bytes():
                        assert piece
                        break

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(abandon, rounds // 20)
        assert len((await c.get(server.url)).content) == 100_000
        assert len(server.peers) == 1
        (state,) = c.describe()
        assert state["connections"][0]["streams_open"] == 0
        await eventually(lambda: len(server.peers[0].resets) == rounds)


async def test_dropped_responses_do_not_wedge(serve: Any, client: Any) -> None:
    """They should have been closed; what they hold of the window goes back all the same, once they are collected."""
    server = serve(Large)
    limits = Limits(stream_window_bytes=65_536, connection_window_bytes=262_144)
    async with client(limits=limits) as c:
        for number in range(120):
            response = await c.send(c.build_request("GET", server.url), stream=True)
            if number % 2:
                pieces = response.aiter_text()
                assert await pieces.__anext__()
                del pieces
            del response
        gc.collect()
        assert len((await c.get(server.url)).content) == 100_000
        assert len(server.peers) == 1
        assert c.describe()[0]["connections"][0]["streams_open"] == 0


async def test_body_outlives_the_name_of_its_response(serve: Any, client: Any) -> None:
    server = serve(Large)
    async with client(limits=Limits(stream_window_bytes=65_536)) as c:
        for read in ("aiter_raw", "aiter_bytes", "aiter_text"):
            pieces = getattr(await c.send(c.build_request("GET", server.url), stream=True), read)()
            gc.collect()
            await anyio.lowlevel.checkpoint()
            assert sum([len(piece) async for piece in pieces]) == 100_000
        assert server.peers[0].resets == {}


async def test_reader_that_is_slow_stops_the_peer(serve: Any, client: Any) -> None:
    class Endless(Peer):
        def ended(self, stream_id: int) -> None:
            self.head(stream_id)
            self.body(stream_id, b"x" * 10_000_000)

    server = serve(Endless)
    limits = Limits(stream_window_bytes=65_536, connection_window_bytes=1_048_576)
    async with client(limits=limits) as c, c.stream("GET", server.url) as response:
        assert await still(lambda: sum(map(len, response.exchange.chunks))) <= 65_536
        first = await response.aiter_raw().__anext__()
        assert first


# -- uploads


class Shut(Peer):
    """Opens no window."""

    settings: ClassVar[dict[int, int]] = {WINDOW: 0}

    def data(self, stream_id: int, size: int) -> None:
        pass


async def test_closed_window_is_a_write_timeout(serve: Any, client: Any) -> None:
    server = serve(Shut)
    async with client() as c:
        await c.get(server.url)
        for content in (b"x" * 1000, [b"x" * 100_000] * 3):
            with pytest.raises(h2o_otel.WriteTimeout, match=r"took nothing of the request body within 0\.2 s"):
                await c.post(server.url, content=content, timeout=Timeout(write=0.2, read=0.1))
            # The PING is answered, and the connection stays.
            await eventually(lambda: not c.describe()[0]["connections"][0]["suspect"])
        assert (await c.get(server.url)).status_code == 200


async def test_upload_waits_for_the_peer(serve: Any, client: Any) -> None:
    class Slow(Peer):
        def data(self, stream_id: int, size: int) -> None:
            pass

        def request(self, stream_id: int) -> None:
            self.made = 0

    server = serve(Slow)
    made = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"x" * 16_384

    async with client() as c:
        with pytest.raises(h2o_otel.WriteTimeout):
            await c.post(server.url, content=chunks(), timeout=Timeout(write=0.3))
        # The window, and what may wait for it: nothing is made beyond that.
        assert made * 16_384 <= 65_535 + CLIENT_LIMITS.send_buffer_stream_bytes + 2 * 16_384


async def test_early_response_stops_the_upload(serve: Any, client: Any) -> None:
    class Early(Peer):
        def request(self, stream_id: int) -> None:
            self.respond(stream_id, b"no", status=413)
            self.h2.reset_stream(stream_id, 0)

        def ended(self, stream_id: int) -> None:
            pass

    server = serve(Early)
    closed = False

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield b"x" * 1000
                await anyio.sleep(0.01)
        finally:
            closed = True

    async with client() as c:
        response = await c.post(server.url, content=chunks())
        assert (response.status_code, response.content) == (413, b"no")
        await eventually(lambda: closed)
        response = await c.post(server.url, content=b"x" * 1_000_000)
        assert response.status_code == 413
        assert len(server.peers) == 1


async def test_send_read_send_on_one_stream(serve: Any, client: Any) -> None:
    """Bidirectional streaming: each piece goes out when the answer to the one before is here."""

    class Echo(Peer):
        def request(self, stream_id: int) -> None:
            self.head(stream_id)

        def data(self, stream_id: int, size: int) -> None:
            super().data(stream_id, size)
            self.body(stream_id, bytes(self.bodies[stream_id]))
            self.bodies[stream_id].clear()

        def ended(self, stream_id: int) -> None:
            self.body(stream_id, b"", end=True)

    server = serve(Echo)
    answers, turn = anyio.create_memory_object_stream[bytes](1)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"0"
        async for answer in turn:
            if answer == b"5":
                return
            yield b"%d" % (int(answer) + 1)

    async with client() as c, answers, turn:
        seen: list[bytes] = []
        async with c.stream("POST", server.url, content=chunks()) as response:
            async for piece in response.aiter_raw():
                seen.append(piece)
                await answers.send(piece)
        assert seen == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_failing_upload_is_the_callers_error(serve: Any, client: Any) -> None:
    server = serve(Peer)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"begun"
        raise KeyError("mine")

    async with client() as c:
        with pytest.raises(KeyError, match="mine"):
            await c.post(server.url, content=chunks())
        with pytest.raises(h2o_otel.LocalProtocolError, match="has 4 octets, content-length says 10"):
            await c.post(server.url, content=[b"four"], headers={"content-length": "10"})
        with pytest.raises(h2o_otel.LocalProtocolError, match="has 4 octets, content-length says 10"):
            await c.post(server.url, content=b"four", headers={"content-length": "10"})
        assert (await c.get(server.url)).status_code == 200
        assert set(server.peers[0].resets.values()) == {CANCEL}


class Measured(Peer):
    """Answers with 300,000 octets, of which the path says how."""

    def ended(self, stream_id: int) -> None:
        path, body = path_of(self, stream_id), b"x" * 300_000
        if path == b"/known":
            self.respond(stream_id, body, fields=[(b"content-length", b"300000")])
        elif path == b"/coded":
            self.respond(stream_id, gzip.compress(body), fields=[(b"content-encoding", b"gzip")])
        elif path == b"/small":
            self.respond(stream_id, b"x" * 100_000)
        else:
            self.respond(stream_id, body)


@pytest.mark.parametrize("path", ["known", "unknown", "coded"])
async def test_whole_bodies_are_bounded(serve: Any, client: Any, path: str) -> None:
    server = serve(Measured)
    async with client(limits=Limits(response_bytes_max=100_000)) as c:
        for _ in range(3):
            with pytest.raises(h2o_otel.LimitExceeded, match=r"more than 100000 octets \(Limits\.response_bytes_max\)") as caught:
                await c.get(f"{server.url}/{path}")
            assert (caught.value.limit_name, caught.value.limit) == ("response_bytes_max", 100_000)
            assert caught.value.request.method == "GET"
            async with c.stream("GET", f"{server.url}/{path}") as response:
                with pytest.raises(h2o_otel.LimitExceeded):
                    await response.aread()
        async with c.stream("GET", f"{server.url}/{path}") as response:
            assert sum([len(piece) async for piece in response.aiter_bytes()]) == 300_000
        assert len((await c.get(f"{server.url}/small")).content) == 100_000
        # One stream each was reset, and the connection lives on.
        assert len(server.peers) == 1
    async with client(limits=Limits(response_bytes_max=None)) as c:
        assert len((await c.get(f"{server.url}/{path}")).content) == 300_000
        async with c.stream("GET", f"{server.url}/{path}") as response:
            assert len(await response.aread()) == 300_000


async def test_error_in_a_coded_body_comes_once_all_is_here(serve: Any, client: Any) -> None:
    """A body that had arrived before anybody read it fails as one that arrives."""

    class Broken(Peer):
        def ended(self, stream_id: int) -> None:
            self.respond(stream_id, b"garbage", fields=[(b"content-encoding", b"gzip")])

    server = serve(Broken)
    async with client() as c:
        async with c.stream("GET", server.url) as response:
            await eventually(lambda: response.is_closed)
            for _ in range(2):
                with pytest.raises(h2o_otel.RemoteProtocolError, match="the body is not gzip"):
                    await response.aread()
        with pytest.raises(h2o_otel.RemoteProtocolError, match="the body is not gzip") as caught:
            await c.get(server.url)
        assert (caught.value.rule, caught.value.attempts) == ("content_coding_invalid", 1)


@pytest.mark.parametrize("whole", [True, False])
async def test_broken_coding_is_the_error_of_the_request(serve: Any, client: Any, whole: bool) -> None:
    class Broken(Peer):
        def ended(self, stream_id: int) -> None:
            self.respond(stream_id, b"garbage", fields=[(b"content-encoding", b"gzip")])

    async def pieces(c: Any) -> None:
        async with c.stream("GET", server.url) as response:
            async for _ in response.aiter_bytes():
                pass

    server = serve(Broken)
    with configure("test", "traces", in_memory=True, sample_ratio=1.0, set_global=False) as telemetry:
        async with client(telemetry=telemetry) as c:
            with pytest.raises(h2o_otel.RemoteProtocolError, match="the body is not gzip") as caught:
                await (c.get(server.url) if whole else pieces(c))
            assert caught.value.request.method == "GET"
        (span,) = [span for span in telemetry.spans() if span.name == "GET"]
    assert span.attributes["error.type"] == "content_coding_invalid"
