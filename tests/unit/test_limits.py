from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

import h2o_otel
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, Limits
from tests.support.faults import for_each

PACKAGE = Path(h2o_otel.__file__).parent


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SERVER_LIMITS.streams_max = 1  # type: ignore[misc]


def test_shown_by_what_differs_from_the_defaults() -> None:
    assert repr(SERVER_LIMITS) == "Limits()"
    assert repr(Limits(streams_max=7, idle_timeout_s=None)) == "Limits(streams_max=7, idle_timeout_s=None)"
    assert eval(repr(CLIENT_LIMITS)) == CLIENT_LIMITS


def test_equal_by_value_and_hashable() -> None:
    assert Limits() == SERVER_LIMITS
    assert hash(Limits()) == hash(SERVER_LIMITS)
    assert CLIENT_LIMITS != SERVER_LIMITS


@for_each("name", [f.name for f in dataclasses.fields(Limits)])
def test_negative_bounds(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        Limits(**{name: -1})
    assert str(caught.value) == f"Limits.{name} is -1; a bound is at least 0, or None where there is none"


@pytest.mark.parametrize("value", [0, 16_383, 16_777_216])
def test_frame_size(value: int) -> None:
    with pytest.raises(ValueError) as caught:
        Limits(frame_bytes_max=value)
    assert str(caught.value) == f"Limits.frame_bytes_max is {value}; RFC 9113 section 6.5.2 allows 16384 to 16777215"


@pytest.mark.parametrize("name", ["stream_window_bytes", "connection_window_bytes", "window_bytes_max"])
def test_windows(name: str) -> None:
    assert getattr(Limits(**{name: 2**31 - 1}), name) == 2**31 - 1
    with pytest.raises(ValueError) as caught:
        Limits(**{name: 2**31})
    assert str(caught.value) == f"Limits.{name} is 2147483648; RFC 9113 section 6.9.1 allows at most 2147483647"


def test_some_handler_runs() -> None:
    with pytest.raises(ValueError, match="running_handlers_max is 0; no request would ever be answered"):
        Limits(running_handlers_max=0)


def test_by_keyword_only() -> None:
    with pytest.raises(TypeError):
        Limits(4096)  # type: ignore[misc]


def read_by_the_package() -> set[str]:
    """The attributes of limits that some module reads, ``limits.py`` excepted."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path != PACKAGE / "limits.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            reads = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)]
            found |= {node.attr for node in reads if ast.unparse(node.value).lower().endswith("limits")}
    return found


def test_every_bound_binds() -> None:
    assert {field.name for field in dataclasses.fields(Limits)} - read_by_the_package() == set()
