"""The short form of the soak: a few minutes warm up, as many add nothing; ``make soak`` runs eight."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from tests.conftest import SEED
from tests.simulation.soak import Link, Soak

pytestmark = pytest.mark.time_limit(120)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
def test_memory_stays() -> None:
    soak = Soak(SEED)
    soak.run(0.2, warm_up_hours=0.1)
    soak.check()
    assert soak.connections > 40


@pytest.mark.usefixtures("traced")
def test_leak_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty kilobytes kept for each connection that came and went."""
    kept: list[bytes] = []
    end = Link.end

    def leaks(self: Link) -> None:
        kept.append(bytes(20_000))
        end(self)

    monkeypatch.setattr(Link, "end", leaks)
    soak = Soak(SEED)
    soak.run(0.15, warm_up_hours=0.05)
    with pytest.raises(AssertionError, match="Measured"):
        soak.check()
