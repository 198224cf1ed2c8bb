"""What the halves of the reference engine share: its state, its streams, and how they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import h2.config
import h2.events
import h2.exceptions
import h2.settings
import h2.utilities
from hyperframe.frame import GoAwayFrame

from .. import counters
from ..buffers.output import OutputBuffer
from ..counters import Counters
from ..errors import ConnectionTerminated, LocalProtocolError, StreamReset
from ..frames.types import SettingCode
from ..hpack.encoder import Encoder
from ..streams.states import Input, State
from ..streams.stream import INITIATORS, Stream
from .config import ConnectionConfig
from .core import COMPLETED, error_slot
from .engine import Engine
from .events import EventCollector
from .handler import Handler
from .reference_h2 import H2Engine
from .settings import INITIAL
from .state import UNLIMITED

__all__ = ["ReferenceCore"]

Fields = Sequence[tuple[bytes, bytes]]

_GOAWAY_ANY = 2**31 - 1


class ReferenceCore(Engine):
    """The state of a ``ReferenceConnection``."""

    _h2: H2Engine

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        Engine.__init__(self)
        limits = config.limits
        self._collector = EventCollector() if handler is None else None
        self.handler: Handler = handler if handler is not None else self._collector or Handler()
        self.config = config
        self.limits = limits
        self.role = config.role
        self.client = config.role == counters.CLIENT
        self.counters = counters.local() if block is None else block
        self.now = self.opened_at = self.active_at = 0.0
        self.frames_received = 0
        self.goaway_sent = self.goaway_received = self.shutting_down = self.counted = self.paused = False
        self.need_settings = True
        self.error: Exception | None = None
        self.local_settings = INITIAL
        self.local_streams_max = limits.push_promises_max if self.client else limits.streams_max
        self.remote_streams_max = UNLIMITED
        self.next_stream_id = 1 if self.client else 2
        self.last_remote_stream_id = 0
        self.goaway_code = 0
        self.goaway_last_stream_id = self.goaway_sent_last = _GOAWAY_ANY
        self.streams_local = self.streams_remote = 0
        # The peer has acknowledged our first SETTINGS; what streams beyond the limit, which it could not know before, hold.
        self.settings_known = False
        self.held_bytes = 0
        self.blocked_since = 0.0
        self.pings: dict[bytes, float] = {}
        self._writers: dict[int, Stream] = {}
        # h2 takes one acknowledgement for all settings that wait for one, so only one SETTINGS is under way at a time.
        self._settings_waiting: deque[dict[int, int]] = deque()
        self._settings_unacked = False
        self._receiving = False
        # Fields are checked by our encoder, for the same errors; its output and its counters are thrown away.
        self._checker = Encoder(Counters(), config.role)
        self._scratch = OutputBuffer(Counters(), 1024)

    # -- streams

    def _new_stream(self, id: int, local: bool) -> Stream:
        window = self.remote_settings[SettingCode.INITIAL_WINDOW_SIZE]
        stream = Stream(id, window, self.limits.stream_window_bytes, self.now)
        stream.local = local
        stream.counted = True
        self.streams_local += local
        self.streams_remote += not local
        self.requests += 1
        self.streams[id] = stream
        self.counters.add("stream_active", self.role, 1)
        return stream

    def _close_if_over(self, stream: Stream) -> None:
        if stream.state == State.CLOSED and stream.counted:
            self._close_stream(stream, COMPLETED)

    def _close_stream(self, stream: Stream, outcome: int) -> None:
        if stream.counted:
            stream.counted = False
            self.streams_local -= stream.local
            self.streams_remote -= not stream.local
            self.counters.add("stream_active", self.role, -1)
            self.counters.add("streams", self.role * len(counters.OUTCOMES) + outcome, 1)
        self.held_bytes -= stream.held_bytes
        stream.held_bytes = 0
        self.streams.pop(stream.id, None)
        self._writers.pop(stream.id, None)
        stream.closed_at = self.active_at = self.now
        self.queued -= stream.queued
        stream.queued = 0
        stream.queue = None
        if stream.closed_by:
            self._give_back(stream, stream.recv_unread)
        self.handler.stream_closed(stream)

    def _fail(self, stream: Stream, text: str, code: int, rule: str, scope: str, by: int) -> None:
        stream.step(Input.SEND_RST)
        stream.closed_by = by
        stream.closed_code = code
        error = StreamReset(text, rule=rule, code=code, scope=scope, stream_id=stream.id, initiator=INITIATORS[by])
        self.handler.stream_reset(stream, error)

    def _count_reset(self, direction: int, code: int) -> None:
        self.counters.add("stream_resets", (self.role * 2 + direction) * len(counters.ERROR_CODES) + error_slot(code), 1)

    # -- flow control of what is received

    def _acknowledge(self, stream_id: int, n: int) -> None:
        if n > 0 and not self.closed:
            self._h2.acknowledge_received_data(n, stream_id)

    def _give_back(self, stream: Stream, n: int) -> None:
        stream.recv_unread -= n
        self.counters.add("flow_control_unread", self.role, -n)
        self._acknowledge(stream.id, n)

    def credit(self, stream: Stream, n: int, now: float) -> None:
        self.now = now
        n = min(n, stream.recv_unread)
        if n > 0:
            self._give_back(stream, n)

    def _check(self, headers: Iterable[tuple[bytes, bytes]], **kind: bool) -> None:
        """Raise before ``h2`` changes anything: a block that fails half-way would leave its header table wrong."""
        kind = {"is_client": False, "is_trailer": False, "is_response_header": False, "is_push_promise": False, **kind}
        flags = h2.utilities.HeaderValidationFlags(**kind)
        fields = list(headers)
        try:
            self._checker.encode(self._scratch, fields)
            for _ in h2.utilities.validate_outbound_headers(fields, flags):
                pass
        except h2.exceptions.H2Error as error:
            raise LocalProtocolError(str(error), scope="stream", initiator="user") from error
        finally:
            self._scratch.take()

    def _call(self, verb: Callable[..., None], *arguments: Any) -> None:
        try:
            verb(*arguments)
        except h2.exceptions.H2Error as error:
            raise LocalProtocolError(str(error), initiator="user") from error

    def _misuse(self, what: str, stream: Stream) -> LocalProtocolError:
        state = State(stream.state).name.lower().replace("_", " ")
        text = f"{what} cannot be sent on stream {stream.id} ({state}, RFC 9113 §5.1)"
        return LocalProtocolError(text, scope="stream", stream_id=stream.id, initiator="user")

    def _write_goaway(self, last_stream_id: int, code: int, debug: bytes) -> None:
        frame = GoAwayFrame(0)
        frame.last_stream_id = last_stream_id
        frame.error_code = code
        frame.additional_data = debug
        self._h2.send_frame(frame)

    def _end_streams(self, text: str, code: int, rule: str, by: int, outcome: int) -> None:
        for stream in list(self.streams.values()):
            if stream.state == State.CLOSED:
                self._close_stream(stream, COMPLETED)
                continue
            stream.refused = stream.local and self.goaway_received and stream.id > self.goaway_last_stream_id
            answered = stream.answered()
            self._fail(stream, text, code, rule, "connection", by)
            self._close_stream(stream, COMPLETED if answered else outcome)

    def _finish(self, error: ConnectionTerminated | None, error_type: str) -> None:
        if not self.counted:
            return
        self.counted = False
        self.closed = True
        self.error = error
        self.counters.add("connection_active", self.role, -1)
        key = (counters.ROLES[self.role], "2", error_type)
        self.counters.labelled_histogram("connection_duration", key).record(self.now - self.opened_at)
        self.counters.histogram("connection_requests", self.role).record(self.requests)
        if error is not None:
            self.handler.connection_terminated(error)
