"""Connections that fail in every way: each exchange ends once, nothing is left, nothing wedges.

``H2O_OTEL_SIMULATIONS`` runs more seeds, ``H2O_OTEL_SEED`` the same ones again; ``make simulate`` thousands.
"""

from __future__ import annotations

import os

import pytest

from tests.conftest import SEED
from tests.simulation.faults import FaultyEnd, FaultyWorld, simulate

pytestmark = pytest.mark.time_limit(120)
SIMULATIONS = int(os.environ.get("H2O_OTEL_SIMULATIONS") or 20)
PER_TEST = 10


@pytest.mark.parametrize("part", range(-(-SIMULATIONS // PER_TEST)))
def test_whatever_happens(part: int) -> None:
    for n in range(part * PER_TEST, min(part * PER_TEST + PER_TEST, SIMULATIONS)):
        simulate(SEED + n)


def test_without_faults_the_network_alone_breaks_nothing() -> None:
    for n in range(5):
        world = simulate(SEED + n, faults=0)
        assert not any(pair.damaged for pair in world.pairs)
        assert world.unsent == 0


def test_same_seed_same_world() -> None:
    def what_happened() -> object:
        world = simulate(SEED)
        return world.now, world.told, [(pair.client.outcomes, pair.server.received) for pair in world.pairs]

    assert what_happened() == what_happened()


def test_wedge_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that never gives credit back stops every connection sooner or later."""
    act = FaultyEnd.act

    def hoards(self: FaultyEnd, now: float) -> None:
        self.unread.clear()
        act(self, now)

    monkeypatch.setattr(FaultyEnd, "act", hoards)

    def some() -> None:
        for seed in range(20):
            FaultyWorld(seed, faults=0).run()

    with pytest.raises(AssertionError, match="a wedge"):
        some()
