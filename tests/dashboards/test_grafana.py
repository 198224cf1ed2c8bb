"""The generated Grafana JSON: current, and within the rules of the house."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from h2o_otel.cli.main import main as cli
from h2o_otel.dashboards import build
from h2o_otel.dashboards.grafana import coloured_names, unit_of
from h2o_otel.dashboards.model import COLOURS
from h2o_otel.dashboards.pages import DASHBOARDS
from h2o_otel.telemetry.catalogue import INSTRUMENTS
from tests.support.faults import for_each

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dashboards").glob("*.json"))
LOADED: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
PANELS = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid, dashboard in LOADED.items()
    for panel in dashboard["panels"]
    if panel["type"] != "row"
]
SUBSTITUTES = {"$__rate_interval": "1m", "$__range": "1h", "$job": ".*", "$instance": ".*", "$role": ".*"}
# The series that Prometheus stores for each instrument.
COUNTERS = {i.prometheus for i in INSTRUMENTS if i.kind == "counter"}
PARTS = {f"{i.prometheus}_{part}" for i in INSTRUMENTS if i.kind == "histogram" for part in ("bucket", "count", "sum")}
LEVELS = {i.prometheus for i in INSTRUMENTS if i.kind in ("gauge", "updowncounter")}


def test_generated_files_are_current() -> None:
    assert build.out_of_date(ROOT) == [], "run: make dashboards"


def test_one_file_for_each_dashboard() -> None:
    assert set(LOADED) == {dashboard.uid for dashboard in DASHBOARDS}
    assert all(dashboard["uid"] == stem for stem, dashboard in LOADED.items())


@for_each("uid", LOADED)
def test_frame_of_a_dashboard(uid: str) -> None:
    dashboard = LOADED[uid]
    assert dashboard["title"].startswith("h2o-otel / ")
    assert dashboard["description"].endswith("?") or dashboard["description"].endswith(".")
    assert dashboard["tags"] == ["h2o-otel"]
    assert dashboard["schemaVersion"] >= 39
    assert "id" not in dashboard or dashboard["id"] is None
    # A placement would hide them in a menu.
    assert all("placement" not in item for item in [*dashboard["links"], *dashboard["annotations"]["list"]])
    assert dashboard["links"][0]["includeVars"]
    assert dashboard["links"][0]["keepTime"]


@for_each("uid", LOADED)
def test_variables_are_used_and_used_ones_are_declared(uid: str) -> None:
    dashboard = LOADED[uid]
    declared = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    text = json.dumps(dashboard["panels"])
    used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith("__")}
    assert used == set(declared)
    assert list(declared)[:3] == ["datasource", "job", "instance"]
    for name in ("job", "instance", "role"):
        if name in declared:
            assert (declared[name]["multi"], declared[name]["includeAll"], declared[name]["allValue"]) == (True, True, ".*")


@for_each("uid", LOADED)
def test_layout_fills_24_columns_without_overlap(uid: str) -> None:
    cells: set[tuple[int, int]] = set()
    lines: dict[int, int] = {}
    for panel in LOADED[uid]["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= 24
        lines[at["y"]] = lines.get(at["y"], 0) + at["w"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in cells, panel["title"]
                cells.add((x, y))
    assert set(lines.values()) == {24}


@for_each("uid", LOADED)
def test_ids_are_unique(uid: str) -> None:
    ids = [panel["id"] for panel in LOADED[uid]["panels"]]
    assert ids == list(range(1, len(ids) + 1))


@for_each("panel", PANELS)
def test_panel_has_what_a_reader_needs(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert "**Healthy:** " in panel["description"]
    assert "**Tune:** " in panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["noValue"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]


@for_each("panel", PANELS)
def test_queries_of_a_panel(panel: dict[str, Any]) -> None:
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        expression = target["expr"]
        assert 'job=~"$job"' in expression
        assert 'instance=~"$instance"' in expression
        assert "vector(" not in expression
        for window in re.findall(r"\}\[([^]]*)\]", expression):
            assert window in ("$__rate_interval", "$__range")
        for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?=\{)", expression):
            assert name in COUNTERS | PARTS | LEVELS, name
            counted = f" or {name}{{" in expression and re.search(r"offset \$__(rate_interval|range), 0\)", expression)
            rated = f"rate({name}{{" in expression or f"increase({name}{{" in expression or bool(counted)
            assert rated == (name in COUNTERS | PARTS), f"{name}: counters are rated, levels are not"
        if panel["type"] in ("timeseries", "stat"):
            assert target["legendFormat"]
            assert target["range"]


@for_each("panel", PANELS)
def test_queries_are_promql(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        for variable, value in SUBSTITUTES.items():
            expression = expression.replace(variable, value)
        assert promql_parser.parse(expression) is not None


def test_parser_finds_mistakes() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum by (a (rate(x[1m]))")


def test_latency_has_exemplars() -> None:
    for uid, title in (("h2o-overview", "Latency of requests served"), ("h2o-requests", "Duration"), ("h2o-requests", "Distribution")):
        panels = [panel for panel in LOADED[uid]["panels"] if panel["title"] == title]
        assert panels
        assert all(any(target.get("exemplar") for target in panel["targets"]) for panel in panels)


def test_one_meaning_has_one_colour() -> None:
    seen = 0
    for dashboard in LOADED.values():
        for panel in dashboard["panels"]:
            for override in panel.get("fieldConfig", {}).get("overrides", []):
                assert override["matcher"]["id"] == "byName"
                assert override["properties"] == [
                    {"id": "color", "value": {"mode": "fixed", "fixedColor": COLOURS[override["matcher"]["options"]]}}
                ]
                seen += 1
    assert seen > 50
    assert all(name in COLOURS for dashboard in DASHBOARDS for panel in dashboard.panels() for name in coloured_names(panel))


def test_panel_links_carry_time_and_variables() -> None:
    links = [link for panel in LOADED["h2o-overview"]["panels"] for link in panel.get("links", [])]
    assert len(links) > 10
    for link in links:
        assert re.fullmatch(r"/d/(h2o-\w+)\?\$\{__url_time_range\}&\$\{__all_variables\}", link["url"])


@pytest.mark.parametrize(
    ("unit", "grafana"),
    [
        ("s", "s"),
        ("By", "bytes"),
        ("By/s", "binBps"),
        ("ratio", "percentunit"),
        ("{request}/s", "reqps"),
        ("{frame}/s", "cps"),
        ("{x}", "short"),
    ],
)
def test_units(unit: str, grafana: str) -> None:
    assert unit_of(unit) == grafana


def test_command_builds_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["dashboards", "check", "--output", str(tmp_path)]) == 1
    assert "h2o-overview.json is not current" in capsys.readouterr().err
    assert cli(["dashboards", "build", "--output", str(tmp_path)]) == 0
    assert "wrote" in capsys.readouterr().out
    (tmp_path / "dashboards/h2o-old.json").write_text("{}")
    (tmp_path / "dashboards/h2o-overview.json").write_text("{}")
    assert cli(["dashboards", "check", "--output", str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert cli(["dashboards", "build", "--output", str(tmp_path)]) == 0
    assert not (tmp_path / "dashboards/h2o-old.json").exists()
    assert cli(["dashboards", "check", "--output", str(tmp_path)]) == 0
    assert cli(["dashboards", "build", "--output", str(tmp_path)]) == 0
    assert "everything is current" in capsys.readouterr().out


def test_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "grafana_foundation_sdk", None)
    assert cli(["dashboards", "check"]) == 2
    assert 'pip install "h2o-otel[dashboards]"' in capsys.readouterr().err
