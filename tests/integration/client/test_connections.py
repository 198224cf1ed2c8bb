"""Connections that cannot be made, or end; and the client's own end."""

from __future__ import annotations

import contextlib
from typing import Any

import anyio
import pytest
from opentelemetry.trace import StatusCode

import h2o_otel
from h2o_otel import AsyncClient, ErrorCode, Limits, Timeout
from h2o_otel.telemetry import configure
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
        async with AsyncClient() as c:
            with pytest.raises(h2o_otel.ConnectError, match="certificate"):
                await c.get(server.url)
        async with AsyncClient(verify=False) as c:
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


class Scolding(Peer):
    """Answers /half with a part of a response; then it says COMPRESSION_ERROR and hangs up."""

    def ended(self, stream_id: int) -> None:
        if path_of(self, stream_id) == b"/half":
            self.head(stream_id)
            self.body(stream_id, b"part")
        elif path_of(self, stream_id) == b"/ok":
            super().ended(stream_id)
            return
        self.raw(wire.goaway(stream_id, 9, b"no such entry"))
        self.hang_up()


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_code_of_goaway_is_the_error(serve: Any, client: Any, engine: str) -> None:
    server = serve(Scolding)
    with configure("test", "traces", in_memory=True, sample_ratio=1.0, set_global=False) as telemetry:
        async with client(telemetry=telemetry, engine=engine) as c:
            for send in (c.post(f"{server.url}/none", content=b"x"), c.get(f"{server.url}/half")):
                with pytest.raises(
                    h2o_otel.StreamReset, match="the peer sent GOAWAY COMPRESSION_ERROR, and the connection ended"
                ) as caught:
                    await send
                assert (caught.value.code, caught.value.rule, caught.value.scope) == (
                    ErrorCode.COMPRESSION_ERROR,
                    "goaway_received",
                    "connection",
                )
                assert caught.value.initiator == "remote"
            # Idempotent, on a connection that was used before: a new one is worth a try.
            await c.get(f"{server.url}/ok")
            with pytest.raises(h2o_otel.StreamReset) as caught:
                await c.get(f"{server.url}/none")
            assert caught.value.retry_reasons == ("connection_lost",)
            await eventually(lambda: not c.describe()[0]["connections"])
        spans = [span for span in telemetry.spans() if span.name in ("GET", "POST")]
        assert [span.attributes.get("error.type") for span in spans] == ["COMPRESSION_ERROR"] * 2 + [None] + ["COMPRESSION_ERROR"] * 2
        failed = [log.attributes for log in telemetry.logs() if log.event_name == "h2o.connection.failed"]
        assert {(log["error.type"], log["h2o.error_code"]) for log in failed} == {("goaway_received", "COMPRESSION_ERROR")}


async def leave_by_break(response: Any) -> None:
    async for _ in response.aiter_bytes():
        break


async def leave_by_error(response: Any) -> None:
    raise ZeroDivisionError


async def leave_by_cancellation(response: Any) -> None:
    with anyio.fail_after(0.05):
        await response.aread()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error, leave_by_cancellation])
async def test_who_leaves_a_stream_makes_no_error_span(serve: Any, client: Any, leave: Any) -> None:
    class Endless(Peer):
        def ended(self, stream_id: int) -> None:
            self.head(stream_id)
            self.body(stream_id, b"part")

    server = serve(Endless)
    with configure("test", "traces", in_memory=True, sample_ratio=1.0, set_global=False) as telemetry:
        async with client(telemetry=telemetry) as c:
            with contextlib.suppress(ZeroDivisionError, TimeoutError):
                async with c.stream("GET", server.url) as response:
                    await leave(response)
        (span,) = [span for span in telemetry.spans() if span.name == "GET"]
    assert (span.status.status_code, span.attributes.get("error.type")) == (StatusCode.UNSET, None)
    assert span.attributes["h2o.stream.closed_by"] == "user"
