"""The public types reject wrong calls under mypy strict."""

from __future__ import annotations

import re
from pathlib import Path

from mypy import api

ROOT = Path(__file__).parents[2]
REJECTED = ROOT / "tests" / "typing" / "rejected.py"


def test_wrong_calls_are_rejected_and_no_others() -> None:
    config = str(ROOT / "pyproject.toml")
    output, complaints, _ = api.run(["--strict", "--config-file", config, "--no-error-summary", str(REJECTED)])
    found = {int(number) for number in re.findall(r"rejected\.py:(\d+): error:", output)}
    lines = REJECTED.read_text(encoding="utf-8").splitlines()
    assert found == {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}, output + complaints
