"""The client against servers that misbehave, on asyncio and trio, with and without TLS: one request's trouble stays its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import anyio
import h2.settings
import pytest

import h2o_otel
from h2o_otel import Client, Limits, Timeout, counters
from h2o_otel.limits import CLIENT_LIMITS
from tests.support import backends, wire
from tests.support.judged import requirement
from tests.support.peers import Certificates, Peer, PeerServer

CANCEL, REFUSED_STREAM = 8, 7
MAX_STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["h2c", "tls"])
def secure(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "tls")


@pytest.fixture
def serve(secure: bool, certificates: Certificates) -> Iterator[Callable[[type[Peer]], PeerServer]]:
    """``serve(Peer)`` starts a server; its threads must not have failed in the end."""
    servers: list[PeerServer] = []

    def start(peer: type[Peer]) -> PeerServer:
        server = PeerServer(peer, certificates.context() if secure else None)
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.__exit__()
        assert server.errors == []


@pytest.fixture
def client(certificates: Certificates) -> Callable[..., Client]:
    return lambda **arguments: Client(verify=certificates.ca, **arguments)


async def eventually(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Until ``condition()`` holds: the servers' threads see some things later than the client."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await anyio.sleep(0.005)


def path_of(peer: Peer, stream_id: int) -> bytes:
    return peer.requests[stream_id][b":path"]


class Silent(Peer):
    """Never answers /silent, and begins to answer /drip with an octet every 20 ms."""

    def ended(self, stream_id: int) -> None:
        path = path_of(self, stream_id)
        if path == b"/drip":
            self.head(stream_id)
            for _ in range(50):
                self.h2.send_data(stream_id, b".")
                self.flush()
                time.sleep(0.02)
        elif path != b"/silent":
            super().ended(stream_id)


# -- 1. one request's timeout or end is its own


async def test_read_timeout_leaves_neighbours_alone(serve: Any, client: Any) -> None:
    server = serve(Silent)
    async with client() as c:
        assert (await c.get(f"{server.url}/")).status_code == 200
        got: list[int] = []

        async def neighbour() -> None:
            for _ in range(20):
                got.append((await c.post(f"{server.url}/", content=b"x" * 1000)).status_code)
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as group:
            group.start_soon(neighbour)
            with pytest.raises(h2o_otel.ReadTimeout) as caught:
                await c.get(f"{server.url}/silent", timeout=Timeout(read=0.1))
        assert got == [200] * 20
        assert caught.value.request.url.path == "/silent"
        assert caught.value.timeout_s == 0.1
        assert "HEADERS" in str(caught.value.flight)
        assert "nothing of the response arrived within 0.1 s (Timeout.read): GET" in str(caught.value)
        peer = server.peers[0]
        await eventually(lambda: CANCEL in peer.resets.values())
        assert len(server.peers) == 1


async def test_total_timeout_ends_a_drip(serve: Any, client: Any) -> None:
    server = serve(Silent)
    async with client() as c:
        started = time.monotonic()
        with pytest.raises(h2o_otel.TotalTimeout, match="octets of body received"):
            await c.get(f"{server.url}/drip", timeout=Timeout(read=0.5, total=0.3))
        assert time.monotonic() - started < 1.0


async def test_cancelled_request_is_reset(serve: Any, client: Any) -> None:
    server = serve(Silent)
    async with client() as c:
        with anyio.move_on_after(0.1) as scope:
            await c.get(f"{server.url}/silent")
        assert scope.cancelled_caught
        assert (await c.get(f"{server.url}/")).status_code == 200
        peer = server.peers[0]
        await eventually(lambda: peer.resets)
        assert list(peer.resets.values()) == [CANCEL]
        assert c.describe()[0]["connections"][0]["streams_open"] == 0


# -- 2. bodies that nobody reads


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


async def test_reader_that_is_slow_stops_the_peer(serve: Any, client: Any) -> None:
    class Endless(Peer):
        def ended(self, stream_id: int) -> None:
            self.head(stream_id)
            self.body(stream_id, b"x" * 10_000_000)

    server = serve(Endless)
    limits = Limits(stream_window_bytes=65_536, connection_window_bytes=1_048_576)
    async with client(limits=limits) as c, c.stream("GET", server.url) as response:
        await anyio.sleep(0.2)
        assert sum(map(len, response.exchange.chunks)) <= 65_536
        first = await response.aiter_raw().__anext__()
        assert first


# -- 3. GOAWAY and refused streams


@requirement("9113-8.7-2")
async def test_goaway_lets_requests_finish_and_replays_the_rest(serve: Any, client: Any) -> None:
    class Draining(Peer):
        def ended(self, stream_id: int) -> None:
            if self.number == 1 and stream_id == 5:
                # The streams up to 3 are served, this one was not seen.
                self.raw(wire.goaway(3, 0))
                super().ended(1)
                super().ended(3)
            elif self.number > 1 or stream_id > 5:
                super().ended(stream_id)

    server = serve(Draining)
    async with client() as c:
        answers: dict[int, Any] = {}

        async def one(i: int) -> None:
            answers[i] = await c.post(server.url, content=b"%d" % i)

        async with anyio.create_task_group() as group:
            for i in range(3):
                group.start_soon(one, i)
        assert [answers[i].content for i in range(3)] == [b"0", b"1", b"2"]
        assert sorted(r.connection_id for r in answers.values())[0] == sorted(r.connection_id for r in answers.values())[1]
        assert len({r.connection_id for r in answers.values()}) == 2
        assert (await c.get(server.url)).connection_id == max(r.connection_id for r in answers.values())
        await eventually(lambda: len(c.describe()[0]["connections"]) == 1)
        assert counters.collect().value("pool_retries", "GOAWAY") >= 1


class Refusing(Peer):
    refusals: ClassVar[dict[str, int]] = {}

    def ended(self, stream_id: int) -> None:
        left = self.refusals.setdefault(str(self.server.port), 3)
        if left:
            self.refusals[str(self.server.port)] = left - 1
            self.reset(stream_id, REFUSED_STREAM)
        else:
            super().ended(stream_id)


@requirement("9113-8.7-2")
async def test_refused_stream_is_replayed(serve: Any, client: Any) -> None:
    server = serve(Refusing)
    async with client() as c:
        response = await c.post(server.url, content=b"again")
        assert response.content == b"again"
        assert response.stream_id == 7
        assert len(server.peers) == 1


async def test_replays_end(serve: Any, client: Any) -> None:
    server = serve(Refusing)
    async with client(limits=Limits(retries_max=2)) as c:
        with pytest.raises(h2o_otel.StreamReset, match="REFUSED_STREAM") as caught:
            await c.get(server.url)
        assert caught.value.request is not None
        assert len(server.peers[0].requests) == 3


@requirement("9113-8.7-2")
async def test_body_that_cannot_be_replayed_is_not(serve: Any, client: Any) -> None:
    server = serve(Refusing)
    async with client() as c:
        with pytest.raises(h2o_otel.StreamReset):
            await c.post(server.url, content=iter([b"once"]))
        assert len(server.peers[0].requests) == 1
        assert (await c.post(server.url, content=[b"a", b"b"])).content == b"ab"


class Dying(Peer):
    """The first connection answers once, and dies with the second request."""

    def ended(self, stream_id: int) -> None:
        if self.number == 1 and stream_id > 1:
            self.hang_up()
        else:
            super().ended(stream_id)


async def test_lost_connection_is_replayed_only_where_that_is_safe(serve: Any, client: Any) -> None:
    """RFC 9110 section 9.2.2: the server may have acted on a POST; a GET may be asked again."""
    server = serve(Dying)
    async with client() as c:
        await c.get(server.url)
        with pytest.raises(h2o_otel.TransportError):
            await c.post(server.url, content=b"once")
        assert [len(peer.requests) for peer in server.peers] == [2]
    again = serve(Dying)
    async with client() as c:
        await c.get(again.url)
        assert (await c.get(again.url)).status_code == 200
        assert [len(peer.requests) for peer in again.peers] == [2, 1]


class Elsewhere(Peer):
    """The first connection is to the wrong server, and every one for ``/never``."""

    def ended(self, stream_id: int) -> None:
        path = path_of(self, stream_id)
        self.respond(stream_id, bytes(self.bodies[stream_id]), 421 if path == b"/never" or (path == b"/" and self.number == 1) else 200)


async def test_misdirected_request_is_sent_once_more_on_a_fresh_connection(serve: Any, client: Any) -> None:
    server = serve(Elsewhere)
    async with client() as c:
        kept = (await c.get(f"{server.url}/fine")).connection_id
        response = await c.post(f"{server.url}/", content=b"again")
        assert (response.status_code, response.content) == (200, b"again")
        assert response.connection_id != kept
        assert (await c.get(f"{server.url}/never")).status_code == 421
        assert len(server.peers) == 3
        assert (await c.post(f"{server.url}/never", content=iter([b"once"]))).status_code == 421
        async with c.stream("GET", f"{server.url}/never") as streamed:
            assert streamed.status_code == 421
        assert (await c.get(f"{server.url}/")).status_code == 200
        assert len(server.peers) == 4
        assert counters.collect().value("pool_retries", "421") >= 3


# -- 4. streams exhausted


class Two(Peer):
    settings: ClassVar[dict[int, int]] = {MAX_STREAMS: 2}
    most = 0

    def ended(self, stream_id: int) -> None:
        if path_of(self, stream_id) == b"/hold":
            return
        super().ended(stream_id)


async def test_requests_queue_in_order(serve: Any, client: Any) -> None:
    server = serve(Two)
    async with client() as c:
        await c.get(server.url)
        asked: list[bytes] = []

        async def one(i: int) -> None:
            asked.append(b"%d" % i)
            assert (await c.post(server.url, content=asked[-1])).status_code == 200

        async with anyio.create_task_group() as group:
            for i in range(30):
                group.start_soon(one, i)
        seen = [bytes(body) for body in server.peers[0].bodies.values()][1:]
        assert sorted(seen) == sorted(asked)
        # Two streams become free at once, and trio wakes those who wait for them in any order.
        assert max(abs(seen.index(body) - i) for i, body in enumerate(asked)) <= 1


async def test_pool_timeout_names_the_limit(serve: Any, client: Any) -> None:
    server = serve(Two)
    async with client() as c:
        await c.get(server.url)
        async with anyio.create_task_group() as group:
            group.start_soon(c.get, f"{server.url}/hold")
            group.start_soon(c.get, f"{server.url}/hold")
            await anyio.sleep(0.05)
            with pytest.raises(
                h2o_otel.PoolTimeout, match=r"within 0.1 s \(Timeout.pool\): 2 streams are open, the peer allows 2"
            ) as caught:
                await c.get(server.url, timeout=Timeout(pool=0.1))
            assert caught.value.request.method == "GET"
            with anyio.move_on_after(0.05):
                await c.get(server.url)
            assert c.describe()[0]["waiting"] == 0
            group.cancel_scope.cancel()
        assert (await c.get(server.url)).status_code == 200


async def test_lower_limit_does_not_deadlock(serve: Any, client: Any) -> None:
    class Lowering(Peer):
        settings: ClassVar[dict[int, int]] = {MAX_STREAMS: 10}

        def ended(self, stream_id: int) -> None:
            if stream_id == 3:
                self.h2.update_settings({MAX_STREAMS: 1})
            super().ended(stream_id)

    server = serve(Lowering)
    async with client() as c:
        await c.get(server.url)
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(c.get, server.url)
        assert c.describe()[0]["connections"][0]["streams_max"] == 1


# -- 5. a silent peer


async def test_silent_peer_is_left_and_pinged(serve: Any, client: Any) -> None:
    class Dead(Peer):
        def ended(self, stream_id: int) -> None:
            if path_of(self, stream_id) == b"/die":
                time.sleep(1.0)
            else:
                super().ended(stream_id)

    server = serve(Dead)
    async with client(limits=Limits(ping_timeout_s=0.3)) as c:
        await c.get(server.url)
        with pytest.raises(h2o_otel.ReadTimeout):
            await c.get(f"{server.url}/die", timeout=Timeout(read=0.1))
        response = await c.get(server.url)
        assert response.status_code == 200
        assert len(server.peers) == 2
        await eventually(lambda: len(c.describe()[0]["connections"]) == 1)


async def test_slow_answer_keeps_the_connection(serve: Any, client: Any) -> None:
    server = serve(Silent)
    async with client() as c:
        await c.get(server.url)
        with pytest.raises(h2o_otel.ReadTimeout):
            await c.get(f"{server.url}/silent", timeout=Timeout(read=0.1))
        # The PING is answered: the peer lives.
        await eventually(lambda: not c.describe()[0]["connections"][0]["suspect"])
        await c.get(server.url)
        assert len(server.peers) == 1


# -- 6. uploads


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


# -- 7. connections that cannot be made, or end


async def test_refused_connection(client: Any, free_port: Any) -> None:
    async with client() as c:
        with pytest.raises(h2o_otel.ConnectError, match=r"cannot connect to 127\.0\.0\.1 port") as caught:
            await c.get(f"http://127.0.0.1:{free_port()}/")
        assert caught.value.request.method == "GET"


async def test_connect_timeout(client: Any) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with client() as c:
            started = time.monotonic()
            with pytest.raises(h2o_otel.ConnectTimeout, match=r"within 0.1 s \(Timeout.connect\)"):
                await c.get(f"https://localhost:{listener.getsockname()[1]}/", timeout=Timeout(connect=0.1))
            assert time.monotonic() - started < 2


async def test_waiters_share_a_connect_that_survives_them(serve: Any, client: Any) -> None:
    server = serve(Peer)
    async with client() as c:
        statuses: list[int] = []

        async def one() -> None:
            statuses.append((await c.get(server.url)).status_code)

        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as first:
                group.start_soon(one)
                group.start_soon(one)
                first.cancel()
                await c.get(server.url)
            group.start_soon(one)
        assert statuses == [200] * 3
        assert len(server.peers) == 1


async def test_no_h2_in_alpn(certificates: Certificates, client: Any) -> None:
    with PeerServer(Peer, certificates.context(("http/1.1",))) as server:
        async with client() as c:
            with pytest.raises(h2o_otel.ConnectError, match="h2"):
                await c.get(server.url)


async def test_untrusted_certificate(certificates: Certificates) -> None:
    with PeerServer(Peer, certificates.context()) as server:
        async with Client() as c:
            with pytest.raises(h2o_otel.ConnectError, match="certificate"):
                await c.get(server.url)
        async with Client(verify=False) as c:
            assert (await c.get(server.url)).status_code == 200


class Leaving(Peer):
    """Hangs up in the middle of an answer to /half, and right after any other."""

    def ended(self, stream_id: int) -> None:
        if path_of(self, stream_id) == b"/half":
            self.head(stream_id, fields=[(b"content-length", b"100")])
            self.h2.send_data(stream_id, b"x" * 50)
        else:
            super().ended(stream_id)
        self.flush()
        self.hang_up()


@requirement("9113-8.7-2")
async def test_truncated_response_is_an_error(serve: Any, client: Any) -> None:
    server = serve(Leaving)
    async with client() as c:
        with pytest.raises(h2o_otel.ReadError, match="50 octets of body received") as caught:
            await c.get(f"{server.url}/half")
        assert isinstance(caught.value.__cause__, h2o_otel.StreamReset)
        assert caught.value.flight.frames()[-1].length == 50
        async with c.stream("GET", f"{server.url}/half") as response:
            pieces = response.aiter_bytes()
            assert await pieces.__anext__() == b"x" * 50
            with pytest.raises(h2o_otel.ReadError):
                await pieces.__anext__()


async def test_ended_connection_is_replaced(serve: Any, client: Any) -> None:
    server = serve(Leaving)
    async with client() as c:
        for i in range(5):
            assert (await c.get(server.url)).status_code == 200
            if i % 2:
                await anyio.sleep(0.05)
        assert len(server.peers) >= 5


async def test_idle_connection_is_closed(serve: Any, client: Any) -> None:
    server = serve(Peer)
    async with client(limits=Limits(keepalive_expiry=0.1)) as c:
        first = (await c.get(server.url)).connection_id
        await eventually(lambda: c.describe()[0]["connections"] == [])
        assert (await c.get(server.url)).connection_id != first
        assert server.peers[0].goaways == [0]


async def test_malformed_response_is_that_request_alone(serve: Any, client: Any) -> None:
    class Malformed(Peer):
        def ended(self, stream_id: int) -> None:
            if path_of(self, stream_id) == b"/bad":
                self.raw(wire.headers(stream_id, wire.block((b":status", b"200"), (b"Upper", b"1")), end_stream=True))
            else:
                super().ended(stream_id)

    server = serve(Malformed)
    async with client() as c:
        with pytest.raises(h2o_otel.RemoteProtocolError) as caught:
            await c.get(f"{server.url}/bad")
        assert caught.value.scope == "stream"
        assert str(caught.value.flight.frames()[-1]).endswith("END_STREAM END_HEADERS")
        assert (await c.get(server.url)).status_code == 200
        assert len(server.peers) == 1


# -- 8. the client's own end


async def test_aclose_fails_what_is_under_way(serve: Any, client: Any) -> None:
    server = serve(Silent)
    c = client()
    async with c:
        async with anyio.create_task_group() as group:

            async def one() -> None:
                with pytest.raises(h2o_otel.TransportError):
                    await c.get(f"{server.url}/silent")

            group.start_soon(one)
            await anyio.sleep(0.1)
            await c.aclose()
        await c.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await c.get(server.url)


@backends.asyncio_only
async def test_client_belongs_to_its_loop(serve: Any, client: Any) -> None:
    import asyncio
    import threading

    server = serve(Peer)
    caught: list[BaseException] = []
    async with client() as c:
        await c.get(server.url)

        def elsewhere() -> None:
            async def use() -> None:
                await c.get(server.url)

            try:
                asyncio.run(use())
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "belongs to another event loop" in str(caught[0])


async def test_error_of_the_body_is_not_wrapped(client: Any) -> None:
    with pytest.raises(KeyError, match="plain"):
        async with client():
            raise KeyError("plain")
