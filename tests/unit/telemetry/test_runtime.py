"""Metrics of the process, and the watches of the loop and the garbage collector."""

import asyncio
import gc
import os

import pytest

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
        watch = runtime.LoopWatch(asyncio.get_running_loop(), 0.0, lambda: now[0], 0.0)
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


class Handlers:
    """The attributes of a server's service that a watch uses."""

    def __init__(self):
        self.handlers = 0
        self.loop_asleep = False
        self.loop_watch = None


class Timers:
    """A loop whose time the test sets; ``due`` is the one timer that is set."""

    def __init__(self):
        self.now = 0.0
        self.due = 0.0
        self.run = None

    def time(self):
        return self.now

    def call_at(self, due, run):
        self.due, self.run = due, run
        return self

    def cancel(self):
        self.run = None

    def fire(self, late=0.0):
        self.now = self.due + late
        self.run()


@pytest.fixture
def watched(fresh):
    loop, user = Timers(), Handlers()
    watch = runtime.LoopWatch(loop)
    watch.add(user)
    yield loop, user, watch
    watch.remove(user)
    assert (loop.run, user.loop_asleep, user.loop_watch) == (None, False, None)


def lags():
    histogram = counters.collect().histograms[counters.histogram_index("loop_lag")]
    return sum(histogram.counts), histogram.max


def busy_s():
    return counters.collect().value("loop_busy_ns") * 1e-9


def test_an_idle_loop_is_woken_seldom(watched):
    loop, user, watch = watched
    assert (loop.due, user.loop_asleep, user.loop_watch) == (0.1, True, watch)
    loop.fire()
    assert (round(loop.due, 3), user.loop_asleep, lags()) == (0.2, True, (1, 0.0))


def test_handlers_that_wait_are_watched_closely(watched):
    loop, user, watch = watched
    user.handlers = 1
    watch.wake()
    for _ in range(3):
        assert (round(loop.due - loop.now, 3), user.loop_asleep) == (0.01, False)
        loop.fire()
    loop.fire(late=0.19)
    assert lags() == (4, pytest.approx(0.19))
    assert busy_s() >= 0.189
    user.handlers = 0
    loop.fire()
    assert (round(loop.due - loop.now, 3), user.loop_asleep) == (0.1, True)


def test_what_first_steps_took_is_told_once(watched):
    loop, _, watch = watched
    loop.now = 0.25
    watch.blocked(0.2)
    # The timer of 0.1 s has been late only since the handlers ended.
    loop.now = 0.251
    loop.run()
    assert lags() == (2, 0.2)
    assert 0.199 <= busy_s() < 0.25


def test_servers_of_one_loop_share_a_watch():
    async def main():
        loop = asyncio.get_running_loop()
        watch, first, second = runtime.watch_loop(loop), Handlers(), Handlers()
        watch.add(first)
        watch.add(second)
        assert runtime.watch_loop(loop) is watch
        watch.remove(first)
        assert runtime.watch_loop(loop) is watch
        watch.remove(second)
        assert runtime._loop_watches == {}

    asyncio.run(main())
