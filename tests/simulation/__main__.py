"""Many seeds of the world with faults; the first that fails is named with its seed."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from h2o_otel import _pure
from tests.simulation.faults import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    told: Counter[str] = Counter()
    began, requests = time.monotonic(), 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        world = simulate(seed)
        requests += world.requests
        told += world.told
        told["connections"] += len(world.pairs)
    took = time.monotonic() - began
    print(f"{arguments.seeds} seeds from {arguments.first} ({_pure.build()}): {requests} requests in {took:.0f} s, all of it holds")  # noqa: T201
    for what, n in sorted(told.items()):
        print(f"  {n:8} {what}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
