"""Requests, responses and trailers that the peer sends: field blocks by the stream they stand on.

A block is decoded before anything is decided about its stream, since the decoder's state belongs
to the connection.
"""

from __future__ import annotations

from .. import _mem, counters
from ..counters import FRAMES_READ, HPACK_DECODE, Counters, Trace
from ..errors import ErrorCode
from ..frames.types import Flag, FrameType, frame_name
from ..hpack.decoder import Decoder
from ..memory.budget import REFUSE, REFUSE_STREAM
from ..rules import RULES, Violation, fail
from ..streams.priority import parse_priority
from ..streams.states import Input, State
from ..streams.stream import LOCAL, REMOTE, Stream
from .config import ConnectionConfig
from .control import ControlHalf
from .core import COMPLETED, PROGRESS_INTERVAL_S
from .handler import Handler

__all__ = ["MessageHalf"]

_DATA = int(FrameType.DATA)
_HEADERS = int(FrameType.HEADERS)
_END_STREAM = int(Flag.END_STREAM)
_END_HEADERS = int(Flag.END_HEADERS)
_PADDED = int(Flag.PADDED)
_HAS_PRIORITY = int(Flag.PRIORITY)
_RECV_HEADERS = int(Input.RECV_HEADERS)
_RECV_END = int(Input.RECV_END)
_RESERVED_LOCAL = int(State.RESERVED_LOCAL)
_RESERVED_REMOTE = int(State.RESERVED_REMOTE)
_CLOSED = int(State.CLOSED)
_PADDING = counters.slot("frame_padding") + counters.RECV
_PRIORITY_STREAMS = counters.slot("priority_streams")
_COPIED_REASSEMBLY = counters.slot("buffer_copied") + counters.COPY_REASONS.index("reassembly")
_HPACK_DECODE = HPACK_DECODE
_FRAMES_READ = FRAMES_READ
_COMPLETED = COMPLETED
_REMOTE = REMOTE
_CONNECT = b"CONNECT"
_PROGRESS_INTERVAL_S = PROGRESS_INTERVAL_S
_LOCAL = LOCAL
_REFUSED_STREAM = int(ErrorCode.REFUSED_STREAM)
_REFUSE = REFUSE
_WITHOUT_AUTHORITY = counters.slot("requests_without_authority")
_MEMORY_REFUSED = counters.slot("memory_sheds") + REFUSE_STREAM


class MessageHalf(ControlHalf):
    """What the peer's HEADERS mean."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        ControlHalf.__init__(self, config, handler, block)
        # The newest gap in the peer's stream ids: those between the two were never opened.
        self.skipped_from = 0
        self.skipped_to = 0
        self.block_stream = 0
        self.block_promised = 0
        self.block_flags = 0
        self.block: bytearray | None = None
        self.block_frames = 0
        self.block_empty = 0
        self.block_since = 0.0
        self.turn_end = 0
        self.turn_streams = 0
        self.turn_streams_max = self.limits.turn_streams_max

    def unpad(self, buf: bytes, pos: int, end: int, used: int, type: int, stream_id: int) -> int:
        """End of the payload without padding; ``used`` octets follow the pad length and are not padding."""
        if pos >= end:
            raise fail(RULES.frame_size_wrong, stream_id, frame=frame_name(type), actual=0, limit=1)
        pad = _mem.u8(buf, pos, end)
        if pad + 1 + used > end - pos:
            raise fail(RULES.padding_too_long, stream_id, frame=frame_name(type), actual=pad, limit=end - pos)
        self.slots[_PADDING] += pad + 1
        return end - pad

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
        # The frame may have begun in an earlier read.
        self.block_since = self.frame_since or self.now

    def on_block(self, buf: bytes, pos: int, end: int, fin: bool, stream_id: int) -> int:
        """A complete field block: a request, a response or trailers, by the stream it stands on."""
        fields = self.decoder
        # A field block is about twice the work of another frame.
        self.turn_end -= 1
        t0 = _mem.now_ns() if self.trace_requests or self.traced_open else 0
        # First of all: the decoder's state belongs to the connection, whatever becomes of the stream.
        fields.decode(buf, pos, end, stream_id)
        decoded_ns = _mem.now_ns() if t0 else 0
        found = self.find(stream_id)
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
                    self.progress_at = self.now + _PROGRESS_INTERVAL_S
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
        """A new stream of the client; None when our GOAWAY said that it would be ignored, or when it is refused."""
        if self.goaway_sent and stream_id > self.goaway_sent_last:
            self.streams_refused += 1
            self.guards.frame_after_goaway(-1, self.now)
            return None
        if stream_id != self.last_remote_stream_id + 2:
            self.skipped_from, self.skipped_to = self.last_remote_stream_id, stream_id
        self.last_remote_stream_id = stream_id
        if stream_id >= self.drain_stream_id:
            self.begin_drain(b"half of the stream identifiers are used up")
        beyond = self.streams_remote >= self.local_streams_max
        if beyond and self.settings_known:
            raise fail(RULES.streams_exceeded, stream_id, actual=self.streams_remote + 1, limit=self.local_streams_max)
        if fields.violation is not None:
            raise Violation(fields.violation, stream_id, fields.violation_fields)
        self.validator.request(fields, stream_id)
        if fin and fields.content_length > 0:
            raise fail(RULES.content_length_mismatch, stream_id, actual=0, limit=fields.content_length)
        if self.pressure >= _REFUSE:
            return self.refuse_for_memory(stream_id)
        if beyond and not self.may_hold(fields.list_bytes):
            self.decline(stream_id, _REFUSED_STREAM)
            self.handler.request_refused(stream_id, "streams_held", None)
            return None
        stream = self.new_stream(stream_id, False)
        if beyond:
            stream.held_bytes = fields.list_bytes
            self.held_bytes += fields.list_bytes
        self.turn_streams += 1
        if self.turn_streams == self.turn_streams_max and self.config.tuning.protocol_fair_scheduling:
            # This frame is the last of its turn.
            self.turn_end = 0
        stream.step(_RECV_HEADERS)
        stream.method = fields.method
        stream.scheme = fields.scheme
        stream.authority = fields.authority
        if fields.authority is None and fields.host is None:
            self.slots[_WITHOUT_AUTHORITY] += 1
        stream.path = fields.path
        stream.protocol = fields.protocol
        stream.headers = fields.headers
        stream.fields_bytes = fields.list_bytes
        self.fields_bytes += fields.list_bytes
        stream.content_length = fields.content_length
        stream.headers_done = True
        stream.headers_at = self.now
        if fields.priority is not None:
            stream.urgency, stream.incremental = parse_priority(fields.priority, self.limits.priority_bytes_max)
        if self.idle_priorities:
            stream.urgency, stream.incremental = self.idle_priorities.pop(stream_id, (stream.urgency, stream.incremental))
        if fields.priority is not None:
            self.slots[_PRIORITY_STREAMS + 2 * stream.urgency + stream.incremental] += 1
        return stream

    def may_hold(self, list_bytes: int) -> bool:
        """Whether to open one more stream beyond the limit, which the peer does not know yet (RFC 9113 sections 5.1.2 and 6.5.3).

        The layer above lets such streams wait until others have ended.
        """
        limits = self.limits
        held = self.streams_remote - self.local_streams_max
        fits: bool = held < limits.streams_held_max and self.held_bytes + list_bytes <= limits.streams_held_bytes_max
        return fits

    def refuse_for_memory(self, stream_id: int) -> Stream | None:
        """No memory for another stream, which is no fault of the peer: REFUSED_STREAM says that it may ask again (RFC 9113 section 8.7)."""
        self.slots[_MEMORY_REFUSED] += 1
        self.decline(stream_id, _REFUSED_STREAM)
        self.handler.request_refused(stream_id, "memory_refused", None)
        return None

    def decline(self, stream_id: int, code: int) -> None:
        """Reset a stream that was never opened here, which is no fault of the peer: its DATA may be under way already."""
        self.write_rst(stream_id, code)
        self.remember_reset(stream_id, _LOCAL)
        self.guards.stream_closed(self.local_initial_window)
        if code == _REFUSED_STREAM:
            self.count_refused()
        self.answer_queued()

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
            stream.informational_bytes += fields.list_bytes
            if stream.informational_bytes > self.limits.header_list_bytes_max:
                raise fail(
                    RULES.informational_too_large,
                    stream.id,
                    actual=stream.informational_bytes,
                    limit=self.limits.header_list_bytes_max,
                )
            self.handler.informational_received(stream, status, fields.headers)
            return 0
        stream.status = status
        stream.headers = fields.headers
        stream.fields_bytes = fields.list_bytes
        self.fields_bytes += fields.list_bytes
        stream.headers_done = True
        stream.headers_at = self.now
        if stream.head_request or status == 204 or status == 304:
            # None of these has content, whatever content-length says (RFC 9110 section 6.4.1).
            stream.content_length = 0
        elif stream.method != _CONNECT or status >= 300:
            # The length of a tunnel is not known (RFC 9110 section 9.3.6).
            stream.content_length = fields.content_length
        if fin:
            if stream.content_length > 0:
                raise fail(RULES.content_length_mismatch, stream.id, actual=0, limit=stream.content_length)
            stream.step(_RECV_END)
        self.handler.response_received(stream, fin)
        if stream.state == _CLOSED and stream.counted:
            self.close_stream(stream, _COMPLETED)
        return 0

    def on_trailers(self, stream: Stream, fields: Decoder, fin: bool) -> int:
        if stream.method == _CONNECT and (not self.client or 200 <= stream.status < 300):
            raise fail(RULES.connect_frame, stream.id)
        if not fin:
            raise fail(RULES.trailers_no_end, stream.id)
        self.validator.trailers(fields, stream.id)
        self.count_body(stream, 0, True)
        stream.trailers = fields.headers
        stream.fields_bytes += fields.list_bytes
        self.fields_bytes += fields.list_bytes
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
                return self.guards.frame_after_goaway(data_bytes, self.now)
            if type == _HEADERS:
                raise fail(RULES.stream_id_even, stream_id, frame=frame_name(type))
            raise fail(RULES.stream_idle, stream_id, frame=frame_name(type))
        by = self.reset_streams.get(stream_id)
        if by is None:
            if stream_id <= self.forgotten_below or (type != _DATA and type != _HEADERS):
                return self.guards.late_frame(data_bytes, self.now)
            if type == _HEADERS and self.skipped_from < stream_id < self.skipped_to:
                raise fail(RULES.stream_id_reused, stream_id, frame=frame_name(type), limit=self.last_remote_stream_id)
            raise fail(RULES.stream_closed, stream_id, frame=frame_name(type))
        if by == _REMOTE and (type == _DATA or type == _HEADERS):
            raise fail(RULES.stream_half_closed, stream_id, frame=frame_name(type))
        return self.guards.late_frame(data_bytes, self.now)

    def not_allowed(self, stream: Stream, type: int) -> Violation:
        """DATA or HEADERS that the stream's state does not take."""
        if stream.state == _RESERVED_LOCAL or stream.state == _RESERVED_REMOTE:
            return fail(RULES.stream_reserved, stream.id, frame=frame_name(type))
        return fail(RULES.stream_half_closed, stream.id, frame=frame_name(type))
