"""What one request leaves in metrics, spans and logs."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace

from h2o_otel import counters
from h2o_otel.limits import ServerLimits
from h2o_otel.memory import gcwatch
from h2o_otel.telemetry import Telemetry, configure, runtime
from h2o_otel.telemetry.lines import flush
from tests.support import backends
from tests.support.peer import connected
from tests.support.waiting import eventually
from tests.support.wire import goaway, rst_stream

pytestmark = backends.asyncio_only

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    counters._reset_after_fork()
    gcwatch._reset_after_fork()
    yield
    runtime.unwatch_gc()
    counters._reset_after_fork()


def in_memory(level: str, **more: Any) -> Telemetry:
    return configure(
        "test", level, in_memory=True, otlp=False, set_global=False, sample_ratio=1.0 if level in ("traces", "detail") else None, **more
    )


class Route:
    path = "/items/{id}"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/raise":
        raise KeyError("x")
    if scope["path"] == "/wait":
        await receive()
        await receive()
        await asyncio.sleep(10)
    scope["route"] = Route()
    await send(START)
    await send({"type": "http.response.body", "body": b"hello"})


def durations() -> dict[tuple[str, ...], int]:
    found = counters.collect().labelled_histograms["http_server_request_duration"]
    return {key: sum(histogram[0]) for key, histogram in found.items()}


async def test_request_duration_has_route_status_and_error() -> None:
    telemetry = in_memory("metrics")
    begun = asyncio.Event()

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            begun.set()
        await app(scope, receive, send)

    async with connected(waiting, telemetry=telemetry, limits=ServerLimits(disconnect_grace_s=0.0)) as peer:
        await peer.get("/items/5")
        await peer.get("/raise")
        answer = peer.request(path="/wait")
        await begun.wait()
        peer.cancel(answer)
        await eventually(lambda: sum(durations().values()) == 3 and not peer.server.service.tasks)
        points = telemetry.metrics()["http.server.request.duration"].data.data_points
        seen = {
            (p.attributes.get("http.route"), p.attributes.get("http.response.status_code"), p.attributes.get("error.type"), p.count)
            for p in points
        }
        assert seen == {("/items/{id}", 200, None, 1), (None, 500, "KeyError", 1), (None, None, "rst_stream_received", 1)}
        active = telemetry.metrics()["http.server.active_requests"].data.data_points
        assert [p.value for p in active if p.value] == []
        app_durations = {p.attributes.get("error.type"): p.count for p in telemetry.metrics()["h2o.asgi.app.duration"].data.data_points}
        assert app_durations == {None: 1, "KeyError": 1, "CancelledError": 1}
    telemetry.shutdown()


async def test_spans_of_the_application_are_children_of_the_request() -> None:
    telemetry = in_memory("traces")
    tracer = telemetry.tracer_provider.get_tracer("app")

    async def traced(scope: Any, receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("inside"):
            await asyncio.sleep(0)
        await app(scope, receive, send)

    parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    async with connected(traced, telemetry=telemetry) as peer:
        await peer.get("/items/5", headers=[("traceparent", parent)])
        await eventually(lambda: len(telemetry.spans()) == 2)
    spans = {span.name: span for span in telemetry.spans()}
    server, inside = spans["GET /items/{id}"], spans["inside"]
    assert inside.parent.span_id == server.context.span_id
    assert server.parent.span_id == int("cd" * 8, 16)
    assert server.context.trace_id == int("ab" * 16, 16)
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["http.route"] == "/items/{id}"
    assert server.attributes["http.response.body.size"] == 5
    assert trace.get_current_span() is trace.INVALID_SPAN
    telemetry.shutdown()


async def test_unsampled_parent_is_followed_by_the_application() -> None:
    telemetry = in_memory("traces")
    tracer = telemetry.tracer_provider.get_tracer("app")

    async def traced(scope: Any, receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("inside"):
            await app(scope, receive, send)

    async with connected(traced, telemetry=telemetry) as peer:
        await peer.get("/items/5", headers=[("traceparent", "00-" + "ab" * 16 + "-" + "cd" * 8 + "-00")])
    assert telemetry.spans() == []
    telemetry.shutdown()


async def test_level_detail_has_spans_of_the_layers() -> None:
    telemetry = in_memory("detail")
    async with connected(app, telemetry=telemetry, engine="native") as peer:
        await peer.get("/items/5")
        await eventually(lambda: any(span.kind.name == "SERVER" for span in telemetry.spans()))
    names = {span.name for span in telemetry.spans()}
    assert {"h2o.hpack.decode", "h2o.hpack.encode"} <= names
    telemetry.shutdown()


async def test_access_log_has_one_line_per_request(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = in_memory("metrics")
    with caplog.at_level(logging.INFO, "h2o_otel"):
        async with connected(app, telemetry=telemetry, access_log=True) as peer:
            await peer.get("/items/5?secret=1")
            await peer.get("/raise")
        assert flush()
    lines = [r.h2o_fields for r in caplog.records if getattr(r, "h2o_event", "") == "h2o.access"]
    assert [(line["url.path"], line["http.response.status_code"]) for line in lines] == [("/items/5", 200), ("/raise", 500)]
    telemetry.shutdown()


async def test_fault_of_the_peer_is_one_event(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(app, engine="native") as peer:
        await peer.get("/x")
        peer.write(b"\0\0\4\3\0\0\0\0\0\0\0\0\0")
        await peer.closed.wait()
    (record,) = [r for r in caplog.records if getattr(r, "h2o_event", "") == "h2o.connection.failed"]
    assert record.h2o_fields["error.type"] == "frame_on_stream_zero"
    assert record.h2o_fields["h2o.flight"][-1].endswith("< RST_STREAM stream=0 length=4")
    assert record.levelno == logging.WARNING
    assert record.exc_info is None


@pytest.mark.parametrize("how", ["option", "environment"])
async def test_excluded_urls_have_no_spans_and_no_metrics(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    excluded = "/health$,^http://admin"
    if how == "environment":
        monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", excluded)
    telemetry = in_memory("traces", excluded_urls=excluded if how == "option" else None)
    seen: list[Any] = []

    async def observing(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], "fastapi.telemetry" in scope))
        await app(scope, receive, send)

    async with connected(observing, telemetry=telemetry) as peer:
        for path in ("/health", "/health?probe=1", "/healthy"):
            assert (await peer.get(path)).status == 200
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", "admin"), (":path", "/items/5")]
        assert (await peer.open(fields, end=True).done()).status == 200
        await eventually(lambda: telemetry.spans())
    assert [span.attributes["url.path"] for span in telemetry.spans()] == ["/healthy"]
    assert sum(durations().values()) == 1
    assert counters.collect().value("http_server_active_requests") == 0
    # Nor may a framework make a span of its own.
    assert [has for _, has in seen] == [True] * 4
    telemetry.shutdown()


async def left(caplog: pytest.LogCaptureFixture, goodbye: bool, reset: bool) -> list[logging.LogRecord]:
    """What is logged of three clients that leave in the middle of a response."""
    for said in range(3):
        async with connected(app, engine="native", limits=ServerLimits(disconnect_grace_s=0.0)) as peer:
            peer.request(path="/wait")
            await peer.get("/items/5")
            if goodbye:
                peer.write(goaway(0))
                await eventually(lambda: counters.collect().value("goaway", "server", "receive", "NO_ERROR") > said)  # noqa: B023
            if reset:
                raw = peer._writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer._writer.transport.abort()
            await eventually(lambda: counters.collect().value("connection_active", "server") == 0)
    names = ("h2o.connection.failed", "h2o.connection.left", "h2o.connection.frames", "http.server.request.exception")
    return [record for record in caplog.records if getattr(record, "h2o_event", "") in names]


@pytest.mark.parametrize(("goodbye", "reset"), [(False, False), (True, False), (True, True)])
async def test_a_client_that_leaves_politely_is_no_warning(caplog: pytest.LogCaptureFixture, goodbye: bool, reset: bool) -> None:
    caplog.set_level(logging.INFO, "h2o_otel")
    records = await left(caplog, goodbye, reset)
    assert [(record.h2o_event, record.levelname) for record in records] == [("h2o.connection.left", "INFO")] * 3
    assert max(len(record.getMessage()) for record in records) < 300


@pytest.mark.parametrize("how", ["cancel", "close", "fail"])
async def test_a_client_that_leaves_makes_no_error_span(how: str) -> None:
    with in_memory("traces") as telemetry:
        async with connected(app, engine="native", telemetry=telemetry, limits=ServerLimits(disconnect_grace_s=0.0)) as peer:
            peer.request(path="/wait")
            await peer.get("/items/5")
            if how == "close":
                peer._writer.transport.abort()
            else:
                peer.write(rst_stream(1, 8 if how == "cancel" else 2))
            await eventually(lambda: len(telemetry.spans()) == 2)
        (left,) = [span for span in telemetry.spans() if span.attributes["url.path"] == "/wait"]
    error = how == "fail"
    assert left.attributes["error.type"] == ("connection_lost" if how == "close" else "rst_stream_received")
    assert left.attributes["h2o.stream.closed_by"] == "remote"
    assert left.status.status_code is (trace.StatusCode.ERROR if error else trace.StatusCode.UNSET)


async def test_the_frames_of_a_client_that_left_are_a_line_of_level_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "h2o_otel")
    records = await left(caplog, goodbye=False, reset=False)
    assert [record.levelname for record in records] == ["INFO", "DEBUG"] * 3
    assert any("HEADERS stream=1" in line for line in records[1].h2o_fields["h2o.flight"])


async def test_a_lost_connection_is_still_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    records = await left(caplog, goodbye=False, reset=True)
    assert [(record.h2o_event, record.levelname) for record in records] == [("h2o.connection.failed", "WARNING")] * 3


async def test_level_off_serves() -> None:
    async with connected(app, telemetry=configure(level="off", otlp=False, set_global=False)) as peer:
        assert (await peer.get("/x")).body == b"hello"


async def test_failed_spans_carry_the_frames_of_their_stream_and_of_the_connection() -> None:
    telemetry = in_memory("traces")
    async with connected(app, telemetry=telemetry, limits=ServerLimits(disconnect_grace_s=0.0), engine="native") as peer:
        answer = peer.request(path="/wait")
        await peer.get("/items/5")
        peer.cancel(answer)
        await eventually(lambda: len(telemetry.spans()) == 2)
        peer.write(b"\0\0\4\3\0\0\0\0\0\0\0\0\0")
        await peer.closed.wait()
    whole, failed, connection = sorted(telemetry.spans(), key=lambda span: len(span.attributes.get("h2o.flight", ())))
    assert "h2o.flight" not in whole.attributes
    lines = failed.attributes["h2o.flight"]
    assert lines[-1].endswith("< RST_STREAM stream=1 length=4 CANCEL")
    assert {line.split("stream=")[1].split()[0] for line in lines} == {"0", "1"}
    assert connection.name == "h2o.connection"
    assert any("stream=3" in line for line in connection.attributes["h2o.flight"])
    telemetry.shutdown()


@pytest.mark.parametrize("believed", [True, False])
async def test_span_has_client_and_scheme_that_a_trusted_proxy_names(believed: bool) -> None:
    telemetry = in_memory("traces")
    fields = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")]
    async with connected(app, telemetry=telemetry, proxy_headers=believed) as peer:
        await peer.get(headers=fields)
        # The scheme is never that of :scheme: HAProxy writes https there for cleartext.
        await peer.open([(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/")], end=True).done()
        await eventually(lambda: len(telemetry.spans()) == 2)
    first, second = (span.attributes for span in telemetry.spans())
    assert (first["client.address"], first["url.scheme"]) == (("192.0.2.1", "https") if believed else ("127.0.0.1", "http"))
    assert (second["client.address"], second["url.scheme"]) == ("127.0.0.1", "http")
    assert first["network.peer.address"] == "127.0.0.1"


async def test_access_log_of_one_server_leaves_others_silent(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = in_memory("metrics")
    with caplog.at_level(logging.INFO, "h2o_otel"):
        async with connected(app, telemetry=telemetry, access_log=True) as peer:
            await peer.get("/first")
        async with connected(app, telemetry=telemetry) as peer:
            await peer.get("/second")
        assert flush()
    assert [r.h2o_fields["url.path"] for r in caplog.records if getattr(r, "h2o_event", "") == "h2o.access"] == ["/first"]
    telemetry.shutdown()
