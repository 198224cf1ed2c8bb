from __future__ import annotations

import pytest

from h2o_otel.buffers.output import OutputBuffer
from h2o_otel.counters import COPY_REASONS, Counters, Snapshot, slot
from h2o_otel.tuning import Tuning

GROWN = slot("buffer_copied") + 5
COPIED = slot("buffer_copied") + COPY_REASONS.index("output")


def test_empty() -> None:
    out = OutputBuffer(Counters())
    assert out.size() == 0
    assert out.take() == b""
    assert out.take_chunks() == []


def test_order_of_copies_and_chunks() -> None:
    out = OutputBuffer(Counters())
    out.write(b"one")
    out.append_chunk(b"two")
    out.append_chunk(memoryview(b"three"))
    out.write(b"four")
    assert out.size() == 15
    assert [bytes(chunk) for chunk in out.take_chunks()] == [b"one", b"two", b"three", b"four"]
    assert out.size() == 0


def test_take_joins() -> None:
    out = OutputBuffer(Counters())
    out.write(b"one")
    out.append_chunk(b"two")
    assert out.take() == b"onetwo"
    assert out.take() == b""


def test_chunks_are_the_callers_objects() -> None:
    out = OutputBuffer(Counters())
    body = b"x" * 100_000
    out.append_chunk(body)
    assert out.take_chunks()[0] is body


def test_taken_octets_do_not_change() -> None:
    out = OutputBuffer(Counters())
    out.write(b"first")
    taken = out.take_chunks()
    out.write(b"other")
    assert taken == [b"first"]
    assert all(isinstance(chunk, bytes) for chunk in taken)


@pytest.mark.parametrize("size", [1, 16_383, 16_384, 16_385, 100_000, 1_000_000])
def test_growth_keeps_what_was_written(size: int) -> None:
    block = Counters()
    out = OutputBuffer(block, 16)
    out.write(b"head")
    out.write(b"x" * size)
    assert out.take() == b"head" + b"x" * size
    assert block.read_slots()[GROWN] == (4 if size > 252 else 0)


def test_burst_does_not_pin_memory() -> None:
    """After a large burst the block is as small as before: growing again copies again."""
    block = Counters()
    out = OutputBuffer(block, 16)
    for _ in range(2):
        out.write(b"head")
        out.write(b"x" * 300)
        out.take()
    assert block.read_slots()[GROWN] == 8


def test_bodies_are_copied_where_slices_are_off() -> None:
    block = Counters()
    out = OutputBuffer(block, tuning=Tuning(buffer_slices=False))
    body = b"x" * 100_000
    out.write(b"head")
    out.append_chunk(memoryview(body)[:50_000])
    assert out.take_chunks() == [b"head" + body[:50_000]]
    assert block.read_slots()[COPIED] == 50_000


@pytest.mark.parametrize("tuning", [Tuning(buffer_reuse=False), Tuning(buffer_pool=False), Tuning.baseline()])
def test_fresh_blocks_where_reuse_is_off(tuning: Tuning) -> None:
    block = Counters()
    out = OutputBuffer(block, tuning=tuning)
    for _ in range(3):
        out.write(b"x")
        assert out.take() == b"x"
    snapshot = Snapshot()
    snapshot.add_block(block)
    assert snapshot.value("buffer_pool_acquisitions", "output", "16384", "miss") == 3
    assert snapshot.value("buffer_pool_idle") == 0
