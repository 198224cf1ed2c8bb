"""``--list-tuning`` of ``h2o-otel serve``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from h2o_otel.cli import main
from h2o_otel.cli._tuning import SENSIBLE, SWITCHES
from h2o_otel.tuning import Tuning


def test_every_switch_is_listed(capsys: Any) -> None:
    names = {field.name for field in fields(Tuning)}
    assert set(SWITCHES) == names
    assert names.issuperset(SENSIBLE)
    with pytest.raises(SystemExit) as ended:
        main.make_parser().parse_args(["serve", "--list-tuning"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1] for line in text.splitlines() if line.startswith("  ")}
    assert lines == {field.name: "on" if field.default else "off" for field in fields(Tuning)}
    assert text.index("protocol_push") < text.index("The others") < text.index("buffer_pool")


def test_reader_that_left_is_no_fault(monkeypatch: Any) -> None:
    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Gone())
    with pytest.raises(SystemExit) as ended:
        main.make_parser().parse_args(["serve", "--list-tuning"])
    assert ended.value.code == 0
