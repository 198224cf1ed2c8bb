"""The sending half of the reference engine: the verbs, and bodies as far as the windows let them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from .. import counters
from ..counters import Trace
from ..errors import LocalProtocolError
from ..frames.types import SettingCode
from ..limits import STREAM_ID_MAX
from ..rules import Violation
from ..streams.states import Input, State
from ..streams.stream import USER, Stream
from . import settings
from .core import COMPLETED, RESET_SENT
from .reference_core import ReferenceCore

__all__ = ["ReferenceSend"]

Fields = Sequence[tuple[bytes, bytes]]


class ReferenceSend(ReferenceCore):
    """Everything that is sent."""

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
        outcome = COMPLETED if stream.answered() else RESET_SENT
        stream.step(Input.SEND_RST)
        stream.closed_by = USER
        stream.closed_code = code
        self._call(self._h2.reset_stream, stream.id, code)
        self._h2.remember_reset(stream.id)
        self._count_reset(counters.SEND, code)
        self._close_stream(stream, outcome)

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
