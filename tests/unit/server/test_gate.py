"""How many connections a server has, for how long, and with how many requests each."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.limits import ServerLimits
from h2o_otel.server.gate import Gate
from tests.support import backends
from tests.support.peer import Peer, connected, serving
from tests.support.peers import Certificates
from tests.support.waiting import eventually

ANY = 2**31 - 1


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def rejected(limit: str) -> int:
    return counters.collect().labelled["connection_rejected"].get((limit,), 0)


@pytest.mark.parametrize("address", ["192.0.2.1", ""])
def test_what_entered_leaves(address: str) -> None:
    gate = Gate(ServerLimits(connections_max=3, connections_per_address_max=2))
    assert [gate.enter(address) for _ in range(2)] == [True, True]
    assert gate.enter(address) is (address == "")
    assert gate.enter("192.0.2.2") is (address != "")
    assert not gate.enter("192.0.2.3")
    for held in list(gate.addresses.items()):
        for _ in range(held[1]):
            gate.leave(held[0])
    assert gate.addresses == {}


@backends.asyncio_loops
async def test_connections_of_one_address() -> None:
    before = rejected("connections_per_address_max")
    async with serving(app, limits=ServerLimits(connections_per_address_max=2)) as server:
        port = server.addresses[0][1]
        peers = [await Peer().connect(port) for _ in range(2)]
        assert [(await peer.get()).body for peer in peers] == [b"ok"] * 2
        extra = await Peer().connect(port)
        await extra.closed.wait()
        assert rejected("connections_per_address_max") == before + 1
        await peers.pop().close()
        await extra.close()
        await eventually(lambda: server._gate.connections == 1)
        again = await Peer().connect(port)
        assert (await again.get()).body == b"ok"
        for peer in (*peers, again):
            await peer.close()


@backends.asyncio_loops
async def test_handshakes_under_way_count(tmp_path: Any) -> None:
    """A client that never says anything holds a place, and no more than that."""
    issued = Certificates(tmp_path).issued
    files = {"ssl_certfile": issued.certificate, "ssl_keyfile": issued.key}
    async with serving(app, limits=ServerLimits(connections_max=2, tls_handshake_timeout_s=300.0), **files) as server:
        silent = [await asyncio.open_connection(*server.addresses[0][:2]) for _ in range(3)]
        # Beyond the limit there is an end at once, with a reset or without; the others have their time.
        with contextlib.suppress(ConnectionError):
            assert await silent[2][0].read() == b""
        assert server._gate.connections == 2
        for _reader, writer in silent:
            writer.close()
    async with serving(app, limits=ServerLimits(connections_max=2, tls_handshake_timeout_s=0.2), **files) as server:
        silent = [await asyncio.open_connection(*server.addresses[0][:2]) for _ in range(2)]
        for reader, writer in silent:
            await reader.read()
            writer.close()
        await eventually(lambda: server._gate.connections == 0)


@backends.asyncio_loops
async def test_connection_ends_in_order_after_its_requests() -> None:
    async with connected(app, limits=ServerLimits(requests_per_connection_max=3)) as peer:
        answers = [peer.request() for _ in range(3)]
        assert [(await answer.done()).body for answer in answers] == [b"ok"] * 3
        await peer.closed.wait()
        assert [goaway[:2] for goaway in peer.goaways[:2]] == [(ANY, 0), (5, 0)]


@backends.asyncio_loops
async def test_connection_ends_in_order_at_its_age() -> None:
    aged = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await aged.wait()
        await app(scope, receive, send)

    began = asyncio.get_running_loop().time()
    async with connected(slow, limits=ServerLimits(connection_age_max_s=0.1)) as peer:
        answer = peer.request()
        await eventually(lambda: peer.goaways)
        assert peer.goaways[0][:2] == (ANY, 0)
        assert asyncio.get_running_loop().time() - began > 0.1
        assert not peer.closed.is_set()
        aged.set()
        assert (await answer.done()).body == b"ok"
        await peer.closed.wait()
