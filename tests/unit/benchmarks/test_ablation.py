"""The ablation finds its rows, measures both sides of one, and judges the ratio."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks.ablation.__main__ import main
from benchmarks.ablation.allocations import SOURCE, AllocationCounter
from benchmarks.ablation.row import Row, Workload
from benchmarks.ablation.runner import Runner, find_rows, verdict
from benchmarks.ablation.workloads import Pair, Stack
from h2o_otel.tuning import Tuning


class Appending(Workload):
    """With the switch, half the octets and half the objects."""

    def __init__(self, tuning: Tuning) -> None:
        self.each = 1 if tuning.frame_batching else 2
        self.kept: list[bytes] = []
        self.closed = False

    def run(self, n: int) -> None:
        for i in range(n * self.each):
            self.kept.append(b"%d" % i)
            if len(self.kept) > 100:
                self.kept.clear()
        self.wire_bytes += n * self.each * 10

    def close(self) -> None:
        self.closed = True


def test_measures_both_sides() -> None:
    made: list[Appending] = []

    def make(tuning: Tuning) -> Appending:
        made.append(Appending(tuning))
        return made[-1]

    result = Runner(rounds=1, seconds=0.005).measure(Row("5.1", "batches", "frame_batching", "half", make, goal="wire"))
    assert (result["on"]["wire_bytes"], result["off"]["wire_bytes"]) == (10, 20)
    assert result["ratios"]["wire"] == 0.5
    assert result["verdict"] == "pays"
    assert result["default"] is True
    if result["on"]["allocations"] is not None:
        assert 1.8 < result["off"]["allocations"] / result["on"]["allocations"] < 2.2
    assert all(workload.closed for workload in made)


def test_verdict() -> None:
    assert verdict(0.9) == "pays"
    assert verdict(1.1) == "costs"
    assert verdict(0.99) == "even"
    assert verdict(0.9, 1.0) == "even"
    assert verdict(None) == "-"


def test_unknown_goal_and_switch() -> None:
    with pytest.raises(ValueError, match="goal is 'speed'"):
        Row("5.1", "batches", "frame_batching", "", Appending, goal="speed")
    with pytest.raises(TypeError, match="frame_magic"):
        Row("5.1", "batches", "frame_magic", "", Appending)


def test_every_switch_has_a_row_and_every_row_a_switch() -> None:
    named = {name.strip() for row in find_rows() for name in row.switch.split(",")}
    assert named == {field.name for field in fields(Tuning)}


@pytest.mark.parametrize("options", [{}, {"body": 0}, {"body": 50_000, "upload": 30_000}, {"engine": "h2"}], ids=str)
def test_pair_does_its_work(options: dict[str, object]) -> None:
    pair = Pair(Tuning(), **options)  # type: ignore[arg-type]
    pair.run(25)
    assert pair.done == 25
    assert pair.wire_bytes > 25 * 50


@pytest.mark.parametrize("engine", ["native", "h2"])
def test_stack_does_its_work(engine: str) -> None:
    stack = Stack(Tuning(), body=70_000, engine=engine)
    stack.run(25)
    stack.close()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row("5.1", "batches", "frame_batching", "half", Appending)]
    monkeypatch.setattr("benchmarks.ablation.__main__.find_rows", lambda wanted: rows)
    files = ["--json", str(tmp_path / "result.json"), "--markdown", str(tmp_path / "result.md")]
    status = main(["--rounds", "1", "--seconds", "0.002", "--no-whole", *files])
    result = json.loads((tmp_path / "result.json").read_text())
    assert (status, result["failed"], len(result["rows"])) == (0, [], 1)
    assert "1 rounds of 0.002 s" in capsys.readouterr().out
    assert "| 5.1 | batches | frame_batching |" in (tmp_path / "result.md").read_text()


def test_row_that_fails_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row("5.1", "batches", "frame_batching", "half", lambda tuning: Workload())]
    monkeypatch.setattr("benchmarks.ablation.__main__.find_rows", lambda wanted: rows)
    assert main(["--quick", "--no-whole"]) == 1
    assert "5.1   batches: FAILED: NotImplementedError('Workload')" in capsys.readouterr().err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(find_rows())


def test_allocations_are_counted() -> None:
    """The source is part of the project: what is missing can only be a compiler or Python's headers."""
    assert SOURCE.is_file()
    counter = AllocationCounter()
    if counter.missing:
        pytest.skip(counter.missing)
    kept: list[bytearray] = []
    calls, octets = counter.count(lambda: kept.extend(bytearray(1000) for _ in range(100)))
    assert len(kept) == 100
    assert calls >= 200
    assert 100_000 <= octets < 150_000
