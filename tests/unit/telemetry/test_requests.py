"""Request metrics: one small lookup per request, bounded labels."""

import pytest

from h2o_otel import counters
from h2o_otel.telemetry import requests
from h2o_otel.telemetry.requests import ClientRequestMetrics, ServerRequestMetrics, method_label, origin_label


@pytest.fixture
def block():
    return counters.Counters()


@pytest.fixture(autouse=True)
def no_origins():
    requests._origins.clear()
    yield
    requests._origins.clear()


def read(block):
    snapshot = counters.Snapshot()
    snapshot.add_block(block)
    return snapshot


class Span:
    sampled = True
    trace_id = 0xABC
    span_id = 0xDEF


def test_server_request_is_active_while_it_runs(block):
    metrics = ServerRequestMetrics("2", block)
    index = metrics.started(b"GET", b"https")
    assert read(block).value("http_server_active_requests", "GET", "https") == 1
    metrics.finished(index, 200, "/items/{id}", None, 0.004)
    assert read(block).value("http_server_active_requests") == 0


def test_server_duration_has_exactly_these_labels(block):
    metrics = ServerRequestMetrics("2", block)
    metrics.finished(metrics.started(b"GET", b"https"), 200, "/items/{id}", None, 0.004)
    family = read(block).labelled_histograms["http_server_request_duration"]
    assert list(family) == [("GET", "https", "200", "/items/{id}", "2", "")]
    (value,) = family.values()
    assert (value.counts[0], sum(value.counts), value.sum) == (1, 1, 0.004)


def test_server_requests_that_change_go_to_their_own_series(block):
    metrics = ServerRequestMetrics("2", block)
    requests = [(b"GET", 200, "/a", None), (b"GET", 200, "/a", None), (b"PUT", 200, "/a", None), (b"PUT", 404, "/a", None)]
    requests += [(b"PUT", 404, "/b", None), (b"PUT", 404, "/b", "ValueError"), (b"PUT", 404, "/b", None), (b"GET", 200, "/a", None)]
    for method, status, route, error in requests:
        metrics.finished(metrics.started(method, b"https"), status, route, error, 0.004)
    family = read(block).labelled_histograms["http_server_request_duration"]
    assert {(key[0], key[2], key[3], key[5]): sum(value.counts) for key, value in family.items()} == {
        ("GET", "200", "/a", ""): 3,
        ("PUT", "200", "/a", ""): 1,
        ("PUT", "404", "/a", ""): 1,
        ("PUT", "404", "/b", ""): 2,
        ("PUT", "404", "/b", "ValueError"): 1,
    }


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [(200, None, ""), (404, None, ""), (500, None, "500"), (0, "StreamReset", "StreamReset"), (500, "ValueError", "ValueError")],
)
def test_server_error_type(block, status, error, expected):
    metrics = ServerRequestMetrics("1.1", block)
    metrics.finished(metrics.started(b"POST", b"http"), status, None, error, 0.1)
    (key,) = read(block).labelled_histograms["http_server_request_duration"]
    assert key == ("POST", "http", str(status) if status else "", "", "1.1", expected)


def test_unknown_methods_share_a_label(block):
    metrics = ServerRequestMetrics("2", block)
    for method in (b"BREW", b"get", b"X" * 40):
        metrics.finished(metrics.started(method, b"http"), 200, None, None, 0.1)
    snapshot = read(block)
    assert list(snapshot.labelled_histograms["http_server_request_duration"]) == [("_OTHER", "http", "200", "", "2", "")]
    assert snapshot.value("http_server_active_requests") == 0


def test_exemplar_is_the_last_sampled_request_of_its_bucket(block):
    metrics = ServerRequestMetrics("2", block)
    for seconds, span in ((0.004, None), (0.003, Span), (0.2, Span)):
        metrics.finished(metrics.started(b"GET", b"http"), 200, None, None, seconds, span)
    (value,) = read(block).labelled_histograms["http_server_request_duration"].values()
    assert {bucket: (e[0], e[2], e[3]) for bucket, e in value.exemplars.items()} == {0: (0.003, 0xABC, 0xDEF), 6: (0.2, 0xABC, 0xDEF)}


def test_unsampled_span_leaves_no_exemplar(block):
    class Unsampled(Span):
        sampled = False

    metrics = ServerRequestMetrics("2", block)
    metrics.finished(metrics.started(b"GET", b"http"), 200, None, None, 0.1, Unsampled)
    (value,) = read(block).labelled_histograms["http_server_request_duration"].values()
    assert value.exemplars == {}


def test_body_sizes_are_opt_in(block):
    for on in (False, True):
        metrics = ServerRequestMetrics("2", block, on)
        metrics.finished(metrics.started(b"PUT", b"http"), 201, None, None, 0.1, None, 70, 5)
    snapshot = read(block)
    for name, size in (("request", 70.0), ("response", 5.0)):
        family = snapshot.labelled_histograms[f"http_server_{name}_body_size"]
        assert {key: (sum(v.counts), v.sum) for key, v in family.items()} == {("PUT", "http", "201"): (1, size)}


def test_client_request(block):
    metrics = ClientRequestMetrics("example.com", 443, "2", block)
    index = metrics.started("GET")
    assert read(block).labelled["http_client_active_requests"] == {("GET", "example.com", "443"): 1}
    metrics.queued(index, 0.02)
    metrics.finished(index, 404, None, 0.3)
    snapshot = read(block)
    assert snapshot.labelled["http_client_active_requests"] == {("GET", "example.com", "443"): 0}
    assert list(snapshot.labelled_histograms["http_client_request_duration"]) == [("GET", "example.com", "443", "404", "2", "404")]
    assert list(snapshot.labelled_histograms["http_client_request_time_in_queue"]) == [("GET", "example.com", "2")]


def test_client_takes_the_method_of_the_wire_too(block):
    metrics = ClientRequestMetrics("a", 80, "2", block)
    assert metrics.started(b"POST") == metrics.started("POST")


def test_origins_beyond_the_bound_are_other(block):
    assert [origin_label(f"h{i}", 80, 2) for i in range(3)] == [("h0", "80"), ("h1", "80"), ("other", "")]
    assert origin_label("h0", 80, 2) == ("h0", "80")


def test_routes_beyond_the_bound_are_other(block):
    metrics = ServerRequestMetrics("2", block)
    for i in range(counters.LABELLED_KEYS_MAX + 20):
        metrics.finished(metrics.started(b"GET", b"http"), 200, f"/r{i}", None, 0.1)
    family = read(block).labelled_histograms["http_server_request_duration"]
    assert len(family) == counters.LABELLED_KEYS_MAX + 1
    assert sum(family[("other",) * 6].counts) == 20


def test_method_label():
    assert [method_label(m) for m in (b"GET", "GET", b"QUERY", "brew")] == ["GET", "GET", "QUERY", "_OTHER"]
