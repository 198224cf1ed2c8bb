"""The buffer pool: classes, caches, bounds, and what is counted of each."""

from __future__ import annotations

import gc
import threading

import pytest

from h2o_otel.buffers.output import OutputBuffer
from h2o_otel.buffers.pool import OUTPUT, RECEIVE, SIZES, TAIL, BufferPool, DoubleReleaseError, _Depot, local_pool
from h2o_otel.counters import Counters, Snapshot, histogram_index
from h2o_otel.tuning import Tuning


def pool(cache_bytes_max: int = 1_000_000, depot_bytes_max: int = 0, debug: bool = False) -> BufferPool:
    return BufferPool(Counters(), cache_bytes_max, debug, _Depot(depot_bytes_max))


def counted(of: BufferPool) -> Snapshot:
    snapshot = Snapshot()
    snapshot.add_block(of.counters)
    return snapshot


@pytest.mark.parametrize(
    ("wanted", "got"), [(0, 256), (1, 256), (256, 256), (257, 1024), (16_384, 16_384), (16_385, 65_536), (1_048_576, 1_048_576)]
)
def test_size_is_rounded_up_to_its_class(wanted: int, got: int) -> None:
    assert pool().acquire(wanted, OUTPUT).size == got


def test_released_buffer_is_lent_again() -> None:
    p = pool()
    first = p.acquire(1000, OUTPUT)
    memory = first.memory
    p.release(first)
    assert p.acquire(600, RECEIVE).memory is memory
    seen = counted(p)
    assert seen.value("buffer_pool_acquisitions", "output", "1024", "miss") == 1
    assert seen.value("buffer_pool_acquisitions", "receive", "1024", "hit") == 1
    assert seen.value("buffer_pool_allocated") == 1024


def test_gauges_balance() -> None:
    p = pool()
    held = [p.acquire(size, OUTPUT) for size in SIZES[:5]]
    assert counted(p).value("buffer_pool_in_use", "output") == sum(SIZES[:5]) == p.in_use_bytes
    for buffer in held:
        p.release(buffer)
    seen = counted(p)
    assert seen.value("buffer_pool_in_use", "output") == 0
    assert seen.value("buffer_pool_idle", "output") == sum(SIZES[:5]) == p.cached_bytes
    assert p.statistics().high_water == sum(SIZES[:5])
    assert p.statistics().idle[1024] == 1


def test_oversize_is_served_counted_and_not_kept() -> None:
    p = pool(cache_bytes_max=100_000_000)
    buffer = p.acquire(3_000_000, OUTPUT)
    assert buffer.size == 3_000_000
    p.release(buffer)
    assert p.cached_bytes == 0
    assert counted(p).value("buffer_pool_acquisitions", "output", "oversize", "oversize") == 1
    assert counted(p).value("buffer_pool_evicted", "output") == 3_000_000


def test_cache_is_bounded_then_the_depot_then_dropped() -> None:
    p = pool(cache_bytes_max=1024, depot_bytes_max=2048)
    held = [p.acquire(1024, OUTPUT) for _ in range(5)]
    for buffer in held:
        p.release(buffer)
    assert p.statistics()[2:5] == (1024, {**dict.fromkeys(SIZES, 0), 1024: 1}, 2048)
    assert counted(p).value("buffer_pool_evicted", "output") == 2 * 1024


def test_depot_feeds_other_threads() -> None:
    depot = _Depot(1_000_000)
    one, other = BufferPool(Counters(), 0, False, depot), BufferPool(Counters(), 0, False, depot)
    buffer = one.acquire(5000, OUTPUT)
    memory = buffer.memory
    one.release(buffer)
    found: list[bytearray] = []
    thread = threading.Thread(target=lambda: found.append(other.acquire(5000, OUTPUT).memory))
    thread.start()
    thread.join()
    assert found[0] is memory


def test_double_release_is_an_error() -> None:
    p = pool(debug=True)
    buffer = p.acquire(100, OUTPUT)
    p.release(buffer)
    with pytest.raises(RuntimeError, match=r"a buffer of 256 octets is released twice, acquired at .*test_pool.py:\d+"):
        p.release(buffer)


def test_leak_is_counted() -> None:
    p = pool()
    buffer = p.acquire(100, OUTPUT)
    del buffer
    gc.collect()
    seen = counted(p)
    assert seen.value("buffer_pool_leaked", "output") == 1
    assert seen.value("buffer_pool_in_use", "output") == 0
    assert p.in_use_bytes == 0


def test_holder_in_the_same_garbage_may_still_release() -> None:
    """A cycle's finalisers run in no order: the buffer's may come before its holder's."""
    p = pool()
    errors: list[BaseException] = []

    class Holder:
        def __init__(self) -> None:
            self.buffer = p.acquire(100, OUTPUT)
            self.cycle = self

        def __del__(self) -> None:
            # What the collector does when the buffer is first.
            p.leaked(self.buffer)
            try:
                p.release(self.buffer)
            except DoubleReleaseError as error:
                errors.append(error)

    Holder()
    gc.collect()
    assert errors == []
    seen = counted(p)
    assert (seen.value("buffer_pool_leaked", "output"), seen.value("buffer_pool_in_use", "output")) == (1, 0)


def test_leak_names_its_place_in_debug_mode() -> None:
    p = pool(debug=True)
    buffer = p.acquire(100, OUTPUT)
    holder = [buffer]
    del buffer
    with pytest.warns(ResourceWarning, match=r"256 octets was not released, acquired at .*test_pool.py:\d+"):
        holder.clear()


def test_trim_empties_cache_and_depot() -> None:
    p = pool(cache_bytes_max=1024, depot_bytes_max=10_000)
    for buffer in [p.acquire(1024, OUTPUT) for _ in range(3)]:
        p.release(buffer)
    assert p.trim() == 3 * 1024
    assert p.statistics().cached == p.statistics().depot == 0
    assert counted(p).value("buffer_pool_idle") == 0


def test_one_pool_per_thread() -> None:
    block = Counters()
    assert local_pool(block) is local_pool(block)


def test_output_buffers_of_a_thread_share_one_block() -> None:
    block = Counters()
    p = local_pool(block)
    for _ in range(50):
        out = OutputBuffer(block)
        assert p.in_use_bytes == 0
        out.write(b"x" * 100)
        assert p.in_use_bytes == 16_384
        out.take()
        assert p.in_use_bytes == 0
    snapshot = Snapshot()
    snapshot.add_block(block)
    assert snapshot.value("buffer_pool_acquisitions", "output", "16384", "hit") >= 49


def test_cleared_output_gives_its_block_back() -> None:
    block = Counters()
    out = OutputBuffer(block)
    out.write(b"x" * 100_000)
    out.append_chunk(b"y")
    out.clear()
    assert out.size() == 0
    assert local_pool(block).in_use_bytes == 0


def test_double_release_has_fields() -> None:
    p = pool()
    buffer = p.acquire(100, OUTPUT)
    p.release(buffer)
    with pytest.raises(DoubleReleaseError) as caught:
        p.release(buffer)
    assert (caught.value.size, caught.value.site) == (256, None)


def test_requested_octets_and_holding_times_are_counted() -> None:
    p = pool()
    buffer = p.acquire(100, TAIL)
    assert counted(p).value("buffer_pool_requested", "tail") == 100
    p.release(buffer)
    seen = counted(p)
    assert seen.value("buffer_pool_requested") == 0
    assert sum(seen.histograms[histogram_index("buffer_pool_held") + TAIL].counts) == 1


def test_one_holding_of_output_in_sixteen_is_timed() -> None:
    p = pool()
    for _ in range(33):
        p.release(p.acquire(100, OUTPUT))
        p.release(p.acquire(100, TAIL))
    held = counted(p).histograms[histogram_index("buffer_pool_held") :]
    assert (sum(held[OUTPUT].counts), sum(held[TAIL].counts)) == (3, 33)


def test_idle_buffer_that_was_used_last_is_lent_first() -> None:
    p = pool()
    buffers = [p.acquire(1024, OUTPUT) for _ in range(3)]
    for buffer in buffers:
        p.release(buffer)
    assert p.acquire(1024, OUTPUT) is buffers[2]
    p.release(buffers[2])
    assert p.trim_unused() == 0
    again = [p.acquire(1024, OUTPUT) for _ in range(4)]
    assert again[:3] == buffers[::-1]
    assert again[3] not in buffers


def test_age_of_what_is_held_is_known_in_debug_mode() -> None:
    p = pool(debug=True)
    assert p.statistics().oldest_s == 0.0
    buffer = p.acquire(100, OUTPUT)
    assert p.statistics().oldest_s > 0.0
    p.release(buffer)
    assert p.statistics().oldest_s == 0.0


def test_waiting_for_the_depot_is_counted() -> None:
    depot = _Depot(1_000_000)
    p = BufferPool(Counters(), 0, False, depot)
    buffer = p.acquire(5000, OUTPUT)
    depot._lock.acquire()
    thread = threading.Thread(target=lambda: p.release(buffer))
    thread.start()
    while counted(p).value("buffer_pool_contended") == 0:
        assert thread.is_alive()
    depot._lock.release()
    thread.join()
    assert depot.bytes == 16_384


def test_only_what_was_not_needed_is_trimmed() -> None:
    p = pool()
    for buffer in [p.acquire(1024, OUTPUT) for _ in range(3)]:
        p.release(buffer)
    assert p.trim_unused() == 0
    p.release(p.acquire(1024, OUTPUT))
    assert p.trim_unused() == 2 * 1024
    assert p.cached_bytes == 1024
    assert p.trim_unused() == 1024
    assert p.cached_bytes == counted(p).value("buffer_pool_idle") == 0


def test_memory_is_accounted_while_it_is_kept() -> None:
    p = pool(cache_bytes_max=1024, depot_bytes_max=1024)
    held = [p.acquire(1024, OUTPUT) for _ in range(3)]
    assert counted(p).value("memory_usage", "buffers") == 3 * 1024
    for buffer in held:
        p.release(buffer)
    assert counted(p).value("memory_usage", "buffers") == 2 * 1024
    p.trim()
    assert counted(p).value("memory_usage", "buffers") == 0


def test_pool_switched_off() -> None:
    p = BufferPool(Counters(), tuning=Tuning(buffer_pool=False))
    buffer = p.acquire(1000, OUTPUT)
    assert buffer.size == 1000
    p.release(buffer)
    assert p.cached_bytes == 0
    assert counted(p).value("buffer_pool_acquisitions", "output", "1024", "miss") == 1


def test_thread_cache_switched_off() -> None:
    depot = _Depot(1_000_000)
    p = BufferPool(Counters(), depot=depot, tuning=Tuning(buffer_thread_cache=False))
    p.release(p.acquire(1000, OUTPUT))
    assert (p.cached_bytes, depot.bytes) == (0, 1024)
    p.acquire(1000, OUTPUT)
    assert counted(p).value("buffer_pool_acquisitions", "output", "1024", "hit") == 1


def test_tracking_switched_off() -> None:
    p = BufferPool(Counters(), tuning=Tuning(buffer_tracking=False))
    buffer = p.acquire(1000, OUTPUT)
    assert (p.in_use_bytes, counted(p).value("buffer_pool_in_use")) == (0, 0)
    p.release(buffer)
    buffer = p.acquire(1000, OUTPUT)
    del buffer
    gc.collect()
    assert counted(p).value("buffer_pool_leaked") == 0


def test_pools_of_other_switches_are_others() -> None:
    block = Counters()
    assert local_pool(block, Tuning(buffer_pool=False)) is not local_pool(block)
    assert local_pool(block, Tuning()) is local_pool(block)
