"""The byte pipe under a driver: what a transport must do, and the one over an asyncio transport.

A transport carries octets and knows nothing of HTTP/2 or TLS.  It calls back the protocol methods
of ``driver.Driver`` (``get_buffer``, ``buffer_updated``, ``eof_received``, ``pause_writing``,
``resume_writing``, ``connection_lost``), always from the loop and never from inside a call of
its own, ``pause_writing`` excepted.
"""

from __future__ import annotations

import os
import sys
from typing import Any

try:
    import fcntl
    import termios
except ImportError:
    # Not a POSIX system.
    _SOCKET_QUEUE = 0
else:
    # SIOCOUTQ of Linux, by its other name: what a socket has sent and the peer has not acknowledged, and what it has not sent.
    _SOCKET_QUEUE = termios.TIOCOUTQ if sys.platform == "linux" else 0

__all__ = ["AsyncioTransport", "Transport"]

# What one writev() takes at most; POSIX allows systems to have as few as 16, Linux and the BSDs have 1024.
_IOV_MAX = 1024
_WRITEV = hasattr(os, "writev")


class Transport:
    """Base of all transports, and itself the closed one: it takes what is written, and nothing happens.

    Attributes:
        greedy: reads on without returning to the loop for as long as octets are waiting.
        high_water_bytes: octets that may wait in the transport before it calls ``pause_writing``.
    """

    def __init__(self) -> None:
        self.greedy = False
        self.high_water_bytes = 0

    def write(self, chunks: list[bytes | memoryview]) -> int:
        """Send immutable ``chunks`` in order, or keep them by reference; returns the octets that wait in the transport afterwards."""
        return 0

    def write_eof(self) -> None:
        """Half-close: the peer sees the end once everything written has been sent; reading goes on."""

    def close(self) -> None:
        """Send what waits, then close."""

    def abort(self) -> None:
        """Close at once; what waits is lost."""

    def buffered(self) -> int:
        """Octets written and not yet taken by the system."""
        return 0

    def unacknowledged(self) -> int:
        """Octets written that the peer's system has not taken, as far as this one tells: it shows whether a slow peer reads on."""
        return self.buffered()

    def pause_reading(self) -> None:
        """Call ``get_buffer`` no more until ``resume_reading``."""

    def resume_reading(self) -> None:
        """Undo ``pause_reading``."""

    def extra(self, name: str) -> Any:
        """``peername``, ``sockname``, ``socket``, or None when the transport has no such thing."""
        return None


class AsyncioTransport(Transport):
    """Over a TCP or Unix transport of asyncio or uvloop.

    While the transport has nothing waiting, octets go to the socket directly: one ``write`` or
    ``writev`` of all chunks, where asyncio before 3.12 would copy them together first.
    """

    def __init__(self, transport: Any) -> None:
        Transport.__init__(self)
        module = type(transport).__module__
        self.transport = transport
        self.greedy = module.startswith("uvloop")
        self._backlog = False
        self._fd = -1
        # Another kind of transport may have a layer of its own between write() and the socket.
        if _WRITEV and (self.greedy or module == "asyncio.selector_events"):
            sock = transport.get_extra_info("socket")
            self._fd = -1 if sock is None else sock.fileno()
        # Zero: pause_writing at the first octet that the socket did not take, resume_writing once
        # all have gone.  The socket's own buffer keeps the line busy in between.
        transport.set_write_buffer_limits(high=self.high_water_bytes)

    def write(self, chunks: list[bytes | memoryview]) -> int:
        if self._backlog:
            self._backlog = self.transport.get_write_buffer_size() > 0
        if self._backlog or self._fd < 0:
            return self._hand_over(chunks)
        count = len(chunks)
        try:
            if count == 1:
                sent = os.write(self._fd, chunks[0])
            else:
                sent = os.writev(self._fd, chunks if count <= _IOV_MAX else chunks[:_IOV_MAX])
        except OSError:
            # A full socket, or an error that the transport will meet too and report as connection_lost.
            sent = 0
        position = 0
        while position < count:
            size = len(chunks[position])
            if sent < size:
                break
            sent -= size
            position += 1
        if position == count:
            return 0
        rest = chunks[position:]
        if sent:
            rest[0] = memoryview(rest[0])[sent:]
        return self._hand_over(rest)

    def _hand_over(self, chunks: list[bytes | memoryview]) -> int:
        self._backlog = True
        if len(chunks) == 1:
            self.transport.write(chunks[0])
        else:
            self.transport.writelines(chunks)
        size = self.buffered()
        if size > self.high_water_bytes:
            # writelines() of Python 3.12.0 to 3.12.8 and of 3.13.0 and 3.13.1 does not compare its
            # buffer with the limit, and then resumes nothing either.  Setting the limit compares.
            self.transport.set_write_buffer_limits(high=self.high_water_bytes)
        return size

    # From here on the descriptor is the loop's alone to close, and its number may name another file next.

    def write_eof(self) -> None:
        self._fd = -1
        self.transport.write_eof()

    def close(self) -> None:
        self._fd = -1
        self.transport.close()

    def abort(self) -> None:
        self._fd = -1
        self.transport.abort()

    def buffered(self) -> int:
        return int(self.transport.get_write_buffer_size())

    def unacknowledged(self) -> int:
        waiting = self.buffered()
        if self._fd >= 0 and _SOCKET_QUEUE:
            try:
                waiting += int.from_bytes(fcntl.ioctl(self._fd, _SOCKET_QUEUE, bytes(4)), sys.byteorder)
            except OSError:
                # A kind of socket that does not tell.
                pass
        return waiting

    def pause_reading(self) -> None:
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        self.transport.resume_reading()

    def extra(self, name: str) -> Any:
        return self.transport.get_extra_info(name)
