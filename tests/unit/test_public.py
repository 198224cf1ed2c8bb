"""The package's public names."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import h2o_otel
from h2o_otel import _pure


@pytest.mark.parametrize("name", h2o_otel.__all__)
def test_name_exists(name: str) -> None:
    assert getattr(h2o_otel, name) is not None
    assert name in dir(h2o_otel)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'h2o_otel' has no attribute 'Clint'"):
        _ = h2o_otel.Clint


def test_import_is_light() -> None:
    code = """if True:
        import h2o_otel, sys
        heavy = ("h2o_otel.", "opentelemetry", "anyio", "structlog")
        print([m for m in sys.modules if m.startswith(heavy) and m != "h2o_otel._pure"])
    """
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("old", [[], ["io/driver.so", "io/core.so"]])
def test_failed_import_says_what_is_stale(old: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: str) -> None:
        raise ImportError("h2o_otel.io.core does not export expected C function")

    monkeypatch.delitem(vars(h2o_otel), "Client", raising=False)
    monkeypatch.setattr(h2o_otel.importlib, "import_module", fails)
    monkeypatch.setattr(_pure, "stale", lambda: old)
    with pytest.raises(ImportError) as caught:
        _ = h2o_otel.Client
    notes = getattr(caught.value, "__notes__", [])
    assert len(notes) == bool(old)
    assert all("2 compiled modules are older than their sources (io/driver.so, io/core.so ...)" in note for note in notes)


def test_stale_modules_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pure, "ROOT", tmp_path)
    monkeypatch.delenv("H2O_OTEL_PURE", raising=False)
    suffix = EXTENSION_SUFFIXES[0]
    for name, ending, time in (
        *(("new", ending, 10) for ending in (".py", ".pxd")),
        *(("old", ending, 10) for ending in (".py", ".pxd")),
        ("new", suffix, 11),
        ("old", suffix, 9),
        ("gone", suffix, 11),
    ):
        path = tmp_path / f"{name}{ending}"
        path.touch()
        os.utime(path, (time, time))
    assert _pure.stale() == [f"gone{suffix}", f"old{suffix}"]
