"""The sending half of the façade's engine: frames as the user asks for them, at once and unqueued.

Everything is checked before it comes here, so each verb writes exactly one frame (a field block
that is larger than a frame goes on in CONTINUATION).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import _mem, counters
from ...errors import ErrorCode
from ...frames import writer
from ...frames.types import Flag, FrameType
from ...hpack import encoder as hpack_encoder
from ...hpack.encoder import Encoder
from ...hpack.kinds import STATIC_COUNT
from ...hpack.policies import Slot
from ...limits import EngineLimits
from ...protocol.config import ConnectionConfig
from ...protocol.connection import Connection
from ...protocol.core import CONN_LOST
from ...protocol.handler import Handler
from ...streams.states import Input
from ...streams.stream import LOCAL, Stream
from .settings import Settings
from .stream import H2Stream, StreamClosedBy, increment
from .utilities import SizeLimitDict

__all__ = ["SendingEngine"]

_SEND_HEADERS = int(Input.SEND_HEADERS)
_SEND_PROMISE = int(Input.SEND_PROMISE)
_SEND_END = int(Input.SEND_END)
_RECV_HEADERS = int(Input.RECV_HEADERS)
_RECV_END = int(Input.RECV_END)
_DATA = int(FrameType.DATA)
_WINDOW_UPDATE = int(FrameType.WINDOW_UPDATE)
_END_STREAM = int(Flag.END_STREAM)
_PADDED = int(Flag.PADDED)
_HAS_PRIORITY = int(Flag.PRIORITY)
_FIELDS = counters.slot("hpack_fields") + counters.SEND * len(counters.REPRESENTATIONS)
_INDEXED_STATIC, _INDEXED_DYNAMIC, _LITERAL_INDEXED, _, _LITERAL_NEVER = range(5)
_STATIC_COUNT = STATIC_COUNT
# What is said of closed streams, for so many of them.
_CLOSED_STREAMS_MAX = 4096
_UNLIMITED = 2**32 - 1
_LOCAL = LOCAL
_CONN_LOST = CONN_LOST
_SETTINGS = int(FrameType.SETTINGS)

# The library's windows, and its bound of 64 frames in one field block; most other bounds are the engine's.
_LIMITS = EngineLimits(
    stream_window_bytes=65_535,
    connection_window_bytes=65_535,
    encoder_table_bytes_max=65_536,
    header_fields_max=2048,
    continuation_frames_max=63,
    # Peers whose users open windows by hand do it more often than ours would.
    window_updates_base=100,
    closed_streams_remembered_max=_CLOSED_STREAMS_MAX,
)


class SendingEngine(Connection):
    """What the façade sends with.

    Attributes:
        local, remote: the two sides' settings as the user sees them.
        views: streams by identifier; closed ones stay until ``forget_closed``.
        closed_streams: how streams ended, the last few thousand.
        promised: streams that were promised, by either side; reserved ones do not count as open.
        automatic: octets are given back to the connection's window by the engine, since no user will see them.
    """

    def __init__(self, client: bool, local: Settings, remote: Settings, handler: Handler) -> None:
        role = counters.CLIENT if client else counters.SERVER
        config = ConnectionConfig(role=role, limits=_LIMITS, enable_push=True, enable_connect_protocol=True, require_authority=True)
        Connection.__init__(self, config, handler)
        self.local = local
        self.remote = remote
        self.views: dict[int, H2Stream] = {}
        self.closed_streams: dict[int, StreamClosedBy] = SizeLimitDict(size_limit=_CLOSED_STREAMS_MAX)
        self.over: list[int] = []
        self.promised = 0
        self.automatic = False
        self.window_max = 65_535
        # The library asks for no SETTINGS before other frames, and has its own in force at once.
        self.need_settings = False
        self.settings_known = True

    # -- beginning

    def _first_settings(self) -> Sequence[tuple[int, int]]:
        return [(int(code), value) for code, value in self.local.items()]

    def begin(self, now: float) -> None:
        """Send the preface; the settings in it are taken to be in force, as the library does."""
        if self.started:
            if self.client:
                self.out.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.write_settings(self._first_settings())
        else:
            self.start(now)
        self.take_local_settings()

    def take_local_settings(self) -> None:
        """Bring the engine to the local settings in force."""
        local = self.local
        self.local_initial_window = local.initial_window_size
        self.local_streams_max = min(local.max_concurrent_streams, _UNLIMITED)
        self.local_frame_max = max(16_384, local.max_frame_size)
        if local.max_header_list_size is not None:
            self.decoder._list_bytes_max = local.max_header_list_size
        if local.header_table_size > 4096:
            self.decoder.set_allowed_table_size(local.header_table_size)

    def write_settings(self, entries: Sequence[tuple[int, int]]) -> None:
        """SETTINGS, as they are: ``Settings`` has checked them."""
        writer.write_settings(self.out, entries)
        self.sent(_SETTINGS, 0, 0, 6 * len(entries))

    # -- streams

    def open_stream(self, stream_id: int) -> H2Stream:
        """A stream of this side, with an identifier of the user's choice."""
        stream = self.new_stream(stream_id, True)
        self.next_stream_id = stream_id + 2
        return self.watch(stream)

    def open_upgraded(self) -> None:
        """Stream 1 of a connection that began as HTTP/1.1: its request is complete (RFC 7540 section 3.2)."""
        stream = self.new_stream(1, self.client)
        if self.client:
            self.next_stream_id = 3
            stream.step(_SEND_HEADERS)
            stream.step(_SEND_END)
            stream.headers_sent = True
        else:
            self.last_remote_stream_id = 1
            stream.step(_RECV_HEADERS)
            stream.step(_RECV_END)
            stream.headers_done = True
        self.watch(stream)

    def watch(self, stream: Stream) -> H2Stream:
        """The view of a new stream."""
        view = H2Stream(stream.id, None, stream.recv_window, stream.send_window, stream)
        self.views[stream.id] = view
        return view

    def close_stream(self, stream: Stream, outcome: int) -> None:
        # The engine may use its object again, so everything that is asked for later is taken out of it.
        if stream.recv_unread:
            self.credit(stream, stream.recv_unread, self.now)
        view = self.views[stream.id]
        view.let_go(self._receiving)
        assert view.closed_by is not None
        self.closed_streams[stream.id] = view.closed_by
        self.over.append(stream.id)
        Connection.close_stream(self, stream, outcome)

    def forget_closed(self) -> None:
        """Drop the views of streams that are over."""
        if self.over:
            for stream_id in self.over:
                self.views.pop(stream_id, None)
            self.over.clear()

    def count_open(self, local: bool) -> int:
        """Streams of one side that count against its limit."""
        self.forget_closed()
        if self.promised == 0:
            return self.streams_local if local else self.streams_remote
        return sum(view.open for view in self.views.values() if (view.stream_id & 1 == self.client) == local)

    # -- messages

    def write_headers(self, view: H2Stream, headers: Sequence[Any], end_stream: bool, final: bool, priority: bytes) -> None:
        """HEADERS; ``priority`` is its 5 octets of RFC 7540 section 6.2, or empty; ``final`` is not 1xx."""
        stream = view.stream
        assert stream is not None
        start = self.write_block(headers, priority)
        stream.step(_SEND_HEADERS)
        if final:
            stream.headers_sent = True
        self.finish_block(stream, start, end_stream, 0)
        if priority:
            out = self.out
            _mem.put_u8(out.mem, start + 4, _mem.u8(out.mem, start + 4, out.cap) | _HAS_PRIORITY, out.cap)

    def write_promise(self, parent: H2Stream, promised_id: int, headers: Sequence[Any]) -> H2Stream:
        """PUSH_PROMISE on ``parent``."""
        stream = parent.stream
        assert stream is not None
        start = self.write_block(headers, promised_id.to_bytes(4, "big"))
        promised = self.open_stream(promised_id)
        other = promised.stream
        assert other is not None
        other.step(_SEND_PROMISE)
        self.promised += 1
        self.finish_block(stream, start, False, promised_id)
        return promised

    def write_block(self, headers: Sequence[Any], prefix: bytes) -> int:
        """Encode a field block behind room for a frame header and ``prefix``; returns where the frame begins."""
        out = self.out
        n = len(prefix)
        out.reserve(9 + n)
        start = out.pos
        out.pos = start + 9
        encoder = self.encoder
        if n:
            out.write(prefix)
        encoder.begin(out)
        try:
            for header in headers:
                self.write_field(encoder, header[0], header[1], not getattr(header, "indexable", True))
        except BaseException:
            encoder.abort(out)
            out.pos = start
            raise
        encoder.end(out)
        return start

    def write_field(self, encoder: Encoder, name: bytes, value: bytes, secret: bool) -> int:
        """One field as the ``hpack`` library encodes it: every field but a secret one goes into the table."""
        out = self.out
        slot: Slot | None = encoder._slots.get(name)
        if slot is None:
            slot = encoder._new_slot(name)
            # A malformed name is sent, too, when the user has switched the checks off.
            encoder._slots[name] = slot
        out.reserve(8)
        entry = slot.find(value)
        if entry is not None:
            if entry.number < 0:
                out.put(0x80 - entry.number)
                self.slots[_FIELDS + _INDEXED_STATIC] += 1
            else:
                hpack_encoder.write_integer(out, _STATIC_COUNT + encoder.table.inserted - entry.number, 127, 128)
                self.slots[_FIELDS + _INDEXED_DYNAMIC] += 1
            return 0
        index = slot.static_index
        if index == 0 and slot.newest >= 0:
            index = _STATIC_COUNT + encoder.table.inserted - slot.newest
        n = len(name)
        size = len(value)
        encoder._plain_bytes += n + size
        if secret:
            hpack_encoder.write_integer(out, index, 15, 16)
            self.slots[_FIELDS + _LITERAL_NEVER] += 1
        else:
            hpack_encoder.write_integer(out, index, 63, 64)
            self.slots[_FIELDS + _LITERAL_INDEXED] += 1
        if index == 0:
            encoder._string(out, name, n)
        encoder._string(out, value, size)
        if not secret:
            encoder._insert(slot, value)
        return 0

    def write_body(self, view: H2Stream, data: bytes, end_stream: bool, padding: int) -> None:
        """One DATA frame; ``padding`` octets and their length octet follow and precede ``data``, -1 for neither."""
        stream = view.stream
        assert stream is not None
        n = len(data)
        flags = _END_STREAM if end_stream else 0
        if padding < 0:
            writer.write_data(self.out, stream.id, data, 0, n, n, data, end_stream)
        else:
            out = self.out
            flags |= _PADDED
            out.reserve(10)
            _mem.put_frame_header(out.mem, out.pos, n + padding + 1, _DATA, flags, stream.id, out.cap)
            _mem.put_u8(out.mem, out.pos + 9, padding, out.cap)
            out.pos += 10
            out.write(data)
            out.write(bytes(padding))
            n += padding + 1
        self.sent(_DATA, flags, stream.id, n)
        stream.send_window -= n
        stream.body_sent += len(data)
        self.send_window -= n
        if end_stream:
            self.end_sent(stream)

    # -- control

    def write_frame(self, type: int, stream_id: int, payload: bytes) -> None:
        """A frame that nothing in the engine depends on."""
        out = self.out
        n = len(payload)
        out.reserve(9)
        _mem.put_frame_header(out.mem, out.pos, n, type, 0, stream_id, out.cap)
        out.pos += 9
        out.write(payload)
        self.sent(type, 0, stream_id, n)

    def set_frame_max(self, size: int, local: bool) -> None:
        """Set the largest frame to receive (``local``) or to send, at which field blocks are cut."""
        if local:
            self.local_frame_max = size
        else:
            self.remote_frame_max = size

    def table_size(self, local: bool) -> int:
        """Octets that the dynamic table to receive (``local``) or to send with may have."""
        if local:
            return self.decoder.table.capacity
        return self.encoder.table.capacity if self.encoder._pending < 0 else self.encoder._pending

    def set_send_window(self, size: int) -> None:
        self.send_window = size

    def frame_max(self, local: bool) -> int:
        """The largest frame to receive (``local``) or to send."""
        return self.local_frame_max if local else self.remote_frame_max

    # -- flow control

    def credit_connection(self, n: int) -> None:
        """Octets that the engine lets go: the user gives them back, unless nobody told him of them."""
        if self.automatic:
            self.give_back(n)

    def credit_stream(self, stream: Stream, n: int) -> None:
        """Left to the user."""

    def give_back(self, n: int) -> None:
        """``n`` octets were used: the connection's window opens when it is time."""
        self.recv_uncredited += n
        more = increment(self.recv_window, self.window_max, self.recv_uncredited)
        if more or self.recv_uncredited >= self.window_max // 2:
            self.recv_uncredited = 0
        if more:
            self.open_window(None, more)

    def give_back_on(self, view: H2Stream, n: int) -> None:
        """The same for a stream."""
        stream = view.stream
        if stream is None:
            return
        self.credit(stream, n, self.now)
        stream.recv_uncredited += n
        more = increment(stream.recv_window, view.window_max, stream.recv_uncredited)
        if more or stream.recv_uncredited >= view.window_max // 2:
            stream.recv_uncredited = 0
        if more and view.open:
            self.open_window(view, more)

    def open_window(self, view: H2Stream | None, n: int) -> None:
        """WINDOW_UPDATE by ``n``, of the connection without a ``view``."""
        if view is None:
            stream_id = 0
            self.recv_window += n
            self.window_max = max(self.window_max, self.recv_window)
        else:
            stream_id = view.stream_id
            stream = view.stream
            assert stream is not None
            stream.recv_window += n
            view.window_max = max(view.window_max, stream.recv_window)
        writer.write_window_update(self.out, stream_id, n)
        self.sent(_WINDOW_UPDATE, 0, stream_id, 4)

    # -- the end

    def terminate(self, code: int, debug: bytes, last_stream_id: int) -> None:
        """GOAWAY, and nothing after it; streams that are open end here."""
        self.write_goaway(last_stream_id, code, debug)
        if not self.closed:
            self.closed = True
            self.end_streams("the connection was closed", code, "closed", _LOCAL, _CONN_LOST)
            self.finish(None, "" if code == ErrorCode.NO_ERROR else ErrorCode.label(code))
