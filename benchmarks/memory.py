"""Memory of idle connections and open streams: octets for each, of our server and of its engine.

Two views:

* ``engine``: server ends (engine, driver, handler) without sockets; traced by tracemalloc, which sees
  every object and not the C library's overhead.
* ``process``: a server of its own on sockets; the growth of its resident memory, asyncio's transports
  and the allocator included, and its peak while a burst of bodies goes both ways.

Each as it is, with everything off, and with everything off on the ``h2`` library.  A connection is
idle after two requests with a browser's fields, long enough to give back what it can make again.

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
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import common

import h2o_otel
from benchmarks.fields import BODY, DISTINCT, REQUESTS, RESPONSES
from h2o_otel import counters
from h2o_otel._pure import build
from h2o_otel.counters import Counters
from h2o_otel.io.driver import Driver
from h2o_otel.io.handler import DriverHandler
from h2o_otel.io.memory import VirtualLoop
from h2o_otel.io.transport import Transport
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol import make_connection
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.tuning import Tuning

CONNECTION_TARGET_BYTES, STREAM_TARGET_BYTES = 12 * 1024, 1024

SETTINGS_ACK = bytes(3) + b"\x04\x01" + bytes(4)
# Idle memory goes back after this time, so that nobody has to wait for the default.
QUIET_S = 0.5
LIMITS = replace(SERVER_LIMITS, buffer_quiet_s=QUIET_S)
VARIANTS = {"default": (Tuning(), "native"), "everything off": (Tuning.baseline(), "native"), "h2 engine": (Tuning.baseline(), "h2")}


class Client:
    """What a browser says on a connection; the same for each, so it is said once and sent to all."""

    def __init__(self, streams: int) -> None:
        self._engine = Connection(client_config(), Handler(), Counters())
        self._engine.start(1.0)
        self.first = self._said(True) + SETTINGS_ACK + self._said(True)
        self.open = [self._said(False) for _ in range(streams)]

    def _said(self, end_stream: bool) -> bytes:
        fields = list(REQUESTS[self._engine.requests % DISTINCT])
        fields[0] = (b":method", b"GET" if end_stream else b"POST")
        self._engine.send_request(fields, end_stream, 1.0)
        return self._engine.data_to_send()


class Answering(DriverHandler):
    """Answers what has ended; the rest stays open."""

    __slots__ = ("driver",)

    def connection_made(self, driver: Any) -> None:
        self.driver = driver

    def request_received(self, stream: Any, end_stream: bool) -> None:
        if end_stream:
            now = self.driver.now
            self.driver.connection.send_response(stream, 200, RESPONSES[stream.id % DISTINCT], False, now)
            self.driver.connection.send_data(stream, BODY, True, now)


class Sink(Transport):
    """A socket that takes everything."""

    def write(self, chunks: list[Any]) -> int:
        return 0


def feed(driver: Driver, octets: bytes) -> None:
    view = driver.get_buffer(-1)
    view[: len(octets)] = octets
    driver.buffer_updated(len(octets))


def engine(connections: int, streams: int, tuning: Tuning, kind: str) -> dict[str, float]:
    """Traced octets for an idle connection and for an open stream."""
    loop, block, client = VirtualLoop(), Counters(), Client(streams)
    config = server_config(LIMITS, tuning=tuning)

    def setup(driver: Driver) -> None:
        handler = Answering()
        driver.bind(make_connection(kind, config, handler, block), handler)

    def opened() -> Driver:
        driver = Driver(loop, LIMITS, setup, role=counters.SERVER, block=block, tuning=tuning)
        driver.attach(Sink())
        feed(driver, client.first)
        return driver

    def rest() -> int:
        for _ in range(4):
            loop.advance(QUIET_S)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    kept = [opened() for _ in range(10)]
    tracemalloc.start()
    before = rest()
    kept += [opened() for _ in range(connections)]
    idle = rest()
    for said in client.open:
        for driver in kept[-10:]:
            feed(driver, said)
    open_ = rest()
    tracemalloc.stop()
    assert all(len(driver.connection.streams) == streams for driver in kept[-10:])
    return {"connection_bytes": (idle - before) / connections, "stream_bytes": (open_ - idle) / (10 * streams)}


SERVER = """
import asyncio, sys
from dataclasses import replace
sys.path.insert(0, {root!r})
from benchmarks.fields import RESPONSES
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.server import ServerConfig, Server
from h2o_otel.tuning import Tuning

LARGE = b"x" * 262_144
FIELDS = [field for field in RESPONSES[0] if field[0] != b"content-length"]

async def app(scope, receive, send):
    while (await receive()).get("more_body", False):
        pass
    await send({{"type": "http.response.start", "status": 200, "headers": FIELDS}})
    await send({{"type": "http.response.body", "body": LARGE if scope["path"] == "/large" else b"hello"}})

limits = replace(SERVER_LIMITS, buffer_quiet_s={quiet_s})
tuning = Tuning.parse({tuning!r})
Server(ServerConfig(app=app, port={port}, lifespan="off", limits=limits, tuning=tuning, engine={kind!r})).run()
"""

# What the event loop and its transports take by themselves.
BARE = """
import asyncio

class Nothing(asyncio.BufferedProtocol):
    room = bytearray(65536)
    def get_buffer(self, sizehint):
        return self.room
    def buffer_updated(self, n):
        pass

async def main():
    server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", {port})
    await server.serve_forever()

try:
    import uvloop as runner
except ImportError:
    runner = asyncio
runner.run(main())
"""


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def reset_peak(pid: int) -> int:
    """Begin to watch the peak; the memory that is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    return resident_bytes(pid)


def peak_bytes(pid: int) -> int:
    """The most that was resident since the peak was reset."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


async def _connect(port: int, client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(client.first)
    return reader, writer


async def _settled(pid: int) -> int:
    """What is resident once the server has done what it was asked and given back what it can."""
    await asyncio.sleep(4 * QUIET_S)
    before = 0
    while before != (before := resident_bytes(pid)):  # noqa: ASYNC110 - of another process
        await asyncio.sleep(2 * QUIET_S)
    return before


async def _grow(pid: int, port: int, connections: int, streams: int) -> dict[str, float]:
    client = Client(streams)
    kept = [await _connect(port, client) for _ in range(50)]
    before = await _settled(pid)
    kept += [await _connect(port, client) for _ in range(connections)]
    idle = await _settled(pid)
    for said in client.open:
        for _, writer in kept[-10:]:
            writer.write(said)
    open_ = await _settled(pid)
    for _, writer in kept:
        writer.transport.abort()
    return {"connection_bytes": (idle - before) / connections, "stream_bytes": (open_ - idle) / (10 * streams)}


async def _burst(pid: int, port: int) -> dict[str, float]:
    """Two hundred responses of 256 KiB and uploads of 64 KiB, fifty at a time."""
    url, upload, waiting = f"http://127.0.0.1:{port}", bytes(65_536), list(range(200))

    async def work(client: h2o_otel.AsyncClient) -> None:
        while waiting:
            waiting.pop()
            response = await client.get(f"{url}/large")
            assert len(response.content) == 262_144
            await client.post(url, content=upload)

    async with h2o_otel.AsyncClient() as client:
        await client.get(url)
        before = reset_peak(pid)
        await asyncio.gather(*(work(client) for _ in range(50)))
    return {"burst_bytes": peak_bytes(pid) - before}


def process(program: str, measure: Callable[[int, int], Coroutine[Any, Any, dict[str, float]]]) -> dict[str, float]:
    """What ``measure`` finds about a server that runs ``program``, whose process and port it is given."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-c", program.replace("{port}", str(port))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            for _ in range(200):
                time.sleep(0.05)
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    continue
            return asyncio.run(measure(server.pid, port))
        finally:
            server.terminate()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=90, help="open at once on each of ten connections, at most 98")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def grow(pid: int, port: int) -> Coroutine[Any, Any, dict[str, float]]:
        return _grow(pid, port, options.connections, options.streams)

    rows = {}
    for name, (tuning, kind) in VARIANTS.items():
        rows[f"engine, {name}"] = engine(options.connections, options.streams, tuning, kind)
        text = "" if tuning == Tuning() else "baseline"
        program = SERVER.format(root=str(common.ROOT), port="{port}", quiet_s=QUIET_S, tuning=text, kind=kind)
        rows[f"process, {name}"] = process(program, grow) | process(program, _burst)
    rows["process, event loop alone"] = process(BARE, grow)
    print(f"{build()}, Python {platform.python_version()}, {options.connections} connections, {options.streams} streams on each of 10")
    print(f"{'':28}{'idle connection':>18}{'open stream':>14}{'burst, peak':>16}")
    print(f"{'target':28}{CONNECTION_TARGET_BYTES:>16,} B{STREAM_TARGET_BYTES:>12,} B")
    for name, row in sorted(rows.items()):
        burst = f"{row['burst_bytes'] / 1024:>12,.0f} KiB" if "burst_bytes" in row else ""
        print(f"{name:28}{row['connection_bytes']:>16,.0f} B{row['stream_bytes']:>12,.0f} B{burst}")
    if options.json:
        options.json.write_text(
            json.dumps({"build": build(), "python": platform.python_version(), "rows": rows}, indent=1), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
