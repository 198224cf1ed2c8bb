"""Every example runs as its docstring says, and does what it says."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.programs import refusing_port, wait_for_port

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
# As an installation would find the package; warnings are errors here too.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


@contextlib.contextmanager
def running(*arguments: str, port: int, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program until the block ends; what it prints goes to a file, since a pipe that is not read would stop it."""
    with output.open("wb") as file:
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=ENVIRONMENT, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_for_port(port)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"client_fanout.py", "fastapi_traced.py", "sans_io.py"}


def test_sans_io_exchanges_a_request() -> None:
    done = run("examples/sans_io.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the server allows 250 streams at once",
        "server: stream 1: b'GET' b'/hello'",
        "client: stream 1: 200",
        "client: b'hello from the other end\\n'",
        "client closed: True; server takes no more requests: True",
    ]


@pytest.mark.time_limit(120)
def test_fan_out_over_one_connection_to_the_traced_service(free_port: Callable[[], int], tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    port, output = free_port(), tmp_path / "service.log"
    with running("examples/fastapi_traced.py", "--port", str(port), "--console", port=port, output=output) as service:
        done = run("examples/client_fanout.py", f"http://127.0.0.1:{port}/books/1", "--requests", "30")
    printed = output.read_text()
    assert done.returncode == 0, done.stdout + done.stderr + printed
    lines = done.stdout.splitlines()
    assert lines[0].startswith("30 answers in")
    assert lines[0].endswith("over 1 connection(s)")
    assert lines[1] == "  200: 30"
    assert service.returncode == 0, printed
    assert printed.count('"name": "GET /books/{number}"') == 30
    assert printed.count('"name": "look up"') == 30


@pytest.mark.time_limit(120)
def test_the_service_runs_under_the_command_line(free_port: Callable[[], int], tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    port, output = free_port(), tmp_path / "service.log"
    command = ("-m", "h2o_otel.cli.main", "serve", "examples.fastapi_traced:app", "--port", str(port), "--telemetry", "traces")
    with running(*command, port=port, output=output) as service:
        done = run("examples/client_fanout.py", f"http://127.0.0.1:{port}/books/7", "--requests", "3")
    printed = output.read_text()
    assert "  404: 3" in done.stdout, done.stdout + done.stderr + printed
    assert service.returncode == 0, printed


def test_fan_out_reports_what_failed() -> None:
    with refusing_port() as port:
        done = run("examples/client_fanout.py", f"http://127.0.0.1:{port}/", "--requests", "2")
    assert done.returncode == 1
    assert "ConnectError" in done.stdout, done.stdout + done.stderr
