"""Transports and a loop without sockets or a real clock, for tests and simulation.

Two drivers joined by ``pair`` exchange octets through bounded memory.  Octets arrive in a later
turn, never inside ``write``.  On a ``VirtualLoop`` everything is deterministic: time stands
still except in ``advance``, and callbacks run in the order in which they were scheduled.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from .driver import Driver
from .loop import Handle, Loop
from .transport import Transport

__all__ = ["MemoryTransport", "VirtualLoop", "VirtualWaiter", "pair"]

_TURNS_MAX = 1_000_000


class VirtualWaiter:
    """The one-shot awaitable of a ``VirtualLoop``."""

    def __init__(self) -> None:
        self._done = False
        self._result: Any = None
        self._exception: BaseException | None = None
        self.cancelled = False

    def set_result(self, result: Any) -> None:
        if self._done:
            raise RuntimeError("this waiter is done")
        self._done = True
        self._result = result

    def set_exception(self, exception: BaseException) -> None:
        if self._done:
            raise RuntimeError("this waiter is done")
        self._done = True
        self._exception = exception

    def cancel(self) -> bool:
        if self._done:
            return False
        self._done = self.cancelled = True
        return True

    def done(self) -> bool:
        return self._done

    def result(self) -> Any:
        if self._exception is not None:
            raise self._exception
        return self._result

    def __await__(self) -> Generator[Any, None, Any]:
        while not self._done:
            yield self
        return self.result()


class _Timer:
    def __init__(self, when: float, order: int, callback: Callable[[], object]) -> None:
        self.when = when
        self.order = order
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: _Timer) -> bool:
        return (self.when, self.order) < (other.when, other.order)


class VirtualLoop(Loop):
    """A loop whose turns and whose time the test takes by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        Loop.__init__(self)
        self._now = now
        self._order = 0
        self._ready: deque[Callable[[], object]] = deque()
        self._timers: list[_Timer] = []
        self.turns = 0

    def now(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._ready.append(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        self._order += 1
        timer = _Timer(when, self._order, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def create_waiter(self) -> VirtualWaiter:
        return VirtualWaiter()

    @property
    def timers(self) -> int:
        """Timers that were not cancelled."""
        return sum(timer.callback is not None for timer in self._timers)

    def turn(self) -> bool:
        """Run what is ready, and timers that are due; what these schedule waits for the next turn."""
        while self._timers and self._timers[0].when <= self._now:
            callback = heapq.heappop(self._timers).callback
            if callback is not None:
                self._ready.append(callback)
        if not self._ready:
            return False
        self.turns += 1
        for _ in range(len(self._ready)):
            self._ready.popleft()()
        return True

    def run(self, turns_max: int = _TURNS_MAX) -> int:
        """Turn until nothing is ready; returns the number of turns."""
        turns = 0
        while self.turn():
            turns += 1
            if turns >= turns_max:
                raise RuntimeError(f"still busy after {turns} turns")
        return turns

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping at each timer on the way."""
        end = self._now + seconds
        self.run()
        while self._timers and self._timers[0].when <= end:
            self._now = max(self._now, self._timers[0].when)
            self.run()
        self._now = end
        self.run()


class MemoryTransport(Transport):
    """One end of a pipe; made by ``pair``.

    Attributes:
        peer: the other end.
        sent: octets written so far; ``log`` holds them when it was set to a bytearray.
        writes: calls of ``write`` so far.
        ended: ``connection_lost`` was called.
    """

    def __init__(
        self,
        loop: Loop,
        driver: Driver,
        name: str,
        *,
        delay_s: float = 0.0,
        capacity_bytes: int | None = None,
        cuts: Iterator[int] | None = None,
    ) -> None:
        Transport.__init__(self)
        self.loop = loop
        self.driver = driver
        self.name = name
        self.delay_s = delay_s
        self.capacity_bytes = capacity_bytes
        self.cuts = cuts
        self.peer: MemoryTransport = self
        self.sent = 0
        self.writes = 0
        self.log: bytearray | None = None
        self.ended = False
        self.stalled = False
        self._pipe = bytearray()  # towards the peer
        self._eof = False
        self._eof_told = False
        self._closing = False
        self._paused_reading = False
        self._paused_writing = False
        self._scheduled = False

    def write(self, chunks: list[bytes | memoryview]) -> int:
        if not (self._eof or self._closing or self.ended):
            for chunk in chunks:
                self._pipe += chunk
                self.sent += len(chunk)
                if self.log is not None:
                    self.log += chunk
            self.writes += 1
            self._schedule()
            if self.capacity_bytes is not None and len(self._pipe) > self.capacity_bytes and not self._paused_writing:
                self._paused_writing = True
                self.driver.pause_writing()
        return self.buffered()

    def write_eof(self) -> None:
        self._eof = True
        self._schedule()

    def close(self) -> None:
        if not self._closing:
            self._closing = self._eof = True
            self._schedule()

    def abort(self) -> None:
        if not self.ended:
            self._pipe.clear()
            self._closing = self._eof = True
            self.loop.call_soon(lambda: self._lose(None))
            self.loop.call_soon(lambda: self.peer._lose(ConnectionResetError("reset by the other end")))

    def buffered(self) -> int:
        # Without a bound the pipe takes everything at once, as an endless socket buffer would.
        return 0 if self.capacity_bytes is None else max(0, len(self._pipe) - self.capacity_bytes)

    def pause_reading(self) -> None:
        self._paused_reading = True

    def resume_reading(self) -> None:
        self._paused_reading = False
        self.peer._schedule()

    def extra(self, name: str) -> Any:
        return {"sockname": (self.name, 0), "peername": (self.peer.name, 0)}.get(name)

    # -- what only tests do

    def cut(self, error: Exception | None = None) -> None:
        """The line breaks: what is on it is lost, both ends are told in the next turn."""
        for end in (self, self.peer):
            end._pipe.clear()
            failure = ConnectionResetError("the line was cut") if error is None else error
            self.loop.call_soon(lambda end=end, failure=failure: end._lose(failure))  # type: ignore[misc]

    def stall(self, stalled: bool = True) -> None:
        """Nothing of what this end writes arrives until ``stall(False)``."""
        self.stalled = stalled
        self._schedule()

    # -- delivery

    def _schedule(self) -> None:
        if not self._scheduled and not self.ended:
            self._scheduled = True
            if self.delay_s:
                self.loop.call_at(self.loop.now() + self.delay_s, self._deliver)
            else:
                self.loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """One read of the peer."""
        self._scheduled = False
        peer = self.peer
        if self.ended or self.stalled:
            return
        if self._pipe and not peer.ended:
            if peer._paused_reading:
                return
            view = peer.driver.get_buffer(-1)
            n = min(len(view), len(self._pipe), next(self.cuts, 1) if self.cuts is not None else len(self._pipe))
            view[:n] = self._pipe[:n]
            del self._pipe[:n]
            peer.driver.buffer_updated(n)
            if not self._pipe and self._paused_writing:
                self._paused_writing = False
                self.driver.resume_writing()
        if self._pipe and not peer.ended:
            self._schedule()
        elif self._eof:
            if not self._eof_told:
                self._eof_told = True
                if not peer.ended:
                    peer.driver.eof_received()
            if self._closing:
                self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if not self.ended:
            self.ended = True
            self.driver.connection_lost(error)


def pair(
    loop: Loop,
    client: Driver,
    server: Driver,
    *,
    delay_s: float = 0.0,
    capacity_bytes: int | None = None,
    cuts: Callable[[], Iterator[int]] | None = None,
) -> tuple[MemoryTransport, MemoryTransport]:
    """Join two drivers and attach both.

    Args:
        loop: of both drivers.
        delay_s: one way, of each delivery.
        capacity_bytes: what may be under way before writers are paused; None for any amount.
        cuts: makes, for each direction, the sizes at which the octets are cut into reads.
    """
    one = MemoryTransport(loop, client, "client", delay_s=delay_s, capacity_bytes=capacity_bytes, cuts=cuts() if cuts is not None else None)
    two = MemoryTransport(loop, server, "server", delay_s=delay_s, capacity_bytes=capacity_bytes, cuts=cuts() if cuts is not None else None)
    one.peer, two.peer = two, one
    server.attach(two)
    client.attach(one)
    return one, two
