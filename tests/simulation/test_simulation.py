"""Random exchanges over a bad network end well; a failure names the seed that repeats it.

``H2O_OTEL_SIMULATIONS`` runs more of them, ``H2O_OTEL_SEED`` the same ones again.
"""

from __future__ import annotations

import os

import pytest

from tests.conftest import SEED
from tests.simulation.world import World

SIMULATIONS = int(os.environ.get("H2O_OTEL_SIMULATIONS") or 200)
PER_TEST = 20


@pytest.mark.parametrize("part", range(-(-SIMULATIONS // PER_TEST)))
def test_native_against_native(part: int) -> None:
    for n in range(part * PER_TEST, min(part * PER_TEST + PER_TEST, SIMULATIONS)):
        run(SEED + n, "native", "native")


@pytest.mark.parametrize("engines", [("native", "h2"), ("h2", "native")], ids="-".join)
def test_against_the_reference(engines: tuple[str, str]) -> None:
    for n in range(10):
        run(SEED + n, *engines)


def run(seed: int, client: str, server: str) -> None:
    world = World(seed, (client, server))
    try:
        world.run()
        world.check()
    except Exception as error:
        error.add_note(f"World({seed}, ({client!r}, {server!r}))")
        raise


def test_same_seed_same_world() -> None:
    def octets(seed: int) -> tuple[float, list[int], dict[int, bytearray]]:
        world = World(seed)
        world.run()
        return world.now, world.client.closed, world.client.received

    assert octets(SEED) == octets(SEED)
