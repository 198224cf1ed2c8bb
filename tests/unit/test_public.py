"""The package's public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import h2o_otel


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
