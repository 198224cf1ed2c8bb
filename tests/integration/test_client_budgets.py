"""What a client may take of its peers, over sockets: connections to keep, and PINGs."""

from __future__ import annotations

from typing import Any

import anyio
import h2.events
import pytest

from h2o_otel import AsyncClient, Limits, ReadTimeout, Timeout, counters
from tests.support import wire
from tests.support.peers import Peer, PeerServer
from tests.support.waiting import eventually

ENHANCE_YOUR_CALM = 11


class Counting(Peer):
    """Counts PINGs, and complains of the first of a connection where the request's path says so."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.pings = 0

    def ended(self, stream_id: int) -> None:
        path = self.requests[stream_id][b":path"]
        if path.startswith(b"/complain"):
            self.raw(wire.goaway(stream_id, ENHANCE_YOUR_CALM, debug=path.partition(b"?")[2]))
        super().ended(stream_id)

    def dispatch(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.PingReceived):
            self.pings += 1
        super().dispatch(event)


async def test_an_idle_client_sends_no_ping() -> None:
    with PeerServer(Counting) as server:
        async with AsyncClient(limits=Limits(ping_interval_min_s=0.0, window_probe_interval_s=0.0)) as client:
            assert (await client.get(server.url)).status_code == 200
            await anyio.sleep(0.2)
            assert len(server.peers) == 1
            assert server.peers[0].pings == 0


async def test_complaints_of_pings_double_the_interval() -> None:
    with PeerServer(Counting) as server:
        async with AsyncClient(limits=Limits(ping_interval_min_s=1.0, ping_interval_max_s=3.0)) as client:
            intervals = []
            for debug in ("other", "too_many_pings", "too_many_pings: more than 2 at once", "too_many_pings"):
                assert (await client.get(f"{server.url}/complain?{debug.replace(' ', '+')}")).status_code == 200
                await eventually(lambda: client.describe()[0]["connections"] == [])
                intervals.append(client.describe()[0]["ping_interval_s"])
            assert intervals == [1.0, 2.0, 3.0, 3.0]


async def test_the_interval_keeps_a_second_ping_back() -> None:
    class Slow(Counting):
        def ended(self, stream_id: int) -> None:
            if self.requests[stream_id][b":path"] != b"/silent":
                super().ended(stream_id)

    with PeerServer(Slow) as server:
        async with AsyncClient(limits=Limits(ping_interval_min_s=60.0)) as client:
            await client.get(server.url)
            for _ in range(3):
                with pytest.raises(ReadTimeout):
                    await client.get(f"{server.url}/silent", timeout=Timeout(read=0.05))
                await eventually(lambda: not client.describe()[0]["connections"][0]["suspect"])
            assert [peer.pings for peer in server.peers] == [1]


async def test_connections_are_bounded() -> None:
    with PeerServer() as first, PeerServer() as second, PeerServer() as third:
        before = counters.collect().labelled["pool_connections_closed"]
        async with AsyncClient(limits=Limits(max_connections=2)) as client:
            for _ in range(2):
                for server in (first, second, third):
                    assert (await client.get(server.url)).status_code == 200
                    assert sum(len(origin["connections"]) for origin in client.describe()) <= 2
        after = counters.collect().labelled["pool_connections_closed"]
        evicted = {key: after[key] - before.get(key, 0) for key in after if key[1] == "evicted"}
        assert sum(evicted.values()) == 4


async def test_idle_connections_are_bounded() -> None:
    with PeerServer() as first, PeerServer() as second:
        async with AsyncClient(limits=Limits(max_keepalive_connections=1, keepalive_expiry=None)) as client:
            await client.get(first.url)
            await client.get(second.url)
            await eventually(lambda: [len(origin["connections"]) for origin in client.describe()] == [0, 1])
            await eventually(lambda: first.peers[0].goaways == [0])
