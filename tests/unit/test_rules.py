"""Every row of the rules: the octets that break it, and what the peer and the application get for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from h2o_otel import counters
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.rules import CONNECTION, RULES, all_rules
from tests.support.engine import GET, Peer, requesting, serving
from tests.support.wire import (
    ACK,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    continuation,
    data,
    frame,
    frames,
    goaway,
    headers,
    ping,
    priority,
    priority_update,
    push_promise,
    request_block,
    rst_stream,
    settings,
    settings_ack,
    window_update,
)

# -- the connection under test, before it gets the octets


def fresh_server() -> Peer:
    return serving(handshake=False)[1]


def fresh_client() -> Peer:
    return requesting(handshake=False)[1]


def server() -> Peer:
    return serving()[1]


def client() -> Peer:
    return requesting()[1]


def open_server() -> Peer:
    """Stream 1 has an open request."""
    peer = server()
    peer.sends(headers(1, request_block(b"POST")))
    return peer


def connected_server() -> Peer:
    """Stream 1 is a tunnel."""
    connection, peer = serving()
    peer.sends(headers(1, block((b":method", b"CONNECT"), (b":authority", b"a:1"))))
    connection.send_response(connection.streams[1], 200, [], False, peer.now)
    return peer


def done_server() -> Peer:
    """Stream 1 is over."""
    connection, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    connection.send_response(connection.streams[1], 204, [], True, peer.now)
    return peer


def narrow_server() -> Peer:
    """Small bounds, and an open request on stream 1."""
    limits = replace(SERVER_LIMITS, streams_max=1, stream_window_bytes=100, connection_window_bytes=0, header_list_bytes_max=1000)
    peer = serving(limits)[1]
    peer.sends(headers(1, request_block(b"POST")))
    return peer


def wide_server() -> Peer:
    """The window of a stream is larger than the connection's, and stream 1 has an open request."""
    peer = serving(replace(SERVER_LIMITS, connection_window_bytes=0))[1]
    peer.sends(headers(1, request_block(b"POST")))
    return peer


def small_table_server() -> Peer:
    return serving(replace(SERVER_LIMITS, header_table_bytes=100))[1]


def pinging_server() -> Peer:
    connection, peer = serving()
    connection.send_ping(b"12345678", peer.now)
    return peer


def open_client() -> Peer:
    connection, peer = requesting()
    connection.send_request(GET, True, peer.now)
    return peer


def open_pushing_client() -> Peer:
    connection, peer = requesting(push=True)
    connection.send_request(GET, True, peer.now)
    return peer


def strict_server() -> Peer:
    """Two of everything that comes in floods."""
    limits = replace(
        SERVER_LIMITS,
        resets_received_burst=2,
        resets_sent_burst=2,
        pings_burst=2,
        settings_burst=2,
        glitches_burst=2,
        connection_window_bytes=0,
    )
    return serving(limits)[1]


def paused_server() -> Peer:
    connection, peer = serving(replace(SERVER_LIMITS, control_queue_frames_max=2))
    connection.pause_output()
    return peer


def answering_server() -> Peer:
    """The response of stream 1 waits for a window, as it did a second ago."""
    connection, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    connection.send_response(connection.streams[1], 200, [], False, peer.now)
    connection.send_data(connection.streams[1], bytes(200_000), True, peer.now)
    after(1.0)(peer)
    return peer


def after(seconds: float) -> Callable[[Peer], None]:
    def wait(peer: Peer) -> None:
        end = peer.now + seconds
        while peer.now < end:
            peer.now += 1.0
            peer.connection.pump(peer.now)
            peer.connection.tick(peer.now)

    return wait


def nothing(peer: Peer) -> None:
    pass


# -- the transcripts


@dataclass(frozen=True)
class Case:
    """
    Attributes:
        rule: token of the row that is broken.
        of: makes the connection under test.
        octets: what breaks it.
        text: the whole text of the error, or "" for a request that the application never sees.
        then: what happens after the octets.
    """

    rule: str
    of: Callable[[], Peer]
    octets: bytes
    text: str = ""
    then: Callable[[Peer], None] = nothing

    def __str__(self) -> str:
        return f"{self.rule}-{self.of.__name__}"


CASES = [
    Case(
        "preface_invalid",
        fresh_server,
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        "the connection began with b'GET / HTTP/1.1\\r\\nHost: a\\r', not with the client preface (PROTOCOL_ERROR, RFC 9113 §3.4)",
    ),
    Case(
        "preface_http1",
        fresh_client,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "the server answered in HTTP/1: it does not speak HTTP/2 on this port, or needs TLS with ALPN for it"
        " (PROTOCOL_ERROR, RFC 9113 §3.4)",
    ),
    Case("preface_no_settings", fresh_server, PREFACE + ping(), "the first frame was PING, not SETTINGS (PROTOCOL_ERROR, RFC 9113 §3.4)"),
    Case(
        "preface_no_settings",
        fresh_client,
        settings_ack(),
        "the first frame was SETTINGS acknowledgement, not SETTINGS (PROTOCOL_ERROR, RFC 9113 §3.4)",
    ),
    Case(
        "frame_too_large",
        server,
        frame(DATA, 0, 1, b"", length=16_385),
        "DATA on stream 1: 16385 octets exceed SETTINGS_MAX_FRAME_SIZE 16384 (FRAME_SIZE_ERROR, RFC 9113 §4.2)",
    ),
    Case(
        "frame_size_wrong",
        server,
        frame(PING, payload=bytes(7)),
        "PING on stream 0: a payload of 7 octets, 8 expected (FRAME_SIZE_ERROR, RFC 9113 §6)",
    ),
    Case(
        "frame_size_wrong",
        server,
        frame(RST_STREAM, 0, 1, bytes(5)),
        "RST_STREAM on stream 1: a payload of 5 octets, 4 expected (FRAME_SIZE_ERROR, RFC 9113 §6)",
    ),
    Case(
        "frame_size_wrong",
        server,
        frame(WINDOW_UPDATE, 0, 0, bytes(3)),
        "WINDOW_UPDATE on stream 0: a payload of 3 octets, 4 expected (FRAME_SIZE_ERROR, RFC 9113 §6)",
    ),
    Case(
        "frame_size_wrong",
        server,
        frame(GOAWAY, 0, 0, bytes(7)),
        "GOAWAY on stream 0: a payload of 7 octets, 8 expected (FRAME_SIZE_ERROR, RFC 9113 §6)",
    ),
    Case(
        "frame_size_wrong",
        server,
        frame(PRIORITY_UPDATE, 0, 0, bytes(3)),
        "PRIORITY_UPDATE on stream 0: a payload of 3 octets, 4 expected (FRAME_SIZE_ERROR, RFC 9113 §6)",
    ),
    Case(
        "frame_size_wrong",
        server,
        frame(HEADERS, END_HEADERS | PADDED, 1),
        "HEADERS on stream 1: a payload of 0 octets, 1 expected (FRAME_SIZE_ERROR, RFC 9113 §6)",
    ),
    Case(
        "frame_size_wrong",
        server,
        frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, bytes(4)),
        "HEADERS on stream 1: a payload of 4 octets, 5 expected (FRAME_SIZE_ERROR, RFC 9113 §6)",
    ),
    Case(
        "frame_size_wrong",
        open_pushing_client,
        frame(PUSH_PROMISE, END_HEADERS, 1, bytes(3)),
        "PUSH_PROMISE on stream 1: a payload of 3 octets, 4 expected (FRAME_SIZE_ERROR, RFC 9113 §6)",
    ),
    Case("frame_on_stream_zero", server, data(0, b"x"), "DATA on stream 0 (PROTOCOL_ERROR, RFC 9113 §6)"),
    Case(
        "frame_not_on_stream_zero",
        server,
        frame(SETTINGS, 0, 1),
        "SETTINGS on stream 1, which belongs on stream 0 (PROTOCOL_ERROR, RFC 9113 §6)",
    ),
    Case(
        "padding_too_long",
        open_server,
        frame(DATA, PADDED, 1, b"\x05abcd"),
        "DATA on stream 1: 5 octets of padding in a payload of 5 (PROTOCOL_ERROR, RFC 9113 §6.1)",
    ),
    Case(
        "padding_too_long",
        server,
        frame(HEADERS, END_HEADERS | PADDED | PRIORITY_FLAG, 1, b"\x01" + bytes(5)),
        "HEADERS on stream 1: 1 octets of padding in a payload of 6 (PROTOCOL_ERROR, RFC 9113 §6.1)",
    ),
    Case(
        "settings_ack_payload",
        server,
        frame(SETTINGS, ACK, 0, bytes(6)),
        "SETTINGS acknowledgement with 6 octets (FRAME_SIZE_ERROR, RFC 9113 §6.5)",
    ),
    Case(
        "settings_length",
        server,
        frame(SETTINGS, 0, 0, bytes(5)),
        "SETTINGS of 5 octets, not a multiple of 6 (FRAME_SIZE_ERROR, RFC 9113 §6.5)",
    ),
    Case("settings_enable_push", server, settings({2: 2}), "SETTINGS_ENABLE_PUSH is 2 (PROTOCOL_ERROR, RFC 9113 §6.5.2)"),
    Case("settings_enable_push", client, settings({2: 1}), "SETTINGS_ENABLE_PUSH is 1 (PROTOCOL_ERROR, RFC 9113 §6.5.2)"),
    Case(
        "settings_initial_window",
        server,
        settings({4: 2**31}),
        "SETTINGS_INITIAL_WINDOW_SIZE is 2147483648, at most 2147483647 (FLOW_CONTROL_ERROR, RFC 9113 §6.5.2)",
    ),
    Case(
        "settings_max_frame_size",
        server,
        settings({5: 16_383}),
        "SETTINGS_MAX_FRAME_SIZE is 16383, outside 16384 to 16777215 (PROTOCOL_ERROR, RFC 9113 §6.5.2)",
    ),
    Case(
        "settings_max_frame_size",
        server,
        settings({5: 2**24}),
        "SETTINGS_MAX_FRAME_SIZE is 16777216, outside 16384 to 16777215 (PROTOCOL_ERROR, RFC 9113 §6.5.2)",
    ),
    Case("settings_connect_protocol", client, settings({8: 2}), "SETTINGS_ENABLE_CONNECT_PROTOCOL is 2 (PROTOCOL_ERROR, RFC 8441 §3)"),
    Case("settings_no_rfc7540_priorities", server, settings({9: 2}), "SETTINGS_NO_RFC7540_PRIORITIES is 2 (PROTOCOL_ERROR, RFC 9218 §2.1)"),
    Case(
        "settings_ack_unexpected",
        server,
        settings_ack(),
        "SETTINGS acknowledgement for settings that were not sent (PROTOCOL_ERROR, RFC 9113 §6.5)",
    ),
    Case(
        "settings_timeout",
        fresh_server,
        PREFACE + settings(),
        "no acknowledgement of SETTINGS after 10.0 s, limit 10.0 s (SETTINGS_TIMEOUT, RFC 9113 §6.5.3)",
        then=after(10.0),
    ),
    Case(
        "settings_entries",
        server,
        frame(SETTINGS, 0, 0, bytes.fromhex("000100001000") * 33),
        "SETTINGS with 33 entries, at most 32 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "continuation_expected",
        server,
        headers(1, b"", end_headers=False) + ping(),
        "PING on stream 0 inside the field block of stream 1 (PROTOCOL_ERROR, RFC 9113 §6.10)",
    ),
    Case(
        "continuation_expected",
        server,
        headers(1, b"", end_headers=False) + continuation(3, b""),
        "CONTINUATION on stream 3 inside the field block of stream 1 (PROTOCOL_ERROR, RFC 9113 §6.10)",
    ),
    Case(
        "continuation_unexpected",
        server,
        continuation(1, b""),
        "CONTINUATION on stream 1 with no field block open (PROTOCOL_ERROR, RFC 9113 §6.10)",
    ),
    Case(
        "push_promise_unexpected",
        server,
        push_promise(1, 2, request_block()),
        "PUSH_PROMISE on stream 1, which this endpoint does not accept (PROTOCOL_ERROR, RFC 9113 §8.4)",
    ),
    Case(
        "push_promise_unexpected",
        open_client,
        push_promise(1, 2, request_block()),
        "PUSH_PROMISE on stream 1, which this endpoint does not accept (PROTOCOL_ERROR, RFC 9113 §8.4)",
    ),
    Case(
        "push_promise_bad_stream",
        open_pushing_client,
        push_promise(1, 3, request_block()),
        "PUSH_PROMISE on stream 1 promises stream 3, which cannot be (PROTOCOL_ERROR, RFC 9113 §6.6)",
    ),
    Case(
        "push_promise_bad_stream",
        open_pushing_client,
        push_promise(3, 2, request_block()),
        "PUSH_PROMISE on stream 3 promises stream 2, which cannot be (PROTOCOL_ERROR, RFC 9113 §6.6)",
    ),
    Case(
        "push_promise_bad_stream",
        open_pushing_client,
        headers(1, b"\x88", end_stream=True) + push_promise(1, 2, request_block()),
        "PUSH_PROMISE on stream 1 promises stream 2, which cannot be (PROTOCOL_ERROR, RFC 9113 §6.6)",
    ),
    Case("push_promise_method", open_pushing_client, push_promise(1, 2, request_block(b"POST"))),
    Case(
        "priority_length",
        open_server,
        frame(PRIORITY, 0, 1, bytes(4)),
        "PRIORITY on stream 1 with 4 octets, 5 expected (FRAME_SIZE_ERROR, RFC 9113 §6.3)",
    ),
    Case("priority_self_dependency", open_server, priority(1, 1), "stream 1 depends on itself (PROTOCOL_ERROR, RFC 7540 §5.3.1)"),
    Case("priority_self_dependency", server, frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\x01\x0f" + request_block())),
    Case("priority_update_unexpected", client, priority_update(1, b"u=1"), "PRIORITY_UPDATE from a server (PROTOCOL_ERROR, RFC 9218 §7.1)"),
    Case(
        "priority_update_stream",
        server,
        priority_update(2, b"u=1"),
        "PRIORITY_UPDATE for stream 2, which the client cannot open (PROTOCOL_ERROR, RFC 9218 §7.1)",
    ),
    Case(
        "stream_id_even",
        server,
        headers(2, request_block()),
        "HEADERS opens stream 2, which is not the peer's to open (PROTOCOL_ERROR, RFC 9113 §5.1.1)",
    ),
    Case(
        "stream_id_even",
        client,
        headers(2, b"\x88"),
        "HEADERS opens stream 2, which is not the peer's to open (PROTOCOL_ERROR, RFC 9113 §5.1.1)",
    ),
    Case(
        "stream_id_reused",
        server,
        headers(5, request_block()) + headers(3, request_block()),
        "HEADERS on stream 3, below 5, the newest of the peer (PROTOCOL_ERROR, RFC 9113 §5.1.1)",
    ),
    Case("stream_idle", server, data(1, b"x"), "DATA on idle stream 1 (PROTOCOL_ERROR, RFC 9113 §5.1)"),
    Case("stream_idle", server, window_update(1, 1), "WINDOW_UPDATE on idle stream 1 (PROTOCOL_ERROR, RFC 9113 §5.1)"),
    Case("stream_idle", server, rst_stream(1, 8), "RST_STREAM on idle stream 1 (PROTOCOL_ERROR, RFC 9113 §5.1)"),
    Case(
        "stream_reserved",
        open_pushing_client,
        push_promise(1, 2, request_block()) + data(2, b"x"),
        "DATA on stream 2, which is only reserved (PROTOCOL_ERROR, RFC 9113 §5.1)",
    ),
    Case(
        "stream_reserved",
        open_pushing_client,
        push_promise(1, 2, request_block()) + window_update(2, 1),
        "WINDOW_UPDATE on stream 2, which is only reserved (PROTOCOL_ERROR, RFC 9113 §5.1)",
    ),
    Case(
        "stream_half_closed",
        open_server,
        data(1, b"", end_stream=True) + data(1, b"x"),
        "DATA on stream 1 after the peer ended it (STREAM_CLOSED, RFC 9113 §5.1)",
    ),
    Case(
        "stream_half_closed",
        open_server,
        data(1, b"", end_stream=True) + headers(1, b"", end_stream=True),
        "HEADERS on stream 1 after the peer ended it (STREAM_CLOSED, RFC 9113 §5.1)",
    ),
    Case("stream_half_closed", open_server, rst_stream(1, 8) + data(1, b"x")),
    Case("stream_closed", done_server, data(1, b"x"), "DATA on stream 1, which is closed (STREAM_CLOSED, RFC 9113 §5.1)"),
    Case("stream_closed", done_server, headers(1, request_block()), "HEADERS on stream 1, which is closed (STREAM_CLOSED, RFC 9113 §5.1)"),
    Case("streams_exceeded", narrow_server, headers(3, request_block())),
    Case("data_before_headers", open_client, data(1, b"x"), "DATA on stream 1 before the final response (PROTOCOL_ERROR, RFC 9113 §8.1)"),
    Case(
        "window_update_zero",
        open_server,
        window_update(1, 0),
        "WINDOW_UPDATE on stream 1 with an increment of 0 (PROTOCOL_ERROR, RFC 9113 §6.9)",
    ),
    Case(
        "window_update_zero_connection",
        server,
        window_update(0, 0),
        "WINDOW_UPDATE on stream 0 with an increment of 0 (PROTOCOL_ERROR, RFC 9113 §6.9)",
    ),
    Case(
        "window_overflow",
        open_server,
        window_update(1, 2**31 - 1),
        "WINDOW_UPDATE on stream 1: window 65535 + 2147483647 exceeds 2147483647 (FLOW_CONTROL_ERROR, RFC 9113 §6.9.1)",
    ),
    Case(
        "window_overflow_connection",
        server,
        window_update(0, 2**31 - 65_535),
        "WINDOW_UPDATE on stream 0: window 65535 + 2147418113 exceeds 2147483647 (FLOW_CONTROL_ERROR, RFC 9113 §6.9.1)",
    ),
    Case(
        "window_overflow_settings",
        open_server,
        window_update(1, 1) + settings({4: 2**31 - 1}),
        "SETTINGS_INITIAL_WINDOW_SIZE moves the window of stream 1 to 2147483648, above 2147483647 (FLOW_CONTROL_ERROR, RFC 9113 §6.9.2)",
    ),
    Case(
        "flow_control_stream",
        narrow_server,
        data(1, bytes(101)),
        "DATA on stream 1: 101 octets into a window of 100 (FLOW_CONTROL_ERROR, RFC 9113 §6.9)",
    ),
    Case(
        "flow_control_connection",
        wide_server,
        data(1, bytes(16_384)) * 4,
        "DATA on stream 1: 16384 octets into a connection window of 16383 (FLOW_CONTROL_ERROR, RFC 9113 §6.9)",
    ),
    Case(
        "goaway_last_stream_grew",
        client,
        goaway(1) + goaway(3),
        "GOAWAY raises the last stream id from 1 to 3 (PROTOCOL_ERROR, RFC 9113 §6.8)",
    ),
    Case("hpack_index_zero", server, headers(1, b"\x80"), "field block of stream 1: index 0 (COMPRESSION_ERROR, RFC 7541 §6.1)"),
    Case(
        "hpack_index_unknown",
        server,
        headers(1, b"\xbe"),
        "field block of stream 1: index 62, the tables end at 61 (COMPRESSION_ERROR, RFC 7541 §2.3.3)",
    ),
    Case(
        "hpack_integer_too_large",
        server,
        headers(1, b"\xff" + b"\xff" * 6),
        "field block of stream 1: an integer of more than 6 octets or 2^32 (COMPRESSION_ERROR, RFC 7541 §5.1)",
    ),
    Case("hpack_truncated", server, headers(1, b"\xff"), "field block of stream 1 ends inside a field (COMPRESSION_ERROR, RFC 7541 §5.2)"),
    Case(
        "hpack_string_too_long",
        server,
        headers(1, b"\x00\x05ab"),
        "field block of stream 1: a string of 5 octets, 2 left (COMPRESSION_ERROR, RFC 7541 §5.2)",
    ),
    Case(
        "hpack_huffman_eos",
        server,
        headers(1, b"\x00\x84\xff\xff\xff\xff"),
        "field block of stream 1: EOS inside a Huffman string (COMPRESSION_ERROR, RFC 7541 §5.2)",
    ),
    Case(
        "hpack_huffman_padding",
        server,
        headers(1, b"\x00\x81\x00"),
        "field block of stream 1: wrong padding of a Huffman string (COMPRESSION_ERROR, RFC 7541 §5.2)",
    ),
    Case(
        "hpack_size_update_too_large",
        server,
        headers(1, b"\x3f\xe2\x1f"),
        "field block of stream 1: table size 4097, allowed 4096 (COMPRESSION_ERROR, RFC 7541 §6.3)",
    ),
    Case(
        "hpack_size_update_late",
        server,
        headers(1, b"\x82\x20"),
        "field block of stream 1: table size update after a field (COMPRESSION_ERROR, RFC 7541 §4.2)",
    ),
    Case(
        "hpack_size_update_missing",
        small_table_server,
        headers(1, b"\x82"),
        "field block of stream 1: no table size update after the table shrank to 100 (COMPRESSION_ERROR, RFC 7541 §4.2)",
    ),
    Case(
        "hpack_size_updates",
        server,
        headers(1, b"\x20\x20\x20"),
        "field block of stream 1: 3 table size updates, at most 2 (COMPRESSION_ERROR, RFC 7541 §4.2)",
    ),
    Case(
        "field_name_empty",
        open_server,
        headers(1, block((b"", b"x")), end_stream=True),
        "stream 1: a field with an empty name (PROTOCOL_ERROR, RFC 9113 §8.2.1)",
    ),
    Case(
        "field_name_invalid",
        open_server,
        headers(1, block((b"Name", b"x")), end_stream=True),
        "stream 1: field name b'Name' is not a lower-case token (PROTOCOL_ERROR, RFC 9113 §8.2.1)",
    ),
    Case(
        "field_value_invalid",
        open_server,
        headers(1, block((b"a", b"x\ny")), end_stream=True),
        "stream 1: the value of field b'a' has CR, LF, NUL or white space at its edge (PROTOCOL_ERROR, RFC 9113 §8.2.1)",
    ),
    Case(
        "field_value_invalid",
        open_server,
        headers(1, block((b"a", b" x")), end_stream=True),
        "stream 1: the value of field b'a' has CR, LF, NUL or white space at its edge (PROTOCOL_ERROR, RFC 9113 §8.2.1)",
    ),
    Case(
        "field_connection_specific",
        open_server,
        headers(1, block((b"connection", b"close")), end_stream=True),
        "stream 1: connection-specific field b'connection' (PROTOCOL_ERROR, RFC 9113 §8.2.2)",
    ),
    Case(
        "field_te",
        open_server,
        headers(1, block((b"te", b"gzip")), end_stream=True),
        "stream 1: te is b'gzip', only 'trailers' is allowed (PROTOCOL_ERROR, RFC 9113 §8.2.2)",
    ),
    Case(
        "pseudo_unknown",
        open_server,
        headers(1, block((b":colour", b"red")), end_stream=True),
        "stream 1: pseudo-header field b':colour' is not defined (PROTOCOL_ERROR, RFC 9113 §8.3)",
    ),
    Case(
        "pseudo_duplicate",
        open_client,
        headers(1, b"\x88\x88"),
        "stream 1: pseudo-header field b':status' twice (PROTOCOL_ERROR, RFC 9113 §8.3)",
    ),
    Case(
        "pseudo_after_field",
        open_client,
        headers(1, block((b"a", b"b")) + b"\x88"),
        "stream 1: pseudo-header field b':status' after a regular field (PROTOCOL_ERROR, RFC 9113 §8.3)",
    ),
    Case(
        "pseudo_in_trailers",
        open_server,
        headers(1, b"\x84", end_stream=True),
        "stream 1: pseudo-header field 'any' in trailers (PROTOCOL_ERROR, RFC 9113 §8.1)",
    ),
    Case(
        "pseudo_wrong_direction",
        open_client,
        headers(1, b"\x88\x84"),
        'stream 1: pseudo-header field "a request\'s" does not belong in this message (PROTOCOL_ERROR, RFC 9113 §8.3)',
    ),
    Case("pseudo_wrong_direction", server, headers(1, b"\x88\x82\x84\x87")),
    Case(
        "pseudo_missing",
        open_client,
        headers(1, block((b"a", b"b"))),
        "stream 1: pseudo-header field ':status' is missing (PROTOCOL_ERROR, RFC 9113 §8.3.1)",
    ),
    Case("pseudo_missing", server, headers(1, b"\x82\x84")),
    Case("method_invalid", server, headers(1, request_block(b"GE T"))),
    Case("scheme_invalid", server, headers(1, block((b":method", b"GET"), (b":scheme", b"1s"), (b":path", b"/"), (b":authority", b"a")))),
    Case("path_invalid", server, headers(1, request_block(b"GET", b"x"))),
    Case("path_invalid", server, headers(1, request_block(b"GET", b"*"))),
    Case(
        "authority_invalid",
        server,
        headers(1, block((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"u@a"))),
    ),
    Case("host_mismatch", server, headers(1, request_block(b"GET", b"/", (b"host", b"example.org")))),
    Case("host_mismatch", server, headers(1, request_block(b"GET", b"/", (b"host", b"example.com"), (b"host", b"example.com")))),
    Case("connect_pseudo", server, headers(1, block((b":method", b"CONNECT"), (b":scheme", b"https"), (b":authority", b"a:1")))),
    Case(
        "connect_frame",
        connected_server,
        headers(1, b"", end_stream=True),
        "HEADERS on stream 1, which CONNECT made a tunnel: only DATA goes through (PROTOCOL_ERROR, RFC 9113 §8.5)",
    ),
    Case(
        "protocol_unexpected",
        server,
        headers(
            1, block((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a"), (b":protocol", b"websocket"))
        ),
    ),
    Case(
        "status_invalid",
        open_client,
        headers(1, block((b":status", b"20"))),
        "stream 1: :status b'20' is not a three-digit code from 100 to 599 (PROTOCOL_ERROR, RFC 9113 §8.3.2)",
    ),
    Case(
        "status_invalid",
        open_client,
        headers(1, block((b":status", b"600"))),
        "stream 1: :status b'600' is not a three-digit code from 100 to 599 (PROTOCOL_ERROR, RFC 9113 §8.3.2)",
    ),
    Case(
        "status_101",
        open_client,
        headers(1, block((b":status", b"101"))),
        "stream 1: 101 does not exist in HTTP/2 (PROTOCOL_ERROR, RFC 9113 §8.6)",
    ),
    Case(
        "informational_end",
        open_client,
        headers(1, block((b":status", b"103")), end_stream=True),
        "stream 1: a 1xx response ends the stream (PROTOCOL_ERROR, RFC 9113 §8.1)",
    ),
    Case(
        "trailers_no_end",
        open_server,
        headers(1, block((b"a", b"b"))),
        "stream 1: trailers that do not end the stream (PROTOCOL_ERROR, RFC 9113 §8.1)",
    ),
    Case(
        "trailers_field",
        open_server,
        headers(1, block((b"content-length", b"1")), end_stream=True),
        "stream 1: field 'content-length' in trailers (PROTOCOL_ERROR, RFC 9110 §6.5.1)",
    ),
    Case(
        "trailers_field",
        open_server,
        headers(1, block((b"host", b"a")), end_stream=True),
        "stream 1: field 'host' in trailers (PROTOCOL_ERROR, RFC 9110 §6.5.1)",
    ),
    Case(
        "content_length_invalid",
        open_client,
        headers(1, b"\x88" + block((b"content-length", b"1,2"))),
        "stream 1: content-length b'1,2' is not one number (PROTOCOL_ERROR, RFC 9113 §8.1.1)",
    ),
    Case(
        "content_length_invalid",
        open_client,
        headers(1, b"\x88" + block((b"content-length", b"1"), (b"content-length", b"1"))),
        "stream 1: content-length b'1' is not one number (PROTOCOL_ERROR, RFC 9113 §8.1.1)",
    ),
    Case(
        "content_length_mismatch",
        open_client,
        headers(1, b"\x88" + block((b"content-length", b"2"))) + data(1, b"abc"),
        "stream 1: 3 octets of DATA, content-length is 2 (PROTOCOL_ERROR, RFC 9113 §8.1.1)",
    ),
    Case(
        "content_length_mismatch",
        open_client,
        headers(1, b"\x88" + block((b"content-length", b"2"))) + data(1, b"a", end_stream=True),
        "stream 1: 1 octets of DATA, content-length is 2 (PROTOCOL_ERROR, RFC 9113 §8.1.1)",
    ),
    Case("content_length_mismatch", server, headers(1, request_block(b"POST", b"/", (b"content-length", b"2")), end_stream=True)),
    Case(
        "header_list_too_large",
        narrow_server,
        headers(1, block((b"a", bytes(1000).replace(b"\0", b"x"))), end_stream=True),
        "stream 1: a field section of 1033 octets, at most 1000 (ENHANCE_YOUR_CALM, RFC 9113 §10.5.1)",
    ),
    Case(
        "header_fields_too_many",
        open_server,
        headers(1, block((b"a", b"")) * 257, end_stream=True),
        "stream 1: 257 fields, at most 256 (ENHANCE_YOUR_CALM, RFC 9113 §10.5.1)",
    ),
    Case(
        "header_block_too_large",
        narrow_server,
        headers(3, bytes(900), end_headers=False) + continuation(3, bytes(101), end_headers=False),
        "stream 3: a compressed field block of 1001 octets, at most 1000 (ENHANCE_YOUR_CALM, RFC 9113 §10.5.1)",
    ),
    Case(
        "informational_too_many",
        open_client,
        headers(1, block((b":status", b"103"))) * 17,
        "stream 1: 17 informational responses, at most 16 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "informational_too_large",
        open_client,
        headers(1, block((b":status", b"103"), (b"link", b"x" * 15_000))) * 5,
        "stream 1: informational responses of 75390 octets in all, at most 65536 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "preface_timeout",
        fresh_server,
        PREFACE,
        "no SETTINGS 10.0 s after the connection began, limit 10.0 s (PROTOCOL_ERROR, RFC 9113 §3.4)",
        then=after(10.0),
    ),
    Case(
        "header_block_timeout",
        server,
        headers(1, b"", end_headers=False),
        "the field block of stream 1 is open for 10.0 s, limit 10.0 s (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
        then=after(10.0),
    ),
    Case("ping_timeout", pinging_server, b"", "no answer to PING after 5.0 s, limit 5.0 s (NO_ERROR, RFC 9113 §6.7)", then=after(5.0)),
    Case(
        "continuation_flood",
        server,
        headers(1, b"", end_headers=False) + continuation(1, b"\x82", end_headers=False) * 9,
        "9 CONTINUATION frames in one field block, at most 8 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "continuation_empty",
        server,
        headers(1, b"", end_headers=False) + continuation(1, b"", end_headers=False) * 2,
        "2 empty CONTINUATION frames in one field block, at most 1 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "rapid_reset",
        strict_server,
        b"".join(headers(i, request_block(), end_stream=True) + rst_stream(i, 8) for i in (1, 3, 5)),
        "RST_STREAM on stream 5: more than 2 cancelled requests at once (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "made_you_reset",
        strict_server,
        b"".join(headers(i, request_block(), end_stream=True) + window_update(i, 0) for i in (1, 3, 5)),
        "stream 5: more than 2 streams had to be reset for faults of the peer (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case("ping_flood", strict_server, ping() * 3, "too_many_pings: more than 2 PINGs at once (ENHANCE_YOUR_CALM, RFC 9113 §10.5)"),
    Case("settings_flood", strict_server, settings() * 2, "more than 2 SETTINGS frames at once (ENHANCE_YOUR_CALM, RFC 9113 §10.5)"),
    Case(
        "empty_data_flood",
        open_server,
        data(1) * 11,
        "stream 1: 11 DATA frames without data, at most 10 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "empty_data_flood",
        open_server,
        (data(1) + data(1, bytes(300))) * 101,
        "stream 1: 101 DATA frames without data, at most 100 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "small_data_flood",
        strict_server,
        headers(1, request_block(b"POST")) + data(1, b"x") * 129,
        "stream 1: unread small DATA frames cost 25755 octets, at most 25600 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "window_update_flood",
        server,
        window_update(0, 1) * 6,
        "6 WINDOW_UPDATE frames, at most 5 for what was sent (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "priority_flood",
        server,
        priority(1, 3) * 101,
        "101 priority frames, at most 100 for the streams opened (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "priority_flood",
        server,
        priority_update(1, b"u=1") * 101,
        "101 priority frames, at most 100 for the streams opened (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "glitch_flood",
        strict_server,
        frame(0xFA, 0, 0, b"x") * 3,
        "more than 2 useless frames at once, the last one of an unknown type (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "control_queue_flood",
        paused_server,
        ping() * 3,
        "3 answers wait for a peer that does not read, at most 2 (ENHANCE_YOUR_CALM, RFC 9113 §10.5)",
    ),
    Case(
        "body_too_slow",
        open_server,
        b"",
        "stream 1: the body arrives at 0 octets/s, at least 240 are asked for (CANCEL, RFC 9113 §10.5)",
        then=after(8.0),
    ),
    Case(
        "send_stalled",
        answering_server,
        b"",
        "stream 1: the peer has not let any body through for 30.0 s, limit 30.0 s (CANCEL, RFC 9113 §10.5)",
        then=after(30.0),
    ),
    Case(
        "send_too_slow",
        answering_server,
        window_update(1, 1) + window_update(0, 1),
        "stream 1: the peer takes the body at 0 octets/s, at least 256 are asked for (CANCEL, RFC 9113 §10.5)",
        then=after(12.0),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it(case: Case) -> None:
    rule = getattr(RULES, case.rule)
    peer = case.of()
    peer.forget()
    peer.sends(case.octets)
    case.then(peer)
    errors = peer.errors()
    role = counters.ROLES[peer.connection.role]
    assert peer.counted("frame_errors")[role, case.rule] == 1
    last = frames(peer.connection.data_to_send())[-1]
    if rule.scope == CONNECTION:
        error = errors[-1]
        reason = case.text.replace("§", "section ").encode("ascii", "replace")
        assert last == frames(goaway(peer.connection.last_remote_stream_id, rule.code, reason[:200]))[0]
        assert peer.connection.closed
        assert (error.rule, error.code, error.scope, error.initiator) == (case.rule, rule.code, "connection", "local")
        assert str(error) == case.text
    else:
        assert last in frames(rst_stream(1, rule.code) + rst_stream(2, rule.code) + rst_stream(3, rule.code))
        told = [error for error in errors if error.rule == case.rule]
        assert [str(error) for error in told] == ([case.text] if case.text else [])
        for error in told:
            assert (error.code, error.scope, error.stream_id, error.initiator) == (rule.code, "stream", last.stream_id, "local")
        peer.sends(ping(b"stillyes"))
        peer.gets(ping(b"stillyes", ack=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it_octet_by_octet(case: Case) -> None:
    peer = case.of()
    peer.forget()
    peer.sends_slowly(case.octets)
    case.then(peer)
    assert list(peer.counted("frame_errors"))[-1] == (counters.ROLES[peer.connection.role], case.rule)


def test_every_row_is_broken() -> None:
    assert {case.rule for case in CASES} == {rule.token for rule in all_rules()}


def test_nothing_is_parsed_after_a_connection_error() -> None:
    peer = server()
    peer.sends(data(0), ping(), headers(1, request_block()))
    peer.sends(ping())
    peer.sees("terminated frame_on_stream_zero PROTOCOL_ERROR by local")
    assert [f.type for f in peer.gets_frames()] == [GOAWAY]


def test_tokens_are_the_names_of_the_rows() -> None:
    assert all(getattr(RULES, rule.token) is rule for rule in all_rules())
