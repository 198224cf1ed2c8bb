"""Strings decoded ahead by threads: the same fields, and the same faults, as inline."""

from __future__ import annotations

import random

import pytest

from h2o_otel import counters
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.hpack.parallel import Ahead, decode_blocks
from h2o_otel.limits import EngineLimits
from h2o_otel.rules import Violation
from tests.support.hpack import Fields, Sender, receiver, section


def fields_of(rng: random.Random, n: int = 6) -> Fields:
    values = [rng.randbytes(rng.randrange(60)).hex().encode() for _ in range(n)]
    return [(b"x-%d" % rng.randrange(40), rng.choice((value, b"\xff" * 5, b"z" * 300))) for value in values]


def parallel(bytes_min: int = 0) -> Decoder:
    return Decoder(counters.Counters(), counters.SERVER, EngineLimits(hpack_parallel_bytes_min=bytes_min), parallel=True)


def outcome(decoder: Decoder, block: bytes) -> str:
    try:
        return repr((decoder.decode_block(block), section(decoder), decoder.violation))
    except Violation as error:
        return str(error)


def batches(decoder: Decoder) -> tuple[int, int]:
    block = counters.Snapshot()
    block.add_block(decoder.counters)
    return block.value("hpack_parallel_batches", "parallel"), block.value("hpack_parallel_batches", "inline")


def test_blocks_of_one_connection(rng: random.Random) -> None:
    sender, ahead, inline = Sender(), parallel(), receiver()
    for _ in range(50):
        fields = fields_of(rng)
        block = sender.block(fields)
        assert ahead.decode_block(block) == inline.decode_block(block) == fields
        assert ahead.table.entries() == inline.table.entries()
    assert batches(ahead) == (50, 0)


def test_block_inside_a_larger_buffer(rng: random.Random) -> None:
    sender, decoder = Sender(), parallel()
    for fields in (fields_of(rng), fields_of(rng)):
        decoder.decode_block(sender.block(fields))
        assert section(decoder) == fields


@pytest.mark.parametrize("shares", [1, 2, 3, 7])
@pytest.mark.parametrize("bytes_min", [0, 1 << 30])
def test_batch_of_several_connections(shares: int, bytes_min: int, rng: random.Random) -> None:
    senders = [Sender() for _ in range(5)]
    decoders = [receiver() for _ in senders]
    for _ in range(4):
        sent = [(i, fields_of(rng, rng.randrange(8))) for i in rng.choices(range(5), k=20)]
        batch = [(decoders[i], senders[i].block(fields)) for i, fields in sent]
        for (i, fields), decoder in zip(sent, decode_blocks(batch, bytes_min, shares), strict=True):
            assert decoder is decoders[i]
            assert section(decoder) == fields


def test_small_block_is_decoded_inline() -> None:
    decoder = parallel(1000)
    assert decoder.decode_block(Sender().block([(b"a", b"b")])) == [(b"a", b"b")]
    assert batches(decoder) == (0, 1)


def test_empty_batch() -> None:
    assert list(decode_blocks([], 0)) == []
    assert Ahead([]).strings == []
    assert Ahead([b""]).strings == [{}]


def test_damaged_blocks_fail_as_inline(rng: random.Random) -> None:
    for _ in range(400):
        block = bytearray(Sender().block(fields_of(rng, 3)))
        for _ in range(rng.randrange(1, 4)):
            block[rng.randrange(len(block))] ^= 1 << rng.randrange(8)
        damaged = bytes(block[: rng.randrange(1, len(block) + 1)])
        assert outcome(parallel(), damaged) == outcome(receiver(), damaged), damaged.hex()


def test_any_octets_fail_as_inline(rng: random.Random) -> None:
    for _ in range(1000):
        octets = rng.randbytes(rng.randrange(40))
        assert outcome(parallel(), octets) == outcome(receiver(), octets), octets.hex()


def test_broken_block_ends_a_batch_behind_the_others() -> None:
    good, bad = receiver(), receiver()
    done = decode_blocks([(good, Sender().block([(b"a", b"b")])), (bad, b"\x80")], 0)
    assert next(done) is good
    with pytest.raises(Violation):
        next(done)
