"""Puts the demo together: certificate, telemetry, two servers, the load, the view, and stops them again."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..client import AsyncClient
from ..limits import CLIENT_LIMITS, Limits, ServerLimits
from ..server import Server, ServerConfig
from ..server.protocol import ServerProtocol
from ..telemetry.runtime import unwatch_gc, watch_gc, watch_loop
from ..tls.certificates import Authority
from .figures import Meter
from .load import LATENCY_S, Load
from .service import Shop, stock
from .view import LiveView, PlainView, RecentLines, say, summary

__all__ = ["Demo", "Options"]

INTERRUPTED = 130
ROLL_S = 4.0
# Few connections, so that the load reaches the bound, and a short grace time for abandoned handlers.
STOCK_LIMITS = ServerLimits(connections_max=8)
SHOP_LIMITS = ServerLimits(disconnect_grace_s=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line.

    Attributes:
        port: of the shop; 0 for any.
        duration_s: None runs until it is interrupted.
        rate: scenes a second.
        load_only: URL of a demo elsewhere: no servers here; its authority's certificate is ``ca``.
        names: more DNS names that the service's certificate is for.
        folder: where certificates are made; a temporary one by default.
        plain: one line a second, even on a terminal.
    """

    host: str = "127.0.0.1"
    port: int = 0
    duration_s: float | None = None
    rate: float = 150.0
    serve_only: bool = False
    load_only: str | None = None
    ca: str | None = None
    folder: Path | None = None
    names: tuple[str, ...] = ()
    plain: bool = False
    seed: int | None = None


class Demo:
    """One run.

    Args:
        options: what was asked for.
        telemetry: what ``telemetry.configure`` returned.
        recent: log events for the live view.
    """

    def __init__(self, options: Options, telemetry: Any, recent: RecentLines | None = None) -> None:
        self.options = options
        self.telemetry = telemetry
        self.recent = recent
        self.url = ""
        self.load: Load | None = None
        self.meter = Meter()
        self.ca: str | None = options.ca
        self._upstream: str | None = None
        self._interrupted = asyncio.Event()

    async def run(self) -> int:
        """Run the demo; returns 0 at the end of its time, 130 when interrupted."""
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupted.set)
        # The servers on this loop share it.
        watch = watch_loop(loop)
        watch_gc()
        try:
            async with AsyncExitStack() as stack:
                await self.start(stack)
                self._announce()
                await self._watch(began)
                lasted = time.monotonic() - began
                total = self.meter.total()
            say(summary(total, self.load, lasted))
        finally:
            unwatch_gc()
            watch.close()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        return INTERRUPTED if self._interrupted.is_set() else 0

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the servers and the load that the options ask for; ``stack`` stops them."""
        options = self.options
        if options.load_only is None:
            await self._serve(stack)
        else:
            self.url = options.load_only.rstrip("/")
        if not options.serve_only:
            self.load = Load(self.url, options.rate, self.make_client, options.seed, ca=self.ca, upstream=self._upstream)
            self.meter.latency = self.load.latency, LATENCY_S
            task = asyncio.create_task(self.load.run())
            stack.push_async_callback(_end, task)

    async def _serve(self, stack: AsyncExitStack) -> None:
        options = self.options
        folder = options.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="h2o-otel-demo-")))
        authority = Authority(folder)
        made = authority.issue("localhost", "127.0.0.1", "::1", *options.names)
        self.ca = str(authority.certificate)

        async def serve(app: Any, host: str, port: int, limits: ServerLimits) -> Server:
            config = ServerConfig(
                app=app,
                host=host,
                port=port,
                ssl_certfile=made.certificate,
                ssl_keyfile=made.key,
                lifespan="off",
                limits=limits,
                telemetry=self.telemetry,
                timeout_graceful_shutdown=5.0,
                handle_signals=False,
            )
            server = Server(config)
            task = asyncio.create_task(server.serve())
            stack.push_async_callback(_stop, server, task)
            started = asyncio.ensure_future(server.wait_started())
            await asyncio.wait([started, task], return_when=asyncio.FIRST_COMPLETED)
            started.cancel()
            if task.done():
                await task
            return server

        upstream = await serve(stock, "127.0.0.1", 0, STOCK_LIMITS)
        self._upstream = _url(upstream)
        client = await stack.enter_async_context(self.make_client())
        shop = await serve(Shop(self._upstream, client), options.host, options.port, SHOP_LIMITS)
        self.url = _url(shop)
        task = asyncio.create_task(_roll(shop))
        stack.push_async_callback(_end, task)

    def make_client(self, limits: Limits = CLIENT_LIMITS, verify: Any = None) -> AsyncClient:
        """A client that trusts the service's authority, or ``verify`` if given."""
        return AsyncClient(verify=(self.ca or True) if verify is None else verify, limits=limits, telemetry=self.telemetry)

    def _announce(self) -> None:
        say(f"h2o-otel demo: {self.url}")
        if self.ca is not None and self.options.load_only is None:
            say(f"  by hand: curl --http2 --cacert {self.ca} {self.url}/")
        if self.telemetry.prometheus is not None:
            say(f"  metrics: {self.telemetry.prometheus.url}")

    async def _watch(self, began: float) -> None:
        """Show figures every second until the time is over or Ctrl-C comes."""
        duration = self.options.duration_s
        terminal = sys.stdout.isatty() and not self.options.plain
        with LiveView(f"h2o-otel demo · {self.url}", self.recent) if terminal else PlainView() as view:
            while not self._interrupted.is_set():
                left = 1.0 if duration is None else min(1.0, began + duration - time.monotonic())
                if left <= 0:
                    return
                try:
                    await asyncio.wait_for(self._interrupted.wait(), left)
                except TimeoutError:
                    view.show(self.meter.tick(), self.load)


async def _roll(server: Server) -> None:
    """Send GOAWAY on the busiest connection from time to time, as a rolling restart does; its requests complete."""
    while True:
        await asyncio.sleep(ROLL_S)
        service = server.service
        staying = [c for c in service.connections if isinstance(c, ServerProtocol) and not c.draining] if service is not None else []
        if staying:
            max(staying, key=lambda c: c.connection.requests).shutdown()


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel the background tasks; an error that ended one early is reported."""
    if task.done():
        await task
    task.cancel()
    await asyncio.wait([task])


async def _stop(server: Server, task: asyncio.Task[Any]) -> None:
    server.stop()
    await asyncio.wait([task])


def _url(server: Server) -> str:
    host, port = server.addresses[0][:2]
    return f"https://{'127.0.0.1' if host == '0.0.0.0' else f'[{host}]' if ':' in host else host}:{port}"
