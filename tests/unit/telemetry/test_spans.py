"""Spans of requests and connections: exact names, ids, times and attributes."""

import threading

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from h2o_otel import counters
from h2o_otel.telemetry.catalogue import SPANS
from h2o_otel.telemetry.spans import Tracing
from tests.support.spans import PARENT, SAMPLED, TRACE, UNSAMPLED, Kit, a_stream

# -- server


def test_server_span_in_full(kit):
    start = counters.clock()
    span = kit.server(headers=[SAMPLED, (b"tracestate", b"a=1")], start=start)
    span.finish(200, None, "/items/{id}", start + 5_000_000)
    found = kit.only
    assert found.name == "GET /items/{id}"
    assert found.kind is SpanKind.SERVER
    assert (found.context.trace_id, found.parent.span_id, found.parent.is_remote) == (TRACE, PARENT, True)
    assert found.context.span_id == span.span_id
    assert found.context.trace_flags == 1
    assert found.context.trace_state == {"a": "1"}
    assert found.end_time - found.start_time == 5_000_000
    assert found.status.status_code is StatusCode.UNSET
    assert found.instrumentation_scope.name == "h2o_otel"
    assert found.resource.attributes["service.name"] == "t"
    assert dict(found.attributes) == {
        "h2o.connection.id": 7,
        "network.protocol.version": "2",
        "network.peer.address": "192.0.2.1",
        "network.peer.port": 50000,
        "client.address": "192.0.2.1",
        "http.request.method": "GET",
        "url.scheme": "https",
        "url.path": "/items/7",
        "url.query": "q=a&sig=REDACTED",
        "user_agent.original": "curl/8",
        "server.address": "example.com",
        "server.port": 8443,
        "h2o.stream.id": 5,
        "http.response.status_code": 200,
        "http.route": "/items/{id}",
        "http.request.body.size": 11,
        "http.response.body.size": 22,
    }


def test_every_attribute_is_in_the_catalogue(kit):
    stream = a_stream(method=b"BREW")
    stream.stalled_s, stream.closed_by, stream.closed_code = 0.5, 3, 8
    kit.server(stream).finish(503, "StreamReset", "/x")
    span = kit.tracing.client_started("BREW", "https://a/", "a", 443, counters.clock(), 2)
    span.set("h2o.request.time_in_queue", 0.1)
    span.finish(0, "ReadTimeout", stream=stream)
    server, client = kit.spans
    assert set(server.attributes) <= set(SPANS[0].attributes)
    assert set(client.attributes) <= set(SPANS[1].attributes)


def test_times_are_wall_clock(kit):
    import time

    before = time.time_ns()
    kit.server().finish(200)
    assert abs(kit.only.start_time - before) < 60_000_000_000
    assert kit.only.end_time >= kit.only.start_time


def test_name_without_a_route_is_the_method(kit):
    kit.server(a_stream(method=b"BREW")).finish(200)
    kit.server().finish(200)
    assert [s.name for s in kit.spans] == ["HTTP", "GET"]
    assert kit.spans[0].attributes["http.request.method"] == "_OTHER"
    assert kit.spans[0].attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize(
    ("status", "error", "error_type", "code"),
    [
        (404, None, None, StatusCode.UNSET),
        (500, None, "500", StatusCode.ERROR),
        (0, "StreamReset", "StreamReset", StatusCode.ERROR),
        (500, "ValueError", "ValueError", StatusCode.ERROR),
    ],
)
def test_server_errors(kit, status, error, error_type, code):
    kit.server().finish(status, error)
    assert kit.only.attributes.get("error.type") == error_type
    assert kit.only.status.status_code is code


def test_host_takes_the_place_of_authority(kit):
    kit.server(a_stream(authority=None, headers=[(b"host", b"[::1]:80")])).finish(200)
    assert (kit.only.attributes["server.address"], kit.only.attributes["server.port"]) == ("::1", 80)


def test_default_port_follows_the_scheme(kit):
    kit.server(a_stream(authority=b"example.com")).finish(200)
    assert kit.only.attributes["server.port"] == 443


def test_odd_octets_do_not_fail(kit):
    kit.server(a_stream(path=b"/\xff?\xfe", authority=b"\xff:x")).finish(200)
    assert kit.only.attributes["url.path"] == "/\N{REPLACEMENT CHARACTER}"


def test_finish_twice_exports_once(kit):
    span = kit.server()
    span.finish(200)
    span.finish(500)
    assert kit.only.attributes["http.response.status_code"] == 200
    assert span.finished


def test_malformed_traceparent_starts_a_new_trace(kit):
    kit.server(headers=[(b"traceparent", b"00-zz"), (b"tracestate", b"a=1")]).finish(200)
    assert kit.only.parent is None
    assert not kit.only.context.trace_state
    assert kit.only.context.trace_flags == 3


# -- client


def test_client_span_in_full(kit):
    start = counters.clock()
    with kit.provider.get_tracer("app").start_as_current_span("outer") as outer:
        span = kit.tracing.client_started("GET", "https://user:pw@a.example/x?y=1&sig=s", "a.example", 443, start, 1)
    stream = a_stream()
    stream.stalled_s = 0.5
    span.set("h2o.connection.id", 9)
    span.finish(200, stream=stream, end_ns=start + 1000)
    request = next(s for s in kit.spans if s.kind is SpanKind.CLIENT)
    assert request.name == "GET"
    assert request.parent.span_id == outer.get_span_context().span_id
    assert request.context.trace_id == outer.get_span_context().trace_id
    assert dict(request.attributes) == {
        "http.request.method": "GET",
        "url.full": "https://REDACTED:REDACTED@a.example/x?y=1&sig=REDACTED",
        "server.address": "a.example",
        "server.port": 443,
        "http.request.resend_count": 1,
        "h2o.connection.id": 9,
        "http.response.status_code": 200,
        "http.request.body.size": 22,
        "http.response.body.size": 11,
        "h2o.stream.id": 5,
        "h2o.request.time_to_first_byte": 0.25,
        "h2o.request.body_time": 0.75,
        "h2o.request.stalled": 0.5,
    }


def test_client_4xx_is_an_error(kit):
    kit.tracing.client_started("GET", "http://a/", "a", 80, counters.clock()).finish(404)
    assert kit.only.attributes["error.type"] == "404"
    assert kit.only.status.status_code is StatusCode.ERROR


def test_inject_writes_the_spans_ids(kit):
    span = kit.tracing.client_started("GET", "http://a/", "a", 80, counters.clock())
    assert kit.tracing.inject(span) == [(b"traceparent", b"00-%032x-%016x-03" % (span.trace_id, span.span_id))]


def test_inject_carries_state_and_baggage_on(kit):
    request = kit.server(headers=[SAMPLED, (b"tracestate", b"a=1,b=2"), (b"baggage", b"user=7")])

    def call():
        span = kit.tracing.client_started("GET", "http://a/", "a", 80, counters.clock())
        return span, kit.tracing.inject(span)

    span, fields = request.context().run(call)
    assert fields == [
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-%016x-01" % span.span_id),
        (b"tracestate", b"a=1,b=2"),
        (b"baggage", b"user=7"),
    ]


def test_inject_leaves_what_the_caller_set(kit):
    request = kit.server(headers=[(b"baggage", b"user=7")])

    def call(headers):
        span = kit.tracing.client_started("GET", "http://a/", "a", 80, counters.clock())
        return [name for name, _ in kit.tracing.inject(span, headers)]

    context = request.context()
    assert context.run(call, [SAMPLED]) == [b"baggage"]
    assert context.run(call, [(b"baggage", b"x=1")]) == [b"traceparent"]
    assert kit.tracing.inject(None, []) == []


def test_unsampled_is_injected_as_unsampled(fresh):
    kit = Kit(ALWAYS_OFF)
    span = kit.tracing.client_started("GET", "http://a/", "a", 80, counters.clock())
    ((_, value),) = kit.tracing.inject(span)
    assert value.endswith(b"-02")
    assert kit.tracing.inject(span) == kit.tracing.inject(span)


def test_client_inside_an_exporter_is_not_traced(kit):
    def call():
        return kit.tracing.client_started("POST", "http://collector/", "collector", 4318, counters.clock())

    token = context_api.attach(context_api.set_value(context_api._SUPPRESS_INSTRUMENTATION_KEY, True))
    assert call() is None
    context_api.detach(token)
    assert call() is not None


# -- connections


def test_connection_setup_is_the_root_of_its_own_trace(kit):
    with kit.provider.get_tracer("app").start_as_current_span("outer"):
        start = counters.clock()
        setup = kit.tracing.connection_started("a.example", 443, start)
        setup.phase("dns", start, start + 10, **{"dns.question.name": "a.example"})
        setup.phase("tcp", start + 10, start + 20)
        setup.phase("tls", start + 20, start + 30, "certificate_expired")
        setup.phase("settings", start + 30, start + 40)
        setup.set("network.peer.address", "192.0.2.9")
        setup.finish("ConnectError", start + 50)
    *phases, root, _ = kit.spans
    assert [s.name for s in phases] == ["DNS lookup", "socket connect", "TLS handshake", "h2 settings_exchange"]
    assert {s.parent.span_id for s in phases} == {root.context.span_id}
    assert dict(phases[0].attributes) == {"dns.question.name": "a.example"}
    assert dict(phases[2].attributes) == {"error.type": "certificate_expired"}
    assert (root.name, root.parent, root.kind) == ("HTTP connection_setup", None, SpanKind.INTERNAL)
    assert dict(root.attributes) == {
        "server.address": "a.example",
        "server.port": 443,
        "network.peer.address": "192.0.2.9",
        "error.type": "ConnectError",
    }
    assert root.end_time - root.start_time == 50


def test_server_connection_that_ended_badly(kit):
    kit.tracing.connection_ended(kit.base, 100, 300, "idle_timeout", {"h2o.reason": "idle"})
    assert kit.only.name == "h2o.connection"
    assert kit.only.end_time - kit.only.start_time == 200
    assert kit.only.attributes["error.type"] == "idle_timeout"
    assert kit.only.attributes["h2o.connection.id"] == 7


# -- providers


def test_without_an_sdk_there_are_no_spans():
    tracing = Tracing(trace.NoOpTracerProvider())
    assert tracing.server_started(a_stream(), [], 1, None) is None
    assert tracing.client_started("GET", "http://a/", "a", 80, 1) is None
    assert tracing.connection_started("a", 80, 1) is None
    assert tracing.inject(None) == []


def test_threads_share_a_tracing(kit):
    def work():
        for _ in range(50):
            kit.server(headers=[UNSAMPLED]).finish(200)
            kit.server().finish(200)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kit.spans) == 400
    assert len({s.context.span_id for s in kit.spans}) == 400
    assert counters.collect().value("telemetry_spans", "recorded") == 400
