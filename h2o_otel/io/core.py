"""What the halves of a driver share: the engine, the transport, the state of its life, and the timer.

A driver is one object in four files, each a subclass of the one before: ``core`` (this),
``writing`` (the output, and a socket that is full), ``reading`` (buffers, the kept tail, turns,
decrypting), ``driver`` (how it begins, how long it may take, how it ends).
"""

from __future__ import annotations

import logging
import math
from typing import Any

from ..counters import Counters, Trace
from ..limits import EngineLimits
from ..tls.pump import TLSPump
from ..tuning import Tuning
from .loop import Loop, Waiter

__all__ = ["CLOSED", "CLOSING", "HANDSHAKE", "NEW", "OPEN", "DriverCore"]

_logger = logging.getLogger("h2o_otel.io")

NEW, HANDSHAKE, OPEN, CLOSING, CLOSED = range(5)
"""Life of a driver, in order."""
_NEW, _OPEN, _CLOSING, _CLOSED = NEW, OPEN, CLOSING, CLOSED
_NOTHING_TRACED: list[Trace] = []


class DriverCore:
    """State of a driver; the calls at the end are what its halves ask of the ``Driver`` that they are part of."""

    def __init__(self, loop: Loop, limits: EngineLimits, role: int, tls: TLSPump | None, block: Counters, tuning: Tuning) -> None:
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
        self._state = _NEW
        self._slots = self.counters.slots
        self._tuning = tuning
        self._housekeeper = loop.housekeeper
        self._in_batch = False
        self._logged = False
        self._deadline = math.inf
        self._armed = math.inf
        self._timer: Any = None
        self._traced: list[Trace] = _NOTHING_TRACED

    @property
    def closing(self) -> bool:
        """No more frames will be sent or received."""
        return self._state >= _CLOSING

    @property
    def closed(self) -> bool:
        """The transport is gone."""
        return self._state == _CLOSED

    def _arm(self) -> None:
        """Have a timer no later than the next deadline.  One that is too early is left: it arms itself again when it fires."""
        deadline = self.connection.next_deadline() if self._state == _OPEN else self._deadline
        if deadline < self._armed:
            if self._timer is not None:
                self._timer.cancel()
            self._armed = deadline
            self._timer = self.loop.call_at(deadline, self._on_timer)

    def _log(self, error: Exception) -> None:
        """Once per connection, with the traceback: the cause is on this side."""
        if not self._logged:
            self._logged = True
            _logger.error("internal error on the connection with %s: it is closed", self.peername, exc_info=error)

    # -- what the halves ask of the whole

    def _on_timer(self) -> None:
        """The timer fired."""
        raise NotImplementedError

    def _shake(self) -> None:
        """Take the TLS handshake as far as what has arrived allows."""
        raise NotImplementedError

    def _refuse(self, error: Exception) -> None:
        """There will be no connection."""
        raise NotImplementedError

    def _peer_ended(self, error: Exception | None) -> None:
        """The peer sends nothing more, or takes nothing more."""
        raise NotImplementedError

    def _begin_close(self) -> None:
        """The engine is done, or there will be none: close within bounds."""
        raise NotImplementedError

    def _discard(self, n: int) -> None:
        """``n`` octets arrived after the end."""
        raise NotImplementedError

    def _failed(self, error: Exception) -> None:
        """A mistake of ours or of a handler."""
        raise NotImplementedError
