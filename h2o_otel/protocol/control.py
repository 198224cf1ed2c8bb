"""Frames that steer the connection: SETTINGS, PING, GOAWAY, priorities and promises, both ways."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _mem, counters
from ..counters import Counters
from ..errors import ErrorCode, LocalProtocolError, StreamReset
from ..frames import writer
from ..frames.types import Flag, FrameType, SettingCode
from ..frames.validation import MessageValidator
from ..limits import STREAM_ID_MAX, WINDOW_BYTES_MAX
from ..rules import RULES, Violation, fail
from ..streams.priority import format_priority, parse_priority
from ..streams.states import Input
from ..streams.stream import REMOTE, Stream
from . import settings
from .config import ConnectionConfig
from .core import GOAWAY, error_slot
from .guards import RFC7540_PRIORITY, UNASKED_PONG
from .handler import Handler
from .send import SendHalf
from .state import UNLIMITED

__all__ = ["ControlHalf"]

_SETTINGS = int(FrameType.SETTINGS)
_PING = int(FrameType.PING)
_GOAWAY = int(FrameType.GOAWAY)
_ACK = int(Flag.ACK)
_RECV_RST = int(Input.RECV_RST)
_SETTINGS_VALUE = counters.slot("settings_value")
_SETTING_NAMES = len(counters.SETTING_NAMES)
_GOAWAY_SLOT = counters.slot("goaway")
_STREAM_LIMIT = counters.slot("stream_limit")
_CONTROL_QUEUE = counters.slot("frame_control_queue_size")
_ERROR_CODES = len(counters.ERROR_CODES)
_WINDOW_MAX = WINDOW_BYTES_MAX
# Requests that cross the first GOAWAY of a drain are still taken; then the last stream is named.
DRAIN_WAIT_S = 1.0
_RETUNES = counters.slot("flow_control_retunes")
_FIELDS_IGNORED = counters.slot("fields_ignored") + counters.IGNORED_FIELDS.index("priority")
_PROBE = b"\x00h2o-bdp"
_QUESTION = b"h2o-read"


class ControlHalf(SendHalf):
    """What is about the connection as a whole."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        SendHalf.__init__(self, config, handler, block)
        self.need_settings = True
        self._tuned_connection = self.tuner.connection_bytes
        self.validator = MessageValidator(config.enable_connect_protocol, config.tuning.frame_validation_cache, config.require_authority)
        # PRIORITY_UPDATE for streams that are not open yet (RFC 9218 section 7.1); bounded by streams_max
        self.idle_priorities: dict[int, tuple[int, bool]] = {}

    def report_streams_max(self, limit: int) -> None:
        """The concurrency that the peer (client) or this side (server) allows, as a sum over connections; unlimited counts as 0."""
        limit = 0 if limit == UNLIMITED else limit
        self.slots[_STREAM_LIMIT + self.role * 2 + self.role] += limit - self._reported_streams_max
        self._reported_streams_max = limit

    def answer_queued(self) -> int:
        """An acknowledgement or a reset went into the output; while the transport is full, such answers are bounded."""
        if self.paused:
            self.slots[_CONTROL_QUEUE + self.role] += 1
        return self.guards.control_frame(self.paused)

    def answers_gone(self) -> None:
        """The transport takes output again, or never will."""
        self.slots[_CONTROL_QUEUE + self.role] -= self.guards.control_queued
        self.guards.control_queued = 0

    # -- SETTINGS

    def update_settings(self, entries: Sequence[tuple[int, int]], now: float) -> None:
        """Send SETTINGS; they take effect here when the peer acknowledges them (RFC 9113 section 6.5.3).

        Raises:
            LocalProtocolError: a value that RFC 9113 section 6.5.2 forbids, or that is not to be taken back
                (RFC 8441 section 3, RFC 9218 section 2.1).
        """
        self.now = now
        for code, value in entries:
            try:
                settings.check(code, value)
            except Violation as violation:
                raise LocalProtocolError(str(violation), rule=violation.rule.token, initiator="user") from violation
            self.check_own(code, value)
        writer.write_settings(self.out, entries)
        self.sent(_SETTINGS, 0, 0, 6 * len(entries))
        self.unacked_settings.append((dict(entries), now))

    def check_own(self, code: int, value: int) -> None:
        """What a peer may say, and this side may not: a server that asks for promises, or a promise taken back."""
        if code == SettingCode.ENABLE_PUSH and value and not self.client:
            raise LocalProtocolError("a server does not set SETTINGS_ENABLE_PUSH to 1 (RFC 9113 §6.5.2)", initiator="user")
        if code not in (SettingCode.ENABLE_CONNECT_PROTOCOL, SettingCode.NO_RFC7540_PRIORITIES) or value:
            return
        sent = self.local_settings[code]
        for entries, _ in self.unacked_settings:
            sent = entries.get(code, sent)
        if sent:
            where = "RFC 8441 §3" if code == SettingCode.ENABLE_CONNECT_PROTOCOL else "RFC 9218 §2.1"
            raise LocalProtocolError(f"SETTINGS_{SettingCode(code).name} was 1 and cannot be taken back ({where})", initiator="user")

    def on_settings(self, buf: bytes, pos: int, end: int, flags: int) -> int:
        """RFC 9113 section 6.5."""
        if flags & _ACK:
            if end != pos:
                raise fail(RULES.settings_ack_payload, actual=end - pos)
            self.settings_acknowledged()
            return 0
        if (end - pos) % 6:
            raise fail(RULES.settings_length, actual=end - pos)
        if (end - pos) // 6 > self.limits.settings_entries_max:
            raise fail(RULES.settings_entries, actual=(end - pos) // 6, limit=self.limits.settings_entries_max)
        self.guards.settings_frame(self.now)
        self.need_settings = False
        window = highest = self.remote_initial_window
        changes: dict[int, int] = {}
        try:
            while pos < end:
                code = _mem.u16(buf, pos, end)
                value = _mem.u32(buf, pos + 2, end)
                pos += 6
                if self.client and code == SettingCode.ENABLE_PUSH and value:
                    raise fail(RULES.settings_enable_push, actual=value)
                if not settings.check(code, value):
                    continue
                changes[code] = value
                if code == SettingCode.INITIAL_WINDOW_SIZE:
                    window = value
                    highest = max(highest, value)
                else:
                    self.apply_remote(code, value)
        finally:
            self.note_remote(changes)
            self.take_initial_window(window, highest)
        writer.write_settings_ack(self.out)
        self.sent(_SETTINGS, _ACK, 0, 0)
        self.answer_queued()
        self.handler.settings_received()
        return 0

    def apply_remote(self, code: int, value: int) -> None:
        """One setting of the peer takes effect at once, before its acknowledgement is sent."""
        if code == SettingCode.INITIAL_WINDOW_SIZE:
            self.take_initial_window(value, value)
        elif code == SettingCode.MAX_FRAME_SIZE:
            self.remote_frame_max = value
        elif code == SettingCode.MAX_CONCURRENT_STREAMS:
            self.remote_streams_max = value
            if self.client:
                self.report_streams_max(value)
        elif code == SettingCode.HEADER_TABLE_SIZE:
            self.encoder.set_table_size(value)

    def note_remote(self, changes: dict[int, int]) -> None:
        """What the peer said last, for whoever asks and for the gauge."""
        self.remote_settings = settings.with_changes(self.remote_settings, changes)
        self._show_settings(changes, counters.RECV)

    def _show_settings(self, changes: dict[int, int], direction: int) -> None:
        place = _SETTINGS_VALUE + (self.role * 2 + direction) * _SETTING_NAMES
        for code, value in changes.items():
            self.slots[place + counters.SETTING_NAMES.index(SettingCode(code).name)] = value

    def take_initial_window(self, window: int, highest: int) -> None:
        """The peer's INITIAL_WINDOW_SIZE is ``window`` now, after all entries of a SETTINGS frame; on the way it was ``highest``."""
        before = self.remote_initial_window
        if window != before or highest != window:
            self.remote_initial_window = window
            self.move_send_windows(window - before, highest - before)

    def move_send_windows(self, delta: int, highest: int) -> None:
        """A new INITIAL_WINDOW_SIZE moves every stream's window, below zero if need be (RFC 9113 section 6.9.2).

        One pass for all changes of a SETTINGS frame: ``delta`` is their sum, ``highest`` where the windows went on the way.
        """
        for stream in self.streams.values():
            if stream.send_window + highest > _WINDOW_MAX:
                raise fail(RULES.window_overflow_settings, stream.id, actual=stream.send_window + highest, limit=_WINDOW_MAX)
            stream.send_window += delta
            if stream.queue is not None and stream.send_window > 0:
                self.unblock(stream)

    def settings_acknowledged(self) -> None:
        """The oldest of our SETTINGS is in force at the peer."""
        if not self.unacked_settings:
            raise fail(RULES.settings_ack_unexpected)
        entries, sent = self.unacked_settings.pop(0)
        self.counters.histogram("settings_ack_duration", self.role).record(self.now - sent)
        self.settings_known = True
        for code, value in entries.items():
            self.apply_local(code, value)
        self.note_local(entries)

    def apply_local(self, code: int, value: int) -> None:
        if code == SettingCode.INITIAL_WINDOW_SIZE:
            delta = value - self.local_initial_window
            self.local_initial_window = value
            self.stream_target = value
            self.tuner.begin_with(value)
            self.set_batches()
            self.report_targets(self.recv_target, self.stream_target)
            for stream in list(self.streams.values()):
                stream.recv_window += delta
                stream.recv_target += delta
                # Credit that was too little to return for the old window may be enough for the new one.
                self.credit_stream(stream, 0)
        elif code == SettingCode.HEADER_TABLE_SIZE:
            self.decoder.set_allowed_table_size(value)
        elif code == SettingCode.MAX_FRAME_SIZE:
            self.local_frame_max = value
        elif code == SettingCode.MAX_CONCURRENT_STREAMS:
            self.local_streams_max = value
            if not self.client:
                self.report_streams_max(value)

    def note_local(self, changes: dict[int, int]) -> None:
        """What the peer acknowledged last."""
        self.local_settings = settings.with_changes(self.local_settings, changes)
        self._show_settings(changes, counters.SEND)

    # -- PING

    def on_ping(self, buf: bytes, pos: int, end: int, flags: int) -> int:
        """RFC 9113 section 6.7."""
        payload = _mem.to_bytes(buf, pos, end, end)
        if flags & _ACK:
            if self.tuner.probing and payload == _PROBE:
                self.probe_returned()
                return 0
            if self.asked_at and payload == _QUESTION:
                self.asked_at = 0.0
                return 0
            sent = self.pings.pop(payload, None)
            if sent is not None:
                self.counters.histogram("ping_rtt", self.role).record(self.now - sent)
                self.handler.ping_acknowledged(payload, self.now - sent)
                return 0
            return self.guards.glitch(UNASKED_PONG, self.now)
        self.guards.ping(self.now)
        writer.write_ping(self.out, payload, True)
        self.sent(_PING, _ACK, 0, 8)
        return self.answer_queued()

    def ask_whether_read(self) -> None:
        """Ask by PING whether a client that takes no body reads the connection at all; no deadline depends on the answer."""
        if not self.closed and not self.paused and not self.asked_at:
            writer.write_ping(self.out, _QUESTION, False)
            self.sent(_PING, 0, 0, 8)
            self.asked_at = self.now

    # -- windows

    def probe(self, stream: Stream) -> None:
        """Measure what arrives in one round trip, for ``windows.WindowTuner``."""
        if not self.closed:
            writer.write_ping(self.out, _PROBE, False)
            self.sent(_PING, 0, 0, 8)
            self.tuner.begin(stream.id, stream.body_received, self.now)

    def probe_returned(self) -> None:
        """The answer to ``probe`` is here: windows that were used up grow, idle ones shrink."""
        tuner = self.tuner
        stream = self.streams.get(tuner.stream_id)
        unread = self.recv_target - self.recv_window - self.recv_uncredited
        if tuner.end(-1 if stream is None else stream.body_received, unread, self.now):
            self.retarget(stream)
        self.counters.histogram("ping_rtt", self.role).record(tuner.rtt_s)

    def limit_windows(self, bytes_max: int, now: float) -> None:
        """Let the receive windows grow to ``bytes_max`` at most from now on; larger ones shrink as their octets are read.

        What the windows began with (``EngineLimits.stream_window_bytes``, ``connection_window_bytes``) stays.
        """
        self.now = now
        if self.tuner.limit(bytes_max):
            self.retarget(None)

    def retarget(self, stream: Stream | None) -> None:
        """Take over the tuner's targets; ``stream``, which was measured, learns of it at once, the others with their next credit."""
        grown = self.tuner.connection_bytes - self._tuned_connection
        grows = grown > 0 or self.tuner.stream_bytes > self.stream_target
        self.slots[_RETUNES + self.role * 2 + (0 if grows else 1)] += 1
        self._tuned_connection += grown
        self.recv_target += grown
        self.recv_uncredited += grown
        self.stream_target = self.tuner.stream_bytes
        self.set_batches()
        self.guards.scale(self.recv_target)
        self.credit_connection(0)
        if stream is not None:
            self.credit_stream(stream, 0)
        self.report_targets(self.recv_target, self.stream_target)

    # -- GOAWAY

    def write_goaway(self, last_stream_id: int, code: int, debug: bytes) -> None:
        writer.write_goaway(self.out, last_stream_id, code, debug)
        self.sent(_GOAWAY, 0, 0, 8 + len(debug))
        self.recorder.note_code(code)
        self.slots[_GOAWAY_SLOT + (self.role * 2 + counters.SEND) * _ERROR_CODES + error_slot(code)] += 1
        self.goaway_sent = True
        self.goaway_sent_last = last_stream_id
        if last_stream_id != STREAM_ID_MAX:
            self.guards.goaway_sent()

    def begin_drain(self, reason: bytes) -> None:
        """End gracefully of our own accord: no new streams, then the last one is named, then the end (RFC 9113 section 6.8)."""
        self.drain_stream_id = UNLIMITED
        if not self.closed and not self.shutting_down:
            self.shutting_down = True
            self.drain_at = self.now + DRAIN_WAIT_S
            self.write_goaway(STREAM_ID_MAX, ErrorCode.NO_ERROR, reason)

    def on_goaway(self, buf: bytes, pos: int, end: int) -> int:
        """RFC 9113 section 6.8: streams above the last one were not seen by the peer and may be sent again."""
        if end - pos < 8:
            raise fail(RULES.frame_size_wrong, frame="GOAWAY", actual=end - pos, limit=8)
        last = _mem.u32(buf, pos, end) & 0x7FFFFFFF
        code = _mem.u32(buf, pos + 4, end)
        self.recorder.note_code(code)
        self.guards.goaway(self.goaway_received and last == self.goaway_last_stream_id, self.now)
        debug = _mem.to_bytes(buf, pos + 8, end, end)
        self.slots[_GOAWAY_SLOT + (self.role * 2 + counters.RECV) * _ERROR_CODES + error_slot(code)] += 1
        if self.goaway_received and last > self.goaway_last_stream_id:
            raise fail(RULES.goaway_last_stream_grew, actual=last, limit=self.goaway_last_stream_id)
        self.goaway_received = True
        self.goaway_last_stream_id = last
        if self.goaway_code == 0:
            self.goaway_code = code
        for stream in [s for s in self.streams.values() if s.local and s.id > last]:
            self.refuse(stream, last, code)
        self.handler.goaway_received(last, code, debug)
        return 0

    def refuse(self, stream: Stream, last: int, code: int) -> None:
        """End one of our streams that the peer's GOAWAY leaves out."""
        stream.step(_RECV_RST)
        stream.closed_by = REMOTE
        stream.closed_code = ErrorCode.REFUSED_STREAM
        stream.refused = self.recovery
        self.remember_reset(stream.id, REMOTE)
        name = ErrorCode.label(code)
        self.handler.stream_reset(
            stream,
            StreamReset(
                f"stream {stream.id}: the peer sent GOAWAY {name} with last stream {last}, so it has not seen this request",
                rule="goaway_received",
                code=ErrorCode.REFUSED_STREAM,
                scope="stream",
                stream_id=stream.id,
                initiator="remote",
                flight=self.recorder.log(),
            ),
        )
        self.close_stream(stream, GOAWAY)

    # -- priority

    def on_priority(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        """RFC 7540 priority is parsed and ignored; what it may not say is still an error."""
        if end - pos != 5:
            raise fail(RULES.priority_length, stream_id, actual=end - pos)
        if _mem.u32(buf, pos, end) & 0x7FFFFFFF == stream_id:
            raise fail(RULES.priority_self_dependency, stream_id)
        self.guards.priority(self.requests + self.streams_refused)
        return self.guards.glitch(RFC7540_PRIORITY, self.now)

    def on_priority_update(self, buf: bytes, pos: int, end: int) -> int:
        """RFC 9218 section 7.1."""
        if self.client:
            raise fail(RULES.priority_update_unexpected)
        if end - pos < 4:
            raise fail(RULES.frame_size_wrong, frame="PRIORITY_UPDATE", actual=end - pos, limit=4)
        stream_id = _mem.u32(buf, pos, end) & 0x7FFFFFFF
        if stream_id == 0 or (stream_id & 1 == 0 and stream_id >= self.next_stream_id):
            raise fail(RULES.priority_update_stream, stream_id)
        self.guards.priority(self.requests + self.streams_refused)
        limit: int = self.limits.priority_bytes_max
        if end - pos - 4 > limit:
            self.slots[_FIELDS_IGNORED] += 1
            return 0
        urgency, incremental = parse_priority(_mem.to_bytes(buf, pos + 4, end, end), limit)
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.scheduler.moved(stream, urgency, incremental)
        elif stream_id & 1 and stream_id > self.last_remote_stream_id:
            self.remember_priority(stream_id, (urgency, incremental))
        return 0

    def remember_priority(self, stream_id: int, priority: tuple[int, bool]) -> None:
        """Keep the priority of a request that is still to come, of as many as may be open at once."""
        idle = self.idle_priorities
        if stream_id not in idle and len(idle) >= self.limits.streams_max:
            # Numbers that were passed over will not come any more.
            for passed in [i for i in idle if i <= self.last_remote_stream_id]:
                del idle[passed]
            if len(idle) >= self.limits.streams_max:
                return
        idle[stream_id] = priority

    def send_priority_update(self, stream: Stream, urgency: int, incremental: bool, now: float) -> None:
        """Tell the server a request's new priority (RFC 9218 section 7.1).

        Raises:
            LocalProtocolError: on a server's connection.
            ValueError: urgency outside 0 to 7.
        """
        self.now = now
        if not self.client:
            raise LocalProtocolError("a server does not send PRIORITY_UPDATE (RFC 9218 §7.1)", initiator="user")
        value = format_priority(urgency, incremental)
        writer.write_priority_update(self.out, stream.id, value)
        self.sent(FrameType.PRIORITY_UPDATE, 0, 0, 4 + len(value))
        self.scheduler.moved(stream, urgency, incremental)

    # -- push (RFC 9113 section 8.4)
