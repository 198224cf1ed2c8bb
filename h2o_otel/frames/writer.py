"""Frames written straight into the output buffer (RFC 9113 section 6)."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _mem
from ..buffers.output import OutputBuffer
from .types import Flag, FrameType

__all__ = [
    "BY_REFERENCE_BYTES",
    "close_block",
    "write_data",
    "write_goaway",
    "write_ping",
    "write_priority_update",
    "write_rst_stream",
    "write_settings",
    "write_settings_ack",
    "write_window_update",
]

_DATA = int(FrameType.DATA)
_HEADERS = int(FrameType.HEADERS)
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

# The output's first block, where frames of control come first, and otherwise; a field section has this
# much room from the start, so that it does not grow out of a block made for frames of control.
CONTROL_BLOCK_BYTES = 256
FIELDS_ROOM_BYTES = 2048
BLOCK_BYTES = 16_384

# Below this a copy is cheaper than one more piece in the write; measured in benchmarks/engine.py.
BY_REFERENCE_BYTES = 16_384
_BY_REFERENCE = BY_REFERENCE_BYTES


def write_rst_stream(out: OutputBuffer, stream_id: int, code: int) -> int:
    out.reserve(13)
    _mem.put_frame_header(out.mem, out.pos, 4, _RST_STREAM, 0, stream_id, out.cap)
    _mem.put_u32(out.mem, out.pos + 9, code, out.cap)
    out.pos += 13
    return 0


def write_window_update(out: OutputBuffer, stream_id: int, increment: int) -> int:
    out.reserve(13)
    _mem.put_frame_header(out.mem, out.pos, 4, _WINDOW_UPDATE, 0, stream_id, out.cap)
    _mem.put_u32(out.mem, out.pos + 9, increment, out.cap)
    out.pos += 13
    return 0


def write_settings_ack(out: OutputBuffer) -> int:
    out.reserve(9)
    _mem.put_frame_header(out.mem, out.pos, 0, _SETTINGS, _ACK, 0, out.cap)
    out.pos += 9
    return 0


def write_settings(out: OutputBuffer, entries: Sequence[tuple[int, int]]) -> int:
    out.reserve(9 + 6 * len(entries))
    _mem.put_frame_header(out.mem, out.pos, 6 * len(entries), _SETTINGS, 0, 0, out.cap)
    out.pos += 9
    for code, value in entries:
        _mem.put_u16(out.mem, out.pos, code, out.cap)
        _mem.put_u32(out.mem, out.pos + 2, value, out.cap)
        out.pos += 6
    return 0


def write_ping(out: OutputBuffer, payload: bytes, ack: bool) -> int:
    """``payload`` is 8 octets, as the caller has made sure."""
    out.reserve(17)
    _mem.put_frame_header(out.mem, out.pos, 8, _PING, _ACK if ack else 0, 0, out.cap)
    _mem.copy(out.mem, out.pos + 9, out.cap, payload, 0, 8, len(payload))
    out.pos += 17
    return 0


def write_goaway(out: OutputBuffer, last_stream_id: int, code: int, debug: bytes) -> int:
    n = len(debug)
    out.reserve(17)
    _mem.put_frame_header(out.mem, out.pos, 8 + n, _GOAWAY, 0, 0, out.cap)
    _mem.put_u32(out.mem, out.pos + 9, last_stream_id, out.cap)
    _mem.put_u32(out.mem, out.pos + 13, code, out.cap)
    out.pos += 17
    out.write(debug)
    return 0


def write_priority_update(out: OutputBuffer, stream_id: int, value: bytes) -> int:
    """RFC 9218 section 7.1; ``value`` is a structured field such as ``u=1, i``."""
    out.reserve(13)
    _mem.put_frame_header(out.mem, out.pos, 4 + len(value), _PRIORITY_UPDATE, 0, 0, out.cap)
    _mem.put_u32(out.mem, out.pos + 9, stream_id, out.cap)
    out.pos += 13
    out.write(value)
    return 0


def write_data(out: OutputBuffer, stream_id: int, data: bytes, start: int, n: int, total: int, owner: bytes, end_stream: bool) -> int:
    """One DATA frame of ``n`` octets of ``data`` from ``start``; large ones go by reference to ``owner``, their object."""
    flags = _END_STREAM if end_stream else 0
    if n < _BY_REFERENCE:
        out.reserve(9 + n)
        _mem.put_frame_header(out.mem, out.pos, n, _DATA, flags, stream_id, out.cap)
        _mem.copy(out.mem, out.pos + 9, out.cap, data, start, n, total)
        out.pos += 9 + n
        return 0
    out.reserve(9)
    _mem.put_frame_header(out.mem, out.pos, n, _DATA, flags, stream_id, out.cap)
    out.pos += 9
    out.append_chunk(owner if n == total else memoryview(owner)[start : start + n])
    return 0


def close_block(out: OutputBuffer, start: int, stream_id: int, end_stream: bool, frame_bytes_max: int, promised: int) -> int:
    """Put frame headers around the field block that was encoded at ``start + 9``; returns how many frames it became.

    With ``promised`` the block begins with the promised stream id and the frame is PUSH_PROMISE.
    A block larger than one frame is laid out again as HEADERS and CONTINUATION (RFC 9113 section 4.3).
    """
    n = out.pos - start - 9
    type = _PUSH_PROMISE if promised else _HEADERS
    flags = _END_STREAM if end_stream else 0
    if n <= frame_bytes_max:
        _mem.put_frame_header(out.mem, start, n, type, flags | _END_HEADERS, stream_id, out.cap)
        return 1
    block = _mem.to_bytes(out.mem, start + 9, out.pos, out.cap)
    out.pos = start
    frames = 0
    offset = 0
    while offset < n:
        size = min(n - offset, frame_bytes_max)
        if offset + size == n:
            flags |= _END_HEADERS
        out.reserve(9 + size)
        _mem.put_frame_header(out.mem, out.pos, size, type, flags, stream_id, out.cap)
        _mem.copy(out.mem, out.pos + 9, out.cap, block, offset, size, n)
        out.pos += 9 + size
        offset += size
        frames += 1
        type = _CONTINUATION
        flags = 0
    return frames
