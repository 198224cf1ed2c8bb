"""From counters to points: every value, cumulative and delta, with exemplars."""

import pytest
from opentelemetry.sdk.metrics import Counter, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from h2o_otel import counters
from h2o_otel.counters import Counters, HistogramValue, Snapshot
from h2o_otel.telemetry import _sdk_metrics, metrics
from h2o_otel.telemetry.catalogue import INSTRUMENTS, by_name
from h2o_otel.telemetry.metrics import Observables, Producer, attributes_of, read

CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
DELTAS = {Counter: DELTA, HistogramInstrument: DELTA}


@pytest.fixture(autouse=True)
def used(monkeypatch):
    """Set the components in use, which other tests have changed."""
    monkeypatch.setattr(counters, "_feeders", {"client", "server", "loop"})


@pytest.fixture
def block():
    return Counters()


@pytest.fixture
def producer(block):
    def collect():
        snapshot = Snapshot()
        snapshot.add_block(block)
        return snapshot

    return Producer(collect, process=False)


def metric(scopes, name):
    (scope,) = scopes
    (found,) = [m for m in scope.metrics if m.name == name]
    return found


def points(data):
    return {tuple(p.attributes.values()): p for p in data.data_points}


def reader(preferred=None):
    return _sdk_metrics.counting_reader_class(InMemoryMetricReader)(preferred)


def test_counter_becomes_a_cumulative_sum(block, producer):
    block.add("io_transferred", counters.SERVER * 2 + counters.SEND, 70)
    found = metric(producer.produce(), "h2o.io.transferred")
    assert (found.unit, found.data.is_monotonic, found.data.aggregation_temporality) == ("By", True, CUMULATIVE)
    assert [(p.attributes, p.value) for p in found.data.data_points] == [
        ({"h2o.role": "client", "network.io.direction": "transmit"}, 0),
        ({"h2o.role": "client", "network.io.direction": "receive"}, 0),
        ({"h2o.role": "server", "network.io.direction": "transmit"}, 70),
        ({"h2o.role": "server", "network.io.direction": "receive"}, 0),
    ]


def test_large_families_leave_zeros_out(block, producer):
    block.add("frames", 0, 3)
    data = metric(producer.produce(), "h2o.frames").data
    assert [(p.attributes, p.value) for p in data.data_points] == [
        ({"h2o.role": "client", "network.io.direction": "transmit", "h2o.frame.type": "DATA"}, 3)
    ]


def test_updowncounter_and_gauge(block, producer):
    block.add("stream_active", counters.SERVER, 4)
    block.add("hpack_table_size", 3, 900)
    scopes = producer.produce()
    active = metric(scopes, "h2o.stream.active").data
    assert not active.is_monotonic
    assert points(active)[("server",)].value == 4
    table = metric(scopes, "h2o.hpack.table.size").data
    assert type(table).__name__ == "Gauge"
    assert points(table)[("server", "receive")].value == 900


def test_nanoseconds_become_seconds(block, producer):
    block.add("loop_busy_ns", 0, 2_500_000_000)
    (point,) = metric(producer.produce(), "h2o.loop.busy").data.data_points
    assert point.value == pytest.approx(2.5)


def test_histogram_point_in_full(block, producer):
    histogram = block.histogram("ping_rtt", counters.CLIENT)
    histogram.record(0.003)
    histogram.record(0.2)
    histogram.exemplars = {14: (0.2, 1_700_000_000_000_000_000, 0xABC, 0xDEF)}
    found = metric(producer.produce(), "h2o.ping.rtt")
    point = points(found.data)[("client",)]
    assert found.unit == "s"
    assert found.data.aggregation_temporality is CUMULATIVE
    assert (point.count, point.sum, point.min, point.max) == (2, pytest.approx(0.203), 0.003, 0.2)
    assert point.explicit_bounds == counters.MICRO_S
    assert sum(point.bucket_counts) == 2
    assert len(point.bucket_counts) == len(counters.MICRO_S) + 1
    (exemplar,) = point.exemplars
    assert (exemplar.value, exemplar.time_unix_nano, exemplar.trace_id, exemplar.span_id) == (0.2, 1_700_000_000_000_000_000, 0xABC, 0xDEF)


def test_labelled_families_have_typed_attributes(block, producer):
    block.labelled_histogram("http_server_request_duration", ("GET", "https", "200", "", "2", "")).record(0.1)
    (point,) = metric(producer.produce(), "http.server.request.duration").data.data_points
    assert point.attributes == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "http.response.status_code": 200,
        "network.protocol.version": "2",
    }


def test_overflow_labels_stay_text():
    instrument = by_name["http.client.request.duration"]
    assert attributes_of(instrument, ("other",) * 6)["server.port"] == "other"


def test_boolean_attributes():
    assert attributes_of(by_name["h2o.priority.streams"], ("3", "true")) == {"h2o.priority.urgency": 3, "h2o.priority.incremental": True}


def test_every_instrument_with_a_family_is_read(block):
    snapshot = Snapshot()
    snapshot.add_block(block)
    assert set(read(snapshot)) == {i.name for i in INSTRUMENTS if i.family}


def test_start_time_stays(producer):
    first = metric(producer.produce(), "h2o.loop.busy").data.data_points[0]
    second = metric(producer.produce(), "h2o.loop.busy").data.data_points[0]
    assert first.start_time_unix_nano == second.start_time_unix_nano
    assert first.start_time_unix_nano <= first.time_unix_nano <= second.time_unix_nano


def test_delta_subtracts_what_the_reader_saw_last(block, producer):
    mine, other = reader(DELTAS), reader()
    block.add("frame_padding", 0, 5)
    first = metric(producer.produce(mine), "h2o.frame.padding").data
    block.add("frame_padding", 0, 7)
    second = metric(producer.produce(mine), "h2o.frame.padding").data
    assert (first.aggregation_temporality, points(first)[("transmit",)].value) == (DELTA, 5)
    assert points(second)[("transmit",)].value == 7
    assert second.data_points[0].start_time_unix_nano == first.data_points[0].time_unix_nano
    assert points(metric(producer.produce(other), "h2o.frame.padding").data)[("transmit",)].value == 12


def test_delta_leaves_updowncounters_cumulative(block, producer):
    mine = reader(DELTAS)
    block.add("stream_active", 0, 4)
    producer.produce(mine)
    data = metric(producer.produce(mine), "h2o.stream.active").data
    assert (data.aggregation_temporality, points(data)[("client",)].value) == (CUMULATIVE, 4)


def test_delta_histogram(block, producer):
    mine = reader(DELTAS)
    histogram = block.histogram("ping_rtt", counters.CLIENT)
    histogram.record(0.3)
    histogram.exemplars = {15: (0.3, 1, 2, 3)}
    producer.produce(mine)
    histogram.record(0.003)
    histogram.exemplars[12] = (0.003, 4, 5, 6)
    point = points(metric(producer.produce(mine), "h2o.ping.rtt").data)[("client",)]
    assert (point.count, point.sum) == (1, pytest.approx(0.003))
    assert point.min == 0.003
    assert point.max == 0.005
    assert [(e.value, e.trace_id) for e in point.exemplars] == [(0.003, 5)]


def test_delta_has_no_point_for_what_did_not_change(block, producer):
    mine = reader(dict.fromkeys((Counter, HistogramInstrument, UpDownCounter), DELTA))
    block.add("frame_padding", 0, 5)
    block.add("stream_active", counters.SERVER, 1)
    block.histogram("ping_rtt", counters.CLIENT).record(0.3)
    block.labelled_histogram("http_server_request_duration", ("GET", "https", "200", "", "2", "")).record(0.1)
    changed = {"h2o.frame.padding", "h2o.stream.active", "h2o.ping.rtt", "http.server.request.duration"}
    assert temporal(producer.produce(mine)) == changed
    assert temporal(producer.produce(mine)) == set()
    block.histogram("ping_rtt", counters.SERVER).record(0.1)
    (second,) = [m for m in producer.produce(mine)[0].metrics if m.name == "h2o.ping.rtt"]
    assert set(points(second.data)) == {("server",)}


def temporal(scopes):
    """The names of what was exported, gauges left out."""
    (scope,) = scopes
    return {m.name for m in scope.metrics if by_name[m.name].kind != "gauge"}


def test_a_histogram_that_was_never_recorded_has_no_point(producer):
    assert not [m for m in producer.produce()[0].metrics if by_name[m.name].kind == "histogram"]


def test_a_count_of_0_has_no_minimum_and_no_maximum():
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    point = metrics._histogram_point(by_name["h2o.ping.rtt"], {}, HistogramValue([0] * 17, 0.0, 0.0, 0.0, {}), 1, 2)
    assert (point.count, point.min, point.max) == (0, None, None)
    found = Metric("h2o.ping.rtt", "", "s", Histogram([point], CUMULATIVE))
    scope = ScopeMetrics(InstrumentationScope("h2o_otel"), [found], "")
    encoded = encode_metrics(MetricsData([ResourceMetrics(Resource.get_empty(), [scope], "")]))
    (sent,) = encoded.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points
    assert (sent.HasField("min"), sent.HasField("max"), sent.HasField("sum")) == (False, False, True)


@pytest.mark.parametrize("used", [set(), {"client"}, {"client", "server", "loop", "tls"}])
def test_zeros_of_what_nothing_feeds_are_not_exported(producer, monkeypatch, used):
    monkeypatch.setattr(counters, "_feeders", used)
    (scope,) = producer.produce()
    found = {m.name: {p.attributes.get("h2o.role") for p in m.data.data_points} for m in scope.metrics if m.name in by_name}
    assert ("h2o.loop.busy" in found, "h2o.tls.records" in found, "h2o.asgi.wait" in found) == (
        "loop" in used,
        "tls" in used,
        "server" in used,
    )
    assert found.get("h2o.stream.active", set()) == used & {"client", "server"}
    assert "h2o.frame.padding" in found


def test_reader_appends_our_scope_to_the_applications(producer, block):
    mine = reader()
    mine.h2o_produce = producer.produce
    provider = MeterProvider([mine], shutdown_on_exit=False)
    provider.get_meter("app").create_counter("app.things").add(3)
    block.add("frame_padding", 0, 5)
    (resource,) = mine.get_metrics_data().resource_metrics
    names = {scope.scope.name: {m.name for m in scope.metrics} for scope in resource.scope_metrics}
    assert set(names) == {"app", "h2o_otel"}
    assert names["app"] == {"app.things"}
    assert "h2o.frame.padding" in names["h2o_otel"]
    provider.shutdown()


def test_without_any_instrument_the_sdk_collects_nothing_but_build_info_makes_it(producer):
    mine = reader()
    mine.h2o_produce = producer.produce
    provider = MeterProvider([mine], shutdown_on_exit=False)
    assert mine.get_metrics_data() is None
    metrics.register_build_info(provider.get_meter("h2o_otel"))
    (resource,) = mine.get_metrics_data().resource_metrics
    assert len(resource.scope_metrics) == 2
    provider.shutdown()


def test_producer_that_fails_keeps_the_applications_metrics(monkeypatch, caplog):
    def broken():
        raise RuntimeError("boom")

    mine = reader()
    mine.h2o_produce = Producer(broken).produce
    provider = MeterProvider([mine], shutdown_on_exit=False)
    provider.get_meter("app").create_counter("app.things").add(3)
    with pytest.raises(RuntimeError, match="boom"):
        mine.collect()
    monkeypatch.setattr("h2o_otel.telemetry.failures._raise", False)
    monkeypatch.setattr("h2o_otel.telemetry.failures._logged", set())
    for _ in range(2):
        (resource,) = mine.get_metrics_data().resource_metrics
        assert [scope.scope.name for scope in resource.scope_metrics] == ["app"]
    assert [r.getMessage() for r in caplog.records if r.name == "h2o_otel.telemetry"] == [
        "telemetry: collecting metrics failed; no request is affected, and this is logged once"
    ]
    provider.shutdown()


def test_collecting_costs_itself_a_counter(fresh):
    producer = Producer()
    producer.produce()
    assert counters.collect().value("telemetry_time_ns", "collect") > 0


def test_process_instruments_are_read():
    names = {m.name for m in Producer(Snapshot).produce()[0].metrics}
    expected = {i.name for i in INSTRUMENTS if i.source == "read"} - {"h2o.build.info"}
    assert expected <= names


def test_observables_give_the_same_numbers(block, producer):
    plain = InMemoryMetricReader()
    provider = MeterProvider([plain], shutdown_on_exit=False)
    observables = Observables(provider.get_meter("h2o_otel"), producer)
    block.add("io_transferred", 2, 70)
    found = {m.name: m for m in plain.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics}
    assert points(found["h2o.io.transferred"].data)[("server", "transmit")].value == 70
    assert not [name for name in found if by_name[name].kind == "histogram"]
    observables.enabled = False
    assert plain.get_metrics_data() is None
    provider.shutdown()


@pytest.mark.parametrize(("chosen", "kept"), [("trace_based", 1), ("always_off", 0)])
def test_the_environments_exemplar_filter_holds(block, monkeypatch, chosen, kept):
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", chosen)
    duration = block.labelled_histogram("http_server_request_duration", ("GET", "https", "200", "", "2", ""))
    duration.exemplars = {duration.record(0.1): (0.1, 1, 2, 3)}
    snapshot = Snapshot()
    snapshot.add_block(block)
    (point,) = metric(Producer(lambda: snapshot, process=False).produce(), "http.server.request.duration").data.data_points
    assert (point.count, len(point.exemplars)) == (1, kept)
