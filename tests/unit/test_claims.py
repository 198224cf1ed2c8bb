"""Names in the documents and the configuration exist: commands, options, targets, files, modules, versions."""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import re
import tomllib
from pathlib import Path

from h2o_otel.cli import main
from tests.support.faults import for_each
from tests.unit.test_import_order import LEVELS, PEERS
from tests.unit.test_other_pythons import script  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETTINGS = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "findings" / "README.md"])
# The history of the project names what was.
CURRENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# The import name of a distribution, where it is not its own name.
MODULES = {"opentelemetry-api": "opentelemetry", "opentelemetry-sdk": "opentelemetry.sdk"}


def imported(*folders: str) -> set[str]:
    """Every module that a Python file of the folders imports, with the packages above it."""
    found: set[str] = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    names = [node.module]
                for name in names:
                    parts = name.split(".")
                    found |= {".".join(parts[: i + 1]) for i in range(len(parts))}
    return found


def code(path: Path) -> list[str]:
    """The code of a document: spans, and the lines of blocks."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line.strip() for block in blocks for line in block.splitlines()] + spans


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def commands() -> dict[str, set[str]]:
    """The subcommands, each with its options."""
    (actions,) = [action for action in main.make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: options_of(parser) for name, parser in actions.choices.items()}


@for_each("path", CURRENT, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_options_exist(path: Path) -> None:
    known = commands()
    for text in code(path):
        for line in re.findall(r"(?:^|[\s/])h2o-otel ((?:[a-z]|--)[^|#]*)", text):
            name, *rest = line.split()
            if name.startswith("--"):
                assert name in options_of(main.make_parser())
                continue
            assert name in known, text
            for word in rest:
                option = word.partition("=")[0].rstrip("],.")
                if option.startswith("--"):
                    assert option in known[name] | {"--help"}, text


@for_each("path", CURRENT, ids=lambda path: str(path.relative_to(ROOT)))
def test_targets_exist(path: Path) -> None:
    assert [text for text in code(path) for target in re.findall(r"^make ([a-z-]+)", text) if target not in TARGETS] == []


@for_each("path", CURRENT, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_exist(path: Path) -> None:
    """Links, and spans that begin with a folder of the project."""
    text = path.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and not link.startswith("#")]
    assert [link for link in links if link and not (path.parent / link).exists()] == []
    folders = {each.name for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".") and each.name != "build"}
    spans = [span for span in re.findall(r"`([\w.-]+/[\w./*-]*)`", text) if span.partition("/")[0] in folders]
    assert [span for span in spans if not list(ROOT.glob(span.rstrip("/")))] == []


def test_commands_in_the_order_exist() -> None:
    assert set(main._ORDER) == set(commands())


def test_every_layer_exists() -> None:
    package = ROOT / "h2o_otel"
    names = {name for level in LEVELS for name in level}
    assert [name for name in sorted(names) if not ((package / name).is_dir() or (package / f"{name}.py").exists())] == []
    assert {name for pair in PEERS for name in pair} <= names


def test_dependencies_are_imported() -> None:
    names = [re.split(r"[<>=!;\[ ]", dependency)[0] for dependency in PROJECT["project"]["dependencies"]]
    found = imported("h2o_otel")
    assert [name for name in names if MODULES.get(name, name) not in found] == []


def test_modules_without_types_are_imported() -> None:
    (override,) = PROJECT["tool"]["mypy"]["overrides"]
    found = imported(*PROJECT["tool"]["mypy"]["files"])
    assert [name for name in override["module"] if name.removesuffix(".*") not in found] == []


def test_patterns_of_the_configuration_match() -> None:
    for pattern in PROJECT["tool"]["ruff"]["lint"]["per-file-ignores"]:
        assert list(ROOT.glob(pattern)), pattern
    for pattern in PROJECT["tool"]["setuptools"]["package-data"]["*"]:
        assert list((ROOT / "h2o_otel").rglob(pattern)), pattern
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        verb, *words = line.split()
        if verb == "include":
            assert [word for word in words if not list(ROOT.glob(word))] == []
        elif verb == "recursive-include":
            folder, *patterns = words
            assert [pattern for pattern in patterns if not list((ROOT / folder).rglob(pattern))] == [], folder


def test_cython_is_one_version() -> None:
    pins = [re.split(r"==", line)[1] for line in re.findall(r"Cython==[\d.]+", SETTINGS)]
    assert len(pins) == SETTINGS.count('"Cython') == 2
    assert set(pins) == {importlib.metadata.version("Cython")}


def test_classifiers_name_what_is_tested(script) -> None:  # type: ignore[no-untyped-def] # noqa: F811
    claimed = [line.split(" :: ") for line in PROJECT["project"]["classifiers"]]
    minors = [
        tuple(map(int, line[-1].split("."))) for line in claimed if line[:2] == ["Programming Language", "Python"] and "." in line[-1]
    ]
    assert minors == list(script.MINORS)
    assert [line[-1] for line in claimed if "Implementation" in line] == ["CPython"]
    assert [line[-1] for line in claimed if line[0] == "Operating System"] == ["Linux"]


def test_every_finding_has_its_row() -> None:
    folder = ROOT / "findings"
    rows = re.findall(r"^\| `([\w.-]+\.sh)` \|", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == sorted(path.name for path in folder.glob("*.sh") if path.stat().st_mode & 0o111)
    for name in rows:
        assert "common.sh" in (folder / name).read_text(encoding="utf-8"), name
