"""Run fuzz targets for a while, and repeat an input that failed.

``loop`` mutates by the targets' own rules and keeps what made something new happen; it needs
nothing and runs compiled code, sanitized or not.  ``atheris`` adds coverage of the Python sources.
What was tried last is in build/fuzz/TARGET.last, for a process that dies with it.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import random
import resource
import subprocess
import sys
import time
import traceback
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "build" / "fuzz"
INPUT_BYTES_MAX = 20_000
POOL_MAX = 20_000
NAMES = ("hpack", "server", "client")


class Last:
    """The input that is being tried, in a file that survives the process."""

    def __init__(self, name: str) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.path = FOLDER / f"{name}.last"
        self.path.write_bytes(bytes(INPUT_BYTES_MAX + 4))
        with self.path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def put(self, data: bytes) -> None:
        self._memory[0 : 4 + len(data)] = len(data).to_bytes(4, "big") + data


def failed(name: str, data: bytes) -> int:
    """Keep the input and say how to repeat it."""
    traceback.print_exc()
    path = FOLDER / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    print(f"\n{name}: failed; repeat it with: python -m fuzz {name} --replay {path}", flush=True)
    return 1


def loop(name: str, seconds: float, seed: int) -> int:
    from fuzz.targets import TARGETS

    target, rng, last = TARGETS[name], random.Random(seed), Last(name)
    pool, seen = target.seeds(), set()
    began, runs = time.monotonic(), 0
    waiting = list(pool)
    resident_warm = 0
    while (now := time.monotonic()) < began + seconds or waiting:
        data = waiting.pop() if waiting else target.mutate(rng.choice(pool), rng)[:INPUT_BYTES_MAX]
        last.put(data)
        try:
            happened = hash(target.run(data))
        except Exception:
            return failed(name, data)
        runs += 1
        if happened not in seen:
            seen.add(happened)
            if len(pool) < POOL_MAX:
                pool.append(data)
        if not resident_warm and now > began + seconds / 2:
            resident_warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident_warm
    print(
        f"{name}: {runs} inputs in {time.monotonic() - began:.0f} s (seed {seed}), {len(seen)} different outcomes, nothing found; "
        f"peak memory grew by {grown} KiB in the second half",
        flush=True,
    )
    return 0


def with_atheris(name: str, seconds: float, seed: int) -> int:
    """In this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["h2o_otel.hpack", "h2o_otel.frames", "h2o_otel.protocol", "h2o_otel.streams"]):
        from fuzz.targets import TARGETS

    target = TARGETS[name]
    corpus = FOLDER / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for data in target.seeds():
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def one_input(data: bytes) -> None:
        target.run(data)

    def mutator(data: bytes, size_max: int, mutator_seed: int) -> bytes:
        return target.mutate(data, random.Random(mutator_seed))[:size_max]

    arguments = [sys.argv[0], f"-max_total_time={int(seconds)}", f"-seed={seed}", f"-max_len={INPUT_BYTES_MAX}", "-print_final_stats=1"]
    atheris.Setup([*arguments, f"-artifact_prefix={FOLDER}/{name}-", str(corpus)], one_input, custom_mutator=mutator)
    atheris.Fuzz()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=[*NAMES, "all"])
    parser.add_argument("--seconds", type=float, default=60.0, help="altogether")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    parser.add_argument("--engine", choices=["loop", "atheris"], default="loop")
    parser.add_argument("--replay", type=Path, help="run this input alone (a .last file, too)")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        from fuzz.targets import TARGETS

        data = arguments.replay.read_bytes()
        if arguments.replay.suffix == ".last":
            data = data[4 : 4 + int.from_bytes(data[:4], "big")]
        print(TARGETS[arguments.target].run(data))
        return 0
    if arguments.target == "all":
        # Each in a process of its own: libFuzzer ends it, and so does a sanitizer that found something.
        share = ["--seconds", str(arguments.seconds / len(NAMES)), "--seed", str(arguments.seed), "--engine", arguments.engine]
        return max(subprocess.run([sys.executable, "-m", "fuzz", name, *share], check=False).returncode != 0 for name in NAMES)
    run = loop if arguments.engine == "loop" else with_atheris
    return run(arguments.target, arguments.seconds, arguments.seed)


if __name__ == "__main__":
    sys.exit(main())
