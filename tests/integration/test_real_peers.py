"""Our client against servers of others (nghttpd, nginx, h2o, hypercorn), and our server under httpx and nghttp, over TLS and cleartext."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import h2o_otel
from h2o_otel.server import Server, ServerConfig
from h2o_otel.tls.certificates import Authority, Certificate
from tests.support.programs import free_port, require_program, wait_for_port

pytestmark = pytest.mark.time_limit(120)

LARGE = bytes(range(256)) * 32_768  # 8 MiB
SMALL = b"small enough\n"
# Servers started by root would become another user, who cannot read the test's folder.
ROOT = os.geteuid() == 0


class Peer:
    """A server of somebody else, and what it can do."""

    def __init__(self, url: str, uploads: bool) -> None:
        self.url = url
        self.uploads = uploads


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            try:
                wait_for_port(port)
            except TimeoutError:
                pytest.fail(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)


def nghttpd(folder: Path, port: int, made: Certificate | None) -> tuple[list[str], bool]:
    options = ["--no-tls", str(port)] if made is None else [str(port), str(made.key), str(made.certificate)]
    # With --echo-upload an upload comes back; files are served as well.
    return [require_program("nghttpd"), "--echo-upload", "-d", str(folder / "www"), *options], True


def nginx(folder: Path, port: int, made: Certificate | None) -> tuple[list[str], bool]:
    tls = "" if made is None else f"ssl_certificate {made.certificate}; ssl_certificate_key {made.key};"
    listen = f"listen 127.0.0.1:{port} {'http2' if made is None else 'ssl http2'};"
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {'user root;' if ROOT else ''}\n"
        "events {}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;\n"
        f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 20m;\n"
        f"server {{ {listen} {tls} root {folder}/www; location /gone {{ return 410; }} }} }}\n"
    )
    return [require_program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)], False


def h2o(folder: Path, port: int, made: Certificate | None) -> tuple[list[str], bool]:
    ssl = "" if made is None else f"  ssl:\n    certificate-file: {made.certificate}\n    key-file: {made.key}\n"
    (folder / "h2o.conf").write_text(
        f"num-threads: 1\n{'user: root' if ROOT else ''}\nlisten:\n  port: {port}\n  host: 127.0.0.1\n{ssl}hosts:\n  default:\n    paths:\n"
        f"      /:\n        file.dir: {folder}/www\n"
    )
    return [require_program("h2o"), "-c", str(folder / "h2o.conf")], False


def hypercorn(folder: Path, port: int, made: Certificate | None) -> tuple[list[str], bool]:
    (folder / "echo.py").write_text(
        textwrap.dedent(
            """
            from pathlib import Path

            async def app(scope, receive, send):
                if scope["type"] != "http":
                    return
                body = b""
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if not message.get("more_body"):
                        break
                file = Path("www") / scope["path"].lstrip("/")
                status = 200
                if scope["method"] == "GET":
                    status, body = (200, file.read_bytes()) if file.is_file() else (404, b"")
                await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
                await send({"type": "http.response.body", "body": body})
            """
        )
    )
    tls = [] if made is None else ["--certfile", str(made.certificate), "--keyfile", str(made.key)]
    command = ["import sys, os; os.chdir(sys.argv.pop(1)); sys.path.insert(0, '.'); from hypercorn.__main__ import main; sys.exit(main())"]
    return [sys.executable, "-c", *command, str(folder), "--bind", f"127.0.0.1:{port}", *tls, "echo:app"], True


SERVERS: dict[str, Callable[[Path, int, Certificate | None], tuple[list[str], bool]]] = {
    "nghttpd": nghttpd,
    "nginx": nginx,
    "h2o": h2o,
    "hypercorn": hypercorn,
}


@pytest.fixture(scope="module", params=[f"{name}-{how}" for name in SERVERS for how in ("tls", "cleartext")])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peer, Any]]:
    name, how = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "www").mkdir()
    (folder / "www" / "small.txt").write_bytes(SMALL)
    (folder / "www" / "large.bin").write_bytes(LARGE)
    authority = Authority(folder / "certificates")
    made = authority.issue("127.0.0.1", "localhost") if how == "tls" else None
    folder.chmod(0o755)
    port = free_port()
    command, uploads = SERVERS[name](folder, port, made)
    with running(command, port, folder / "log"):
        yield Peer(f"{'http' if made is None else 'https'}://127.0.0.1:{port}", uploads), str(authority.certificate)


async def exchanges(peer: Peer, ca: str) -> None:
    """Small, large, many at once, an error, an abandoned body, and an upload where the peer takes one."""
    async with h2o_otel.AsyncClient(verify=ca) as client:
        response = await client.get(f"{peer.url}/small.txt")
        assert (response.status_code, response.content, response.http_version) == (200, SMALL, "HTTP/2")
        assert (await client.head(f"{peer.url}/small.txt")).content == b""
        assert (await client.get(f"{peer.url}/nothing")).status_code == 404
        assert (await client.get(f"{peer.url}/large.bin")).content == LARGE
        async with client.stream("GET", f"{peer.url}/large.bin") as streamed:
            async for part in streamed.aiter_raw():
                assert LARGE.startswith(part)
                break
        if peer.uploads:
            answer = await client.post(f"{peer.url}/up", content=LARGE)
            assert answer.content == LARGE
        assert (await client.get(f"{peer.url}/small.txt")).content == SMALL


async def many(peer: Peer, ca: str) -> None:
    async with h2o_otel.AsyncClient(verify=ca) as client:
        answers = await asyncio.gather(*(client.get(f"{peer.url}/small.txt?{n}") for n in range(300)))
        assert {(r.status_code, r.content) for r in answers} == {(200, SMALL)}
        assert len({r.connection_id for r in answers}) == 1


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_our_client(peer: tuple[Peer, Any], backend: str) -> None:
    server, ca = peer
    if backend == "trio":
        trio.run(exchanges, server, ca)
        return
    factory = None
    if backend == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(exchanges(server, ca))


def test_300_requests_of_ours_at_once(peer: tuple[Peer, Any]) -> None:
    server, ca = peer
    asyncio.run(many(server, ca))


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The request's body, with trailers; ``/fail`` raises."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/fail":
        raise RuntimeError("on purpose")
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["method"] == "GET":
        body = LARGE if scope["path"] == "/large.bin" else SMALL
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
    await send({"type": "http.response.body", "body": body})
    await send({"type": "http.response.trailers", "headers": [(b"x-size", b"%d" % len(body))]})


@contextlib.asynccontextmanager
async def ours(folder: Path, tls: bool) -> Any:
    authority = Authority(folder)
    made = authority.issue("127.0.0.1", "localhost")
    files = {"ssl_certfile": made.certificate, "ssl_keyfile": made.key} if tls else {}
    server = Server(ServerConfig(app=echo, port=0, lifespan="off", handle_signals=False, **files))  # type: ignore[arg-type]
    task = asyncio.create_task(server.serve())
    await server.wait_started()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.addresses[0][1]}", str(authority.certificate)
    finally:
        server.stop()
        await task


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "cleartext"])
def test_httpx(tmp_path: Path, tls: bool) -> None:
    import ssl

    async def main() -> None:
        async with ours(tmp_path, tls) as (url, ca):
            context = ssl.create_default_context(cafile=ca)
            async with httpx.AsyncClient(http1=False, http2=True, verify=context, timeout=60) as client:
                assert (await client.get(f"{url}/small.txt")).content == SMALL
                assert (await client.get(f"{url}/large.bin")).content == LARGE
                assert (await client.post(f"{url}/up", content=LARGE)).content == LARGE
                assert (await client.get(f"{url}/fail")).status_code == 500
                answers = await asyncio.gather(*(client.get(f"{url}/small.txt") for _ in range(50)))
                assert all(r.content == SMALL and r.http_version == "HTTP/2" for r in answers)

    asyncio.run(main())


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "cleartext"])
def test_nghttp_sees_trailers_and_continuation(tmp_path: Path, tls: bool) -> None:
    nghttp = require_program("nghttp")

    async def main() -> None:
        async with ours(tmp_path, tls) as (url, _ca):
            # It puts a field section on the wire that does not fit into one frame.
            command = [nghttp, "-nv", "-t", "60", "--continuation", f"{url}/small.txt"]
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            out, _ = await process.communicate()
            text = out.decode("utf-8", "replace")
            assert ":status: 200" in text
            assert "x-size: 13" in text

    asyncio.run(main())
