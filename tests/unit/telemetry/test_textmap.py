"""Propagators: the process's own choice, by OTEL_PROPAGATORS or set_global_textmap, in both directions."""

import subprocess
import sys

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from h2o_otel import counters
from h2o_otel.telemetry import current, textmap

PARENT = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
FIELDS = [(b":method", b"GET"), (b"traceparent", PARENT.encode()), (b"baggage", b"user=7"), (b"x-one", b"cd" * 8)]
OWN = context.create_key("own")


class OneHeader(TextMapPropagator):
    """A propagator of the application: everything in one field of its own."""

    fields = {"x-one"}  # noqa: RUF012

    def extract(self, carrier, context=None, getter=None):
        (value,) = getter.get(carrier, "X-One") or [""]
        if not value:
            return context
        span = trace.SpanContext(0xFEED << 100 | 1, int(value, 16), True, trace.TraceFlags(1))
        found = trace.set_span_in_context(trace.NonRecordingSpan(span), context)
        return baggage.set_baggage("from", "one", found)

    def inject(self, carrier, context=None, setter=None):
        span = trace.get_current_span(context).get_span_context()
        carrier["X-One"] = f"{span.span_id:x}"
        carrier["Forbidden Name"] = "x"
        carrier["x-lines"] = "a\r\nb: c"


class Broken(TextMapPropagator):
    fields = set()  # noqa: RUF012

    def extract(self, *arguments, **named):
        raise RuntimeError("boom")

    inject = extract


@pytest.fixture
def use(monkeypatch):
    def change(chosen):
        monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagate.get_global_textmap())
        propagate.set_global_textmap(chosen)

    return change


@pytest.mark.parametrize(
    ("chosen", "kind"),
    [
        (CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()]), textmap.TRACE | textmap.BAGGAGE),
        (TraceContextTextMapPropagator(), textmap.TRACE),
        (CompositePropagator([W3CBaggagePropagator()]), textmap.BAGGAGE),
        (CompositePropagator([]), 0),
        (CompositePropagator([TraceContextTextMapPropagator(), OneHeader()]), textmap.OTHER),
        (OneHeader(), textmap.OTHER),
        (None, textmap.TRACE | textmap.BAGGAGE),
    ],
)
def test_kinds(chosen, kind):
    assert textmap.kind_of(chosen) == kind


def client_of(kit):
    return kit.tracing.client_started("GET", "http://a/", "a", 80, counters.clock())


def names(fields):
    return {name for name, _ in fields}


@pytest.mark.parametrize(
    ("chosen", "parent", "user", "sent"),
    [
        (TraceContextTextMapPropagator(), True, None, {b"traceparent"}),
        (W3CBaggagePropagator(), False, "7", {b"baggage"}),
        (CompositePropagator([]), False, None, set()),
    ],
)
def test_a_part_of_the_default(kit, use, chosen, parent, user, sent):
    use(chosen)
    span = kit.server(headers=FIELDS)
    assert (span.span_context().trace_id == int("ab" * 16, 16)) is parent
    made = span.otel_context()
    assert baggage.get_baggage("user", made) == user
    token = context.attach(baggage.set_baggage("user", "7", made))
    try:
        assert names(kit.tracing.inject(client_of(kit))) == sent
        assert names(current.inject()) == sent
    finally:
        context.detach(token)
    span.finish(200)


def test_another_propagator_is_called_in_both_directions(kit, use, caplog):
    use(OneHeader())
    span = kit.server(headers=FIELDS)
    assert span.span_context().trace_id == 0xFEED << 100 | 1
    made = span.otel_context()
    assert (baggage.get_baggage("from", made), baggage.get_baggage("user", made)) == ("one", None)
    assert trace.get_current_span(made).get_span_context() == span.span_context()
    token = context.attach(made)
    try:
        client = client_of(kit)
        assert kit.tracing.inject(client) == [(b"x-one", b"%x" % client.span_context().span_id)]
        assert current.inject() == [(b"x-one", b"%x" % span.span_context().span_id)]
        assert current.inject([(b"X-One", b"mine")]) == []
    finally:
        context.detach(token)
    client.finish(200)
    span.finish(200)
    assert [s.parent.span_id for s in kit.spans] == [span.span_context().span_id, int("cd" * 8, 16)]
    assert "the propagator wrote a field that HTTP does not allow" in caplog.text


def test_without_its_field_a_new_trace_begins(kit, use):
    use(OneHeader())
    span = kit.server(headers=[(b":method", b"GET"), (b"traceparent", PARENT.encode())])
    assert span.span_context().trace_id != int("ab" * 16, 16)
    span.finish(200)


def test_it_may_be_set_at_any_time(kit, use):
    kit.server(headers=FIELDS).finish(200)
    use(OneHeader())
    kit.server(headers=FIELDS).finish(200)
    assert [hex(s.context.trace_id)[:6] for s in kit.spans] == ["0xabab", "0xfeed"]


def test_a_propagator_that_fails_fails_no_request(kit, use, monkeypatch):
    monkeypatch.setattr("h2o_otel.telemetry.failures._raise", False)
    use(Broken())
    span = kit.server(headers=FIELDS)
    assert kit.tracing.inject(span) == []
    span.finish(200)
    assert len(kit.spans) == 1


@pytest.mark.parametrize(
    ("variable", "kind", "warned"),
    [("tracecontext", textmap.TRACE, False), ("none", 0, False), ("b4", textmap.TRACE | textmap.BAGGAGE, True)],
)
def test_the_variable(variable, kind, warned):
    code = "from h2o_otel.telemetry import textmap; print(textmap.kind_of(textmap.get_textmap()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"OTEL_PROPAGATORS": variable}, capture_output=True, text=True, timeout=60, check=False
    )
    assert int(done.stdout) == kind, done.stderr
    assert ("OTEL_PROPAGATORS cannot be honoured (Propagator b4 not found" in done.stderr) is warned
    assert done.stderr.count("\n") == int(warned)
