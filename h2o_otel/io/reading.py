"""The reading half of a driver: the lent buffer, records into frames, the octets that wait, and whose turn it is.

All connections of a loop are lent the same buffer.  What one read leaves unparsed (an incomplete
frame, or the frames of a turn that was cut short) is kept in a block of the pool, the tail, and
put in front of what comes next.
"""

from __future__ import annotations

from .. import _mem, counters
from ..buffers.pool import TAIL, Buffer, local_pool
from ..counters import TLS_DECRYPT, Counters
from ..errors import ReadError
from ..limits import EngineLimits
from ..tls.pump import TLSPump
from ..tuning import Tuning
from .core import CLOSING, HANDSHAKE, OPEN
from .loop import LentBuffer, Loop
from .writing import WritingHalf

__all__ = ["ReadingHalf"]

_TRANSFERRED = counters.slot("io_transferred")
_READS = counters.slot("io_operations") + counters.RECV * len(counters.IO_RESULTS)
_FULL, _PARTIAL, _EOF = (counters.IO_RESULTS.index(name) for name in ("full", "partial", "eof"))
_YIELDS = counters.slot("io_yields")
_COPIED_TAIL = counters.slot("buffer_copied") + counters.COPY_REASONS.index("tail")
_TAIL = TAIL
_FRAME_HEADER_BYTES = 9
_TLS_DECRYPT = TLS_DECRYPT
_HANDSHAKE, _OPEN, _CLOSING = HANDSHAKE, OPEN, CLOSING


class ReadingHalf(WritingHalf):
    """Everything that comes from the transport."""

    def __init__(self, loop: Loop, limits: EngineLimits, role: int, tls: TLSPump | None, block: Counters, tuning: Tuning) -> None:
        WritingHalf.__init__(self, loop, limits, role, tls, block, tuning)
        self._read_sizes = block.histogram("io_size", counters.RECV)
        self._received = _TRANSFERRED + role * 2 + counters.RECV
        self._read_bytes = min(limits.read_buffer_bytes, limits.turn_bytes_max)
        self._pool = local_pool(self.counters, tuning, limits.buffer_cache_bytes_max)
        self._reuse = tuning.buffer_reuse
        self._tail: Buffer | None = None
        self._tail_size = 0
        self._turn_s = limits.turn_s_max
        self._streak_since = 0.0
        # Frames of a turn that was cut short wait in the tail; reading is paused, and an end of file waits behind them.
        self._yielded = False
        self._eof_waits = False
        self._peer_eof = False
        loop.reserve(self._read_bytes + limits.frame_bytes_max + _FRAME_HEADER_BYTES, self._read_bytes if tls is not None else 0)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next read goes.  May be called with no read following, so the kept tail is copied and not dropped."""
        size = self._read_bytes
        if not self._reuse:
            self.loop.renew()
        if self._pump is not None or self._state != _OPEN:
            buffer = self.loop.cipher
            return buffer.view if buffer.size == size else buffer.view[:size]
        kept = self._tail_size
        buffer = self.loop.plain
        if buffer.size < kept + size:
            self.loop.reserve(kept + size, 0)
            buffer = self.loop.plain
        if kept:
            self._untail(buffer)
        return buffer.view[kept : kept + size]

    def buffer_updated(self, n: int) -> None:
        """``n`` octets are where ``get_buffer`` said."""
        self.now = self.loop.now()
        full = n >= self._read_bytes
        self._slots[self._received] += n
        self._slots[_READS + (_FULL if full else _PARTIAL)] += 1
        self._read_sizes.record(n)
        if self._state >= _CLOSING:
            self._discard(n)
            return
        try:
            if self._pump is None:
                self._in_batch = True
                self._parse(self.loop.plain, self._tail_size + n)
                self.handler.batch_finished(self.now)
                self._in_batch = False
                self._flush()
            else:
                self._decrypt(n)
            if full:
                self._check_turn()
            else:
                self._streak_since = 0.0
        except Exception as error:
            self._failed(error)

    def _parse(self, buffer: LentBuffer, end: int) -> None:
        """Give ``buffer[:end]`` to the engine and keep what it leaves: an incomplete frame, or the frames of the next turn."""
        start = 0
        while start < end:
            connection = self.connection
            start += connection.receive_into(buffer.memory, start, end, self.now)
            if connection is not self.connection:
                continue
            if start == end or not connection.turn_over or self._turn_is_over():
                break
        kept = end - start
        if kept and self.connection.closed:
            kept = 0
        if kept or self._tail_size:
            self._keep(buffer, start, kept)

    def _decrypt(self, n: int) -> None:
        """Records in, frames out: handshake first, then every record that is complete."""
        pump = self._pump
        if n:
            pump.feed(self.loop.cipher.view[:n])
            pump.count(self.loop.cipher.memory, n)
        if self._state == _HANDSHAKE:
            self._shake()
        if self._state != _OPEN:
            return
        self._in_batch = True
        buffer = self.loop.plain
        got = 1
        error = None
        waits = n == 0
        while got > 0 and self._tail_size < buffer.size and not self._yielded:
            kept = end = self._tail_size
            if kept:
                self._untail(buffer)
            started_ns = _mem.now_ns()
            try:
                while got > 0 and end < buffer.size:
                    got = pump.read_into(buffer.view, end, buffer.size)
                    if got > 0:
                        end += got
            except ReadError as caught:
                error = caught
                got = -1
            if end > kept or waits:
                waits = False
                decrypted_ns = _mem.now_ns()
                self._parse(buffer, end)
                for trace in self._traced:
                    trace.mark(_TLS_DECRYPT, started_ns, decrypted_ns)
        if got == 0:
            barren = pump.barren()
            if barren:
                self.connection.barren_records(barren, self.now)
        self.handler.batch_finished(self.now)
        self._in_batch = False
        self._flush()
        self._write_records()
        if got < 0 and not self._yielded:
            self._peer_ended(error)

    def eof_received(self) -> None:
        """The peer will send nothing more."""
        if self._yielded:
            self._eof_waits = True
            return
        self.now = self.loop.now()
        self._slots[_READS + _EOF] += 1
        try:
            self._peer_eof = True
            if self._state == _HANDSHAKE:
                self._refuse(self._pump.peer_closed(self.now))
            elif self._state == _OPEN:
                truncated = self._pump is not None and not self._pump.close_notify_received
                self._peer_ended(ReadError("the TLS connection ended without close_notify: truncated") if truncated else None)
            elif self.transport is not None:
                self.transport.close()
        except Exception as error:
            self._failed(error)

    # -- the tail: what one read left unparsed

    def _keep(self, buffer: LentBuffer, start: int, kept: int) -> None:
        """Keep ``kept`` octets from ``start`` until the next read, in a pooled block; 0 gives the block back."""
        tail = self._tail
        if tail is not None and (kept == 0 or tail.size < kept):
            self._tail = None
            self._pool.release(tail)
            tail = None
        if kept:
            if tail is None:
                tail = self._pool.acquire(kept, _TAIL)
                self._tail = tail
            _mem.copy(tail.mem, 0, tail.size, buffer.memory, start, kept, buffer.size)
            self._slots[_COPIED_TAIL] += kept
        self._tail_size = kept

    def _untail(self, buffer: LentBuffer) -> None:
        """Put the kept octets in front of those that are about to come; they stay kept, since none may come."""
        tail = self._tail
        if tail is not None:
            _mem.copy(buffer.memory, 0, buffer.size, tail.mem, 0, self._tail_size, tail.size)

    def _drop_tail(self) -> None:
        if self._tail_size:
            self._keep(self.loop.plain, 0, 0)

    # -- turns: other connections of the loop want to be read, too

    def _check_turn(self) -> None:
        """A transport that reads on without returning to the loop gets ``turn_s_max``, then the others have theirs."""
        if self.transport is None or not self.transport.greedy or self._yielded:
            return
        if self._streak_since == 0.0:
            self._streak_since = self.now
        elif self.loop.now() - self._streak_since >= self._turn_s:
            self._streak_since = 0.0
            self.transport.pause_reading()
            self.loop.call_soon(self._next_turn)

    def _turn_is_over(self) -> bool:
        """The engine has parsed what it does at once: go on only while this turn is young.

        Which others are ready is not known here, so the connection queues behind all of them, at
        the price of one turn of the loop in ``turn_s_max``.
        """
        # What the frames asked for is begun first, so that its time counts, too.
        self.handler.batch_finished(self.now)
        if self.loop.now() - self.now < self._turn_s or self.transport is None:
            return False
        self._yielded = True
        self._slots[_YIELDS + self.role] += 1
        self.transport.pause_reading()
        self.loop.call_soon(self._next_turn)
        return True

    def _next_turn(self) -> None:
        """The others have had their turn."""
        if self.transport is None:
            return
        if self._yielded:
            self.now = self.loop.now()
            try:
                self._go_on()
            except Exception as error:
                self._failed(error)
            if self._yielded or self.transport is None:
                return
        self.transport.resume_reading()
        if self._eof_waits:
            self._eof_waits = False
            self.eof_received()

    def _go_on(self) -> None:
        """Parse what waits in the tail since the turn that was cut short."""
        self._yielded = False
        if self._state != _OPEN:
            return
        if self._pump is not None:
            self._decrypt(0)
            return
        kept = self._tail_size
        buffer = self.loop.plain
        self._untail(buffer)
        self._in_batch = True
        self._parse(buffer, kept)
        self.handler.batch_finished(self.now)
        self._in_batch = False
        self._flush()
