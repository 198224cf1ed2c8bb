"""Every rule of fields and messages (RFC 9113 section 8): the octets that break it, and what the peer and the application get for it."""

from __future__ import annotations

import pytest

from tests.support.breaking import (
    Case,
    breaks,
    breaks_slowly,
    connected_server,
    narrow_server,
    open_client,
    open_server,
    server,
)
from tests.support.wire import (
    block,
    continuation,
    data,
    headers,
    request_block,
)

CASES = [
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
        "stream 1: pseudo-header field ':path' in trailers (PROTOCOL_ERROR, RFC 9113 §8.1)",
    ),
    Case(
        "pseudo_wrong_direction",
        open_client,
        headers(1, b"\x88\x84"),
        "stream 1: pseudo-header field ':path' does not belong in this message (PROTOCOL_ERROR, RFC 9113 §8.3)",
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
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it(case: Case) -> None:
    breaks(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it_octet_by_octet(case: Case) -> None:
    breaks_slowly(case)
