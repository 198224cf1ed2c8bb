"""Level ``detail``: one request over TLS between our client and our server, and the whole tree of its spans."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import h2o_otel
from h2o_otel import telemetry
from h2o_otel.server.config import ServerConfig
from h2o_otel.server.server import Server
from h2o_otel.tls.certificates import Authority

# More than the output buffer's block, and small enough to be copied: the buffer has to grow.
BODY = b"b" * 40_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(BODY))]})
    for start in range(0, len(BODY), 10_000):
        last = start + 10_000 == len(BODY)
        await send({"type": "http.response.body", "body": BODY[start : start + 10_000], "more_body": not last})


def spans_of_one_request(folder: Path) -> list[Any]:
    observed = telemetry.configure("test", level="detail", in_memory=True, sample_ratio=1.0, set_global=False)

    async def main() -> None:
        authority = Authority(folder)
        made = authority.issue("127.0.0.1")
        config = ServerConfig(
            app=app, port=0, ssl_certfile=made.certificate, ssl_keyfile=made.key, telemetry=observed, lifespan="off", loop="asyncio"
        )
        server = Server(config)
        serving = asyncio.create_task(server.serve())
        await server.wait_started()
        host, port = server.addresses[0][:2]
        async with h2o_otel.AsyncClient(verify=str(authority.certificate), telemetry=observed) as client:
            response = await client.post(f"https://{host}:{port}/upload?x=1", content=b"u" * 1000)
            assert response.content == BODY
        server.stop()
        await serving

    try:
        asyncio.run(main())
        return list(observed.spans())
    finally:
        observed.shutdown()


def names_under(spans: list[Any], parent: Any) -> set[str]:
    return {s.name for s in spans if s.parent is not None and s.parent.span_id == parent.context.span_id}


def test_tree_of_one_request(tmp_path: Path) -> None:
    spans = spans_of_one_request(tmp_path)
    client = next(s for s in spans if s.kind.name == "CLIENT" and s.name == "POST")
    server = next(s for s in spans if s.kind.name == "SERVER")
    setup = next(s for s in spans if s.name == "HTTP connection_setup")

    assert server.parent.span_id == client.context.span_id
    assert server.context.trace_id == client.context.trace_id
    assert client.parent is None
    assert [link.context.span_id for link in client.links] == [setup.context.span_id]
    assert setup.context.trace_id != client.context.trace_id

    assert names_under(spans, setup) == {"socket connect", "TLS handshake", "h2 settings_exchange"} | (
        {"DNS lookup"} if any(s.name == "DNS lookup" for s in spans) else set()
    )
    every_layer = {
        "h2o.hpack.encode",
        "h2o.hpack.decode",
        "h2o.frames.write",
        "h2o.frames.read",
        "h2o.tls.encrypt",
        "h2o.tls.decrypt",
        "h2o.io.flush",
    }
    assert names_under(spans, client) == {*every_layer, "h2o.pool.acquire", "HTTP wait_for_connection", server.name}
    assert names_under(spans, server) == {*every_layer, "h2o.buffers.acquire"}


def test_children_lie_within_the_exchange(tmp_path: Path) -> None:
    spans = spans_of_one_request(tmp_path)
    client = next(s for s in spans if s.kind.name == "CLIENT" and s.name == "POST")
    for span in spans:
        assert span.start_time <= span.end_time
        if span.parent is not None and span.parent.span_id == client.context.span_id:
            assert span.start_time >= client.start_time
