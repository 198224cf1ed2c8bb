"""Server push (RFC 9113 section 8.4), both ways."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _mem, counters
from ..counters import Counters
from ..errors import ErrorCode, LocalProtocolError
from ..frames.types import Flag, FrameType, SettingCode
from ..limits import STREAM_ID_MAX
from ..rules import RULES, Violation, fail
from ..streams.states import Input
from ..streams.stream import LOCAL, REMOTE, Stream
from .config import ConnectionConfig
from .core import PUSH_ACCEPTED, PUSH_DISABLED, PUSH_REFUSED
from .handler import Handler
from .messages import MessageHalf

__all__ = ["PushHalf"]

_PUSH_PROMISE = int(FrameType.PUSH_PROMISE)
_END_HEADERS = int(Flag.END_HEADERS)
_PADDED = int(Flag.PADDED)
_SEND_DATA = int(Input.SEND_DATA)
_RECV_DATA = int(Input.RECV_DATA)
_SEND_PROMISE = int(Input.SEND_PROMISE)
_RECV_PROMISE = int(Input.RECV_PROMISE)
_PUSH_PROMISES = counters.slot("push_promises")
_PUSH_RESULTS = len(counters.PUSH_RESULTS)
_IDENTITY = (b":method", b":scheme", b":authority", b":path")


def _identity(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """What tells one promised request from another, as a hash."""
    return hash(tuple([field for field in headers if field[0] in _IDENTITY]))


class PushHalf(MessageHalf):
    """What PUSH_PROMISE means and does."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        MessageHalf.__init__(self, config, handler, block)
        self.push_enabled = config.tuning.protocol_push and (config.enable_push or not self.client)
        # Hashes of what was promised: a second promise of the same is a waste, and the client may have it cached by now.
        self.pushed: set[int] | None = None

    def count_promise(self, result: int) -> None:
        self.slots[_PUSH_PROMISES + self.role * _PUSH_RESULTS + result] += 1

    def promises_made(self) -> int:
        return 0 if self.pushed is None else len(self.pushed)

    def can_push(self) -> bool:
        """Whether ``send_push_promise`` may be called now; the request promised may still be one that was promised before."""
        return (
            self.push_enabled
            and not self.client
            and not self.closed
            and not self.goaway_received
            and bool(self.remote_settings[SettingCode.ENABLE_PUSH])
            and self.streams_local < self.remote_streams_max
            and self.next_stream_id <= STREAM_ID_MAX
            and self.promises_made() < self.limits.push_promises_per_connection_max
        )

    def promised_before(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a request with these pseudo-header fields was promised on this connection; it is not to be promised again."""
        return self.pushed is not None and _identity(headers) in self.pushed

    def send_push_promise(self, stream: Stream, headers: Sequence[tuple[bytes, bytes]], now: float) -> Stream:
        """Promise a response to a request that the client has not made.

        Each request is promised at most once on a connection, and only GET and HEAD are (they are safe and cacheable).

        Args:
            stream: the request that the promise belongs to.
            headers: the promised request's fields, pseudo-header fields first.

        Returns:
            The promised stream; answer it with ``send_response``.

        Raises:
            LocalProtocolError: the client did not enable push, its limit or ours is reached, the same was
                promised before, or the stream is over; nothing was sent.
        """
        self.now = now
        if self.client or self.closed or self.goaway_received:
            raise LocalProtocolError("only a server with a live connection promises streams (RFC 9113 §8.4)", initiator="user")
        if not self.push_enabled:
            raise LocalProtocolError("push is switched off (Tuning.protocol_push)", initiator="user")
        if not self.remote_settings[SettingCode.ENABLE_PUSH]:
            self.count_promise(PUSH_DISABLED)
            raise LocalProtocolError("the client disabled push (SETTINGS_ENABLE_PUSH 0, RFC 9113 §8.4)", initiator="user")
        if self.promises_made() >= self.limits.push_promises_per_connection_max:
            raise LocalProtocolError(
                f"{self.promises_made()} promises made, EngineLimits.push_promises_per_connection_max", initiator="user"
            )
        if self.streams_local >= self.remote_streams_max or self.next_stream_id > STREAM_ID_MAX:
            raise LocalProtocolError(self.why_no_stream(), initiator="user")
        if stream.local or not stream.allows(_SEND_DATA):
            raise self.misuse("PUSH_PROMISE", stream)
        for name, value in headers:
            if name == b"content-length" and value != b"0":
                raise LocalProtocolError("a promised request has no content (RFC 9113 §8.4)", scope="stream", initiator="user")
        key = _identity(headers)
        if self.pushed is None:
            self.pushed = set()
        if key in self.pushed:
            raise LocalProtocolError("this request was promised on this connection before (RFC 9113 §8.4)", initiator="user")
        out = self.out
        out.reserve(13)
        start = out.pos
        out.pos = start + 13
        try:
            self.encoder.encode(out, headers)
            method = self.check_pseudo(headers)
            if method not in (b"GET", b"HEAD"):
                self.encoder.abort(out)
                raise LocalProtocolError(
                    f"a promised request is GET or HEAD, not {method!r} (RFC 9113 §8.4)", scope="stream", initiator="user"
                )
        except BaseException:
            out.pos = start
            raise
        promised = self.new_stream(self.next_stream_id, True)
        self.next_stream_id += 2
        _mem.put_u32(out.mem, start + 9, promised.id, out.cap)
        promised.step(_SEND_PROMISE)
        promised.head_request = method == b"HEAD"
        self.finish_block(stream, start, False, promised.id)
        self.pushed.add(key)
        self.count_promise(PUSH_ACCEPTED)
        return promised

    def on_push_promise(self, buf: bytes, pos: int, end: int, flags: int, stream_id: int) -> int:
        """RFC 9113 section 6.6."""
        if not self.client or not self.push_enabled or not self.local_settings[SettingCode.ENABLE_PUSH]:
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
        if self.goaway_sent and promised > self.goaway_sent_last:
            # Our GOAWAY said that it would be ignored (RFC 9113 section 6.8), and so is what follows on it.
            return 0
        self.last_remote_stream_id = promised
        parent = self.streams.get(stream_id)
        if parent is None:
            # We reset the request while its promise was under way: the promise dies with it.
            by = self.reset_streams.get(stream_id, LOCAL if stream_id <= self.forgotten_below else REMOTE)
            if stream_id & 1 == 0 or stream_id >= self.next_stream_id or by == REMOTE:
                raise fail(RULES.push_promise_bad_stream, stream_id, promised=promised)
            self.decline(promised, ErrorCode.CANCEL)
            return 0
        if not parent.local or not parent.allows(_RECV_DATA):
            raise fail(RULES.push_promise_bad_stream, stream_id, promised=promised)
        self.promise_received(parent, promised)
        return 0

    def promise_received(self, parent: Stream, promised: int) -> None:
        """A complete PUSH_PROMISE on one of our open requests."""
        fields = self.decoder
        if fields.violation is None:
            self.validator.request(fields, promised)
        if fields.violation is not None:
            raise Violation(fields.violation, promised, fields.violation_fields)
        if fields.content_length > 0:
            # A promised request has no content, and this one says that it has.
            raise fail(RULES.content_length_mismatch, promised, actual=0, limit=fields.content_length)
        if fields.method not in (b"GET", b"HEAD"):
            raise fail(RULES.push_promise_method, promised, got=fields.method)
        if self.streams_remote >= self.limits.push_promises_max:
            self.count_promise(PUSH_REFUSED)
            self.decline(promised, ErrorCode.REFUSED_STREAM)
            return
        stream = self.new_stream(promised, False)
        stream.step(_RECV_PROMISE)
        stream.method = fields.method
        stream.scheme = fields.scheme
        stream.authority = fields.authority
        stream.path = fields.path
        stream.headers = fields.headers
        stream.head_request = fields.method == b"HEAD"
        self.count_promise(PUSH_ACCEPTED)
        self.handler.push_received(parent, stream)
