"""A process that ends has sent what it knew: scripts, servers, collectors that answer and others that do not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.collector import Collector, black_hole, grpc_collector, http_collector
from tests.support.programs import refusing_port
from tests.support.served import Served
from tests.support.waiting import PATIENCE_S

pytest.importorskip("opentelemetry.proto.collector")
pytestmark = pytest.mark.time_limit(120)

ROOT = Path(__file__).resolve().parents[2]

# Three requests to a server of its own, and the end: nobody calls shutdown().
SCRIPT = """
import asyncio
import h2o_otel
from h2o_otel import telemetry

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})

async def main():
    server = h2o_otel.Server(h2o_otel.ServerConfig(app=app, port=0, lifespan="off", access_log=True))
    serving = asyncio.create_task(server.serve())
    await server.wait_started()
    async with h2o_otel.AsyncClient() as client:
        for _ in range(3):
            await client.get(f"http://127.0.0.1:{server.addresses[0][1]}/")
    server.stop()
    await serving

telemetry.configure("script", "traces", otlp=True)
asyncio.run(main())
"""


def run(folder: Path, source: str, **environment: str) -> tuple[str, float]:
    """The standard error of a script, and the seconds that passed between its last line and its end."""
    (folder / "script.py").write_text(source + "\nimport time\nprint(time.monotonic(), flush=True)\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    variables = {**clean, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    ended = time.monotonic()
    assert done.returncode == 0, done.stderr
    return done.stderr, ended - float(done.stdout.splitlines()[-1])


def check_complete(collector: Collector) -> None:
    kinds = [span.kind for span in collector.spans]
    assert (kinds.count(2), kinds.count(3)) == (3, 3)
    assert [record.event_name for record in collector.logs].count("h2o.access") == 3
    assert sum(p.count for p in collector.metrics["http.server.request.duration"].histogram.data_points) == 3


def test_a_script_that_just_ends_has_sent_all(tmp_path: Path) -> None:
    with http_collector() as collector:
        run(tmp_path, SCRIPT, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    check_complete(collector)


def test_over_grpc(tmp_path: Path) -> None:
    pytest.importorskip("grpc")
    with grpc_collector() as collector:
        run(tmp_path, SCRIPT, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    check_complete(collector)


@pytest.mark.parametrize("dead", ["refuses", "silent"])
def test_a_dead_metrics_endpoint_costs_no_spans_and_no_logs(tmp_path: Path, dead: str) -> None:
    with http_collector() as collector, black_hole() as hole, refusing_port() as port:
        endpoint = hole if dead == "silent" else f"http://127.0.0.1:{port}"
        _, seconds = run(
            tmp_path, SCRIPT, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{endpoint}/v1/metrics"
        )
    assert len(collector.spans) >= 6
    assert [record.event_name for record in collector.logs].count("h2o.access") == 3
    assert collector.requests["metrics"] == []
    assert seconds < 9.0


def test_with_every_endpoint_dead_the_end_is_bounded(tmp_path: Path) -> None:
    with black_hole() as hole:
        errors, seconds = run(tmp_path, SCRIPT, OTEL_EXPORTER_OTLP_ENDPOINT=hole)
    assert "the last export of spans, logs, metrics did not finish within" in errors
    assert "Traceback" not in errors
    assert seconds < 9.0


def test_a_server_that_is_told_to_end_has_sent_all(tmp_path: Path) -> None:
    source = SCRIPT.partition("async def main")[0]
    with http_collector() as collector:
        server = Served(
            tmp_path,
            source,
            "served:app",
            "--port",
            "0",
            "--telemetry",
            "traces",
            "--access-log",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        )
        try:
            port = server.port()
            for _ in range(3):
                subprocess.run(["curl", "-sS", "--http2-prior-knowledge", f"http://127.0.0.1:{port}/"], timeout=PATIENCE_S, check=True)
            assert server.end() == 0
        finally:
            server.close()
    assert len([span for span in collector.spans if span.kind == 2]) == 3
    assert [record.event_name for record in collector.logs].count("h2o.access") == 3


LOGGING = """
import logging

logging.basicConfig(level=logging.INFO, format="own %(message)s")

async def app(scope, receive, send):
    logging.getLogger("shop").info("order %d taken", 7)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
"""


@pytest.mark.parametrize("captured", [True, False])
def test_a_server_sends_what_its_application_logs(tmp_path: Path, captured: bool) -> None:
    with http_collector() as collector:
        option = "--capture-logging" if captured else "--no-capture-logging"
        served = ("served:app", "--port", "0", "--telemetry", "traces", "--lifespan", "off", option)
        server = Served(tmp_path, LOGGING, *served, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        try:
            port = server.port()
            subprocess.run(["curl", "-sS", "--http2-prior-knowledge", f"http://127.0.0.1:{port}/"], timeout=PATIENCE_S, check=True)
            assert server.end() == 0
        finally:
            server.close()
    taken = [record for record in collector.logs if record.body.string_value == "order 7 taken"]
    (span,) = collector.spans
    assert [record.trace_id for record in taken] == ([span.trace_id] if captured else [])
    assert "own order 7 taken" in server.lines
