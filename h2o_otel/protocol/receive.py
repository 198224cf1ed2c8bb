"""The receiving half of a connection: frames parsed in place, checked and delivered.

Handlers of frames raise ``Violation`` for what the peer may not do; ``Connection.receive_into``
turns it into RST_STREAM or GOAWAY.  Nothing here keeps a reference into the buffer it parses.
"""

from __future__ import annotations

from .. import _mem, counters
from ..counters import FRAMES_READ, HPACK_DECODE, Counters, Trace
from ..errors import ErrorCode, StreamReset
from ..frames.types import CLIENT_PREFACE, LENGTH_OF_TYPE, SCOPE_OF_TYPE, SLOT_OF_TYPE, Flag, FrameType, frame_name
from ..hpack.decoder import Decoder
from ..limits import WINDOW_BYTES_MAX
from ..rules import RULES, Violation, fail
from ..streams.priority import parse_priority
from ..streams.states import FORBIDDEN, Input, State
from ..streams.stream import LOCAL, REMOTE, Stream
from .config import ConnectionConfig
from .control import ControlHalf
from .core import COMPLETED, PROGRESS_INTERVAL_S, REFUSED, RESET_RECV, error_slot
from .guards import SMALL_DATA_BYTES
from .handler import Handler

__all__ = ["ReceiveHalf"]

_DATA = int(FrameType.DATA)
_HEADERS = int(FrameType.HEADERS)
_PRIORITY = int(FrameType.PRIORITY)
_RST_STREAM = int(FrameType.RST_STREAM)
_SETTINGS = int(FrameType.SETTINGS)
_PUSH_PROMISE = int(FrameType.PUSH_PROMISE)
_PING = int(FrameType.PING)
_GOAWAY = int(FrameType.GOAWAY)
_WINDOW_UPDATE = int(FrameType.WINDOW_UPDATE)
_CONTINUATION = int(FrameType.CONTINUATION)
_PRIORITY_UPDATE = int(FrameType.PRIORITY_UPDATE)
_END_STREAM = int(Flag.END_STREAM)
_ACK = int(Flag.ACK)
_END_HEADERS = int(Flag.END_HEADERS)
_PADDED = int(Flag.PADDED)
_HAS_PRIORITY = int(Flag.PRIORITY)
_RECV_HEADERS = int(Input.RECV_HEADERS)
_RECV_DATA = int(Input.RECV_DATA)
_RECV_END = int(Input.RECV_END)
_RECV_RST = int(Input.RECV_RST)
_RECV_PROMISE = int(Input.RECV_PROMISE)
_RESERVED_LOCAL = int(State.RESERVED_LOCAL)
_RESERVED_REMOTE = int(State.RESERVED_REMOTE)
_CLOSED = int(State.CLOSED)
_FORBIDDEN = FORBIDDEN
_FRAMES = counters.slot("frames")
_FRAME_PAYLOAD = counters.slot("frame_payload")
_PADDING = counters.slot("frame_padding") + counters.RECV
_PRIORITY_STREAMS = counters.slot("priority_streams")
_STREAM_RESETS = counters.slot("stream_resets")
_UNREAD = counters.slot("flow_control_unread")
_RECV = counters.RECV
_COPIED_DELIVER = counters.slot("buffer_copied") + counters.COPY_REASONS.index("deliver")
_COPIED_REASSEMBLY = counters.slot("buffer_copied") + counters.COPY_REASONS.index("reassembly")
_ERROR_CODES = len(counters.ERROR_CODES)
_HPACK_DECODE = HPACK_DECODE
_FRAMES_READ = FRAMES_READ
_COMPLETED = COMPLETED
_RESET_RECV = RESET_RECV
_REFUSED = REFUSED
_REMOTE = REMOTE
_REFUSED_STREAM = int(ErrorCode.REFUSED_STREAM)
_WINDOW_MAX = WINDOW_BYTES_MAX
_PREFACE = CLIENT_PREFACE
_SLOT_B, _SCOPE_B, _LENGTH_B = SLOT_OF_TYPE, SCOPE_OF_TYPE, LENGTH_OF_TYPE
_SLOT = _SLOT_B
_SCOPE = _SCOPE_B
_LENGTH = _LENGTH_B


class ReceiveHalf(ControlHalf):
    """Everything that the peer's frames do."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        ControlHalf.__init__(self, config, handler, block)
        self.need_preface = not self.client
        # The newest gap in the peer's stream ids: those between the two were never opened.
        self.skipped_from = 0
        self.skipped_to = 0
        self.next_frame = 0
        self.frames_received = 0
        self.block_stream = 0
        self.block_promised = 0
        self.block_flags = 0
        self.block = bytearray()
        self.block_frames = 0
        self.block_empty = 0
        self.block_since = 0.0
        self.data_received_sizes = self.counters.histogram("frame_data_size", counters.RECV)
        self.trace_requests = False

    # -- frames

    def parse(self, buf: bytes, pos: int, end: int) -> int:
        """Handle every complete frame of ``buf[pos:end]``; returns where the incomplete rest begins.

        ``next_frame`` is kept at the end of the frame being handled, so that the caller can go on
        behind one that broke a rule of its stream.
        """
        self.next_frame = pos
        if self.need_preface:
            pos = self.parse_preface(buf, pos, end)
            if pos < 0:
                return self.next_frame
        while end - pos >= 9:
            length = _mem.u24(buf, pos, end)
            type = _mem.u8(buf, pos + 3, end)
            flags = _mem.u8(buf, pos + 4, end)
            stream_id = _mem.u32(buf, pos + 5, end) & 0x7FFFFFFF
            if length > self.local_frame_max or self.block_stream or self.need_settings or _LENGTH[type] != 255 or _SCOPE[type]:
                self.check_header(type, flags, stream_id, length)
            stop = pos + 9 + length
            if stop > end:
                break
            self.slots[_FRAMES + self.recv_frames + _SLOT[type]] += 1
            self.slots[_FRAME_PAYLOAD + self.recv_frames + _SLOT[type]] += length
            self.frames_received += 1
            self.recorder.record(_RECV, type, flags, stream_id, length, self.now)
            self.next_frame = stop
            if type == _DATA:
                self.on_data(buf, pos + 9, stop, flags, stream_id)
            elif type == _HEADERS:
                self.on_headers(buf, pos + 9, stop, flags, stream_id)
            elif type == _WINDOW_UPDATE:
                self.on_window_update(buf, pos + 9, stop, stream_id)
            else:
                self.dispatch(buf, pos + 9, stop, type, flags, stream_id)
            pos = stop
            if self.closed:
                # Nothing more is parsed once a connection error was raised.
                return end
        self.next_frame = pos
        return pos

    def parse_preface(self, buf: bytes, pos: int, end: int) -> int:
        """The client's connection preface (RFC 9113 section 3.4); -1 while it is incomplete."""
        n = end - pos
        if n > 24:
            n = 24
        if not _mem.same(buf, pos, end, _PREFACE, n):
            raise fail(RULES.preface_invalid, got=_mem.to_bytes(buf, pos, pos + n, end))
        if n < 24:
            return -1
        self.need_preface = False
        return pos + 24

    def check_header(self, type: int, flags: int, stream_id: int, length: int) -> int:
        """What the nine octets of a frame header decide, before any of its payload is kept."""
        if length > self.local_frame_max:
            raise fail(RULES.frame_too_large, stream_id, frame=frame_name(type), actual=length, limit=self.local_frame_max)
        if self.need_settings:
            if type != _SETTINGS or flags & _ACK:
                name = "SETTINGS acknowledgement" if type == _SETTINGS else frame_name(type)
                raise fail(RULES.preface_no_settings, stream_id, frame=name)
        if self.block_stream and (type != _CONTINUATION or stream_id != self.block_stream):
            raise fail(RULES.continuation_expected, stream_id, frame=frame_name(type), expected=self.block_stream)
        scope = _SCOPE[type]
        if scope == 1 and stream_id == 0:
            raise fail(RULES.frame_on_stream_zero, frame=frame_name(type))
        if scope == 2 and stream_id:
            raise fail(RULES.frame_not_on_stream_zero, stream_id, frame=frame_name(type))
        expected = _LENGTH[type]
        if expected != 255 and length != expected:
            raise fail(RULES.frame_size_wrong, stream_id, frame=frame_name(type), actual=length, limit=expected)
        return 0

    def dispatch(self, buf: bytes, pos: int, end: int, type: int, flags: int, stream_id: int) -> int:
        """Frame types that are rare; unknown ones are ignored (RFC 9113 section 4.1)."""
        if type == _SETTINGS:
            return self.on_settings(buf, pos, end, flags)
        if type == _RST_STREAM:
            return self.on_rst_stream(buf, pos, end, stream_id)
        if type == _CONTINUATION:
            return self.on_continuation(buf, pos, end, flags, stream_id)
        if type == _PING:
            return self.on_ping(buf, pos, end, flags)
        if type == _GOAWAY:
            return self.on_goaway(buf, pos, end)
        if type == _PRIORITY:
            return self.on_priority(buf, pos, end, stream_id)
        if type == _PUSH_PROMISE:
            return self.on_push_promise(buf, pos, end, flags, stream_id)
        if type == _PRIORITY_UPDATE:
            return self.on_priority_update(buf, pos, end)
        return self.guards.glitch("of an unknown type", self.now)

    def unpad(self, buf: bytes, pos: int, end: int, used: int, type: int, stream_id: int) -> int:
        """End of the payload without padding; ``used`` octets follow the pad length and are not padding."""
        if pos >= end:
            raise fail(RULES.frame_size_wrong, stream_id, frame=frame_name(type), actual=0, limit=1)
        pad = _mem.u8(buf, pos, end)
        if pad + 1 + used > end - pos:
            raise fail(RULES.padding_too_long, stream_id, frame=frame_name(type), actual=pad, limit=end - pos)
        self.slots[_PADDING] += pad + 1
        return end - pad

    # -- DATA

    def on_data(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        """DATA counts against both windows with its padding (RFC 9113 section 6.1)."""
        length = end - pos
        if length > self.recv_window:
            raise fail(RULES.flow_control_connection, stream_id, actual=length, limit=self.recv_window)
        self.recv_window -= length
        found = self.streams.get(stream_id)
        if found is None:
            self.credit_connection(length)
            return self.unknown_stream(_DATA, stream_id, length)
        stream = found
        started_ns = _mem.now_ns() if stream.trace is not None else 0
        if flags & _PADDED:
            end = self.unpad(buf, pos, end, 0, _DATA, stream_id)
            pos += 1
        n = end - pos
        if not stream.allows(_RECV_DATA):
            self.credit_connection(length)
            raise self.not_allowed(stream, _DATA)
        # An empty frame needs no window, not even one that a new INITIAL_WINDOW_SIZE left below zero.
        if length and length > stream.recv_window:
            self.credit_connection(length)
            raise fail(RULES.flow_control_stream, stream_id, actual=length, limit=stream.recv_window)
        stream.recv_window -= length
        stream.recv_unread += n
        self.slots[_UNREAD + self.role] += n
        fin = flags & _END_STREAM != 0
        if n < SMALL_DATA_BYTES and not fin:
            self.small_data(stream, n)
        elif n:
            self.guards.empty_in_a_row = 0
        if length != n:
            # Padding is used as soon as it is here.
            self.credit_connection(length - n)
            if not fin:
                self.credit_stream(stream, length - n)
        self.count_body(stream, n, fin)
        self.data_received_sizes.record(n)
        self.slots[_COPIED_DELIVER] += n
        data = _mem.to_bytes(buf, pos, end, end)
        if fin:
            stream.step(_RECV_END)
            self.body_ended(stream)
        if stream.trace is not None:
            stream.trace.mark(_FRAMES_READ, started_ns, _mem.now_ns())
            self.touch(stream.trace)
        if n or fin:
            self.handler.data_received(stream, data, fin)
        if stream.state == _CLOSED and stream.counted:
            self.close_stream(stream, _COMPLETED)
        return 0

    def small_data(self, stream: Stream, n: int) -> None:
        """Frames that cost more than they carry (LIMITS of the small-DATA and empty-DATA budgets)."""
        if n == 0:
            self.guards.empty_frame(stream.id)
            self.guards.glitch("empty DATA", self.now)
            return
        self.guards.empty_in_a_row = 0
        stream.small_unread += SMALL_DATA_BYTES - n
        self.guards.small_frame(stream.id, SMALL_DATA_BYTES - n)

    def body_ended(self, stream: Stream) -> None:
        """The peer owes no more of this body."""
        if stream.body_open:
            stream.body_open = False
            self.bodies_open -= 1

    def count_body(self, stream: Stream, n: int, fin: bool) -> int:
        """Body octets against content-length (RFC 9113 section 8.1.1)."""
        if not stream.headers_done:
            raise fail(RULES.data_before_headers, stream.id)
        stream.body_received += n
        if stream.content_length >= 0 and (
            stream.body_received > stream.content_length or (fin and stream.body_received != stream.content_length)
        ):
            raise fail(RULES.content_length_mismatch, stream.id, actual=stream.body_received, limit=stream.content_length)
        return 0

    # -- field blocks

    def on_headers(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        fragment = pos
        if flags & _PADDED:
            end = self.unpad(buf, pos, end, 5 if flags & _HAS_PRIORITY else 0, _HEADERS, stream_id)
            fragment += 1
        if flags & _HAS_PRIORITY:
            if end - fragment < 5:
                raise fail(RULES.frame_size_wrong, stream_id, frame="HEADERS", actual=end - fragment, limit=5)
            dependency = _mem.u32(buf, fragment, end) & 0x7FFFFFFF
            fragment += 5
            if dependency == stream_id:
                # The block must still be decoded, or every later one would be wrong.
                flags |= 0x100
        if flags & _END_HEADERS == 0:
            self.open_block(buf, fragment, end, flags, stream_id, 0)
            return 0
        if flags & 0x100:
            return self.on_self_dependency(buf, fragment, end, stream_id)
        return self.on_block(buf, fragment, end, flags & _END_STREAM != 0, stream_id)

    def on_self_dependency(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        """HEADERS whose priority names its own stream: the block is decoded, and the stream, if new, is used up."""
        self.decoder.decode(buf, pos, end, stream_id)
        if not self.client and stream_id & 1 and self.last_remote_stream_id < stream_id <= self.goaway_sent_last:
            self.last_remote_stream_id = stream_id
        raise fail(RULES.priority_self_dependency, stream_id)

    def open_block(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int, promised: int) -> None:
        """Keep the first fragment of a block that CONTINUATION goes on with."""
        self.block_stream = stream_id
        self.block_promised = promised
        self.block_flags = flags
        self.block = bytearray(_mem.to_bytes(buf, pos, end, end))
        self.slots[_COPIED_REASSEMBLY] += end - pos
        self.block_frames = 0
        self.block_empty = 0
        self.block_since = self.now

    def on_continuation(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        """RFC 9113 section 6.10, inside the bounds on frames, empty frames and compressed octets."""
        if self.block_stream == 0:
            raise fail(RULES.continuation_unexpected, stream_id)
        self.block_frames += 1
        if self.block_frames > self.limits.continuation_frames_max:
            raise fail(RULES.continuation_flood, stream_id, actual=self.block_frames, limit=self.limits.continuation_frames_max)
        if pos == end and flags & _END_HEADERS == 0:
            self.block_empty += 1
            if self.block_empty > self.limits.continuation_empty_max:
                raise fail(RULES.continuation_empty, stream_id, actual=self.block_empty, limit=self.limits.continuation_empty_max)
        size = len(self.block) + end - pos
        if size > self.limits.header_list_bytes_max:
            raise fail(RULES.header_block_too_large, stream_id, actual=size, limit=self.limits.header_list_bytes_max)
        self.block += _mem.to_bytes(buf, pos, end, end)
        self.slots[_COPIED_REASSEMBLY] += end - pos
        if flags & _END_HEADERS == 0:
            return 0
        block = bytes(self.block)
        self.block = bytearray()
        self.block_stream = 0
        self.block_since = 0.0
        if self.block_promised:
            return self.on_promise_block(block, 0, len(block), stream_id, self.block_promised)
        if self.block_flags & 0x100:
            return self.on_self_dependency(block, 0, len(block), stream_id)
        return self.on_block(block, 0, len(block), self.block_flags & _END_STREAM != 0, stream_id)

    def on_block(self, buf: bytes, pos: int, end: int, fin: bool, stream_id: int) -> int:
        """A complete field block: a request, a response or trailers, by the stream it stands on."""
        fields = self.decoder
        t0 = _mem.now_ns() if self.trace_requests or self.traced_open else 0
        # First of all: the decoder's state belongs to the connection, whatever becomes of the stream.
        fields.decode(buf, pos, end, stream_id)
        decoded_ns = _mem.now_ns() if t0 else 0
        found = self.streams.get(stream_id)
        if found is None:
            if self.client or stream_id & 1 == 0 or stream_id <= self.last_remote_stream_id:
                return self.unknown_stream(_HEADERS, stream_id, -1)
            stream = self.open_request(fields, fin, stream_id)
            if stream is None:
                return 0
            if t0:
                stream.trace = Trace()
                self.decoded(stream.trace, t0, decoded_ns)
            if fin:
                stream.step(_RECV_END)
            else:
                stream.body_open = True
                self.bodies_open += 1
                if self.progress_at < self.now:
                    self.progress_at = self.now + PROGRESS_INTERVAL_S
            self.handler.request_received(stream, fin)
            return 0
        stream = found
        if not stream.allows(_RECV_HEADERS):
            raise self.not_allowed(stream, _HEADERS)
        if fields.violation is not None:
            raise Violation(fields.violation, stream_id, fields.violation_fields)
        if stream.trace is not None and t0:
            self.decoded(stream.trace, t0, decoded_ns)
        stream.step(_RECV_HEADERS)
        if stream.headers_done:
            return self.on_trailers(stream, fields, fin)
        return self.on_response(stream, fields, fin)

    def decoded(self, trace: Trace, started_ns: int, decoded_ns: int) -> None:
        """Marks of a field block: its decoding, and the reading of the frame around it."""
        trace.mark(_HPACK_DECODE, started_ns, decoded_ns)
        trace.mark(_FRAMES_READ, started_ns, _mem.now_ns())
        self.touch(trace)

    def open_request(self, fields: Decoder, fin: bool, stream_id: int) -> Stream | None:
        """A new stream of the client; None when our GOAWAY said that it would be ignored."""
        if self.goaway_sent and stream_id > self.goaway_sent_last:
            return None
        if stream_id != self.last_remote_stream_id + 2:
            self.skipped_from, self.skipped_to = self.last_remote_stream_id, stream_id
        self.last_remote_stream_id = stream_id
        if self.streams_remote >= self.local_streams_max:
            raise fail(RULES.streams_exceeded, stream_id, actual=self.streams_remote + 1, limit=self.local_streams_max)
        if fields.violation is not None:
            raise Violation(fields.violation, stream_id, fields.violation_fields)
        self.validator.request(fields, stream_id)
        if fin and fields.content_length > 0:
            raise fail(RULES.content_length_mismatch, stream_id, actual=0, limit=fields.content_length)
        stream = self.new_stream(stream_id, False)
        stream.step(_RECV_HEADERS)
        stream.method = fields.method
        stream.scheme = fields.scheme
        stream.authority = fields.authority
        stream.path = fields.path
        stream.protocol = fields.protocol
        stream.headers = fields.headers
        stream.content_length = fields.content_length
        stream.headers_done = True
        stream.headers_at = self.now
        if fields.priority is not None:
            stream.urgency, stream.incremental = parse_priority(fields.priority)
        if self.idle_priorities:
            stream.urgency, stream.incremental = self.idle_priorities.pop(stream_id, (stream.urgency, stream.incremental))
        if fields.priority is not None:
            self.slots[_PRIORITY_STREAMS + 2 * stream.urgency + stream.incremental] += 1
        return stream

    def on_response(self, stream: Stream, fields: Decoder, fin: bool) -> int:
        status = self.validator.response(fields, stream.id)
        if status < 200:
            if fin:
                raise fail(RULES.informational_end, stream.id)
            stream.informational += 1
            if stream.informational > self.limits.informational_responses_max:
                raise fail(
                    RULES.informational_too_many, stream.id, actual=stream.informational, limit=self.limits.informational_responses_max
                )
            self.handler.informational_received(stream, status, fields.headers)
            return 0
        stream.status = status
        stream.headers = fields.headers
        stream.headers_done = True
        stream.headers_at = self.now
        # Neither has a body, whatever content-length says (RFC 9110 section 8.6).
        stream.content_length = -1 if stream.head_request or status == 304 else fields.content_length
        if fin:
            if stream.content_length > 0 and status != 204:
                raise fail(RULES.content_length_mismatch, stream.id, actual=0, limit=stream.content_length)
            stream.step(_RECV_END)
        self.handler.response_received(stream, fin)
        if stream.state == _CLOSED and stream.counted:
            self.close_stream(stream, _COMPLETED)
        return 0

    def on_trailers(self, stream: Stream, fields: Decoder, fin: bool) -> int:
        if not fin:
            raise fail(RULES.trailers_no_end, stream.id)
        self.validator.trailers(fields, stream.id)
        self.count_body(stream, 0, True)
        stream.trailers = fields.headers
        stream.step(_RECV_END)
        self.body_ended(stream)
        self.handler.trailers_received(stream)
        return self.end_received(stream)

    def end_received(self, stream: Stream) -> int:
        """The peer is done; the stream is over if we were done before."""
        if stream.state == _CLOSED and stream.counted:
            self.close_stream(stream, _COMPLETED)
        return 0

    def unknown_stream(self, type: int, stream_id: int, data_bytes: int) -> int:
        """A frame on a stream that is not open: late and ignored, or a violation (RFC 9113 section 5.1).

        ``data_bytes`` is the length of DATA, -1 for other frames.
        """
        mine = (stream_id & 1 == 1) == self.client
        if mine:
            if stream_id >= self.next_stream_id:
                raise fail(RULES.stream_id_even if type == _HEADERS else RULES.stream_idle, stream_id, frame=frame_name(type))
        elif stream_id > self.last_remote_stream_id:
            if self.goaway_sent and stream_id > self.goaway_sent_last:
                return self.guards.glitch("on a stream after GOAWAY", self.now)
            if type == _HEADERS:
                raise fail(RULES.stream_id_even, stream_id, frame=frame_name(type))
            raise fail(RULES.stream_idle, stream_id, frame=frame_name(type))
        by = self.reset_streams.get(stream_id)
        if by is None:
            if stream_id <= self.forgotten_below or (type != _DATA and type != _HEADERS):
                return self.guards.late_frame("on a closed stream", data_bytes, self.now)
            if type == _HEADERS and self.skipped_from < stream_id < self.skipped_to:
                raise fail(RULES.stream_id_reused, stream_id, frame=frame_name(type), limit=self.last_remote_stream_id)
            raise fail(RULES.stream_closed, stream_id, frame=frame_name(type))
        if by == _REMOTE and (type == _DATA or type == _HEADERS):
            raise fail(RULES.stream_half_closed, stream_id, frame=frame_name(type))
        return self.guards.late_frame("on a reset stream", data_bytes, self.now)

    def not_allowed(self, stream: Stream, type: int) -> Violation:
        """DATA or HEADERS that the stream's state does not take."""
        if stream.state == _RESERVED_LOCAL or stream.state == _RESERVED_REMOTE:
            return fail(RULES.stream_reserved, stream.id, frame=frame_name(type))
        return fail(RULES.stream_half_closed, stream.id, frame=frame_name(type))

    # -- flow control and resets

    def on_window_update(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        """RFC 9113 section 6.9; the bodies that may go on are framed by the next ``pump``."""
        increment = _mem.u32(buf, pos, end) & 0x7FFFFFFF
        self.guards.window_update(self.requests)
        if stream_id == 0:
            if increment == 0:
                raise fail(RULES.window_update_zero_connection)
            if self.send_window + increment > _WINDOW_MAX:
                raise fail(RULES.window_overflow_connection, window=self.send_window, increment=increment, limit=_WINDOW_MAX)
            self.send_window += increment
            if self.blocked_since:
                since = self.blocked_since
                self.blocked_since = 0.0
                self.connection_stalls.record(self.now - since)
            return 0
        found = self.streams.get(stream_id)
        if found is None:
            return self.unknown_stream(_WINDOW_UPDATE, stream_id, -1)
        stream = found
        if stream.state == _RESERVED_REMOTE:
            raise fail(RULES.stream_reserved, stream_id, frame="WINDOW_UPDATE")
        if increment == 0:
            raise fail(RULES.window_update_zero, stream_id)
        if stream.send_window + increment > _WINDOW_MAX:
            raise fail(RULES.window_overflow, stream_id, window=stream.send_window, increment=increment, limit=_WINDOW_MAX)
        stream.send_window += increment
        if stream.queue is not None and stream.send_window > 0:
            self.unblock(stream)
        return 0

    def on_rst_stream(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        code = _mem.u32(buf, pos, end)
        found = self.streams.get(stream_id)
        if found is None:
            return self.unknown_stream(_RST_STREAM, stream_id, -1)
        stream = found
        self.slots[_STREAM_RESETS + (self.role * 2 + counters.RECV) * _ERROR_CODES + error_slot(code)] += 1
        if not stream.local and not self.client:
            self.guards.reset_received(stream_id, self.now)
        stream.step(_RECV_RST)
        stream.closed_by = _REMOTE
        stream.closed_code = code
        stream.refused = code == _REFUSED_STREAM
        self.remember_reset(stream_id, _REMOTE)
        name = ErrorCode.label(code)
        self.handler.stream_reset(
            stream,
            StreamReset(
                f"stream {stream_id}: the peer sent RST_STREAM {name}",
                rule="rst_stream_received",
                code=code,
                scope="stream",
                stream_id=stream_id,
                initiator="remote",
                flight=self.recorder.log(),
            ),
        )
        self.close_stream(stream, _REFUSED if stream.refused else _RESET_RECV)
        return 0

    def on_push_promise(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        """RFC 9113 section 6.6."""
        if not self.client or not self.config.enable_push:
            raise fail(RULES.push_promise_unexpected, stream_id)
        fragment = pos
        if flags & _PADDED:
            end = self.unpad(buf, pos, end, 4, _PUSH_PROMISE, stream_id)
            fragment += 1
        if end - fragment < 4:
            raise fail(RULES.frame_size_wrong, stream_id, frame="PUSH_PROMISE", actual=end - fragment, limit=4)
        promised = _mem.u32(buf, fragment, end) & 0x7FFFFFFF
        fragment += 4
        if promised & 1 or promised == 0 or promised <= self.last_remote_stream_id:
            raise fail(RULES.push_promise_bad_stream, stream_id, promised=promised)
        if flags & _END_HEADERS == 0:
            self.open_block(buf, fragment, end, flags, stream_id, promised)
            return 0
        return self.on_promise_block(buf, fragment, end, stream_id, promised)

    def on_promise_block(self, buf: bytes, pos: int, end: int, stream_id: int, promised: int) -> int:
        self.decoder.decode(buf, pos, end, stream_id)
        self.last_remote_stream_id = promised
        parent = self.streams.get(stream_id)
        if parent is None:
            # We reset the request while its promise was under way: the promise dies with it.
            by = self.reset_streams.get(stream_id, LOCAL if stream_id <= self.forgotten_below else REMOTE)
            if stream_id & 1 == 0 or stream_id >= self.next_stream_id or by == REMOTE:
                raise fail(RULES.push_promise_bad_stream, stream_id, promised=promised)
            self.write_rst(promised, ErrorCode.CANCEL)
            self.remember_reset(promised, LOCAL)
            return 0
        if not parent.local or not parent.allows(_RECV_DATA):
            raise fail(RULES.push_promise_bad_stream, stream_id, promised=promised)
        self.promise_received(parent, promised)
        return 0
