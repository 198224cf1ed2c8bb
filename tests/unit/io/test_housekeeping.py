"""What a loop gives back: idle buffers after a quiet time, idle connections while memory is short."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from h2o_otel import counters
from h2o_otel.buffers.pool import OUTPUT, local_pool, local_pools
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.io.driver import Driver
from h2o_otel.io.memory import VirtualLoop, pair
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits
from h2o_otel.memory.budget import QUEUES
from h2o_otel.memory.heap import Heap
from h2o_otel.tuning import Tuning
from tests.support.ends import client_driver, server_driver

MIB = 1_048_576
POST = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"test"), (b":path", b"/1")]


class Ends:
    """A client and a server joined by memory, on counters of their own."""

    def __init__(self, limits: EngineLimits = SERVER_LIMITS, tuning: Tuning | None = None) -> None:
        self.loop = VirtualLoop()
        self.block = Counters()
        self.server_driver, _ = server_driver(self.loop, block=self.block, limits=limits, tuning=tuning)
        self.client_driver, self.client = client_driver(self.loop, block=self.block, tuning=tuning)
        pair(self.loop, self.client_driver, self.server_driver)
        self.loop.run()

    def counted(self, family: str, *labels: str) -> int:
        snapshot = Snapshot()
        snapshot.add_block(self.block)
        return snapshot.value(family, *labels)


@pytest.fixture
def fresh() -> None:
    counters._reset_after_fork()
    for pool in local_pools():
        pool.trim()


def test_idle_buffers_are_dropped_after_a_quiet_time(fresh: None) -> None:
    ends = Ends()
    pool = local_pool(ends.client_driver.counters)
    held = [pool.acquire(100_000, OUTPUT) for _ in range(3)]
    for buffer in held:
        pool.release(buffer)
    ends.client.ask()
    ends.loop.run()
    assert pool.cached_bytes >= 3 * 262_144
    for _ in range(4):
        ends.loop.advance(SERVER_LIMITS.buffer_quiet_s)
    assert pool.cached_bytes == 0
    timers = ends.loop.timers
    ends.loop.advance(2 * SERVER_LIMITS.buffer_quiet_s)
    assert ends.loop.timers == timers
    assert ends.loop.housekeeper.resting


@pytest.mark.parametrize("trimming", [True, False])
def test_idle_connections_give_back_what_they_can_make_again(fresh: None, trimming: bool) -> None:
    ends = Ends(tuning=replace(Tuning(), memory_trimming=trimming))
    ends.client.ask()
    ends.loop.run()
    ends.loop.advance(SERVER_LIMITS.buffer_quiet_s / 2)
    server = ends.server_driver.connection
    before = sys.getsizeof(server.streams)
    assert before > sys.getsizeof({})
    for _ in range(3):
        ends.loop.advance(SERVER_LIMITS.buffer_quiet_s)
    assert sys.getsizeof(server.streams) == (sys.getsizeof({}) if trimming else before)
    assert ends.loop.housekeeper.resting
    # It serves as before.
    ends.client.ask()
    ends.loop.run()
    assert server.requests == 2
    assert sys.getsizeof(server.streams) == before


def test_open_streams_keep_no_timer(fresh: None) -> None:
    ends = Ends()
    ends.client_driver.connection.send_request(POST, False, ends.loop.now(), None)
    ends.client_driver.wake()
    ends.loop.run()
    assert ends.server_driver.connection.streams
    for _ in range(4):
        ends.loop.advance(SERVER_LIMITS.buffer_quiet_s)
    assert ends.loop.housekeeper.resting


def test_last_connection_takes_the_timer_along(fresh: None) -> None:
    ends = Ends()
    ends.client.ask()
    ends.loop.run()
    assert not ends.loop.housekeeper.resting
    ends.client_driver.close()
    ends.loop.run()
    ends.loop.advance(2.0)
    assert ends.loop.housekeeper.drivers == {}
    assert ends.loop.timers == 0


def grown_heap() -> tuple[Heap, list[int]]:
    """100 MiB of a process of 150 are free; what is left after each release."""
    left: list[int] = []
    sizes = [50 * MIB]

    def release() -> None:
        sizes.append(60 * MIB)
        left.append(sizes[-1])

    heap = Heap(lambda: sizes[-1], lambda: 100 * MIB, release, lambda n: None)
    sizes.append(150 * MIB)
    return heap, left


def test_heap_is_trimmed_in_the_course_of_work(fresh: None) -> None:
    ends = Ends()
    ends.loop.housekeeper.heap, left = grown_heap()
    for _ in range(3):
        ends.client.ask()
        ends.loop.run()
        ends.loop.advance(SERVER_LIMITS.buffer_quiet_s)
    assert left == [60 * MIB]


def test_heap_is_trimmed_after_the_last_connection(fresh: None) -> None:
    ends = Ends()
    ends.client.ask()
    ends.loop.run()
    ends.client_driver.close()
    ends.loop.housekeeper.heap, left = grown_heap()
    ends.loop.run()
    assert left == []
    ends.loop.advance(SERVER_LIMITS.buffer_quiet_s)
    assert left == [60 * MIB]
    assert ends.loop.timers == 0


def test_the_heap_of_a_client_is_left_alone(fresh: None) -> None:
    loop = VirtualLoop()
    keeper = loop.housekeeper
    keeper.heap, left = grown_heap()
    driver, _ = client_driver(loop)
    keeper.join(driver, CLIENT_LIMITS, Tuning())
    keeper.stir()
    loop.advance(2 * CLIENT_LIMITS.buffer_quiet_s)
    keeper.leave(driver)
    loop.advance(2 * CLIENT_LIMITS.buffer_quiet_s)
    assert left == []


@pytest.mark.parametrize(("tuning", "kept"), [(Tuning(), [CLIENT_LIMITS.heap_free_bytes_max]), (Tuning(memory_heap_kept=False), [])])
def test_the_heap_keeps_what_bodies_need_again(fresh: None, tuning: Tuning, kept: list[int]) -> None:
    loop = VirtualLoop()
    held: list[int] = []
    loop.housekeeper.heap = Heap(lambda: 0, lambda: 0, lambda: None, held.append)
    for _ in range(2):
        driver, _ = client_driver(loop)
        loop.housekeeper.join(driver, CLIENT_LIMITS, tuning)
    assert held == kept


def test_idle_connections_go_when_memory_is_short(fresh: None) -> None:
    limits = replace(SERVER_LIMITS, memory_process_bytes_max=100 * MIB)
    ends = Ends(limits)
    ends.client.ask()
    ends.loop.run()
    block = ends.server_driver.counters
    block.add("memory_usage", QUEUES, 95 * MIB)
    ends.client.ask()
    ends.loop.run()
    ends.loop.advance(1.5)
    block.add("memory_usage", QUEUES, -95 * MIB)
    assert ends.counted("memory_sheds") >= 1
    assert ends.server_driver.closing
    assert ends.client_driver.closed or ends.client_driver.connection.goaway_received


def test_idle_connections_stay_when_it_is_not(fresh: None) -> None:
    ends = Ends(replace(SERVER_LIMITS, memory_process_bytes_max=100 * MIB))
    ends.client.ask()
    ends.loop.run()
    ends.loop.advance(3.0)
    assert ends.counted("memory_sheds") == 0
    assert not ends.server_driver.closing


HALF = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00half"


def arrives(ends: Ends, octets: bytes) -> None:
    view = ends.server_driver.get_buffer(-1)
    view[: len(octets)] = octets
    ends.server_driver.buffer_updated(len(octets))


def test_rest_of_a_frame_lies_in_a_pooled_block(fresh: None) -> None:
    ends = Ends()
    arrives(ends, HALF)
    assert ends.counted("buffer_pool_in_use", "tail") == 256
    assert ends.counted("buffer_pool_requested", "tail") == len(HALF)
    # A read may be announced and not come.
    ends.server_driver.get_buffer(-1)
    arrives(ends, b"rest")
    assert ends.counted("buffer_pool_in_use", "tail") == 0
    ends.loop.run()
    assert ends.counted("frames", "client", "receive", "PING") == 1


def test_kept_rest_that_grows_takes_a_larger_block(fresh: None) -> None:
    ends = Ends()
    frame = b"\x00\x10\x00\xf0\x00\x00\x00\x00\x00" + bytes(4096)
    for start in range(0, len(frame), 100):
        arrives(ends, frame[start : start + 100])
    assert ends.counted("buffer_pool_in_use", "tail") == 0
    assert ends.counted("frames", "server", "receive", "UNKNOWN") == 1


@pytest.mark.parametrize("end", ["close", "abort"])
def test_kept_rest_goes_with_the_connection(fresh: None, end: str) -> None:
    ends = Ends()
    arrives(ends, HALF)
    getattr(ends.server_driver, end)()
    ends.loop.run()
    ends.loop.advance(3.0)
    assert ends.counted("buffer_pool_in_use") == 0
    assert ends.counted("buffer_pool_leaked") == 0


def test_fresh_receive_buffers_where_reuse_is_off(fresh: None) -> None:
    loop = VirtualLoop()
    block = Counters()
    driver, _ = server_driver(loop, block=block)
    plain = Driver(loop, SERVER_LIMITS, lambda d: None, role=counters.SERVER, block=block, tuning=Tuning(buffer_reuse=False))
    first = driver.get_buffer(-1).obj
    assert driver.get_buffer(-1).obj is first
    assert plain.get_buffer(-1).obj is not first
