"""``h2o-otel get`` in a process of its own, against servers over sockets."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from h2o_otel import errors
from h2o_otel.cli import _get
from tests.support.peers import Certificates, Peer, Silent, path_of, serving

ROOT = Path(__file__).resolve().parents[2]


class Echo(Peer):
    def ended(self, stream_id: int) -> None:
        path = path_of(self, stream_id)
        method = self.requests[stream_id][b":method"]
        if path == b"/reset":
            self.reset(stream_id, errors.ErrorCode.INTERNAL_ERROR)
        elif path == b"/big":
            self.respond(stream_id, (b"x" * 99 + b"\n") * 500_000)
        elif path == b"/escape":
            self.respond(stream_id, b"\x1b]0;title\x07\tline\n", fields=[(b"x-name", "\u202eevil".encode())])
        elif method == b"HEAD":
            self.head(stream_id, end=True)
        else:
            status = 404 if path == b"/404" else 200
            self.respond(stream_id, method + b" " + bytes(self.bodies[stream_id]), status, [(b"set-cookie", b"secret")])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "h2o_otel", "get", *arguments]


def get(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command(*arguments), capture_output=True, check=False, env=environment, **options)


def test_methods_and_bodies(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"file")
    with serving(Echo) as server:
        assert get(server.url).stdout == b"GET "
        assert get("-X", "patch", server.url).stdout == b"PATCH "
        assert get("-d", "a=1", "-d", f"@{file}", server.url).stdout == b"POST a=1&file"
        assert get("--json-body", "{}", server.url).stdout == b"POST {}"
        assert get("-T", str(file), server.url).stdout == b"PUT file"
        assert get("-T", "-", server.url, input=b"piped").stdout == b"PUT piped"
        assert server.peers[3].requests[1][b"content-type"] == b"application/json"


def test_fields_and_head() -> None:
    with serving(Echo) as server:
        run = get("-i", "-H", "X-Mine: yes", server.url)
        assert run.stdout == b"HTTP/2 200\nset-cookie: secret\n\nGET "
        assert server.peers[0].requests[1][b"x-mine"] == b"yes"
        assert get("-I", server.url).stdout == b"HTTP/2 200\n\n"


def test_json_redacts(tmp_path: Path) -> None:
    with serving(Echo) as server:
        output = tmp_path / "body"
        run = get("--json", "--frames", "-o", str(output), server.url, server.url)
        first, second = map(json.loads, run.stdout.splitlines())
        assert output.read_bytes() == b"GET GET "
        assert (first["status"], first["body_bytes"], first["headers"]) == (200, 4, [["set-cookie", "[redacted]"]])
        assert (first["connection"]["reused"], second["connection"]["reused"]) == (False, True)
        assert first["flight"]["frames"][0]["type"] == "SETTINGS"
        assert json.loads(get("--json", "--show-secrets", server.url).stdout)["headers"] == [["set-cookie", "secret"]]


def test_trace_and_frames() -> None:
    with serving(Echo) as server:
        run = get("--trace", "--frames", "-H", "authorization: hidden", server.url, server.url)
        text = run.stderr.decode()
        assert "< set-cookie: [redacted]" in text
        assert "> authorization: [redacted]" in text
        assert "hidden" not in text
        assert "< HEADERS" in text
        assert [line.split()[0] for line in text.splitlines() if " ms" in line][:9] == [
            "queue", "dns", "connect", "tls", "settings", "send", "wait", "body", "total",
        ]  # fmt: skip
        assert "new: no connection with a free stream was open; stream 1" in text
        assert "reused: it was open and had a free stream; stream 3" in text


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["-f", "{url}/404"], 22),
        (["{url}/404"], 0),
        (["{url}/reset"], 92),
        (["--max-time", "0.2", "{url}/silent"], 28),
        (["nothing"], 3),
        (["ftp://127.0.0.1/"], 1),
        (["-L", "{url}"], 2),
        (["-H", "nothing", "{url}"], 2),
        (["--max-time", "0", "{url}"], 2),
        (["-T", "/nowhere/file", "{url}"], 26),
        (["-o", "/nowhere/file", "{url}"], 23),
        (["--cacert", "/nowhere/file", "{url}"], 77),
        (["http://127.0.0.1:{closed}/"], 7),
    ],
)
def test_exit_status(arguments: list[str], status: int) -> None:
    class Both(Echo, Silent):
        def ended(self, stream_id: int) -> None:
            (Silent if path_of(self, stream_id) == b"/silent" else Echo).ended(self, stream_id)

    with serving(Both) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        run = get(*[each.format(url=server.url, closed=closed.getsockname()[1]) for each in arguments])
        assert run.returncode == status, run.stderr
        assert len(run.stderr.splitlines()) == 1 or status in (0, 2), run.stderr
        assert (run.stderr != b"") == (status != 0)
        assert b"Traceback" not in run.stderr


def test_silent_says_nothing() -> None:
    with serving(Echo) as server:
        run = get("-s", f"{server.url}/reset")
        assert (run.returncode, run.stdout, run.stderr) == (92, b"", b"")


def test_certificates(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with serving(Echo, certificates.context()) as server:
        assert get(server.url).returncode == 60
        assert get("-k", server.url).stdout == b"GET "
        assert get("--cacert", str(certificates.ca), server.url).stdout == b"GET "


def test_status_of_errors() -> None:
    refused = errors.ConnectError("x")
    refused.__cause__ = socket.gaierror(1, "x")
    assert _get.exit_status(refused) == 6
    refused.__cause__ = ssl.SSLError(1, "x")
    assert _get.exit_status(refused) == 35
    assert _get.exit_status(errors.ReadError("x")) == 56
    assert _get.exit_status(errors.ConnectionTerminated("x")) == 16


def test_reader_that_leaves() -> None:
    with serving(Echo) as server:
        process = subprocess.Popen(
            command(f"{server.url}/big"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"x" * 99 + b"\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(30) == 23


def test_large_body_does_not_fill_the_memory() -> None:
    code = (
        "import resource, sys; from h2o_otel.cli.main import main; status = main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(status)"
    )

    def peak(path: str) -> int:
        arguments = [sys.executable, "-c", code, "get", server.url + path, "-o", os.devnull]
        run = subprocess.run(arguments, capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        return int(run.stderr.split()[-1])

    with serving(Echo) as server:
        assert peak("/big") - peak("/") < 20_000


def test_interrupt() -> None:
    with serving(Silent) as server:
        process = subprocess.Popen(command(f"{server.url}/silent"), stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
        server.wait(lambda: server.peers and server.peers[0].requests)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(30) == 130


@pytest.mark.parametrize("plain", ["", "1"])
def test_terminal_gets_escaped_text(plain: str) -> None:
    parent, child = pty.openpty()
    with serving(Echo) as server, os.fdopen(parent, "rb", 0) as terminal:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": plain}
        assert subprocess.run(command("-i", f"{server.url}/escape"), stdout=child, check=False, env=environment).returncode == 0
        text = terminal.read(4096).decode()
        os.close(child)
        assert "\\x1b]0;title\\x07" in text
        assert "\u202e" not in text
        assert ("\x1b[36mx-name\x1b[0m: " in text) == (not plain)
