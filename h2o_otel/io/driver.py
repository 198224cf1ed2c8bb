"""The driver binds one connection engine to one transport, with TLS between them when asked.

It reads the clock, owns the timer, and turns socket events into calls of the engine: one parse
and at most one write per read.  It knows nothing of requests; what it tells the layer above
goes through a ``DriverHandler``.  All of it runs on the loop's thread.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Protocol

from .. import _mem, counters
from ..buffers.pool import TAIL, Buffer, local_pool
from ..counters import IO_FLUSH, TLS_DECRYPT, TLS_ENCRYPT, Counters, Trace
from ..errors import ConnectError, ErrorCode, ReadError, WriteError
from ..limits import Limits
from ..memory.budget import TLS, TLS_BYTES
from ..protocol.handler import Handler
from ..tls.pump import TLSHandshakeError, TLSPump
from ..tuning import Tuning
from .loop import LentBuffer, Loop, Waiter
from .transport import Transport

__all__ = ["Driver", "DriverHandler", "Engine"]

_logger = logging.getLogger("h2o_otel.io")

_TRANSFERRED = counters.slot("io_transferred")
_OPERATIONS = counters.slot("io_operations")
_RESULTS = len(counters.IO_RESULTS)
_READS = _OPERATIONS + counters.RECV * _RESULTS
_WRITES = _OPERATIONS + counters.SEND * _RESULTS
_FULL, _PARTIAL, _WOULD_BLOCK, _EOF, _ERROR = range(5)
_WRITE_QUEUE = counters.slot("io_write_queue_size")
_PAUSES = counters.slot("io_pauses")
_YIELDS = counters.slot("io_yields")
_COPIED_TAIL = counters.slot("buffer_copied") + counters.COPY_REASONS.index("tail")
_TAIL = TAIL
_FRAME_HEADER_BYTES = 9
_INTERNAL_ERROR = int(ErrorCode.INTERNAL_ERROR)

# Life of a driver.
_TLS_ENCRYPT, _TLS_DECRYPT, _IO_FLUSH = TLS_ENCRYPT, TLS_DECRYPT, IO_FLUSH
_NOTHING_TRACED: list[Trace] = []
_NEW, _HANDSHAKE, _OPEN, _CLOSING, _CLOSED = range(5)


class Engine(Protocol):
    """What a driver needs of a connection engine; ``protocol.connection.Connection`` is one."""

    @property
    def started(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    def start(self, now: float) -> None: ...
    def receive_into(self, buffer: bytearray, start: int, end: int, now: float) -> int: ...
    @property
    def turn_over(self) -> bool:
        """``receive_into`` stopped before the end of what it could parse, so that others have their turn."""
        ...

    def connection_lost(self, error: Exception | None, now: float) -> None: ...
    def out_size(self) -> int: ...
    def chunks_to_send(self) -> list[bytes | memoryview]: ...
    def pump(self, now: float) -> None: ...
    def pause_output(self) -> None: ...
    def resume_output(self, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def next_deadline(self) -> float: ...
    def close(self, code: int, now: float, debug: bytes = b"") -> None: ...


class DriverHandler(Handler):
    """What a driver tells the layer above, beside the calls of the engine; defaults do nothing."""

    def connection_made(self, driver: Driver) -> None:
        """The driver was bound to this handler; octets flow from here on."""

    def batch_finished(self, now: float) -> None:
        """All octets of one read were parsed (or time was let pass); what is sent from here goes out in the same write."""

    def writing_paused(self) -> None:
        """The socket is full: bodies are queued from here on."""

    def writing_resumed(self) -> None:
        """The socket took everything."""

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone; called once, last, after every open stream was told."""


class Driver:
    """One connection on one transport.

    Args:
        loop: the loop that the transport runs on.
        limits: bounds of reading, closing and the handshake.
        setup: called once octets can flow (after the TLS handshake); must call ``bind``.
        role: ``counters.CLIENT`` or ``counters.SERVER``.
        tls: the record pump, or None for cleartext.
        block: counters to add to; the calling thread's by default.
        tuning: switches of the buffers and of the memory.

    Attributes:
        connection, handler: what ``bind`` was given, None before.
        transport: None before ``attach`` and after the end.
        peername, sockname: addresses as the transport names them.
        ready: set it to a waiter to be told of the end of ``setup``, or why it was not reached.
        error: why the connection ended early, None otherwise.
        now: the clock as of the current batch.
        closed: the transport is gone.
    """

    def __init__(
        self,
        loop: Loop,
        limits: Limits,
        setup: Callable[[Driver], object],
        *,
        role: int,
        tls: TLSPump | None = None,
        block: Counters | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        block = counters.local() if block is None else block
        tuning = Tuning() if tuning is None else tuning
        self.loop = loop
        self.limits = limits
        self.role = role
        self.tls: Any = tls
        self._pump: Any = tls
        self.counters = block
        self.connection: Any = None
        self.handler: Any = None
        self.transport: Any = None
        self.peername: Any = None
        self.sockname: Any = None
        self.ready: Waiter | None = None
        self.error: Exception | None = None
        self.now = 0.0
        self._setup = setup
        self._state = _NEW
        self._slots = self.counters.slots
        self._read_sizes = block.histogram("io_size", counters.RECV)
        self._write_sizes = block.histogram("io_size", counters.SEND)
        self._pause_durations = block.histogram("io_pause_duration", role)
        self._received = _TRANSFERRED + role * 2 + counters.RECV
        self._sent = _TRANSFERRED + role * 2 + counters.SEND
        self._read_bytes = min(limits.read_buffer_bytes, limits.turn_bytes_max)
        self._high_water = limits.output_high_water_bytes
        self._turn_s = limits.turn_s_max
        self._streak_since = 0.0
        # Frames of a turn that was cut short wait in the tail, reading is paused, and an end of file waits behind them.
        self._yielded = False
        self._eof_waits = False
        self._pool = local_pool(self.counters, tuning, limits.buffer_cache_bytes_max)
        self._tuning = tuning
        self._reuse = tuning.buffer_reuse
        self._housekeeper = loop.housekeeper
        self._tail: Buffer | None = None
        self._tail_size = 0
        self._in_batch = False
        self._woken = False
        self._writing_paused = False
        self._reading_paused = False
        self._peer_eof = False
        self._logged = False
        self._paused_at = 0.0
        self._queued = 0
        self._drained = 0
        self._ended = False
        self._deadline = math.inf
        self._armed = math.inf
        self._timer: Any = None
        self._traced: list[Trace] = _NOTHING_TRACED
        loop.reserve(self._read_bytes + limits.frame_bytes_max + _FRAME_HEADER_BYTES, self._read_bytes if tls is not None else 0)

    # -- beginning

    def attach(self, transport: Transport) -> None:
        """The transport is connected: handshake, if there is TLS, then ``setup``."""
        self.transport = transport
        self.peername = transport.extra("peername")
        self.sockname = transport.extra("sockname")
        self.now = self.loop.now()
        self._housekeeper.join(self, self.limits, self._tuning)
        try:
            if self._pump is None:
                self._open()
                return
            self.counters.add("memory_usage", TLS, TLS_BYTES)
            self._state = _HANDSHAKE
            self._deadline = self.now + self.limits.tls_handshake_timeout_s
            self._arm()
            self._pump.start(self.now)
            self._shake()
        except Exception as error:
            self._failed(error)

    def bind(self, connection: Engine, handler: DriverHandler) -> None:
        """Use ``connection``, telling ``handler``; a later call replaces both, and what is still unparsed goes to the new one."""
        self.connection = connection
        self.handler = handler
        # The engine's own list, empty unless something is traced at level ``detail``.
        self._traced = getattr(connection, "traced", _NOTHING_TRACED)
        if not connection.started:
            connection.start(self.now)
        if self._writing_paused:
            connection.pause_output()
        handler.connection_made(self)

    def _open(self) -> None:
        self._state = _OPEN
        self._deadline = math.inf
        self._in_batch = True
        self._setup(self)
        if self.connection is None:
            raise RuntimeError("setup() of a driver must call bind()")
        self._in_batch = False
        self._flush()
        if self.ready is not None and not self.ready.done():
            self.ready.set_result(None)

    def _shake(self) -> None:
        """Take the handshake as far as what has arrived allows."""
        try:
            done = self._pump.handshake(self.now)
        except TLSHandshakeError as error:
            self._refuse(error)
            return
        if done:
            self._open()
        self._write_records()

    def _refuse(self, error: Exception) -> None:
        """There will be no connection; whoever waits for it learns why."""
        self.error = error
        if self.ready is not None and not self.ready.done():
            self.ready.set_exception(error)
        self._begin_close()

    # -- reading

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

    def _decrypt(self, n: int) -> None:
        """Records in, frames out: handshake first, then every record that is complete."""
        pump = self._pump
        if n:
            pump.feed(self.loop.cipher.view[:n])
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
        self.handler.batch_finished(self.now)
        self._in_batch = False
        self._flush()
        self._write_records()
        if got < 0 and not self._yielded:
            self._peer_ended(error)

    def _check_turn(self) -> None:
        """A transport that reads on without returning to the loop gets ``turn_s_max``, then the others have theirs."""
        if self.transport is None or not self.transport.greedy or self._reading_paused or self._yielded:
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
        if not self._reading_paused:
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
        if not self._reading_paused:
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

    def _discard(self, n: int) -> None:
        """What arrives after the end is read and dropped within bounds: closing with unread input would reset the GOAWAY away."""
        self._drained += n
        if self._drained > self.limits.close_drain_bytes:
            self._cut()

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

    def _peer_ended(self, error: Exception | None) -> None:
        """An HTTP/2 peer that sends nothing more grants no more window either: all is over."""
        if self._state != _OPEN:
            return
        if error is not None and self.error is None:
            self.error = error
        self._peer_eof = True
        self._end_engine(error)
        self._begin_close()

    def pause_reading(self) -> None:
        """Read nothing until ``resume_reading``; for engines without flow control of their own."""
        if self.transport is not None and not self._reading_paused:
            self._reading_paused = True
            if not self._yielded:
                self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo ``pause_reading``."""
        if self.transport is not None and self._reading_paused:
            self._reading_paused = False
            if not self._yielded:
                self.transport.resume_reading()

    # -- writing

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
        left = self.transport.write(chunks)
        self._slots[self._sent] += size
        self._slots[_WRITES + (_FULL if left == 0 else _PARTIAL if left < self._queued + size else _WOULD_BLOCK)] += 1
        self._write_sizes.record(size)
        if left != self._queued:
            self._slots[_WRITE_QUEUE + self.role] += left - self._queued
            self._queued = left

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

    # -- time

    def _arm(self) -> None:
        """Have a timer no later than the next deadline.  One that is too early is left: it arms itself again when it fires."""
        deadline = self.connection.next_deadline() if self._state == _OPEN else self._deadline
        if deadline < self._armed:
            if self._timer is not None:
                self._timer.cancel()
            self._armed = deadline
            self._timer = self.loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._armed = math.inf
        self.now = self.loop.now()
        try:
            if self._state == _OPEN:
                self._in_batch = True
                self.connection.tick(self.now)
                self.handler.batch_finished(self.now)
                self._in_batch = False
                self._flush()
            elif self.now < self._deadline:
                self._arm()
            elif self._state == _HANDSHAKE:
                self._refuse(self._pump.timed_out(self.now, self.limits.tls_handshake_timeout_s))
            elif self._state == _CLOSING:
                self._cut()
        except Exception as error:
            self._failed(error)

    # -- the end

    def close(self, code: int = 0) -> None:
        """End the connection with GOAWAY ``code``: open streams fail, what is queued is sent, then the socket closes."""
        self.now = self.loop.now() if not self._in_batch else self.now
        try:
            if self._state == _OPEN:
                self.connection.close(code, self.now)
                if not self._in_batch:
                    self._flush()
            elif self._state == _NEW or self._state == _HANDSHAKE:
                self.abort()
        except Exception as error:
            self._failed(error)

    def abort(self) -> None:
        """Drop the connection without a word; ``connection_lost`` follows in a later turn."""
        if self.transport is not None:
            self.transport.abort()

    @property
    def closing(self) -> bool:
        """No more frames will be sent or received."""
        return self._state >= _CLOSING

    @property
    def closed(self) -> bool:
        """The transport is gone."""
        return self._state == _CLOSED

    def _begin_close(self) -> None:
        """Half-close, then read and drop for a while, so that the kernel does not reset what was just sent."""
        if self.transport is None or self._state >= _CLOSING:
            return
        self._state = _CLOSING
        self._deadline = self.now + self.limits.close_drain_s
        self._drop_tail()
        if self._pump is not None:
            self._pump.close()
            self._write_records()
        if self._yielded:
            self._yielded = False
            if not self._reading_paused:
                self.transport.resume_reading()
        if self._reading_paused:
            self.resume_reading()
        if self._peer_eof or self._eof_waits:
            self.transport.close()
        else:
            try:
                self.transport.write_eof()
            except (OSError, RuntimeError):
                self.transport.close()
        self._arm()

    def _cut(self) -> None:
        """The peer had its time: close, and let what it would not take go."""
        if self.transport is not None:
            if self.transport.buffered():
                self.transport.abort()
            else:
                self.transport.close()

    def _end_engine(self, error: Exception | None) -> None:
        if self.connection is not None and not self._ended:
            self._ended = True
            self._in_batch = True
            self.connection.connection_lost(error, self.now)
            self._in_batch = False

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone: whatever is open fails, once."""
        if self._state == _CLOSED:
            return
        self.now = self.loop.now()
        self._read_out()
        self._state = _CLOSED
        self._drop_tail()
        self._housekeeper.leave(self)
        if self._pump is not None:
            self.counters.add("memory_usage", TLS, -TLS_BYTES)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slots[_WRITE_QUEUE + self.role] -= self._queued
        self._queued = 0
        if error is not None:
            self._slots[_READS + _ERROR] += 1
            if self.error is None:
                self.error = error
        try:
            if self._pump is not None:
                self._pump.lost(self.now)
            self._end_engine(error)
            if self.handler is not None:
                self.handler.connection_lost(error)
        except Exception as failure:
            self._log(failure)
        if self.ready is not None and not self.ready.done():
            failed = ConnectError("the connection was lost before it was ready" + (f": {error}" if error is not None else ""))
            failed.__cause__ = error
            self.ready.set_exception(failed)
        self.transport = None
        self._in_batch = False

    def _read_out(self) -> None:
        """What arrived before the end counts, however long it had to wait for its turn."""
        try:
            if self._yielded:
                # One that takes what is written and does nothing with it.
                self.transport = Transport()
                self._turn_s = math.inf
                self._go_on()
        except Exception as error:
            self._yielded = False
            self._log(error)

    def _failed(self, error: Exception) -> None:
        """A mistake of ours or of a handler ends this connection, and nothing else."""
        self._in_batch = False
        self._log(error)
        if self.error is None:
            self.error = error
        try:
            if self.ready is not None and not self.ready.done():
                self.ready.set_exception(error)
            if self._state == _OPEN and self.connection is not None:
                self.connection.close(_INTERNAL_ERROR, self.now, b"internal error")
                self._flush()
            else:
                self._begin_close()
        except Exception as failure:
            self._log(failure)
            self.abort()

    def _log(self, error: Exception) -> None:
        """Once per connection, with the traceback: the cause is on this side."""
        if not self._logged:
            self._logged = True
            _logger.error("internal error on the connection with %s: it is closed", self.peername, exc_info=error)
