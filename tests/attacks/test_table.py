"""The table of docs/security-limits.md names what exists: limits, rules, counters and tests."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from h2o_otel.limits import ServerLimits
from h2o_otel.rules import all_rules
from h2o_otel.telemetry.catalogue import by_name

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "security-limits.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d", line)
]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize("row", ROWS, ids=[f"row-{row[0]}" for row in ROWS])
def test_row(row: list[str]) -> None:
    number, _class, limits, rules, signals, tests = row
    assert names(limits)
    assert names(limits) <= {field.name for field in fields(ServerLimits)}
    assert names(rules) or number in ("16", "25")
    assert names(rules) <= {rule.token for rule in all_rules()}
    assert names(signals)
    assert names(signals) <= set(by_name)
    for name in names(tests):
        sources = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
        found = [source[source.index(f"class {name}:") :] for source in sources if f"class {name}:" in source]
        assert len(found) == 1, name
        body = re.split(r"^class ", found[0][6:], flags=re.MULTILINE)[0]
        assert re.search(r"def test_(attack|nothing)", body), f"{name} attacks nothing"
        assert re.search(r"def test_(honest|goaway)", body), f"{name} has no honest traffic"


def test_every_guard_is_in_the_table() -> None:
    """Rules of RFC 9113 section 10.5 are there for the attacks of this table, and nothing else."""
    listed = {name for row in ROWS for name in names(row[3])}
    assert {rule.token for rule in all_rules() if rule.is_abuse and rule.token not in listed} == set()
