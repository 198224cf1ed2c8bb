"""The scrape endpoint: what Prometheus reads is what the catalogue says."""

import urllib.request

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from h2o_otel import counters
from h2o_otel.counters import Counters, Snapshot
from h2o_otel.telemetry import _sdk_metrics
from h2o_otel.telemetry.catalogue import INSTRUMENTS, by_name, prometheus_label
from h2o_otel.telemetry.metrics import Producer, register_build_info
from h2o_otel.telemetry.prometheus import CountersCollector, PrometheusEndpoint


@pytest.fixture
def full():
    """A producer with something in every family."""
    block = Counters()
    for name in counters.SLOTS:
        block.add(name, 0, 3)
    for name in counters.HISTOGRAMS:
        block.histogram(name).record(1.5)
    for name, bounds in counters.LABELLED.items():
        (instrument,) = [i for i in INSTRUMENTS if i.family == name]
        key = tuple(f"v{i}" for i, _ in enumerate(instrument.attributes))
        if bounds:
            block.labelled_histogram(name, key).record(0.02)
        else:
            block.count(name, key, 7)

    def collect():
        snapshot = Snapshot()
        snapshot.add_block(block)
        return snapshot

    return Producer(collect)


def registry_of(producer):
    registry = CollectorRegistry(auto_describe=False)
    registry.register(CountersCollector(producer))
    return registry


def sample_names(families):
    return {family.name for family in families}


def test_text_holds_every_instrument(full):
    families = {f.name: f for f in text_string_to_metric_families(generate_latest(registry_of(full)).decode())}
    expected = {i.prometheus.removesuffix("_total") if i.kind == "counter" else i.prometheus for i in INSTRUMENTS}
    assert set(families) == expected - {"h2o_build_info"}
    for instrument in INSTRUMENTS:
        if instrument.name == "h2o.build.info":
            continue
        family = families[instrument.prometheus.removesuffix("_total") if instrument.kind == "counter" else instrument.prometheus]
        assert family.type == {"counter": "counter", "histogram": "histogram"}.get(instrument.kind, "gauge")
        assert family.documentation == instrument.why
        labels = {prometheus_label(a.name) for a in instrument.attributes}
        assert {frozenset(set(s.labels) - {"le"}) for s in family.samples} == {frozenset(labels)}


def test_names_are_those_of_the_stock_exporter(full):
    reader = _sdk_metrics.counting_reader_class(PrometheusMetricReader)(registry=(registry := CollectorRegistry()))
    reader.h2o_produce = full.produce
    provider = MeterProvider([reader], shutdown_on_exit=False)
    register_build_info(provider.get_meter("x"))
    stock = sample_names(text_string_to_metric_families(generate_latest(registry).decode()))
    ours = sample_names(text_string_to_metric_families(generate_latest(registry_of(full)).decode()))
    assert stock - {"target_info", "target", "h2o_build_info"} == ours
    provider.shutdown()


def test_openmetrics_carries_exemplars():
    block = Counters()
    histogram = block.labelled_histogram("http_server_request_duration", ("GET", "https", "200", "/x", "2", ""))
    histogram.record(0.02)
    histogram.exemplars = {2: (0.02, 1_700_000_000_000_000_000, 0xABC, 0xDEF)}

    def collect():
        snapshot = Snapshot()
        snapshot.add_block(block)
        return snapshot

    text = generate_openmetrics(registry_of(Producer(collect, process=False))).decode()
    (family,) = [f for f in parse_openmetrics(text) if f.name == "http_server_request_duration_seconds"]
    with_exemplar = {s.labels["le"]: s.exemplar for s in family.samples if s.exemplar is not None}
    assert list(with_exemplar) == ["0.025"]
    exemplar = with_exemplar["0.025"]
    assert exemplar.labels == {"trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}
    assert (exemplar.value, float(exemplar.timestamp)) == (0.02, 1_700_000_000.0)


def test_openmetrics_of_everything_parses(full):
    assert len(list(parse_openmetrics(generate_openmetrics(registry_of(full)).decode()))) == len(INSTRUMENTS) - 1


def test_bucket_counts_are_cumulative():
    block = Counters()
    for value in (1.0, 3.0, 1e9):
        block.histogram("connection_requests", 1).record(value)

    def collect():
        snapshot = Snapshot()
        snapshot.add_block(block)
        return snapshot

    text = generate_latest(registry_of(Producer(collect, process=False))).decode()
    lines = [line for line in text.splitlines() if line.startswith("h2o_connection_requests") and 'role="server"' in line]
    assert 'h2o_connection_requests_bucket{h2o_role="server",le="1.0"} 1.0' in lines
    assert 'h2o_connection_requests_bucket{h2o_role="server",le="4.0"} 2.0' in lines
    assert 'h2o_connection_requests_bucket{h2o_role="server",le="+Inf"} 3.0' in lines
    assert 'h2o_connection_requests_count{h2o_role="server"} 3.0' in lines


def test_endpoint_serves_on_the_loopback(full):
    endpoint = PrometheusEndpoint(full, 0)
    try:
        assert endpoint.url == f"http://127.0.0.1:{endpoint.port}/metrics"
        with urllib.request.urlopen(endpoint.url, timeout=30) as response:
            families = sample_names(text_string_to_metric_families(response.read().decode()))
    finally:
        endpoint.close()
    assert by_name["http.server.request.duration"].prometheus in families
