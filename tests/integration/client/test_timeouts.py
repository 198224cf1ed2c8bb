"""One request's timeout, cancellation or silent peer is its own trouble."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

import h2o_otel
from h2o_otel import Limits, Timeout
from tests.support import wire
from tests.support.peers import Peer, Silent, path_of
from tests.support.waiting import eventually

CANCEL = 8


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


async def test_timeout_on_a_connection_that_is_going_away_says_so(serve: Any, client: Any) -> None:
    class Calming(Peer):
        """Promises to answer, and does not."""

        def ended(self, stream_id: int) -> None:
            self.raw(wire.goaway(stream_id, 11))

    server = serve(Calming)
    async with client() as c:
        with pytest.raises(h2o_otel.ReadTimeout, match="the peer sent GOAWAY ENHANCE_YOUR_CALM"):
            await c.get(server.url, timeout=Timeout(read=0.1))


async def test_total_timeout_ends_a_drip(serve: Any, client: Any) -> None:
    server = serve(Silent)
    async with client() as c:
        with pytest.raises(h2o_otel.TotalTimeout, match="octets of body received") as caught:
            await c.get(f"{server.url}/drip", timeout=Timeout(30.0, total=0.7))
        assert caught.value.timeout_s == 0.7


async def test_cancelled_request_is_reset(serve: Any, client: Any) -> None:
    server = serve(Silent)
    async with client() as c:
        async with anyio.create_task_group() as group:
            group.start_soon(c.get, f"{server.url}/silent")
            await eventually(lambda: server.peers and server.peers[0].requests)
            group.cancel_scope.cancel()
        assert (await c.get(f"{server.url}/")).status_code == 200
        peer = server.peers[0]
        await eventually(lambda: peer.resets)
        assert list(peer.resets.values()) == [CANCEL]
        assert c.describe()[0]["connections"][0]["streams_open"] == 0


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
