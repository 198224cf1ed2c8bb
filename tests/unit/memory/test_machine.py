"""How much memory there is: control groups of both versions, and the share of it that is the bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from h2o_otel.limits import EngineLimits
from h2o_otel.memory import machine
from tests.support.engine import serving

GIB = 1 << 30


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    (tmp_path / "fs").mkdir()
    return tmp_path


def bounds(groups: Path, own: str, **files: str) -> list[int]:
    (groups / "own").write_text(own)
    for name, text in files.items():
        path = groups / "fs" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(machine.cgroup_bounds(groups / "own", groups / "fs"))


def test_version_2_counts_the_groups_above(groups: Path) -> None:
    files = {"a__b__memory_DOT_max": "max\n", "a__memory_DOT_max": "1000\n"}
    assert bounds(groups, "0::/a/b\n", **files) == [1000]


def test_version_1(groups: Path) -> None:
    own = "5:cpu,cpuacct:/x\n4:memory:/x/y\n0::/\n"
    files = {"memory__x__y__memory_DOT_limit_in_bytes": "9223372036854771712\n", "memory__memory_DOT_limit_in_bytes": "2000\n"}
    assert bounds(groups, own, **files) == [9223372036854771712, 2000]


def test_a_container_that_sees_the_names_of_its_host(groups: Path) -> None:
    assert bounds(groups, "4:memory:/docker/0123\n", memory__memory_DOT_limit_in_bytes="3000") == [3000]


@pytest.mark.parametrize("own", ["", "nonsense", "0::/../..", "::", "4:memory:/\n"])
def test_nothing_tells(groups: Path, own: str) -> None:
    assert bounds(groups, own) == []
    assert list(machine.cgroup_bounds(groups / "absent", groups / "fs")) == []


def test_the_least_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_physical", lambda: iter([8 * GIB]))
    monkeypatch.setattr(machine, "cgroup_bounds", lambda: iter([9223372036854771712, 2 * GIB]))
    monkeypatch.setattr(machine, "_address_space", lambda: iter([-1]))
    assert machine.machine_bytes.__wrapped__() == 2 * GIB
    monkeypatch.setattr(machine, "cgroup_bounds", lambda: iter([]))
    monkeypatch.setattr(machine, "_physical", lambda: iter([]))
    assert machine.machine_bytes.__wrapped__() is None


def test_this_machine() -> None:
    found = machine.machine_bytes()
    assert found is None or found > 1 << 20


def test_the_share_is_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "machine_bytes", lambda: 2 * GIB)
    assert machine.process_bytes_max(EngineLimits()) == GIB
    assert machine.process_bytes_max(EngineLimits(memory_process_percent=25)) == GIB // 2
    assert machine.process_bytes_max(EngineLimits(memory_process_percent=0)) is None
    assert machine.process_bytes_max(EngineLimits(memory_process_bytes_max=5)) == 5
    monkeypatch.setattr(machine, "machine_bytes", lambda: None)
    assert machine.process_bytes_max(EngineLimits()) is None


def test_connections_have_it() -> None:
    there = machine.machine_bytes()
    made, _ = serving()
    assert made.budget.bytes_max == (-1 if there is None else there // 2)
    made, _ = serving(EngineLimits(memory_process_percent=0))
    assert made.budget.bytes_max == -1
