"""The list of what the RFCs ask of an endpoint: every row has a test, every test names rows that exist.

Tests name their rows with ``@requirement("9113-5.1-1")``; they are found in the source, so that this
test says the same whatever part of the suite runs.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"}
ROLES = {"client", "server", "both"}
ID = re.compile(r"(\d{4})-((?:\d+|[A-C])(?:\.\d+)*)-\d+")


def listed() -> list[dict[str, Any]]:
    return tomllib.loads((TESTS / "requirements.toml").read_text("utf-8"))["requirement"]  # type: ignore[no-any-return]


def proven() -> dict[str, list[str]]:
    """Ids, and the tests that are marked with them."""
    found = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text("utf-8")
        if "requirement(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "requirement":
                    for argument in call.args:
                        assert isinstance(argument, ast.Constant), f"{path.name}: {node.name} computes the id of a requirement"
                        found[str(argument.value)].append(f"{path.relative_to(TESTS)}::{node.name}")
    return found


def place(id: str) -> tuple[list[int], int]:
    """Section, and number within it."""
    _, section, number = id.split("-")
    return [int(part) for part in section.split(".")], int(number)


def test_rows_are_complete() -> None:
    for row in listed():
        assert ID.fullmatch(row["id"]), row
        assert row["level"] in LEVELS, row
        assert row["role"] in ROLES, row
        assert row["text"].strip() == row["text"] != "", row
        assert set(row) <= {"id", "level", "role", "text", "not_ours"}, row


def test_ids_are_unique_and_in_order() -> None:
    ids = [row["id"] for row in listed()]
    assert len(ids) == len(set(ids))
    for rfc in {id[:4] for id in ids}:
        own = [place(id) for id in ids if id[:4] == rfc and not id[5].isalpha()]
        assert own == sorted(own)


def test_every_requirement_has_a_test() -> None:
    tests = proven()
    assert [row["id"] for row in listed() if row["id"] not in tests and "not_ours" not in row] == []


def test_every_test_names_a_requirement_of_ours() -> None:
    ours = {row["id"] for row in listed() if "not_ours" not in row}
    assert {id: where for id, where in proven().items() if id not in ours} == {}


def test_what_is_not_ours_says_why() -> None:
    assert all(len(row["not_ours"]) > 20 for row in listed() if "not_ours" in row)
