"""The built-ins of the uncompiled codec do what its loops do."""

from __future__ import annotations

import random

from h2o_otel.hpack import huffman, plain


def decoded(data: bytes) -> bytes | None:
    room = bytearray(2 * len(data) + 2)
    size = plain.decode(data, 0, len(data), len(data), room, 0, len(room))
    assert size >= plain.PADDING
    return None if size < 0 else bytes(room[:size])


def test_coding_as_the_loops(rng: random.Random) -> None:
    for _ in range(1000):
        text = rng.randbytes(rng.randrange(12))
        room = bytearray(64)
        end = plain.encode(room, 3, len(room), text, len(text))
        assert room[3:end] == huffman.encode_bytes(text)
        assert end - 3 == (plain.measure(text, len(text)) + 7) >> 3
        assert not any(room[:3])
        assert not any(room[end:])


def test_decoding_as_the_loops(rng: random.Random) -> None:
    for _ in range(3000):
        coded = bytes(rng.choice((255, rng.randrange(256))) for _ in range(rng.randrange(14)))
        assert decoded(coded) == huffman.decode_bytes(coded), coded.hex()


def test_end_of_string_and_padding_are_told_apart() -> None:
    room = bytearray(64)
    assert plain.decode(b"\xff\xff\xff\xff", 0, 4, 4, room, 0, 64) == plain.EOS
    assert plain.decode(b"\xff\xff", 0, 2, 2, room, 0, 64) == plain.PADDING
    # The second time the steps are known.
    assert plain.decode(b"\xff\xff\xff\xff", 0, 4, 4, room, 0, 64) == plain.EOS
    assert plain.decode(b"", 0, 0, 0, room, 0, 64) == 0
