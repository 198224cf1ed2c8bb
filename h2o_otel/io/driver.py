"""The driver binds one connection engine to one transport, with TLS between them when asked.

It reads the clock, owns the timer, and turns socket events into calls of the engine: one parse
and at most one write per read.  It knows nothing of requests; what it tells the layer above
goes through a ``DriverHandler``.  All of it runs on the loop's thread.

This file owns its life: the handshake, the deadlines, and every way it can end.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .. import counters
from ..counters import Counters
from ..errors import ConnectError, ErrorCode
from ..limits import EngineLimits
from ..memory.budget import TLS, TLS_BYTES
from ..protocol.engine import Engine
from ..tls.pump import TLSHandshakeError, TLSPump
from ..tuning import Tuning
from .core import CLOSED, CLOSING, HANDSHAKE, OPEN
from .handler import DriverHandler
from .loop import Loop
from .reading import ReadingHalf
from .transport import Transport

__all__ = ["Driver"]

_READ_ERRORS = counters.slot("io_operations") + counters.RECV * len(counters.IO_RESULTS) + counters.IO_RESULTS.index("error")
_WRITE_QUEUE = counters.slot("io_write_queue_size")
_INTERNAL_ERROR = int(ErrorCode.INTERNAL_ERROR)
_HANDSHAKE, _OPEN, _CLOSING, _CLOSED = HANDSHAKE, OPEN, CLOSING, CLOSED


class Driver(ReadingHalf):
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
        limits: EngineLimits,
        setup: Callable[[Driver], object],
        *,
        role: int,
        tls: TLSPump | None = None,
        block: Counters | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        block = counters.local() if block is None else block
        tuning = Tuning() if tuning is None else tuning
        ReadingHalf.__init__(self, loop, limits, role, tls, block, tuning)
        self._setup = setup
        self._drained = 0
        self._ended = False

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
        self._traced = connection.traced
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

    # -- time

    def _on_timer(self) -> None:
        self._timer = None
        self._armed = math.inf
        self.now = self.loop.now()
        try:
            if self._state == _OPEN:
                self._in_batch = True
                if self._writing_paused:
                    self.connection.unsent = self.transport.unacknowledged()
                self.connection.tick(self.now)
                self.handler.batch_finished(self.now)
                self._in_batch = False
                if self.connection.out_size() or self.connection.queued or self.connection.closed:
                    self._flush()
                else:
                    # Nothing came of it, so it is no activity that the housekeeper has to clean up after.
                    self._arm()
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
            if self._state == _OPEN and self.connection is not None:
                self.connection.close(code, self.now)
                if not self._in_batch:
                    self._flush()
            elif self._state < _CLOSING:
                self.abort()
        except Exception as error:
            self._failed(error)

    def abort(self) -> None:
        """Drop the connection without a word; ``connection_lost`` follows in a later turn."""
        if self.transport is not None:
            self.transport.abort()

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
            self.transport.resume_reading()
        if self._peer_eof or self._eof_waits:
            self.transport.close()
        else:
            try:
                self.transport.write_eof()
            except (OSError, RuntimeError):
                self.transport.close()
        self._arm()

    def _discard(self, n: int) -> None:
        """What arrives after the end is read and dropped within bounds: closing with unread input would reset the GOAWAY away."""
        self._drained += n
        if self._drained > self.limits.close_drain_bytes:
            self._cut()

    def _cut(self) -> None:
        """The peer had its time: close, and let what it would not take go."""
        if self.transport is not None:
            if self.transport.buffered():
                self.transport.abort()
            else:
                self.transport.close()

    def _peer_ended(self, error: Exception | None) -> None:
        """An HTTP/2 peer that sends nothing more grants no more window either: all is over."""
        if self._state != _OPEN:
            return
        if error is not None and self.error is None:
            self.error = error
        self._peer_eof = True
        self._end_engine(error)
        self._begin_close()

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
            self._slots[_READ_ERRORS] += 1
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

    # -- failing

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
