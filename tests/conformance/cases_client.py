"""The suite's part for clients: what a server may do to the first request of a client."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.spec import (
    CLOSED,
    COMPRESSION,
    DUMMY,
    FLOW,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    LARGEST,
    PROTOCOL,
    PROTOCOL_ERROR,
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
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    continuation,
    data,
    frame,
    headers,
    ping,
    priority,
    response_block,
    rst_stream,
    settings,
    window_update,
)

__all__ = ["CASES"]
OK = response_block(200)
BEGUN, WHOLE = headers(1, OK), headers(1, OK, end_stream=True)
OPENED, OPENED_END = headers(1, OK, end_headers=False), headers(1, OK, end_stream=True, end_headers=False)


def only(*octets: bytes, judge: Callable[[Conn], object]) -> Callable[[Conn], object]:
    return frames(lambda c: list(octets), judge)


def goaway_first(c: Conn) -> None:
    c.sends(frame(PING, 0, 3, bytes(8)))
    c.until(lambda f: f.type == GOAWAY)


def answers_are_not_answered(c: Conn) -> None:
    c.sends(ping(b"invalid\0", ack=True), ping(b"h2spec\0\0"))
    c.ping_answered(b"h2spec\0\0")


def malformed(*fields: tuple[bytes, bytes]) -> Callable[[Conn], object]:
    return only(headers(1, block(*fields), end_stream=True), judge=STREAM_PROTOCOL)


STATUS = (b":status", b"200")
PROMISE = frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02")

CASES = [
    Case("client/1/1", "connection preface", lambda c: c.sends(WHOLE)),
    Case("client/4.1/1", "frame of an unknown type", only(UNKNOWN, ping(), judge=Conn.ping_answered)),
    Case("client/4.1/2", "undefined flags", only(frame(PING, 0x16, 0, bytes(8)), judge=Conn.ping_answered)),
    Case("client/4.1/3", "reserved bit", only(frame(PING, 0x16, 2**31, bytes(8)), judge=Conn.ping_answered)),
    Case("client/4.2/1", "DATA of 2^14 octets", only(BEGUN, data(1, b"x" * 16_384, end_stream=True), ping(), judge=Conn.ping_answered)),
    Case("client/4.2/2", "DATA too large", only(BEGUN, data(1, b"x" * 16_385, end_stream=True), judge=stream_error(FRAME_SIZE_ERROR))),
    Case("client/4.2/3", "HEADERS too large", only(headers(1, OK + DUMMY * 5, end_stream=True), judge=SIZE)),
    Case("client/4.3/1", "invalid field block", only(headers(1, b"\x40", end_stream=True), judge=COMPRESSION)),
    Case("client/4.3/2", "PRIORITY inside a block", only(OPENED, priority(1, 0, 255), continuation(1, DUMMY), judge=PROTOCOL)),
    Case("client/4.3/3", "HEADERS inside a block", only(OPENED, headers(3, OK, end_stream=True), continuation(1, DUMMY), judge=PROTOCOL)),
    Case("client/5.1/1", "idle: DATA", only(data(2, b"test", end_stream=True), judge=PROTOCOL)),
    Case("client/5.1/2", "idle: RST_STREAM", only(rst_stream(2, 8), judge=PROTOCOL)),
    Case("client/5.1/3", "idle: WINDOW_UPDATE", only(window_update(2, 100), judge=PROTOCOL)),
    Case("client/5.1/4", "idle: CONTINUATION", only(continuation(2, OK), judge=PROTOCOL)),
    Case(
        "client/5.1/5", "closed: DATA after RST_STREAM", only(BEGUN, rst_stream(1, 8), data(1, b"test", end_stream=True), judge=STREAM_OVER)
    ),
    Case("client/5.1/6", "closed: HEADERS after RST_STREAM", only(BEGUN, rst_stream(1, 8), WHOLE, judge=STREAM_OVER)),
    Case(
        "client/5.1/7",
        "closed: CONTINUATION after RST_STREAM",
        only(BEGUN, rst_stream(1, 8), continuation(1, DUMMY), judge=stream_error(STREAM_CLOSED, PROTOCOL_ERROR)),
    ),
    Case("client/5.1/8", "closed: DATA", only(WHOLE, data(1, b"test", end_stream=True), judge=CLOSED)),
    Case("client/5.1/9", "closed: HEADERS", only(WHOLE, WHOLE, judge=CLOSED)),
    Case(
        "client/5.1/10",
        "closed: CONTINUATION",
        only(WHOLE, continuation(1, DUMMY), judge=connection_error(STREAM_CLOSED, PROTOCOL_ERROR)),
    ),
    Case("client/5.1.1/1", "unexpected stream number", only(headers(101, OK, end_stream=True), judge=PROTOCOL)),
    Case("client/5.4.1/1", "connection error closes the connection", only(frame(PING, 0, 3, bytes(8)), judge=Conn.closed)),
    Case("client/5.4.1/2", "connection error sends GOAWAY", goaway_first),
    Case("client/5.5/1", "extension frame", only(UNKNOWN, ping(), judge=Conn.ping_answered)),
    Case("client/5.5/2", "extension frame inside a block", only(OPENED_END, UNKNOWN, judge=PROTOCOL)),
    Case("client/6.1/1", "DATA on stream 0", only(data(0, b"test", end_stream=True), judge=PROTOCOL)),
    Case("client/6.1/2", "DATA on a stream that is not open", only(WHOLE, data(1, b"test", end_stream=True), judge=STREAM_OVER)),
    Case(
        "client/6.1/3",
        "DATA with wrong padding",
        only(headers(1, response_block(200, (b"content-length", b"4"))), frame(DATA, END_STREAM | PADDED, 1, b"\x06Test"), judge=PROTOCOL),
    ),
    Case("client/6.2/1", "HEADERS, then PRIORITY", only(OPENED, priority(1, 0, 255), continuation(1, DUMMY), judge=PROTOCOL)),
    Case("client/6.2/2", "HEADERS on stream 0", only(headers(0, OK, end_stream=True), judge=PROTOCOL)),
    Case("client/6.2/3", "HEADERS with wrong padding", only(frame(HEADERS, END_HEADERS | PADDED, 1, b"\x11" + OK), judge=PROTOCOL)),
    Case("client/6.3/1", "PRIORITY on stream 0", only(priority(0, 0, 255), judge=PROTOCOL)),
    Case("client/6.3/2", "PRIORITY of 4 octets", only(BEGUN, frame(PRIORITY, 0, 1, bytes(4)), judge=stream_error(FRAME_SIZE_ERROR))),
    Case("client/6.4/1", "RST_STREAM on stream 0", only(rst_stream(0, 8), judge=PROTOCOL)),
    Case("client/6.4/2", "RST_STREAM on an idle stream", only(rst_stream(2, 8), judge=PROTOCOL)),
    Case("client/6.4/3", "RST_STREAM of 3 octets", only(BEGUN, frame(RST_STREAM, 0, 1, bytes(3)), judge=SIZE)),
    Case("client/6.5/1", "SETTINGS acknowledgement with a payload", only(frame(SETTINGS, ACK, 0, bytes(1)), judge=SIZE)),
    Case("client/6.5/2", "SETTINGS on a stream", only(frame(SETTINGS, 0, 1, bytes.fromhex("000300000064")), judge=PROTOCOL)),
    Case("client/6.5/3", "SETTINGS of 3 octets", only(frame(SETTINGS, 0, 0, bytes(3)), judge=SIZE)),
    Case("client/6.5.2/1", "INITIAL_WINDOW_SIZE above the largest", only(settings({4: 2**31}), judge=FLOW)),
    Case("client/6.5.2/2", "MAX_FRAME_SIZE below the smallest", only(settings({5: 16_383}), judge=PROTOCOL)),
    Case("client/6.5.2/3", "MAX_FRAME_SIZE above the largest", only(settings({5: 2**24}), judge=PROTOCOL)),
    Case("client/6.5.2/4", "unknown setting", only(settings({0xFF: 1}), ping(), judge=Conn.ping_answered)),
    Case("client/6.5.3/1", "SETTINGS are acknowledged", only(settings({2: 0}), judge=Conn.acknowledged)),
    Case("client/6.7/1", "PING", only(ping(b"h2spec\0\0"), judge=lambda c: c.ping_answered(b"h2spec\0\0"))),
    Case("client/6.7/2", "PING with ACK", answers_are_not_answered),
    Case("client/6.7/3", "PING on a stream", only(frame(PING, 0, 1, bytes(8)), judge=PROTOCOL)),
    Case("client/6.7/4", "PING of 6 octets", only(frame(PING, 0, 0, bytes(6)), judge=SIZE)),
    Case("client/6.8/1", "GOAWAY on a stream", only(frame(GOAWAY, 0, 1, bytes(8)), judge=PROTOCOL)),
    Case("client/6.9/1", "WINDOW_UPDATE of 0", only(window_update(0, 0), judge=PROTOCOL)),
    Case("client/6.9/2", "WINDOW_UPDATE of 0 on a stream", only(BEGUN, window_update(1, 0), judge=STREAM_PROTOCOL)),
    Case("client/6.9/3", "WINDOW_UPDATE of 3 octets", only(frame(WINDOW_UPDATE, 0, 0, bytes(3)), judge=SIZE)),
    Case("client/6.9.1/1", "window above the largest", only(window_update(0, LARGEST) * 2, judge=FLOW)),
    Case(
        "client/6.9.1/2",
        "window of a stream above the largest",
        only(BEGUN, window_update(1, LARGEST) * 2, judge=lambda c: c.reset(FLOW_CONTROL_ERROR)),
    ),
    Case(
        "client/6.10/1",
        "several CONTINUATION",
        only(OPENED_END, continuation(1, DUMMY, end_headers=False), continuation(1, DUMMY), ping(), judge=Conn.ping_answered),
    ),
    Case(
        "client/6.10/2",
        "CONTINUATION, then DATA",
        only(OPENED, continuation(1, DUMMY, end_headers=False), data(1, b"test", end_stream=True), judge=PROTOCOL),
    ),
    Case("client/6.10/3", "CONTINUATION on stream 0", only(OPENED_END, continuation(0, DUMMY), judge=PROTOCOL)),
    Case("client/6.10/4", "CONTINUATION behind a complete HEADERS", only(WHOLE, continuation(1, DUMMY), judge=PROTOCOL)),
    Case(
        "client/6.10/5",
        "CONTINUATION behind a complete CONTINUATION",
        only(OPENED_END, continuation(1, DUMMY), continuation(1, DUMMY), judge=PROTOCOL),
    ),
    Case(
        "client/6.10/6",
        "CONTINUATION behind DATA",
        only(
            OPENED,
            data(1, b"test", end_stream=True),
            continuation(1, DUMMY, end_headers=False),
            continuation(0, DUMMY),
            judge=PROTOCOL,
        ),
    ),
    # -- the server suite's sections on messages, turned round: the suite has none of them for clients
    Case("client/8.1/1", "second HEADERS without END_STREAM", only(BEGUN, headers(1, block((b"a", b"b"))), judge=STREAM_PROTOCOL)),
    Case("client/8.1/2", "DATA before HEADERS", only(data(1, b"test"), judge=STREAM_PROTOCOL)),
    Case("client/8.1/3", "1xx that ends the stream", only(headers(1, response_block(103), end_stream=True), judge=STREAM_PROTOCOL)),
    Case("client/8.1.2/1", "name in upper case", malformed(STATUS, (b"X-TEST", b"ok"))),
    Case("client/8.1.2.1/1", "unknown pseudo-header field", malformed(STATUS, (b":test", b"ok"))),
    Case("client/8.1.2.1/2", "pseudo-header field of requests", malformed(STATUS, (b":path", b"/"))),
    Case("client/8.1.2.1/3", "pseudo-header field in trailers", only(BEGUN, WHOLE, judge=STREAM_PROTOCOL)),
    Case("client/8.1.2.1/4", "pseudo-header field behind a regular one", malformed((b"x-test", b"ok"), STATUS)),
    Case("client/8.1.2.2/1", "connection-specific field", malformed(STATUS, (b"connection", b"keep-alive"))),
    Case("client/8.1.2.4/1", "no :status", malformed((b"x-test", b"ok"))),
    Case("client/8.1.2.4/2", ":status twice", malformed(STATUS, STATUS)),
    Case(
        "client/8.1.2.6/1",
        "content-length other than DATA",
        only(headers(1, response_block(200, (b"content-length", b"1"))), data(1, b"test", end_stream=True), judge=STREAM_PROTOCOL),
    ),
    Case(
        "client/8.2/1",
        "PUSH_PROMISE to a client that disabled push",
        only(frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02"), judge=PROTOCOL),
    ),
]
