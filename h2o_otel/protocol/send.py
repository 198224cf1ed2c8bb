"""The sending half of a connection: the verbs of the application, and DATA framed by window and priority.

A body is framed at once while its windows are open and the output is below its high-water mark;
the rest is queued in the stream, and ``pump`` frames it later in the order of the scheduler.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from .. import _mem, counters
from ..counters import FRAMES_WRITE, HPACK_ENCODE, WAIT_WINDOW, Counters, Trace
from ..errors import LocalProtocolError
from ..frames import writer
from ..frames.types import Flag, FrameType, SettingCode
from ..hpack.kinds import AUTHORITY, METHOD, PATH, PROTOCOL, SCHEME
from ..limits import STREAM_ID_MAX
from ..streams.priority import merge_priority, parse_priority
from ..streams.states import Input, State
from ..streams.stream import Stream
from .config import ConnectionConfig
from .core import COMPLETED, PROGRESS_INTERVAL_S, ConnectionCore
from .guards import SMALL_DATA_BYTES
from .handler import Handler

__all__ = ["SendHalf"]

Fields = Sequence[tuple[bytes, bytes]]

_SEND_HEADERS = int(Input.SEND_HEADERS)
_SEND_DATA = int(Input.SEND_DATA)
_SEND_END = int(Input.SEND_END)
_CLOSED = int(State.CLOSED)
_DATA = int(FrameType.DATA)
_HEADERS = int(FrameType.HEADERS)
_CONTINUATION = int(FrameType.CONTINUATION)
_END_STREAM = int(Flag.END_STREAM)
_END_HEADERS = int(Flag.END_HEADERS)
_PUSH_PROMISE = int(FrameType.PUSH_PROMISE)
_PING = int(FrameType.PING)
_STALLS = counters.slot("flow_control_stalls")
_PRIORITY_UPDATE = int(FrameType.PRIORITY_UPDATE)
_HPACK_ENCODE = HPACK_ENCODE
_FRAMES_WRITE = FRAMES_WRITE
_WAIT_WINDOW = WAIT_WINDOW
_COMPLETED = COMPLETED
_SMALL_DATA_BYTES = SMALL_DATA_BYTES
_STREAM_ID_MAX = STREAM_ID_MAX
_PROGRESS_INTERVAL_S = PROGRESS_INTERVAL_S
# The pseudo-header fields of a request, as the encoder notes them.
_REQUEST = 1 << METHOD | 1 << SCHEME | 1 << PATH
_NOT_AUTHORITY = ~(1 << AUTHORITY)
_PROTOCOL = 1 << PROTOCOL
_CONNECT = 1 << METHOD | 1 << AUTHORITY
_EXTENDED_CONNECT = _REQUEST | 1 << AUTHORITY | _PROTOCOL


class SendHalf(ConnectionCore):
    """Everything that puts frames into the output."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        ConnectionCore.__init__(self, config, handler, block)
        self.data_sizes = self.counters.histogram("frame_data_size", counters.SEND)
        self.connection_stalls = self.counters.histogram("flow_control_stall_duration", self.role * 2)
        self.stream_stalls = self.counters.histogram("flow_control_stall_duration", self.role * 2 + 1)
        # payload -> time sent, of PINGs that are not acknowledged yet
        self.pings: dict[bytes, float] = {}

    # -- messages

    def can_open_stream(self) -> bool:
        """Whether ``send_request`` may be called now: the peer's limit, GOAWAY and stream ids allow it."""
        return (
            self.started
            and not self.closed
            and not self.goaway_received
            and not self.shutting_down
            and self.streams_local < self.remote_streams_max
            and self.next_stream_id <= _STREAM_ID_MAX
        )

    def send_request(self, headers: Fields, end_stream: bool, now: float, user: Any = None, trace: Trace | None = None) -> Stream:
        """Open a stream with a request.

        Args:
            headers: fields in order, pseudo-header fields first, names in lower case.
            end_stream: the request has no body.
            now: seconds on the connection's clock.
            user: becomes ``stream.user``.
            trace: becomes ``stream.trace``: the layers leave their marks in it (level ``detail``).

        Raises:
            LocalProtocolError: no stream can be opened (``can_open_stream``), or a field is invalid;
                nothing was sent.
        """
        self.now = now
        if not self.client:
            raise LocalProtocolError("send_request on a server's connection", initiator="user")
        if not self.can_open_stream():
            raise LocalProtocolError(self.why_no_stream(), initiator="user")
        out = self.out
        out.reserve(self.block_room)
        start = out.pos
        out.pos = start + 9
        t0 = _mem.now_ns() if trace is not None else 0
        out.trace = trace
        try:
            self.encoder.encode(out, headers)
            method = self.check_pseudo(headers)
        except BaseException:
            out.pos = start
            out.trace = None
            raise
        stream = self.new_stream(self.next_stream_id, True)
        self.next_stream_id += 2
        stream.user = user
        stream.method = method
        stream.head_request = method == b"HEAD"
        stream.step(_SEND_HEADERS)
        stream.headers_sent = True
        if self.encoder.priority is not None:
            stream.urgency, stream.incremental = parse_priority(self.encoder.priority)
        if trace is not None:
            stream.trace = trace
            self.traced_open += 1
            trace.mark(_HPACK_ENCODE, t0, _mem.now_ns())
        self.finish_block(stream, start, end_stream, 0)
        return stream

    def check_pseudo(self, headers: Fields) -> bytes:
        """The method of the request just encoded; the block is taken back if pseudo-header fields are missing or too many."""
        pseudo = self.encoder._block_pseudo
        method = b""
        for name, value in headers:
            if name == b":method":
                method = value
                break
        if pseudo & _NOT_AUTHORITY == _REQUEST and method != b"CONNECT":
            return method
        if method != b"CONNECT":
            wrong = "needs :method, :scheme and :path, and no other pseudo-header field but :authority (RFC 9113 §8.3.1)"
        elif pseudo & _PROTOCOL == 0:
            if pseudo == _CONNECT:
                return method
            wrong = "with CONNECT has :method and :authority, and no other pseudo-header field (RFC 9113 §8.5)"
        elif not self.remote_settings[SettingCode.ENABLE_CONNECT_PROTOCOL]:
            wrong = "with :protocol needs a server that sent SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3)"
        elif pseudo == _EXTENDED_CONNECT:
            return method
        else:
            wrong = "with :protocol has :method, :scheme, :path and :authority (RFC 8441 §4)"
        self.encoder.abort(self.out)
        raise LocalProtocolError(f"a request {wrong}", scope="stream", initiator="user")

    def why_no_stream(self) -> str:
        """The reason why ``can_open_stream`` is false, for the error's text."""
        if self.closed:
            return "the connection is closed"
        if not self.started:
            return "start() was not called"
        if self.goaway_received:
            return "the peer sent GOAWAY: new requests belong on another connection (RFC 9113 §6.8)"
        if self.shutting_down:
            return "this connection is shutting down"
        if self.streams_local >= self.remote_streams_max:
            return f"{self.streams_local} streams are open, the peer allows {self.remote_streams_max} (RFC 9113 §5.1.2)"
        return f"stream identifiers are used up at {STREAM_ID_MAX} (RFC 9113 §5.1.1)"

    def send_response(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], end_stream: bool, now: float) -> None:
        """Send the final response's fields.

        Args:
            status: 200 to 599.
            headers: regular fields, names in lower case.
            end_stream: the response has no body.

        Raises:
            LocalProtocolError: the stream cannot take a response now, or a field is invalid; nothing was sent.
        """
        self.now = now
        if stream.headers_sent or status < 200 or status > 599 or not stream.allows(_SEND_HEADERS):
            raise self.misuse(f"a response with status {status}" + (" after another" if stream.headers_sent else ""), stream)
        out = self.out
        out.reserve(self.block_room)
        start = out.pos
        out.pos = start + 9
        t0 = _mem.now_ns() if stream.trace is not None else 0
        try:
            self.encoder.encode_response(out, status, headers)
        except BaseException:
            out.pos = start
            raise
        stream.step(_SEND_HEADERS)
        stream.headers_sent = True
        stream.status = status
        if self.encoder.priority is not None:
            # What the response says prevails, and what it does not say stays (RFC 9218 section 8).
            urgency, incremental = merge_priority(self.encoder.priority, stream.urgency, stream.incremental)
            self.scheduler.moved(stream, urgency, incremental)
        if stream.trace is not None:
            stream.trace.mark(_HPACK_ENCODE, t0, _mem.now_ns())
        self.finish_block(stream, start, end_stream, 0)

    def send_informational(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], now: float) -> None:
        """Send a 1xx response, such as 103 Early Hints, before the final one (RFC 9113 section 8.1).

        Raises:
            LocalProtocolError: not before the final response, status outside 100 to 199 or 101, or an invalid field.
        """
        self.now = now
        if stream.headers_sent or not 100 <= status <= 199 or status == 101 or not stream.allows(_SEND_HEADERS):
            raise self.misuse(f"an informational response with status {status}", stream)
        out = self.out
        out.reserve(self.block_room)
        start = out.pos
        out.pos = start + 9
        try:
            self.encoder.encode_response(out, status, headers)
        except BaseException:
            out.pos = start
            raise
        stream.step(_SEND_HEADERS)
        self.finish_block(stream, start, False, 0)

    def send_trailers(self, stream: Stream, headers: Fields, now: float) -> None:
        """Send the trailer section, which ends the stream; it waits behind body that is still queued.

        Raises:
            LocalProtocolError: there is no message to end, it is a tunnel (RFC 9113 section 8.5), or a field is invalid or a pseudo-header
                field.
        """
        self.now = now
        if stream.queue_end or stream.queue_trailers is not None or not stream.headers_sent or not stream.allows(_SEND_DATA):
            raise self.misuse("trailers", stream)
        if stream.method == b"CONNECT" and (self.client or stream.status < 300):
            raise self.misuse("trailers of CONNECT", stream)
        if stream.queued:
            self.encoder.check(headers)
            stream.queue_trailers = list(headers)
            return
        self.write_trailers(stream, headers)

    def write_trailers(self, stream: Stream, headers: Fields) -> None:
        out = self.out
        out.reserve(self.block_room)
        start = out.pos
        out.pos = start + 9
        try:
            self.encoder.encode_trailers(out, headers)
        except BaseException:
            out.pos = start
            raise
        self.finish_block(stream, start, True, 0)

    def finish_block(self, stream: Stream, start: int, end_stream: bool, promised: int) -> None:
        """Frame the block encoded at ``start`` and count it."""
        out = self.out
        n = out.pos - start - 9
        t0 = _mem.now_ns() if stream.trace is not None else 0
        frames = writer.close_block(out, start, stream.id, end_stream, self.remote_frame_max, promised)
        if stream.trace is not None:
            out.trace = None
            stream.trace.mark(_FRAMES_WRITE, t0, _mem.now_ns())
            self.touch(stream.trace)
        flags = (_END_STREAM if end_stream else 0) | (_END_HEADERS if frames == 1 else 0)
        self.sent(_PUSH_PROMISE if promised else _HEADERS, flags, stream.id, n)
        while frames > 1:
            # The octets of the whole block are counted with its first frame.
            frames -= 1
            self.sent(_CONTINUATION, _END_HEADERS if frames == 1 else 0, stream.id, 0)
        if end_stream:
            self.end_sent(stream)

    def misuse(self, what: str, stream: Stream) -> LocalProtocolError:
        """The exception for a verb that the stream's state does not allow."""
        state = State(stream.state).name.lower().replace("_", " ")
        return LocalProtocolError(
            f"{what} cannot be sent on stream {stream.id} ({state}, RFC 9113 §5.1)", scope="stream", stream_id=stream.id, initiator="user"
        )

    # -- DATA

    def send_data(self, stream: Stream, data: bytes, end_stream: bool, now: float) -> int:
        """Send or queue body octets.

        Args:
            data: immutable; kept by reference when large or queued.
            end_stream: nothing follows.

        Returns:
            Octets of this stream that are queued now; producers wait for ``Handler.stream_writable`` above
            ``EngineLimits.send_buffer_stream_bytes``.

        Raises:
            LocalProtocolError: headers were not sent, or the body has already ended.
        """
        self.now = now
        if stream.queue_end or stream.queue_trailers is not None or not stream.headers_sent or not stream.allows(_SEND_DATA):
            raise self.misuse("DATA", stream)
        n = len(data)
        offset = 0
        # An empty end needs neither window nor room.
        if stream.queued == 0 and (n == 0 or not self.paused):
            offset = self.write_frames(stream, data, 0, n, end_stream, self.high_water - self.out.size())
            if offset == n and (n or end_stream):
                return 0
        if n == 0 and not end_stream:
            return stream.queued
        self.enqueue(stream, data, offset, end_stream)
        return stream.queued

    def write_frames(self, stream: Stream, data: bytes, offset: int, n: int, end_stream: bool, budget: int) -> int:
        """Frame ``data[offset:n]`` as far as windows and ``budget`` allow; returns where it stopped.

        An empty body end (``n == offset`` with ``end_stream``) is always possible: it needs no window.
        """
        if stream.trace is None:
            return self.frame_data(stream, data, offset, n, end_stream, budget)
        trace = stream.trace
        self.out.trace = trace
        t0 = _mem.now_ns()
        done = self.frame_data(stream, data, offset, n, end_stream, budget)
        self.out.trace = None
        trace.mark(_FRAMES_WRITE, t0, _mem.now_ns())
        self.touch(trace)
        return done

    def frame_data(self, stream: Stream, data: bytes, offset: int, n: int, end_stream: bool, budget: int) -> int:
        mem = data
        while True:
            m = n - offset
            if m:
                if m > self.remote_frame_max:
                    m = self.remote_frame_max
                room = stream.send_window
                if room > self.send_window:
                    room = self.send_window
                if room > budget:
                    room = budget
                if m > room:
                    if room <= 0:
                        return offset
                    m = room
            elif not end_stream:
                return offset
            last = end_stream and offset + m == n
            writer.write_data(self.out, stream.id, mem, offset, m, n, data, last)
            self.sent(_DATA, _END_STREAM if last else 0, stream.id, m)
            if self.frame_metrics:
                self.data_sizes.record(m)
            if m < _SMALL_DATA_BYTES and not last and offset + m < n and m < budget:
                # The peer's own window cut it to a crumb, which earns no further WINDOW_UPDATE.
                self.guards.message_frames -= 1
            offset += m
            stream.send_window -= m
            self.send_window -= m
            stream.body_sent += m
            self.bodies_sent += m
            budget -= m
            if last:
                self.end_sent(stream)
                return offset
            if offset == n:
                return offset

    def enqueue(self, stream: Stream, data: bytes, offset: int, end_stream: bool) -> None:
        """Keep ``data[offset:]`` for later; ``offset`` is not 0 only in an empty queue."""
        if stream.queue is None:
            stream.queue = deque()
            stream.queue_offset = offset
        stream.queue.append(data)
        n = len(data) - offset
        stream.queued += n
        self.queued += n
        if self.progress_at < self.now:
            self.progress_at = self.now + _PROGRESS_INTERVAL_S
        stream.queue_end = end_stream
        if stream.queued > self.stream_low_water * 2:
            stream.writable_wanted = True
        if stream.send_window > 0 or stream.queued == 0:
            self.scheduler.push(stream)
        else:
            self.block_on_window(stream)

    def block_on_window(self, stream: Stream) -> None:
        """The stream has body and no window: a stall begins (RFC 9113 section 5.2)."""
        if stream.blocked_since == 0.0:
            stream.blocked_since = self.now
            self.slots[_STALLS + self.role * 2 + 1] += 1

    def unblock(self, stream: Stream) -> None:
        """The stream's window opened: it may compete for the output again."""
        if stream.blocked_since:
            stalled = self.now - stream.blocked_since
            stream.stalled_s += stalled
            stream.blocked_since = 0.0
            self.stream_stalls.record(stalled)
            if stream.trace is not None:
                end = _mem.now_ns()
                stream.trace.mark(_WAIT_WINDOW, end - int(stalled * 1e9), end)
        if stream.queue:
            self.scheduler.push(stream)

    def pump(self, now: float) -> None:
        """Frame queued bodies by priority while windows and the output's high-water mark allow."""
        self.now = now
        while self.scheduler.waiting and not self.paused and self.out.size() < self.high_water:
            if self.send_window <= 0 and self.queued:
                if self.blocked_since == 0.0:
                    self.blocked_since = now
                    self.slots[_STALLS + self.role * 2] += 1
                return
            stream = self.scheduler.pop()
            if self.write_queued(stream):
                # Equals that are incremental take turns, others run to their end (RFC 9218 §10).
                self.scheduler.push(stream)

    def write_queued(self, stream: Stream) -> bool:
        """Frame at most one frame's worth of the stream's queue; true when it can go on."""
        budget = self.remote_frame_max
        while stream.queue:
            data = stream.queue[0]
            n = len(data)
            offset = stream.queue_offset
            end = stream.queue_end and len(stream.queue) == 1
            done = self.write_frames(stream, data, offset, n, end, budget) - offset
            if stream.state == _CLOSED:
                return False
            stream.queued -= done
            self.queued -= done
            budget -= done
            if offset + done < n:
                stream.queue_offset = offset + done
                break
            stream.queue.popleft()
            stream.queue_offset = 0
            # An empty end behind the last octet goes out with it: it must not wait for a window.
            if budget <= 0 and stream.queued:
                break
        if not stream.queue:
            stream.queue = None
        if stream.writable_wanted and stream.queued <= self.stream_low_water:
            stream.writable_wanted = False
            self.handler.stream_writable(stream)
        if stream.queue is None:
            if stream.queue_trailers is not None and stream.state != _CLOSED:
                trailers = stream.queue_trailers
                stream.queue_trailers = None
                self.write_trailers(stream, trailers)
            return False
        if stream.send_window <= 0 and stream.queued:
            self.block_on_window(stream)
            return False
        return True

    def end_sent(self, stream: Stream) -> None:
        if stream.step(_SEND_END) == _CLOSED:
            self.close_stream(stream, _COMPLETED)

    # -- control

    def send_ping(self, payload: bytes, now: float) -> None:
        """Send PING (RFC 9113 section 6.7); ``Handler.ping_acknowledged`` gets the round trip.

        Raises:
            LocalProtocolError: ``payload`` is not 8 octets.
        """
        self.now = now
        if len(payload) != 8:
            raise LocalProtocolError(f"a PING carries 8 octets, not {len(payload)} (RFC 9113 §6.7)", initiator="user")
        if not self.closed:
            writer.write_ping(self.out, payload, False)
            self.sent(_PING, 0, 0, 8)
            self.pings[payload] = now

    def prioritize(self, stream: Stream, urgency: int, incremental: bool) -> None:
        """Set the stream's priority on this side (RFC 9218 section 4)."""
        self.scheduler.moved(stream, urgency, incremental)
