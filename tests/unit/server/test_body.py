"""Pieces of a body that wait: in order, small ones joined, and the copies that this takes are counted."""

from __future__ import annotations

from h2o_otel.counters import Counters, Snapshot
from h2o_otel.server.body import BodyQueue


def drained(queue: BodyQueue) -> list[bytes]:
    taken = []
    while queue.waits():
        taken.append(queue.pop())
    return taken


def copied(block: Counters) -> int:
    snapshot = Snapshot()
    snapshot.add_block(block)
    return snapshot.value("buffer_copied", "asgi")


def test_large_pieces_are_passed_on_uncopied() -> None:
    block = Counters()
    first, second = b"a" * 1024, b"b" * 5000
    queue = BodyQueue(block, first)
    queue.push(second)
    taken = drained(queue)
    assert taken[0] is first
    assert taken[1] is second
    assert copied(block) == 0


def test_small_pieces_are_joined_behind_the_first() -> None:
    block = Counters()
    queue = BodyQueue(block, b"a")
    for n in range(1000):
        queue.push(b"%04d" % n)
    assert drained(queue) == [b"a", b"".join(b"%04d" % n for n in range(1000))]
    assert copied(block) == 4000


def test_large_piece_behind_small_ones_keeps_its_place() -> None:
    queue = BodyQueue(Counters(), b"a")
    queue.push(b"bb")
    queue.push(b"c" * 2000)
    queue.push(b"dd")
    assert b"".join(drained(queue)) == b"abb" + b"c" * 2000 + b"dd"


def test_joined_pieces_have_a_bound() -> None:
    queue = BodyQueue(Counters(), b"a")
    for _ in range(100):
        queue.push(b"b" * 1000)
    taken = drained(queue)
    assert sum(map(len, taken)) == 100_001
    assert max(map(len, taken)) < 16_384 + 1000
