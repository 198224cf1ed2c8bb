"""An application that moves every instrument of the process that serves it: clients inside, of ours and by hand.

``h2o-otel serve tests.support.every_instrument:app``; ``CA``, ``CERTIFICATE``, ``KEY`` and ``PORT`` are in the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from h2o_otel import AsyncClient, H2OError, Limits, Server, ServerConfig, ServerLimits, Tuning, counters
from h2o_otel.client.urls import URL
from h2o_otel.demo.load import Load
from h2o_otel.demo.peers import FrameClient, frame, request_block, window_update
from h2o_otel.demo.run import STOCK_LIMITS
from h2o_otel.demo.service import Shop, stock
from h2o_otel.frames.types import Flag, FrameType, SettingCode
from h2o_otel.limits import CLIENT_LIMITS
from h2o_otel.telemetry import lines
from h2o_otel.tls.context import client_context

CA = os.environ.get("CA", "")
SERVED = f"https://127.0.0.1:{os.environ.get('PORT', '')}"
ENDED = Flag.END_HEADERS | Flag.END_STREAM
# What is moved again and again, so that gauges are up whenever somebody looks.
AGAIN_S = 0.5
HELD_S = 1.0

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def make_client(limits: Limits = CLIENT_LIMITS, verify: Any = None) -> AsyncClient:
    return AsyncClient(verify=CA if verify is None else verify, limits=limits)


async def _start(stack: AsyncExitStack, application: Any, limits: ServerLimits, tuning: Tuning | None = None) -> str:
    """The URL of another server in this process."""
    config = ServerConfig(
        app=application,
        port=0,
        lifespan="off",
        handle_signals=False,
        limits=limits,
        tuning=Tuning() if tuning is None else tuning,
        ssl_certfile=os.environ["CERTIFICATE"],
        ssl_keyfile=os.environ["KEY"],
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    await server.wait_started()

    async def stop() -> None:
        server.stop()
        await serving

    stack.push_async_callback(stop)
    return f"https://127.0.0.1:{server.addresses[0][1]}"


async def small(scope: Scope, receive: Receive, send: Send) -> None:
    """Pushes, waits, and takes uploads."""
    if "http.response.push" in scope["extensions"]:
        await send({"type": "http.response.push", "path": "/pushed", "headers": []})
    if scope["path"] == "/held":
        await asyncio.sleep(HELD_S)
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(1_000_000) if scope["path"] == "/large" else b"small"})


def by_hand(url: str) -> FrameClient:
    return FrameClient(url, client_context(ca=CA, alpn=("h2",)))


async def push(url: str) -> None:
    """A client that takes promises."""
    async with by_hand(url) as peer:
        peer.preface()
        peer.write(frame(FrameType.HEADERS, ENDED, 1, request_block("/", peer.scheme)))
        await peer.until(FrameType.PUSH_PROMISE, 1)


async def answers_that_wait(url: str) -> None:
    """Pings behind a body that is not read: their answers wait."""
    async with by_hand(url) as peer:
        peer.preface({SettingCode.INITIAL_WINDOW_SIZE: 2**30})
        peer.write(window_update(2**30))
        for stream_id in range(1, 60, 2):
            peer.write(frame(FrameType.HEADERS, ENDED, stream_id, request_block("/large", peer.scheme)))
        await asyncio.sleep(0.2)
        for number in range(4):
            peer.write(frame(FrameType.PING, 0, 0, b"waiting%d" % number))
        await asyncio.sleep(HELD_S)


async def long_fields(url: str) -> None:
    """Two sets of fields in turn, of which the first table holds one; and a priority that is too long."""
    sets = [[(f"x-field-{number}", f"{turn}{number:0100d}") for number in range(25)] for turn in range(2)]
    async with make_client() as client:
        for turn in range(8):
            for _ in range(4):
                await client.get(url, headers=sets[turn % 2])
        await client.get(url, headers=[("priority", "u=1," + "x" * 2000)])


async def queue(url: str) -> None:
    """More requests than the one connection takes."""
    async with make_client(Limits(max_connections=1)) as client:
        # The server's limit is known from then on.
        await client.get(url)
        await asyncio.gather(*(client.get(f"{url}/held") for _ in range(6)))


async def short_memory(url: str) -> None:
    """Uploads into a server that has hardly any memory."""
    async with make_client() as client:
        await asyncio.gather(*(client.post(url, content=bytes(300_000)) for _ in range(6)), return_exceptions=True)


async def transfer(url: str) -> None:
    """Downloads that are long enough to measure, into windows that begin small."""
    async with make_client(Limits(stream_window_bytes=65_535, connection_window_bytes=65_535)) as client:
        for _ in range(3):
            await client.get(f"{url}/large")


async def lost_lines(url: str) -> None:
    """Access lines that find no place in the queue."""
    before, lines.queue.lines_max = lines.queue.lines_max, 0
    try:
        await transfer(url)
    finally:
        lines.queue.lines_max = before


async def short_descriptors(url: str) -> None:
    """A connection for which the server finds no descriptor; others notice it, too, so it is enough to have met that once."""
    address = URL(url)
    while not counters.collect().value("io_accept_pauses"):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        sock = socket.socket()
        sock.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (sock.fileno() + 1, hard))
        try:
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
            await asyncio.sleep(0.02)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            sock.close()
        await asyncio.sleep(AGAIN_S)


async def _again(move: Callable[[str], Awaitable[None]], url: str) -> None:
    while True:
        try:
            await move(url)
        except (H2OError, OSError) as error:
            sys.stderr.write(f"{move.__name__}: {error!r}\n")
        except Exception:
            traceback.print_exc()
        await asyncio.sleep(AGAIN_S)


class Application:
    """The shop of the demo with its load, and what the demo leaves out."""

    def __init__(self) -> None:
        self._shop: Shop | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._shop is not None:
            await self._shop(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            stock_url = await _start(stack, stock, STOCK_LIMITS)
            client = await stack.enter_async_context(make_client())
            self._shop = Shop(stock_url, client)
            roomy = ServerLimits(header_table_bytes=65_536, heap_free_bytes_max=0, buffer_quiet_s=0.3)
            switched_on = Tuning(stream_pool=True, hpack_parallel=True)
            roomy_url = await _start(stack, small, roomy, switched_on)
            narrow_url = await _start(stack, small, ServerLimits(streams_max=2))
            short_url = await _start(stack, small, ServerLimits(memory_process_bytes_max=2_000_000))
            self._tasks.append(asyncio.create_task(self._load(stock_url)))
            for move in (push, answers_that_wait, long_fields, transfer, lost_lines):
                self._tasks.append(asyncio.create_task(_again(move, roomy_url)))
            self._tasks.append(asyncio.create_task(_again(queue, narrow_url)))
            self._tasks.append(asyncio.create_task(_again(short_memory, short_url)))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        await send({"type": "lifespan.shutdown.complete"})

    async def _load(self, stock_url: str) -> None:
        url = URL(SERVED)
        while True:
            try:
                _, writer = await asyncio.open_connection(url.host, url.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        self._tasks.append(asyncio.create_task(short_descriptors(SERVED)))
        await Load(SERVED, 20.0, make_client, 1, ca=CA, upstream=stock_url).run()


app = Application()
