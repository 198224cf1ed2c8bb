"""Whom a request names: the URL's host, or the Host that the user gives, and never both."""

from __future__ import annotations

from typing import Any

import pytest

import h2o_otel
from h2o_otel.telemetry import configure
from tests.support.peers import Peer


@pytest.mark.parametrize("name", ["Host", "host", b"HOST"])
async def test_host_becomes_the_authority(serve: Any, client: Any, name: Any) -> None:
    server = serve(Peer)
    authority = server.url.partition("//")[2]
    async with client() as c:
        await c.get(server.url)
        response = await c.get(server.url, headers={name: "virtual.example:8080"})
        assert response.request.headers["host"] == "virtual.example:8080"
        async with c.stream("GET", server.url, headers={name: "virtual.example"}) as streamed:
            await streamed.aread()
    async with client(headers={name: "of.client"}) as c:
        await c.get(server.url)
        await c.get(server.url, headers={name: "of.request"})
    seen = [request for peer in server.peers for request in peer.requests.values()]
    assert [request[b":authority"].decode() for request in seen] == [
        authority,
        "virtual.example:8080",
        "virtual.example",
        "of.client",
        "of.request",
    ]
    assert not any(b"host" in request for request in seen)


@pytest.mark.parametrize("host", ["", "a b", "user@host", "a\r\nx: y", "a/b", "a#", "a\x00"])
async def test_host_that_is_none(serve: Any, client: Any, host: str) -> None:
    server = serve(Peer)
    with configure("test", "metrics", in_memory=True, set_global=False) as telemetry:
        async with client(telemetry=telemetry) as c:
            with pytest.raises(h2o_otel.LocalProtocolError):
                await c.get(server.url, headers={"host": host})
            with pytest.raises(h2o_otel.LocalProtocolError, match="2 Host fields"):
                await c.get(server.url, headers=[("host", "a"), ("Host", "a")])
            assert (await c.get(server.url)).status_code == 200
            active = telemetry.metrics()["http.client.active_requests"].data.data_points
            assert sum(point.value for point in active) == 0


async def test_server_name_of_tls_stays(secure: bool, client: Any, certificates: Any) -> None:
    if not secure:
        pytest.skip("there is no server name without TLS")
    from tests.support.peers import serving

    names: list[Any] = []
    context = certificates.context()
    context.sni_callback = lambda sock, name, own: names.append(name)
    with serving(Peer, context) as server:
        async with client() as c:
            await c.get(server.url, headers={"host": "virtual.example"})
    assert names == ["localhost"]
