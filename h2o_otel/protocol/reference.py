"""The interface of ``Connection`` on the ``h2`` library: the baseline, the oracle, and the way back.

Requests, responses, bodies, flow control, push, resets, PING and GOAWAY work as on our engine, on
the same ``Stream`` and ``Handler``.  There are no priorities, abuse guards, deadlines or header
counters; a malformed message ends the connection, since ``h2`` knows no smaller error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import h2.config
import h2.events
import h2.exceptions
import h2.settings
import h2.utilities
from hyperframe.frame import Frame, GoAwayFrame

from .. import counters
from ..counters import Counters
from ..errors import ConnectionTerminated, ErrorCode, LocalProtocolError
from ..escape import escaped
from ..frames.types import SLOT_OF_TYPE, SettingCode
from ..streams.states import Input
from ..streams.stream import LOCAL, REMOTE, Stream
from .config import ConnectionConfig
from .core import COMPLETED, CONN_LOST, GOAWAY, REFUSED, RESET_RECV, RESET_SENT, error_slot
from .events import Event
from .handler import Handler
from .reference_h2 import H2Engine
from .reference_send import ReferenceSend
from .settings import with_changes
from .state import UNLIMITED

__all__ = ["ReferenceConnection"]


_GOAWAY_ANY = 2**31 - 1
_DEBUG_BYTES_MAX = 200


class ReferenceConnection(ReferenceSend):
    """An endpoint of HTTP/2 on ``h2``; see ``Connection`` for the contract of each method."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        ReferenceSend.__init__(self, config, handler, block)
        limits = self.limits
        h2_config = h2.config.H2Configuration(client_side=self.client, header_encoding=False)
        self._h2 = H2Engine(h2_config, self._frame_received, self._frame_sent, limits.closed_streams_remembered_max, self._may_hold)
        self._h2.local_settings = h2.settings.Settings(client=self.client, initial_values=self._first_settings())
        self._h2.max_inbound_frame_size = limits.frame_bytes_max
        self._h2.decoder.max_header_list_size = limits.header_list_bytes_max
        self._h2.decoder.max_allowed_table_size = limits.header_table_bytes

    # -- beginning

    def start(self, now: float) -> None:
        if self.started:
            raise LocalProtocolError("start() called twice", initiator="user")
        self.started = self.counted = True
        self.now = self.opened_at = self.active_at = now
        self.counters.add("connection_active", self.role, 1)
        self._h2.initiate_connection()
        self._settings_unacked = True
        if self.limits.stream_window_bytes < 65_535:
            self._settings_waiting.append({SettingCode.INITIAL_WINDOW_SIZE: self.limits.stream_window_bytes})
        self.local_settings = with_changes(self.local_settings, {int(code): value for code, value in self._h2.local_settings.items()})
        window = self.limits.connection_window_bytes
        if window > 65_535:
            self._h2.increment_flow_control_window(window - 65_535)

    def _first_settings(self) -> dict[h2.settings.SettingCodes, int]:
        limits = self.limits
        values = {
            h2.settings.SettingCodes.HEADER_TABLE_SIZE: limits.header_table_bytes,
            # A smaller one holds from its acknowledgement on, and h2 applies the first values at once.
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: max(65_535, limits.stream_window_bytes),
            h2.settings.SettingCodes.MAX_FRAME_SIZE: limits.frame_bytes_max,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: limits.header_list_bytes_max,
        }
        if self.client:
            values[h2.settings.SettingCodes.ENABLE_PUSH] = int(self.config.enable_push)
        else:
            values[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = limits.streams_max
            values[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = int(self.config.enable_connect_protocol)
        return values

    # -- input

    def receive(self, data: bytes, now: float) -> list[Event]:
        self.now = now
        if self._receiving:
            raise LocalProtocolError("receive() is not re-entrant", initiator="user")
        if not self.closed:
            self._receiving = True
            try:
                self._h2.receive_data(data)
            except h2.exceptions.H2Error as error:
                self._violation(error)
            finally:
                self._receiving = False
        return self.take_events()

    def receive_into(self, buffer: bytearray, start: int, end: int, now: float) -> int:
        self.receive(bytes(buffer[start:end]), now)
        return end - start

    def take_events(self) -> list[Event]:
        return self._collector.take() if self._collector is not None else []

    def _violation(self, error: h2.exceptions.H2Error) -> None:
        """``h2`` has given up, and has already queued its GOAWAY except before the preface."""
        if self.closed:
            return
        code = int(getattr(error, "error_code", ErrorCode.PROTOCOL_ERROR))
        rule = type(error).__name__
        text = f"{escaped(str(error))} ({ErrorCode.label(code)}, h2 {rule})"
        self.counters.count("frame_errors", (counters.ROLES[self.role], rule))
        self.counters.count("connection_errors", (counters.ROLES[self.role], "transmit", ErrorCode.label(code)))
        if not self._h2.output_size() or not self.goaway_sent:
            self._write_goaway(self.last_remote_stream_id, code, text.encode("ascii", "replace")[:_DEBUG_BYTES_MAX])
        self.closed = True
        self._end_streams(text, code, rule, LOCAL, RESET_SENT)
        self._finish(ConnectionTerminated(text, rule=rule, code=code, initiator="local"), rule)

    def _frame_received(self, frame: Frame, events: list[h2.events.Event]) -> None:
        self.frames_received += 1
        self._count_frame(counters.RECV, frame)
        for event in events:
            if self.closed:
                return
            receiver = _RECEIVERS.get(type(event))
            if receiver is not None:
                receiver(self, event)

    def _frame_sent(self, frame: Frame) -> None:
        self._count_frame(counters.SEND, frame)
        if isinstance(frame, GoAwayFrame):
            self.goaway_sent = True
            self.goaway_sent_last = frame.last_stream_id
            self.counters.add("goaway", (self.role * 2 + counters.SEND) * len(counters.ERROR_CODES) + error_slot(frame.error_code), 1)

    def _count_frame(self, direction: int, frame: Frame) -> None:
        kind = getattr(frame, "type", None)
        index = (self.role * 2 + direction) * len(counters.FRAME_TYPES) + SLOT_OF_TYPE[kind if kind is not None else 0xFF]
        self.counters.add("frames", index, 1)
        self.counters.add("frame_payload", index, frame.body_len)

    # -- what h2 reports

    def _may_hold(self) -> bool:
        """Whether to open one more stream beyond the limit; its fields are decoded later, so that the last may exceed their bound."""
        limits = self.limits
        held = self.streams_remote - self.local_streams_max
        if not self.settings_known and held < limits.streams_held_max and self.held_bytes < limits.streams_held_bytes_max:
            return True
        self.counters.add("streams", self.role * len(counters.OUTCOMES) + REFUSED, 1)
        return False

    def _on_request(self, event: h2.events.RequestReceived) -> None:
        if self.goaway_sent and event.stream_id > self.goaway_sent_last:
            return
        self.last_remote_stream_id = event.stream_id
        beyond = self.streams_remote >= self.local_streams_max
        stream = self._new_stream(event.stream_id, False)
        stream.step(Input.RECV_HEADERS)
        self._take_request(stream, event.headers)
        if beyond:
            stream.held_bytes = sum(len(name) + len(value) + 32 for name, value in event.headers)
            self.held_bytes += stream.held_bytes
        stream.headers_at = self.now
        fin = event.stream_ended is not None
        if fin:
            stream.step(Input.RECV_END)
        self.handler.request_received(stream, fin)

    def _take_request(self, stream: Stream, fields: Iterable[Any]) -> None:
        pseudo, stream.headers = _split(fields)
        stream.method = pseudo.get(b":method")
        stream.scheme = pseudo.get(b":scheme")
        stream.authority = pseudo.get(b":authority")
        stream.path = pseudo.get(b":path")
        stream.protocol = pseudo.get(b":protocol")
        stream.content_length = _content_length(stream.headers)
        stream.headers_done = True

    def _on_response(self, event: h2.events.ResponseReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            return
        stream.step(Input.RECV_HEADERS)
        pseudo, stream.headers = _split(event.headers)
        stream.status = int(pseudo[b":status"])
        stream.content_length = -1 if stream.head_request else _content_length(stream.headers)
        stream.headers_done = True
        stream.headers_at = self.now
        fin = event.stream_ended is not None
        if fin:
            stream.step(Input.RECV_END)
        self.handler.response_received(stream, fin)
        self._close_if_over(stream)

    def _on_informational(self, event: h2.events.InformationalResponseReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            pseudo, fields = _split(event.headers)
            stream.informational += 1
            self.handler.informational_received(stream, int(pseudo[b":status"]), fields)

    def _on_data(self, event: h2.events.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        n = len(event.data)
        if stream is None:
            self._acknowledge(event.stream_id, event.flow_controlled_length)
            return
        self._acknowledge(event.stream_id, event.flow_controlled_length - n)
        stream.recv_unread += n
        stream.body_received += n
        self.counters.add("flow_control_unread", self.role, n)
        fin = event.stream_ended is not None
        if fin:
            stream.step(Input.RECV_END)
        if n or fin:
            self.handler.data_received(stream, bytes(event.data), fin)
        self._close_if_over(stream)

    def _on_trailers(self, event: h2.events.TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.trailers = _split(event.headers)[1]
            stream.step(Input.RECV_END)
            self.handler.trailers_received(stream)
            self._close_if_over(stream)

    def _on_reset(self, event: h2.events.StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            return
        code = int(event.error_code if event.error_code is not None else ErrorCode.CANCEL)
        by = REMOTE if event.remote_reset else LOCAL
        who = f"the peer sent RST_STREAM {ErrorCode.label(code)}" if by == REMOTE else f"reset with {ErrorCode.label(code)}"
        direction = counters.RECV if by == REMOTE else counters.SEND
        self._count_reset(direction, code)
        stream.refused = by == REMOTE and stream.local and code == ErrorCode.REFUSED_STREAM
        rule = "rst_stream_received" if by == REMOTE else "h2"
        answered = stream.answered()
        self._fail(stream, f"stream {stream.id}: {who}", code, rule, "stream", by)
        self._close_stream(stream, COMPLETED if answered else REFUSED if stream.refused else RESET_RECV if by == REMOTE else RESET_SENT)

    def _on_goaway(self, event: h2.events.ConnectionTerminated) -> None:
        last, code = event.last_stream_id or 0, int(event.error_code or 0)
        self.counters.add("goaway", (self.role * 2 + counters.RECV) * len(counters.ERROR_CODES) + error_slot(code), 1)
        self.goaway_received = True
        self.goaway_code = self.goaway_code or code
        self.goaway_last_stream_id = min(last, self.goaway_last_stream_id)
        for stream in [s for s in self.streams.values() if s.local and s.id > last]:
            stream.refused = True
            name = ErrorCode.label(code)
            text = f"stream {stream.id}: the peer sent GOAWAY {name} with last stream {last}, so it has not seen this request"
            self._fail(stream, text, ErrorCode.REFUSED_STREAM, "goaway_received", "stream", REMOTE)
            self._close_stream(stream, GOAWAY)
        self.handler.goaway_received(last, code, bytes(event.additional_data or b""))

    def _on_settings(self, event: h2.events.RemoteSettingsChanged) -> None:
        self.need_settings = False
        changes = {int(code): change.new_value for code, change in event.changed_settings.items() if code in (*SettingCode,)}
        self.remote_settings = with_changes(self.remote_settings, changes)
        self.remote_streams_max = self.remote_settings.get(SettingCode.MAX_CONCURRENT_STREAMS, UNLIMITED)
        self.handler.settings_received()

    def _on_settings_acknowledged(self, event: h2.events.SettingsAcknowledged) -> None:
        changes = {int(code): change.new_value for code, change in event.changed_settings.items()}
        self.local_settings = with_changes(self.local_settings, changes)
        self._settings_unacked = False
        self.settings_known = True
        if not self.client:
            self.local_streams_max = self.local_settings[SettingCode.MAX_CONCURRENT_STREAMS]
        if self._settings_waiting:
            self._settings_unacked = True
            self._call(self._h2.update_settings, self._settings_waiting.popleft())

    def _on_ping_acknowledged(self, event: h2.events.PingAckReceived) -> None:
        payload = bytes(event.ping_data or b"")
        sent = self.pings.pop(payload, None)
        if sent is not None:
            self.counters.histogram("ping_rtt", self.role).record(self.now - sent)
            self.handler.ping_acknowledged(payload, self.now - sent)

    def _on_push(self, event: h2.events.PushedStreamReceived) -> None:
        promised_id = event.pushed_stream_id or 0
        parent = self.streams.get(event.parent_stream_id or 0)
        self.last_remote_stream_id = promised_id
        if parent is None:
            self._h2.reset_stream(promised_id, ErrorCode.CANCEL)
            return
        stream = self._new_stream(promised_id, False)
        stream.step(Input.RECV_PROMISE)
        self._take_request(stream, event.headers or ())
        stream.headers_done = False
        stream.head_request = stream.method == b"HEAD"
        self.handler.push_received(parent, stream)

    # -- end

    def connection_lost(self, error: Exception | None, now: float) -> None:
        self.now = now
        self.closed = True
        if not self.counted:
            return
        text = f"the connection was lost ({error})" if error is not None else "the peer closed the connection"
        idle = all(stream.answered() for stream in self.streams.values())
        rule, code = "connection_lost", self.goaway_code
        error_type = "" if idle and error is None else rule
        if code:
            # The peer has said why: that is the error, and the end of the transport its consequence.
            rule, error_type = "goaway_received", ErrorCode.label(code)
            text = f"the peer sent GOAWAY {error_type}, and the connection ended"
        self._end_streams(text, code or ErrorCode.CANCEL, rule, REMOTE, CONN_LOST)
        terminated = None
        if not idle:
            terminated = ConnectionTerminated(text, rule=rule, code=code, initiator="remote")
            terminated.__cause__ = error
        self._finish(terminated, error_type)

    def close(self, code: int, now: float, debug: bytes = b"") -> None:
        self.now = now
        if self.closed:
            return
        self._write_goaway(self.last_remote_stream_id, code, debug[:_DEBUG_BYTES_MAX])
        self.closed = True
        self._end_streams(f"the connection was closed with {ErrorCode.label(code)}", code, "closed", LOCAL, CONN_LOST)
        self._finish(None, "" if code == ErrorCode.NO_ERROR else ErrorCode.label(code))

    def shutdown(self, now: float) -> None:
        self.now = now
        if not self.closed and not self.shutting_down:
            self.shutting_down = True
            self._write_goaway(_GOAWAY_ANY, ErrorCode.NO_ERROR, b"")

    def finish_shutdown(self, now: float) -> None:
        self.now = now
        if not self.closed:
            self.shutting_down = True
            self._write_goaway(self.last_remote_stream_id, ErrorCode.NO_ERROR, b"")

    # -- time, output and the transport

    def next_deadline(self) -> float:
        """Never: there are no time limits on this engine but those of the layers above."""
        return math.inf

    def tick(self, now: float) -> None:
        self.now = now

    def pause_output(self) -> None:
        self.paused = True

    def resume_output(self, now: float) -> None:
        self.paused = False
        self.pump(now)

    def out_size(self) -> int:
        return self._h2.output_size()

    def data_to_send(self) -> bytes:
        return self._h2.data_to_send()

    def chunks_to_send(self) -> list[bytes | memoryview]:
        data = self._h2.data_to_send()
        return [data] if data else []

    @property
    def send_window(self) -> int:
        return self._h2.outbound_flow_control_window

    @property
    def recv_window(self) -> int:
        return self._h2.inbound_flow_control_window

    @property
    def streams_open(self) -> int:
        return self.streams_local + self.streams_remote

    @property
    def draining(self) -> bool:
        return self.goaway_received or self.goaway_sent

    def describe(self) -> dict[str, Any]:
        return {
            "role": counters.ROLES[self.role],
            "streams_open": self.streams_open,
            "send_window": self.send_window,
            "recv_window": self.recv_window,
            "queued_bytes": self.queued,
            "requests": self.requests,
            "local_settings": dict(self.local_settings),
            "remote_settings": dict(self.remote_settings),
        }


def _split(fields: Iterable[Any]) -> tuple[dict[bytes, bytes], list[tuple[bytes, bytes]]]:
    """Pseudo-header fields by name, and the regular fields as plain pairs."""
    pairs = [(bytes(name), bytes(value)) for name, value in fields]
    return {n: v for n, v in pairs if n.startswith(b":")}, [(n, v) for n, v in pairs if not n.startswith(b":")]


def _content_length(headers: list[tuple[bytes, bytes]] | None) -> int:
    for name, value in headers or ():
        if name == b"content-length" and value.isdigit():
            return int(value)
    return -1


_RECEIVERS: dict[type[h2.events.Event], Callable[[ReferenceConnection, Any], None]] = {
    h2.events.RequestReceived: ReferenceConnection._on_request,
    h2.events.ResponseReceived: ReferenceConnection._on_response,
    h2.events.InformationalResponseReceived: ReferenceConnection._on_informational,
    h2.events.DataReceived: ReferenceConnection._on_data,
    h2.events.TrailersReceived: ReferenceConnection._on_trailers,
    h2.events.StreamReset: ReferenceConnection._on_reset,
    h2.events.ConnectionTerminated: ReferenceConnection._on_goaway,
    h2.events.RemoteSettingsChanged: ReferenceConnection._on_settings,
    h2.events.SettingsAcknowledged: ReferenceConnection._on_settings_acknowledged,
    h2.events.PingAckReceived: ReferenceConnection._on_ping_acknowledged,
    h2.events.PushedStreamReceived: ReferenceConnection._on_push,
}
