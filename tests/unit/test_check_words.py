"""The check for plain words finds a phrase, advises, and judges the subjects of commits."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("check_words", ROOT / "scripts" / "check_words.py")
assert SPEC is not None
assert SPEC.loader is not None
check_words = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_words)


def test_the_tree_passes() -> None:
    assert check_words.check_files(check_words.tracked()) == []


def test_a_phrase_is_found_with_its_line_and_advice() -> None:
    text = "An unanswered PING\n" + "ends " + "nothing.\n"
    assert list(check_words.faults_in(text)) == [(2, "ends " + "nothing", "does not close the connection")]


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        ("telemetry: cut logs by topic", ""),
        ('Revert "scripts: build the site"', ""),
        ("Cut logs by topic", "not of the form 'area: what it does'"),
        ("telemetry: " + "x" * 70, "81 characters, at most 72"),
    ],
)
def test_subject(subject: str, fault: str) -> None:
    assert check_words.fault_of_subject(subject) == fault


def test_excluded_folders_exist() -> None:
    """The list shrinks: an entry that matches no file has to go."""
    names = [path.relative_to(ROOT).as_posix() for path in check_words.tracked()]
    assert [prefix for prefix in check_words.EXCLUDED if not any(name.startswith(prefix) for name in names)] == []
