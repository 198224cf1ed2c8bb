"""Connections that cannot be made, or end; and the client's own end."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import h2o_otel
from h2o_otel import Client, Limits, Timeout
from tests.support import backends, wire
from tests.support.judged import requirement
from tests.support.peers import Certificates, Peer, PeerServer, Silent, path_of
from tests.support.programs import refusing_port
from tests.support.waiting import eventually


async def test_refused_connection(client: Any) -> None:
    async with client() as c:
        with refusing_port() as port, pytest.raises(h2o_otel.ConnectError, match=r"cannot connect to 127\.0\.0\.1 port") as caught:
            await c.get(f"http://127.0.0.1:{port}/")
        assert caught.value.request.method == "GET"


async def test_connect_timeout(client: Any) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with client() as c:
            with pytest.raises(h2o_otel.ConnectTimeout, match=r"within 0.1 s \(Timeout.connect\)") as caught:
                await c.get(f"https://localhost:{listener.getsockname()[1]}/", timeout=Timeout(connect=0.1))
            assert caught.value.timeout_s == 0.1


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


# -- the client's own end


async def test_aclose_fails_what_is_under_way(serve: Any, client: Any) -> None:
    server = serve(Silent)
    c = client()
    async with c:
        async with anyio.create_task_group() as group:

            async def one() -> None:
                with pytest.raises(h2o_otel.TransportError):
                    await c.get(f"{server.url}/silent")

            group.start_soon(one)
            await eventually(lambda: server.peers and server.peers[0].requests)
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
