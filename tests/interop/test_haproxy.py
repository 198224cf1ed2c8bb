"""HAProxy in front of our server: its health check, and that what passes through it arrives."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest

from h2o_otel import AsyncClient, Retry, StreamReset, counters
from tests.support.backends import asyncio_only
from tests.support.peer import serving
from tests.support.peers import Peer
from tests.support.peers import serving as peers
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
            async with AsyncClient() as client:
                url = f"http://127.0.0.1:{proxy.port}/through"
                answers = await asyncio.gather(*(client.get(url) for _ in range(50)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"ok")}
    through = [scope for scope in app.scopes if scope["path"] == "/through"]
    assert len(through) == 50
    assert all((b"host", f"127.0.0.1:{proxy.port}".encode()) in scope["headers"] for scope in through)
    await eventually(lambda: not server.service.connections)


class ActsAndFails(Peer):
    """A backend that takes each POST, acts on it, and fails; requests of other methods are answered."""

    acted: ClassVar[list[bytes]] = []

    def ended(self, stream_id: int) -> None:
        if self.requests[stream_id][b":method"] == b"POST":
            self.acted.append(bytes(self.bodies[stream_id]))
            self.reset(stream_id, 2)
        else:
            super().ended(stream_id)


@pytest.mark.parametrize(("refused", "delivered"), [("idempotent", 1), ("always", 6)])
async def test_post_is_delivered_once(tmp_path: Path, refused: Any, delivered: int) -> None:
    """HAProxy says REFUSED_STREAM for what its backend has acted on; only a user who says so has it sent again."""
    ActsAndFails.acted.clear()
    with peers(ActsAndFails) as backend, haproxy(tmp_path, backend.port, server="no-check") as proxy:
        url = f"http://127.0.0.1:{proxy.port}/order"
        async with AsyncClient(retry=Retry(refused=refused)) as client:
            # A first request's failure is answered with 502: only then is a connection used again.
            assert (await client.get(url)).status_code == 200
            with pytest.raises(StreamReset, match="REFUSED_STREAM") as caught:
                await client.post(url, content=b"order 4711")
            assert caught.value.attempts == delivered
            assert caught.value.retry_reasons == ("REFUSED_STREAM",) * (delivered - 1)
            assert (await client.get(url)).status_code == 200
    assert ActsAndFails.acted == [b"order 4711"] * delivered
