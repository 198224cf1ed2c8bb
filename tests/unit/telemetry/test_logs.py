"""Log events: fields, trace ids, rate limit, formats, hand-over to OpenTelemetry."""

import io
import json
import logging
import logging.config
import re

import pytest
from opentelemetry._logs import NoOpLoggerProvider, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from h2o_otel import counters
from h2o_otel.telemetry import lines, logs
from h2o_otel.telemetry.catalogue import EVENTS
from h2o_otel.telemetry.log_export import LogsHandler
from h2o_otel.telemetry.log_text import Formatter
from h2o_otel.telemetry.logs import EventLog
from h2o_otel.telemetry.spans import Tracing
from tests.support.log_events import Kit


@pytest.fixture
def kit(fresh, caplog):
    caplog.set_level(logging.DEBUG, "h2o_otel")
    return Kit()


def count(result):
    return counters.collect().value("telemetry_logs", result)


def test_event_reaches_opentelemetry_in_full(kit):
    kit.log.emit("h2o.goaway", {"network.io.direction": "receive", "h2o.error_code": "NO_ERROR"})
    (record,) = kit.records
    assert record.event_name == "h2o.goaway"
    assert (record.severity_number, record.severity_text) == (SeverityNumber.INFO, "INFO")
    assert record.body == "h2o.goaway h2o.connection.id=7 h2o.role=server network.io.direction=receive h2o.error_code=NO_ERROR"
    assert dict(record.attributes) == {
        "event.name": "h2o.goaway",
        "h2o.connection.id": 7,
        "h2o.role": "server",
        "network.io.direction": "receive",
        "h2o.error_code": "NO_ERROR",
    }
    assert record.timestamp
    assert counters.collect().value("telemetry_time_ns", "logs") > 0
    assert count("emitted") == 1


def test_event_reaches_the_applications_handlers(kit, caplog):
    kit.log.emit("h2o.request.refused", {"h2o.abuse.kind": "ping_flood"})
    (record,) = [r for r in caplog.records if r.name == "h2o_otel"]
    assert record.levelname == "WARNING"
    assert record.getMessage() == "h2o.request.refused h2o.connection.id=7 h2o.role=server h2o.abuse.kind=ping_flood"
    assert record.h2o_event == "h2o.request.refused"
    assert record.h2o_fields == {"h2o.connection.id": 7, "h2o.role": "server", "h2o.abuse.kind": "ping_flood"}


def test_a_peers_text_cannot_forge_lines(kit, caplog):
    kit.log.emit("h2o.goaway", {"h2o.goaway.debug": "x\nWARNING forged=1 %s"})
    message = caplog.records[-1].getMessage()
    assert "\n" not in message
    assert message.endswith('h2o.goaway.debug="x\\nWARNING forged=1 %s"')


def test_event_of_a_request_has_its_trace(kit, caplog):
    provider = TracerProvider(shutdown_on_exit=False)
    span = Tracing(provider).client_started("GET", "http://a/", "a", 80, counters.clock())
    kit.log.emit("http.client.request.exception", {"error.type": "ReadTimeout"}, span=span)
    (record,) = kit.records
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert "_span" not in record.attributes
    assert caplog.records[-1].h2o_fields["trace_id"] == f"{span.trace_id:032x}"
    assert caplog.records[-1].h2o_fields["span_id"] == f"{span.span_id:016x}"


def test_event_inside_a_span_has_its_trace(kit):
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
    with tracer.start_as_current_span("work") as span:
        kit.log.emit("h2o.goaway")
    assert kit.records[0].trace_id == span.get_span_context().trace_id


def test_exception_fields(kit):
    try:
        raise ValueError("bad")
    except ValueError as error:
        kit.log.emit("http.server.request.exception", {"error.type": "ValueError"}, exception=error)
    fields = kit.records[0].attributes
    assert (fields["exception.type"], fields["exception.message"]) == ("ValueError", "bad")
    assert fields["exception.stacktrace"].endswith("ValueError: bad\n")


def test_level_off_costs_no_event(kit, caplog):
    caplog.set_level(logging.WARNING, "h2o_otel")
    kit.log.emit("h2o.connection.opened")
    kit.log.emit("h2o.goaway")
    assert kit.records == []
    assert not kit.log.is_enabled_for("h2o.connection.opened")
    assert kit.log.is_enabled_for("h2o.request.refused")


def test_floods_are_limited_per_event(kit):
    for _ in range(25):
        kit.log.emit("h2o.goaway")
    kit.log.emit("h2o.request.refused")
    assert len(kit.records) == 11
    assert count("suppressed") == 15
    kit.now += 1_000_000_000
    kit.log.emit("h2o.goaway")
    assert kit.records[-1].attributes["h2o.suppressed"] == 15


def test_peers_do_not_decide_how_many_tracebacks_are_written(kit):
    for _ in range(25):
        kit.log.emit("http.server.request.exception", exception=ValueError("the application's"))
    assert len(kit.records) == 10
    assert count("suppressed") == 15


def test_our_own_events_are_not_limited(kit):
    for _ in range(25):
        kit.log.access(None, b"GET", b"/", 200, 0.1)
    assert lines.flush()
    assert len(kit.records) == 25


def test_unknown_event_is_our_mistake(kit, monkeypatch):
    with pytest.raises(KeyError):
        kit.log.emit("h2o.nonsense")
    monkeypatch.setattr("h2o_otel.telemetry.failures._raise", False)
    kit.log.emit("h2o.nonsense")
    assert count("dropped") == 2


def test_access_line(kit):
    kit.log.access(None, b"GET", b"/a?secret=1", 200, 0.12345678, 5, 7)
    assert lines.flush()
    assert kit.records[0].body.startswith("GET /a 200 123.457ms http.request.body.size=5 ")
    assert dict(kit.records[0].attributes) == {
        "event.name": "h2o.access",
        "h2o.connection.id": 7,
        "h2o.role": "server",
        "http.request.method": "GET",
        "url.path": "/a",
        "http.response.status_code": 200,
        "h2o.duration": 0.123457,
        "http.request.body.size": 5,
        "http.response.body.size": 7,
    }


def test_emitted_fields_are_in_the_catalogue(kit):
    kit.log.access(None, b"GET", b"/", 200, 0.1)
    assert lines.flush()
    (event,) = [e for e in EVENTS if e.name == "h2o.access"]
    assert set(kit.records[0].attributes) <= {"event.name", *event.attributes}


@pytest.fixture
def written(kit, request):
    stream = io.StringIO()
    handler = logs.install_handler(request.param, "debug", stream)
    yield kit, stream
    logs.remove_handler(handler)


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_json_lines(written):
    kit, stream = written
    kit.log.emit("h2o.goaway", {"h2o.error_code": "NO_ERROR"})
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "h2o_otel",
        "event": "h2o.goaway",
        "h2o.connection.id": 7,
        "h2o.role": "server",
        "h2o.error_code": "NO_ERROR",
    }


@pytest.mark.parametrize("written", ["console"], indirect=True)
def test_lines_for_people(written):
    kit, stream = written
    try:
        raise ValueError("bad")
    except ValueError as error:
        kit.log.emit("http.server.request.exception", exception=error)
    text = stream.getvalue()
    assert "http.server.request.exception" in text
    assert "h2o.connection.id=7" in text
    assert "ValueError: bad" in text


@pytest.mark.parametrize("written", ["console"], indirect=True)
def test_an_access_line_for_people_begins_with_what_was_asked_and_answered(written):
    kit, stream = written
    kit.log.access(None, b"GET", b"/items/7?secret=1", 200, 0.0123, 0, 20)
    lines.flush()
    line = stream.getvalue()
    assert re.match(r"\S+ \[info +\] GET /items/7 200 12\.300ms +\[h2o_otel\] ", line), line
    assert "h2o.connection.id=7" in line
    assert "url.path" not in line


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_an_access_line_in_json_begins_with_what_was_asked_and_answered(written):
    kit, stream = written
    kit.log.access(None, b"GET", b"/items/7", 200, 0.0123)
    lines.flush()
    begin = ["timestamp", "level", "logger", "event", "http.request.method", "url.path", "http.response.status_code", "h2o.duration"]
    assert list(json.loads(stream.getvalue()))[:8] == begin


def test_events_are_exported_below_the_level_of_the_applications_logging(kit, caplog):
    caplog.set_level(logging.WARNING, "h2o_otel")
    caplog.clear()
    quiet = EventLog(kit.provider, export_level=logging.INFO)
    quiet.emit("h2o.goaway")
    quiet.emit("h2o.connection.opened")
    quiet.access(None, b"GET", b"/", 200, 0.1)
    lines.flush()
    assert [record.event_name for record in kit.records] == ["h2o.goaway", "h2o.access"]
    assert (quiet.is_enabled_for("h2o.goaway"), quiet.is_enabled_for("h2o.connection.opened")) == (True, False)
    assert caplog.records == []
    loud = EventLog(kit.provider)
    loud.emit("h2o.goaway")
    assert len(kit.records) == 2


def test_other_records_are_formatted_alike():
    record = logging.LogRecord("app", logging.WARNING, __file__, 1, "hello %s", ("you",), None)
    line = json.loads(Formatter("json").format(record))
    assert (line["event"], line["level"], line["logger"]) == ("hello you", "warning", "app")


def test_unknown_format_is_refused():
    with pytest.raises(ValueError, match="'xml' is neither 'json' nor 'console'"):
        Formatter("xml")


def test_stdlib_records_are_handed_over(kit):
    logger = logging.getLogger("app.test")
    handler = LogsHandler(kit.provider)
    logger.addHandler(handler)
    try:
        logger.warning("hello %s", "you")
        logging.getLogger("opentelemetry.sdk").addHandler(handler)
        logging.getLogger("opentelemetry.sdk").warning("loop")
    finally:
        logger.removeHandler(handler)
        logging.getLogger("opentelemetry.sdk").removeHandler(handler)
    (record,) = kit.records
    assert (record.body, record.severity_number) == ("hello you", SeverityNumber.WARN)
    assert record.attributes["code.file.path"] == __file__


def test_without_a_provider_logging_still_works(fresh, caplog):
    caplog.set_level(logging.INFO, "h2o_otel")
    EventLog().bind({"h2o.connection.id": 1}).emit("h2o.goaway")
    assert caplog.records[-1].getMessage() == "h2o.goaway h2o.connection.id=1"


def test_events_are_exported_once_beside_the_sdks_handler(caplog):
    """opentelemetry-instrument puts a handler onto the root logger that exports every record of stdlib logging."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    handler = type("LoggingHandler", (LogsHandler,), {"__module__": "opentelemetry.sdk._logs"})(provider)
    handler.emit = lambda record: provider.get_logger(record.name).emit(body=record.getMessage())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "h2o_otel"):
            EventLog(provider).emit("h2o.server.started", {"server.port": 1})
            logging.getLogger("h2o_otel").info("no event")
    finally:
        root.removeHandler(handler)
        EventLog(NoOpLoggerProvider())
    bodies = [item.log_record.body for item in exporter.get_finished_logs()]
    assert bodies == ["h2o.server.started server.port=1", "no event"]
    # Everybody else has the line, too.
    assert [record.getMessage() for record in caplog.records] == bodies
