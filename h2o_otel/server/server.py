"""The server: lifespan, listeners, connections, signals, and an end that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from .. import counters
from ..buffers.pool import limit_depot
from ..io import asyncio as h2_asyncio
from ..io.asyncio import H2Protocol
from ..io.driver import Driver
from ..io.loop import asyncio_loop
from ..memory.gcwatch import frozen
from ..protocol import make_connection
from ..protocol.config import server_config
from ..telemetry import default, lines
from ..telemetry.runtime import watch_loop
from .config import ServerConfig, load_app
from .ending import SHUTDOWN_KEY, GracefulEnd, Shutdown
from .gate import Gate, GatedProtocol
from .lifespan import Lifespan
from .preface import Preface, PrefaceHandler
from .protocol import ServerProtocol
from .refusals import limit_fields
from .service import CREATE_TASK, EAGER, Service

__all__ = ["Server"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server:
    """Serves one application.

    Args:
        config: every setting.

    Attributes:
        addresses: where it listens, once it does.
        started: whether it accepts connections; false again once it ends.
        due: when it has ended at the latest, on ``time.monotonic``; set when it begins to end.
        telemetry: that it was given, once the application is loaded; None for the process's own.
        stop_began: when it began to end, on ``time.monotonic``; None before.
        on_stop: called by ``stop()``, in the thread or signal handler that calls that.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.started = False
        self.addresses: list[Any] = []
        self.service: Service | None = None
        self.force_exit = False
        self.telemetry: Any = None
        self.stop_began: float | None = None
        self.on_stop: Callable[[], None] | None = None
        self.due = math.inf
        self._started = asyncio.Event()
        self._stop = asyncio.Event()
        # Of its own, so that applications that get hold of it cannot end the server.
        self._shutdown = asyncio.Event()
        self._captured_signals: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: h2_asyncio.Listener | None = None
        self._tls: Any = None
        self._gate = Gate(config.limits)
        self._protocol_config = server_config(
            config.limits, tuning=config.tuning, enable_connect_protocol=False, require_authority=config.require_authority
        )

    # -- life

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM, on a loop of its own.

        Raises:
            ConfigError: a setting is wrong.
            LifespanError: the application failed to start or to end.
            OSError: an address cannot be bound.
        """
        with asyncio.Runner(loop_factory=loop_factory(self.config.loop)) as runner:
            runner.run(self._serve(None, freeze=self.config.tuning.memory_gc_freeze))

    async def serve(self, sockets: list[Any] | None = None, *, own_process: bool = False) -> None:
        """Serve on the running loop until ``stop()`` or a signal.

        Args:
            sockets: listening sockets, instead of those of the configuration.
            own_process: the process is for this server alone, so that ``Tuning.memory_gc_freeze`` holds as in ``run``;
                otherwise the garbage collector is the caller's.
        """
        await self._serve(sockets, freeze=own_process and self.config.tuning.memory_gc_freeze)

    async def _serve(self, sockets: list[Any] | None, freeze: bool) -> None:
        began = time.monotonic()
        with self._signals():
            config = self.config
            self._loop = asyncio.get_running_loop()
            self._tls = config.make_tls()
            app = load_app(config)
            # Now, since the application may have set providers of its own.
            self.telemetry = config.telemetry() if callable(config.telemetry) else config.telemetry
            lifespan = Lifespan(app, config.lifespan, {SHUTDOWN_KEY: Shutdown(self._shutdown)})
            await lifespan.startup()
            try:
                self.service = self._make_service(app, lifespan)
                self._gate.changed = self.service.pressure.connections_changed
                self._gate.refused = self._refused
                with frozen(freeze), _watched(self._loop, self.service):
                    await self._listen(sockets)
                    self._announce(began)
                    self.started = True
                    self._started.set()
                    await self._stop.wait()
            finally:
                self.started = False
                self._begin_end()
                try:
                    await self._end(began)
                finally:
                    await lifespan.shutdown(self._time_left_s())

    async def wait_started(self) -> None:
        """Wait until the server accepts connections; ``serve()`` runs in another task and raises what keeps it from that."""
        await self._started.wait()

    def stop(self) -> None:
        """Begin a graceful end; callable from any thread."""
        if self.on_stop is not None:
            self.on_stop()
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._begin_end)
        else:
            self._begin_end()

    def _begin_end(self) -> None:
        if self.stop_began is None:
            self.stop_began = time.monotonic()
        self._stop.set()
        self._shutdown.set()

    def _make_service(self, app: Any, lifespan: Lifespan) -> Service:
        config = self.config
        counters.feeds("server")
        limit_depot(config.limits.buffer_depot_bytes_max)
        telemetry = default() if self.telemetry is None else self.telemetry
        if config.access_log:
            lines.queue.lines_max = config.limits.log_queue_lines_max
        return Service(
            app,
            asyncio_loop(),
            config.limits,
            telemetry,
            root_path=config.root_path.rstrip("/"),
            trust=config.make_trust(),
            state=lifespan.state if config.lifespan != "off" else None,
            date=config.date_header,
            server_header=config.server_header,
            concurrency_max=config.limit_concurrency,
            start=EAGER if config.eager_tasks else CREATE_TASK,
            log_requests=config.access_log,
        )

    async def _listen(self, sockets: list[Any] | None) -> None:
        config = self.config
        self._listener = await h2_asyncio.serve(
            self._make_driver,
            config.host,
            config.port,
            path=config.uds,
            path_mode=config.uds_mode,
            fd=config.fd,
            sockets=sockets,
            backlog=config.backlog,
            report_pause=self._report_pause,
        )
        self._gate.left = self._connection_left
        self.addresses = self._listener.addresses

    def _connection_left(self) -> None:
        listener = self._listener
        if listener is not None and listener.paused and self._loop is not None:
            # The loop closes the socket when it has told the connection.
            self._loop.call_soon(listener.resume)

    def _report_pause(self, reason: str, error: OSError, unsaid: int) -> None:
        assert self.service is not None
        fields: dict[str, Any] = {
            "h2o.reason": reason,
            "error.type": errno.errorcode.get(error.errno or 0, type(error).__name__),
            "exception.message": f"{error.strerror}; new connections wait until one ends: raise ulimit -n, or lower "
            "ServerLimits.connections_max",
        }
        if reason == "process_descriptors":
            fields["h2o.limit"] = _descriptors_max()
        self.service.log.emit("h2o.accept.paused", {**fields, "h2o.suppressed": unsaid} if unsaid else fields)

    def _announce(self, began: float) -> None:
        assert self.service is not None
        address = self.addresses[0]
        fields = {"url.scheme": "http" if self._tls is None else "https", "process.pid": os.getpid()}
        if isinstance(address, tuple):
            fields["server.address"], fields["server.port"] = address[:2]
        else:
            fields["server.address"] = str(address)
        self.service.log.emit("h2o.server.started", fields)

    # -- connections

    def _make_driver(self) -> H2Protocol:
        pump = None if self._tls is None else self._tls.pump()
        loop, config = asyncio_loop(), self.config
        return GatedProtocol(self._gate, loop, config.limits, self._setup, role=counters.SERVER, tls=pump, tuning=config.tuning)

    def _refused(self, address: str, limit: str) -> None:
        """The gate let a connection not in."""
        if self.service is not None and self.service.log.is_enabled_for("h2o.connection.refused"):
            fields = {"network.peer.address": address} if address else {}
            self.service.log.emit("h2o.connection.refused", {**fields, "error.type": limit, **limit_fields(limit, self.config.limits)})

    def _setup(self, driver: Driver) -> None:
        """Octets can flow: decide what runs on the connection."""
        assert self.service is not None
        if self._tls is None:
            driver.bind(Preface(driver, self.config.limits, self._bind_http2), PrefaceHandler(self.service.connections))
        else:
            self._bind_http2(driver)
        if self._stop.is_set():
            driver.abort()

    def _bind_http2(self, driver: Driver) -> None:
        assert self.service is not None
        if driver.handler is not None:
            self.service.connections.discard(driver.handler)
        handler = ServerProtocol(self.service)
        driver.bind(make_connection(self.config.engine, self._protocol_config, handler), handler)

    # -- the end

    def _time_left_s(self) -> float:
        """For the lifespan; the least of it also after an end that used up its time."""
        limits = self.config.limits
        if self.due == math.inf:
            return self.config.grace_s + limits.shutdown_cleanup_s
        return max(self.due - time.monotonic(), limits.shutdown_cleanup_s / 3)

    async def _end(self, began: float) -> None:
        """Accept no more; let what is under way finish within its time; then cut."""
        service = self.service
        if self._listener is not None:
            self._listener.close()
            if self.config.uds is not None:
                with contextlib.suppress(OSError):
                    os.unlink(self.config.uds)
        if service is None or self._listener is None:
            return
        ending = GracefulEnd(service, self.config, lambda: self.force_exit)
        self.due = ending.due
        await ending.run()
        reason = ending.reason or ("signal" if self._captured_signals else "stop")
        service.pressure.close()
        service.log.emit("h2o.server.stopped", {"process.pid": os.getpid(), "h2o.reason": reason, "h2o.duration": time.monotonic() - began})

    # -- signals

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM begin a graceful end, a second one ends it; only in the main thread, as signals are."""
        if not self.config.handle_signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._captured_signals:
            self.force_exit = True
        self._captured_signals.append(number)
        self.stop()


@contextlib.contextmanager
def _watched(loop: asyncio.AbstractEventLoop, service: Service) -> Iterator[None]:
    """Measure how late the loop is while it serves, unless telemetry is off."""
    if not service.telemetry.enabled:
        yield
        return
    watch = watch_loop(loop)
    watch.add(service)
    try:
        yield
    finally:
        watch.remove(service)


def _descriptors_max() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def loop_factory(name: str) -> Any:
    """What ``asyncio.Runner`` makes its loop with; None for asyncio's default.

    Raises:
        ImportError: uvloop was asked for and is not installed.
    """
    if name == "asyncio" or (name == "auto" and sys.platform == "win32"):
        return None
    try:
        import uvloop
    except ImportError:
        if name == "uvloop":
            raise
        return None
    return uvloop.new_event_loop
