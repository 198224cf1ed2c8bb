"""The suite's parts "http2" and "hpack" for servers: RFC 7540 as amended by RFC 9113, and RFC 7541."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.spec import (
    CLOSED,
    COMPRESSION,
    COMPRESSION_ERROR,
    DUMMY,
    FLOW,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    LARGEST,
    PROTOCOL,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SIZE,
    STREAM_CLOSED,
    STREAM_OVER,
    STREAM_PROTOCOL,
    UNKNOWN,
    Case,
    Conn,
    connection_error,
    frames,
    stream_error,
)
from tests.support.wire import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    continuation,
    data,
    frame,
    goaway,
    headers,
    integer,
    ping,
    priority,
    push_promise,
    rst_stream,
    settings,
    window_update,
)

__all__ = ["CASES"]


def get(c: Conn, stream_id: int = 1) -> bytes:
    return headers(stream_id, c.request(), end_stream=True)


def post(c: Conn, *fields: tuple[bytes, bytes]) -> bytes:
    return headers(1, c.request(b"POST", *fields))


def opened(c: Conn, *, end_stream: bool = True) -> bytes:
    """A request whose field block is not complete."""
    return headers(1, c.request(b"GET" if end_stream else b"POST"), end_stream=end_stream, end_headers=False)


def malformed(make: Callable[[Conn], bytes]) -> Callable[[Conn], object]:
    return frames(lambda c: [headers(1, make(c), end_stream=True)], STREAM_PROTOCOL)


def after_the_response(*octets: bytes, judge: Callable[[Conn], object]) -> Callable[[Conn], object]:
    """Both ends have ended the stream when the octets come."""

    def run(c: Conn) -> None:
        c.sends(get(c))
        c.stream_closed()
        c.sends(*(octets or (get(c),)))
        judge(c)

    return run


def only(octets: bytes, judge: Callable[[Conn], object]) -> Callable[[Conn], object]:
    return frames(lambda c: [octets], judge)


def behind(start: Callable[[Conn], bytes], *octets: bytes, judge: Callable[[Conn], object]) -> Callable[[Conn], object]:
    return frames(lambda c: [start(c), *octets], judge)


# -- cases that take more than one step


def server_preface(c: Conn) -> None:
    c.sends(PREFACE, settings({4: 65_535}))
    first = c.next()
    assert first is not None
    assert (first.type, first.flags) == (SETTINGS, 0)


def invalid_preface(c: Conn) -> None:
    c.sends(b"INVALID CONNECTION PREFACE\r\n\r\n")
    while c.sock.recv(65_536):
        pass


def too_many_streams(c: Conn) -> None:
    c.sends(settings({4: 0}))
    c.acknowledged()
    c.sends(*(get(c, 2 * i + 1) for i in range(c.settings[3] + 1)))
    c.stream_error(PROTOCOL_ERROR, REFUSED_STREAM)


def goaway_first(c: Conn) -> None:
    c.sends(frame(PING, 0, 3, bytes(8)))
    c.until(lambda f: f.type == GOAWAY)


def window_of_one(c: Conn) -> None:
    c.sends(settings({4: 1}))
    c.acknowledged()
    c.sends(get(c))
    c.got_data(1)


def values_in_order(c: Conn) -> None:
    c.sends(frame(SETTINGS, 0, 0, bytes.fromhex("000400000064000400000001")))
    c.acknowledged()
    c.sends(get(c))
    c.got_data(1)


def window_changes(c: Conn) -> None:
    c.sends(settings({4: 0}))
    c.acknowledged()
    c.sends(get(c), settings({4: 1}))
    c.got_data(1)


def window_below_zero(c: Conn) -> None:
    c.sends(settings({4: 3}))
    c.acknowledged()
    c.sends(get(c))
    c.got_data(3)
    c.sends(settings({4: 2}))
    c.acknowledged()
    c.sends(window_update(1, 2))
    c.got_data(1)


def answers_are_not_answered(c: Conn) -> None:
    c.sends(ping(b"invalid\0", ack=True), ping(b"h2spec\0\0"))
    c.ping_answered(b"h2spec\0\0")


def unknown_code_in_goaway(c: Conn) -> None:
    """The suite lets the server close or answer; ours answers, and ends the connection when the client does."""
    c.sends(goaway(0, 0xFF), ping())
    c.ping_answered()


def table_larger_than_allowed(c: Conn) -> None:
    update = bytearray(integer(c.settings.get(1, 4096) + 1, 5))
    update[0] |= 0x20
    c.sends(headers(1, bytes(update) + c.request(), end_stream=True))
    c.connection_error(COMPRESSION_ERROR)


HTTP2 = [
    Case("http2/3.5/1", "client connection preface", server_preface, handshake=False),
    Case("http2/3.5/2", "invalid connection preface", invalid_preface, handshake=False),
    Case("http2/4.1/1", "frame of an unknown type", only(UNKNOWN + ping(), Conn.ping_answered)),
    Case("http2/4.1/2", "undefined flags", only(frame(PING, 0x16, 0, bytes(8)), Conn.ping_answered)),
    Case("http2/4.1/3", "reserved bit", only(frame(PING, 0x16, 2**31, bytes(8)), Conn.ping_answered)),
    Case("http2/4.2/1", "DATA of 2^14 octets", behind(post, data(1, b"x" * 16_384, end_stream=True), judge=Conn.answered)),
    Case("http2/4.2/2", "DATA too large", behind(post, data(1, b"x" * 16_385, end_stream=True), judge=stream_error(FRAME_SIZE_ERROR))),
    Case("http2/4.2/3", "HEADERS too large", frames(lambda c: [headers(1, c.request() + DUMMY * 5, end_stream=True)], SIZE)),
    Case("http2/4.3/1", "invalid field block", only(headers(1, b"\x40", end_stream=True), COMPRESSION)),
    Case("http2/4.3/2", "PRIORITY inside a block", behind(opened, priority(1, 0, 255), continuation(1, DUMMY), judge=PROTOCOL)),
    Case("http2/4.3/3", "HEADERS inside a block", frames(lambda c: [opened(c), get(c, 3), continuation(1, DUMMY)], PROTOCOL)),
    Case("http2/5.1/1", "idle: DATA", only(data(1, b"test", end_stream=True), PROTOCOL)),
    Case("http2/5.1/2", "idle: RST_STREAM", only(rst_stream(1, 8), PROTOCOL)),
    Case("http2/5.1/3", "idle: WINDOW_UPDATE", only(window_update(1, 100), PROTOCOL)),
    Case("http2/5.1/4", "idle: CONTINUATION", frames(lambda c: [continuation(1, c.request())], PROTOCOL)),
    Case("http2/5.1/5", "half-closed (remote): DATA", behind(get, data(1, b"test", end_stream=True), judge=STREAM_OVER)),
    Case("http2/5.1/6", "half-closed (remote): HEADERS", frames(lambda c: [get(c), get(c)], STREAM_OVER)),
    Case(
        "http2/5.1/7",
        "half-closed (remote): CONTINUATION",
        frames(lambda c: [get(c), continuation(1, c.request())], stream_error(STREAM_CLOSED, PROTOCOL_ERROR)),
    ),
    Case(
        "http2/5.1/8", "closed: DATA after RST_STREAM", behind(post, rst_stream(1, 8), data(1, b"test", end_stream=True), judge=STREAM_OVER)
    ),
    Case("http2/5.1/9", "closed: HEADERS after RST_STREAM", frames(lambda c: [post(c), rst_stream(1, 8), get(c)], STREAM_OVER)),
    Case(
        "http2/5.1/10",
        "closed: CONTINUATION after RST_STREAM",
        behind(post, rst_stream(1, 8), continuation(1, DUMMY), judge=stream_error(STREAM_CLOSED, PROTOCOL_ERROR)),
    ),
    Case("http2/5.1/11", "closed: DATA", after_the_response(data(1, b"test", end_stream=True), judge=CLOSED)),
    Case("http2/5.1/12", "closed: HEADERS", after_the_response(judge=CLOSED)),
    Case(
        "http2/5.1/13",
        "closed: CONTINUATION",
        after_the_response(continuation(1, DUMMY), judge=connection_error(STREAM_CLOSED, PROTOCOL_ERROR)),
    ),
    Case("http2/5.1.1/1", "even stream number", frames(lambda c: [get(c, 2)], PROTOCOL)),
    Case("http2/5.1.1/2", "smaller stream number", frames(lambda c: [get(c, 5), get(c, 3)], PROTOCOL)),
    Case("http2/5.1.1/3", "HEADERS on a half-closed (remote) stream", frames(lambda c: [get(c, 5), get(c, 5)], STREAM_OVER)),
    Case("http2/5.1.2/1", "more streams than allowed", too_many_streams),
    Case(
        "http2/5.3.1/1",
        "HEADERS that depend on themselves",
        frames(lambda c: [frame(HEADERS, END_STREAM | END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\x01\xff" + c.request())], STREAM_PROTOCOL),
    ),
    Case("http2/5.3.1/2", "PRIORITY that depends on itself", only(priority(1, 1, 255), STREAM_PROTOCOL)),
    Case("http2/5.4.1/1", "connection error closes the connection", only(frame(PING, 0, 3, bytes(8)), Conn.closed)),
    Case("http2/5.4.1/2", "connection error sends GOAWAY", goaway_first),
    Case("http2/5.5/1", "extension frame", only(UNKNOWN + ping(), Conn.ping_answered)),
    Case("http2/5.5/2", "extension frame inside a block", behind(opened, UNKNOWN, judge=PROTOCOL)),
    Case("http2/6.1/1", "DATA on stream 0", only(data(0, b"test", end_stream=True), PROTOCOL)),
    Case("http2/6.1/2", "DATA on a stream that is not open", behind(get, data(1, b"test", end_stream=True), judge=STREAM_OVER)),
    Case(
        "http2/6.1/3",
        "DATA with wrong padding",
        frames(lambda c: [post(c, (b"content-length", b"4")), frame(DATA, END_STREAM | PADDED, 1, b"\x06Test")], PROTOCOL),
    ),
    Case("http2/6.2/1", "HEADERS, then PRIORITY", behind(opened, priority(1, 0, 255), continuation(1, DUMMY), judge=PROTOCOL)),
    Case(
        "http2/6.2/2", "HEADERS, then HEADERS of another stream", frames(lambda c: [opened(c), get(c, 3), continuation(1, DUMMY)], PROTOCOL)
    ),
    Case("http2/6.2/3", "HEADERS on stream 0", frames(lambda c: [get(c, 0)], PROTOCOL)),
    Case(
        "http2/6.2/4",
        "HEADERS with wrong padding",
        frames(lambda c: [frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, bytes([len(c.request()) + 2]) + c.request())], PROTOCOL),
    ),
    Case("http2/6.3/1", "PRIORITY on stream 0", only(priority(0, 0, 255), PROTOCOL)),
    Case("http2/6.3/2", "PRIORITY of 4 octets", behind(get, frame(PRIORITY, 0, 1, bytes(4)), judge=stream_error(FRAME_SIZE_ERROR))),
    Case("http2/6.4/1", "RST_STREAM on stream 0", only(rst_stream(0, 8), PROTOCOL)),
    Case("http2/6.4/2", "RST_STREAM on an idle stream", only(rst_stream(1, 8), PROTOCOL)),
    Case("http2/6.4/3", "RST_STREAM of 3 octets", behind(post, frame(RST_STREAM, 0, 1, bytes(3)), judge=SIZE)),
    Case("http2/6.5/1", "SETTINGS acknowledgement with a payload", only(frame(SETTINGS, ACK, 0, bytes(1)), SIZE)),
    Case("http2/6.5/2", "SETTINGS on a stream", only(frame(SETTINGS, 0, 1, bytes.fromhex("000300000064")), PROTOCOL)),
    Case("http2/6.5/3", "SETTINGS of 3 octets", only(frame(SETTINGS, 0, 0, bytes(3)), SIZE)),
    Case("http2/6.5.2/1", "ENABLE_PUSH of 2", only(settings({2: 2}), PROTOCOL)),
    Case("http2/6.5.2/2", "INITIAL_WINDOW_SIZE above the largest", only(settings({4: 2**31}), FLOW)),
    Case("http2/6.5.2/3", "MAX_FRAME_SIZE below the smallest", only(settings({5: 16_383}), PROTOCOL)),
    Case("http2/6.5.2/4", "MAX_FRAME_SIZE above the largest", only(settings({5: 2**24}), PROTOCOL)),
    Case("http2/6.5.2/5", "unknown setting", only(settings({0xFF: 1}) + ping(), Conn.ping_answered)),
    Case("http2/6.5.3/1", "INITIAL_WINDOW_SIZE twice", values_in_order),
    Case("http2/6.5.3/2", "SETTINGS are acknowledged", only(settings({2: 0}), Conn.acknowledged)),
    Case("http2/6.7/1", "PING", only(ping(b"h2spec\0\0"), lambda c: c.ping_answered(b"h2spec\0\0"))),
    Case("http2/6.7/2", "PING with ACK", answers_are_not_answered),
    Case("http2/6.7/3", "PING on a stream", only(frame(PING, 0, 1, bytes(8)), PROTOCOL)),
    Case("http2/6.7/4", "PING of 6 octets", only(frame(PING, 0, 0, bytes(6)), SIZE)),
    Case("http2/6.8/1", "GOAWAY on a stream", only(frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL)),
    Case("http2/6.9/1", "WINDOW_UPDATE of 0", only(window_update(0, 0), PROTOCOL)),
    Case("http2/6.9/2", "WINDOW_UPDATE of 0 on a stream", behind(post, window_update(1, 0), judge=STREAM_PROTOCOL)),
    Case("http2/6.9/3", "WINDOW_UPDATE of 3 octets", only(frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE)),
    Case("http2/6.9.1/1", "window of 1", window_of_one),
    Case("http2/6.9.1/2", "window above the largest", only(window_update(0, LARGEST) * 2, FLOW)),
    Case(
        "http2/6.9.1/3",
        "window of a stream above the largest",
        behind(post, window_update(1, LARGEST) * 2, judge=lambda c: c.reset(FLOW_CONTROL_ERROR)),
    ),
    Case("http2/6.9.2/1", "INITIAL_WINDOW_SIZE after HEADERS", window_changes),
    Case("http2/6.9.2/2", "INITIAL_WINDOW_SIZE that makes a window negative", window_below_zero),
    Case("http2/6.9.2/3", "INITIAL_WINDOW_SIZE above the largest", only(settings({4: 2**31}), FLOW)),
    Case(
        "http2/6.10/1",
        "several CONTINUATION",
        frames(lambda c: [opened(c), continuation(1, DUMMY, end_headers=False), continuation(1, DUMMY)], Conn.answered),
    ),
    Case(
        "http2/6.10/2",
        "CONTINUATION, then DATA",
        frames(
            lambda c: [opened(c, end_stream=False), continuation(1, DUMMY, end_headers=False), data(1, b"test", end_stream=True)], PROTOCOL
        ),
    ),
    Case("http2/6.10/3", "CONTINUATION on stream 0", behind(opened, continuation(0, DUMMY), judge=PROTOCOL)),
    Case("http2/6.10/4", "CONTINUATION behind a complete HEADERS", behind(get, continuation(1, DUMMY), judge=PROTOCOL)),
    Case(
        "http2/6.10/5",
        "CONTINUATION behind a complete CONTINUATION",
        behind(opened, continuation(1, DUMMY), continuation(1, DUMMY), judge=PROTOCOL),
    ),
    Case(
        "http2/6.10/6",
        "CONTINUATION behind DATA",
        behind(
            lambda c: opened(c, end_stream=False),
            data(1, b"test", end_stream=True),
            continuation(1, DUMMY, end_headers=False),
            continuation(0, DUMMY),
            judge=PROTOCOL,
        ),
    ),
    Case("http2/7/1", "unknown error code in GOAWAY", unknown_code_in_goaway),
    Case("http2/7/2", "unknown error code in RST_STREAM", behind(post, rst_stream(1, 0xFF), ping(), judge=Conn.ping_answered)),
    Case(
        "http2/8.1/1",
        "second HEADERS without END_STREAM",
        behind(post, data(1, b"test"), headers(1, block((b"x-test", b"ok"))), judge=STREAM_PROTOCOL),
    ),
    Case("http2/8.1.2/1", "name in upper case", malformed(lambda c: c.request(b"GET", (b"X-TEST", b"ok")))),
    Case("http2/8.1.2.1/1", "unknown pseudo-header field", malformed(lambda c: block((b":test", b"ok")) + c.request())),
    Case("http2/8.1.2.1/2", "pseudo-header field of responses", malformed(lambda c: block((b":status", b"200")) + c.request())),
    Case(
        "http2/8.1.2.1/3",
        "pseudo-header field in trailers",
        behind(post, headers(1, block((b":method", b"GET")), end_stream=True), judge=STREAM_PROTOCOL),
    ),
    Case("http2/8.1.2.1/4", "pseudo-header field behind a regular one", malformed(lambda c: block((b"x-test", b"ok")) + c.request())),
    Case("http2/8.1.2.2/1", "connection-specific field", malformed(lambda c: c.request(b"GET", (b"connection", b"keep-alive")))),
    Case(
        "http2/8.1.2.2/2",
        "te other than trailers",
        malformed(lambda c: c.request(b"GET", (b"trailers", b"test"), (b"te", b"trailers, deflate"))),
    ),
    Case("http2/8.1.2.3/1", "empty :path", malformed(lambda c: c.request(path=b""))),
    Case("http2/8.1.2.3/2", "no :method", malformed(lambda c: c.request(leave_out=b":method"))),
    Case("http2/8.1.2.3/3", "no :scheme", malformed(lambda c: c.request(leave_out=b":scheme"))),
    Case("http2/8.1.2.3/4", "no :path", malformed(lambda c: c.request(leave_out=b":path"))),
    Case("http2/8.1.2.3/5", ":method twice", malformed(lambda c: block((b":method", b"GET")) + c.request())),
    Case("http2/8.1.2.3/6", ":scheme twice", malformed(lambda c: block((b":scheme", b"http")) + c.request())),
    Case("http2/8.1.2.3/7", ":path twice", malformed(lambda c: block((b":path", b"/")) + c.request())),
    Case(
        "http2/8.1.2.6/1",
        "content-length other than DATA",
        frames(lambda c: [post(c, (b"content-length", b"1")), data(1, b"test", end_stream=True)], STREAM_PROTOCOL),
    ),
    Case(
        "http2/8.1.2.6/2",
        "content-length other than the sum of DATA",
        frames(lambda c: [post(c, (b"content-length", b"1")), data(1, b"test"), data(1, b"test", end_stream=True)], STREAM_PROTOCOL),
    ),
    Case("http2/8.2/1", "PUSH_PROMISE", frames(lambda c: [get(c), push_promise(1, 2, c.request())], PROTOCOL)),
]


def field(representation: str) -> Callable[[Conn], object]:
    """A request whose block goes on with these octets does not decode."""
    octets = bytes.fromhex(representation)
    return frames(lambda c: [headers(1, c.request() + octets, end_stream=True)], COMPRESSION)


HPACK = [
    Case("hpack/2.3.3/1", "indexed field beyond the tables", field("fe")),
    Case("hpack/2.3.3/2", "indexed name beyond the tables", field("7f00026f6b")),
    Case("hpack/4.2/1", "table size update behind the fields", field("21")),
    Case("hpack/5.2/1", "Huffman padding of more than 7 bits", field("0085f2b24a84ff8449509fff")),
    Case("hpack/5.2/2", "Huffman padding of zeros", field("0085f2b24a84ff83495090")),
    Case("hpack/5.2/3", "EOS in a Huffman string", field("0085f2b24a87fffffffd25427f")),
    Case("hpack/6.1/1", "index 0", field("80")),
    Case("hpack/6.3/1", "table size above the setting", table_larger_than_allowed),
]

CASES = [*HTTP2, *HPACK]
