"""The fast path on asyncio and uvloop: the driver is itself the loop's buffered protocol.

``connect`` and ``serve`` make the sockets; what runs on a connection is the driver's ``setup``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from .. import counters
from ..errors import ConnectError
from .accepting import Acceptor, PauseReport, Reserve
from .driver import Driver
from .sockets import Address, interleave, listen, tune
from .transport import AsyncioTransport

__all__ = ["H2Protocol", "Listener", "connect", "serve"]

_HAPPY_EYEBALLS_DELAY_S = 0.25


class H2Protocol(Driver, asyncio.BufferedProtocol):
    """A ``Driver`` that asyncio and uvloop call directly; see ``Driver`` for the arguments."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(AsyncioTransport(transport))


async def connect(
    driver: H2Protocol,
    host: str = "",
    port: int = 0,
    *,
    path: str | os.PathLike[str] | None = None,
    sock: socket.socket | None = None,
    addresses: Sequence[Address] | None = None,
    local_address: str | None = None,
    happy_eyeballs_delay_s: float = _HAPPY_EYEBALLS_DELAY_S,
) -> dict[str, float]:
    """Connect ``driver`` and wait until its ``setup`` has run, after the TLS handshake if it has TLS.

    Addresses are tried in turn, each with a head start over the next (RFC 8305); the first to
    answer wins.  Cancelling this closes whatever was opened.

    Args:
        driver: fresh, with ``role`` client.
        host, port: whom to connect to.
        path: a Unix socket instead.
        sock: a connected socket instead, such as one that went through a proxy.
        addresses: ``(family, sockaddr)`` of the host when they are known, instead of resolving.
        local_address: to connect from.
        happy_eyeballs_delay_s: the head start.

    Returns:
        Seconds spent in each phase: ``dns``, ``tcp``, ``tls``, as far as it took place.

    Raises:
        ConnectError: the name was not resolved, no address answered, or (``TLSHandshakeError``) TLS failed.
    """
    loop = asyncio.get_running_loop()
    phases: dict[str, float] = {}
    if sock is None:
        sock = await _open(loop, driver, phases, host, port, path, addresses, local_address, happy_eyeballs_delay_s)
    ready = driver.ready = driver.loop.create_waiter()
    started = counters.clock()
    try:
        try:
            sock.setblocking(False)
            tune(sock)
            await loop.create_connection(lambda: driver, sock=sock)
        except BaseException:
            sock.close()
            raise
        await ready
    except BaseException as error:
        driver.abort()
        if driver.tls is not None:
            _record(driver, phases, "tls", started, getattr(error, "reason", type(error).__name__))
        raise
    if driver.tls is not None:
        _record(driver, phases, "tls", started, "")
    return phases


def _record(driver: Driver, phases: dict[str, float], phase: str, started_ns: int, error_type: str) -> None:
    phases[phase] = seconds = (counters.clock() - started_ns) * 1e-9
    driver.counters.labelled_histogram("pool_connect_duration", (phase, error_type)).record(seconds)


async def _open(
    loop: asyncio.AbstractEventLoop,
    driver: Driver,
    phases: dict[str, float],
    host: str,
    port: int,
    path: str | os.PathLike[str] | None,
    addresses: Sequence[Address] | None,
    local_address: str | None,
    delay_s: float,
) -> socket.socket:
    """A connected socket; each phase is recorded with its outcome."""
    if path is not None:
        addresses = [(socket.AF_UNIX, os.fspath(path))]
    elif addresses is None:
        started = counters.clock()
        try:
            infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            _record(driver, phases, "dns", started, type(error).__name__)
            raise ConnectError(f"cannot resolve {host}: {error}") from error
        _record(driver, phases, "dns", started, "")
        addresses = [(info[0], info[4]) for info in infos]
    started = counters.clock()
    try:
        sock = await _race(loop, interleave(addresses), local_address, delay_s)
    except OSError as error:
        _record(driver, phases, "tcp", started, type(error).__name__)
        raise ConnectError(f"cannot connect to {path or f'{host} port {port}'}: {error}") from error
    _record(driver, phases, "tcp", started, "")
    return sock


async def _race(loop: asyncio.AbstractEventLoop, addresses: list[Address], local_address: str | None, delay_s: float) -> socket.socket:
    """The first socket that connects; every other is closed."""
    if len(addresses) == 1:
        return await _connect_one(loop, addresses[0], local_address)
    errors: list[OSError] = []
    attempts: set[asyncio.Task[socket.socket]] = set()
    waiting = list(addresses)
    try:
        while attempts or waiting:
            if waiting:
                attempts.add(asyncio.create_task(_connect_one(loop, waiting.pop(0), local_address)))
            done, _ = await asyncio.wait(attempts, timeout=delay_s if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                failure = task.exception()
                if failure is None:
                    attempts.discard(task)
                    return task.result()
                if not isinstance(failure, OSError):
                    raise failure
                attempts.discard(task)
                errors.append(failure)
    finally:
        for task in attempts:
            task.cancel()
            task.add_done_callback(_close_loser)
    if len(errors) == 1:
        raise errors[0]
    raise OSError("; ".join(str(error) for error in errors) or "no addresses")


def _close_loser(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect_one(loop: asyncio.AbstractEventLoop, address: Address, local_address: str | None) -> socket.socket:
    family, sockaddr = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if local_address is not None:
            sock.bind((local_address, 0))
        await loop.sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


class Listener:
    """Listening sockets of one loop.

    Attributes:
        sockets: the sockets.
        addresses: where they listen: ``(host, port, ...)`` or the path of a Unix socket.
    """

    def __init__(self, acceptors: list[Acceptor], sockets: list[socket.socket], reserve: Reserve) -> None:
        self._acceptors = acceptors
        self._reserve = reserve
        self.sockets = sockets
        self.addresses: list[Any] = [sock.getsockname() for sock in sockets]

    @property
    def paused(self) -> bool:
        """Whether connections wait because descriptors are short."""
        return any(acceptor.paused for acceptor in self._acceptors)

    def resume(self) -> None:
        """Tell it that a descriptor may be free; it also looks itself every now and then."""
        for acceptor in self._acceptors:
            acceptor.resume()

    def close(self) -> None:
        """Accept no more; connections live on."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._reserve.give_back()


async def serve(
    factory: Callable[[], H2Protocol],
    host: str | None = "127.0.0.1",
    port: int = 0,
    *,
    path: str | os.PathLike[str] | None = None,
    path_mode: int | None = None,
    fd: int | None = None,
    sockets: list[socket.socket] | None = None,
    backlog: int = 2048,
    reuse_port: bool = False,
    report_pause: PauseReport | None = None,
) -> Listener:
    """Accept connections, each on a driver from ``factory``.

    Args:
        factory: makes a fresh driver with ``role`` server.
        host, port: where to listen; port 0 lets the system choose, see ``Listener.addresses``.
        path: a Unix socket instead.
        path_mode: its permissions.
        fd: an inherited listening socket instead.
        sockets: listening sockets instead, such as those of ``io.sockets.listen``.
        backlog: connections that the system keeps until they are accepted.
        reuse_port: share the port with other processes that do so too.
        report_pause: told, at most once a second, that descriptors are short; by default the log is.

    Raises:
        OSError: an address cannot be bound.
    """
    loop = asyncio.get_running_loop()
    if sockets is None:
        sockets = listen(host, port, path=path, path_mode=path_mode, fd=fd, backlog=backlog, reuse_port=reuse_port)
    reserve = Reserve(report_pause)
    acceptors = []
    for sock in sockets:
        # Accepted sockets inherit the option; asyncio sets it anyway, uvloop as well.
        tune(sock)
        sock.setblocking(False)
        sock.listen(backlog)
        acceptors.append(Acceptor(loop, sock, factory, reserve))
    return Listener(acceptors, sockets, reserve)
