from __future__ import annotations

import os
import threading

import pytest

from h2o_otel import counters
from h2o_otel.counters import LABELLED_KEYS_MAX, LAYERS, SLOTS, Counters, Histogram, Snapshot, Trace
from tests.support.faults import for_each


def read(block: Counters) -> Snapshot:
    snapshot = Snapshot()
    snapshot.add_block(block)
    return snapshot


def test_tally_is_the_counter_of_its_key() -> None:
    block = Counters()
    block.count("tls_alpn", ("client", "h2"), 2)
    tally = block.tally("tls_alpn", ("client", "h2"))
    tally.n += 3
    block.count("tls_alpn", ("client", "h2"))
    assert block.tally("tls_alpn", ("client", "h2")) is tally
    assert block.read_labelled()["tls_alpn"] == {("client", "h2"): 6}
    for i in range(counters.LABELLED_KEYS_MAX + 1):
        block.count("tls_alpn", ("client", str(i)))
    block.tally("tls_alpn", ("client", "one more")).n += 5
    assert block.read_labelled()["tls_alpn"]["other", "other"] == 7


def test_last_dimension_varies_fastest() -> None:
    block = Counters()
    block.add("frames", (counters.SERVER * 2 + counters.RECV) * len(counters.FRAME_TYPES) + 6, 5)
    snapshot = read(block)
    assert snapshot.value("frames", "server", "receive", "PING") == 5
    assert snapshot.value("frames", "client", "receive", "PING") == 0
    assert snapshot.value("frames") == sum(snapshot.slots) == 5


def test_families_do_not_overlap() -> None:
    block = Counters()
    for name in SLOTS:
        block.add(name, 0, 1)
    assert len(block.read_slots()) == counters._SLOTS_USED
    assert sum(block.read_slots()) == len(SLOTS)
    assert set(block.read_slots()) <= {0, 1}


def test_unknown_family() -> None:
    with pytest.raises(KeyError):
        counters.slot("nothing")
    with pytest.raises(KeyError):
        Counters().count("nothing", ("a",))


@pytest.mark.parametrize(
    ("value", "bucket"), [(0.0, 0), (1.0, 0), (1.5, 1), (2.0, 1), (10.0, 2), (10.1, 3), (float("inf"), 3), (float("nan"), 0)]
)
def test_bucket_of_a_value(value: float, bucket: int) -> None:
    assert Histogram((1.0, 2.0, 10.0)).record(value) == bucket


@for_each("before", [0.5, 1.0, 1.5, 2.0, 5.0, 10.0, 99.0, float("nan")])
@for_each("value, bucket", [(-1.0, 0), (1.0, 0), (1.5, 1), (2.0, 1), (10.0, 2), (10.1, 3), (float("inf"), 3), (float("nan"), 0)])
def test_bucket_of_a_value_after_another(before: float, value: float, bucket: int) -> None:
    histogram = Histogram((1.0, 2.0, 10.0))
    histogram.record(before)
    assert [histogram.record(value), histogram.record(value)] == [bucket, bucket]


def test_histogram_sums_up() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.5, 1.5, 9.0):
        histogram.record(value)
    assert histogram.read() == ([1, 2, 1], 12.5, 0.5, 9.0)


def test_labelled_keys_are_bounded() -> None:
    block = Counters()
    for n in range(LABELLED_KEYS_MAX + 10):
        block.count("frame_errors", ("server", f"rule{n}"))
    snapshot = read(block)
    assert len(snapshot.labelled["frame_errors"]) == LABELLED_KEYS_MAX + 1
    assert snapshot.value("frame_errors", "other", "other") == 10
    assert snapshot.value("frame_errors") == LABELLED_KEYS_MAX + 10


def test_labelled_histograms_are_bounded() -> None:
    block = Counters()
    for n in range(LABELLED_KEYS_MAX + 10):
        block.labelled_histogram("connection_duration", ("client", "2", str(n))).record(1.0)
    family = read(block).labelled_histograms["connection_duration"]
    assert len(family) == LABELLED_KEYS_MAX + 1
    assert sum(family["other", "other", "other"].counts) == 10


def test_same_labelled_histogram_again() -> None:
    block = Counters()
    assert block.labelled_histogram("connection_duration", ("a", "2", "")) is block.labelled_histogram(
        "connection_duration", ("a", "2", "")
    )


def test_trace_marks_in_order_and_bounded() -> None:
    trace = Trace()
    for n in range(50):
        trace.mark(n % len(LAYERS), n, n + 1)
    marks = trace.marks()
    assert (len(marks), trace.dropped) == (48, 2)
    assert marks[1] == ("h2o.hpack.decode", 1, 2)


def test_snapshots_add_up() -> None:
    one, two = Counters(), Counters()
    for block in (one, two):
        block.add("connection_active", counters.SERVER, 1)
        block.count("frame_errors", ("server", "x"))
        block.histogram("loop_lag").record(0.001)
        block.labelled_histogram("connection_duration", ("server", "2", "")).record(1.0)
    total = read(one)
    total.add(read(two))
    assert total.value("connection_active", "server") == total.value("frame_errors", "server", "x") == 2
    assert sum(total.histograms[counters.histogram_index("loop_lag")].counts) == 2
    assert sum(total.labelled_histograms["connection_duration"]["server", "2", ""].counts) == 2


def test_block_of_a_thread() -> None:
    seen = []
    thread = threading.Thread(target=lambda: seen.append(counters.local()))
    thread.start()
    thread.join()
    assert counters.local() is counters.local()
    assert seen[0] is not counters.local()


def test_ended_threads_stay_in_the_sum() -> None:
    before = counters.collect().value("io_pauses", "server")

    def work() -> None:
        counters.local().add("io_pauses", counters.SERVER, 3)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
        assert counters.collect().value("io_pauses", "server") >= before + 3
    assert counters.collect().value("io_pauses", "server") == before + 6
    # Others, of other tests, may end at any time.
    assert not {thread for thread, _ in counters._live} & set(threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_starts_from_nothing() -> None:
    counters.local().add("io_pauses", counters.SERVER, 1)
    child = os.fork()
    if child == 0:
        os._exit(0 if counters.collect().value("io_pauses") == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert counters.collect().value("io_pauses") >= 1


def test_connection_counters_return_to_zero() -> None:
    from tests.support.engine import serving
    from tests.support.wire import data, headers, request_block

    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), data(1, b"x" * 100), headers(3, request_block()))
    snapshot = read(peer.block)
    assert snapshot.value("stream_active", "server") == 2
    assert snapshot.value("flow_control_unread", "server") == 100
    assert snapshot.value("connection_active", "server") == 1
    server.connection_lost(None, peer.now)
    snapshot = read(peer.block)
    for gauge in ("stream_active", "flow_control_unread", "connection_active", "hpack_table_size", "hpack_table_capacity"):
        assert snapshot.value(gauge) == 0
    assert snapshot.value("streams", "server", "conn_lost") == 2
