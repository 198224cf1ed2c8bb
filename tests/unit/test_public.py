"""The package's public names."""

from __future__ import annotations

import json
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

    monkeypatch.delitem(vars(h2o_otel), "AsyncClient", raising=False)
    monkeypatch.setattr(h2o_otel.importlib, "import_module", fails)
    monkeypatch.setattr(_pure, "stale", lambda: old)
    with pytest.raises(ImportError) as caught:
        _ = h2o_otel.AsyncClient
    notes = getattr(caught.value, "__notes__", [])
    assert len(notes) == bool(old)
    assert all("2 compiled modules are not of the sources beside them (io/driver.so, io/core.so ...)" in note for note in notes)


SUFFIX = EXTENSION_SUFFIXES[0]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with two compiled modules and the record of what they were compiled from, in the order in which an archive is unpacked."""
    root = tmp_path / "h2o_otel"
    (root / "io").mkdir(parents=True)
    monkeypatch.setattr(_pure, "ROOT", root)
    monkeypatch.delenv("H2O_OTEL_PURE", raising=False)
    for name in (f"one{SUFFIX}", "one.py", "one.pxd", f"io/two{SUFFIX}", "io/two.py", "io/two.pxd", "io/plain.py"):
        (root / name).write_text(name)
    (root / _pure.RECORD).write_text(json.dumps(_pure.fingerprints()))
    for time, path in enumerate(sorted(root.rglob("*"), key=lambda path: path.suffix != ".so")):
        os.utime(path, (time, time))
    return root


def test_a_fresh_wheel_is_not_stale(package: Path) -> None:
    """Whatever the times of its files: the compiled ones are the oldest here."""
    assert _pure.stale() == []


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        ("one.py", ["one"]),
        ("io/two.py", ["io/two"]),
        ("io/two.pxd", ["io/two", "one"]),
        ("io/plain.py", []),
        ("io/new.pxd", ["io/two", "one"]),
    ],
)
def test_edited_sources_are_found(edited: str, stale: list[str], package: Path) -> None:
    path = package / edited
    path.write_text("edited")
    os.utime(path, (0, 0))
    assert _pure.stale() == [f"{name}{SUFFIX}" for name in stale]


def test_modules_that_are_compiled_no_more_are_found(package: Path) -> None:
    (package / f"gone{SUFFIX}").touch()
    assert _pure.stale() == [f"gone{SUFFIX}"]


@pytest.mark.parametrize("record", [None, "", "no JSON"])
def test_without_a_record_nothing_is_claimed(record: str | None, package: Path) -> None:
    (package / _pure.RECORD).unlink()
    if record is not None:
        (package / _pure.RECORD).write_text(record)
    (package / "one.py").write_text("edited")
    assert _pure.stale() == []


@pytest.mark.skipif(_pure.build() != "compiled", reason="what the build leaves beside compiled modules")
def test_the_build_leaves_its_record() -> None:
    assert json.loads((_pure.ROOT / _pure.RECORD).read_text()) == _pure.fingerprints()


def test_signatures_are_those_of_the_source() -> None:
    """Of classes and their public methods, compiled or not."""
    pure = subprocess.run(
        [sys.executable, "-c", SIGNATURES], capture_output=True, text=True, check=True, env={**os.environ, "H2O_OTEL_PURE": "1"}
    )
    found: dict[str, str] = {}
    exec(SIGNATURES.replace("print(json.dumps(found))", ""), {"found": found})
    assert found == json.loads(pure.stdout)
    assert found["AsyncClient"].startswith("(*, base_url: 'str | URL' = ''")
    assert "AsyncClient.get" in found


# Objects without a repr of their own have addresses in theirs.
SIGNATURES = """
import inspect, json, re
import h2o_otel
found = globals().get("found", {})
for name in h2o_otel.__all__:
    public = getattr(h2o_otel, name)
    if callable(public):
        members = vars(public) if inspect.isclass(public) and public.__module__.startswith("h2o_otel") else {}
        methods = {f"{name}.{m}": getattr(public, m) for m in members if not m.startswith("_") and inspect.isroutine(getattr(public, m))}
        for label, function in {name: public, **methods}.items():
            found[label] = re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(function)))
print(json.dumps(found))
"""
