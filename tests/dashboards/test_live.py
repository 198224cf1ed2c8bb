"""Every query of every panel, asked of a real Prometheus that scrapes the running demo."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from h2o_otel.dashboards.pages import DASHBOARDS
from h2o_otel.dashboards.promql import GRAFANA, write
from tests.support.programs import free_port, require_program

QUERIES = [
    (dashboard.uid, panel.title, write(query.expression, GRAFANA))
    for dashboard in DASHBOARDS
    for panel in dashboard.panels()
    for query in panel.queries
]
VARIABLES = {"$job": ".*", "$instance": ".*", "$role": ".*", "$__rate_interval": "8s", "$__range": "1m"}
SCRAPED_S = 14.0

# What a demo on a healthy machine does not show: a part of the query, and why.
NOTHING_TO_SHOW = {
    "h2o_frame_errors_total": "neither side breaks a rule",
    "h2o_hpack_errors_total": "nor those of HPACK",
    "h2o_connection_errors_total": "so no connection ends by one",
    "h2o_abuse_detections_total": "no guard has to stop anybody",
    "h2o_connection_rejected_total": "nobody is turned away",
    "h2o_pool_retries_total": "no request is refused",
    "http_server_request_body_size_bytes": "opt-in",
    "http_server_response_body_size_bytes": "opt-in",
    "error_type": "the service answers, as it should",
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped the demo for a while."""
    program = require_program("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    metrics, port = free_port(), free_port()
    config = {"scrape_configs": [{"job_name": "demo", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}]}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    demo = [sys.executable, "-m", "h2o_otel.cli.main", "demo", "--plain", "--rate", "60", "--metrics-port", str(metrics)]
    server = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = (folder / "log").open("w")
    processes = [subprocess.Popen(demo, stdout=log, stderr=log), subprocess.Popen(server, stdout=log, stderr=log)]
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for_data(url, folder, processes)
        yield url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)
        log.close()


def _wait_for_data(url: str, folder: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    began = time.monotonic()
    scraped = 0.0
    while time.monotonic() - began < 60:
        assert all(process.poll() is None for process in processes), (folder / "log").read_text()[-3000:]
        try:
            if scraped == 0.0 and ask(url, "http_server_request_duration_seconds_count"):
                scraped = time.monotonic()
        except OSError:
            pass
        if scraped and time.monotonic() - scraped > SCRAPED_S:
            return
        time.sleep(0.25)
    pytest.fail("the demo was not scraped within a minute: " + (folder / "log").read_text()[-3000:])


def ask(url: str, query: str) -> list[Any]:
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10) as answer:
        document = json.load(answer)
    assert document["status"] == "success"
    found: list[Any] = document["data"]["result"]
    return found


@pytest.mark.time_limit(120)
def test_every_panel_has_data(prometheus: str) -> None:
    empty = []
    for uid, title, query in QUERIES:
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        assert "vector(" not in query
        if not ask(prometheus, query) and not any(part in query for part in NOTHING_TO_SHOW):
            empty.append((uid, title, query))
    assert empty == []


def test_series_stay_few(prometheus: str) -> None:
    """A few thousand per process in practice."""
    assert int(ask(prometheus, 'count({job="demo"})')[0]["value"][1]) < 3000
