"""A server at ``ulimit -n 64`` under clients that take every descriptor: few lines, and an answer as soon as they leave."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import free_port, wait_for_port
from tests.support.waiting import PATIENCE_S
from tests.support.wire import PREFACE, frames, headers, request_block, settings

pytestmark = pytest.mark.time_limit(120)

APP = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def asked(sock: socket.socket) -> bytes:
    """The response to a request on a new connection, up to its body."""
    sock.settimeout(PATIENCE_S)
    sock.sendall(PREFACE + settings() + headers(1, request_block(), end_stream=True))
    got = b""
    while not any(frame.type == 0 for frame in frames(got)):
        octets = sock.recv(65_536)
        assert octets, "closed without an answer"
        got += octets
    return got


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_answers_when_the_attackers_have_left(tmp_path: Path, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    (tmp_path / "served.py").write_text(APP)
    port = free_port()
    command = f"ulimit -n 64; exec {sys.executable} -m h2o_otel serve served:app --lifespan off --port {port} --loop {loop}"
    log = tmp_path / "log"
    with open(log, "w") as stderr:
        server = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, stderr=stderr, env={**os.environ, "PYTHONPATH": os.getcwd()})
    try:
        wait_for_port(port)
        attackers = []
        for _ in range(200):
            attackers.append(socket.create_connection(("127.0.0.1", port)))
            attackers[-1].sendall(PREFACE + settings())
        # One that was accepted after it was full would be answered; this one waits in the backlog.
        waiting = socket.create_connection(("127.0.0.1", port))
        for attacker in attackers:
            attacker.close()
        assert b"ok" in asked(waiting)
        waiting.close()
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0
    finally:
        server.kill()
        server.wait()
    text = log.read_text()
    assert "Traceback" not in text
    paused = re.findall(r"h2o\.accept\.paused.*h2o\.limit=64", text)
    assert paused
    assert len(text.splitlines()) < 20
