"""RFC 7541 appendices A and B: the static table and the Huffman code, against those of ``hpack``."""

from __future__ import annotations

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from h2o_otel.hpack import huffman, static
from tests.support.hpack import decoded
from tests.support.judged import requirement


@requirement("7541-A-1")
def test_a_static_table() -> None:
    assert tuple(HeaderTable.STATIC_TABLE) == static.STATIC_TABLE
    assert len(static.STATIC_TABLE) == 61


@requirement("7541-A-1")
def test_a_each_index() -> None:
    for index, (name, value) in enumerate(static.STATIC_TABLE, 1):
        if name not in (b"transfer-encoding", b"content-length") and (value or name[:1] != b":"):
            assert decoded(bytes([0x80 | index])) == [(name, value)]


def test_a_status_octets() -> None:
    known = {status: octet for status, octet in enumerate(static.STATUS_OCTETS) if octet}
    assert known == {200: 0x88, 204: 0x89, 206: 0x8A, 304: 0x8B, 400: 0x8C, 404: 0x8D, 500: 0x8E}


@requirement("7541-B-1")
def test_b_lengths() -> None:
    assert list(huffman.LENGTHS) == REQUEST_CODES_LENGTH


@requirement("7541-B-1")
def test_b_each_octet_in_each_place() -> None:
    reference = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
    for octet in range(256):
        for around in (b"", b"a", b"ab", b"&~", b"\x00"):
            text = around + bytes([octet]) + around
            assert huffman.encode_bytes(text) == reference.encode(text)
            assert huffman.decode_bytes(huffman.encode_bytes(text)) == text
