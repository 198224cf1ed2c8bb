"""The layers know only what lies below them: every import of the package, read from its sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.faults import for_each

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "h2o_otel"

# Lowest first.  A module may import from lower levels and from its own folder.
LEVELS = [
    ["errors", "escape", "bounds", "limits", "rules", "tuning", "families", "counters", "_mem", "_pure", "_signature"],
    ["memory"],
    ["buffers"],
    ["hpack"],
    ["frames"],
    ["streams"],
    ["protocol"],
    ["tls", "io", "telemetry"],
    ["pool", "compat"],
    ["client", "server"],
    ["dashboards", "demo", "httpx", "testing"],
    ["cli"],
    ["__init__", "__main__"],
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
# Among peers of one level, these and no others: leaves build on leaves, and a driver runs the TLS pump.
PEERS = {("rules", "errors"), ("limits", "errors"), ("limits", "bounds"), ("counters", "_mem"), ("counters", "families")} | {
    ("tuning", "limits"),
    ("io", "tls"),
}
# Below this level nothing awaits, owns a socket or speaks OpenTelemetry.
SANS_IO_BELOW = LEVEL["io"]
OUTSIDE_SANS_IO = {"anyio", "asyncio", "opentelemetry", "selectors", "socket", "ssl", "structlog", "trio", "uvloop"}
# Decisions use the `now` passed in; these two are where measurement gets its clock.
CLOCKS = {"_mem", "counters"}


class Import(NamedTuple):
    line: int
    module: str


def part_of(module: str) -> str:
    """The folder or top module below the package: ``h2o_otel.frames.reader`` is in ``frames``."""
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def absolute(importer: str, dots: int, module: str) -> str:
    """``..frames`` in ``h2o_otel.streams.stream`` is ``h2o_otel.frames``."""
    if not dots:
        return module
    return ".".join([*importer.split(".")[:-dots], *([module] if module else [])])


def from_import(importer: str, dots: int, module: str, names: list[str], line: int) -> Iterator[Import]:
    source = absolute(importer, dots, module)
    # `from h2o_otel import counters` names a module, every other form names things inside one.
    yield from (Import(line, f"{source}.{name}" if source == PACKAGE and name in LEVEL else source) for name in names)


def python_imports(importer: str, text: str) -> Iterator[Import]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from from_import(importer, node.level, node.module or "", [alias.name for alias in node.names], node.lineno)


def cython_imports(importer: str, text: str) -> Iterator[Import]:
    """``cimport`` and ``import`` lines of a .pxd, which ``ast`` cannot read."""
    joined = re.sub(r"\(([^()]*)\)|\\\n", lambda m: (m[1] or "").replace("\n", " "), re.sub(r"#.*", "", text))
    for number, line in enumerate(joined.splitlines(), 1):
        if match := re.match(r"\s*from\s+(\.*)\s*([\w.]*)\s+c?import\s+(.+)", line):
            names = [name.split()[0] for name in match[3].split(",") if name.strip()]
            yield from from_import(importer, len(match[1]), match[2], names, number)
        elif match := re.match(r"\s*c?import\s+(.+)", line):
            yield from (Import(number, name.split()[0]) for name in match[1].split(","))


def faults(importer: str, imports: Iterator[Import]) -> Iterator[str]:
    here = part_of(importer)
    if here not in LEVEL:
        yield f"{importer}: {here} has no place in the order of the layers; give it one in LEVELS"
        return
    for line, module in imports:
        there = part_of(module)
        if module.partition(".")[0] == PACKAGE:
            if there not in LEVEL:
                yield f"{importer}:{line} imports {module}, which has no place in the order of the layers"
            elif LEVEL[there] > LEVEL[here]:
                yield f"{importer}:{line} imports {module}: {there} is above {here}"
            elif LEVEL[there] == LEVEL[here] and there != here and (here, there) not in PEERS:
                yield f"{importer}:{line} imports {module}: {there} and {here} are peers, neither knows the other"
        elif LEVEL[here] < SANS_IO_BELOW:
            if module.partition(".")[0] in OUTSIDE_SANS_IO:
                yield f"{importer}:{line} imports {module}, which only io, tls, telemetry and what is above them may"
            elif module == "time" and here not in CLOCKS:
                yield f"{importer}:{line} imports time: decisions use the `now` passed in, measurement uses counters.clock"


@for_each("path", sorted((ROOT / PACKAGE).rglob("*.py")), ids=module_of)
def test_imports_point_downwards(path: Path) -> None:
    importer = module_of(path)
    assert list(faults(importer, python_imports(importer, path.read_text(encoding="utf-8")))) == []


@for_each("path", sorted((ROOT / PACKAGE).rglob("*.pxd")), ids=module_of)
def test_cimports_point_downwards(path: Path) -> None:
    importer = module_of(path)
    assert list(faults(importer, cython_imports(importer, path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("h2o_otel.frames.reader", "from ..streams.stream import Stream"),
        ("h2o_otel.frames.reader", "from ..streams import stream"),
        ("h2o_otel.frames.reader", "from .. import protocol"),
        ("h2o_otel.frames.reader", "import h2o_otel.client"),
        ("h2o_otel.frames.reader", "from h2o_otel import AsyncClient"),
        ("h2o_otel.frames.reader", "from opentelemetry import trace"),
        ("h2o_otel.protocol.core", "import asyncio"),
        ("h2o_otel.protocol.core", "from time import monotonic"),
        ("h2o_otel.telemetry.spans", "from ..io.driver import Driver"),
        ("h2o_otel.tls.pump", "from ..io.driver import Driver"),
        ("h2o_otel.server.asgi", "from .. import client"),
        ("h2o_otel.protocol.__init__", "from ..io import driver"),
        ("h2o_otel.surprise", "import os"),
    ],
)
def test_upward_import_is_found(importer: str, line: str) -> None:
    assert len(list(faults(importer, python_imports(importer, line)))) == 1
    assert len(list(faults(importer, python_imports(importer, f"def late():\n    {line}")))) == 1


@pytest.mark.parametrize("line", ["from ..streams.stream cimport Stream", "from .. cimport protocol", "cimport h2o_otel.streams.stream"])
def test_upward_cimport_is_found(line: str) -> None:
    assert len(list(faults("h2o_otel.frames.reader", cython_imports("h2o_otel.frames.reader", line)))) == 1
    several = f"from ..hpack.static cimport (\n    A,\n    B,\n)\n{line}  # why\n"
    assert len(list(faults("h2o_otel.frames.reader", cython_imports("h2o_otel.frames.reader", several)))) == 1


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("h2o_otel.frames.reader", "from .. import _mem, counters"),
        ("h2o_otel.frames.reader", "from .types import FrameType"),
        ("h2o_otel.frames.reader", "from ..hpack import static"),
        ("h2o_otel.io.driver", "from ..tls.pump import Pump"),
        ("h2o_otel.io.driver", "import asyncio, anyio"),
        ("h2o_otel.rules", "from .errors import ErrorCode"),
        ("h2o_otel.__init__", "from .client import AsyncClient"),
    ],
)
def test_downward_import_passes(importer: str, line: str) -> None:
    assert list(faults(importer, python_imports(importer, line))) == []
