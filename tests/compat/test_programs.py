"""Programs written for the h2 library, on the façade: hypercorn serves, httpx asks, each beside one on the library itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import free_port, wait_for_port

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60

SUBSTITUTE = """
import sys
if sys.argv[1] == "facade":
    import h2o_otel.compat.h2
    h2o_otel.compat.h2.install()
import h2.connection
ours = h2.connection.H2Connection.__module__.startswith("h2o_otel.")
assert ours == (sys.argv[1] == "facade"), h2.connection.__file__
"""

SERVER = """
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    status = 404 if scope["path"] == "/missing" else 200
    headers = [(b"x-version", scope["http_version"].encode()), (b"x-query", scope["query_string"]), *scope["headers"][-1:]]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(body[: len(body) // 2]), "more_body": True})
    await send({"type": "http.response.body", "body": bytes(body[len(body) // 2 :]) or b"nothing sent"})

config = Config()
config.bind = [f"127.0.0.1:{sys.argv[2]}"]
config.graceful_timeout = 0.1
asyncio.run(serve(app, config, shutdown_trigger=asyncio.Event().wait))
"""

CLIENT = """
import asyncio, hashlib, json
import httpx

async def main():
    url = f"http://127.0.0.1:{sys.argv[2]}"
    found = {}
    async with httpx.AsyncClient(http1=False, http2=True, timeout=60) as client:
        answer = await client.get(url + "/?q=1", headers={"x-last": "kept"})
        found["small"] = [answer.status_code, answer.http_version, answer.headers["x-version"], answer.headers["x-query"], answer.text]
        found["missing"] = (await client.get(url + "/missing")).status_code
        body = bytes(range(256)) * 4096
        answer = await client.post(url + "/echo", content=body)
        found["echo"] = [answer.status_code, answer.content == body]
        answers = await asyncio.gather(*(client.post(url + f"/?n={n}", content=str(n) * 1000) for n in range(40)))
        found["many"] = all(answer.text == str(n) * 1000 for n, answer in enumerate(answers))
    print(json.dumps(found))

asyncio.run(main())
"""


def command(program: str, way: str, port: int) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(SUBSTITUTE) + program, way, str(port)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


@contextmanager
def serving(way: str, log: Path) -> Iterator[int]:
    port = free_port()
    with log.open("w") as out:
        process = subprocess.Popen(command(SERVER, way, port), stdout=out, stderr=out, env=ENVIRONMENT)
        try:
            try:
                wait_for_port(port)
            except TimeoutError:
                pytest.fail(f"hypercorn did not start: {log.read_text()[-2000:]}")
            yield port
        finally:
            process.terminate()
            process.wait(SECONDS_MAX)


def asked(way: str, port: int) -> Any:
    done = subprocess.run(command(CLIENT, way, port), capture_output=True, text=True, timeout=SECONDS_MAX, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.time_limit(150)
@pytest.mark.parametrize(("server", "client"), [("facade", "library"), ("library", "facade"), ("facade", "facade")])
def test_hypercorn_and_httpx(server: str, client: str, tmp_path: Path) -> None:
    log = tmp_path / "hypercorn.log"
    with serving(server, log) as port:
        found = asked(client, port)
    assert found == {
        "small": [200, "HTTP/2", "2", "q=1", "nothing sent"],
        "missing": 404,
        "echo": [200, True],
        "many": True,
    }
    assert "Traceback" not in log.read_text()
