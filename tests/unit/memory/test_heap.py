"""The C heap: when it is trimmed, and that glibc's really shrinks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from h2o_otel.memory.heap import Heap, heap_bytes, process_heap

MIB = 1_048_576


class Process:
    """Resident and free memory as a test says; releasing gives ``gives`` back."""

    def __init__(self) -> None:
        self.resident, self.free, self.gives, self.releases = 50 * MIB, 0, 0, 0
        self.held: list[int] = []
        self.heap = Heap(lambda: self.resident, lambda: self.free, self.release, self.held.append)

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


def test_the_largest_wish_to_keep_counts() -> None:
    process = Process()
    for wish in (64 * MIB, 10 * MIB, 64 * MIB, 80 * MIB):
        process.heap.keep(wish)
    assert process.held == [64 * MIB, 80 * MIB]


KEEPS = """
import resource
from h2o_otel.memory.heap import process_heap

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

heap = process_heap()
if heap is not None:
    heap.keep(64 << 20)
def wave():
    before = faults()
    for _ in range(10):
        bodies = [b"x" * 1_000_000 for _ in range(8)]
        del bodies
    return faults() - before
wave()
print("none" if heap is None else wave())
"""


@pytest.mark.parametrize(("environment", "kept"), [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, False)])
def test_what_is_freed_is_there_for_the_next(environment: dict[str, str], kept: bool) -> None:
    """Bodies come into pages that are there already, unless the user has said what the C library should do."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", KEEPS], env={**others, **environment}, capture_output=True, text=True, check=True)
    if done.stdout.strip() == "none":
        pytest.skip("the C library is not glibc")
    pages = 10 * 8 * 1_000_000 // os.sysconf("SC_PAGE_SIZE")
    assert int(done.stdout) < pages // 20 if kept else int(done.stdout) > pages // 2


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
