"""The suite's part "generic": what every server must do for an ordinary client."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.spec import Case, Conn, frames
from tests.support.wire import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PRIORITY_FLAG,
    continuation,
    data,
    frame,
    goaway,
    headers,
    ping,
    priority,
    rst_stream,
    settings,
    window_update,
)

__all__ = ["CASES"]


def get(c: Conn) -> bytes:
    return headers(1, c.request(), end_stream=True)


def with_field(representation: str) -> Callable[[Conn], object]:
    """A request with one more field, as it stands."""
    octets = bytes.fromhex(representation)
    return frames(lambda c: [headers(1, c.request() + octets, end_stream=True)], Conn.answered)


def before_fields(representation: str) -> Callable[[Conn], object]:
    octets = bytes.fromhex(representation)
    return frames(lambda c: [headers(1, octets + c.request(), end_stream=True)], Conn.answered)


def one_after_the_other(*octets: bytes) -> Callable[[Conn], object]:
    return frames(lambda c: [headers(1, c.request(b"POST")), *octets], Conn.answered)


def priority_on_closed(c: Conn) -> None:
    c.sends(get(c))
    c.stream_closed()
    c.sends(priority(1, 0, 255))
    c.alive()


def padded_headers(c: Conn) -> list[bytes]:
    return [frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\x08" + c.request() + bytes(8))]


def headers_with_priority(c: Conn) -> list[bytes]:
    return [frame(HEADERS, END_STREAM | END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\0\xff" + c.request())]


def in_pieces(c: Conn) -> list[bytes]:
    return [headers(1, c.request(), end_stream=True, end_headers=False), continuation(1, b"\x40\x01a\x01b")]


def in_more_pieces(c: Conn) -> list[bytes]:
    more = [continuation(1, b"\x40\x01a\x01b", end_headers=False), continuation(1, b"\x40\x01a\x01b")]
    return [headers(1, c.request(), end_stream=True, end_headers=False), *more]


def with_trailers(c: Conn) -> list[bytes]:
    start = headers(1, c.request(b"POST", (b"trailer", b"x-test")))
    return [start, data(1, b"test"), headers(1, b"\x00\x06x-test\x02ok", end_stream=True)]


WITHOUT_PUSH = {1: 4096, 2: 1, 3: 100, 4: 65_535, 5: 16_384, 6: 100}
HUFFMAN_AGENT, PLAIN_AGENT = "87b505b161cc5a93849c48aca4", "0a757365722d6167656e7406683273706563"
PLAIN_TEST, HUFFMAN_TEST = "06782d7465737406683273706563", "85f2b24a84ff849c48aca4"

CASES = [
    Case("generic/1/1", "client connection preface", lambda c: c.alive()),
    Case("generic/2/1", "PRIORITY on an idle stream", frames(lambda c: [priority(1, 0, 255), ping()], Conn.ping_answered)),
    Case(
        "generic/2/2",
        "WINDOW_UPDATE on a half-closed (remote) stream",
        frames(lambda c: [settings({4: 0}), get(c), window_update(1, 1)], lambda c: c.got_data(1)),
    ),
    Case(
        "generic/2/3",
        "PRIORITY on a half-closed (remote) stream",
        frames(lambda c: [settings({4: 0}), get(c), priority(1, 0, 255), window_update(1, 1)], lambda c: c.got_data(1)),
    ),
    Case(
        "generic/2/4",
        "RST_STREAM on a half-closed (remote) stream",
        frames(lambda c: [get(c), rst_stream(1, 8), ping()], Conn.ping_answered),
    ),
    Case("generic/2/5", "PRIORITY on a closed stream", priority_on_closed),
    Case("generic/3.1/1", "DATA", one_after_the_other(data(1, b"test", end_stream=True))),
    Case("generic/3.1/2", "several DATA", one_after_the_other(data(1, b"test"), data(1, b"test", end_stream=True))),
    Case("generic/3.1/3", "DATA with padding", one_after_the_other(data(1, b"test", end_stream=True, padding=8))),
    Case("generic/3.2/1", "HEADERS", frames(lambda c: [get(c)], Conn.answered)),
    Case("generic/3.2/2", "HEADERS with padding", frames(padded_headers, Conn.answered)),
    Case("generic/3.2/3", "HEADERS with priority", frames(headers_with_priority, Conn.answered)),
    Case("generic/3.3/1", "PRIORITY with priority 1", frames(lambda c: [priority(1, 0, 0), get(c)], Conn.answered)),
    Case("generic/3.3/2", "PRIORITY with priority 256", frames(lambda c: [priority(1, 0, 255), get(c)], Conn.answered)),
    Case("generic/3.3/3", "PRIORITY with a dependency", frames(lambda c: [priority(3, 1, 0), get(c)], Conn.answered)),
    Case("generic/3.3/4", "PRIORITY with exclusive", frames(lambda c: [priority(1, 2**31, 0), get(c)], Conn.answered)),
    Case("generic/3.3/5", "PRIORITY on an idle stream above the request", frames(lambda c: [priority(3, 0, 255), get(c)], Conn.answered)),
    Case(
        "generic/3.4/1",
        "RST_STREAM",
        frames(lambda c: [headers(1, c.request(b"POST")), rst_stream(1, 8), ping()], Conn.ping_answered),
    ),
    Case("generic/3.5/1", "SETTINGS", frames(lambda c: [settings(WITHOUT_PUSH)], Conn.acknowledged)),
    Case("generic/3.7/1", "PING", frames(lambda c: [ping(b"h2spec\0\0")], lambda c: c.ping_answered(b"h2spec\0\0"))),
    Case("generic/3.8/1", "GOAWAY", frames(lambda c: [goaway(0), ping()], Conn.ping_answered)),
    Case("generic/3.9/1", "WINDOW_UPDATE on stream 0", frames(lambda c: [window_update(0, 1), ping()], Conn.ping_answered)),
    Case("generic/3.9/2", "WINDOW_UPDATE on stream 1", frames(lambda c: [get(c), window_update(1, 1)], Conn.answered)),
    Case("generic/3.10/1", "CONTINUATION", frames(in_pieces, Conn.answered)),
    Case("generic/3.10/2", "several CONTINUATION", frames(in_more_pieces, Conn.answered)),
    Case("generic/4/1", "GET", frames(lambda c: [get(c)], Conn.answered)),
    Case("generic/4/2", "HEAD", frames(lambda c: [headers(1, c.request(b"HEAD"), end_stream=True)], Conn.answered)),
    Case("generic/4/3", "POST", one_after_the_other(data(1, b"test", end_stream=True))),
    Case("generic/4/4", "POST with trailers", frames(with_trailers, Conn.answered)),
    Case("generic/5/1", "indexed field", with_field("ba")),
    Case("generic/5/2", "with indexing, indexed name", with_field("40" + HUFFMAN_AGENT)),
    Case("generic/5/3", "with indexing, indexed name, Huffman", with_field("40" + PLAIN_AGENT)),
    Case("generic/5/4", "with indexing, new name", with_field("40" + PLAIN_TEST)),
    Case("generic/5/5", "with indexing, new name, Huffman", with_field("40" + HUFFMAN_TEST)),
    Case("generic/5/6", "without indexing, indexed name", with_field("00" + PLAIN_AGENT)),
    Case("generic/5/7", "without indexing, indexed name, Huffman", with_field("00" + HUFFMAN_AGENT)),
    Case("generic/5/8", "without indexing, new name", with_field("00" + PLAIN_TEST)),
    Case("generic/5/9", "without indexing, new name, Huffman", with_field("00" + HUFFMAN_TEST)),
    Case("generic/5/10", "never indexed, indexed name", with_field("10" + PLAIN_AGENT)),
    Case("generic/5/11", "never indexed, indexed name, Huffman", with_field("10" + HUFFMAN_AGENT)),
    Case("generic/5/12", "never indexed, new name", with_field("10" + PLAIN_TEST)),
    Case("generic/5/13", "never indexed, new name, Huffman", with_field("10" + HUFFMAN_TEST)),
    Case("generic/5/14", "table size update", before_fields("20")),
    Case("generic/5/15", "several table size updates", before_fields("203fe11f")),
]
