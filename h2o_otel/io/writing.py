"""The writing half of a driver: one write for what the engine has queued, and what happens when the socket is full.

A batch (one read parsed, time let pass) ends with a write; what is queued outside of one is
written at the end of the loop's turn.
"""

from __future__ import annotations

from .. import _mem, counters
from ..counters import IO_FLUSH, TLS_ENCRYPT, Counters
from ..errors import WriteError
from ..limits import EngineLimits
from ..tls.pump import TLSPump
from ..tuning import Tuning
from .core import CLOSED, OPEN, DriverCore
from .loop import Loop

__all__ = ["WritingHalf"]

_TRANSFERRED = counters.slot("io_transferred")
_WRITES = counters.slot("io_operations") + counters.SEND * len(counters.IO_RESULTS)
_FULL, _PARTIAL, _WOULD_BLOCK = (counters.IO_RESULTS.index(name) for name in ("full", "partial", "would_block"))
_WRITE_QUEUE = counters.slot("io_write_queue_size")
_PAUSES = counters.slot("io_pauses")
_TLS_ENCRYPT, _IO_FLUSH = TLS_ENCRYPT, IO_FLUSH
_OPEN, _CLOSED = OPEN, CLOSED
# How often a transport is asked whether it is empty, where its loop did not say that it is full.
_DRAIN_CHECK_S = 0.01


class WritingHalf(DriverCore):
    """Everything that goes to the transport."""

    def __init__(self, loop: Loop, limits: EngineLimits, role: int, tls: TLSPump | None, block: Counters, tuning: Tuning) -> None:
        DriverCore.__init__(self, loop, limits, role, tls, block, tuning)
        self._write_sizes = block.histogram("io_size", counters.SEND)
        self._pause_durations = block.histogram("io_pause_duration", role)
        self._sent = _TRANSFERRED + role * 2 + counters.SEND
        self._high_water = limits.output_high_water_bytes
        self._woken = False
        self._writing_paused = False
        self._paused_at = 0.0
        self._queued = 0

    def wake(self) -> None:
        """Something was queued: write it at the end of this turn, once.  In a batch nothing is to be done, it ends with a write."""
        if not self._in_batch and not self._woken and self._state == _OPEN:
            self._woken = True
            self.loop.call_soon(self._wake)

    def _wake(self) -> None:
        self._woken = False
        self.flush()

    def flush(self) -> None:
        """Write what is queued now.  Inside a batch this is left to its end."""
        if self._in_batch or self._state != _OPEN:
            return
        self.now = self.loop.now()
        try:
            self._flush()
        except Exception as error:
            self._failed(error)

    def _flush(self) -> None:
        if self._state != _OPEN:
            return
        connection = self.connection
        if self._housekeeper.resting:
            self._housekeeper.stir()
        if not self._writing_paused:
            # Callbacks of the pump may queue more, which this write takes along.
            self._in_batch = True
            connection.pump(self.now)
            self._in_batch = False
        size = connection.out_size()
        if size:
            started_ns = _mem.now_ns() if self._traced else 0
            chunks = connection.chunks_to_send()
            if self._pump is None:
                self._write(chunks, size)
            else:
                try:
                    self._pump.write(chunks)
                except WriteError as error:
                    self._peer_ended(error)
                    return
                if self._traced:
                    started_ns = self._mark(_TLS_ENCRYPT, started_ns)
                self._write_records()
            if self._traced:
                self._mark(_IO_FLUSH, started_ns)
            if size >= self._high_water and not self._writing_paused:
                # The pump stopped at its bound, not for want of data: go on next turn.
                self.wake()
        if self._traced:
            self._traced.clear()
        if connection.closed:
            self._begin_close()
        else:
            self._arm()

    def _mark(self, layer: int, started_ns: int) -> int:
        """A mark for every traced stream that this read or write worked for; returns the time."""
        now_ns = _mem.now_ns()
        for trace in self._traced:
            trace.mark(layer, started_ns, now_ns)
        return now_ns

    def _write(self, chunks: list[bytes | memoryview], size: int) -> None:
        transport = self.transport
        left = transport.write(chunks)
        self._slots[self._sent] += size
        self._slots[_WRITES + (_FULL if left == 0 else _PARTIAL if left < self._queued + size else _WOULD_BLOCK)] += 1
        self._write_sizes.record(size)
        if left != self._queued:
            self._slots[_WRITE_QUEUE + self.role] += left - self._queued
            self._queued = left
        if left > transport.high_water_bytes and not self._writing_paused:
            # The loop has not said that the socket is full, so it may not say either when it is empty.
            self.pause_writing()
            self._check_drained()

    def _check_drained(self) -> None:
        """Resume writing once the transport is empty, or look again a little later."""
        if self._state == _CLOSED or not self._writing_paused:
            return
        if self.transport.buffered():
            self.loop.call_at(self.loop.now() + _DRAIN_CHECK_S, self._check_drained)
        else:
            self.resume_writing()

    def _write_records(self) -> None:
        """Send the TLS records that are ready."""
        if self._pump is not None and self.transport is not None:
            records = self._pump.output()
            if records:
                size = 0
                for piece in records:
                    size += len(piece)
                self._write(records, size)

    def pause_writing(self) -> None:
        """The socket is full."""
        if self._writing_paused:
            return
        self._writing_paused = True
        self._paused_at = self.loop.now()
        self._slots[_PAUSES + self.role] += 1
        if self._state == _OPEN:
            self.connection.pause_output()
            self.handler.writing_paused()

    def resume_writing(self) -> None:
        """The socket took everything."""
        if not self._writing_paused:
            return
        self._writing_paused = False
        self.now = self.loop.now()
        self._pause_durations.record(self.now - self._paused_at)
        self._slots[_WRITE_QUEUE + self.role] -= self._queued
        self._queued = 0
        if self._state != _OPEN:
            return
        try:
            self._in_batch = True
            self.connection.resume_output(self.now)
            self.handler.writing_resumed()
            self._in_batch = False
            self._flush()
        except Exception as error:
            self._failed(error)
