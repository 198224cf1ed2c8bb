"""Names that README and guide write as code exist: public names, limits, switches, instruments and attributes."""

from __future__ import annotations

import dataclasses
import re

import h2o_otel
from h2o_otel import limits
from tests.docs.blocks import PAGES, ROOT

TELEMETRY = ROOT / "docs" / "telemetry.md"


def written(pattern: str) -> set[tuple[str, str]]:
    """Matches of the pattern's group on each page: (page, found)."""
    return {(str(page.relative_to(ROOT)), found) for page in PAGES for found in re.findall(pattern, page.read_text(encoding="utf-8"))}


def fields_of(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_public_names_exist() -> None:
    found = written(r"\bh2o_otel\.([A-Z]\w+)")
    assert found
    assert sorted(each for each in found if not hasattr(h2o_otel, each[1])) == []


def test_limits_exist() -> None:
    found = written(r"--limit ([a-z]\w+)=")
    assert found
    assert sorted(each for each in found if each[1] not in fields_of(limits.ServerLimits)) == []
    for kind in (limits.EngineLimits, limits.ServerLimits, limits.Limits):
        found = written(rf"(?<!httpx\.)\b{kind.__name__}[.(]([a-z]\w+)\b(?!\.)")
        assert sorted(each for each in found if each[1] not in fields_of(kind)) == []


def test_switches_exist() -> None:
    switches = {field.name for field in dataclasses.fields(h2o_otel.Tuning)}
    found = written(r"\bTuning\.([a-z]\w+)") | written(r"\bTuning\(([a-z]\w+)=")
    assert found
    assert sorted(each for each in found if each[1] not in switches | {"baseline", "parse"}) == []


def test_telemetry_is_in_its_reference() -> None:
    """The reference is generated from the catalogue, which has everything."""
    known = set(re.findall(r"`((?:h2o|http)\.[\w.]+)`", TELEMETRY.read_text(encoding="utf-8")))
    found = written(r"`(h2o\.[a-z][\w.]+)`")
    assert len(found) > 100
    assert sorted(each for each in found if each[1] not in known) == []
