"""Accepting connections, also when descriptors run out: then accepting pauses, one line a second says so, and it
goes on as soon as one is free.

The loops' own servers log each failed accept with a traceback, or accept and close whoever waits.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from .. import counters

__all__ = ["RETRY_S", "SHORTAGES", "Acceptor", "PauseReport", "Reserve"]

_log = logging.getLogger("h2o_otel.io")

SHORTAGES = {
    errno.EMFILE: "process_descriptors",
    errno.ENFILE: "system_descriptors",
    errno.ENOBUFS: "memory",
    errno.ENOMEM: "memory",
}
"""What accept() can run out of, by its error."""

# Of the connection that was to be accepted, not of the listener (accept(2)): the next one may be well.
_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED",
        "EPROTO",
        "EPERM",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
    )
    if hasattr(errno, name)
)

# A descriptor may also become free without a word to us.
RETRY_S = 0.05
_LINE_INTERVAL_S = 1.0
_PER_TURN_MAX = 16

PauseReport = Callable[[str, OSError, int], object]
"""Told of a pause: what is short, the error, and how many pauses went unreported since the last report."""


class Reserve:
    """One descriptor that is kept for the process while connections hold all others, and what is said of the shortage.

    Given back while accepting pauses, so that the application can open a file and the log a disk; accepting goes on
    only once it could be taken again.

    Args:
        report: called at most once a second.
    """

    def __init__(self, report: PauseReport | None = None) -> None:
        self._report = _warn if report is None else report
        self._fd = -1
        self._said_at = -_LINE_INTERVAL_S
        self._unsaid = 0
        self.take()

    def take(self) -> bool:
        """Hold a descriptor; false when there is none."""
        if self._fd < 0:
            try:
                self._fd = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            except OSError:
                return False
        return True

    def recovered(self) -> bool:
        """Take it again after a shortage; false while there is not another one for a connection, too."""
        if not self.take():
            return False
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            self.give_back()
            return False
        return True

    def give_back(self) -> None:
        """Let the process have it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def short(self, error: OSError, now: float) -> bool:
        """Accepting pauses for ``error``: count it, say it, give the reserve back; false when it was the client's alone."""
        if error.errno in _PASSING:
            return False
        reason = SHORTAGES.get(error.errno or 0, "error")
        self.give_back()
        counters.local().add("io_accept_pauses", counters.SHORTAGES.index(reason), 1)
        if now - self._said_at < _LINE_INTERVAL_S:
            self._unsaid += 1
        else:
            self._said_at = now
            unsaid, self._unsaid = self._unsaid, 0
            self._report(reason, error, unsaid)
        return True


def _warn(reason: str, error: OSError, unsaid: int) -> None:
    _log.warning("accepting connections pauses: %s (%s); %d pauses before this one were not logged", error.strerror, reason, unsaid)


class Acceptor:
    """Accepts the connections of one listening socket on asyncio or uvloop.

    Args:
        loop: the running loop.
        sock: listening, not blocking.
        factory: makes a fresh protocol.
        reserve: shared by the sockets of a listener.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol], reserve: Reserve
    ) -> None:
        self.paused = False
        self._loop = loop
        self._sock = sock
        self._factory = factory
        self._reserve = reserve
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        # The loop keeps no strong reference to its tasks.
        self._beginning: set[asyncio.Task[Any]] = set()
        loop.add_reader(sock, self._readable)

    def close(self) -> None:
        """Accept no more and close the socket."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.paused:
            self._loop.remove_reader(self._sock)
        self._sock.close()

    def resume(self) -> None:
        """A descriptor may be free: go on if it is."""
        if self.paused and not self._closed and self._reserve.recovered():
            self.paused = False
            self._loop.add_reader(self._sock, self._readable)

    def _readable(self) -> None:
        for _ in range(_PER_TURN_MAX):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if self._reserve.short(error, self._loop.time()):
                    self._pause()
                    return
                continue
            sock.setblocking(False)
            task = self._loop.create_task(self._begin(sock))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, sock)
        except OSError:
            sock.close()  # it ended before it began
        except BaseException:
            sock.close()
            raise

    def _pause(self) -> None:
        self.paused = True
        self._loop.remove_reader(self._sock)
        self._retry()

    def _retry(self) -> None:
        self.resume()
        self._timer = self._loop.call_later(RETRY_S, self._retry) if self.paused and not self._closed else None
