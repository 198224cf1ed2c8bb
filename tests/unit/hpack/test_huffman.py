from __future__ import annotations

import random

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman

from h2o_otel.hpack import huffman


def test_empty() -> None:
    assert huffman.encode_bytes(b"") == b""
    assert huffman.decode_bytes(b"") == b""


def test_longest_codes_back_to_back() -> None:
    text = b"\n\r\x16" * 30
    assert huffman.decode_bytes(huffman.encode_bytes(text)) == text


def test_any_octets_as_the_reference(rng: random.Random) -> None:
    for _ in range(3000):
        coded = bytes(rng.choice((255, rng.randrange(256))) for _ in range(rng.randrange(14)))
        try:
            expected = bytes(decode_huffman(coded))
        except HPACKDecodingError:
            expected = None
        assert huffman.decode_bytes(coded) == expected, coded.hex()


def test_every_two_octets_as_the_reference() -> None:
    for number in range(0, 65_536, 7):
        coded = number.to_bytes(2, "big")
        try:
            expected = bytes(decode_huffman(coded))
        except HPACKDecodingError:
            expected = None
        assert huffman.decode_bytes(coded) == expected, coded.hex()


def test_damaged_texts_as_the_reference(rng: random.Random) -> None:
    alphabets = (b"0123456789abcdef-", b"etaoin shrdlu/?=&", bytes(range(256)))
    for _ in range(600):
        alphabet = rng.choice(alphabets)
        coded = bytearray(huffman.encode_bytes(bytes(rng.choices(alphabet, k=rng.randrange(1, 60)))))
        if rng.random() < 0.5:
            coded[rng.randrange(len(coded))] ^= 1 << rng.randrange(8)
        else:
            coded = coded[: rng.randrange(len(coded))] + rng.choice((b"", b"\xff", b"\x00"))
        try:
            expected = bytes(decode_huffman(bytes(coded)))
        except HPACKDecodingError:
            expected = None
        assert huffman.decode_bytes(bytes(coded)) == expected, coded.hex()
