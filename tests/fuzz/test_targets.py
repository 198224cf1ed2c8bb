"""The fuzz targets on their seeds, on what they once found, and on a number of new inputs; ``make fuzz`` runs them for long."""

from __future__ import annotations

import random

import hpack
import pytest

from fuzz import blocks, connections
from fuzz.targets import TARGETS
from tests.conftest import SEED

NEW_INPUTS = 100
pytestmark = pytest.mark.time_limit(120)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    for data in TARGETS[name].seeds():
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_new_inputs(name: str) -> None:
    target, rng = TARGETS[name], random.Random(SEED)
    pool = target.seeds()
    for _ in range(NEW_INPUTS):
        data = target.mutate(rng.choice(pool), rng)
        try:
            target.run(data)
        except Exception as error:
            error.add_note(f"TARGETS[{name!r}].run(bytes.fromhex({data.hex()!r}))")
            raise


# -- the targets notice


def run_seeds(name: str) -> None:
    for data in TARGETS[name].seeds():
        TARGETS[name].run(data)


def test_field_that_differs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(hpack.Decoder):
        def decode(self, data: bytes, raw: bool = False) -> list[tuple[bytes, bytes]]:
            return [(name, b"b" if value == b"*/*" else value) for name, value in super().decode(data, raw)]

    monkeypatch.setattr(blocks.hpack, "Decoder", Wrong)
    with pytest.raises(AssertionError):
        run_seeds("hpack")


@pytest.mark.parametrize("name", ["server", "client"])
def test_octet_that_is_lost_at_a_cut_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "whole", lambda connection, peer: connection.receive(peer[:-1], 1.0))
    with pytest.raises(AssertionError):
        run_seeds(name)


@pytest.mark.parametrize("name", ["server", "client"])
def test_output_without_bounds_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_BYTES", -1000)
    with pytest.raises(AssertionError):
        run_seeds(name)
