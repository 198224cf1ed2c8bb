"""What is taken out of a build without counters, and what is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"

SOURCE = """
def f(self, slots, n):
    self.slots[1 + n] += 1
    slots[2] += n
    if n:
        self._slots[3] += 1
    self.sizes.record(n)
    self.recorder.record(n)
    self.counters.count("errors", ("a",))
    self.size += 1
    return self.names.count(n)
"""


@pytest.fixture
def instructions(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS)])
    for name in ("common", "instructions"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import instructions as module

    return module


def test_strip(instructions: Any, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    assert instructions.strip(path) == 5
    left = [line.strip() for line in path.read_text().splitlines()]
    assert [line for line in left if line and line != "pass"] == [
        "def f(self, slots, n):",
        "if n:",
        "self.recorder.record(n)",
        "self.size += 1",
        "return self.names.count(n)",
    ]


def test_counts_are_read_from_the_log(instructions: Any) -> None:
    assert instructions.collected("==1== \n==1== Collected : 123456\n") == 123456
    with pytest.raises(Exception, match="valgrind counted nothing: no such tool"):
        instructions.collected("no such tool")


def test_without_valgrind_it_says_so(instructions: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(instructions.common, "PATH", "/nonexistent")
    monkeypatch.setattr(sys, "argv", ["instructions.py", "engine"])
    assert instructions.main() == 0
    assert "engine: not measured: the program valgrind is not installed" in capsys.readouterr().out
