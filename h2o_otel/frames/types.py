"""Frame types, flags and settings identifiers (RFC 9113 sections 6 and 11, RFC 8441, RFC 9218)."""

from __future__ import annotations

import enum
import struct

__all__ = ["Flag", "FrameType", "SettingCode", "frame_name"]

FRAME_HEADER_BYTES = 9
CLIENT_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class FrameType(enum.IntEnum):
    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9
    PRIORITY_UPDATE = 0x10


class Flag(enum.IntFlag):
    """Flags share bits: which name applies depends on the frame type."""

    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class SettingCode(enum.IntEnum):
    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8
    NO_RFC7540_PRIORITIES = 0x9


_NAMES = {t.value: t.name for t in FrameType}


def frame_name(type: int) -> str:
    """The name of a frame type, or its number for one that is not defined."""
    return _NAMES.get(type, f"frame type 0x{type:x}")


# Position of each frame type in ``counters.FRAME_TYPES``; unknown types share the last one.
SLOT_OF_TYPE = bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, *([11] * 6), 10, *([11] * 239)])

# What the nine octets of the header alone decide, by frame type:
# the exact payload length (or the least, for types with a variable one) and the stream it may stand on.
ANY_STREAM, STREAM_ONLY, CONNECTION_ONLY = range(3)
SCOPE_OF_TYPE = bytes([1, 1, 1, 1, 2, 1, 2, 2, 0, 1, *([0] * 6), 2, *([0] * 239)])
ANY_LENGTH = 255
LENGTH_OF_TYPE = bytes([ANY_LENGTH, ANY_LENGTH, ANY_LENGTH, 4, ANY_LENGTH, ANY_LENGTH, 8, ANY_LENGTH, 4, *([ANY_LENGTH] * 247)])
# Both in one look: 1 where the header must be checked, 0 where a frame of any length may stand on such
# a stream.  The index is the type, and 256 more on a stream other than 0.
CHECK_OF_TYPE = bytes(
    int(LENGTH_OF_TYPE[i & 255] != ANY_LENGTH or SCOPE_OF_TYPE[i & 255] == (CONNECTION_ONLY if i >> 8 else STREAM_ONLY)) for i in range(512)
)


def read_header(octets: bytes) -> tuple[int, int, int, int]:
    """Length, type, flags and stream id of nine octets, without tables: what ``Tuning.frame_dispatch_table`` off uses."""
    high, low, type, flags, stream_id = _HEADER.unpack(octets)
    return high << 8 | low, type, flags, stream_id & 0x7FFFFFFF


_HEADER = struct.Struct(">HBBBI")
