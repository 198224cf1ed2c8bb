"""The engine with the manners of the ``h2`` library: what it reports, what it leaves to its user, how it ends.

A subclass of ``Connection``: parsing, HPACK, the streams' states, windows, output, counters,
guards and the flight recorder are the engine's own.  Different are

- faults: they are raised, and nearly all of them end the connection;
- flow control: the user gives octets back, and windows open by the arithmetic of the library;
- sending (``sending``): nothing is queued, streams have the identifiers that the user chooses, and
  fields are encoded as the library does;
- events: PING, PRIORITY, WINDOW_UPDATE, ALTSVC and unknown frames are reported, too.
"""

from __future__ import annotations

from typing import Any

from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple
from hyperframe.frame import ExtensionFrame

from ... import _mem
from ...errors import StreamReset as EngineReset
from ...frames import writer
from ...frames.types import Flag, FrameType, SettingCode
from ...hpack.decoder import Decoder
from ...limits import WINDOW_BYTES_MAX
from ...protocol.connection import Connection
from ...protocol.guards import UNKNOWN_TYPE
from ...protocol.handler import Handler
from ...rules import RULES, Violation, fail
from ...streams.states import Input
from ...streams.stream import LOCAL, Stream
from . import events
from .config import H2Configuration
from .errors import error_code
from .exceptions import FlowControlError, NoSuchStreamError, ProtocolError, StreamClosedError, StreamIDTooLowError
from .faults import exception_for
from .sending import SendingEngine
from .settings import ChangedSetting, SettingCodes, Settings
from .states import ConnectionInputs, ConnectionState, H2ConnectionStateMachine
from .stream import StreamClosedBy

__all__ = ["Collector", "FacadeEngine"]

_HEADERS = int(FrameType.HEADERS)
_RST_STREAM = int(FrameType.RST_STREAM)
_WINDOW_UPDATE = int(FrameType.WINDOW_UPDATE)
_PRIORITY_UPDATE = int(FrameType.PRIORITY_UPDATE)
_SETTINGS = int(FrameType.SETTINGS)
_ALTSVC = 0x0A
_UNKNOWN = 0xFF
_ACK = int(Flag.ACK)
_PADDED = int(Flag.PADDED)
_HAS_PRIORITY = int(Flag.PRIORITY)
_RECV_HEADERS = int(Input.RECV_HEADERS)
_RECV_DATA = int(Input.RECV_DATA)
_RECV_END = int(Input.RECV_END)
_RECV_PROMISE = int(Input.RECV_PROMISE)
_LOCAL = LOCAL
_STREAM_CLOSED = 0x5
_REFUSED_STREAM = 0x7
_NOT_MODIFIED = 304
_TOO_LARGE = ("header_list_too_large", "header_fields_too_many")
_RESETS = (StreamClosedBy.SEND_RST_STREAM, StreamClosedBy.RECV_RST_STREAM)
_RESETTING = ("stream_half_closed", "window_overflow")
_COOKIE = b"cookie"
_SETTING_CODES = frozenset(map(int, SettingCode))


class Collector(Handler):
    """Turns the engine's calls into events.

    Attributes:
        events: since the last ``take()``.
        length: of the DATA frame being handled, with its padding.
        muted: the connection is ending, and so are its streams.
    """

    def __init__(self) -> None:
        self.events: list[events.Event] = []
        self.length = 0
        self.muted = False

    def take(self) -> list[events.Event]:
        """The events so far."""
        taken, self.events = self.events, []
        return taken

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        event = events.DataReceived(stream_id=stream.id, data=data, flow_controlled_length=self.length)
        self.events.append(event)
        if end_stream:
            event.stream_ended = events.StreamEnded(stream_id=stream.id)
            self.events.append(event.stream_ended)

    def stream_reset(self, stream: Stream, error: EngineReset) -> None:
        if not self.muted:
            self.events.append(
                events.StreamReset(stream_id=stream.id, error_code=error_code(error.code), remote_reset=error.initiator == "remote")
            )


class FacadeEngine(SendingEngine):
    """What the façade receives with; see the module.

    Attributes:
        settings: the user's configuration.
        machine: the connection's state.
        collector: the events.
    """

    def __init__(self, config: H2Configuration, local: Settings, remote: Settings, machine: H2ConnectionStateMachine) -> None:
        self.collector = Collector()
        SendingEngine.__init__(self, config.client_side, local, remote, self.collector)
        self.options = config
        self.machine = machine
        self.priority: events.PriorityUpdated | None = None
        self.decoder.keep_specials()

    def tell(self, event: Any) -> None:
        self.collector.events.append(event)

    # -- faults

    def connection_violation(self, violation: Violation) -> None:
        raise exception_for(violation, self.recorder.log())

    def stream_violation(self, violation: Violation) -> None:
        if violation.rule.token not in _RESETTING:
            self.connection_violation(violation)
        Connection.stream_violation(self, violation)

    def fail(self, error: ProtocolError) -> None:
        """``error`` ends the connection."""
        self.machine.state = ConnectionState.CLOSED
        self.counters.count("frame_errors", (self.role_name(), error.rule or "h2"))
        self.end(error.error_code, b"", self.last_remote_stream_id)

    def end(self, code: int, debug: bytes, last_stream_id: int) -> None:
        """GOAWAY; nothing is told of the streams that end with it."""
        self.collector.muted = True
        self.terminate(code, debug, last_stream_id)

    def role_name(self) -> str:
        return "client" if self.client else "server"

    def unknown_stream(self, type: int, stream_id: int, data_bytes: int) -> int:
        """A frame on a stream that is not open: the library's answers differ from the engine's."""
        mine = (stream_id & 1 == 1) == self.client
        newest = self.next_stream_id if mine else self.last_remote_stream_id
        if mine:
            newest -= 2
        if type == _RST_STREAM:
            return self.guards.late_frame(-1, self.now)
        if stream_id > newest:
            if type == _HEADERS:
                raise ProtocolError(f"HEADERS on stream {stream_id}, which is not the peer's to open (RFC 9113 §5.1.1)")
            raise NoSuchStreamError(stream_id)
        if type == _WINDOW_UPDATE:
            return self.guards.late_frame(-1, self.now)
        by = self.closed_streams.get(stream_id)
        if type == _HEADERS and by not in _RESETS:
            if by is None:
                raise StreamIDTooLowError(stream_id, newest)
            raise StreamClosedError(stream_id)
        self.guards.late_frame(data_bytes, self.now)
        self.write_rst(stream_id, _STREAM_CLOSED)
        return 0

    # -- frames

    def check_header(self, type: int, flags: int, stream_id: int, length: int) -> Violation | None:
        # The library does not know PRIORITY_UPDATE.
        return Connection.check_header(self, _UNKNOWN if type == _PRIORITY_UPDATE else type, flags, stream_id, length)

    def dispatch(self, buf: bytes, pos: int, end: int, type: int, flags: int, stream_id: int) -> int:
        if type <= 0x9:
            return Connection.dispatch(self, buf, pos, end, type, flags, stream_id)
        payload = _mem.to_bytes(buf, pos, end, end)
        if type == _ALTSVC:
            return self.on_alt_svc(payload, stream_id)
        self.tell(events.UnknownFrameReceived(frame=ExtensionFrame(type=type, stream_id=stream_id, flag_byte=flags, body=payload)))
        return self.guards.glitch(UNKNOWN_TYPE, self.now)

    def on_data(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        self.machine.process_input(ConnectionInputs.RECV_DATA)
        found = self.streams.get(stream_id)
        self.automatic = found is None or not found.allows(_RECV_DATA)
        self.collector.length = end - pos
        try:
            Connection.on_data(self, buf, pos, end, flags, stream_id)
        finally:
            self.automatic = False
        return 0

    def on_headers(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        self.priority = None
        if flags & _HAS_PRIORITY:
            at = pos + 1 if flags & _PADDED else pos
            if end - at >= 5:
                self.priority = self.priority_at(buf, at, end, stream_id)
        return Connection.on_headers(self, buf, pos, end, flags, stream_id)

    def priority_at(self, buf: bytes, pos: int, end: int, stream_id: int) -> events.PriorityUpdated:
        event = events.PriorityUpdated()
        event.stream_id = stream_id
        dependency = _mem.u32(buf, pos, end)
        event.depends_on = dependency & 0x7FFFFFFF
        event.exclusive = dependency > 0x7FFFFFFF
        event.weight = _mem.u8(buf, pos + 4, end) + 1
        return event

    def on_priority(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        self.machine.process_input(ConnectionInputs.RECV_PRIORITY)
        Connection.on_priority(self, buf, pos, end, stream_id)
        self.tell(self.priority_at(buf, pos, end, stream_id))
        return 0

    def on_rst_stream(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        self.machine.process_input(ConnectionInputs.RECV_RST_STREAM)
        return Connection.on_rst_stream(self, buf, pos, end, stream_id)

    def on_window_update(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        self.machine.process_input(ConnectionInputs.RECV_WINDOW_UPDATE)
        known = stream_id == 0 or stream_id in self.streams
        Connection.on_window_update(self, buf, pos, end, stream_id)
        if known:
            self.tell(events.WindowUpdated(stream_id=stream_id, delta=_mem.u32(buf, pos, end) & 0x7FFFFFFF))
        return 0

    def on_ping(self, buf: bytes, pos: int, end: int, flags: int) -> int:
        self.machine.process_input(ConnectionInputs.RECV_PING)
        Connection.on_ping(self, buf, pos, end, flags)
        payload = _mem.to_bytes(buf, pos, end, end)
        self.tell(events.PingAckReceived(ping_data=payload) if flags & _ACK else events.PingReceived(ping_data=payload))
        return 0

    def on_goaway(self, buf: bytes, pos: int, end: int) -> int:
        """The library takes GOAWAY for the end: what waits to be sent is dropped, and nothing more is received."""
        if end - pos < 8:
            raise fail(RULES.frame_size_wrong, frame="GOAWAY", actual=end - pos, limit=8)
        self.machine.process_input(ConnectionInputs.RECV_GOAWAY)
        self.goaway_received = True
        self.out.clear()
        self.tell(goaway_event(_mem.to_bytes(buf, pos, end, end)))
        return 0

    def on_alt_svc(self, payload: bytes, stream_id: int) -> int:
        """RFC 7838 section 4: on stream 0 with an origin, on a request's stream without one; else ignored."""
        self.machine.process_input(ConnectionInputs.RECV_ALTERNATIVE_SERVICE)
        n = int.from_bytes(payload[:2], "big")
        if len(payload) < 2 or len(payload) < 2 + n:
            raise fail(RULES.frame_size_wrong, stream_id, frame="ALTSVC", actual=len(payload), limit=2 + n)
        origin: bytes | None = payload[2 : 2 + n]
        if stream_id:
            view = self.views.get(stream_id)
            if origin or view is None or view.stream is None or view.stream.headers_done:
                return 0
            origin = view.authority
        elif not origin:
            return 0
        if self.client:
            event = events.AlternativeServiceAvailable()
            event.origin = origin
            event.field_value = payload[2 + n :]
            self.tell(event)
        return 0

    # -- SETTINGS

    def on_settings(self, buf: bytes, pos: int, end: int, flags: int) -> int:
        self.machine.process_input(ConnectionInputs.RECV_SETTINGS)
        if flags & _ACK:
            if end != pos:
                raise fail(RULES.settings_ack_payload, actual=end - pos)
            event = events.SettingsAcknowledged()
            event.changed_settings = self.local.acknowledge()
            for code, changed in event.changed_settings.items():
                self.local_changed(code, changed)
            self.tell(event)
            return 0
        if (end - pos) % 6:
            raise fail(RULES.settings_length, actual=end - pos)
        if (end - pos) // 6 > self.limits.settings_entries_max:
            raise fail(RULES.settings_entries, actual=(end - pos) // 6, limit=self.limits.settings_entries_max)
        self.guards.settings_frame(self.now)
        self.take_remote_settings(_mem.to_bytes(buf, pos, end, end))
        writer.write_settings_ack(self.out)
        self.sent(_SETTINGS, _ACK, 0, 0)
        self.answer_queued()
        return 0

    def take_remote_settings(self, payload: bytes) -> None:
        """The peer's settings come into force."""
        new: dict[int, int] = {}
        for at in range(0, len(payload), 6):
            new[int.from_bytes(payload[at : at + 2], "big")] = int.from_bytes(payload[at + 2 : at + 6], "big")
        for code, value in new.items():
            self.remote.validate_received_setting(code, value)
        event = events.RemoteSettingsChanged.from_settings(self.remote, new)
        self.remote.update(new)
        changes = {int(code): self.remote[code] for code in self.remote.acknowledge() if code in _SETTING_CODES}
        for code, value in changes.items():
            self.apply_remote(code, value)
        self.note_remote(changes)
        self.tell(event)

    def local_changed(self, code: int, changed: ChangedSetting) -> None:
        """The peer acknowledged one of our settings."""
        value = changed.new_value
        if code == SettingCodes.INITIAL_WINDOW_SIZE:
            delta = value - (changed.original_value or 0)
            for view in self.views.values():
                if view.inbound_flow_control_window + delta > WINDOW_BYTES_MAX:
                    raise FlowControlError(f"SETTINGS_INITIAL_WINDOW_SIZE {value} makes the window of stream {view.stream_id} too large")
                view.window_max += delta
        elif code == SettingCodes.MAX_HEADER_LIST_SIZE:
            self.decoder._list_bytes_max = value
        if code in _SETTING_CODES:
            self.apply_local(code, value)
            self.note_local({int(code): value})
        if code == SettingCodes.HEADER_TABLE_SIZE and value >= self.decoder.table.capacity:
            # ``Settings`` takes any acknowledgement for that of its oldest values: the peer may never have seen a smaller one.
            self.decoder._shrink_to = -1

    # -- field blocks

    def on_block(self, buf: bytes, pos: int, end: int, fin: bool, stream_id: int) -> int:
        found = self.streams.get(stream_id)
        opens = found is None and not self.client and stream_id & 1 == 1 and stream_id > self.last_remote_stream_id
        if opens and self.streams_remote >= self.local_streams_max:
            raise fail(RULES.streams_exceeded, stream_id, actual=self.streams_remote + 1, limit=self.local_streams_max)
        fields = self.decoder
        fields.decode(buf, pos, end, stream_id)
        self.check_size(fields, stream_id)
        self.machine.process_input(ConnectionInputs.RECV_HEADERS)
        if opens:
            return self.on_request(fields, fin, stream_id)
        if found is None:
            return self.unknown_stream(_HEADERS, stream_id, -1)
        stream = found
        if not stream.allows(_RECV_HEADERS):
            raise self.not_allowed(stream, _HEADERS)
        stream.step(_RECV_HEADERS)
        if stream.headers_done:
            return self.on_trailers(stream, fields, fin)
        return self.on_response(stream, fields, fin)

    def check_size(self, fields: Decoder, stream_id: int) -> int:
        """Bounds hold whatever the user validates."""
        if fields.violation is not None and fields.violation.token in _TOO_LARGE:
            raise Violation(fields.violation, stream_id, fields.violation_fields)
        return 0

    def check_fields(self, fields: Decoder, stream_id: int) -> bool:
        """Whether the message is to be checked as a whole; raises when a field of it is malformed."""
        if fields.violation is None:
            return self.options.validate_inbound_headers
        if self.options.validate_inbound_headers or fields.violation is RULES.content_length_invalid:
            raise Violation(fields.violation, stream_id, fields.violation_fields)
        return False

    def on_request(self, fields: Decoder, fin: bool, stream_id: int) -> int:
        self.forget_closed()
        self.last_remote_stream_id = stream_id
        if self.check_fields(fields, stream_id):
            self.validator.request(fields, stream_id)
        stream = self.new_stream(stream_id, False)
        stream.step(_RECV_HEADERS)
        stream.method = fields.method
        stream.content_length = fields.content_length
        stream.headers_done = True
        stream.headers_at = self.now
        self.watch(stream)
        self.tell_fields(events.RequestReceived(stream_id=stream_id, headers=self.shown(fields)), stream, fin)
        return 0

    def on_response(self, stream: Stream, fields: Decoder, fin: bool) -> int:
        status = fields.status_code
        if self.check_fields(fields, stream.id):
            status = self.validator.response(fields, stream.id)
        headers = self.shown(fields)
        if 100 <= status < 200:
            if fin:
                raise fail(RULES.informational_end, stream.id)
            event = events.InformationalResponseReceived(stream_id=stream.id, headers=headers)
            event.priority_updated = self.priority
            self.tell(event)
            if self.priority is not None:
                self.tell(self.priority)
            return 0
        stream.status = status
        stream.headers_done = True
        stream.headers_at = self.now
        stream.content_length = 0 if stream.head_request else -1 if status == _NOT_MODIFIED else fields.content_length
        self.tell_fields(events.ResponseReceived(stream_id=stream.id, headers=headers), stream, fin)
        return 0

    def on_trailers(self, stream: Stream, fields: Decoder, fin: bool) -> int:
        if not fin:
            raise fail(RULES.trailers_no_end, stream.id)
        if self.check_fields(fields, stream.id) and fields.pseudo:
            raise fail(RULES.pseudo_in_trailers, stream.id, got="any")
        self.count_body(stream, 0, True)
        self.tell_fields(events.TrailersReceived(stream_id=stream.id, headers=self.shown(fields)), stream, fin)
        return 0

    def tell_fields(self, event: Any, stream: Stream, fin: bool) -> None:
        """A field section, what ends with it, and the priority beside it."""
        self.tell(event)
        if fin:
            event.stream_ended = events.StreamEnded(stream_id=stream.id)
            self.tell(event.stream_ended)
            stream.step(_RECV_END)
        if self.priority is not None:
            event.priority_updated = self.priority
            self.tell(self.priority)
        self.end_received(stream)

    def shown(self, fields: Decoder) -> list[Any]:
        """The block just decoded as the user wants it, in its order."""
        pairs: list[tuple[bytes, bytes]] = []
        taken = 0
        for at, pair in fields.specials or ():
            pairs += fields.headers[taken:at]
            pairs.append(pair)
            taken = at
        pairs += fields.headers[taken:]
        made = [tuple.__new__(HeaderTuple, pair) for pair in pairs]
        for at in fields.never_indexed:
            made[at] = NeverIndexedHeaderTuple(*pairs[at])
        if self.options.normalize_inbound_headers and any(pair[0] == _COOKIE for pair in pairs):
            crumbs = b"; ".join([value for name, value in made if name == _COOKIE])
            made = [pair for pair in made if pair[0] != _COOKIE]
            made.append(NeverIndexedHeaderTuple(_COOKIE, crumbs))
        encoding = self.options.header_encoding
        if isinstance(encoding, str):
            made = [pair.__class__(pair[0].decode(encoding), pair[1].decode(encoding)) for pair in made]
        return made

    # -- promises

    def on_push_promise(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        if not self.local.enable_push:
            raise fail(RULES.push_promise_unexpected, stream_id)
        return Connection.on_push_promise(self, buf, pos, end, flags, stream_id)

    def on_promise_block(self, buf: bytes, pos: int, end: int, stream_id: int, promised: int) -> int:
        fields = self.decoder
        fields.decode(buf, pos, end, stream_id)
        self.check_size(fields, stream_id)
        self.machine.process_input(ConnectionInputs.RECV_PUSH_PROMISE)
        parent = self.streams.get(stream_id)
        if parent is None and self.closed_streams.get(stream_id) is StreamClosedBy.SEND_RST_STREAM:
            # It was under way when we reset its request.
            self.write_rst(promised, _REFUSED_STREAM)
            self.remember_reset(promised, _LOCAL)
            return 0
        if parent is None or not parent.local or not parent.allows(_RECV_DATA):
            raise fail(RULES.push_promise_bad_stream, stream_id, promised=promised)
        if self.check_fields(fields, promised):
            self.validator.request(fields, promised)
        if self.streams_remote >= self.limits.push_promises_max:
            self.write_rst(promised, _REFUSED_STREAM)
            self.remember_reset(promised, _LOCAL)
            return 0
        self.last_remote_stream_id = promised
        stream = self.new_stream(promised, False)
        stream.step(_RECV_PROMISE)
        stream.head_request = fields.method == b"HEAD"
        self.promised += 1
        self.watch(stream).authority = fields.authority
        event = events.PushedStreamReceived()
        event.pushed_stream_id = promised
        event.parent_stream_id = stream_id
        event.headers = self.shown(fields)
        self.tell(event)
        return 0


def goaway_event(payload: bytes) -> events.ConnectionTerminated:
    """The event for a GOAWAY."""
    event = events.ConnectionTerminated()
    event.last_stream_id = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
    event.error_code = error_code(int.from_bytes(payload[4:8], "big"))
    event.additional_data = payload[8:] or None
    return event
