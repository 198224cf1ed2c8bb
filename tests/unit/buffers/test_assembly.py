from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2o_otel import _pure
from h2o_otel.buffers.assembly import FIRST_BYTES, Assembly
from h2o_otel.counters import Counters


def assembled(pieces: list[bytes], expected: int) -> bytes:
    assembly = Assembly(expected, Counters())
    for piece in pieces:
        assembly.add(piece)
    assert assembly.size == sum(map(len, pieces))
    return assembly.take()


@given(st.lists(st.binary(max_size=200)), st.integers(-300, 300))
def test_pieces_in_their_order_whatever_was_promised(pieces: list[bytes], more: int) -> None:
    body = b"".join(pieces)
    found = assembled(pieces, len(body) + more)
    assert found == body
    assert type(found) is bytes


@pytest.mark.parametrize("expected", [-1, 0, 3 * FIRST_BYTES, 10**15])
@pytest.mark.parametrize("size", [0, 1, FIRST_BYTES, 3 * FIRST_BYTES, 2_097_153])
def test_sizes(size: int, expected: int) -> None:
    body = bytes(range(251)) * (size // 251 + 1)
    body = body[:size]
    assert assembled([body[start : start + 16_384] for start in range(0, size, 16_384)], expected) == body


def test_taken_and_empty() -> None:
    assembly = Assembly(10, Counters())
    assembly.add(b"first")
    assert assembly.take() == b"first"
    assert assembly.take() == b""
    assembly.add(b"second")
    assert assembly.take() == b"second"


@pytest.mark.parametrize(("expected", "reserved_max"), [(10**15, FIRST_BYTES), (20_000, 20_000), (-1, FIRST_BYTES)])
def test_a_promise_reserves_little(expected: int, reserved_max: int) -> None:
    """A peer that promises much and sends little costs little."""
    assembly = Assembly(expected, Counters())
    tracemalloc.start()
    try:
        assembly.add(b"x" * 1000)
        reserved, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reserved <= reserved_max + 5000


def test_known_length_is_not_copied_again() -> None:
    """Compiled, the reader gets the block itself: the body is never there twice."""
    piece = b"x" * 16_384
    assembly = Assembly(64 * len(piece), Counters())
    tracemalloc.start()
    try:
        for _ in range(64):
            assembly.add(piece)
        body = assembly.take()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body) == 64 * len(piece)
    assert peak <= len(body) * (1 if _pure.build() == "compiled" else 1.2) + 50_000


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("pieces", [129, 513, 732, 4097])
def test_body_is_there_once(pieces: int, known: bool) -> None:
    """An octet takes at most 1.3 of memory, also while the body grows."""
    assembly = Assembly(pieces * 16_384 if known else -1, Counters())
    tracemalloc.start()
    try:
        for _ in range(pieces):
            assembly.add(bytes(16_384))
        body = assembly.take()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / len(body) <= 1.3
    assert body == bytes(pieces * 16_384)
