"""``setup.py`` as pip runs it: read into a string, which has no file that anything could be looked up in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "setup.py"


def test_cache_of_compiled_modules_under_pip() -> None:
    """An error here would have every installation by pip go without compiled modules, or fail."""
    distribution = pytest.importorskip("setuptools").Distribution
    names: dict[str, Any] = {"__name__": "setup", "__file__": str(SCRIPT)}
    exec(SCRIPT.read_text(encoding="utf-8"), names)
    command = names["BuildExtensions"](distribution())
    extension = names["Extension"]("h2o_otel.hpack.decoder", [names["source_of"]("h2o_otel.hpack.decoder")])
    kept = command.cached(extension)
    assert kept.name.startswith("h2o_otel.hpack.decoder-")
    assert kept == names["BuildExtensions"](distribution()).cached(extension)
