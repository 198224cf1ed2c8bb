"""Alert and recording rules: current, valid, and firing when they should."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from h2o_otel import limits
from h2o_otel.dashboards.alerting import ALERTS, RECORDS, Alert, rules
from h2o_otel.dashboards.pages import DASHBOARDS
from h2o_otel.telemetry.catalogue import INSTRUMENTS
from tests.support.faults import for_each
from tests.support.programs import require_program

ROOT = Path(__file__).resolve().parents[2]
RULES_FILE = ROOT / "deploy/prometheus/rules/h2o-otel.yml"
TESTS_FILE = Path(__file__).parent / "rules_test.yml"
KNOWN = {i.prometheus for i in INSTRUMENTS} | {f"{i.prometheus}_{part}" for i in INSTRUMENTS for part in ("bucket", "count", "sum")}
NOT_METRICS = {"by", "on", "group_left", "sum", "rate", "increase", "count", "histogram_quantile", "and", "or", "unless", "offset", "le"}


def test_the_file_is_what_the_rules_say() -> None:
    assert yaml.safe_load(RULES_FILE.read_text(encoding="utf-8")) == rules()


def test_promtool_accepts_them() -> None:
    done = subprocess.run([require_program("promtool"), "check", "rules", RULES_FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS) + len(RECORDS)} rules found" in done.stdout


def test_they_fire_when_they_should() -> None:
    done = subprocess.run([require_program("promtool"), "test", "rules", TESTS_FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case() -> None:
    cases = yaml.safe_load(TESTS_FILE.read_text(encoding="utf-8"))["tests"]
    fired = {case["alertname"] for test in cases for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert fired == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alert(alert: Alert) -> None:
    assert alert.name.startswith("H2O")
    assert alert.severity in ("critical", "warning")
    assert alert.dashboard in {dashboard.uid for dashboard in DASHBOARDS}
    assert alert.action.endswith((".", "?"))
    assert promql_parser.parse(alert.promql) is not None
    for kind, name in re.findall(r"(\w*Limits)\.(\w+)", alert.action):
        assert name in {field.name for field in dataclasses.fields(getattr(limits, kind))}
    # A label in the text is one that the result has.
    for label in re.findall(r"\$labels\.(\w+)", alert.summary):
        assert re.search(rf"by \([^)]*\b{label}\b", alert.promql) or label == "job"


@for_each("expression", [a.promql for a in ALERTS] + [r.promql for r in RECORDS])
def test_rules_use_metrics_that_exist(expression: str) -> None:
    recorded = {record.name for record in RECORDS}
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|(?:by|on|group_left) \([^)]*\)", "", expression)
    names = set(re.findall(r"\b[a-zA-Z_][a-zA-Z0-9_:]*", bare)) - NOT_METRICS - {"m"}
    assert names
    assert names <= KNOWN | recorded
