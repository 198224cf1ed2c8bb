"""The receiving half of a connection: frames parsed in place, checked and delivered.

Handlers of frames raise ``Violation`` for what the peer may not do; ``Connection.receive_into``
turns it into RST_STREAM or GOAWAY.  Nothing here keeps a reference into the buffer it parses.
"""

from __future__ import annotations

from .. import _mem, counters
from ..counters import FRAMES_READ, Counters
from ..errors import ErrorCode, StreamReset
from ..frames.types import (
    CHECK_OF_TYPE,
    CLIENT_PREFACE,
    LENGTH_OF_TYPE,
    SCOPE_OF_TYPE,
    SLOT_OF_TYPE,
    Flag,
    FrameType,
    frame_name,
    read_header,
)
from ..limits import WINDOW_BYTES_MAX
from ..rules import RULES, Violation, fail
from ..streams.states import Input, State
from ..streams.stream import REMOTE, Stream
from .config import ConnectionConfig
from .core import COMPLETED, REFUSED, RESET_RECV, error_slot
from .guards import EMPTY_DATA, SMALL_DATA_BYTES, UNKNOWN_TYPE
from .handler import Handler
from .push import PushHalf

__all__ = ["ReceiveHalf"]

_DATA = int(FrameType.DATA)
_RST_STREAM = int(FrameType.RST_STREAM)
_SETTINGS = int(FrameType.SETTINGS)
_WINDOW_UPDATE = int(FrameType.WINDOW_UPDATE)
_CONTINUATION = int(FrameType.CONTINUATION)
_END_STREAM = int(Flag.END_STREAM)
_ACK = int(Flag.ACK)
_END_HEADERS = int(Flag.END_HEADERS)
_PADDED = int(Flag.PADDED)
_RECV_DATA = int(Input.RECV_DATA)
_RECV_END = int(Input.RECV_END)
_RECV_RST = int(Input.RECV_RST)
_RESERVED_REMOTE = int(State.RESERVED_REMOTE)
_CLOSED = int(State.CLOSED)
_FRAMES = counters.slot("frames")
_FRAME_PAYLOAD = counters.slot("frame_payload")
_STREAM_RESETS = counters.slot("stream_resets")
_UNREAD = counters.slot("flow_control_unread")
_RECV = counters.RECV
_COPIED_DELIVER = counters.slot("buffer_copied") + counters.COPY_REASONS.index("deliver")
_COPIED_REASSEMBLY = counters.slot("buffer_copied") + counters.COPY_REASONS.index("reassembly")
_ERROR_CODES = len(counters.ERROR_CODES)
_FRAMES_READ = FRAMES_READ
_COMPLETED = COMPLETED
_RESET_RECV = RESET_RECV
_REFUSED = REFUSED
_REMOTE = REMOTE
_REFUSED_STREAM = int(ErrorCode.REFUSED_STREAM)
_WINDOW_MAX = WINDOW_BYTES_MAX
_PREFACE = CLIENT_PREFACE
_NO_OCTETS = b""
_ENDLESS = 2**62
_SLOT_B, _SCOPE_B, _LENGTH_B, _CHECK_B = SLOT_OF_TYPE, SCOPE_OF_TYPE, LENGTH_OF_TYPE, CHECK_OF_TYPE
_SLOT = _SLOT_B
_SCOPE = _SCOPE_B
_LENGTH = _LENGTH_B
_CHECK = _CHECK_B
# "HTTP/1.x" read as a frame header: length and type.
_HTTP1_LENGTH = 0x485454
_HTTP1_TYPE = 0x50


class ReceiveHalf(PushHalf):
    """Everything that the peer's frames do."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        PushHalf.__init__(self, config, handler, block)
        self.need_preface = not self.client
        self.next_frame = 0
        self.frames_received = 0
        # A turn ends when frames_received reaches turn_end, and the rest of what was read is for the next one.
        fair = config.tuning.protocol_fair_scheduling
        self.turn_frames = self.limits.turn_frames_max if fair else _ENDLESS
        self.turn_end = _ENDLESS
        self.turn_sizes = self.counters.histogram("frame_turn_frames", self.role)
        self.data_received_sizes = self.counters.histogram("frame_data_size", counters.RECV)
        self.frame_batching = config.tuning.frame_batching
        self.frame_dispatch_table = config.tuning.frame_dispatch_table

    # -- frames

    def parse(self, buf: bytes, pos: int, end: int) -> int:
        """Handle every complete frame of ``buf[pos:end]``; returns where the incomplete rest begins.

        Stops early, with ``turn_over`` set, at the bounds of a turn (``EngineLimits.turn_frames_max``, ``turn_streams_max``).
        ``next_frame`` is kept at the end of the frame being handled, so that the caller can go on
        behind one that broke a rule of its stream.
        """
        self.next_frame = pos
        if self.need_preface:
            pos = self.parse_preface(buf, pos, end)
            if pos < 0:
                return self.next_frame
        while end - pos >= 9:
            if self.frames_received >= self.turn_end:
                self.turn_over = True
                break
            if self.frame_dispatch_table:
                length = _mem.u24(buf, pos, end)
                type = _mem.u8(buf, pos + 3, end)
                flags = _mem.u8(buf, pos + 4, end)
                stream_id = _mem.u32(buf, pos + 5, end) & 0x7FFFFFFF
                check = _CHECK[type + (256 if stream_id else 0)] != 0 or length > self.local_frame_max
            else:
                # Without the table: the header unpacked by ``struct``, and every check made for every frame.
                length, type, flags, stream_id = read_header(_mem.to_bytes(buf, pos, pos + 9, end))
                check = True
            if check or self.block_stream or self.need_settings:
                broken = self.check_header(type, flags, stream_id, length)
                if broken is not None:
                    # No frame for the counters, but what the flight recorder is looked at for.
                    self.recorder.record(_RECV, type, flags, stream_id, length, self.now)
                    raise broken
            stop = pos + 9 + length
            if stop > end:
                break
            self.received(type, flags, stream_id, length)
            self.next_frame = stop
            self.dispatch(buf, pos + 9, stop, type, flags, stream_id)
            self.frame_since = 0.0
            pos = stop
            if self.closed:
                # Nothing more is parsed once a connection error was raised.
                return end
        self.next_frame = pos
        return pos

    def incomplete(self, buf: bytes, pos: int, end: int) -> None:
        """``buf[pos:end]`` begins a frame that is not complete: whatever else is open, it has a deadline from its first octet on.

        Only DATA of an open body has none, since its octets are under the rules of bodies: they count
        in ``partial_bytes``.  Nor has what may still become that, while there is such a body.
        """
        n = end - pos
        type = _mem.u8(buf, pos + 3, end) if n >= 4 else _DATA
        stream_id = 0
        self.partial_stream = 0
        body = type == _DATA
        if n >= 9:
            stream_id = _mem.u32(buf, pos + 5, end) & 0x7FFFFFFF
            if body:
                stream = self.find(stream_id)
                body = stream is not None and stream.allows(_RECV_DATA)
                if body:
                    self.partial_stream = stream_id
                    self.partial_bytes = n - 9
        elif body:
            body = self.streams_local > 0 if self.client else self.bodies_open > 0
        if body:
            self.frame_since = 0.0
        elif self.frame_since == 0.0:
            self.frame_since = self.now
        self.frame_type = type
        self.frame_stream = stream_id

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

    def check_header(self, type: int, flags: int, stream_id: int, length: int) -> Violation | None:
        """What the nine octets of a frame header decide, before any of its payload is kept."""
        if self.need_settings:
            # First of all: a peer that does not speak HTTP/2 has no lengths to keep.
            if length == _HTTP1_LENGTH and type == _HTTP1_TYPE:
                return fail(RULES.preface_http1)
            if type != _SETTINGS or flags & _ACK:
                name = "SETTINGS acknowledgement" if type == _SETTINGS else frame_name(type)
                return fail(RULES.preface_no_settings, stream_id, frame=name)
        if length > self.local_frame_max:
            return fail(RULES.frame_too_large, stream_id, frame=frame_name(type), actual=length, limit=self.local_frame_max)
        if self.block_stream and (type != _CONTINUATION or stream_id != self.block_stream):
            return fail(RULES.continuation_expected, stream_id, frame=frame_name(type), expected=self.block_stream)
        scope = _SCOPE[type]
        if scope == 1 and stream_id == 0:
            return fail(RULES.frame_on_stream_zero, frame=frame_name(type))
        if scope == 2 and stream_id:
            return fail(RULES.frame_not_on_stream_zero, stream_id, frame=frame_name(type))
        expected = _LENGTH[type]
        if expected != 255 and length != expected:
            return fail(RULES.frame_size_wrong, stream_id, frame=frame_name(type), actual=length, limit=expected)
        return None

    def dispatch(self, buf: bytes, pos: int, end: int, type: int, flags: int, stream_id: int) -> int:
        """The handler of each type; unknown ones are ignored (RFC 9113 section 4.1).

        The literals, in the order of the types, become one jump through a table in C.
        """
        if type == 0x0:  # DATA
            return self.on_data(buf, pos, end, flags, stream_id)
        elif type == 0x1:  # HEADERS
            return self.on_headers(buf, pos, end, flags, stream_id)
        elif type == 0x2:  # PRIORITY
            return self.on_priority(buf, pos, end, stream_id)
        elif type == 0x3:  # RST_STREAM
            return self.on_rst_stream(buf, pos, end, stream_id)
        elif type == 0x4:  # SETTINGS
            return self.on_settings(buf, pos, end, flags)
        elif type == 0x5:  # PUSH_PROMISE
            return self.on_push_promise(buf, pos, end, flags, stream_id)
        elif type == 0x6:  # PING
            return self.on_ping(buf, pos, end, flags)
        elif type == 0x7:  # GOAWAY
            return self.on_goaway(buf, pos, end)
        elif type == 0x8:  # WINDOW_UPDATE
            return self.on_window_update(buf, pos, end, stream_id)
        elif type == 0x9:  # CONTINUATION
            return self.on_continuation(buf, pos, end, flags, stream_id)
        elif type == 0x10:  # PRIORITY_UPDATE
            return self.on_priority_update(buf, pos, end)
        else:
            return self.guards.glitch(UNKNOWN_TYPE, self.now)

    def parse_each(self, buf: bytes, pos: int, end: int) -> int:
        """``parse`` for one frame at a time, each cut out of the read, as plain implementations do."""
        while pos < end and not self.closed:
            stop = end
            if self.need_preface:
                stop = min(end, pos + 24)
            elif end - pos >= 9:
                stop = min(end, pos + 9 + _mem.u24(buf, pos, end))
            frame = _mem.to_bytes(buf, pos, stop, end)
            try:
                used = self.parse(frame, 0, stop - pos)
            finally:
                # Where the caller goes on behind a frame that broke a rule of its stream.
                self.next_frame += pos
            if used == 0:
                break
            pos += used
        return end if self.closed else pos

    def received(self, type: int, flags: int, stream_id: int, length: int) -> None:
        """One frame of the peer is complete."""
        if self.frame_metrics:
            self.slots[_FRAMES + self.recv_frames + _SLOT[type]] += 1
            self.slots[_FRAME_PAYLOAD + self.recv_frames + _SLOT[type]] += length
        self.frames_received += 1
        self.recorder.record(_RECV, type, flags, stream_id, length, self.now)

    # -- DATA

    def on_data(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        """DATA counts against both windows with its padding (RFC 9113 section 6.1)."""
        length = end - pos
        if length > self.recv_window:
            raise fail(RULES.flow_control_connection, stream_id, actual=length, limit=self.recv_window)
        self.recv_window -= length
        found = self.find(stream_id)
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
        self.unread += n
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
        if self.frame_metrics:
            self.data_received_sizes.record(n)
        if self.tuner.received(length, self.now):
            self.probe(stream)
        self.slots[_COPIED_DELIVER] += n
        data = _NO_OCTETS
        if stream.assembly is None:
            data = _mem.to_bytes(buf, pos, end, end)
        else:
            stream.assembly.put(buf, pos, end)
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
            self.guards.glitch(EMPTY_DATA, self.now)
            return
        self.guards.empty_in_a_row = 0
        stream.small_unread += SMALL_DATA_BYTES - n
        self.guards.small_frame(stream.id, SMALL_DATA_BYTES - n, self.now)

    # -- field blocks

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
        kept = self.block
        assert kept is not None
        size = len(kept) + end - pos
        if size > self.limits.header_list_bytes_max:
            raise fail(RULES.header_block_too_large, stream_id, actual=size, limit=self.limits.header_list_bytes_max)
        kept += _mem.to_bytes(buf, pos, end, end)
        self.slots[_COPIED_REASSEMBLY] += end - pos
        if flags & _END_HEADERS == 0:
            return 0
        block = bytes(kept)
        self.block = None
        self.block_stream = 0
        self.block_since = 0.0
        if self.block_promised:
            return self.on_promise_block(block, 0, len(block), stream_id, self.block_promised)
        if self.block_flags & 0x100:
            return self.on_self_dependency(block, 0, len(block), stream_id)
        return self.on_block(block, 0, len(block), self.block_flags & _END_STREAM != 0, stream_id)

    # -- flow control and resets

    def on_window_update(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        """RFC 9113 section 6.9; the bodies that may go on are framed by the next ``pump``."""
        increment = _mem.u32(buf, pos, end) & 0x7FFFFFFF
        self.guards.window_update(self.requests + self.streams_refused)
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
        found = self.find(stream_id)
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
        self.recorder.note_code(code)
        found = self.find(stream_id)
        if found is None:
            return self.unknown_stream(_RST_STREAM, stream_id, -1)
        stream = found
        # What the application is told and cancels is work, too.
        self.turn_end -= 1
        self.slots[_STREAM_RESETS + (self.role * 2 + counters.RECV) * _ERROR_CODES + error_slot(code)] += 1
        if not stream.local and not self.client:
            self.guards.reset_received(stream_id, self.now)
        outcome = _COMPLETED if stream.answered() else _REFUSED if code == _REFUSED_STREAM else _RESET_RECV
        stream.step(_RECV_RST)
        stream.closed_by = _REMOTE
        stream.closed_code = code
        stream.refused = code == _REFUSED_STREAM and self.recovery
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
        self.close_stream(stream, outcome)
        return 0
