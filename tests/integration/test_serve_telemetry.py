"""What a process of ``h2o-otel serve`` says of itself, as a scrape of its Prometheus endpoint shows it."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import h2o_otel
from h2o_otel.telemetry.catalogue import INSTRUMENTS
from h2o_otel.tls.certificates import Authority
from tests.support.collector import http_collector
from tests.support.programs import free_port
from tests.support.served import Served
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.time_limit(120)

pytest.importorskip("prometheus_client")

BLOCKING = """
import asyncio
import time

async def app(scope, receive, send):
    if scope["path"] == "/wait":
        await asyncio.sleep(0.05)
    if scope["path"] != "/":
        time.sleep(0.2)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
"""

Samples = dict[str, float]


def scrape(port: int) -> Samples:
    """The samples of ``/metrics``: their value by name and labels, as they are written."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {series: float(value) for series, value in pairs}


def total(samples: Samples, name: str, labels: str = "") -> float:
    """The sum of the series of ``name`` whose labels match ``labels``."""
    return sum(value for series, value in samples.items() if series.partition("{")[0] == name and re.search(labels, series))


def beyond(samples: Samples, bound: str) -> float:
    """How often the lag was above ``bound``."""
    name = "h2o_loop_lag_seconds"
    return total(samples, f"{name}_count") - total(samples, f"{name}_bucket", f'le="{bound}"')


def wait_for_sample(port: int, condition: Callable[[Samples], bool]) -> Samples:
    deadline = time.monotonic() + PATIENCE_S
    while not condition(samples := scrape(port)):
        assert time.monotonic() < deadline, samples
        time.sleep(0.05)
    return samples


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(source: str, *arguments: str, **environment: str) -> Served:
        # Of an option that is given twice, the second counts.
        process = Served(tmp_path, source, "served:app", "--port", "0", *arguments, **environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.close()


def get(port: int, *paths: str) -> None:
    async def main() -> None:
        async with h2o_otel.AsyncClient() as client:
            for path in paths:
                assert (await client.get(f"http://127.0.0.1:{port}{path}")).status_code == 200

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/block", "/wait"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_handler_that_blocks_shows_as_lag_and_as_busy(serve: Callable[..., Served], loop: str, path: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    metrics = free_port()
    server = serve(BLOCKING, "--loop", loop, "--prometheus-port", str(metrics))
    port = server.port()
    before = scrape(metrics)
    get(port, "/", path)
    after = wait_for_sample(metrics, lambda now: beyond(now, "0.1") > beyond(before, "0.1"))
    assert total(after, "h2o_loop_lag_seconds_sum") - total(before, "h2o_loop_lag_seconds_sum") >= 0.185
    assert total(after, "h2o_loop_busy_seconds_total") - total(before, "h2o_loop_busy_seconds_total") >= 0.185
    assert server.end() == 0


def test_with_telemetry_off_no_loop_is_watched(serve: Callable[..., Served]) -> None:
    server = serve(BLOCKING, "--telemetry", "off")
    get(server.port(), "/")
    assert server.end() == 0


@pytest.mark.time_limit(150)
def test_every_instrument_moves_in_a_served_process(serve: Callable[..., Served], tmp_path: Path) -> None:
    """The clients are inside; what only something else can move says so in the catalogue."""
    authority = Authority(tmp_path)
    leaf = authority.issue("localhost", "127.0.0.1")
    port, metrics = free_port(), free_port()
    names = {i.prometheus + ("_count" if i.kind == "histogram" else ""): i for i in INSTRUMENTS}
    wanted = {name for name, instrument in names.items() if not instrument.moved_by}
    moved: set[str] = set()
    with http_collector() as collector:
        server = serve(
            "from tests.support.every_instrument import app\n",
            *("--port", str(port), "--ssl-certfile", str(leaf.certificate), "--ssl-keyfile", str(leaf.key), "--lifespan", "on"),
            *("--prometheus-port", str(metrics), "--telemetry", "traces", "--access-log", "--body-sizes", "--log-format", "json"),
            CA=str(authority.certificate),
            CERTIFICATE=str(leaf.certificate),
            KEY=str(leaf.key),
            PORT=str(port),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_METRIC_EXPORT_INTERVAL="1000",
        )
        server.port()
        deadline = time.monotonic() + 100
        # Gauges come and go: it is enough to have met them once.
        while wanted - moved and time.monotonic() < deadline:
            moved |= {series.partition("{")[0] for series, value in scrape(metrics).items() if value}
            time.sleep(0.1)
        status = server.end(seconds=60)
    assert sorted(names[name].name for name in wanted - moved) == []
    assert (status, [line for line in server.lines if line.startswith("Traceback")]) == (0, []), server.text[-3000:]


def test_marked_instruments_are_few() -> None:
    """A mark excuses an instrument from the test above: each is here by name."""
    marked = {instrument.name for instrument in INSTRUMENTS if instrument.moved_by}
    assert marked == {"h2o.buffer.pool.leaked", "h2o.buffer.pool.contended", "cpython.gc.uncollectable_objects"}


def test_what_nothing_feeds_is_not_exported(serve: Callable[..., Served]) -> None:
    """A server in cleartext without clients says nothing of TLS and of clients."""
    metrics = free_port()
    server = serve(BLOCKING, "--prometheus-port", str(metrics))
    get(server.port(), "/")
    samples = scrape(metrics)
    assert total(samples, "h2o_streams_total", 'h2o_role="server"') == 1
    assert [series for series in samples if 'h2o_role="client"' in series or series.startswith(("h2o_tls_", "http_client"))] == []
    assert server.end() == 0
