"""The budget: what is added up, when it presses, and what the engine does then."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.errors import ErrorCode
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.memory.budget import CONNECTION_BYTES, QUEUES, REFUSE, RELAXED, SHRINK, STREAM_BYTES, Budget, local_budget, others_bytes
from h2o_otel.tuning import Tuning
from tests.support.engine import Peer, serving
from tests.support.wire import data, headers, request_block, rst_stream, window_update

MIB = 1_048_576


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests' connections are not this process's load."""
    monkeypatch.setattr(counters, "blocks", list)


def snapshot(peer: Peer) -> Snapshot:
    found = Snapshot()
    found.add_block(peer.block)
    return found


@pytest.mark.parametrize(("used", "level"), [(0, RELAXED), (749, RELAXED), (750, SHRINK), (899, SHRINK), (900, REFUSE), (5000, REFUSE)])
def test_levels(used: int, level: int) -> None:
    block = Counters()
    budget = Budget(block, 1000)
    block.add("memory_usage", QUEUES, used)
    assert budget.check(1.0) == budget.level == level
    assert budget.used_bytes == used


def test_no_bound_never_presses() -> None:
    block = Counters()
    block.add("memory_usage", QUEUES, 10**15)
    assert Budget(block).check(1.0) == RELAXED


def test_other_threads_count(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = Counters(), Counters()
    monkeypatch.setattr(counters, "blocks", lambda: [mine, other])
    other.add("memory_usage", QUEUES, 900)
    assert others_bytes(mine) == 900
    budget = Budget(mine, 1000)
    assert budget.check(10.0) == REFUSE
    other.add("memory_usage", QUEUES, -900)
    assert budget.check(10.1) == REFUSE  # read a moment ago
    assert budget.check(10.3) == RELAXED


def test_one_budget_for_a_thread() -> None:
    block = Counters()
    assert local_budget(block, 1000, 75, 90) is local_budget(block, 1000, 75, 90)
    assert local_budget(block, 2000, 75, 90).bytes_max == 2000
    found: list[Budget] = []
    thread = threading.Thread(target=lambda: found.append(local_budget(block, 2000, 75, 90)))
    thread.start()
    thread.join()
    assert found[0] is not local_budget(block, 2000, 75, 90)


def test_connection_accounts_for_streams_tables_and_queues() -> None:
    server, peer = serving()
    idle = CONNECTION_BYTES + server.decoder.table.size
    assert server.memory_bytes == idle
    peer.sends(headers(1, request_block(b"GET", b"/", (b"x-a", b"y" * 100)), end_stream=False), data(1, b"z" * 5000))
    seen = snapshot(peer)
    assert seen.value("memory_usage", "queues") == 5000
    assert seen.value("memory_usage", "streams") == STREAM_BYTES + server.streams[1].fields_bytes
    assert server.streams[1].fields_bytes > 100 + 32
    assert seen.value("memory_usage", "hpack") == server.decoder.table.size
    assert server.memory_bytes == sum(seen.value("memory_usage", name) for name in ("connections", "streams", "hpack", "queues"))
    server.credit(server.streams[1], 5000, peer.now)
    server.send_response(server.streams[1], 200, [], False, peer.now)
    server.send_data(server.streams[1], b"q" * 100_000, True, peer.now)
    server.data_to_send()
    assert snapshot(peer).value("memory_usage", "queues") == 100_000 - 65_535
    peer.sends(rst_stream(1, ErrorCode.CANCEL))
    assert server.memory_bytes == CONNECTION_BYTES + server.decoder.table.size + server.encoder.table.size
    server.connection_lost(None, peer.now)
    seen = snapshot(peer)
    assert [seen.value("memory_usage", name) for name in ("connections", "streams", "hpack", "queues")] == [0, 0, 0, 0]
    assert server.memory_bytes == 0


def test_streams_are_refused_while_memory_is_short() -> None:
    _, peer = serving(replace(SERVER_LIMITS, memory_process_bytes_max=MIB))
    peer.block.add("memory_usage", QUEUES, MIB)
    peer.sends(data_free := window_update(0, 1))
    peer.sends(headers(1, request_block(), end_stream=True), headers(3, request_block(), end_stream=False))
    peer.sees()
    peer.gets(rst_stream(1, ErrorCode.REFUSED_STREAM), rst_stream(3, ErrorCode.REFUSED_STREAM))
    assert snapshot(peer).value("memory_sheds", "refuse_stream") == 2
    assert snapshot(peer).value("streams", "server", "refused") == 2
    assert not peer.counted("frame_errors")
    # What was under way on a refused stream is no fault, and the connection lives on.
    peer.sends(data(3, b"late", end_stream=True))
    peer.block.add("memory_usage", QUEUES, -MIB)
    peer.sends(data_free)
    peer.forget()
    peer.sends(headers(5, request_block(), end_stream=True))
    peer.sees("request 5 end")


def test_one_connection_has_a_bound_of_its_own() -> None:
    server, peer = serving(replace(SERVER_LIMITS, memory_connection_bytes_max=MIB))
    peer.sends(headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    server.send_data(server.streams[1], b"x" * 2 * MIB, True, peer.now)
    peer.forget()
    peer.sends(headers(3, request_block(), end_stream=True))
    peer.gets(rst_stream(3, ErrorCode.REFUSED_STREAM))


def test_window_shrinks_under_pressure_and_grows_back() -> None:
    server, peer = serving(replace(SERVER_LIMITS, memory_process_bytes_max=100 * MIB))
    full = server.recv_target
    peer.sends(headers(1, request_block(), end_stream=False))
    stream = server.streams[1]
    peer.block.add("memory_usage", QUEUES, 80 * MIB)
    sent = 0
    for _ in range(64):
        peer.sends(data(1, b"x" * 16_384))
        sent += 16_384
        server.credit(stream, 16_384, peer.now)
        assert server.recv_window + server.recv_uncredited == server.recv_target
        peer.forget()
    assert server.recv_target == 65_535
    assert server.window_withheld == full - 65_535
    seen = snapshot(peer)
    assert seen.value("memory_sheds", "shrink_window") == 1
    assert seen.value("memory_sheds", "refuse_stream") == 0
    peer.block.add("memory_usage", QUEUES, -80 * MIB)
    for _ in range(2):
        peer.sends(data(1, b"x" * 16_384))
        server.credit(stream, 16_384, peer.now)
    assert server.recv_target == full
    assert server.window_withheld == 0
    assert server.recv_window + server.recv_uncredited == full


def test_switched_off() -> None:
    server, peer = serving(replace(SERVER_LIMITS, memory_process_bytes_max=MIB), tuning=Tuning(memory_budget=False))
    peer.block.add("memory_usage", QUEUES, MIB)
    peer.sends(window_update(0, 1))
    peer.sends(headers(1, request_block(), end_stream=True))
    peer.sees("request 1 end")
    assert server.budget is None
    assert server.memory_bytes == 0
