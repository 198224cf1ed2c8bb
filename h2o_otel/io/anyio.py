"""The same driver on trio, and on asyncio through AnyIO: a loop, a transport, ``connect`` and ``serve``.

``AnyioLoop`` is entered once; its task group runs the callbacks, the timers and two tasks per
connection, one that reads and one that writes.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import sniffio

from .. import counters
from ..errors import ConnectError
from ..memory.heap import process_heap
from .accepting import RETRY_S, PauseReport, Reserve
from .driver import Driver
from .loop import Handle, Loop
from .transport import Transport

__all__ = ["AnyioLoop", "AnyioTransport", "Listener", "connect", "serve"]

_logger = logging.getLogger("h2o_otel.io")
_READ_BYTES = 65_536
# Beyond this many octets in the transport the driver is told that it is full.
_HIGH_WATER_BYTES = 65_536


class _Waiter:
    """One-shot awaitable on an AnyIO event."""

    __slots__ = ("_event", "_exception", "_result")

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._result: Any = None
        self._exception: BaseException | None = None

    def set_result(self, result: Any) -> None:
        self._result = result
        self._event.set()

    def set_exception(self, exception: BaseException) -> None:
        self._exception = exception
        self._event.set()

    def cancel(self) -> bool:
        if self._event.is_set():
            return False
        self.set_exception(ConnectError("the wait was cancelled"))
        return True

    def done(self) -> bool:
        return self._event.is_set()

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._event.wait().__await__()
        if self._exception is not None:
            raise self._exception
        return self._result


class _Timer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class AnyioLoop(Loop):
    """``async with AnyioLoop() as loop``; leaving it ends every connection made on it.

    Attributes:
        group: the task group that connections run in.
    """

    def __init__(self) -> None:
        Loop.__init__(self)
        self.housekeeper.heap = process_heap()
        self.group: anyio.abc.TaskGroup = anyio.create_task_group()
        self._ready: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()
        self._event: anyio.Event = anyio.Event()
        self._time: Callable[[], float] | None = None

    async def __aenter__(self) -> AnyioLoop:
        if sniffio.current_async_library() == "trio":
            import trio

            # Trio's own clock, which tests may replace.
            self._time = trio.current_time
        await self.group.__aenter__()
        self.group.start_soon(self._run, name="h2o-otel loop")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        self.group.cancel_scope.cancel()
        return await self.group.__aexit__(kind, error, trace)

    def now(self) -> float:
        return Loop.now(self) if self._time is None else self._time()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._ready.append(callback)
        self._event.set()

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        if self._timers[0][2] is timer:
            self._event.set()
        return timer

    def create_waiter(self) -> _Waiter:
        return _Waiter()

    async def _run(self) -> None:
        """Callbacks in order, each set in one turn; then sleep until the next timer or callback."""
        while True:
            self._event = anyio.Event()
            for _ in range(len(self._ready)):
                self._call(self._ready.popleft())
            now = self.now()
            while self._timers and (self._timers[0][0] <= now or self._timers[0][2].callback is None):
                callback = heapq.heappop(self._timers)[2].callback
                if callback is not None:
                    self._call(callback)
            if self._ready:
                await anyio.lowlevel.checkpoint()
                continue
            with anyio.move_on_after(self._timers[0][0] - now if self._timers else math.inf):
                await self._event.wait()

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception:
            _logger.exception("a callback failed")


class AnyioTransport(Transport):
    """Over an AnyIO byte stream; ``run`` is its life."""

    def __init__(self, loop: AnyioLoop, driver: Driver, stream: anyio.abc.ByteStream) -> None:
        Transport.__init__(self)
        self.high_water_bytes = _HIGH_WATER_BYTES
        self.loop = loop
        self.driver = driver
        self.stream = stream
        self._pending: deque[bytes | memoryview] = deque()
        self._size = 0
        self._paused = False
        self._eof = False
        self._eof_sent = False
        self._closing = False
        self._written = anyio.Event()
        self._may_read = anyio.Event()
        self._may_read.set()
        self._scope = anyio.CancelScope()
        self._error: Exception | None = None

    async def run(self) -> None:
        """Attach the driver and move octets until either end is done."""
        try:
            with self._scope:
                self.driver.attach(self)
                async with anyio.create_task_group() as group:
                    group.start_soon(self._write_all)
                    group.start_soon(self._read_all)
        finally:
            self.driver.connection_lost(self._error)
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self.stream)

    async def _read_all(self) -> None:
        try:
            while True:
                await self._may_read.wait()
                await self._take(await self.stream.receive(_READ_BYTES))
        except anyio.EndOfStream:
            # The writer goes on until the driver closes.
            self.driver.eof_received()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            self._fail(error)

    async def _take(self, data: bytes) -> None:
        start = 0
        while start < len(data) and not self._scope.cancel_called:
            if start:
                await self._may_read.wait()
            view = self.driver.get_buffer(-1)
            n = min(len(view), len(data) - start)
            view[:n] = data[start : start + n]
            start += n
            self.driver.buffer_updated(n)

    async def _write_all(self) -> None:
        try:
            while True:
                self._written = anyio.Event()
                while self._pending:
                    chunks = self._pending
                    self._pending = deque()
                    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                    await self.stream.send(bytes(data))
                    self._size -= len(data)
                    if self._paused and self._size == 0:
                        self._paused = False
                        self.driver.resume_writing()
                if self._closing:
                    break
                if self._eof and not self._eof_sent:
                    self._eof_sent = True
                    await self.stream.send_eof()
                await self._written.wait()
            self._scope.cancel()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        # AnyIO wraps what the system said.
        self._error = error.__cause__ if isinstance(error.__cause__, OSError) else error
        self._scope.cancel()

    def write(self, chunks: list[bytes | memoryview]) -> int:
        if not (self._eof or self._closing):
            for chunk in chunks:
                self._pending.append(chunk)
                self._size += len(chunk)
            self._written.set()
            if self._size > self.high_water_bytes and not self._paused:
                self._paused = True
                self.driver.pause_writing()
        return self._size

    def write_eof(self) -> None:
        self._eof = True
        self._written.set()

    def close(self) -> None:
        self._closing = True
        self._written.set()

    def abort(self) -> None:
        self._scope.cancel()

    def buffered(self) -> int:
        return self._size

    def pause_reading(self) -> None:
        self._may_read = anyio.Event()

    def resume_reading(self) -> None:
        self._may_read.set()

    def extra(self, name: str) -> Any:
        attribute = {
            "peername": anyio.abc.SocketAttribute.remote_address,
            "sockname": anyio.abc.SocketAttribute.local_address,
            "socket": anyio.abc.SocketAttribute.raw_socket,
        }.get(name)
        return None if attribute is None else self.stream.extra(attribute, None)


async def connect(
    driver: Driver,
    host: str = "",
    port: int = 0,
    *,
    path: str | os.PathLike[str] | None = None,
    stream: anyio.abc.ByteStream | None = None,
) -> dict[str, float]:
    """Connect ``driver``, which is on an ``AnyioLoop``, and wait until its ``setup`` has run.

    Args:
        driver: fresh, with ``role`` client.
        host, port: whom to connect to; addresses are raced (RFC 8305), resolving is part of the phase ``tcp``.
        path: a Unix socket instead.
        stream: a connected stream instead, such as one that went through a proxy.

    Returns:
        Seconds spent in each phase: ``tcp``, ``tls``, as far as it took place.

    Raises:
        ConnectError: no address answered, or (``TLSHandshakeError``) TLS failed.
    """
    loop = driver.loop
    if not isinstance(loop, AnyioLoop):
        raise TypeError("connect() of h2o_otel.io.anyio needs a driver on an AnyioLoop")
    phases: dict[str, float] = {}
    if stream is None:
        started = counters.clock()
        try:
            stream = await (anyio.connect_unix(path) if path is not None else anyio.connect_tcp(host, port))
        except OSError as error:
            _record(driver, phases, "tcp", started, type(error).__name__)
            raise ConnectError(f"cannot connect to {path or f'{host} port {port}'}: {error}") from error
        _record(driver, phases, "tcp", started, "")
    ready = driver.ready = loop.create_waiter()
    started = counters.clock()
    transport = AnyioTransport(loop, driver, stream)
    loop.group.start_soon(transport.run, name="h2o-otel connection")
    try:
        await ready
    except BaseException as error:
        transport.abort()
        if driver.tls is not None:
            _record(driver, phases, "tls", started, getattr(error, "reason", type(error).__name__))
        raise
    if driver.tls is not None:
        _record(driver, phases, "tls", started, "")
    return phases


def _record(driver: Driver, phases: dict[str, float], phase: str, started_ns: int, error_type: str) -> None:
    phases[phase] = seconds = (counters.clock() - started_ns) * 1e-9
    driver.counters.labelled_histogram("pool_connect_duration", (phase, error_type)).record(seconds)


class Listener:
    """Listening sockets of one loop.

    Attributes:
        addresses: where they listen: ``(host, port)`` or the path of a Unix socket.
    """

    def __init__(self, loop: AnyioLoop, listener: Any, factory: Callable[[], Driver], addresses: list[Any], reserve: Reserve) -> None:
        self.addresses = addresses
        self._loop = loop
        self._listener = listener
        self._factory = factory
        self._reserve = reserve
        self._scope = anyio.CancelScope()
        self._left = anyio.Event()

    async def _accept(self) -> None:
        try:
            with self._scope:
                listeners = getattr(self._listener, "listeners", None)
                if listeners is None:
                    await self._accept_on(self._listener)
                    return
                async with anyio.create_task_group() as group:
                    for listener in listeners:
                        group.start_soon(self._accept_on, listener)
        finally:
            self._reserve.give_back()
            with anyio.CancelScope(shield=True):
                await self._listener.aclose()

    async def _accept_on(self, listener: Any) -> None:
        while True:
            try:
                stream = await listener.accept()
            except (OSError, anyio.BrokenResourceError) as error:
                # AnyIO says on trio that the listener is broken, which it is not.
                cause = error if isinstance(error, OSError) else error.__cause__
                if self._reserve.short(cause if isinstance(cause, OSError) else OSError(str(error)), self._loop.now()):
                    await self._descriptor()
                continue
            # Connections run in the loop's group, so that they outlive the listener.
            self._loop.group.start_soon(self._run, stream)

    async def _descriptor(self) -> None:
        """Until one is free: when a connection has ended, or a look now and then finds one."""
        while True:
            with anyio.move_on_after(RETRY_S):
                await self._left.wait()
            self._left = anyio.Event()
            if self._reserve.recovered():
                return

    async def _run(self, stream: anyio.abc.ByteStream) -> None:
        try:
            await AnyioTransport(self._loop, self._factory(), stream).run()
        finally:
            self._left.set()

    def close(self) -> None:
        """Accept no more; connections live on."""
        self._scope.cancel()


async def serve(
    loop: AnyioLoop,
    factory: Callable[[], Driver],
    host: str | None = "127.0.0.1",
    port: int = 0,
    *,
    path: str | os.PathLike[str] | None = None,
    backlog: int = 2048,
    reuse_port: bool = False,
    report_pause: PauseReport | None = None,
) -> Listener:
    """Accept connections, each on a driver from ``factory``; ``report_pause`` is told that descriptors are short.

    Raises:
        OSError: an address cannot be bound.
    """
    if path is not None:
        listener: Any = await anyio.create_unix_listener(path, backlog=backlog)
        addresses: list[Any] = [os.fspath(path)]
    else:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port, backlog=backlog, reuse_port=reuse_port)
        addresses = [one.extra(anyio.abc.SocketAttribute.local_address) for one in listener.listeners]
    made = Listener(loop, listener, factory, addresses, Reserve(report_pause))
    loop.group.start_soon(made._accept, name="h2o-otel listener")
    return made
