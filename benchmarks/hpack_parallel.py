"""From how many octets on threads pay: time to decode a batch of blocks inline, and with strings decoded ahead.

Blocks are those of ``hpack.py``, each of a connection of its own, in batches of growing size; and single blocks
of one long value.  Elapsed time counts here, since threads save no CPU time; the best of the rounds is printed.

    python benchmarks/hpack_parallel.py [--rounds N] [--json PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common

from benchmarks.fields import DISTINCT, REQUESTS
from h2o_otel import counters
from h2o_otel.buffers.output import OutputBuffer
from h2o_otel.hpack.decoder import Decoder
from h2o_otel.hpack.encoder import Encoder
from h2o_otel.hpack.parallel import decode_blocks
from h2o_otel.limits import EngineLimits

SIZES = (50, 200, 500, 1000, 2000, 5000)
LARGE = (1024, 4096, 16_384, 49_152)
NEVER = 1 << 40


def encoded(fields: list[tuple[bytes, bytes]]) -> bytes:
    block = counters.local()
    out = OutputBuffer(block)
    Encoder(block, counters.CLIENT).encode(out, fields)
    return out.take()


def requests(n: int) -> list[bytes]:
    """Blocks of new connections: nothing is in a table yet, so that every string is there."""
    return [encoded(REQUESTS[i % DISTINCT]) for i in range(n)]


def large(n: int) -> list[bytes]:
    rnd = random.Random(1)
    return [encoded([(b"x-large", bytes(rnd.choices(b"abcdefghijklmnop0123456789", k=n)))])]


def best(work: Callable[[], Any], rounds: int) -> float:
    """Least elapsed time, in microseconds."""
    least = float("inf")
    for _ in range(rounds):
        started = time.perf_counter_ns()
        work()
        least = min(least, (time.perf_counter_ns() - started) / 1000)
    return least


def measure(blocks: list[bytes], rounds: int, shares: int) -> dict[str, float]:
    decoder = Decoder(counters.local(), counters.SERVER, EngineLimits(header_list_bytes_max=1 << 20))

    def run(bytes_min: int) -> None:
        for _ in decode_blocks([(decoder, block) for block in blocks], bytes_min, shares):
            pass

    found = {"octets": float(sum(map(len, blocks))), "inline": float("inf"), "parallel": float("inf")}
    for _ in range(rounds):
        found["inline"] = min(found["inline"], best(lambda: run(NEVER), 3))
        found["parallel"] = min(found["parallel"], best(lambda: run(0), 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    shares = min(os.cpu_count() or 1, 8)
    rows = []
    print(f"{'blocks':>22} {'octets':>9} {'inline us':>10} {'ahead us':>10}  {shares} threads, {common.machine()['build']}")
    for name, blocks in [(f"{n} requests", requests(n)) for n in SIZES] + [(f"one value of {n}", large(n)) for n in LARGE]:
        found = measure(blocks, options.rounds, shares)
        rows.append({"name": name, **found})
        ratio = found["parallel"] / found["inline"]
        print(f"{name:>22} {found['octets']:9.0f} {found['inline']:10.1f} {found['parallel']:10.1f}  {ratio:.2f} x")
    paying = [row["octets"] for row in rows if row["parallel"] < row["inline"]]
    print(f"threads pay from {min(paying):.0f} octets on" if paying else "threads do not pay here")
    if options.json:
        options.json.write_text(
            json.dumps({"benchmark": "hpack_parallel", **common.machine(), "shares": shares, "rows": rows}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
