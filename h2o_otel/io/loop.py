"""What drivers, servers and clients need of an event loop, and the implementation on asyncio and uvloop.

A ``Loop`` belongs to one thread.  It also owns the receive buffers, which are lent to one
connection at a time for the length of one read, so that idle connections hold none.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Generator
from typing import Any, Protocol

from .. import _mem, counters
from ..buffers.pool import RECEIVE
from ..memory.budget import BUFFERS
from ..memory.heap import process_heap
from .housekeeping import Housekeeper

__all__ = ["AsyncioLoop", "Handle", "LentBuffer", "Loop", "Waiter", "asyncio_loop"]

_BUFFER_BYTES = 65_536 + 16_384 + 9
_ATTRIBUTE = "_h2o_otel_loop"


class Handle(Protocol):
    """What ``call_at`` returns."""

    def cancel(self) -> None: ...


class Waiter(Protocol):
    """One-shot awaitable; on asyncio exactly ``loop.create_future()``."""

    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...
    def cancel(self) -> Any: ...
    def done(self) -> bool: ...
    def __await__(self) -> Generator[Any, None, Any]: ...


class LentBuffer:
    """A receive buffer and the view that is handed out of it; replaced, never resized, while lent.

    It is lent for the length of one read, so it counts as idle.
    """

    def __init__(self, size_bytes: int) -> None:
        self.memory = bytearray(size_bytes)
        self.view = memoryview(self.memory)
        self.size = size_bytes
        self._counters = counters.local()
        # Kept here, since the interpreter takes the module's names away before the last buffers.
        self._is_finalizing = sys.is_finalizing
        self._counters.add("buffer_pool_allocated", RECEIVE, size_bytes)
        self._counters.add("buffer_pool_idle", RECEIVE, size_bytes)
        self._counters.add("memory_usage", BUFFERS, size_bytes)

    def __del__(self) -> None:
        if not self._is_finalizing():
            self._counters.add("buffer_pool_idle", RECEIVE, -self.size)
            self._counters.add("memory_usage", BUFFERS, -self.size)


class Loop:
    """Base of all loops.

    Attributes:
        plain: frames are parsed in this buffer.
        cipher: TLS records are read into this one, to be decrypted into ``plain``.
        housekeeper: knows the loop's connections, and what may be given back.
    """

    def __init__(self) -> None:
        self.plain = LentBuffer(_BUFFER_BYTES)
        self.cipher = self.plain
        self.housekeeper = Housekeeper(self)

    def renew(self) -> None:
        """Fresh buffers of the same sizes: for connections that do without the reuse."""
        shared = self.cipher is self.plain
        self.plain = LentBuffer(self.plain.size)
        self.cipher = self.plain if shared else LentBuffer(self.cipher.size)

    def reserve(self, plain_bytes: int, cipher_bytes: int) -> None:
        """Make the lent buffers at least this large; drivers call it once, so connections without TLS pay for one."""
        if self.plain.size < plain_bytes:
            old = self.plain
            self.plain = LentBuffer(plain_bytes)
            if self.cipher is old:
                self.cipher = self.plain
        if cipher_bytes and (self.cipher is self.plain or self.cipher.size < cipher_bytes):
            self.cipher = LentBuffer(cipher_bytes)

    def now(self) -> float:
        """Seconds on this loop's monotonic clock."""
        return _mem.now_ns() * 1e-9

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` in the next turn; only from the loop's own thread."""
        raise _abstract(self)

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """Call ``callback`` once ``now()`` has reached ``when``."""
        raise _abstract(self)

    def create_waiter(self) -> Waiter:
        """A one-shot awaitable of this loop."""
        raise _abstract(self)


def _abstract(loop: Loop) -> TypeError:
    return TypeError(f"{type(loop).__name__} has no scheduler: use asyncio_loop(), or a loop of h2o_otel.io.anyio")


class AsyncioLoop(Loop):
    """On asyncio or uvloop; get it with ``asyncio_loop()``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        Loop.__init__(self)
        self.housekeeper.heap = process_heap()
        self.loop = loop
        self._call_soon = loop.call_soon
        self._call_later = loop.call_later
        self._create_future = loop.create_future
        # Timers outlive the task that happens to arm them, whose context they must not keep alive.
        self._context = contextvars.Context()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._call_soon(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        # By distance: the loop's clock need not be ours, and uvloop's is as old as its turn.
        delay = when - self.now()
        return self._call_later(max(0.0, delay), callback, context=self._context)

    def create_waiter(self) -> Waiter:
        return self._create_future()


def asyncio_loop(loop: asyncio.AbstractEventLoop | None = None) -> AsyncioLoop:
    """The ``AsyncioLoop`` of ``loop``, by default the running one; the same object each time.

    Raises:
        RuntimeError: the loop is a proactor, of Windows.
    """
    if loop is None:
        loop = asyncio.get_running_loop()
    found: AsyncioLoop | None = getattr(loop, _ATTRIBUTE, None)
    if found is None:
        if "Proactor" in type(loop).__name__:
            raise RuntimeError("a proactor loop posts receive buffers ahead, so they cannot be lent: use asyncio.SelectorEventLoop")
        found = AsyncioLoop(loop)
        setattr(loop, _ATTRIBUTE, found)
    return found
