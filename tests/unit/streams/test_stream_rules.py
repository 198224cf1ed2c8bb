"""Every rule of stream states and windows (RFC 9113 section 5): what breaks it, and what the peer and the application get for it."""

from __future__ import annotations

import pytest

from tests.support.breaking import (
    Case,
    breaks,
    breaks_slowly,
    client,
    done_server,
    narrow_server,
    open_client,
    open_pushing_client,
    open_server,
    server,
    wide_server,
)
from tests.support.wire import (
    data,
    goaway,
    headers,
    push_promise,
    request_block,
    rst_stream,
    settings,
    window_update,
)

CASES = [
    Case(
        "stream_id_even",
        server,
        headers(2, request_block()),
        "HEADERS opens stream 2, which the peer may not open (PROTOCOL_ERROR, RFC 9113 §5.1.1)",
    ),
    Case(
        "stream_id_even",
        client,
        headers(2, b"\x88"),
        "HEADERS opens stream 2, which the peer may not open (PROTOCOL_ERROR, RFC 9113 §5.1.1)",
    ),
    Case(
        "stream_id_reused",
        server,
        headers(5, request_block()) + headers(3, request_block()),
        "HEADERS on stream 3, not above 5, the highest that the peer has opened (PROTOCOL_ERROR, RFC 9113 §5.1.1)",
    ),
    Case("stream_idle", server, data(1, b"x"), "DATA on idle stream 1 (PROTOCOL_ERROR, RFC 9113 §5.1)"),
    Case("stream_idle", server, window_update(1, 1), "WINDOW_UPDATE on idle stream 1 (PROTOCOL_ERROR, RFC 9113 §5.1)"),
    Case("stream_idle", server, rst_stream(1, 8), "RST_STREAM on idle stream 1 (PROTOCOL_ERROR, RFC 9113 §5.1)"),
    Case(
        "stream_reserved",
        open_pushing_client,
        push_promise(1, 2, request_block()) + data(2, b"x"),
        "DATA on stream 2, which is reserved (PROTOCOL_ERROR, RFC 9113 §5.1)",
    ),
    Case(
        "stream_reserved",
        open_pushing_client,
        push_promise(1, 2, request_block()) + window_update(2, 1),
        "WINDOW_UPDATE on stream 2, which is reserved (PROTOCOL_ERROR, RFC 9113 §5.1)",
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
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it(case: Case) -> None:
    breaks(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it_octet_by_octet(case: Case) -> None:
    breaks_slowly(case)
