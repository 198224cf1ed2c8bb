"""The client's end of one connection: the engine's calls sorted to their exchanges, deadlines, and the pool's view.

One timer per connection serves the deadlines of all its exchanges.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from .. import counters
from ..counters import Counters, Trace
from ..errors import ConnectionTerminated, ErrorCode, StreamReset
from ..frames.types import SettingCode
from ..io.driver import Driver
from ..io.loop import Loop, Waiter
from ..limits import Limits
from ..pool.origin import Origin
from ..protocol import make_connection
from ..protocol.config import DEFAULT_TUNING, client_config
from ..streams.stream import Stream
from ..tuning import Tuning
from .content import Body
from .exchange import Carrier, Exchange
from .headers import Pairs

__all__ = ["ClientProtocol"]

_NEVER = math.inf
_MAX_CONCURRENT_STREAMS = int(SettingCode.MAX_CONCURRENT_STREAMS)
# Until the peer's SETTINGS are here, open no more than RFC 9113 section 6.5.2 recommends peers to allow.
_STREAMS_ASSUMED = 100
_STREAMS_UNLIMITED = 2**31 - 1
_WRITE_LOOKS = 4
_CLOSE_NO_ERROR = int(ErrorCode.NO_ERROR)
_ENHANCE_YOUR_CALM = int(ErrorCode.ENHANCE_YOUR_CALM)
# What servers say in GOAWAY to clients whose PINGs come too often: gRPC's since its proposal A8, and ours.
_TOO_MANY_PINGS = b"too_many_pings"

_ids = itertools.count(1)


class ClientProtocol(Carrier):
    """One connection of a client.

    Args:
        loop: that it runs on.
        origin: whom it is connected to.
        limits: every bound.
        engine: "native", "h2", or None for the environment's choice.
        log: bound to this client's events, or None.
        block: counters to add to.
        tuning: which optimisations are on.

    Attributes:
        driver: None until the connection is made.
        phases: seconds spent in "dns", "tcp", "tls" and "settings", as far as they took place.
        setup_span: of the connection's setup, None without tracing.
        opened_at: seconds on the loop's clock.
    """

    def __init__(
        self,
        loop: Loop,
        origin: Origin,
        limits: Limits,
        engine: str | None,
        log: Any = None,
        block: Counters | None = None,
        tuning: Tuning = DEFAULT_TUNING,
    ) -> None:
        connection = make_connection(engine, client_config(limits, tuning=tuning), self, block)
        Carrier.__init__(self, next(_ids), loop, connection, limits, counters.local() if block is None else block)
        self.origin = origin
        self.driver: Any = None
        self.phases: dict[str, float] = {}
        self.setup_span: Any = None
        self.opened_at = 0.0
        self.streams_max = _STREAMS_ASSUMED
        self._opened_ns = 0
        self._keepalive_s = _NEVER if limits.keepalive_expiry is None else limits.keepalive_expiry
        self._log = log
        self._settings_seen = False
        self._reason = ""
        self._closing = False
        self._gone = False
        self._heard_at = 0.0
        self._pinged_at = -_NEVER
        self._pings = 0
        self._closed_waiters: list[Waiter] = []

    # -- requests

    def send(self, exchange: Exchange, fields: Pairs, body: Body, now: float, trace: Trace | None = None) -> None:
        """Open a stream for ``exchange``.

        Raises:
            LocalProtocolError: a field is invalid, or the connection has just ended; nothing was sent.
        """
        data = body.data
        empty = data is not None and not data
        stream = self.connection.send_request(fields, empty, now, exchange, trace)
        exchange.stream = stream
        exchange.protocol = self
        exchange.sent_at = now
        self.streams_ever += 1
        self.streams_open += 1
        if self.streams_open == 1 and self.pool is not None:
            self.pool.activity(True)
        if not empty:
            self._send_body(exchange, stream, data, now)
        self.driver.wake()

    def _send_body(self, exchange: Exchange, stream: Stream, data: bytes | None, now: float) -> None:
        """A body at hand goes to the engine as a whole, which keeps it by reference; one that is made on the way is fed later."""
        if data is None:
            exchange.uploading = True
        elif self.connection.send_data(stream, data, True, now) and exchange.timeout.write is not None:
            self.arm(now + exchange.timeout.write / _WRITE_LOOKS)

    def wake(self) -> None:
        if self.driver is not None:
            self.driver.wake()

    def credit(self, stream: Stream, n: int) -> None:
        self.connection.credit(stream, n, self.loop.now())
        if self.connection.out_size():
            self.driver.wake()

    # -- calls of the engine

    def response_received(self, stream: Stream, end_stream: bool) -> None:
        exchange = stream.user
        if exchange is not None:
            exchange.response_received(end_stream, self.driver.now)

    def informational_received(self, stream: Stream, status: int, headers: Pairs) -> None:
        exchange = stream.user
        if exchange is not None:
            if exchange.informational is None:
                exchange.informational = []
            exchange.informational.append((status, headers))

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        exchange = stream.user
        if exchange is None:
            return
        if not exchange.streaming:
            # Somebody wants the whole of it: the windows must not close over what nobody holds back.
            self.connection.credit(stream, stream.recv_unread, self.driver.now)
        exchange.data_received(data, end_stream, self.driver.now)

    def trailers_received(self, stream: Stream) -> None:
        exchange = stream.user
        if exchange is not None:
            exchange.complete(self.driver.now)

    def stream_reset(self, stream: Stream, error: StreamReset) -> None:
        exchange = stream.user
        if exchange is not None:
            exchange.stream_reset(error, self.driver.now)

    def stream_writable(self, stream: Stream) -> None:
        exchange = stream.user
        if exchange is not None:
            exchange.writable()

    def stream_closed(self, stream: Stream) -> None:
        if stream.user is None:
            return
        # The exchange keeps the stream; a reference back would leave both to the garbage collector.
        stream.user = None
        was_open = self.streams_open
        self.streams_open = was_open - 1
        pool = self.pool
        if was_open == 1:
            self.idle_since = self.driver.now
            if pool is not None:
                pool.activity(False)
            if self.retired:
                self._close_soon()
            else:
                self.arm(self.idle_since + self._keepalive_s)
        if pool is not None and was_open + self.reserved >= self.streams_max:
            pool.released(self)

    def settings_received(self) -> None:
        self.streams_max = self.connection.remote_settings.get(_MAX_CONCURRENT_STREAMS, _STREAMS_UNLIMITED)
        if not self._settings_seen:
            self._settings_seen = True
            self._phase_settings("")
        if self.pool is not None:
            self.pool.released(self)

    def goaway_received(self, last_stream_id: int, code: int, debug: bytes) -> None:
        self.goaway = ErrorCode.label(code)
        self.goaway_last = last_stream_id
        if self._log is not None:
            fields = {
                "network.io.direction": "receive",
                "h2o.error_code": self.goaway,
                "h2o.goaway.last_stream_id": last_stream_id,
            }
            if debug:
                fields["h2o.goaway.debug"] = debug.decode("ascii", "replace")
            self._log.emit("h2o.goaway", fields)
        if code == _ENHANCE_YOUR_CALM and debug.startswith(_TOO_MANY_PINGS) and self.pool is not None:
            self.pool.slow_pings()
        self.finish("goaway")

    def ping_acknowledged(self, payload: bytes, rtt_s: float) -> None:
        if self.suspect:
            self.suspect = False
            if self.pool is not None:
                self.pool.released(self)

    def connection_terminated(self, error: ConnectionTerminated) -> None:
        self.error = error
        if self._log is not None:
            fields: dict[str, Any] = {
                "error.type": error.rule,
                "exception.message": str(error),
                "h2o.error_code": ErrorCode.label(error.code),
            }
            shown = {"h2o.flight": error.flight.lines(self.limits.flight_recorder_shown_max)} if error.flight else {}
            if error.rule == "connection_lost" and self.goaway == "NO_ERROR":
                # The server has said that it leaves; the requests that it did not answer are logged by themselves.
                self._log.emit("h2o.connection.left", fields)
                if shown and self._log.is_enabled_for("h2o.connection.frames"):
                    self._log.emit("h2o.connection.frames", shown)
            else:
                self._log.emit("h2o.connection.failed", {**fields, **shown})
        self.finish("health" if error.rule == "ping_timeout" else "error")

    # -- calls of the driver

    def connection_made(self, driver: Driver) -> None:
        self.driver = driver
        self.opened_at = self.idle_since = self._heard_at = driver.now
        self._opened_ns = counters.clock()

    def batch_finished(self, now: float) -> None:
        self._heard_at = now

    def connection_lost(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._gone = True
        self.finish("error")
        self.disarm()
        if not self._settings_seen:
            self._settings_seen = True
            self._phase_settings("connection_lost")
        pool = self.pool
        if pool is not None:
            self.pool = None
            pool.removed(self, self._reason, self.driver.now - self.opened_at)
        if self._log is not None and self._log.is_enabled_for("h2o.connection.closed"):
            fields = {
                "h2o.reason": self._reason,
                "h2o.connection.requests": self.streams_ever,
                "h2o.duration": self.driver.now - self.opened_at,
            }
            self._log.emit("h2o.connection.closed", fields)
        for waiter in self._closed_waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._closed_waiters = []

    def _phase_settings(self, error_type: str) -> None:
        """The setup of the connection ends with the peer's SETTINGS."""
        end_ns = counters.clock()
        self.phases["settings"] = (end_ns - self._opened_ns) * 1e-9
        self.counters.labelled_histogram("pool_connect_duration", ("settings", error_type)).record(self.phases["settings"])
        if self.setup_span is not None:
            self.setup_span.phase("settings", self._opened_ns, end_ns, error_type or None)
            self.setup_span.finish(error_type or None, end_ns)

    # -- time

    def on_timer(self) -> None:
        """Look at every exchange, once for all those whose time may have passed."""
        self._timer = None
        self._timer_at = _NEVER
        if self._gone:
            return
        now = self.loop.now()
        at = _NEVER
        for stream in list(self.connection.streams.values()):
            exchange = stream.user
            if exchange is not None:
                at = min(at, exchange.check(now))
        if self.streams_open == 0 and not self.retired:
            idle_at = self.idle_since + self._keepalive_s
            if now >= idle_at:
                self.finish("idle")
            else:
                at = min(at, idle_at)
        if at < _NEVER:
            self.arm(at)

    def silent(self, since: float, now: float) -> None:
        """Nothing arrived in time for one exchange.  If nothing arrived for any, a PING decides about the connection."""
        if self._heard_at > since or self._pinged_at + self.limits.ping_interval_min_s > now or self.retired or self.connection.closed:
            return
        self._pinged_at = now
        self._pings += 1
        self.suspect = True
        self.connection.send_ping(self._pings.to_bytes(8, "big"), now)
        self.wake()

    # -- the end

    def finish(self, reason: str) -> None:
        if not self._reason:
            self._reason = reason
        if not self.retired:
            self.retired = True
            if self.pool is not None:
                self.pool.retired(self)
        if self.streams_open == 0:
            self._close_soon()

    def terminate(self, reason: str) -> None:
        self.finish(reason)
        if self.driver is not None and not self._gone:
            self.driver.close()

    def _close_soon(self) -> None:
        """Not at once: this may be a call from inside the engine."""
        if not self._closing and self.driver is not None:
            self._closing = True
            self.loop.call_soon(self._close_now)

    def _close_now(self) -> None:
        if not self._gone and self.driver is not None:
            self.driver.close(_CLOSE_NO_ERROR)

    async def wait_closed(self) -> None:
        if not self._gone and self.driver is not None:
            waiter = self.loop.create_waiter()
            self._closed_waiters.append(waiter)
            await waiter

    def __repr__(self) -> str:
        state = "gone" if self._gone else "retired" if self.retired else "open"
        return f"<ClientProtocol {self.id} to {self.origin} {state}, {self.streams_open} streams>"
