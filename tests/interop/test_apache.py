"""Apache in front of our server: its GETs with an empty DATA frame, and responses that are cut behind it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from h2o_otel import counters
from tests.support.backends import asyncio_only
from tests.support.peer import serving
from tests.support.programs import require_program
from tests.support.proxies import apache

pytestmark = [asyncio_only, pytest.mark.time_limit(180)]


def outcomes() -> dict[str, int]:
    snapshot = counters.collect()
    ended = {name: snapshot.value("streams", "server", name) for name in counters.OUTCOMES}
    return {**ended, "RST_STREAM": snapshot.value("stream_resets", "server", "transmit", "NO_ERROR")}


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] == "/endless":
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await asyncio.sleep(3600)
    await send({"type": "http.response.body", "body": b"ok"})


async def test_fast_answers_are_completed(tmp_path: Path) -> None:
    """Apache sends HEADERS, then an empty DATA frame with END_STREAM, which our answer often overtakes."""
    before = outcomes()
    async with serving(app, timeout_graceful_shutdown=5.0) as server:
        with apache(tmp_path, server.addresses[0][1]) as proxy:
            urls = f"http://127.0.0.1:{proxy.port}/[1-6000]"
            command = [require_program("curl"), "-sS", "-Z", "--parallel-max", "8", "-o", "/dev/null", "-w", "%{http_code}\\n", urls]
            done = await anyio.run_process(command, check=False, stderr=subprocess.DEVNULL)
            statuses = done.stdout.decode().split()
            assert (len(statuses), set(statuses)) == (6000, {"200"})
    changed = {name: value - before[name] for name, value in outcomes().items() if value != before[name]}
    assert changed == {"completed": 6000}


async def test_response_that_the_end_of_the_server_cuts_is_not_whole(tmp_path: Path) -> None:
    """After a lost connection alone Apache appends its own page and ends the response as if it were complete.

    To a client of HTTP/1.1 it ends the last chunk whatever its backend does (2.4.71), so that one is not asked.
    """
    async with serving(app, timeout_graceful_shutdown=0.2) as server:
        with apache(tmp_path, server.addresses[0][1]) as proxy:
            url = f"http://127.0.0.1:{proxy.port}/endless"
            command = [require_program("curl"), "-sS", "-N", "--http2-prior-knowledge", url]
            client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert client.stdout is not None
            assert await client.stdout.readexactly(4) == b"part"
            server.stop()
            rest, _ = await client.communicate()
            assert (rest, client.returncode != 0) == (b"", True)
