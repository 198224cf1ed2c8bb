"""``h2o-otel serve`` in a process of its own: programs of others against it, signals, errors of start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from h2o_otel.tls.certificates import Authority
from tests.support.peer import Peer
from tests.support.programs import free_port, wait_for_port, wait_until_refused
from tests.support.served import Served
from tests.support.waiting import PATIENCE_S
from tests.support.wire import PREFACE, headers, request_block, settings

pytestmark = pytest.mark.time_limit(120)

ROOT = Path(__file__).resolve().parents[2]

APP = """
import asyncio
import time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            print(message["type"], flush=True)
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/thread":
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: (print("in a thread", flush=True), time.sleep(3600)))
    if scope["path"] == "/blocks":
        print("blocks", flush=True)
        time.sleep(3600)
    if scope["path"].startswith("/slow/"):
        print("slow", flush=True)
        await asyncio.sleep(float(scope["path"][6:]))
    body = b"hello"
    if scope["path"] == "/page" and "http.response.push" in scope["extensions"]:
        await send({"type": "http.response.push", "path": "/pushed", "headers": []})
    if scope["path"] == "/large":
        body = b"x" * 1_000_000
    if scope["path"] == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

def make():
    return app
"""


class Process(Served):
    """A server process of ``APP``."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        super().__init__(folder, APP, *arguments, **environment)


Serve = Callable[..., Process]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[Process] = []

    def start(*arguments: str, **environment: str) -> Process:
        process = Process(tmp_path, *arguments, **environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.close()


def run(*command: Any, check: bool = True) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_programs_of_others(serve: Serve, require_program: Callable[[str], str], loop: str, tmp_path: Path) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    server = serve("served:app", "--port", "0", "--loop", loop)
    url = f"http://127.0.0.1:{server.port()}"
    curl = require_program("curl")
    assert run(curl, "-sS", "--http2-prior-knowledge", url) == "hello"
    assert len(run(curl, "-sS", "--http2-prior-knowledge", url + "/large")) == 1_000_000
    (tmp_path / "body").write_bytes(b"0123456789" * 50_000)
    assert len(run(curl, "-sS", "--http2-prior-knowledge", "--data-binary", f"@{tmp_path / 'body'}", url + "/echo")) == 500_000
    assert "HTTP/2 200" in run(curl, "-sSI", "--http2-prior-knowledge", url)
    assert "speaks HTTP/2" in run(curl, "-sS", "--http1.1", url)
    nghttp = require_program("nghttp")
    assert run(nghttp, "-n", "-m", "20", "-s", url).count(" 200 ") == 20
    taken = run(nghttp, "-nv", url + "/page")
    assert "recv PUSH_PROMISE frame" in taken
    assert ":path: /pushed" in taken
    assert taken.count(":status: 200") == 2
    assert "PUSH_PROMISE" not in run(nghttp, "-nv", "--no-push", url + "/page")
    output = run(require_program("h2load"), "-n", "2000", "-c", "5", "-m", "20", url)
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in output
    assert server.end() == 0


def test_tls(serve: Serve, require_program: Callable[[str], str], tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    leaf = authority.issue("localhost")
    server = serve("served:app", "--port", "0", "--ssl-certfile", str(leaf.certificate), "--ssl-keyfile", str(leaf.key))
    url = f"https://localhost:{server.port()}"
    curl = require_program("curl")
    assert run(curl, "-sS", "--http2", "--cacert", authority.certificate, "-w", "%{http_version}", url) == "hello2"
    assert run(curl, "-sS", "--http1.1", "--cacert", authority.certificate, url, check=False) == ""
    output = run(require_program("h2load"), "-n", "500", "-c", "5", "-m", "10", url)
    assert "500 succeeded, 0 failed" in output
    assert server.end() == 0
    assert "Traceback" not in server.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_requests_finish(serve: Serve, require_program: Callable[[str], str], number: int) -> None:
    server = serve("served:app", "--port", "0")
    curl = require_program("curl")
    url = f"http://127.0.0.1:{server.port()}/slow/0.7"
    with subprocess.Popen([curl, "-sS", "--http2-prior-knowledge", url], stdout=subprocess.PIPE, text=True) as client:
        server.wait_for("^slow$|\nslow")
        assert server.end(number) == 0
        assert client.communicate(timeout=PATIENCE_S)[0] == "hello"
    assert "lifespan.startup" in server.lines
    assert "lifespan.shutdown" in server.lines
    assert "h2o.reason=signal" in server.text
    assert "Traceback" not in server.text


def test_load_through_a_signal_loses_nothing(serve: Serve) -> None:
    """Every request that was answered at all was answered in full; the others were never taken."""

    async def client(port: int, server: Process) -> None:
        peer = await Peer().connect(port)
        answers = []
        for i in range(200):
            if peer.goaways or peer.closed.is_set():
                break
            answers.append(peer.request(path="/slow/0.01"))
            if i == 100:
                server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.002)
        last = max((goaway[0] for goaway in peer.goaways if goaway[0] != 2**31 - 1), default=2**31 - 1)
        async with asyncio.timeout(PATIENCE_S):
            for answer in answers:
                if peer.stream_of(answer) <= last:
                    assert (await answer.done()).body == b"hello"
        await peer.close()

    server = serve("served:app", "--port", "0")
    asyncio.run(client(server.port(), server))
    assert server.end() == 0


def test_second_signal_forces_the_end(serve: Serve, require_program: Callable[[str], str]) -> None:
    server = serve("served:app", "--port", "0")
    url = f"http://127.0.0.1:{server.port()}/slow/60"
    with subprocess.Popen([require_program("curl"), "-s", "--http2-prior-knowledge", url], stdout=subprocess.DEVNULL):
        server.wait_for("^slow$|\nslow")
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.5)
        # Two signals that wait for the process to run are one: it has seen the first when nothing listens any more.
        wait_until_refused(server.port())
        assert server.end(signal.SIGTERM) == 0
    assert "h2o.reason=forced" in server.text


def test_grace_time_bounds_the_end(serve: Serve, require_program: Callable[[str], str]) -> None:
    server = serve("served:app", "--port", "0", "--timeout-graceful-shutdown", "0.3")
    url = f"http://127.0.0.1:{server.port()}/slow/60"
    with subprocess.Popen([require_program("curl"), "-s", "--http2-prior-knowledge", url], stdout=subprocess.DEVNULL):
        server.wait_for("^slow$|\nslow")
        assert server.end() == 0
    assert "grace time over" in server.text


@pytest.mark.parametrize(("path", "printed"), [("/thread", "in a thread"), ("/blocks", "blocks")])
def test_process_ends_whatever_the_application_does(serve: Serve, require_program: Callable[[str], str], path: str, printed: str) -> None:
    """A handler in a thread cannot be cancelled, one that blocks the event loop not even be told."""
    server = serve("served:app", "--port", "0", "--timeout-graceful-shutdown", "0.2")
    url = f"http://127.0.0.1:{server.port()}{path}"
    client = subprocess.Popen([require_program("curl"), "-sS", "--http2-prior-knowledge", url], stderr=subprocess.DEVNULL)
    server.wait_for(printed)
    assert server.end() == 0
    assert client.wait(PATIENCE_S) != 0
    assert "ends without it" in server.text
    # Threads do not keep the lifespan from its end; a loop that is blocked does.
    assert ("lifespan.shutdown" in server.text) == (path == "/thread")


def test_unix_socket(serve: Serve, require_program: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    server = serve("served:app", "--uds", str(path))
    server.wait_for("on unix:")
    assert run(require_program("curl"), "-sS", "--http2-prior-knowledge", "--unix-socket", path, "http://x/") == "hello"
    assert server.end() == 0
    assert not path.exists()


def test_factory_environment_and_access_log(serve: Serve, require_program: Callable[[str], str]) -> None:
    port = free_port()
    environment = {"H2O_OTEL_PORT": str(port), "H2O_OTEL_FACTORY": "1", "H2O_OTEL_ACCESS_LOG": "yes", "H2O_OTEL_LOG_FORMAT": "json"}
    server = serve("served:make", **environment)
    assert server.port() == port
    assert run(require_program("curl"), "-sS", "--http2-prior-knowledge", f"http://127.0.0.1:{port}/a?b") == "hello"
    server.wait_for(r'"event": "h2o.access"|"event":"h2o.access"')
    assert '"url.path": "/a"' in server.text
    assert server.end() == 0


def test_port_in_use_is_one_line(serve: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = serve("served:app", "--port", str(port))
        assert server.process.wait(PATIENCE_S) == 1
    server._thread.join(PATIENCE_S)
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use; another process listens there" in server.text
    assert "Traceback" not in server.text
    assert "lifespan.shutdown" in server.lines


def ask(port: int) -> None:
    """One request to a server that may not have begun to listen."""
    wait_for_port(port)
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(PREFACE + settings() + headers(1, request_block(), end_stream=True))
        answer = b""
        while b"hello" not in answer:
            piece = connection.recv(65_536)
            assert piece, answer
            answer += piece


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("streams", ["left", "closed"])
def test_server_whose_output_nobody_can_take(tmp_path: Path, loop: str, streams: str) -> None:
    """A log's reader that left, and standard streams that were closed before the start: requests are answered all the same."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    (tmp_path / "served.py").write_text(APP.replace("print(", "str(").replace(", flush=True", ""))
    port = free_port()
    command = [sys.executable, "-m", "h2o_otel", "serve", "served:app", "--port", str(port), "--loop", loop, "--access-log"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    reader, writer = os.pipe()
    os.close(reader)
    if streams == "closed":
        command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=writer, stderr=writer)
    os.close(writer)
    try:
        ask(port)
        ask(port)
        assert process.poll() is None
        process.terminate()
        # 120 is the interpreter's own: what is left in a buffer cannot be written.
        assert process.wait(PATIENCE_S) in (0, 120)
    finally:
        process.kill()
        process.wait(PATIENCE_S)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["lost:app"], "no module 'lost'"),
        (["served:lost"], "module 'served' has no attribute 'lost'"),
        (["served"], "module:attribute"),
        (["served:app", "--ssl-certfile", "lost.pem"], "lost.pem does not exist"),
        (["served:app", "--port", "70000"], "70000 is not a port"),
        (["served:app", "--loop", "trio"], "invalid choice: 'trio'"),
    ],
)
def test_wrong_setting_is_one_line_and_status_2(serve: Serve, arguments: list[str], text: str) -> None:
    server = serve(*arguments)
    assert server.process.wait(PATIENCE_S) == 2
    server._thread.join(PATIENCE_S)
    assert text in server.text
    assert "Traceback" not in server.text
