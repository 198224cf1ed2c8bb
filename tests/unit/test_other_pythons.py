"""``scripts/test_pythons.py``: which interpreters it finds, and what it says of them."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("test_pythons_script", ROOT / "scripts" / "test_pythons.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_parts_exist(script: Any) -> None:
    assert [path for paths in [*script.PARTS.values(), *script.WHOLE.values()] for path in paths if not (ROOT / path).exists()] == []


def test_candidates_are_on_the_path_and_of_pyenv(script: Any, tmp_path: Path) -> None:
    named = program(tmp_path / "bin" / "python3.13", "")
    pyenv = program(tmp_path / ".pyenv" / "versions" / "3.12.9" / "bin" / "python", "")
    program(tmp_path / "bin" / "python3.10", "")
    (tmp_path / "bin" / "python3.14").write_text("not executable")
    assert script.candidates(f"{tmp_path / 'bin'}:/nowhere", tmp_path) == [str(named), str(pyenv)]


def test_probe_tells_what_runs(script: Any, tmp_path: Path) -> None:
    found = script.probe(sys.executable)
    assert found.version == sys.version_info[:3]
    assert found.venv
    assert script.probe(str(program(tmp_path / "shim", "echo 'pyenv: python3.12: command not found' >&2; exit 127"))) is None
    assert script.probe(str(tmp_path / "nothing")) is None


@pytest.mark.parametrize(
    ("told", "reason"),
    [('"implementation": "pypy"', "another implementation"), ('"gil": false', "free-threaded"), ('"final": false', "a release candidate")],
)
def test_probe_takes_finished_cpython_alone(script: Any, tmp_path: Path, told: str, reason: str) -> None:
    usual = (
        '"version": [3, 12, 9], "executable": "/p", "venv": true, "headers": true, "implementation": "cpython", "gil": true, "final": true'
    )
    assert script.probe(str(program(tmp_path / "usual", f"echo '{{{usual}}}'"))).name == "3.12.9"
    assert script.probe(str(program(tmp_path / "other", f"echo '{{{usual}, {told}}}'"))) is None, reason


def test_newest_of_each_but_this_one(script: Any) -> None:
    made = script.Python
    found = [
        made((3, 13, 0), "a"),
        None,
        made((3, 12, 1), "b"),
        made((3, 12, 9), "c", venv=False),
        made((3, 11, 7), "d"),
        made((3, 10, 1), "e"),
    ]
    found += [made((3, 13, 5), "f")]
    assert [python.executable for python in script.newest_of_each(found, (3, 11))] == ["b", "f"]
    assert [python.executable for python in script.newest_of_each(found, (3, 13))] == ["d", "b"]
    assert script.newest_of_each([], (3, 11)) == []


def test_parts_are_counted_and_failures_named(script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    venv = tmp_path / "3.13.0"
    tally = script.Tally(script.Python((3, 13, 0), "p"), True)
    program(venv / "bin" / "python", 'echo "$H2O_OTEL_EXPECT $H2O_OTEL_PURE"; echo "7 passed, 1 skipped in 0.01s"')
    tally.add("loops", script.run_part(venv, True, ["tests"], [], time.monotonic() + 60))
    assert (venv / "tests-compiled.log").read_text().startswith("compiled \n")
    tally.add("loops", script.run_part(venv, False, ["tests"], [], None))
    assert (venv / "tests-pure.log").read_text().startswith("pure 1\n")
    program(venv / "bin" / "python", 'echo "the reason"; echo "1 failed, 2 passed in 0.01s"; exit 1')
    tally.add("client", script.run_part(venv, True, ["tests"], [], time.monotonic() + 60))
    assert "the reason" in capsys.readouterr().out
    tally.seconds = 1.0
    assert tally.line == "3.13.0 compiled: 16 tests passed in 1 s; FAILED: client"


def test_what_there_is_no_time_for_is_named(script: Any, tmp_path: Path) -> None:
    venv = tmp_path / "3.12.1"
    tally = script.Tally(script.Python((3, 12, 1), "p"), False)
    program(venv / "bin" / "python", "exec sleep 600")
    tally.add("loops", script.run_part(venv, False, ["tests"], [], time.monotonic() + 0.05))
    tally.add("client", script.run_part(venv, False, ["tests"], [], time.monotonic()))
    tally.seconds = 0.0
    assert tally.line == "3.12.1 pure: 0 tests passed in 0 s; no time for: loops, client"
    assert not tally.failed


def test_a_python_that_cannot_be_used_fails_only_where_all_are_meant(script: Any) -> None:
    bare = script.Python((3, 14, 0), "p", venv=False)
    for whole in (False, True):
        report = script.Report()
        script.run_all([bare], whole, [], report)
        assert report.lines == ["3.14.0: NOT TRIED: it cannot make virtual environments (Debian: apt-get install python3.14-venv)"]
        assert report.failed is whole
