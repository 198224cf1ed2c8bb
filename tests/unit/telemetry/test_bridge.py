"""Our instruments on a MeterProvider of the application: its readers, its Views, and what stays free of the SDK."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExplicitBucketHistogramAggregation, ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider

from h2o_otel import counters
from h2o_otel.telemetry import bridge, configure, reader_class
from h2o_otel.telemetry.requests import RECORDING, ClientRequestMetrics, ServerRequestMetrics
from h2o_otel.telemetry.spans import Tracing

pytestmark = pytest.mark.usefixtures("fresh")

DURATION = "http.server.request.duration"
EXPONENTIAL = {Histogram: ExponentialBucketHistogramAggregation()}
Start = Callable[..., MeterProvider]


@pytest.fixture
def start() -> Iterator[Start]:
    """Makes a MeterProvider of an application, with our telemetry on it."""
    made: list[Any] = []

    def start(*readers: Any, views: Any = (), **options: Any) -> MeterProvider:
        provider = MeterProvider(readers, views=views, shutdown_on_exit=False)
        made.append((configure(set_global=False, otlp=False, meter_provider=provider, **options), provider))
        return provider

    yield start
    for telemetry, provider in made:
        telemetry.shutdown()
        provider.shutdown()
    assert not RECORDING.active


def points(reader: InMemoryMetricReader) -> dict[tuple[str, str], list[Any]]:
    """By scope and instrument."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (scope.scope.name, metric.name): list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def serve(n: int = 5, route: str = "/items/{id}", span: Any = None, body_sizes: bool = False) -> None:
    metrics = ServerRequestMetrics("2", None, body_sizes)
    for _ in range(n):
        metrics.finished(metrics.started(b"GET", b"https"), 200, route, None, 0.02, span, 10, 20)


def test_a_reader_of_the_application_gets_the_request_histograms_and_everything_observable(start: Start) -> None:
    reader = InMemoryMetricReader()
    start(reader)
    serve(5, body_sizes=True)
    client = ClientRequestMetrics("a.example", 443)
    index = client.started("GET")
    client.queued(index, 0.1)
    client.finished(index, 503, None, 0.5)
    counters.local().add("frame_padding", 0, 7)
    found = points(reader)
    (point,) = found["h2o_otel", DURATION]
    assert (point.count, point.sum) == (5, pytest.approx(0.1))
    assert dict(point.attributes) == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "http.response.status_code": 200,
        "http.route": "/items/{id}",
        "network.protocol.version": "2",
    }
    # The bounds of the semantic conventions, not the SDK's own.
    assert point.explicit_bounds[0] == 0.005
    assert [found["h2o_otel", f"http.server.{side}.body.size"][0].sum for side in ("request", "response")] == [50, 100]
    (client_point,) = found["h2o_otel", "http.client.request.duration"]
    assert client_point.count == 1
    assert dict(client_point.attributes)["error.type"] == "503"
    assert found["h2o_otel", "http.client.request.time_in_queue"][0].sum == pytest.approx(0.1)
    assert sum(point.value for point in found["h2o_otel", "h2o.frame.padding"]) == 7


def test_two_collections_in_a_row_are_both_fresh(start: Start) -> None:
    reader = InMemoryMetricReader()
    start(reader)
    for expected in (7, 14):
        counters.local().add("frame_padding", 0, 7)
        assert sum(point.value for point in points(reader)["h2o_otel", "h2o.frame.padding"]) == expected


def test_exemplars_reach_the_readers_of_the_application(start: Start) -> None:
    reader = InMemoryMetricReader()
    start(reader)
    span = Tracing(TracerProvider(shutdown_on_exit=False)).client_started("GET", "http://a/", "a", 80, 1)
    serve(1, span=span)
    ((exemplar,),) = [point.exemplars for point in points(reader)["h2o_otel", DURATION]]
    assert (exemplar.trace_id, exemplar.span_id) == (span.trace_id, span.span_id)


def test_without_a_foreign_reader_or_view_nothing_of_the_sdk_runs_per_request(start: Start) -> None:
    start(reader_class(InMemoryMetricReader)())
    assert not RECORDING.active


def test_a_reader_of_ours_beside_one_of_the_application_has_everything_once(start: Start) -> None:
    foreign, own = InMemoryMetricReader(), reader_class(InMemoryMetricReader)()
    start(foreign, own)
    serve(3)
    counters.local().add("frame_padding", 0, 7)
    data = own.get_metrics_data()  # type: ignore[attr-defined]
    named = [metric.name for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics]
    assert len(named) == len(set(named))
    assert points(own)["h2o_otel", DURATION][0].count == points(foreign)["h2o_otel", DURATION][0].count == 3  # type: ignore[arg-type]


def test_a_reader_that_is_added_later_is_found_at_its_first_collection(start: Start) -> None:
    provider = start()
    assert not RECORDING.active
    reader = InMemoryMetricReader()
    provider.add_metric_reader(reader)
    points(reader)
    assert RECORDING.active
    serve(2)
    assert points(reader)["h2o_otel", DURATION][0].count == 2


@pytest.mark.parametrize("make", [InMemoryMetricReader, reader_class(InMemoryMetricReader)])
class TestViews:
    def test_bounds(self, start: Start, make: Any) -> None:
        reader = make()
        start(reader, views=[View(instrument_name=DURATION, aggregation=ExplicitBucketHistogramAggregation([0.5]))])
        serve(2)
        (point,) = points(reader)["h2o_otel", DURATION]
        assert (tuple(point.explicit_bounds), point.bucket_counts) == ((0.5,), (2, 0))

    def test_attributes_and_name(self, start: Start, make: Any) -> None:
        reader = make()
        start(reader, views=[View(instrument_name=DURATION, name="served", attribute_keys={"http.route"})])
        serve(2, "/a")
        serve(3, "/b")
        found = points(reader)
        assert {point.attributes["http.route"]: point.count for point in found["h2o_otel", "served"]} == {"/a": 2, "/b": 3}
        assert ("h2o_otel", DURATION) not in found

    def test_exponential(self, start: Start, make: Any) -> None:
        reader = make()
        start(reader, views=[View(instrument_name="http.server.*", aggregation=ExponentialBucketHistogramAggregation())])
        serve(4)
        (point,) = points(reader)["h2o_otel", DURATION]
        assert (point.count, hasattr(point, "scale")) == (4, True)

    def test_counters(self, start: Start, make: Any) -> None:
        reader = make()
        start(reader, views=[View(instrument_name="h2o.frame.padding", name="waste", attribute_keys=set())])
        counters.local().add("frame_padding", 0, 5)
        counters.local().add("frame_padding", 1, 2)
        found = points(reader)
        assert [point.value for point in found["h2o_otel", "waste"]] == [7]
        assert ("h2o_otel", "h2o.frame.padding") not in found

    def test_drop(self, start: Start, make: Any) -> None:
        reader = make()
        start(reader, views=[View(instrument_name="h2o.*", aggregation=DropAggregation())])
        counters.local().add("frame_padding", 0, 5)
        counters.local().histogram("ping_rtt").record(0.1)
        serve(1)
        names = {name for _, name in points(reader)}
        assert not {name for name in names if name.startswith("h2o.")}
        assert DURATION in names

    def test_what_cannot_hold_is_named_once(self, start: Start, make: Any, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "h2o_otel.telemetry"):
            provider = start(make(), views=[View(instrument_name="h2o.ping.rtt", aggregation=ExponentialBucketHistogramAggregation())])
            provider.add_metric_reader(InMemoryMetricReader())
            bridge.attach(provider, object.__new__(type("User", (), {}))).look()
        (record,) = caplog.records
        assert "h2o.ping.rtt, which cannot hold" in record.getMessage()


def test_a_reader_that_prefers_exponential_buckets_gets_them_for_requests(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    reader: Any = reader_class(InMemoryMetricReader)(preferred_aggregation=EXPONENTIAL)  # type: ignore[call-arg]
    start(reader)
    serve(4)
    (point,) = points(reader)["h2o_otel", DURATION]
    assert (point.count, hasattr(point, "scale")) == (4, True)
    assert "exponential buckets of" in caplog.text


@pytest.mark.parametrize("make", [InMemoryMetricReader, reader_class(InMemoryMetricReader)])
def test_requests_that_other_instrumentation_counts_are_counted_once(start: Start, make: Any) -> None:
    reader = make()
    provider = start(reader)
    other = provider.get_meter("fastapi")
    duration, active = other.create_histogram(DURATION, "s"), other.create_up_down_counter("http.server.active_requests")
    serve(5)
    for _ in range(5):
        duration.record(0.02, {"http.route": "/items/{id}"})
        active.add(1)
    counters.feeds("server")
    found = points(reader)
    counts = [point.count for (_, name), series in found.items() if name == DURATION for point in series]
    assert sum(counts) == 5
    assert len([scope for scope, name in found if name == "http.server.active_requests"]) == 1


def test_a_server_that_is_not_ours_keeps_its_metrics(start: Start) -> None:
    reader: Any = reader_class(InMemoryMetricReader)()
    provider = start(reader)
    provider.get_meter("fastapi").create_histogram(DURATION, "s").record(0.02)
    assert points(reader)["fastapi", DURATION][0].count == 1


def test_series_beyond_the_bound_are_other(start: Start) -> None:
    reader = InMemoryMetricReader()
    start(reader)
    for i in range(counters.LABELLED_KEYS_MAX + 20):
        serve(1, f"/r{i}")
    found = {point.attributes.get("http.route"): point.count for point in points(reader)["h2o_otel", DURATION]}
    assert (len(found), found["other"]) == (counters.LABELLED_KEYS_MAX + 1, 20)


def test_a_provider_that_is_gone_costs_nothing_more() -> None:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    telemetry = configure(set_global=False, otlp=False, meter_provider=provider)
    assert RECORDING.active
    provider.shutdown()
    telemetry.shutdown()
    telemetry.meter_provider = None
    del provider
    gc.collect()
    assert not RECORDING.active
