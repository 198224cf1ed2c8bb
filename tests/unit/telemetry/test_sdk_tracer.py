"""Which requests become spans: the decisions are those of the sampler."""

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import SpanKind

from h2o_otel import counters
from tests.support.spans import PARENT, SAMPLED, TRACE, UNSAMPLED, Kit


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
    monkeypatch.setattr("h2o_otel.telemetry.failures._raise", False)
    kit = Kit(OwnSampler(Decision.DROP, fails=True))
    span = kit.server()
    assert not span.sampled
    span.finish(200)


class OwnIds(RandomIdGenerator):
    """An application's ids: the time in the high half, as some backends want them."""

    def generate_trace_id(self):
        return 0x5EED << 112 | 1 << 63 | 7

    def generate_span_id(self):
        return 9


def test_ids_of_a_derived_generator_are_asked_for(fresh):
    kit = Kit(TraceIdRatioBased(0.5), id_generator=OwnIds())
    for span in (kit.server(), kit.tracing.client_started("GET", "http://a/", "a", 80, counters.clock())):
        assert not span.sampled
        assert (span.span_context().trace_id, span.span_context().span_id) == (0x5EED << 112 | 1 << 63 | 7, 9)


def test_a_late_high_half_leaves_the_decision_right(fresh):
    sampler = TraceIdRatioBased(0.5)
    kit = Kit(ParentBased(sampler))
    seen = set()
    for n in range(60):
        span = kit.server() if n % 2 else kit.tracing.client_started("GET", "http://a/", "a", 80, counters.clock())
        context = span.span_context()
        assert span.sampled is sampler.should_sample(None, context.trace_id, "x").decision.is_sampled()
        assert context.is_valid
        assert context.trace_id >> 64
        assert context.trace_id == span.trace_id == span.span_context().trace_id
        ((_, sent),) = kit.tracing.inject(span)
        assert sent.startswith(b"00-%032x-%016x-" % (context.trace_id, context.span_id))
        seen.add((context.trace_id, context.span_id))
    assert len(seen) == 60


@pytest.mark.parametrize("trace_id", [1, (1 << 64) - 1, 1 << 64, 1 << 127])
def test_a_half_of_zeros_from_the_peer_is_kept(fresh, trace_id):
    header = (b"traceparent", b"00-%032x-b7ad6b7169203331-00" % trace_id)
    for sampler in (ParentBased(ALWAYS_ON), TraceIdRatioBased(0.0), ALWAYS_ON):
        assert Kit(sampler).server(headers=[header]).span_context().trace_id == trace_id


class DerivedRatio(TraceIdRatioBased):
    def should_sample(self, *args, **kwargs):
        return SamplingResult(Decision.RECORD_AND_SAMPLE)


def test_a_sampler_derived_from_the_ratio_is_asked(fresh):
    assert Kit(DerivedRatio(0.0)).server().sampled
    assert Kit(ParentBased(DerivedRatio(0.0))).server().sampled


def test_the_url_is_made_only_for_who_wants_it(fresh):
    class Url:
        asked = 0

        def _url_text(self):
            self.asked += 1
            return "http://a/x"

    for sampler, asked in ((ALWAYS_OFF, 0), (ALWAYS_ON, 1)):
        kit, url = Kit(sampler), Url()
        kit.tracing.client_started("GET", url, "a", 80, counters.clock()).finish(200)
        assert url.asked == asked
        assert [span.attributes["url.full"] for span in kit.spans] == ["http://a/x"] * asked
