"""Byte helpers: the plain Python twin of the inline C in ``_mem.pxd``; never compiled itself.

Every read names ``end``, the first position that must not be read; every write names ``cap``.
Compiled code ignores them except in a checked build (``H2O_OTEL_CHECKED=1``), which aborts.
Here Python's own bounds hold, so they only keep the two signatures equal.
"""

from __future__ import annotations

import contextvars
import functools
import io
import sys
from array import array
from time import monotonic_ns as now_ns
from typing import Any

__all__ = [
    "alone",
    "all_in",
    "copy",
    "decimal",
    "floats",
    "hex_u64",
    "high_u64",
    "integers",
    "integers_bytes",
    "low_u64",
    "lower_hex",
    "no_breaks",
    "now_ns",
    "one_entry",
    "put_frame_header",
    "put_u16",
    "put_u32",
    "put_u8",
    "same",
    "set_in",
    "to_bytes",
    "traceparent",
    "u16",
    "u24",
    "u32",
    "u8",
    "wide",
]


def _references(thing: object) -> int:
    return sys.getrefcount(thing)


def _references_of_one() -> int:
    probe = object()
    return _references(probe)


_ALONE = _references_of_one() if hasattr(sys, "getrefcount") else -1


def alone(thing: object) -> bool:
    """Whether the caller's local variable is the only reference to ``thing``; never where references are not counted."""
    return _ALONE > 0 and sys.getrefcount(thing) == _ALONE


def u8(src: bytes | bytearray, pos: int, end: int) -> int:
    return src[pos]


def u16(src: bytes | bytearray, pos: int, end: int) -> int:
    return (src[pos] << 8) | src[pos + 1]


def u24(src: bytes | bytearray, pos: int, end: int) -> int:
    return (src[pos] << 16) | (src[pos + 1] << 8) | src[pos + 2]


def u32(src: bytes | bytearray, pos: int, end: int) -> int:
    return (src[pos] << 24) | (src[pos + 1] << 16) | (src[pos + 2] << 8) | src[pos + 3]


def put_u8(dst: bytearray, pos: int, value: int, cap: int) -> None:
    dst[pos] = value


def put_u16(dst: bytearray, pos: int, value: int, cap: int) -> None:
    dst[pos : pos + 2] = value.to_bytes(2, "big")


def put_u32(dst: bytearray, pos: int, value: int, cap: int) -> None:
    dst[pos : pos + 4] = value.to_bytes(4, "big")


def put_frame_header(dst: bytearray, pos: int, length: int, type: int, flags: int, stream_id: int, cap: int) -> None:
    dst[pos : pos + 9] = (length << 48 | type << 40 | flags << 32 | stream_id).to_bytes(9, "big")


def copy(dst: bytearray, dst_pos: int, cap: int, src: bytes | bytearray, src_pos: int, n: int, src_end: int) -> None:
    dst[dst_pos : dst_pos + n] = src[src_pos : src_pos + n]


def same(src: bytes | bytearray, pos: int, end: int, other: bytes, n: int) -> bool:
    return src[pos : pos + n] == other[:n]


def lower_hex(src: bytes | bytearray, pos: int, end: int, n: int) -> bool:
    return not src[pos : pos + n].translate(None, b"0123456789abcdef")


def decimal(src: bytes, n: int, end: int) -> int:
    """``src`` as a number: ``n`` digits, at most 18."""
    return int(src)


def hex_u64(src: bytes | bytearray, pos: int, end: int) -> int:
    return int(src[pos : pos + 16], 16)


def wide(high: int, low: int) -> int:
    return high << 64 | low


def high_u64(number: int) -> int:
    return number >> 64 & (1 << 64) - 1


def low_u64(number: int) -> int:
    return number & (1 << 64) - 1


def one_entry(cls: Any, key: Any, value: Any) -> Any:
    return cls({key: value})


def set_in(context: contextvars.Context, variable: contextvars.ContextVar[Any], value: Any) -> None:
    context.run(variable.set, value)


def traceparent(high: int, low: int, span_id: int, flags: int) -> bytes:
    return b"00-%016x%016x-%016x-%02x" % (high, low, span_id, flags)


def to_bytes(src: bytes | bytearray, start: int, stop: int, end: int) -> bytes:
    return bytes(src[start:stop])


def blank(n: int) -> Any:
    """Room for a ``bytes`` of ``n`` octets that nobody else sees until ``filled`` hands it out; here it grows as it is filled."""
    return io.BytesIO()


def fill(block: Any, pos: int, cap: int, src: Any, src_pos: int, n: int, src_end: int) -> None:
    """``copy`` into a ``blank``; from another one, too."""
    block.seek(pos)
    with src.getbuffer() if isinstance(src, io.BytesIO) else memoryview(src) as view:
        block.write(view[src_pos : src_pos + n])


def filled(block: Any, n: int) -> bytes:
    """The first ``n`` octets of a ``blank``; it is not used any more."""
    block.truncate(n)
    made: bytes = block.getvalue()
    return made


def integers(owner: bytearray) -> list[int]:
    return [0] * (len(owner) >> 3)


def integers_bytes(integers: list[int], n: int) -> bytes:
    return array("q", integers[:n]).tobytes()


def floats(owner: bytearray) -> list[float]:
    return [0.0] * (len(owner) >> 3)


@functools.lru_cache(maxsize=32)
def _members(classes: bytes, bit: int) -> bytes:
    return bytes(octet for octet in range(256) if classes[octet] & bit)


def all_in(classes: bytes, src: bytes, n: int, end: int, bit: int) -> bool:
    """Whether each octet of ``src``, which has ``n``, has ``bit`` in its class."""
    return not src.translate(None, _members(classes, bit))


def no_breaks(src: bytes, n: int, end: int) -> bool:
    """Whether none of the ``n`` octets of ``src`` is NUL, LF or CR."""
    return b"\n" not in src and b"\r" not in src and b"\0" not in src
