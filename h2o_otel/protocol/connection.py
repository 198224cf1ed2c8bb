"""One HTTP/2 connection, sans-IO: bytes and the time in, bytes and calls of a ``Handler`` out.

The public surface.  It reads no clock, opens no socket and never awaits; ``receive`` raises
nothing for what the peer did.  Without a handler it collects events (``protocol.events``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import counters
from ..counters import HPACK_DECODE, Counters
from ..errors import ConnectionTerminated, ErrorCode, LocalProtocolError, StreamReset
from ..frames import writer
from ..frames.types import CLIENT_PREFACE, FrameType, SettingCode, frame_name
from ..rules import CONNECTION, RULES, Violation, fail
from ..streams.states import Input, State
from ..streams.stream import INITIATORS, LOCAL, REMOTE
from .config import ConnectionConfig
from .core import COMPLETED, CONN_LOST, RESET_SENT
from .events import Event, EventCollector
from .handler import Handler
from .progress import ProgressHalf

__all__ = ["Connection"]

_CLOSED = int(State.CLOSED)
_SEND_RST = int(Input.SEND_RST)
_RESET_SENT = RESET_SENT
_COMPLETED = COMPLETED
_CONN_LOST = CONN_LOST
_CONNECTION_ACTIVE = counters.slot("connection_active")
_LOCAL = LOCAL
_REMOTE = REMOTE
_HPACK_DECODE = HPACK_DECODE
# A reason in a GOAWAY is for people who debug; peers need not take more.
_DEBUG_BYTES_MAX = 200
# In a turn, the fault of a stream counts as so many frames more: errors, events and counters are made for it.
_FAULT_FRAMES = 15
_NEVER = math.inf
# Frames that carry a field block, whose deadline they are under.
_WITH_FIELDS = (int(FrameType.HEADERS), int(FrameType.PUSH_PROMISE), int(FrameType.CONTINUATION))
# Rules about what a peer learns from our first SETTINGS.
_ANNOUNCED = (RULES.header_list_too_large, RULES.header_fields_too_many)


class Connection(ProgressHalf):
    """An endpoint of HTTP/2 (RFC 9113).

    Args:
        config: role and limits.
        handler: what is told of every event; without one, ``receive`` returns a list of events.
        block: counters to add to; the calling thread's by default.
    """

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        self._collector = EventCollector() if handler is None else None
        ProgressHalf.__init__(self, config, self._collector if handler is None else handler, block)
        self._rest = b""
        self._receiving = False
        self._pressed = 0
        # What next_deadline() adds, once for every write of the connection.
        limits = config.limits
        self._preface_s = limits.preface_timeout_s
        self._idle_s = _NEVER if limits.idle_timeout_s is None else limits.idle_timeout_s

    # -- beginning

    def start(self, now: float) -> None:
        """Queue the preface (RFC 9113 section 3.4): SETTINGS, and a larger connection window if limits ask for it."""
        if self.started:
            raise LocalProtocolError("start() called twice", initiator="user")
        self.started = True
        self.now = self.opened_at = self.active_at = now
        self.counted = True
        self.slots[_CONNECTION_ACTIVE + self.role] += 1
        if self.client:
            self.out.write(CLIENT_PREFACE)
        self.update_settings(self._first_settings(), now)
        # A window larger than the default holds as soon as the peer may use it; a smaller one only
        # when the peer has acknowledged it, since it may send into the default until then.
        self.local_initial_window = max(65_535, self.limits.stream_window_bytes)
        window = self.limits.connection_window_bytes
        if window > 65_535:
            writer.write_window_update(self.out, 0, window - 65_535)
            self.sent(FrameType.WINDOW_UPDATE, 0, 0, 4)
            self.recv_window = window
            self.recv_target = window
        self.stream_target = self.local_initial_window
        self.set_batches()
        self.report_targets(self.recv_target, self.stream_target)
        self.report_streams_max(self.remote_streams_max if self.client else self.local_streams_max)

    def _first_settings(self) -> Sequence[tuple[int, int]]:
        limits = self.limits
        entries = [
            (SettingCode.HEADER_TABLE_SIZE, limits.header_table_bytes),
            (SettingCode.INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
            (SettingCode.MAX_FRAME_SIZE, limits.frame_bytes_max),
            (SettingCode.MAX_HEADER_LIST_SIZE, limits.header_list_bytes_max),
        ]
        if self.client:
            entries.append((SettingCode.ENABLE_PUSH, 1 if self.push_enabled else 0))
        else:
            entries.append((SettingCode.MAX_CONCURRENT_STREAMS, limits.streams_max))
            if self.config.enable_connect_protocol:
                entries.append((SettingCode.ENABLE_CONNECT_PROTOCOL, 1))
        entries.append((SettingCode.NO_RFC7540_PRIORITIES, 1))
        return [(int(code), value) for code, value in entries]

    # -- input

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take octets from the peer, cut anywhere; an incomplete frame is kept.

        Returns:
            The events, when the connection was made without a handler; else an empty list.

        Raises:
            LocalProtocolError: called from inside a handler.  Never for what the peer sent.
        """
        self.now = now
        if self._receiving:
            raise LocalProtocolError("receive() is not re-entrant", initiator="user")
        if self._rest:
            data = self._rest + data
            self._rest = b""
        used = self.take_turn(data, 0, len(data))
        while self.turn_over:
            # Whoever calls this has no other connection to turn to.
            used = self.take_turn(data, used, len(data))
        if used < len(data):
            self._rest = data[used:]
        return self.take_events()

    def receive_into(self, buffer: bytearray, start: int, end: int, now: float) -> int:
        """Take octets in place from ``buffer[start:end]``, at most one turn's worth of frames and streams.

        Nothing refers to the buffer afterwards.  Use either this or ``receive`` on a connection.

        Returns:
            Octets consumed; the caller keeps the rest, an incomplete frame, and presents it again in
            front of what comes next.  When ``turn_over`` is set the rest has complete frames, too, and
            the caller presents it again when it has looked after others (``EngineLimits.turn_frames_max``).
        """
        self.now = now
        if self._receiving or not 0 <= start <= end <= len(buffer):
            raise LocalProtocolError("receive_into() inside a handler, or outside its buffer", initiator="user")
        mem: Any = buffer
        return self.take_turn(mem, start, end) - start

    def take_turn(self, buf: bytes, pos: int, end: int) -> int:
        """Parse what one turn allows; returns where it stopped, with ``turn_over`` set when frames are left."""
        before = self.frames_received
        self.turn_end = before + self.turn_frames
        self.turn_streams = 0
        self.turn_over = False
        self.partial_stream = 0
        pos = self.consume(buf, pos, end)
        if pos < end and not self.turn_over and not self.need_preface:
            self.incomplete(buf, pos, end)
        if self.frames_received > before:
            self.turn_sizes.record(self.frames_received - before)
        return pos

    def consume(self, buf: bytes, pos: int, end: int) -> int:
        """Parse, turning violations into resets or the end of the connection."""
        self._receiving = True
        try:
            while not self.closed:
                try:
                    pos = self.parse(buf, pos, end) if self.frame_batching else self.parse_each(buf, pos, end)
                    self.settle()
                    if self.pressure != self._pressed:
                        self.press()
                    return pos
                except Violation as violation:
                    pos = self.next_frame
                    self.frame_since = 0.0
                    if violation.rule.scope == CONNECTION:
                        self.connection_violation(violation)
                    else:
                        self.stream_violation(violation)
            return end
        finally:
            self._receiving = False

    def press(self) -> None:
        """Memory is short, or is not any more: windows grow no further, or may again."""
        self._pressed = self.pressure
        self.limit_windows(0 if self.pressure else self.limits.window_bytes_max, self.now)

    def take_events(self) -> list[Event]:
        """Events collected since the last call, when there is no handler."""
        return self._collector.take() if self._collector is not None else []

    def stream_violation(self, violation: Violation) -> None:
        """The peer broke a rule of one stream: RST_STREAM, and the connection goes on."""
        rule = violation.rule
        stream_id = violation.stream_id
        self.turn_end -= _FAULT_FRAMES
        self.counters.count("frame_errors", (counters.ROLES[self.role], rule.token))
        # Bounds of ours that SETTINGS announce: whoever has not read them yet is at no fault.
        unknown = not self.settings_known and rule in _ANNOUNCED
        if rule.is_abuse and not unknown:
            self.counters.count("abuse_detections", (rule.token, "reset"))
        try:
            if not unknown:
                self.guards.fault_reset(stream_id, self.now)
            self.answer_queued()
        except Violation as flood:
            self.connection_violation(flood)
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if rule.code == ErrorCode.REFUSED_STREAM:
                self.count_refused()
            self.write_rst(stream_id, rule.code)
            self.remember_reset(stream_id, _LOCAL)
            self.guards.stream_closed(self.local_initial_window)
            self.handler.request_refused(stream_id, rule.token, violation)
            return
        self.break_off(stream, violation)

    def connection_violation(self, violation: Violation) -> None:
        """The peer broke a rule of the connection: GOAWAY with the reason, and nothing more is parsed."""
        rule = violation.rule
        self.counters.count("frame_errors", (counters.ROLES[self.role], rule.token))
        self.counters.count("connection_errors", (counters.ROLES[self.role], "transmit", rule.code.name))
        if rule.is_abuse:
            self.counters.count("abuse_detections", (rule.token, "closed"))
        text = str(violation)
        error = ConnectionTerminated(
            text,
            rule=rule.token,
            code=rule.code,
            stream_id=violation.stream_id,
            initiator="local",
            limit=violation.fields.get("limit"),
            actual=violation.fields.get("actual"),
            flight=self.recorder.log(),
        )
        self.write_goaway(
            self.last_remote_stream_id, rule.code, text.replace("§", "section ").encode("ascii", "replace")[:_DEBUG_BYTES_MAX]
        )
        self.closed = True
        self.end_streams(text, rule.code, rule.token, _LOCAL, _RESET_SENT)
        self.finish(error, rule.token)

    # -- end

    def end_streams(self, text: str, code: int, rule: str, by: int, outcome: int) -> None:
        """Every open stream ends with the connection, each exactly once."""
        flight = self.recorder.log()
        for stream in list(self.streams.values()):
            if stream.state == _CLOSED:
                # Its last frame is being delivered right now: it ended in order.
                self.close_stream(stream, _COMPLETED)
                continue
            ending = _COMPLETED if stream.answered() else outcome
            stream.step(_SEND_RST)
            stream.closed_by = by
            stream.closed_code = code
            # What the peer did not even see may be sent again elsewhere.
            stream.refused = self.recovery and stream.local and self.goaway_received and stream.id > self.goaway_last_stream_id
            self.handler.stream_reset(
                stream,
                StreamReset(text, rule=rule, code=code, scope="connection", stream_id=stream.id, initiator=INITIATORS[by], flight=flight),
            )
            self.close_stream(stream, ending)

    def finish(self, error: ConnectionTerminated | None, error_type: str) -> None:
        """The connection is over: counted once, told once."""
        if not self.counted:
            return
        self.counted = False
        self.closed = True
        self.error = error
        role = counters.ROLES[self.role]
        self.slots[_CONNECTION_ACTIVE + self.role] -= 1
        self._report_windows(0, 0)
        self.report_targets(0, 0)
        self._report_memory(0, 0, 0, 0)
        self.ended.clear()
        self.report_streams_max(0)
        self.answers_gone()
        self.counters.labelled_histogram("connection_duration", (role, "2", error_type)).record(self.now - self.opened_at)
        self.counters.histogram("connection_requests", self.role).record(self.requests)
        self.encoder.close()
        self.decoder.close()
        if error is not None:
            self.handler.connection_terminated(error)

    def all_answered(self) -> bool:
        """Whether no request waits for anything; a client may leave in the middle of an upload that it has the answer to."""
        for stream in self.streams.values():
            if not stream.answered():
                return False
        return True

    def connection_lost(self, error: Exception | None, now: float) -> None:
        """The transport ended; whatever is open fails, once."""
        self.now = now
        self.out.clear()
        if not self.counted:
            self.closed = True
            # One that never started has its tables in the running sums all the same.
            self.encoder.close()
            self.decoder.close()
            return
        self.closed = True
        text = f"the connection was lost ({error})" if error is not None else "the peer closed the connection"
        # Nothing was under way: many peers end so, without close_notify or with a TCP reset, and nothing is lost by it.
        idle = self.all_answered()
        rule, code = "connection_lost", self.goaway_code
        error_type = "" if idle and error is None else rule
        if code:
            # The peer has said why: that is the error, and the end of the transport its consequence.
            rule, error_type = "goaway_received", ErrorCode.label(code)
            text = f"the peer sent GOAWAY {error_type}, and the connection ended"
        self.end_streams(text, code if code else ErrorCode.CANCEL, rule, _REMOTE, _CONN_LOST)
        terminated = None
        if not idle:
            terminated = ConnectionTerminated(text, rule=rule, code=code, initiator="remote", flight=self.recorder.log())
            terminated.__cause__ = error
        self.finish(terminated, error_type)

    def close(self, code: int, now: float, debug: bytes = b"") -> None:
        """Send GOAWAY and end at once: open streams fail, nothing more is received (RFC 9113 section 6.8)."""
        self.now = now
        if self.closed:
            return
        self.write_goaway(self.last_remote_stream_id, code, debug[:_DEBUG_BYTES_MAX])
        self.closed = True
        self.end_streams(f"the connection was closed with {ErrorCode.label(code)}", code, "closed", _LOCAL, _CONN_LOST)
        self.finish(None, "" if code == ErrorCode.NO_ERROR else ErrorCode.label(code))

    def shutdown(self, now: float) -> None:
        """Begin a graceful end: GOAWAY that still allows every stream under way (RFC 9113 section 6.8).

        Call ``finish_shutdown`` one round trip later; the connection may be closed once ``streams`` is empty.
        """
        self.now = now
        if not self.closed and not self.shutting_down:
            self.shutting_down = True
            self.write_goaway(2**31 - 1, ErrorCode.NO_ERROR, b"")

    def finish_shutdown(self, now: float) -> None:
        """Name the last stream that will be served; requests above it are ignored from here on."""
        self.now = now
        if not self.closed:
            self.shutting_down = True
            self.write_goaway(self.last_remote_stream_id, ErrorCode.NO_ERROR, b"")

    # -- time and the transport

    def next_deadline(self) -> float:
        """When ``tick`` has something to do, in seconds of the caller's clock; ``math.inf`` for never."""
        if self.closed or not self.started:
            return _NEVER
        deadline = _NEVER
        if self.need_settings:
            deadline = self.opened_at + self.patience(self._preface_s)
        if self.unacked_settings or self.pings or self.block_stream or self.frame_since:
            deadline = min(deadline, self._answers_due())
        if not self.client and (self.bodies_open or self.queued):
            deadline = min(deadline, self.progress_at)
        if self.drain_at:
            deadline = min(deadline, self.drain_at)
        if self.drained and not self.streams:
            deadline = min(deadline, self.now)
        if not self.client and not self.streams:
            deadline = min(deadline, self.active_at + self._idle_s)
        return deadline

    def _answers_due(self) -> float:
        """The deadline of what the peer owes: acknowledgements, and the rest of a field block or a frame."""
        limits = self.limits
        due = _NEVER
        if self.unacked_settings:
            due = self.answers_since(self.unacked_settings[0][1]) + self.patience(limits.settings_ack_timeout_s)
        if self.block_stream:
            due = min(due, self.block_since + limits.header_block_timeout_s)
        if self.frame_since:
            due = min(due, self.frame_since + self._frame_s())
        if self.pings:
            due = min(due, self.answers_since(min(self.pings.values())) + limits.ping_timeout_s)
        return due

    def answers_since(self, sent_at: float) -> float:
        """From when on the peer owes the answer to what was sent at ``sent_at``: many clients read only once they have sent a body."""
        return max(sent_at, self.uploading_at)

    def patience(self, timeout_s: float) -> float:
        """How long SETTINGS and their acknowledgement may take.

        A server that is busy with our request may say nothing meanwhile; how long that may take is up to the request's own timeouts.
        """
        if not self.client or not self.streams:
            return timeout_s
        stall_s = self.limits.body_stall_timeout_s
        return _NEVER if stall_s is None else max(timeout_s, stall_s)

    def tick(self, now: float) -> None:
        """Let time pass: what waited too long ends the connection."""
        self.now = now
        if self.closed or now < self.next_deadline():
            return
        limits = self.limits
        violation = None
        if self.drain_at and now >= self.drain_at:
            self.drain_at = 0.0
            self.drained = True
            self.finish_shutdown(now)
            return
        if self.need_settings and now >= self.opened_at + self.patience(limits.preface_timeout_s):
            violation = fail(RULES.preface_timeout, actual=now - self.opened_at, limit=limits.preface_timeout_s)
        elif self.unacked_settings and now >= self.answers_since(self.unacked_settings[0][1]) + self.patience(
            limits.settings_ack_timeout_s
        ):
            violation = fail(RULES.settings_timeout, actual=now - self.unacked_settings[0][1], limit=limits.settings_ack_timeout_s)
        elif self.block_stream and now >= self.block_since + limits.header_block_timeout_s:
            violation = fail(
                RULES.header_block_timeout, self.block_stream, actual=now - self.block_since, limit=limits.header_block_timeout_s
            )
        elif self.frame_since and now >= self.frame_since + self._frame_s():
            violation = self._frame_late()
        elif self.pings and now >= self.answers_since(min(self.pings.values())) + limits.ping_timeout_s:
            self.counters.add("ping_timeouts", self.role, 1)
            violation = fail(RULES.ping_timeout, actual=now - min(self.pings.values()), limit=limits.ping_timeout_s)
        elif self.streams:
            if self.check_progress():
                self.close_unread()
            return
        if violation is not None:
            self.connection_violation(violation)
        else:
            self.close(ErrorCode.NO_ERROR, now, b"drained" if self.drained else b"idle")

    def _frame_s(self) -> float:
        """How long the incomplete frame may take from its first octet on."""
        limits = self.limits
        seconds: float = limits.header_block_timeout_s if self.frame_type in _WITH_FIELDS else limits.frame_timeout_s
        return seconds

    def _frame_late(self) -> Violation:
        since, seconds = self.now - self.frame_since, self._frame_s()
        if self.frame_type in _WITH_FIELDS:
            return fail(RULES.header_block_timeout, self.frame_stream, actual=since, limit=seconds)
        return fail(RULES.frame_timeout, self.frame_stream, frame=frame_name(self.frame_type), actual=since, limit=seconds)

    def barren_records(self, n: int, now: float) -> None:
        self.now = now
        try:
            for _ in range(n):
                self.guards.tls_record(now)
        except Violation as flood:
            if not self.closed:
                self.connection_violation(flood)

    def close_unread(self) -> None:
        """Nothing is open, and the peer reads nothing, not even that its last stream has ended: do not wait for the idle time."""
        self.write_goaway(self.last_remote_stream_id, ErrorCode.NO_ERROR, b"the connection is not read")
        self.closed = True
        self.finish(None, RULES.send_stalled.token)

    def pause_output(self) -> None:
        """The transport is full: bodies are queued instead of framed until ``resume_output``."""
        self.paused = True

    def resume_output(self, now: float) -> None:
        """The transport has room again."""
        self.paused = False
        self.unsent = 0
        self.answers_gone()
        self.pump(now)

    @property
    def draining(self) -> bool:
        """A GOAWAY was sent or received: no new streams."""
        return self.goaway_received or self.goaway_sent
