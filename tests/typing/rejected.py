"""Calls of the public surface that mypy must reject, at the lines that end in ``# wrong``; it must accept all other lines."""

from __future__ import annotations

from typing import assert_type

import httpx
from fastapi import FastAPI

import h2o_otel
from h2o_otel import AsyncClient, Limits, Response, Retry, ServerConfig, ServerLimits, Tuning
from h2o_otel.telemetry import configure


async def calls(client: AsyncClient) -> None:
    assert_type(await client.get("http://a.test/", headers={"a": "b"}, timeout=5), Response)
    await client.post("http://a.test/", headers=[(b"a", b"b")], timeout=httpx.Timeout(5), json={})
    AsyncClient(headers={"a": "b"}, timeout=None)
    await client.get("http://a.test/", headers=3)  # wrong
    await client.get("http://a.test/", timeout="soon")  # wrong
    await client.post("http://a.test/", timeout="soon")  # wrong
    await client.request("GET", "http://a.test/", headers={"a": 1})  # wrong
    client.build_request("GET", "http://a.test/", timeout=[])  # wrong
    AsyncClient(timeout="soon")  # wrong
    await client.get(3)  # wrong
    AsyncClient(limits=Limits(max_connections=5, stream_window_bytes=1_048_576))
    AsyncClient(limits=httpx.Limits(max_connections=5), retry=Retry(refused="never"), tuning=Tuning())
    AsyncClient(limits=ServerLimits())  # wrong
    AsyncClient(limits=5)  # wrong
    AsyncClient(retry=3)  # wrong
    AsyncClient(tuning="fast")  # wrong
    AsyncClient(limits=Limits(connections_max=5))  # wrong
    ServerConfig(app="service:app", limits=ServerLimits(connections_max=5, streams_max=100))
    ServerConfig(app="service:app", limits=Limits())  # wrong
    ServerConfig(app="service:app", limits=ServerLimits(max_connections=5))  # wrong
    await client.get("http://a.test/", params={"a": 1, "b": ["c", None]})
    await client.get("http://a.test/", params=3)  # wrong
    await client.post("http://a.test/", content=b"a")
    await client.post("http://a.test/", content=3)  # wrong
    await client.post("http://a.test/", data={"a": "b"})
    await client.post("http://a.test/", data=3)  # wrong
    AsyncClient(verify="ca.pem", cert=("cert.pem", "key.pem"), uds="/run/app.sock")
    AsyncClient(verify=3)  # wrong
    AsyncClient(cert=3)  # wrong
    AsyncClient(telemetry="on")  # wrong
    AsyncClient(uds=3)  # wrong


async def application(scope: dict[str, object], receive: object, send: object) -> None: ...


def not_asynchronous(scope: object, receive: object, send: object) -> None: ...


def servers() -> None:
    ServerConfig(app=application)
    ServerConfig(app=lambda: application, factory=True, telemetry=configure(level="off"))
    h2o_otel.run("service:app", port=8443)
    ServerConfig(app=FastAPI(), telemetry=configure)
    ServerConfig(app=not_asynchronous)  # wrong
    ServerConfig(app=3)  # wrong
    ServerConfig(app=application, telemetry=3)  # wrong
    h2o_otel.run(application, port="8000")  # wrong
