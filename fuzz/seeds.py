"""Inputs to begin with, made here so that they follow the formats: ordinary traffic, and a case of each rule that is easy to break."""

from __future__ import annotations

import hpack as peer

from fuzz.blocks import join
from fuzz.octets import REPRESENTATIONS
from tests.support import wire

__all__ = ["client", "hpack", "server"]

REQUEST = [
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index?a=1"),
    (":authority", "www.example.com"),
    ("user-agent", "fuzz/1.0"),
    ("accept", "*/*"),
    ("cookie", "a=b"),
    ("cookie", "c=d"),
]
RESPONSE = [(":status", "200"), ("content-type", "text/html"), ("date", "Mon, 21 Oct 2013 20:13:21 GMT"), ("set-cookie", "a=b; path=/")]


def hpack_blocks(fields: list[tuple[str, str]], n: int, huffman: bool) -> list[bytes]:
    encoder = peer.Encoder()
    return [encoder.encode([*fields, ("x-id", str(i))], huffman=huffman) for i in range(n)]


def hpack() -> list[bytes]:
    found = [join(choices, [piece]) for piece in REPRESENTATIONS for choices in (0, 1)]
    for choices in range(8):
        found += [join(choices, hpack_blocks(fields, 3, huffman)) for fields in (REQUEST, RESPONSE) for huffman in (False, True)]
        found.append(join(choices, [b"\x82", b"\x3f\x45" + b"\x40\x01a\x01b", b"\x20\x3f\xe1\x1f\xbe"]))
    return found


def server() -> list[bytes]:
    request = wire.request_block()
    post = wire.request_block(b"POST", b"/upload", (b"content-length", b"5"))
    coded = hpack_blocks(REQUEST, 3, True)
    conversations = [
        [wire.headers(1, request, end_stream=True), wire.headers(3, request, end_stream=True)],
        [wire.headers(1, post), wire.data(1, b"ab"), wire.data(1, b"cde", end_stream=True)],
        [wire.headers(1, post), wire.data(1, b"abcdef", end_stream=True)],
        [wire.headers(2 * i + 1, block, end_stream=True) for i, block in enumerate(coded)],
        [wire.headers(1, coded[0], end_headers=False), wire.continuation(1, coded[0][9:]), wire.rst_stream(1, 8)],
        [wire.headers(1, request), wire.data(1, b"x" * 300, padding=20), wire.headers(1, wire.block((b"a", b"b")), end_stream=True)],
        [wire.headers(1, request), wire.rst_stream(1, 8), wire.data(1, b"late"), wire.window_update(1, 5)],
        [wire.headers(1, request), *(wire.data(1, b"") for _ in range(12))],
        [wire.headers(1, request, end_stream=True), wire.window_update(1, 2**31 - 1), wire.window_update(0, 2**31 - 1)],
        [wire.headers(1, request, end_stream=True), wire.settings({4: 0}), wire.settings({4: 10, 5: 20_000}), wire.window_update(1, 100)],
        [wire.ping(), wire.ping(ack=True), wire.priority(1), wire.priority_update(1, b"u=0, i"), wire.goaway(0)],
        [wire.frame(0xFA, 0xFF, 5, b"unknown"), wire.headers(1, request)],
        [wire.frame(wire.HEADERS, wire.PRIORITY_FLAG | wire.END_HEADERS, 1, b"\x00\x00\x00\x01\x0f" + request)],
        [wire.push_promise(1, 2, request)],
        [wire.data(1, b"idle")],
        [wire.headers(1, wire.block((b":method", b"GET"), (b"Bad", b"x")), end_stream=True), wire.headers(3, request)],
        [wire.headers(1, b"\xff\xff\xff\xff\xff\xff\xff")],
        [wire.headers(2 * i + 1, request) for i in range(6)],
        [frame for i in range(6) for frame in (wire.headers(2 * i + 1, request), wire.rst_stream(2 * i + 1, 8))],
    ]
    raw = [wire.PREFACE + wire.settings() + wire.headers(1, request), wire.PREFACE[:10], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]
    return [*_inputs(conversations), *(b"\x00\x07" + octets for octets in raw)]


def client() -> list[bytes]:
    response = wire.response_block(200, (b"content-length", b"5"))
    coded = hpack_blocks(RESPONSE, 3, True)
    conversations = [
        [wire.headers(1, response), wire.data(1, b"hello", end_stream=True)],
        [wire.headers(1, response), wire.data(1, b"hell", end_stream=True)],
        [wire.headers(1, wire.response_block(103)), wire.headers(1, wire.response_block(204), end_stream=True)],
        [wire.headers(2 * i + 1, block, end_stream=i != 1) for i, block in enumerate(coded)],
        [wire.headers(1, coded[0][:5], end_headers=False), wire.continuation(1, coded[0][5:]), wire.data(1, b"a" * 1000, padding=9)],
        [wire.headers(3, coded[0]), wire.window_update(3, 100_000), wire.window_update(0, 100_000), wire.data(3, b"x" * 16_384)],
        [wire.push_promise(1, 2, wire.request_block()), wire.headers(2, b"\x88"), wire.data(2, b"pushed", end_stream=True)],
        [wire.push_promise(1, 2, wire.request_block()), wire.push_promise(1, 4, wire.request_block()), wire.rst_stream(2, 8)],
        [wire.goaway(1), wire.goaway(0), wire.headers(1, response), wire.goaway(3)],
        [wire.rst_stream(1, 7), wire.rst_stream(3, 0), wire.data(1, b"late")],
        [wire.settings({4: 0}), wire.settings({4: 2**31 - 1}), wire.settings({3: 0, 1: 0, 2: 1})],
        [wire.ping(b"12345678", ack=True), wire.ping(), wire.settings_ack()],
        [wire.headers(1, wire.block((b"a", b"b")))],
        [wire.headers(7, response)],
        [wire.headers(1, coded[0]), wire.headers(1, wire.block((b"trailer", b"1")), end_stream=True)],
    ]
    return [*_inputs(conversations), b"\x00\x07HTTP/1.1 400 Bad Request\r\n\r\n"]


def _inputs(conversations: list[list[bytes]]) -> list[bytes]:
    """Each conversation with loose and with tight limits, and the choices in turn."""
    return [bytes([1 | tight | (8 * i & 0x38), i]) + b"".join(frames) for i, frames in enumerate(conversations) for tight in (0, 2)]
