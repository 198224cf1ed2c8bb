"""Applications that observe themselves, or bring providers of their own: every request once, in one trace, and nothing added."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.programs import free_port, require_program
from tests.support.served import Served
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.time_limit(120)

N = 5
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PROVIDERS = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
tracers, meters = TracerProvider(), MeterProvider([reader])
tracers.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(meters)
"""
# The same from providers that we make.
OURS = """
from h2o_otel.telemetry import configure

telemetry = configure(level="traces", in_memory=True)
spans, reader = telemetry.span_exporter, telemetry.readers[0]
"""
REPORT = """
def report():
    points = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    value = point.count if hasattr(point, "count") else point.value
                    points.setdefault(metric.name, []).append([scope.scope.name, value, dict(point.attributes)])
    made = [[s.kind.name, s.name, s.context.trace_id, s.context.span_id, s.parent.span_id if s.parent else 0]
            for s in spans.get_finished_spans()]
    return {"points": points, "spans": made}
"""
SCRAPE = """
def scrape():
    import os, urllib.request
    url = f"http://127.0.0.1:{os.environ['SCRAPED']}/metrics"
    return {"scraped": urllib.request.urlopen(url, timeout=30).read().decode()}
"""
FASTAPI = """
from fastapi import FastAPI

app = FastAPI()

@app.get("/items/{n}")
async def item(n: int):
    return n

@app.get("/report")
async def tell():
    return report()
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

async def item(request):
    return JSONResponse(1)

async def tell(request):
    return JSONResponse(report())

app = Starlette(routes=[Route("/items/{n}", item), Route("/report", tell)], middleware=[Middleware(OpenTelemetryMiddleware)])
"""
CONTRIB_FASTAPI = (
    FASTAPI
    + """
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
FastAPIInstrumentor.instrument_app(app)
"""
)
# FastAPI and a middleware around it know nothing of each other.
CONTRIB_ASGI = (
    STARLETTE.replace(", middleware=[Middleware(OpenTelemetryMiddleware)]", "").replace(
        "from starlette.middleware.opentelemetry import OpenTelemetryMiddleware", ""
    )
    + """
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
app = OpenTelemetryMiddleware(app)
"""
)
APPLICATIONS = {"fastapi": FASTAPI, "starlette": STARLETTE, "contrib-fastapi": CONTRIB_FASTAPI, "contrib-asgi": CONTRIB_ASGI}


def needs(application: str) -> None:
    if application == "starlette":
        pytest.importorskip("starlette.middleware.opentelemetry")
    elif application == "fastapi":
        pytest.importorskip("fastapi.telemetry")
    else:
        pytest.importorskip("opentelemetry.instrumentation." + application.removeprefix("contrib-"))


def ask(client: httpx.Client, served: Served, path: str, **headers: str) -> Any:
    return client.get(f"http://127.0.0.1:{served.port()}{path}", headers=headers, timeout=PATIENCE_S).raise_for_status().json()


def run(folder: Path, source: str, *arguments: str, parent: bool = False, **environment: str) -> Any:
    """The report of an application that was asked for ``N`` items."""
    served = Served(folder, source, "served:app", "--port", "0", *arguments, **environment)
    try:
        with httpx.Client(http1=False, http2=True) as client:
            for i in range(N):
                ask(client, served, f"/items/{i}", **({"traceparent": PARENT} if parent else {}))
            return ask(client, served, "/report")
    finally:
        served.close()


def servers(report: Any) -> list[Any]:
    """The SERVER spans of the items."""
    return [span for span in report["spans"] if span[0] == "SERVER" and span[1].startswith("GET") and "/report" not in span[1]]


def check_once(report: Any) -> None:
    """Each item has one SERVER span and one count, and all that is known of it is in one trace."""
    assert len(servers(report)) == N
    # No traceparent came.
    assert len({trace for _, name, trace, _, _ in report["spans"] if "/items" in name}) == N
    # The report's own request has not ended.
    assert sum(value for _, value, _ in report["points"]["http.server.request.duration"]) == N
    active = report["points"]["http.server.active_requests"]
    assert sum(value for _, value, _ in active) == 1
    assert len({scope for scope, _, _ in active}) == 1


@pytest.mark.parametrize("level", ["metrics", "traces"])
@pytest.mark.parametrize("application", APPLICATIONS)
def test_with_providers_of_the_application(tmp_path: Path, application: str, level: str) -> None:
    needs(application)
    source = PROVIDERS + REPORT + APPLICATIONS[application]
    check_once(run(tmp_path, source, "--telemetry", level, OTEL_SEMCONV_STABILITY_OPT_IN="http"))


@pytest.mark.parametrize("application", APPLICATIONS)
def test_with_providers_of_ours_and_a_scrape(tmp_path: Path, application: str) -> None:
    needs(application)
    promtool = require_program("promtool")
    port = free_port()
    source = OURS + REPORT + SCRAPE + APPLICATIONS[application].replace("report()", "report() | scrape()")
    report = run(tmp_path, source, "--prometheus-port", str(port), OTEL_SEMCONV_STABILITY_OPT_IN="http", SCRAPED=str(port))
    check_once(report)
    text = report["scraped"]
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    # 1 is for what cannot be parsed; 3 for names that it would have chosen otherwise.
    assert checked.returncode in (0, 3), checked.stderr
    types = Counter(line.split()[2] for line in text.splitlines() if line.startswith("# TYPE"))
    assert {name for name, n in types.items() if n > 1} == set()
    counts = [line for line in text.splitlines() if line.startswith("http_server_request_duration_seconds_count{")]
    assert ['http_route="/items/{n}"' in line and float(line.rsplit(" ", 1)[1]) for line in counts] == [N]


def test_a_traceparent_is_the_parent_of_the_one_server_span(tmp_path: Path) -> None:
    needs("fastapi")
    report = run(tmp_path, PROVIDERS + REPORT + FASTAPI, "--telemetry", "traces", parent=True)
    assert {(trace, parent) for _, _, trace, _, parent in servers(report)} == {(int(PARENT[3:35], 16), int(PARENT[36:52], 16))}
    assert len(servers(report)) == N


def test_opentelemetry_instrument_is_used_as_it_is(tmp_path: Path) -> None:
    """Providers set up by ``opentelemetry-instrument`` get no exporter of this package, though the environment names an endpoint."""
    pytest.importorskip("opentelemetry.distro")
    program = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    assert program is not None
    source = """
import h2o_otel.telemetry
from opentelemetry import _logs, metrics, trace

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    tracers, meters, loggers = trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()
    found = {
        "ours": h2o_otel.telemetry.default().tracer_provider is tracers,
        "spans": len(tracers._active_span_processor._span_processors),
        "metrics": len(meters._measurement_consumer._reader_storages),
        "logs": len(loggers._multi_log_record_processor._log_record_processors),
    }
    import json
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})
"""
    served = Served(
        tmp_path, source, "served:app", "--port", "0", "--telemetry", "traces", before=(program,),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_METRIC_EXPORT_INTERVAL="3600000", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="fastapi,asgi,httpx",
    )  # fmt: skip
    try:
        with httpx.Client(http1=False, http2=True) as client:
            found = ask(client, served, "/")
    finally:
        served.close()
    assert found == {"ours": True, "spans": 1, "metrics": 1, "logs": 1}


LIFESPAN = """
import contextlib, h2o_otel
from fastapi import FastAPI, Request

@contextlib.asynccontextmanager
async def lifespan(app):
    async with h2o_otel.AsyncClient() as app.state.client:
        yield

app = FastAPI(lifespan=lifespan)

@app.get("/leaf")
async def leaf():
    return 1

@app.get("/items/{n}")
async def item(n: int, request: Request):
    return (await app.state.client.get(f"http://127.0.0.1:{request.url.port}/leaf")).json()

@app.get("/report")
async def tell():
    return report()
"""
OUR_READER = "from h2o_otel.telemetry import reader_class\n" + PROVIDERS.replace(
    "InMemoryMetricReader()", "reader_class(InMemoryMetricReader)()"
)


@pytest.mark.parametrize("providers", [PROVIDERS, OUR_READER, OURS], ids=["theirs", "our-reader", "ours"])
def test_a_client_of_the_lifespan_shares_the_telemetry_of_serve(tmp_path: Path, providers: str) -> None:
    report = run(tmp_path, providers + REPORT + LIFESPAN, "--telemetry", "traces")
    traces: dict[int, list[str]] = {}
    for kind, name, trace, _, _ in report["spans"]:
        if kind in ("SERVER", "CLIENT"):
            traces.setdefault(trace, []).append(f"{kind} {name}")
    assert [sorted(names) for names in traces.values()] == [["CLIENT GET", "SERVER GET /items/{n}", "SERVER GET /leaf"]] * N
    assert sum(value for _, value, _ in report["points"]["http.client.request.duration"]) == N
    assert sum(value for _, value, _ in report["points"]["h2o.pool.acquisitions"]) == N
    for name, series in report["points"].items():
        keys = Counter(json.dumps(fields, sort_keys=True) for _, _, fields in series)
        assert {key for key, n in keys.items() if n > 1} == set(), name
