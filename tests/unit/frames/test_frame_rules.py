"""Every rule of single frames (RFC 9113 sections 4 and 6): the octets that break it, and what the peer and the application get for it."""

from __future__ import annotations

import pytest

from tests.support.breaking import (
    Case,
    after,
    breaks,
    breaks_slowly,
    client,
    fresh_server,
    open_client,
    open_pushing_client,
    open_server,
    server,
)
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
    continuation,
    data,
    frame,
    headers,
    ping,
    priority,
    priority_update,
    push_promise,
    request_block,
    settings,
    settings_ack,
)

CASES = [
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
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it(case: Case) -> None:
    breaks(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it_octet_by_octet(case: Case) -> None:
    breaks_slowly(case)
