"""Every rule of field blocks (RFC 7541): the octets that break it, and what the peer and the application get for it."""

from __future__ import annotations

import pytest

from tests.support.breaking import (
    Case,
    breaks,
    breaks_slowly,
    server,
    small_table_server,
)
from tests.support.wire import (
    headers,
)

CASES = [
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
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it(case: Case) -> None:
    breaks(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaking_it_octet_by_octet(case: Case) -> None:
    breaks_slowly(case)
