"""HAProxy in front of our server: its health check, and that what passes through it arrives."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel import Client
from tests.support.backends import asyncio_only
from tests.support.peer import serving
from tests.support.proxies import haproxy
from tests.support.waiting import eventually

pytestmark = [asyncio_only, pytest.mark.time_limit(120)]


class App:
    """Answers 200, and keeps the scopes."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def state(folder: Path) -> dict[str, str]:
    """HAProxy's view of our server: one line of its statistics."""
    reader, writer = await asyncio.open_unix_connection(folder / "haproxy.sock")
    writer.write(b"show stat server 4 -1\n")
    lines = (await reader.read()).decode().splitlines()
    writer.close()
    return dict(zip(lines[0].removeprefix("# ").split(","), lines[1].split(","), strict=True))


async def checked(folder: Path, result: str) -> dict[str, str]:
    """Wait for a health check that ended like this."""
    while True:
        found = await state(folder)
        if found["check_status"].lstrip("* ") == result:
            return found
        await asyncio.sleep(0.05)


async def test_default_health_check_is_up(tmp_path: Path) -> None:
    """OPTIONS / with neither :authority nor host, and the scheme https in cleartext."""
    app = App()
    before = counters.collect().value("requests_without_authority")
    async with serving(app) as server:
        with haproxy(tmp_path, server.addresses[0][1]):
            found = await asyncio.wait_for(checked(tmp_path, "L7OK"), 30)
    assert (found["status"], found["check_code"]) == ("UP", "200")
    assert {(scope["method"], scope["path"], tuple(scope["headers"])) for scope in app.scopes} == {("OPTIONS", "/", ())}
    assert counters.collect().value("requests_without_authority") > before


async def test_health_check_is_down_where_an_authority_is_required(tmp_path: Path) -> None:
    """HAProxy calls a stream that is reset a socket error."""
    app = App()
    async with serving(app, require_authority=True) as server:
        with haproxy(tmp_path, server.addresses[0][1]):
            found = await asyncio.wait_for(checked(tmp_path, "SOCKERR"), 30)
    assert found["status"].startswith("DOWN")
    assert app.scopes == []


async def test_requests_go_through(tmp_path: Path) -> None:
    app = App()
    async with serving(app) as server:
        with haproxy(tmp_path, server.addresses[0][1]) as proxy:
            async with Client() as client:
                url = f"http://127.0.0.1:{proxy.port}/through"
                answers = await asyncio.gather(*(client.get(url) for _ in range(50)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"ok")}
    through = [scope for scope in app.scopes if scope["path"] == "/through"]
    assert len(through) == 50
    assert all((b"host", f"127.0.0.1:{proxy.port}".encode()) in scope["headers"] for scope in through)
    await eventually(lambda: not server.service.connections)
