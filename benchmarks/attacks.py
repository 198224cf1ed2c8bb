"""What an honest client notices of an attack on our server: its p95, and the server's memory, each attack beside peace.

    python benchmarks/attacks.py [--seconds N] [--only TEXT] [--json FILE]

The server, the attacker and the honest client are processes of their own.  The attacker floods
over and over: when it is cut off, it connects again at once.  The honest client sends a request
every 10 ms on one connection, whether the one before was answered or not, and counts the time
from when it was due.  Peace is measured before and after each attack.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import common

APPLICATION = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/hold":
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
INTERVAL_S = 0.01
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(type: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">BHBBL", 0, len(payload), type, flags, stream_id) + payload


def literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def block(path: bytes, method: bytes = b"GET") -> bytes:
    return literal(b":method", method) + literal(b":scheme", b"http") + literal(b":path", path) + literal(b":authority", b"a")


def long(name: bytes, value: bytes) -> bytes:
    """A literal whose value has 127 octets or more, up to 16,510."""
    rest = len(value) - 127
    return b"\x00" + bytes([len(name)]) + name + bytes([127, rest & 127 | 128, rest >> 7]) + value


def get(stream_id: int, path: bytes = b"/", fields: bytes = b"") -> bytes:
    return frame(1, 5, stream_id, block(path) + fields)


def post(stream_id: int) -> bytes:
    return frame(1, 4, stream_id, block(b"/hold", b"POST"))


def streams() -> Iterator[int]:
    return itertools.count(1, 2)


def begun(opening: bytes, piece: bytes) -> Iterator[bytes]:
    yield opening
    while True:
        yield piece


def bombs() -> Iterator[bytes]:
    big = b"\x40\x01x\x7f\xbd\x1d" + b"A" * 3900
    for n in streams():
        yield frame(1, 5, n, block(b"/") + (big if n == 1 else b"") + b"\xbe" * (12_000 if n > 1 else 1))


ATTACKS: dict[str, Callable[[], Iterator[bytes]]] = {
    "rapid reset": lambda: (get(n, b"/hold") + frame(3, 0, n, b"\0\0\0\x08") for n in streams()),
    "made you reset": lambda: (get(n, b"/hold") + frame(8, 0, n, bytes(4)) for n in streams()),
    "continuations": lambda: begun(frame(1, 0, 1, block(b"/")), frame(9, 0, 1, b"\x82")),
    "header bombs": bombs,
    "pings": lambda: begun(b"", frame(6, 0, 0, bytes(8)) * 50),
    "settings": lambda: begun(b"", frame(4, 0, 0, b"\0\4\0\0\xff\xff") * 50),
    "empty data": lambda: begun(post(1), frame(0, 0, 1) * 50),
    "tiny data": lambda: begun(post(1), frame(0, 0, 1, b"x") * 50),
    "priorities": lambda: begun(b"", frame(2, 0, 3, b"\0\0\0\5\x0f") * 50),
    "unknown frames": lambda: begun(b"", frame(0xFA, 0, 1, bytes(16)) * 50),
    "malformed requests": lambda: (get(n, b"no-slash") for n in streams()),
    "long priorities": lambda: (get(n, b"/", long(b"priority", b"a, " * 2500 + b"u=1")) for n in streams()),
    "long updates": lambda: begun(b"", (frame(16, 0, 0, b"\0\0\0\1" + b"a, " * 2500 + b"u=1")) * 4),
    "nameless fields": lambda: (get(n, b"/", bytes(3) * 5400) for n in streams()),
    "upper case": lambda: (get(n, b"/", literal(b"X", b"") * 3000) for n in streams()),
    "goaways": lambda: begun(b"", frame(7, 0, 0, bytes(8)) * 50),
    "access log": lambda: (b"".join(get(n + 2 * i) for i in range(50)) for n in itertools.count(1, 100)),
    "descriptors": lambda: begun(b"", b""),
    "honest requests": lambda: (b"".join(get(n + 2 * i) for i in range(50)) for n in itertools.count(1, 100)),
}


# What a server is started with for the attacks that are about it.
OPTIONS = {"access log": ("--access-log",)}
DESCRIPTORS = {"descriptors": 64}


def hold(port: int) -> None:
    """More connections than the server has descriptors, each opened again when it is closed, for ever."""
    held: list[socket.socket] = []
    while True:
        with contextlib.suppress(OSError):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=1))
            held[-1].sendall(PREFACE + frame(4))
        if len(held) > 300:
            held.pop(0).close()


def attack(name: str, port: int) -> None:
    """Flood for ever."""
    if name in DESCRIPTORS:
        hold(port)
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(PREFACE + frame(4))
            sock.recv(65_536)
            sock.sendall(frame(4, 1))
            sock.setblocking(False)
            for piece in ATTACKS[name]():
                rest = piece
                while rest:
                    with contextlib.suppress(BlockingIOError):
                        rest = rest[sock.send(rest) :]
                    with contextlib.suppress(BlockingIOError):
                        if not sock.recv(65_536):
                            raise OSError


async def latencies(url: str, seconds: float, connected: Callable[[], object] = lambda: None) -> list[float]:
    """Of requests that are due every ``INTERVAL_S``, once ``connected`` was called; failures count as the whole time."""
    from h2o_otel import AsyncClient, TransportError

    found: list[float] = []

    async def one(client: AsyncClient, due: float) -> None:
        try:
            await client.get(url, timeout=5.0)
            found.append(time.monotonic() - due)
        except TransportError:
            found.append(seconds)

    async with AsyncClient() as client, asyncio.TaskGroup() as group:
        await client.get(url)
        connected()
        began = time.monotonic()
        for i in range(int(seconds / INTERVAL_S)):
            due = began + i * INTERVAL_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(one(client, due))
    return sorted(found)


def p95(values: list[float]) -> float:
    return values[int(len(values) * 0.95)]


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def measure(name: str, port: int, pid: int, seconds: float) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/"
    before = p95(asyncio.run(latencies(url, seconds)))
    memory = rss_mb(pid)
    attackers: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        attackers.append(subprocess.Popen([sys.executable, __file__, "--attack", name, "--port", str(port)]))
        time.sleep(0.3)

    try:
        during = p95(asyncio.run(latencies(url, seconds, begin)))
        peak = rss_mb(pid)
    finally:
        for attacker in attackers:
            attacker.kill()
            attacker.wait()
    after = p95(asyncio.run(latencies(url, seconds)))
    peace = max(before, after)
    return {
        "attack": name,
        "p95_ms": round(during * 1e3, 2),
        "peace_p95_ms": round(peace * 1e3, 2),
        "ratio": round(during / peace, 2),
        "grown_mb": round(peak - memory, 1),
        "kept_mb": round(rss_mb(pid) - memory, 1),
    }


def against(name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """One attack on a fresh server."""
    port = common.free_port()
    command = [sys.executable, "-m", "h2o_otel", "serve", "application:app", "--port", str(port), "--loop", "asyncio"]
    command += OPTIONS.get(name, ())
    if name in DESCRIPTORS:
        command = ["sh", "-c", f"ulimit -n {DESCRIPTORS[name]}; exec {shlex.join(command)}"]
    with common.running(command, port, folder) as server:
        return measure(name, port, server.pid, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--only", default="", help="attacks whose names contain this")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--attack", choices=ATTACKS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.attack:
        attack(arguments.attack, arguments.port)
        return
    print(f"{common.machine()}")
    print(f"{'attack':<20} {'p95 under it':>13} {'in peace':>10} {'ratio':>7} {'memory':>9} {'kept':>9}")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "application.py").write_text(APPLICATION)
        for attack_name in ATTACKS:
            if arguments.only in attack_name:
                rows.append(row := against(attack_name, folder, arguments.seconds))
                text = f"{row['attack']:<20} {row['p95_ms']:>10.2f} ms {row['peace_p95_ms']:>7.2f} ms"
                print(f"{text} {row['ratio']:>7.2f} {row['grown_mb']:>+6.1f} MB {row['kept_mb']:>+6.1f} MB", flush=True)
    common.save(arguments.json, {"machine": common.machine(), "rows": rows})


if __name__ == "__main__":
    main()
