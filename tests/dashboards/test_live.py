"""Every query of every panel and rule, asked of a real Prometheus that scrapes the running demo."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from h2o_otel.dashboards.alerting import ALERTS, RECORDS
from h2o_otel.dashboards.expressions import Expression
from h2o_otel.dashboards.pages import DASHBOARDS
from h2o_otel.dashboards.promql import GRAFANA, RULES, write
from h2o_otel.telemetry.catalogue import INSTRUMENTS
from tests.support.programs import free_port, require_program

ROOT = Path(__file__).resolve().parents[2]
QUERIES = [
    (dashboard.uid, panel.title, write(query.expression, GRAFANA))
    for dashboard in DASHBOARDS
    for panel in dashboard.panels()
    for query in panel.queries
]
SCRAPED_S = 14.0
VARIABLES = {"$job": ".*", "$instance": ".*", "$role": ".*", "$__rate_interval": "8s", "$__range": f"{SCRAPED_S:g}s"}

HISTOGRAMS_WITH_EXEMPLARS = ("http_server_request_duration_seconds", "http_client_request_duration_seconds")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped the demo for a while."""
    program = require_program("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    metrics, port = free_port(), free_port()
    scrape = {"job_name": "demo", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}
    config = {"global": {"evaluation_interval": "1s"}, "scrape_configs": [scrape], "rule_files": [f"{ROOT}/deploy/prometheus/rules/*.yml"]}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    demo = [sys.executable, "-m", "h2o_otel.cli.main", "demo", "--plain", "--rate", "60", "--metrics-port", str(metrics)]
    server = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    with (folder / "log").open("w") as log:
        processes = [subprocess.Popen(demo, stdout=log, stderr=log), subprocess.Popen(server, stdout=log, stderr=log)]
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for_data(url, folder, processes)
            yield url
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)


def _wait_for_data(url: str, folder: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    began = time.monotonic()
    scraped = 0.0
    while time.monotonic() - began < 120:
        assert all(process.poll() is None for process in processes), (folder / "log").read_text()[-3000:]
        try:
            if scraped == 0.0 and ask(url, "http_server_request_duration_seconds_count"):
                scraped = time.monotonic()
        except OSError:
            pass
        if scraped and time.monotonic() - scraped > SCRAPED_S:
            return
        time.sleep(0.25)
    pytest.fail("the demo was not scraped within two minutes: " + (folder / "log").read_text()[-3000:])


def get(url: str, path: str, **arguments: str) -> Any:
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}", timeout=60) as answer:
        document = json.load(answer)
    assert document["status"] == "success"
    return document["data"]


def ask(url: str, query: str) -> list[Any]:
    found: list[Any] = get(url, "query", query=query)["result"]
    return found


def answered(url: str, queries: Iterable[str]) -> list[str]:
    """Those of ``queries`` that had no answer within a minute: on a busy machine what they ask for happens seldom."""
    deadline = time.monotonic() + 60
    missing = [query for query in queries if not ask(url, query)]
    while missing and time.monotonic() < deadline:
        time.sleep(0.5)
        missing = [query for query in missing if not ask(url, query)]
    return missing


def filled(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query
    assert "vector(" not in query
    return query


@pytest.mark.time_limit(240)
def test_every_panel_has_data(prometheus: str) -> None:
    missing = set(answered(prometheus, {filled(query) for _, _, query in QUERIES}))
    assert [(uid, title, query) for uid, title, query in QUERIES if filled(query) in missing] == []


@pytest.mark.time_limit(240)
def test_values_make_sense(prometheus: str) -> None:
    """Nothing here is ever negative or infinite; a ratio of nothing to nothing is not a number, and Grafana leaves it out."""
    for uid, title, query in QUERIES:
        for sample in ask(prometheus, filled(query)):
            value = float(sample["value"][1])
            assert math.isnan(value) or 0 <= value < math.inf, (uid, title, query, sample)


@pytest.mark.time_limit(240)
def test_shares_are_at_most_the_whole(prometheus: str) -> None:
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels():
            if panel.unit == "ratio" and panel.maximum == 1.0:
                for query in panel.queries:
                    for sample in ask(prometheus, filled(write(query.expression, GRAFANA))):
                        assert not float(sample["value"][1]) > 1.0, (panel.title, sample)


@pytest.mark.time_limit(240)
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_what_alerts_compare_has_data(prometheus: str, alert: Any) -> None:
    if isinstance(alert.condition, Expression):
        assert answered(prometheus, [write(alert.condition, replace(RULES, window="10s", whole="10s"))]) == []


@pytest.mark.time_limit(240)
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_recording_rules_record(prometheus: str, record: Any) -> None:
    assert answered(prometheus, [record.name]) == []


@pytest.mark.time_limit(240)
def test_every_rule_evaluates(prometheus: str) -> None:
    rules = [rule for group in get(prometheus, "rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(ALERTS) + len(RECORDS)
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


@pytest.mark.time_limit(240)
@pytest.mark.parametrize("name", HISTOGRAMS_WITH_EXEMPLARS)
def test_latency_has_exemplars_with_trace_ids(prometheus: str, name: str) -> None:
    now = time.time()
    found = get(prometheus, "query_exemplars", query=f"{name}_bucket", start=str(now - 60), end=str(now + 1))
    traces = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
    assert traces
    assert all(len(trace) == 32 and set(trace) <= set("0123456789abcdef") for trace in traces)


@pytest.mark.time_limit(240)
def test_variables_have_values(prometheus: str) -> None:
    assert get(prometheus, "label/job/values", **{"match[]": "h2o_build_info"}) == ["demo"]
    assert len(get(prometheus, "label/instance/values", **{"match[]": 'h2o_build_info{job=~".*"}'})) == 1


@pytest.mark.time_limit(240)
def test_every_series_of_ours_is_in_the_catalogue(prometheus: str) -> None:
    known = {i.prometheus for i in INSTRUMENTS}
    known |= {f"{i.prometheus}_{part}" for i in INSTRUMENTS if i.kind == "histogram" for part in ("bucket", "count", "sum")}
    names = {name for name in get(prometheus, "label/__name__/values") if name.startswith("h2o_") and not name.endswith("_created")}
    assert names <= known


@pytest.mark.time_limit(240)
def test_series_stay_few(prometheus: str) -> None:
    """A few thousand per process in practice."""
    assert int(ask(prometheus, 'count({job="demo"})')[0]["value"][1]) < 4000
