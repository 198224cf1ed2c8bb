"""Caddy with TLS in front of our server in cleartext."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from fastapi.responses import Response

from h2o_otel.tls.certificates import Authority
from tests.support.backends import asyncio_only
from tests.support.peer import serving
from tests.support.programs import require_program
from tests.support.proxies import Proxy, caddy

pytestmark = [asyncio_only, pytest.mark.time_limit(120)]

application = FastAPI()
scopes: list[dict[str, Any]] = []


@application.middleware("http")
async def keep(request: Any, call_next: Any) -> Any:
    scopes.append(request.scope)
    return await call_next(request)


@application.get("/items/")
async def items() -> list[str]:
    return []


@application.get("/unchanged")
async def unchanged() -> Response:
    return Response(status_code=304, headers={"etag": '"1"', "content-length": "5"})


async def curl(proxy: Proxy, path: str, *options: str) -> str:
    command = [require_program("curl"), "-sS", "-k", "-i", *options, f"https://127.0.0.1:{proxy.port}{path}"]
    done = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT)
    text = done.stdout.decode()
    assert done.returncode == 0, text
    return text


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    made = Authority(tmp_path / "authority").issue()
    return made.certificate, made.key


@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
async def test_redirect_keeps_https_and_the_client_is_known(tmp_path: Path, files: Any, version: str) -> None:
    scopes.clear()
    async with serving(application) as server:
        with caddy(tmp_path, server.addresses[0][1], *files) as proxy:
            text = await curl(proxy, "/items", version)
            assert f"location: https://127.0.0.1:{proxy.port}/items/" in text.lower()
    assert [(scope["scheme"], scope["client"]) for scope in scopes] == [("https", ("127.0.0.1", 0))]


async def test_forged_address_is_not_believed(tmp_path: Path, files: Any) -> None:
    """Caddy drops what its own client says; only what it says itself arrives."""
    scopes.clear()
    async with serving(application) as server:
        with caddy(tmp_path, server.addresses[0][1], *files) as proxy:
            await curl(proxy, "/items/", "-H", "x-forwarded-for: 192.0.2.1", "-H", "x-forwarded-proto: http")
    assert [(scope["scheme"], scope["client"]) for scope in scopes] == [("https", ("127.0.0.1", 0))]


@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
async def test_not_modified_arrives(tmp_path: Path, files: Any, version: str) -> None:
    """With a content-length Caddy resets the stream of its client."""
    async with serving(application) as server:
        with caddy(tmp_path, server.addresses[0][1], *files) as proxy:
            text = await curl(proxy, "/unchanged", version)
    assert text.splitlines()[0].split()[1] == "304"
