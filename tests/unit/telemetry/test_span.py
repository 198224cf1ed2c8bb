"""One span: what the application sees of it and may add, its children, links and detail."""

import contextvars

from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import StatusCode

from h2o_otel import counters
from h2o_otel.counters import Trace
from h2o_otel.telemetry.spans import Tracing
from tests.support.spans import SAMPLED, TRACE, UNSAMPLED, Kit, a_stream

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

    monkeypatch.setattr("h2o_otel.telemetry.failures._raise", False)
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
