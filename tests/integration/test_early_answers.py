"""Programs that are told 413 while they upload: each of them gets to read it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.backends import asyncio_only
from tests.support.peer import serving
from tests.support.programs import require_program

pytestmark = [asyncio_only, pytest.mark.time_limit(120)]

TEXT = b"too large"


async def too_large(scope: Any, receive: Any, send: Any) -> None:
    """Answers before the body, or after its first piece."""
    if scope["path"] == "/begun":
        await receive()
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"%d" % len(TEXT))]})
    await send({"type": "http.response.body", "body": TEXT})


@pytest.mark.parametrize("path", ["/at-once", "/begun"])
@pytest.mark.parametrize("size", [1_000, 1_000_000, 20_000_000])
async def test_curl(tmp_path: Path, path: str, size: int) -> None:
    """7.88 fails with status 92 where RST_STREAM follows the answer at once."""
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(size))
    async with serving(too_large) as server:
        url = f"http://127.0.0.1:{server.addresses[0][1]}{path}"
        command = [require_program("curl"), "-sS", "--http2-prior-knowledge", "--data-binary", f"@{upload}", "-w", " %{http_code}", url]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, error = await process.communicate()
    assert (process.returncode, out, error) == (0, TEXT + b" 413", b"")


@pytest.mark.parametrize("path", ["/at-once", "/begun"])
@pytest.mark.parametrize("size", [1_000, 1_000_000])
async def test_httpx(path: str, size: int) -> None:
    """It reads the answer when it has sent everything."""
    async with serving(too_large) as server, httpx.AsyncClient(http1=False, http2=True, timeout=60.0) as client:
        answer = await client.post(f"http://127.0.0.1:{server.addresses[0][1]}{path}", content=bytes(size))
    assert (answer.status_code, answer.content, answer.http_version) == (413, TEXT, "HTTP/2")
