"""All telemetry of one request: every point that changed, every span, every log record."""

import logging

import pytest

from h2o_otel import counters
from h2o_otel.streams.stream import Stream
from h2o_otel.telemetry import configure, lines

PARENT = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
# Values that every process has, or that say what telemetry itself took.
ALWAYS = ("process.", "cpython.", "h2o.memory.python.", "h2o.memory.heap", "h2o.gc.", "h2o.build.", "h2o.telemetry.time")


@pytest.fixture
def telemetry(fresh, caplog):
    caplog.set_level(logging.INFO, "h2o_otel")
    with configure("test", "traces", in_memory=True, access_log=True, body_sizes=True, set_global=False) as telemetry:
        yield telemetry


def moved(telemetry):
    """Series with a value, by instrument: {name: {attributes: value or count}}."""
    found = {}
    for name, metric in telemetry.metrics().items():
        if name.startswith(ALWAYS):
            continue
        for point in metric.data.data_points:
            value = point.count if hasattr(point, "bucket_counts") else point.value
            if value:
                found.setdefault(name, {})[tuple(sorted(point.attributes.items()))] = value
    return found


def series(**attributes):
    return tuple(sorted((name.replace("__", "."), value) for name, value in attributes.items()))


def test_server_request(telemetry):
    metrics, tracing = telemetry.server_requests(), telemetry.tracing
    base = tracing.connection(3, ("192.0.2.1", 50000), None)
    log = telemetry.events.bind({"h2o.connection.id": 3})
    stream = Stream(1, 65535, 65535, 0.0)

    start = counters.clock()
    index = metrics.started(b"GET", b"https")
    span = tracing.server_started(stream, [PARENT], start, base)
    span.finish(200, None, "/items/{id}", start + 2_000_000)
    metrics.finished(index, 200, "/items/{id}", None, 0.002, span, 10, 20)
    log.access(span, b"GET", b"/items/7", 200, 0.002, 10, 20)
    assert lines.flush()

    request = {"http__request__method": "GET", "url__scheme": "https", "http__response__status_code": 200}
    assert moved(telemetry) == {
        "http.server.request.duration": {series(**request, http__route="/items/{id}", network__protocol__version="2"): 1},
        "http.server.request.body.size": {series(**request): 1},
        "http.server.response.body.size": {series(**request): 1},
        "h2o.telemetry.spans": {series(h2o__result="recorded"): 1},
        "h2o.telemetry.logs": {series(h2o__result="emitted"): 1},
    }
    (point,) = telemetry.metrics()["http.server.request.duration"].data.data_points
    (exemplar,) = point.exemplars
    (finished,) = telemetry.spans()
    (record,) = telemetry.logs()
    assert exemplar.trace_id == finished.context.trace_id == record.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert exemplar.span_id == finished.context.span_id == record.span_id == span.span_id
    assert finished.name.endswith("/items/{id}")
    assert record.event_name == "h2o.access"


def test_client_request_that_failed(telemetry):
    metrics, tracing = telemetry.client_requests("a.example", 443), telemetry.tracing
    start = counters.clock()
    index = metrics.started("GET")
    span = tracing.client_started("GET", "https://a.example/", "a.example", 443, start)
    assert [name for name, _ in tracing.inject(span, [])] == [b"traceparent"]
    metrics.queued(index, 0.5)
    span.finish(0, "ReadTimeout", stream=Stream(1, 65535, 65535, 0.0))
    metrics.finished(index, 0, "ReadTimeout", 30.0, span)
    telemetry.events.emit("http.client.request.exception", {"error.type": "ReadTimeout"}, span=span)

    origin = {"http__request__method": "GET", "server__address": "a.example", "network__protocol__version": "2"}
    assert moved(telemetry) == {
        "http.client.request.duration": {series(**origin, server__port=443, error__type="ReadTimeout"): 1},
        "http.client.request.time_in_queue": {series(**origin): 1},
        "h2o.telemetry.spans": {series(h2o__result="recorded"): 1},
        "h2o.telemetry.logs": {series(h2o__result="emitted"): 1},
    }
    (record,) = telemetry.logs()
    (finished,) = telemetry.spans()
    assert record.span_id == finished.context.span_id
    assert dict(record.attributes) == {"event.name": "http.client.request.exception", "error.type": "ReadTimeout"}


def test_nothing_happened_nothing_moved(telemetry):
    assert moved(telemetry) == {}
    assert telemetry.spans() == []
    assert telemetry.logs() == []
