"""One telemetry per process, and a context that requests propagate at every level except off.

Each program runs in a process of its own, since the providers of OpenTelemetry can be set once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.time_limit(120)

BEGIN = """
import asyncio, json, os, sys
import h2o_otel
from h2o_otel.server import ServerConfig, Server
from h2o_otel.telemetry import _sdk_context, configure, default
from opentelemetry import baggage, context, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

asked = []

async def app(scope, receive, send):
    assert scope["type"] == "http"
    asked.append({name.decode(): value.decode() for name, value in scope["headers"]})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

async def serving(work):
    server = Server(ServerConfig(app=app, port=0, lifespan="off", handle_signals=False, telemetry=SERVER))
    task = asyncio.create_task(server.serve())
    await server.wait_started()
    try:
        await work(f"http://127.0.0.1:{server.addresses[0][1]}/")
    finally:
        server.stop()
        await task

SERVER = None

def spans_of(telemetry):
    return [[span.kind.name, span.context.trace_id, span.context.span_id] for span in telemetry.spans()]

def points(reader):
    return [
        [scope.scope.name, metric.name, getattr(point, "count", None) or getattr(point, "value", 0), dict(point.attributes)]
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]
"""


def run(program: str, **environment: str) -> Any:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program], env={**variables, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, timeout=PATIENCE_S * 2, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("first", ["configure", "default", "request"])
def test_default_is_what_configure_set_up_in_either_order(first: str) -> None:
    found = run(
        """
async def work(url):
    early = default() if FIRST == "default" else None
    async with h2o_otel.AsyncClient() as client:
        if FIRST == "request":
            await client.get(url)
            early = default()
        telemetry = configure(level="traces", in_memory=True)
        if early is not None:
            assert early is telemetry
        assert default() is telemetry
        asked.clear()
        await client.get(url)
        async with h2o_otel.AsyncClient() as later:
            await later.get(url)
    counted = points(telemetry.readers[0])
    print(json.dumps({"spans": spans_of(telemetry), "asked": asked, "points": counted}))

asyncio.run(serving(work))
""".replace("FIRST", repr(first))
    )
    clients = {span[2] for span in found["spans"] if span[0] == "CLIENT"}
    assert len(clients) == 2
    assert {int(fields["traceparent"].split("-")[2], 16) for fields in found["asked"]} == clients
    keys = [(name, json.dumps(fields, sort_keys=True)) for _, name, _, fields in found["points"]]
    assert len(keys) == len(set(keys))
    assert sum(value for _, name, value, _ in found["points"] if name == "h2o.pool.acquisitions") == (3 if first == "request" else 2)


def test_a_second_configure_adds_to_the_first_and_the_higher_level_holds() -> None:
    found = run(
        """
first = configure("one", level="traces")
second = configure("two", level="metrics", in_memory=True, access_log=True)
print(json.dumps([first is second, second.level, second.access_log, len(second.readers), second.tracing is not None]))
"""
    )
    assert found == [True, "traces", True, 1, True]


def test_after_a_shutdown_there_is_a_new_one() -> None:
    found = run(
        """
first = configure(level="traces", in_memory=True)
first.shutdown()
second = default()
third = configure(in_memory=True)
print(json.dumps([first is second, second is third, third.level, sorted(third.metrics())[:1]]))
"""
    )
    assert found == [False, True, "metrics", ["cpython.gc.collected_objects"]]


def test_a_provider_that_comes_late_has_the_requests_made_from_then_on() -> None:
    found = run(
        """
async def work(url):
    async with h2o_otel.AsyncClient() as client:
        await client.get(url)
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        for _ in range(3):
            await client.get(url)
        print(json.dumps(points(reader)))

asyncio.run(serving(work))
"""
    )
    counts = {name: value for _, name, value, _ in found if name.endswith("request.duration")}
    assert counts == {"http.client.request.duration": 3, "http.server.request.duration": 3}
    # Counters are of the whole process.
    assert sum(value for _, name, value, _ in found if name == "h2o.pool.acquisitions") == 4


@pytest.mark.parametrize(("level", "carried"), [("off", False), ("metrics", True), ("traces", True)])
def test_the_current_context_is_carried_on_at_every_level_but_off(level: str, carried: bool) -> None:
    """With the SDK of an application, which has a current span, and baggage."""
    found = run(
        """
tracer = TracerProvider().get_tracer("app")

async def work(url):
    async with h2o_otel.AsyncClient() as client:
        await client.get(url)
        with tracer.start_as_current_span("work") as span:
            token = context.attach(baggage.set_baggage("user", "7"))
            await client.get(url)
            await client.get(url, headers={"traceparent": "mine"})
            context.detach(token)
    print(json.dumps({"trace": format(span.get_span_context().trace_id, "032x"), "asked": asked}))

asyncio.run(serving(work))
""",
        H2O_OTEL_TELEMETRY=level,
    )
    without, within, own = found["asked"]
    assert "traceparent" not in without
    assert ("traceparent" in within, within.get("baggage")) == (carried, "user=7" if carried else None)
    if carried:
        assert within["traceparent"].split("-")[1] == found["trace"]
    assert own["traceparent"] == "mine"


def test_nothing_is_carried_on_inside_an_exporter() -> None:
    found = run(
        """
tracer = TracerProvider().get_tracer("app")

async def work(url):
    async with h2o_otel.AsyncClient() as client:
        with tracer.start_as_current_span("work"):
            token = context.attach(context.set_value(_sdk_context.SUPPRESS_KEY, True))
            await client.get(url)
            context.detach(token)
    print(json.dumps(asked))

asyncio.run(serving(work))
"""
    )
    assert "traceparent" not in found[0]


def test_beside_the_instrumentation_of_httpx_each_client_has_its_own_span() -> None:
    """httpx speaks through its own transport, or through one of ours: the request has one CLIENT span in either case."""
    pytest.importorskip("opentelemetry.instrumentation.httpx")
    found = run(
        """
import httpx
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

telemetry = configure(level="traces", in_memory=True)
HTTPXClientInstrumentor().instrument()

class Ours(httpx.AsyncBaseTransport):
    def __init__(self):
        self.client = h2o_otel.AsyncClient()

    async def handle_async_request(self, request):
        answer = await self.client.request(request.method, str(request.url), headers=request.headers.raw)
        return httpx.Response(answer.status_code, content=answer.content, request=request)

async def work(url):
    with trace.get_tracer("app").start_as_current_span("work"):
        async with httpx.AsyncClient(http1=False, http2=True) as client:
            await client.get(url)
        async with h2o_otel.AsyncClient() as client:
            await client.get(url)
        transport = Ours()
        async with httpx.AsyncClient(transport=transport) as client:
            HTTPXClientInstrumentor.instrument_client(client)
            await client.get(url)
        await transport.client.aclose()
    spans = [[s.kind.name, s.instrumentation_scope.name, s.context.trace_id, s.context.span_id] for s in telemetry.spans()]
    print(json.dumps({"spans": spans, "asked": asked}))

asyncio.run(serving(work))
"""
    )
    clients = [scope for kind, scope, _, _ in found["spans"] if kind == "CLIENT"]
    assert clients == ["opentelemetry.instrumentation.httpx", "h2o_otel", "opentelemetry.instrumentation.httpx"]
    sent = [int(fields["traceparent"].split("-")[2], 16) for fields in found["asked"]]
    assert sent == [span for kind, _, _, span in found["spans"] if kind == "CLIENT"]
    # Connections have traces of their own; what belongs to the requests is in one.
    assert len({trace for kind, _, trace, _ in found["spans"] if kind in ("CLIENT", "SERVER")}) == 1
