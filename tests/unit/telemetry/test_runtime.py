"""What is read of the process, and the two watches."""

import asyncio
import gc
import os

from h2o_otel import counters
from h2o_otel.memory import gcwatch
from h2o_otel.telemetry import runtime


def test_process_values_are_plausible():
    found = runtime.read_process()
    assert found["process.memory.usage"][()] > 5_000_000
    assert found["process.memory.virtual"][()] >= found["process.memory.usage"][()]
    assert found["process.cpu.time"][("user",)] > 0
    assert found["process.thread.count"][()] >= 1
    assert found["process.unix.file_descriptor.count"][()] >= 3
    assert set(found["process.paging.faults"]) == {("major",), ("minor",)}
    assert set(found["cpython.gc.collections"]) == {("0",), ("1",), ("2",)}
    assert found["h2o.memory.python.blocks"][()] > 1000


def test_without_proc_the_rest_is_still_read(monkeypatch):
    def missing(*_):
        raise OSError

    monkeypatch.setattr(runtime, "_read_memory", missing)
    monkeypatch.setattr(runtime, "_read_descriptors", missing)
    found = runtime.read_process()
    assert "process.memory.usage" not in found
    assert found["process.thread.count"][()] >= 1


def test_descriptors_are_counted():
    before = runtime.read_process()["process.unix.file_descriptor.count"][()]
    read, write = os.pipe()
    assert runtime.read_process()["process.unix.file_descriptor.count"][()] == before + 2
    os.close(read)
    os.close(write)


def test_gc_pauses_are_recorded_by_generation(fresh):
    runtime.watch_gc()
    runtime.watch_gc()
    gc.collect(0)
    gc.collect(2)
    start = counters.histogram_index("gc_pause_duration")
    recorded = [sum(h.counts) for h in counters.collect().histograms[start : start + 3]]
    assert recorded[0] >= 1
    assert recorded[2] >= 1
    assert sum(isinstance(c, gcwatch._GCWatch) for c in gc.callbacks) == 1
    runtime.unwatch_gc()
    assert not any(isinstance(c, gcwatch._GCWatch) for c in gc.callbacks)


def test_loop_watch_measures_how_late_timers_run(fresh):
    now = [0.0]

    async def main():
        watch = runtime.LoopWatch(asyncio.get_running_loop(), 0.0, lambda: now[0])
        now[0] = 0.3
        await asyncio.sleep(0.01)
        watch.close()
        watch.close()

    asyncio.run(main())
    histogram = counters.collect().histograms[counters.histogram_index("loop_lag")]
    assert histogram.max == 0.3
    assert sum(histogram.counts) >= 1


def test_build_info():
    version, compiled, tls, python = runtime.build_info()
    assert version
    assert compiled in ("true", "false")
    assert "SSL" in tls
    assert python.count(".") == 2
