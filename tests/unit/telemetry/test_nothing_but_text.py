"""Nothing of a peer reaches a log, a terminal or a console exporter as more than text: every code point, on every way there."""

import io
import json
import logging
import sys

import pytest

from h2o_otel import counters
from h2o_otel.client.headers import Headers
from h2o_otel.escape import is_plain
from h2o_otel.telemetry import configure, lines
from h2o_otel.telemetry.log_text import Formatter

PIECE = 500


def pieces():
    """Every code point there is, in texts that no bound cuts."""
    for first in range(0, sys.maxunicode + 1, PIECE):
        yield "".join(map(chr, range(first, min(first + PIECE, sys.maxunicode + 1))))


def octets():
    """The same as a peer sends them, and every octet that is no text."""
    for piece in pieces():
        yield piece.encode("utf-8", "surrogatepass")
    yield bytes(range(256))


def check(text):
    assert all(is_plain(line) for line in text.split("\n"))


class Kept(logging.Handler):
    """A handler of the application: what it gets, as it would print it."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@pytest.fixture(params=["json", "console"])
def written(request, fresh):
    """Where ``configure`` writes the log, and the events to write there."""
    stream = io.StringIO()
    with configure(log_format=request.param, log_level="debug", access_log=True, log_stream=stream, set_global=False) as telemetry:
        yield stream, telemetry.events


@pytest.mark.time_limit(240)
def test_access_lines(written):
    stream, events = written
    count = 0
    for path in octets():
        events.access(None, b"GET", b"/" + path.replace(b"?", b""), 200, 0.001)
        count += 1
        if count % 1000 == 0:
            assert lines.flush(60)
    assert lines.flush(60)
    check(stream.getvalue())
    assert len(stream.getvalue().splitlines()) == count


@pytest.mark.time_limit(240)
def test_events_and_exceptions(written, monkeypatch):
    stream, events = written
    monkeypatch.setattr(events._limit, "suppressed_before", lambda name: 0)
    for piece in pieces():
        events.emit("h2o.goaway", {"h2o.goaway.debug": piece, "h2o.flight": [piece]})
    check(stream.getvalue())
    stream.seek(0)
    stream.truncate()
    for piece in (piece for i, piece in enumerate(pieces()) if i < 200 or i % 20 == 0):
        try:
            raise ValueError(piece)
        except ValueError as error:
            events.emit("http.server.request.exception", {"url.path": piece}, exception=error)
    check(stream.getvalue())


def test_handlers_of_the_application(fresh, caplog):
    kept = Kept()
    logger = logging.getLogger("h2o_otel")
    logger.addHandler(kept)
    try:
        with configure(set_global=False) as telemetry:
            telemetry.events._limit.take = lambda name: 0
            for piece in pieces():
                telemetry.events.emit("h2o.request.refused", {"error.type": piece})
            try:
                raise ValueError("first\nh2o.goaway forged=1")
            except ValueError as error:
                telemetry.events.emit("http.server.request.exception", {}, exception=error)
    finally:
        logger.removeHandler(kept)
    for text in kept.texts:
        check(text)
    # A line that an exception's text begins is not at the beginning of one in the log.
    assert "\n    h2o.goaway forged=1" in kept.texts[-1]
    assert "\nh2o.goaway" not in kept.texts[-1]


@pytest.mark.parametrize("style", ["json", "console"])
def test_records_of_others(style, fresh):
    formatter = Formatter(style)
    for piece in pieces():
        record = logging.LogRecord("h2o_otel.io", logging.ERROR, __file__, 1, "it said %s", (piece,), None)
        check(formatter.format(record))
    error = ValueError("\x1b[2J\u202e\u2028")
    record = logging.LogRecord("h2o_otel.io", logging.ERROR, __file__, 1, "failed", (), (ValueError, error, None))
    check(formatter.format(record))


def test_console_exporters(fresh, capsys):
    hostile = "".join(map(chr, range(0x20, 0x300))) + "\x7f\u202e\u2028\u200b\ue000"
    with configure(level="traces", console="metrics,traces,logs", set_global=False) as telemetry:
        span = telemetry.tracing.client_started("GET", "http://a/" + hostile, "a" + hostile, 80, 0)
        span.finish(200, None, None, 1)
        counters.local().count("tls_alpn", ("client", hostile))
        telemetry.events.emit("h2o.goaway", {"h2o.goaway.debug": hostile})
    out = capsys.readouterr().out
    assert "h2o.goaway" in out
    assert "h2o.tls.alpn" in out
    check(out)
    assert out.isascii()


def test_representations():
    for piece in pieces():
        value = piece.encode("utf-8", "surrogatepass")
        assert is_plain(repr(Headers([(b"x-a", value)])))
    assert len(repr(Headers([(b"x-a", b"v" * 1_000_000)]))) < 20_000


def test_json_stays_json(fresh):
    for piece in pieces():
        record = logging.LogRecord("h2o_otel.io", logging.ERROR, __file__, 1, "%s", (piece,), None)
        assert is_plain(json.loads(Formatter("json").format(record))["event"])
