"""RFC 7541 appendix C: every example, decoded and where the representation is the encoder's choice encoded, with the table after it."""

from __future__ import annotations

import pytest

from h2o_otel.hpack import huffman
from tests.support.hpack import TABLE_256, Fields, Sender, decoded, receiver
from tests.support.judged import requirement

Step = tuple[str, Fields, int, Fields]

FIRST: Fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
SECOND: Fields = [*FIRST, (b"cache-control", b"no-cache")]
THIRD: Fields = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
]
AUTHORITY, NO_CACHE, CUSTOM = FIRST[3], SECOND[4], THIRD[4]
REQUEST_TABLES: list[tuple[int, Fields]] = [(57, [AUTHORITY]), (110, [NO_CACHE, AUTHORITY]), (164, [CUSTOM, NO_CACHE, AUTHORITY])]
REQUESTS_PLAIN = [
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
]
REQUESTS_HUFFMAN = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
]

PRIVATE, LOCATION = (b"cache-control", b"private"), (b"location", b"https://www.example.com")
DATE_21, DATE_22 = (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT"), (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT")
GZIP = (b"content-encoding", b"gzip")
COOKIE = (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
FOUND, MOVED = (b":status", b"302"), (b":status", b"307")
RESPONSES: list[Fields] = [
    [FOUND, PRIVATE, DATE_21, LOCATION],
    [MOVED, PRIVATE, DATE_21, LOCATION],
    [(b":status", b"200"), PRIVATE, DATE_22, LOCATION, GZIP, COOKIE],
]
RESPONSE_TABLES: list[tuple[int, Fields]] = [
    (222, [LOCATION, DATE_21, PRIVATE, FOUND]),
    (222, [MOVED, LOCATION, DATE_21, PRIVATE]),
    (215, [COOKIE, GZIP, DATE_22]),
]
RESPONSES_PLAIN = [
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
    "4803333037c1c0bf",
    (
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b"
        "206d61782d6167653d333630303b2076657273696f6e3d31"
    ),
]
RESPONSES_HUFFMAN = [
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    "4883640effc1c0bf",
    (
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5"
        "b1063d5007"
    ),
]


def ordered(fields: Fields) -> Fields:
    """Pseudo-header fields are compared apart from their order."""
    return sorted(f for f in fields if f[0][:1] == b":") + [f for f in fields if f[0][:1] != b":"]


@requirement("7541-C-1")
@pytest.mark.parametrize(("size", "update"), [(10, "2a"), (1337, "3f9a0a")])
def test_c_1_integers(size: int, update: str) -> None:
    # C.1.1 and C.1.2, as the size of a table: 5 bits of prefix.
    sender = Sender(size)
    assert sender.block([]).hex() == update
    decoder = receiver()
    decoder.decode_block(bytes.fromhex(update))
    assert decoder.table.capacity == size


@requirement("7541-C-1")
def test_c_2_1_literal_with_indexing() -> None:
    wire = "400a637573746f6d2d6b65790d637573746f6d2d686561646572"
    fields = [(b"custom-key", b"custom-header")]
    sender, decoder = Sender(huffman=False), receiver()
    assert sender.block(fields).hex() == wire
    assert decoded(wire, decoder) == fields
    assert (decoder.table.entries(), decoder.table.size) == (fields, 55)
    assert (sender.encoder.table.entries(), sender.encoder.table.size) == (fields, 55)


@requirement("7541-C-1")
def test_c_2_2_literal_without_indexing() -> None:
    wire = "040c2f73616d706c652f70617468"
    sender, decoder = Sender(huffman=False), receiver()
    assert sender.block([(b":path", b"/sample/path")]).hex() == wire
    assert decoded(wire, decoder) == [(b":path", b"/sample/path")]
    assert decoder.table.entries() == sender.encoder.table.entries() == []


@requirement("7541-C-1")
def test_c_2_3_literal_never_indexed() -> None:
    decoder = receiver()
    assert decoded("100870617373776f726406736563726574", decoder) == [(b"password", b"secret")]
    assert decoder.table.entries() == []


@requirement("7541-C-1")
def test_c_2_4_indexed() -> None:
    sender, decoder = Sender(), receiver()
    assert sender.block([(b":method", b"GET")]).hex() == "82"
    assert decoded("82", decoder) == [(b":method", b"GET")]
    assert decoder.table.entries() == []


@requirement("7541-C-1")
@pytest.mark.parametrize("huffman_on", [False, True], ids=["c_3_plain", "c_4_huffman"])
def test_c_3_and_c_4_requests(huffman_on: bool) -> None:
    sender, decoder = Sender(huffman=huffman_on), receiver()
    wires = REQUESTS_HUFFMAN if huffman_on else REQUESTS_PLAIN
    for fields, wire, (size, table) in zip((FIRST, SECOND, THIRD), wires, REQUEST_TABLES, strict=True):
        assert sender.block(fields).hex() == wire
        assert ordered(decoded(wire, decoder)) == ordered(fields)
        assert (decoder.table.size, decoder.table.entries()) == (size, table)
        assert (sender.encoder.table.size, sender.encoder.table.entries()) == (size, table)


@requirement("7541-C-1")
@pytest.mark.parametrize("huffman_on", [False, True], ids=["c_5_plain", "c_6_huffman"])
def test_c_5_and_c_6_responses(huffman_on: bool) -> None:
    # The examples index what our policy would not: it is off.
    sender, decoder = Sender(256, huffman=huffman_on, adaptive=False), receiver()
    assert sender.block([]) == TABLE_256
    decoder.decode_block(TABLE_256)
    wires = RESPONSES_HUFFMAN if huffman_on else RESPONSES_PLAIN
    for fields, wire, (size, table) in zip(RESPONSES, wires, RESPONSE_TABLES, strict=True):
        assert sender.block(fields).hex() == wire
        assert ordered(decoded(wire, decoder)) == ordered(fields)
        assert (decoder.table.size, decoder.table.entries()) == (size, table)
        assert (sender.encoder.table.size, sender.encoder.table.entries()) == (size, table)


@requirement("7541-C-1")
@pytest.mark.parametrize(
    ("text", "coded"),
    [(b"www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"), (b"no-cache", "a8eb10649cbf"), (b"302", "6402"), (b"private", "aec3771a4b")],
)
def test_c_4_and_c_6_strings(text: bytes, coded: str) -> None:
    assert huffman.encode_bytes(text).hex() == coded
    assert huffman.decode_bytes(bytes.fromhex(coded)) == text
