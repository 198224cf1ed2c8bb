"""The targets by name."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from functools import partial
from typing import NamedTuple

from fuzz import blocks, connections, seeds
from h2o_otel.counters import CLIENT, SERVER

__all__ = ["TARGETS", "Target"]


class Target(NamedTuple):
    """One thing that is fuzzed.

    Attributes:
        run: takes an input, returns what happened; raises when something does not hold.
        mutate: a new input from one that exists.
        seeds: inputs to begin with.
    """

    run: Callable[[bytes], Hashable]
    mutate: Callable[[bytes, random.Random], bytes]
    seeds: Callable[[], list[bytes]]


TARGETS = {
    "hpack": Target(blocks.run, blocks.mutate, seeds.hpack),
    "server": Target(partial(connections.run, SERVER), partial(connections.mutate, SERVER), seeds.server),
    "client": Target(partial(connections.run, CLIENT), partial(connections.mutate, CLIENT), seeds.client),
}
