from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

import h2o_otel
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits, Limits, ServerLimits
from tests.support.faults import for_each

PACKAGE = Path(h2o_otel.__file__).parent


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SERVER_LIMITS.streams_max = 1  # type: ignore[misc]


def test_shown_by_what_differs_from_the_defaults() -> None:
    assert repr(SERVER_LIMITS) == "ServerLimits()"
    assert repr(CLIENT_LIMITS) == "Limits()"
    assert repr(ServerLimits(streams_max=7, idle_timeout_s=None)) == "ServerLimits(streams_max=7, idle_timeout_s=None)"
    assert eval(repr(CLIENT_LIMITS)) == CLIENT_LIMITS


def test_equal_by_value_and_hashable() -> None:
    assert ServerLimits() == SERVER_LIMITS
    assert hash(ServerLimits()) == hash(SERVER_LIMITS)
    assert CLIENT_LIMITS != SERVER_LIMITS


def test_sides_share_the_bounds_of_the_engine_only() -> None:
    engine, server, client = ({field.name for field in dataclasses.fields(kind)} for kind in (EngineLimits, ServerLimits, Limits))
    assert server & client == engine
    assert {"connections_max", "running_handlers_max"} <= server - engine
    assert {"max_connections", "max_keepalive_connections", "keepalive_expiry", "retries_max"} <= client - engine


def test_windows_of_a_client_are_larger() -> None:
    assert (Limits().stream_window_bytes, Limits().connection_window_bytes) == (1_048_576, 8_388_608)
    # A changed bound leaves them as they are.
    assert Limits(max_connections=3).stream_window_bytes == 1_048_576


@for_each("kind", [EngineLimits, ServerLimits, Limits])
@for_each("name", sorted({f.name for f in (*dataclasses.fields(ServerLimits), *dataclasses.fields(Limits))}))
def test_negative_bounds(kind: type[EngineLimits], name: str) -> None:
    if name not in {field.name for field in dataclasses.fields(kind)}:
        return
    with pytest.raises(ValueError) as caught:
        kind(**{name: -1})
    assert str(caught.value) == f"{kind.__name__}.{name} is -1; a bound is at least 0, or None where there is none"


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
    with pytest.raises(ValueError, match=r"ServerLimits\.running_handlers_max is 0; no request would ever be answered"):
        ServerLimits(running_handlers_max=0)


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
    assert {field.name for field in (*dataclasses.fields(ServerLimits), *dataclasses.fields(Limits))} - read_by_the_package() == set()
