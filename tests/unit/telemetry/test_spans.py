"""Spans of requests and connections: exact names, ids, times and attributes."""

import contextvars
import threading

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from h2o_otel import counters
from h2o_otel.counters import Trace
from h2o_otel.streams.stream import Stream
from h2o_otel.telemetry.catalogue import SPANS
from h2o_otel.telemetry.spans import Tracing

TRACE, PARENT = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
SAMPLED = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
UNSAMPLED = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")


def a_stream(method=b"GET", path=b"/items/7?q=a&sig=secret", authority=b"example.com:8443", headers=()):
    """A stream with what a span reads of it."""
    stream = Stream(5, 65_535, 65_535, 0.0)
    stream.method, stream.path, stream.authority, stream.scheme = method, path, authority, b"https"
    stream.headers = [(b"user-agent", b"curl/8"), *headers]
    stream.body_received, stream.body_sent = 11, 22
    stream.opened_at, stream.headers_at, stream.closed_at = 10.0, 10.25, 11.0
    return stream


class Kit:
    def __init__(self, sampler=ALWAYS_ON, detail=False, **options):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False, resource=Resource({"service.name": "t"}), **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Tracing(self.provider, detail)
        self.base = self.tracing.connection(7, ("192.0.2.1", 50000), ("192.0.2.2", 8443))

    def server(self, stream=None, headers=(), start=None):
        stream = a_stream() if stream is None else stream
        return self.tracing.server_started(stream, list(headers), counters.clock() if start is None else start, self.base)

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    @property
    def only(self):
        (span,) = self.spans
        return span


@pytest.fixture
def kit(fresh):
    return Kit()


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
    assert abs(kit.only.start_time - before) < 1_000_000_000
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


# -- sampling


def test_unsampled_is_counted_and_not_exported(fresh):
    kit = Kit(ParentBased(ALWAYS_ON))
    span = kit.server(headers=[UNSAMPLED])
    assert not span.sampled
    span.set("a", 1)
    span.child("x", 1, 2)
    span.finish(200)
    assert kit.spans == ()
    assert counters.collect().value("telemetry_spans", "unsampled") == 1


@pytest.mark.parametrize(
    ("sampler", "headers", "expected"),
    [
        (ALWAYS_ON, [UNSAMPLED], True),
        (ALWAYS_OFF, [SAMPLED], False),
        (ParentBased(ALWAYS_OFF), [SAMPLED], True),
        (ParentBased(ALWAYS_OFF), [], False),
        (ParentBased(ALWAYS_ON), [UNSAMPLED], False),
        (ParentBased(ALWAYS_ON), [], True),
        (ParentBased(ALWAYS_ON, remote_parent_sampled=ALWAYS_OFF), [SAMPLED], False),
        (ParentBased(ALWAYS_ON, remote_parent_not_sampled=TraceIdRatioBased(1.0)), [UNSAMPLED], True),
        (TraceIdRatioBased(0.0), [SAMPLED], False),
        (TraceIdRatioBased(1.0), [], True),
    ],
)
def test_decisions_are_those_of_the_sampler(fresh, sampler, headers, expected):
    kit = Kit(sampler)
    assert kit.server(headers=headers).sampled is expected
    context = context_api.Context()
    if headers:
        flags = trace.TraceFlags(1 if headers == [SAMPLED] else 0)
        context = trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(TRACE, PARENT, True, flags)), context)
    api = kit.provider.get_tracer("x").start_span("x", context)
    assert api.is_recording() is expected


def test_ratio_decides_by_the_trace_id(fresh):
    kit = Kit(TraceIdRatioBased(0.5))
    for low, expected in ((0, True), ((1 << 63) - 1, True), (1 << 63, False), ((1 << 64) - 1, False)):
        trace_id = (0xABC << 64) | low or 1
        header = (b"traceparent", b"00-%032x-b7ad6b7169203331-01" % trace_id)
        assert kit.server(headers=[header]).sampled is expected


class OwnSampler(Sampler):
    def __init__(self, decision, fails=False):
        self.decision, self.fails, self.seen = decision, fails, []

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None):
        if self.fails:
            raise RuntimeError("sampler")
        self.seen.append((trace_id, name, kind, dict(attributes)))
        return SamplingResult(self.decision, {"own": 1})

    def get_description(self):
        return "own"


def test_the_applications_sampler_is_asked_with_attributes(fresh):
    sampler = OwnSampler(Decision.RECORD_AND_SAMPLE)
    kit = Kit(sampler)
    kit.server(headers=[SAMPLED]).finish(200)
    ((trace_id, name, kind, fields),) = sampler.seen
    assert (trace_id, name, kind) == (TRACE, "HTTP", SpanKind.SERVER)
    assert fields["url.path"] == "/items/7"
    assert kit.only.attributes["own"] == 1
    assert "url.path" in kit.only.attributes


def test_record_only_is_not_exported_by_exporting_processors(fresh):
    kit = Kit(OwnSampler(Decision.RECORD_ONLY))
    seen = []

    class Own(SpanProcessor):
        def on_end(self, span):
            seen.append(span)

    kit.provider.add_span_processor(Own())
    kit.server().finish(200)
    assert kit.spans == ()
    assert seen[0].context.trace_flags == 2
    assert "h2o.record_only" not in seen[0].attributes


def test_a_failing_sampler_is_an_unsampled_request(fresh, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    kit = Kit(OwnSampler(Decision.DROP, fails=True))
    span = kit.server()
    assert not span.sampled
    span.finish(200)


# -- the application's view


def test_application_spans_are_children(kit):
    span = kit.server(headers=[SAMPLED])

    def application():
        with kit.provider.get_tracer("app").start_as_current_span("work"):
            pass
        current = trace.get_current_span()
        current.set_attribute("app.user", 3)
        current.add_event("cached", {"hit": True})
        current.update_name("mine")
        current.set_status(StatusCode.OK)

    span.context().run(application)
    span.finish(200, None, "/x")
    work, request = kit.spans
    assert work.parent.span_id == span.span_id
    assert work.context.trace_id == TRACE
    assert request.name == "mine"
    assert request.attributes["app.user"] == 3
    assert [e.name for e in request.events] == ["cached"]
    assert request.status.status_code is StatusCode.OK


def test_application_cannot_end_or_change_a_finished_span(kit):
    span = kit.server()
    current = span.context().run(trace.get_current_span)
    current.end()
    span.finish(200)
    current.set_attribute("late", 1)
    current.add_event("late")
    current.update_name("late")
    assert "late" not in kit.only.attributes
    assert kit.only.name == "GET"
    assert not current.is_recording()


def test_children_of_an_unsampled_request_are_not_sampled(fresh):
    kit = Kit(ParentBased(ALWAYS_ON))
    span = kit.server(headers=[UNSAMPLED])
    child = span.context().run(lambda: kit.provider.get_tracer("app").start_span("work"))
    assert not child.is_recording()
    assert child.get_span_context().trace_id == TRACE
    current = span.context().run(trace.get_current_span)
    assert isinstance(current, trace.Span)
    assert current.get_span_context().trace_flags == 0
    with current as entered:
        entered.set_attribute("a", 1)
        entered.record_exception(ValueError())
    assert not current.is_recording()


def test_unsampled_root_has_an_id_of_its_own(fresh):
    kit = Kit(ALWAYS_OFF)
    first, second = kit.server(), kit.server()
    assert first.span_context().is_valid
    assert first.span_context().trace_id != second.span_context().trace_id
    assert first.span_context() is first.span_context()


def test_context_does_not_leak_into_the_caller(kit):
    kit.server().context()
    assert trace.get_current_span() is trace.INVALID_SPAN
    variable = contextvars.ContextVar("v", default=0)
    variable.set(4)
    assert kit.server().context().run(variable.get) == 4


def test_baggage_reaches_the_application(kit):
    span = kit.server(headers=[(b"baggage", b"user=am%C3%A9lie")])
    assert span.context().run(baggage.get_all) == {"user": "amélie"}


def test_recorded_exception_is_an_event(kit):
    span = kit.server()
    current = span.context().run(trace.get_current_span)
    current.record_exception(ValueError("bad"), {"extra": 1})
    span.finish(500, "ValueError")
    (event,) = kit.only.events
    assert event.name == "exception"
    assert (event.attributes["exception.type"], event.attributes["exception.message"], event.attributes["extra"]) == (
        "ValueError",
        "bad",
        1,
    )
    assert "ValueError: bad" in event.attributes["exception.stacktrace"]


def test_limits_of_the_provider_hold(fresh):
    kit = Kit(span_limits=SpanLimits(max_span_attributes=20, max_events=1, max_span_attribute_length=3))
    span = kit.server()
    current = span.context().run(trace.get_current_span)
    current.set_attributes({f"k{i}": "abcdef" for i in range(50)})
    current.add_event("a")
    current.add_event("b")
    span.finish(200)
    assert len([k for k in kit.only.attributes if k.startswith("k")]) <= 20
    assert kit.only.attributes["k0"] == "abc"
    assert [e.name for e in kit.only.events] == ["a"]


def test_limits_hold_for_what_we_set_ourselves(fresh):
    kit = Kit(span_limits=SpanLimits(max_span_attributes=6, max_span_attribute_length=4))
    kit.server().finish(200)
    found = kit.only
    assert len(found.attributes) == 6
    assert found.attributes["network.peer.address"] == "192."
    # As many as the span in full has beyond them.
    whole = Kit()
    whole.server().finish(200)
    assert found.dropped_attributes == len(whole.only.attributes) - 6
    assert whole.only.dropped_attributes == 0


def test_a_generator_of_the_application_makes_the_ids(fresh):
    class Ids(IdGenerator):
        def __init__(self):
            self.made = iter((0, 7, 9, 11))

        def generate_trace_id(self):
            return next(self.made)

        generate_span_id = generate_trace_id

    kit = Kit(id_generator=Ids())
    kit.server().finish(200)
    # 0 is invalid, and asked for again.
    assert (kit.only.context.trace_id, kit.only.context.span_id) == (7, 9)


def test_ids_differ(kit):
    for _ in range(100):
        kit.server().finish(200)
    assert len({span.context.trace_id for span in kit.spans}) == len({span.context.span_id for span in kit.spans}) == 100
    assert max(span.context.trace_id for span in kit.spans) >= 1 << 64


def test_a_processor_of_processors_other_than_the_sdks_plain_one(fresh):
    provider = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(2), shutdown_on_exit=False)
    exporter = InMemorySpanExporter()
    calls = []

    class Own(SpanProcessor):
        def on_start(self, span, parent_context):
            calls.append(parent_context)

    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(Own())
    tracing = Tracing(provider)
    tracing.client_started("GET", "http://a/", "a", 80, counters.clock()).finish(200)
    assert [span.name for span in exporter.get_finished_spans()] == ["GET"]
    assert calls == [None]
    provider.shutdown()


def test_processors_that_want_the_start_get_it(kit):
    calls = []

    class Own(SpanProcessor):
        def on_start(self, span, parent_context=None):
            span.set_attribute("from.processor", 1)
            calls.append("start")

        def on_end(self, span):
            calls.append("end")

    kit.server().finish(200)
    kit.provider.add_span_processor(Own())
    kit.server().finish(200)
    assert calls == ["start", "end"]
    assert ["from.processor" in s.attributes for s in kit.spans] == [False, True]


def test_a_failing_processor_never_reaches_the_request(kit, monkeypatch):
    class Broken(SpanProcessor):
        def on_end(self, span):
            raise RuntimeError("full")

    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    kit.provider.add_span_processor(Broken())
    kit.server().finish(200)
    assert counters.collect().value("telemetry_spans", "dropped") == 1


# -- children, detail, links


def test_children_and_links(kit):
    setup = kit.tracing.connection_started("a", 443, counters.clock())
    setup.finish()
    start = counters.clock()
    span = kit.tracing.client_started("GET", "https://a/", "a", 443, start)
    span.child("HTTP wait_for_connection", start, start + 3000, {"error.type": "PoolTimeout"})
    span.link(setup)
    span.finish(0, "PoolTimeout")
    connection, wait, request = kit.spans
    assert (wait.name, wait.parent.span_id, wait.end_time - wait.start_time) == ("HTTP wait_for_connection", span.span_id, 3000)
    assert wait.status.status_code is StatusCode.ERROR
    (link,) = request.links
    assert link.context.span_id == connection.context.span_id
    assert connection.context.trace_id != request.context.trace_id


def test_children_are_bounded(kit):
    span = kit.server()
    for _ in range(100):
        span.child("x", 1, 2)
    span.finish(200)
    assert len(kit.spans) == 65


def test_detail_makes_a_child_of_every_mark(fresh):
    kit = Kit(detail=True)
    stream = a_stream()
    span = kit.server(stream)
    assert isinstance(stream.trace, Trace)
    assert stream.trace is span.trace
    now = counters.clock()
    stream.trace.mark(counters.HPACK_DECODE, now, now + 700)
    stream.trace.mark(counters.IO_FLUSH, now + 1000, now + 3000)
    span.finish(200)
    decode, flush, request = kit.spans
    assert [(s.name, s.end_time - s.start_time) for s in (decode, flush)] == [("h2o.hpack.decode", 700), ("h2o.io.flush", 2000)]
    assert decode.parent.span_id == flush.parent.span_id == request.context.span_id
    assert counters.collect().value("telemetry_spans", "recorded") == 3


def test_without_detail_the_stream_carries_no_trace(kit):
    stream = a_stream()
    kit.server(stream).finish(200)
    assert stream.trace is None


def test_marks_beyond_the_bound_are_told(fresh):
    kit = Kit(detail=True)
    span = kit.server()
    for _ in range(60):
        span.trace.mark(0, 1, 2)
    span.finish(200)
    assert kit.spans[-1].attributes["h2o.trace.dropped"] == 60 - (len(kit.spans) - 1)


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
