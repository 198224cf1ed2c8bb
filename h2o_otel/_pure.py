"""The switch between compiled and plain modules: ``H2O_OTEL_PURE=1`` runs the sources.

A leaf that only the package's ``__init__`` and tools import.  One build serves both ways: the
compiled files stay where they are and are not looked at.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

__all__ = ["RECORD", "build", "compiled_modules", "explain", "fingerprints", "modules", "stale", "use_sources"]

ROOT = Path(__file__).parent
RECORD = f"_compiled-{sys.implementation.cache_tag}.json"
"""A file beside this one, which the build writes: ``fingerprints()`` of what it compiled."""


def use_sources(package_path: Iterable[str]) -> None:
    """Import everything below these folders from its source, compiled or not; must run before the first submodule is imported."""
    roots = tuple(package_path)

    def hook(path: str) -> FileFinder:
        if not any(path == root or path.startswith(root + os.sep) for root in roots):
            raise ImportError(path)
        return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, hook)
    for root in roots:  # the finder that found this module is kept there, and knows compiled modules
        sys.path_importer_cache.pop(root, None)


def modules() -> list[str]:
    """The names of the modules that a compiled build compiles: those with a .pxd beside them."""
    found = sorted(path.with_suffix("") for path in ROOT.rglob("*.pxd") if path.with_suffix(".py").exists())
    return [".".join(path.relative_to(ROOT.parent).parts) for path in found if path.name != "_mem"]


def compiled_modules() -> list[str]:
    """Those of them that an import takes from a compiled file."""
    suffixes = tuple(EXTENSION_SUFFIXES)
    specs = [importlib.util.find_spec(name) for name in modules()]
    return [spec.name for spec in specs if spec and spec.origin and spec.origin.endswith(suffixes)]


def build() -> str:
    """How this process runs: ``compiled``, ``pure``, or ``mixed`` when only some modules are compiled."""
    compiled = len(compiled_modules())
    return "pure" if compiled == 0 else "compiled" if compiled == len(modules()) else "mixed"


def fingerprints() -> dict[str, str]:
    """SHA-256 of every source that is compiled, by module; under "" that of all .pxd files together, which any module may read."""
    headers = hashlib.sha256()
    for path in sorted(ROOT.rglob("*.pxd")):
        headers.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    found = {name: hashlib.sha256(ROOT.parent.joinpath(*name.split(".")).with_suffix(".py").read_bytes()).hexdigest() for name in modules()}
    return {"": headers.hexdigest(), **found}


def stale() -> list[str]:
    """Compiled files in use that were not compiled from the sources beside them, or whose module is not compiled any more.

    The build leaves ``RECORD`` beside them, which says what they were compiled from.  Times of files would
    not tell: a wheel, a copy and a checkout have times of their own.
    """
    if os.environ.get("H2O_OTEL_PURE") == "1":
        return []
    try:
        built_from = json.loads((ROOT / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        built_from = None  # not known, so nothing is said
    now = fingerprints()
    others = built_from is not None and built_from.get("") != now[""]
    found = []
    for built in ROOT.rglob(f"*{EXTENSION_SUFFIXES[0]}"):
        name = ".".join([*built.relative_to(ROOT.parent).parent.parts, built.name.partition(".")[0]])
        if name not in now or others or (built_from is not None and built_from.get(name) != now[name]):
            found.append(str(built.relative_to(ROOT)))
    return sorted(found)


def explain(error: Exception) -> None:
    """Say beside an import's error that compiled modules are of other sources, as in a checkout that was updated and not built again."""
    if old := stale():
        error.add_note(
            f"h2o-otel: {len(old)} compiled modules are not of the sources beside them ({', '.join(old[:3])} ...);"
            " compile them again (make setup), or set H2O_OTEL_PURE=1 to run the sources"
        )
