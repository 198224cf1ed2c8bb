"""Faults of compiled modules that uncompiled runs do not show: undeclared attributes, indices from the end, directives without effect."""

from __future__ import annotations

import ast
import gc
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import h2o_otel
from h2o_otel._pure import build
from tests.support.faults import for_each

ROOT = Path(h2o_otel.__file__).parent
CLASS = re.compile(r"^cdef class (\w+)(?:\((\w+)\))?:")
COMPILED = sorted(path for path in ROOT.rglob("*.py") if path.name != "_mem.py" and path.with_suffix(".pxd").exists())


def declared() -> tuple[dict[str, set[str]], dict[str, str | None]]:
    """Attributes by class, and the base of each class."""
    attributes: dict[str, set[str]] = {}
    bases: dict[str, str | None] = {}
    for path in ROOT.rglob("*.pxd"):
        name = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := CLASS.match(line):
                name = match[1]
                # Bases are found by name alone.
                assert name not in attributes
                attributes[name], bases[name] = set(), match[2]
            elif name and line.startswith("    cdef ") and "(" not in line:
                attributes[name] |= {re.findall(r"\w+", part)[-1] for part in line.split("#")[0].split(",")}
    return attributes, bases


def assigned(body: ast.ClassDef) -> Iterator[str]:
    """Names of what the methods assign to ``self``."""
    for node in ast.walk(body):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            if node.value.id == "self":
                yield node.attr


@for_each("path", COMPILED, ids=lambda path: str(path.relative_to(ROOT)))
def test_attributes_are_declared(path: Path) -> None:
    attributes, bases = declared()
    missing = []
    for body in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(body, ast.ClassDef) or body.name not in attributes:
            continue
        known: set[str] = set()
        name: str | None = body.name
        while name in attributes:
            known |= attributes[name]
            name = bases[name]
        missing += sorted({f"{body.name}.{attr}" for attr in assigned(body)} - {f"{body.name}.{attr}" for attr in known})
    assert missing == []


@for_each("path", COMPILED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_index_counts_from_the_end(path: Path) -> None:
    """Compiled without wraparound, ``values[-1]`` reads what lies before the list."""
    found = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.UnaryOp) and isinstance(node.slice.op, ast.USub)
    ]
    assert found == []


def test_something_is_looked_at() -> None:
    attributes, _ = declared()
    assert len(COMPILED) > 30
    assert {"slots", "histograms"} <= attributes["Counters"]


def directed(directive: str) -> list[tuple[str, str]]:
    """Module and name of the classes that a .pxd decorates so."""
    found = []
    for path in ROOT.rglob("*.pxd"):
        pattern = rf"^@cython\.{directive}\b.*\n(?:@.*\n)*cdef class (\w+)"
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        found += [(module, name) for name in re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)]
    return sorted(found)


@pytest.mark.parametrize(("module", "name"), directed("freelist"))
def test_free_lists_are_there(module: str, name: str) -> None:
    """Cython takes class directives of a .pxd for granted and forgets them; setup.py sees to it that they hold."""
    kind = getattr(importlib.import_module(module), name)
    if build() == "pure":
        return
    made = [kind.__new__(kind) for _ in range(8)]
    before = sys.getallocatedblocks()
    made.clear()
    # Eight blocks less without a list, whatever the interpreter allocates beside.
    assert sys.getallocatedblocks() > before - 6


@pytest.mark.parametrize(("module", "name"), directed("no_gc"))
def test_the_collector_leaves_acyclic_objects_alone(module: str, name: str) -> None:
    kind = getattr(importlib.import_module(module), name)
    assert build() == "pure" or not gc.is_tracked(kind.__new__(kind))
