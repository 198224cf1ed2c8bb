"""Memory of idle connections and open streams: octets for each, of our server and of its engine.

Two views:

* ``engine``: server ends (engine, driver, handler) without sockets, after one request each; traced
  by tracemalloc, which sees every object and not the C library's overhead.
* ``process``: a server of its own on sockets, after one request on each connection; the growth of
  its resident memory, asyncio's transports and the allocator included.

    python benchmarks/memory.py [--connections N] [--streams N] [--json PATH]

``H2O_OTEL_PURE=1`` measures the sources instead of the compiled modules.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import common

from h2o_otel import counters
from h2o_otel._pure import build
from h2o_otel.counters import Counters
from h2o_otel.io.driver import Driver
from h2o_otel.io.handler import DriverHandler
from h2o_otel.io.memory import VirtualLoop
from h2o_otel.io.transport import Transport
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.tuning import Tuning

CONNECTION_TARGET_BYTES, STREAM_TARGET_BYTES = 12 * 1024, 1024

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5) + bytes(3) + b"\x04\x01" + bytes(4)


def literal(name: bytes, value: bytes) -> bytes:
    return b"\x40" + bytes([len(name)]) + name + bytes([len(value)]) + value


FIELDS = (
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-language", b"en-GB,en;q=0.7"),
)
BLOCK = b"\x82\x86\x84\x41\x04test" + b"".join(literal(*field) for field in FIELDS)
# The same fields once they are in the table, whose oldest entry is :authority.
AGAIN = b"\x82\x86\x84" + bytes(0x80 | 66 - i for i in range(5))


def request(stream_id: int, block: bytes, end_stream: bool = True) -> bytes:
    return len(block).to_bytes(3, "big") + b"\x01" + bytes([0x05 if end_stream else 0x04]) + stream_id.to_bytes(4, "big") + block


class Answering(DriverHandler):
    """Answers what has ended; the rest stays open."""

    def connection_made(self, driver: Any) -> None:
        self.driver = driver

    def request_received(self, stream: Any, end_stream: bool) -> None:
        if end_stream:
            self.driver.connection.send_response(stream, 200, [(b"content-type", b"text/plain")], False, 1.0)
            self.driver.connection.send_data(stream, b"hello", True, 1.0)


class Sink(Transport):
    """A socket that takes everything."""

    def write(self, chunks: list[Any]) -> int:
        return 0


def feed(driver: Driver, octets: bytes) -> None:
    view = driver.get_buffer(-1)
    view[: len(octets)] = octets
    driver.buffer_updated(len(octets))


def engine(connections: int, streams: int, tuning: Tuning) -> dict[str, float]:
    """Traced octets for an idle connection and for an open stream."""
    loop, block = VirtualLoop(), Counters()

    def setup(driver: Driver) -> None:
        handler = Answering()
        driver.bind(Connection(server_config(tuning=tuning), handler, block), handler)

    def opened() -> Driver:
        driver = Driver(loop, SERVER_LIMITS, setup, role=counters.SERVER, block=block, tuning=tuning)
        driver.attach(Sink())
        feed(driver, PREFACE + request(1, BLOCK) + request(3, AGAIN))
        return driver

    kept = [opened() for _ in range(10)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept += [opened() for _ in range(connections)]
    gc.collect()
    idle = tracemalloc.get_traced_memory()[0]
    for i in range(streams):
        for driver in kept[-10:]:
            feed(driver, request(5 + 2 * i, AGAIN, end_stream=False))
    gc.collect()
    open_ = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"connection_bytes": (idle - before) / connections, "stream_bytes": (open_ - idle) / (10 * streams)}


SERVER = """
import asyncio, sys
sys.path.insert(0, {root!r})
from h2o_otel.server import Config, Server

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}})
    await send({{"type": "http.response.body", "body": b"hello"}})

async def main():
    server = Server(Config(app=app, host="127.0.0.1", port={port}))
    await server.serve()

asyncio.run(main())
"""


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(PREFACE + request(1, BLOCK) + request(3, AGAIN))
    return reader, writer


async def _grow(pid: int, port: int, connections: int, streams: int) -> dict[str, float]:
    kept = [await _connect(port) for _ in range(50)]
    await asyncio.sleep(1.0)
    before = resident_bytes(pid)
    kept += [await _connect(port) for _ in range(connections)]
    await asyncio.sleep(2.0)
    idle = resident_bytes(pid)
    for i in range(streams):
        for _, writer in kept[-10:]:
            writer.write(request(5 + 2 * i, AGAIN, end_stream=False))
    await asyncio.sleep(2.0)
    open_ = resident_bytes(pid)
    for _, writer in kept:
        writer.transport.abort()
    return {"connection_bytes": (idle - before) / connections, "stream_bytes": (open_ - idle) / (10 * streams)}


def process(connections: int, streams: int) -> dict[str, float]:
    """Resident octets for an idle connection, and for an open request whose application waits for its body."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = SERVER.format(root=str(common.ROOT), port=port)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                time.sleep(0.05)
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    continue
            return asyncio.run(_grow(server.pid, port, connections, streams))
        finally:
            server.terminate()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--streams", type=int, default=90, help="open at once on each of ten connections, at most 98")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = {
        "engine": engine(options.connections, options.streams, Tuning()),
        "engine, everything off": engine(options.connections, options.streams, Tuning.baseline()),
        "process": process(options.connections, options.streams),
    }
    print(f"{build()}, Python {platform.python_version()}, {options.connections} connections, {options.streams} streams on each of 10")
    print(f"{'':24}{'idle connection':>18}{'open stream':>14}")
    print(f"{'target':24}{CONNECTION_TARGET_BYTES:>16,} B{STREAM_TARGET_BYTES:>12,} B")
    for name, row in rows.items():
        print(f"{name:24}{row['connection_bytes']:>16,.0f} B{row['stream_bytes']:>12,.0f} B")
    if options.json:
        options.json.write_text(
            json.dumps({"build": build(), "python": platform.python_version(), "rows": rows}, indent=1), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
