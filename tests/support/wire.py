"""Frames as octets, written and read without any code of the package, so that tests measure it against the RFC."""

from __future__ import annotations

import struct
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10

END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
PRIORITY_FLAG = 0x20


class Frame(NamedTuple):
    type: int
    flags: int
    stream_id: int
    payload: bytes


def frame(type: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """One frame; ``length`` is what its header says, when it should lie."""
    said = len(payload) if length is None else length
    return struct.pack(">BHBBL", said >> 16, said & 0xFFFF, type, flags, stream_id) + payload


def data(stream_id: int, body: bytes = b"", *, end_stream: bool = False, padding: int | None = None) -> bytes:
    flags = END_STREAM if end_stream else 0
    if padding is None:
        return frame(DATA, flags, stream_id, body)
    return frame(DATA, flags | PADDED, stream_id, bytes([padding]) + body + bytes(padding))


def headers(stream_id: int, block: bytes, *, end_stream: bool = False, end_headers: bool = True) -> bytes:
    """A HEADERS frame around a field block that is already encoded (see ``block``)."""
    return frame(HEADERS, (END_STREAM if end_stream else 0) | (END_HEADERS if end_headers else 0), stream_id, block)


def continuation(stream_id: int, block: bytes, *, end_headers: bool = True) -> bytes:
    return frame(CONTINUATION, END_HEADERS if end_headers else 0, stream_id, block)


def settings(values: dict[int, int] | None = None) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HL", k, v) for k, v in (values or {}).items()))


def settings_ack() -> bytes:
    return frame(SETTINGS, ACK)


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, struct.pack(">L", increment))


def rst_stream(stream_id: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, struct.pack(">L", code))


def ping(payload: bytes = bytes(8), *, ack: bool = False) -> bytes:
    return frame(PING, ACK if ack else 0, 0, payload)


def goaway(last_stream_id: int, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">LL", last_stream_id, code) + debug)


def priority(stream_id: int, depends_on: int = 0, weight: int = 15) -> bytes:
    return frame(PRIORITY, 0, stream_id, struct.pack(">LB", depends_on, weight))


def priority_update(stream_id: int, value: bytes) -> bytes:
    return frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", stream_id) + value)


def push_promise(stream_id: int, promised_id: int, block: bytes, *, end_headers: bool = True) -> bytes:
    return frame(PUSH_PROMISE, END_HEADERS if end_headers else 0, stream_id, struct.pack(">L", promised_id) + block)


def literal(name: bytes, value: bytes) -> bytes:
    """A field without indexing and without Huffman (RFC 7541 §6.2.2), which leaves the dynamic table alone."""
    return b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value


def block(*fields: tuple[bytes, bytes]) -> bytes:
    return b"".join(literal(name, value) for name, value in fields)


def request_block(method: bytes = b"GET", path: bytes = b"/", *fields: tuple[bytes, bytes]) -> bytes:
    return block((b":method", method), (b":scheme", b"https"), (b":path", path), (b":authority", b"example.com"), *fields)


def response_block(status: int = 200, *fields: tuple[bytes, bytes]) -> bytes:
    return block((b":status", b"%d" % status), *fields)


def integer(value: int, prefix_bits: int) -> bytes:
    """An integer of RFC 7541 §5.1 whose bits before the prefix are 0."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([value])
    out, value = bytearray([limit]), value - limit
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def frames(octets: bytes) -> list[Frame]:
    """The frames of a capture, after the preface if there is one; an incomplete frame at the end is an error."""
    pos = len(PREFACE) if octets.startswith(PREFACE) else 0
    found = []
    while pos < len(octets):
        assert len(octets) - pos >= 9, f"{len(octets) - pos} octets are left, less than a frame header"
        high, low, type, flags, stream_id = struct.unpack_from(">BHBBL", octets, pos)
        length, pos = high << 16 | low, pos + 9
        assert len(octets) - pos >= length, f"a frame of {length} octets ends after {len(octets) - pos}"
        found.append(Frame(type, flags, stream_id & 0x7FFFFFFF, octets[pos : pos + length]))
        pos += length
    return found
