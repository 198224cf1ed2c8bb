"""The interface of ``Connection`` on the ``h2`` library: the baseline, the oracle, and the way back.

Requests, responses, bodies, flow control, push, resets, PING and GOAWAY work as on our engine, on
the same ``Stream`` and ``Handler``.  There are no priorities, abuse guards, deadlines or header
counters; a malformed message ends the connection, since ``h2`` knows no smaller error.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import h2.config
import h2.events
import h2.exceptions
import h2.settings
import h2.utilities
from hyperframe.frame import Frame, GoAwayFrame

from .. import counters
from ..buffers.output import OutputBuffer
from ..counters import Counters, Trace
from ..errors import ConnectionTerminated, ErrorCode, LocalProtocolError, StreamReset
from ..frames.types import SLOT_OF_TYPE, SettingCode
from ..hpack.encoder import Encoder
from ..limits import STREAM_ID_MAX
from ..rules import Violation
from ..streams.states import Input, State
from ..streams.stream import INITIATORS, LOCAL, REMOTE, USER, Stream
from . import settings
from .config import ConnectionConfig
from .core import COMPLETED, CONN_LOST, GOAWAY, REFUSED, RESET_RECV, RESET_SENT, UNLIMITED, error_slot
from .events import Event, EventCollector
from .handler import Handler
from .reference_h2 import Engine
from .settings import Settings

__all__ = ["ReferenceConnection"]

Fields = Sequence[tuple[bytes, bytes]]

_GOAWAY_ANY = 2**31 - 1
_DEBUG_BYTES_MAX = 200


class ReferenceConnection:
    """An endpoint of HTTP/2 on ``h2``; see ``Connection`` for the contract of each method."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        limits = config.limits
        self._collector = EventCollector() if handler is None else None
        self.handler: Handler = handler if handler is not None else self._collector or Handler()
        self.config = config
        self.limits = limits
        self.role = config.role
        self.client = config.role == counters.CLIENT
        self.counters = counters.local() if block is None else block
        self.streams: dict[int, Stream] = {}
        self.now = self.opened_at = self.active_at = 0.0
        self.requests = self.frames_received = 0
        self.turn_over = False
        self.started = self.closed = self.goaway_sent = self.goaway_received = self.shutting_down = self.counted = False
        self.paused = self.trace_requests = False
        self.need_settings = True
        self.error: Exception | None = None
        self.local_settings = Settings()
        self.remote_settings = Settings()
        self.local_streams_max = limits.push_promises_max if self.client else limits.streams_max
        self.remote_streams_max = UNLIMITED
        self.next_stream_id = 1 if self.client else 2
        self.last_remote_stream_id = 0
        self.goaway_last_stream_id = self.goaway_sent_last = _GOAWAY_ANY
        self.streams_local = self.streams_remote = 0
        self.queued = 0
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
        h2_config = h2.config.H2Configuration(client_side=self.client, header_encoding=False)
        self._h2 = Engine(h2_config, self._frame_received, self._frame_sent, limits.closed_streams_remembered_max)
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
        for code, value in self._h2.local_settings.items():
            self.local_settings[int(code)] = value
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
        text = f"{error} ({ErrorCode.label(code)}, h2 {rule})"
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

    def _on_request(self, event: h2.events.RequestReceived) -> None:
        if self.goaway_sent and event.stream_id > self.goaway_sent_last:
            return
        self.last_remote_stream_id = event.stream_id
        stream = self._new_stream(event.stream_id, False)
        stream.step(Input.RECV_HEADERS)
        self._take_request(stream, event.headers)
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
        self._fail(stream, f"stream {stream.id}: {who}", code, rule, "stream", by)
        self._close_stream(stream, REFUSED if stream.refused else RESET_RECV if by == REMOTE else RESET_SENT)

    def _on_goaway(self, event: h2.events.ConnectionTerminated) -> None:
        last, code = event.last_stream_id or 0, int(event.error_code or 0)
        self.counters.add("goaway", (self.role * 2 + counters.RECV) * len(counters.ERROR_CODES) + error_slot(code), 1)
        self.goaway_received = True
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
        for code, change in event.changed_settings.items():
            if code in (*SettingCode,):
                self.remote_settings[int(code)] = change.new_value
        self.remote_streams_max = self.remote_settings.get(SettingCode.MAX_CONCURRENT_STREAMS, UNLIMITED)
        self.handler.settings_received()

    def _on_settings_acknowledged(self, event: h2.events.SettingsAcknowledged) -> None:
        for code, change in event.changed_settings.items():
            self.local_settings[int(code)] = change.new_value
        self._settings_unacked = False
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

    # -- verbs

    def can_open_stream(self) -> bool:
        return (
            self.started
            and not self.closed
            and not self.goaway_received
            and not self.shutting_down
            and self.streams_local < self.remote_streams_max
            and self.next_stream_id <= STREAM_ID_MAX
        )

    def send_request(self, headers: Fields, end_stream: bool, now: float, user: Any = None, trace: Trace | None = None) -> Stream:
        self.now = now
        if not self.client:
            raise LocalProtocolError("send_request on a server's connection", initiator="user")
        if not self.can_open_stream():
            raise LocalProtocolError("no stream can be opened on this connection now", initiator="user")
        self._check(headers, is_client=True)
        stream_id = self.next_stream_id
        self._call(self._h2.send_headers, stream_id, list(headers), end_stream)
        self.next_stream_id += 2
        stream = self._new_stream(stream_id, True)
        stream.user = user
        stream.trace = trace
        stream.head_request = (b":method", b"HEAD") in headers
        stream.step(Input.SEND_HEADERS)
        stream.headers_sent = True
        if end_stream:
            self._end_sent(stream)
        return stream

    def send_response(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], end_stream: bool, now: float) -> None:
        self.now = now
        if stream.headers_sent or status < 200 or status > 599 or not stream.allows(Input.SEND_HEADERS):
            raise self._misuse(f"a response with status {status}" + (" after another" if stream.headers_sent else ""), stream)
        fields = [(b":status", b"%d" % status), *headers]
        self._check(fields, is_response_header=True)
        self._call(self._h2.send_headers, stream.id, fields, end_stream)
        stream.step(Input.SEND_HEADERS)
        stream.headers_sent = True
        if end_stream:
            self._end_sent(stream)

    def send_informational(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], now: float) -> None:
        self.now = now
        if stream.headers_sent or not 100 <= status <= 199 or status == 101 or not stream.allows(Input.SEND_HEADERS):
            raise self._misuse(f"an informational response with status {status}", stream)
        fields = [(b":status", b"%d" % status), *headers]
        self._check(fields, is_response_header=True)
        self._call(self._h2.send_headers, stream.id, fields, False)
        stream.step(Input.SEND_HEADERS)

    def send_trailers(self, stream: Stream, headers: Fields, now: float) -> None:
        self.now = now
        if stream.queue_end or stream.queue_trailers is not None or not stream.headers_sent or not stream.allows(Input.SEND_DATA):
            raise self._misuse("trailers", stream)
        self._check(headers, is_client=self.client, is_trailer=True)
        if stream.queued:
            stream.queue_trailers = list(headers)
        else:
            self._write_trailers(stream, list(headers))

    def _write_trailers(self, stream: Stream, headers: list[tuple[bytes, bytes]]) -> None:
        self._call(self._h2.send_headers, stream.id, headers, True)
        self._end_sent(stream)

    def send_data(self, stream: Stream, data: bytes, end_stream: bool, now: float) -> int:
        self.now = now
        if stream.queue_end or stream.queue_trailers is not None or not stream.headers_sent or not stream.allows(Input.SEND_DATA):
            raise self._misuse("DATA", stream)
        if not data and not end_stream:
            return stream.queued
        if stream.queue is None:
            stream.queue = deque()
            stream.queue_offset = 0
        stream.queue.append(data)
        stream.queued += len(data)
        stream.queue_end = end_stream
        self.queued += len(data)
        self._writers[stream.id] = stream
        self._write_queued(stream)
        if stream.queued > self.limits.send_buffer_stream_bytes:
            stream.writable_wanted = True
        return stream.queued

    def pump(self, now: float) -> None:
        self.now = now
        for stream in list(self._writers.values()):
            self._write_queued(stream)

    def _write_queued(self, stream: Stream) -> None:
        """Frame what windows and the high-water mark allow; ``h2`` raises for more."""
        while stream.queue and not self.closed:
            data: bytes = stream.queue[0]
            room = self._room(stream)
            left = len(data) - stream.queue_offset
            if left and room <= 0:
                return
            n = min(left, room) if left else 0
            end = stream.queue_end and len(stream.queue) == 1 and n == left
            part = data if n == len(data) else data[stream.queue_offset : stream.queue_offset + n]
            self._call(self._h2.send_data, stream.id, part, end)
            stream.body_sent += n
            stream.queued -= n
            self.queued -= n
            stream.queue_offset += n
            if n == left:
                stream.queue.popleft()
                stream.queue_offset = 0
            if end:
                self._end_sent(stream)
        if stream.queue is not None and not stream.queue:
            stream.queue = None
            self._writers.pop(stream.id, None)
        if stream.writable_wanted and stream.queued <= self.limits.send_buffer_stream_bytes // 2 and stream.state != State.CLOSED:
            stream.writable_wanted = False
            self.handler.stream_writable(stream)
        if stream.queue is None and stream.queue_trailers is not None and stream.state != State.CLOSED:
            trailers, stream.queue_trailers = stream.queue_trailers, None
            self._write_trailers(stream, trailers)

    def _room(self, stream: Stream) -> int:
        if self.paused:
            return 0
        stream.send_window = self._h2.local_flow_control_window(stream.id)
        return min(stream.send_window, self._h2.max_outbound_frame_size, self.limits.output_high_water_bytes - self._h2.output_size())

    def _end_sent(self, stream: Stream) -> None:
        if stream.step(Input.SEND_END) == State.CLOSED:
            self._close_stream(stream, COMPLETED)

    def reset_stream(self, stream: Stream, code: int, now: float) -> None:
        self.now = now
        if stream.state == State.CLOSED or self.closed:
            self.credit(stream, stream.recv_unread, now)
            return
        stream.step(Input.SEND_RST)
        stream.closed_by = USER
        stream.closed_code = code
        self._call(self._h2.reset_stream, stream.id, code)
        self._h2.remember_reset(stream.id)
        self._count_reset(counters.SEND, code)
        self._close_stream(stream, RESET_SENT)

    def send_ping(self, payload: bytes, now: float) -> None:
        self.now = now
        if len(payload) != 8:
            raise LocalProtocolError(f"a PING carries 8 octets, not {len(payload)} (RFC 9113 §6.7)", initiator="user")
        if not self.closed:
            self._call(self._h2.ping, payload)
            self.pings[payload] = now

    def update_settings(self, entries: Sequence[tuple[int, int]], now: float) -> None:
        self.now = now
        for code, value in entries:
            try:
                settings.check(code, value)
            except Violation as violation:
                raise LocalProtocolError(str(violation), rule=violation.rule.token, initiator="user") from violation
        if self._settings_unacked:
            self._settings_waiting.append(dict(entries))
        else:
            self._settings_unacked = True
            self._call(self._h2.update_settings, dict(entries))

    def send_push_promise(self, stream: Stream, headers: Fields, now: float) -> Stream:
        self.now = now
        if self.client or self.closed or self.goaway_received:
            raise LocalProtocolError("only a server with a live connection promises streams (RFC 9113 §8.4)", initiator="user")
        if not self.remote_settings[SettingCode.ENABLE_PUSH]:
            raise LocalProtocolError("the client disabled push (SETTINGS_ENABLE_PUSH 0, RFC 9113 §8.4)", initiator="user")
        if stream.local or not stream.allows(Input.SEND_DATA):
            raise self._misuse("PUSH_PROMISE", stream)
        self._check(headers, is_push_promise=True)
        promised_id = self.next_stream_id
        self._call(self._h2.push_stream, stream.id, promised_id, list(headers))
        self.next_stream_id += 2
        promised = self._new_stream(promised_id, True)
        promised.step(Input.SEND_PROMISE)
        return promised

    def prioritize(self, stream: Stream, urgency: int, incremental: bool) -> None:
        """Remembered only: ``h2`` has no priorities of RFC 9218."""
        stream.urgency = urgency
        stream.incremental = incremental

    def send_priority_update(self, stream: Stream, urgency: int, incremental: bool, now: float) -> None:
        self.now = now
        if not self.client:
            raise LocalProtocolError("a server does not send PRIORITY_UPDATE (RFC 9218 §7.1)", initiator="user")
        self.prioritize(stream, urgency, incremental)

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

    # -- end

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
            self._fail(stream, text, code, rule, "connection", by)
            self._close_stream(stream, outcome)

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

    def connection_lost(self, error: Exception | None, now: float) -> None:
        self.now = now
        self.closed = True
        if not self.counted:
            return
        text = f"the connection was lost ({error})" if error is not None else "the peer closed the connection"
        idle = not self.streams
        self._end_streams(text, ErrorCode.CANCEL, "connection_lost", REMOTE, CONN_LOST)
        terminated = None
        if not idle:
            terminated = ConnectionTerminated(text, rule="connection_lost", code=ErrorCode.NO_ERROR, initiator="remote")
            terminated.__cause__ = error
        self._finish(terminated, "" if idle and error is None else "connection_lost")

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
