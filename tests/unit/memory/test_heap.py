"""The C heap: when it is trimmed, and that glibc's really shrinks."""

from __future__ import annotations

import pytest

from h2o_otel.memory.heap import Heap, heap_bytes, process_heap

MIB = 1_048_576


class Process:
    """Resident and free memory as a test says; releasing gives ``gives`` back."""

    def __init__(self) -> None:
        self.resident, self.free, self.gives, self.releases = 50 * MIB, 0, 0, 0
        self.heap = Heap(lambda: self.resident, lambda: self.free, self.release)

    def release(self) -> None:
        self.releases += 1
        self.resident -= self.gives


def test_what_is_free_goes_back() -> None:
    process = Process()
    process.resident, process.free, process.gives = 550 * MIB, 480 * MIB, 470 * MIB
    assert process.heap.grown() == 500 * MIB
    assert process.heap.trim(64 * MIB) == 470 * MIB
    assert process.heap.grown() == 0


def test_pages_are_not_given_back_twice() -> None:
    process = Process()
    process.resident, process.free, process.gives = 550 * MIB, 480 * MIB, 470 * MIB
    process.heap.trim(64 * MIB)
    # The C library still counts them as free.
    assert process.heap.trim(64 * MIB) == 0
    assert process.releases == 1
    process.resident += 65 * MIB
    process.gives = 60 * MIB
    assert process.heap.trim(64 * MIB) == 60 * MIB


@pytest.mark.parametrize(("resident", "free"), [(550, 10), (110, 60), (114, 400), (50, 400)])
def test_memory_in_use_and_small_gains_are_left(resident: int, free: int) -> None:
    process = Process()
    process.resident, process.free = resident * MIB, free * MIB
    assert process.heap.trim(64 * MIB) == 0
    assert process.releases == 0


def test_the_smallest_counts() -> None:
    process = Process()
    process.resident = 20 * MIB
    assert process.heap.grown() == 0
    process.resident = 90 * MIB
    assert process.heap.grown() == 70 * MIB


def test_a_process_that_grew_meanwhile_gave_nothing_back() -> None:
    process = Process()
    process.resident, process.free, process.gives = 550 * MIB, 480 * MIB, -MIB
    assert process.heap.trim(64 * MIB) == 0


def test_real_heap() -> None:
    heap = process_heap()
    if heap is None:
        pytest.skip("the C library is not glibc")
    allocated, used = heap_bytes()
    assert 0 < used <= allocated
    # Blocks that the library maps one by one would go back by themselves, so it must learn to keep them first.
    for _ in range(2):
        bytearray(24 * MIB)
    heap.trim(0)
    blocks = [(b"x" * MIB, b"y" * 1000) for _ in range(100)]
    kept = [small for _, small in blocks]
    assert heap.grown() >= 90 * MIB
    del blocks
    heap.trim(50 * MIB)
    assert heap.grown() < 45 * MIB
    assert len(kept) == 100
