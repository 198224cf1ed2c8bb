"""The switch between compiled and plain modules: ``H2O_OTEL_PURE=1`` runs the sources.

A leaf that only the package's ``__init__`` and tools import.  One build serves both ways: the
compiled files stay where they are and are not looked at.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

__all__ = ["build", "compiled_modules", "explain", "modules", "stale", "use_sources"]

ROOT = Path(__file__).parent


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


def stale() -> list[str]:
    """Compiled files in use that are older than their source or than any .pxd, or whose module is not compiled any more."""
    if os.environ.get("H2O_OTEL_PURE") == "1":
        return []
    newest_pxd = max((p.stat().st_mtime for p in ROOT.rglob("*.pxd")), default=0.0)
    found = []
    for built in ROOT.rglob(f"*{EXTENSION_SUFFIXES[0]}"):
        source = built.with_name(built.name.partition(".")[0] + ".py")
        current = source.exists() and source.with_suffix(".pxd").exists()
        if not current or built.stat().st_mtime < max(newest_pxd, source.stat().st_mtime):
            found.append(str(built.relative_to(ROOT)))
    return sorted(found)


def explain(error: Exception) -> None:
    """Say beside an import's error that compiled modules are of other sources, as in a checkout that was updated and not built again."""
    if old := stale():
        error.add_note(
            f"h2o-otel: {len(old)} compiled modules are older than their sources ({', '.join(old[:3])} ...);"
            " compile them again (make setup), or set H2O_OTEL_PURE=1 to run the sources"
        )
