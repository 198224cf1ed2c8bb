"""What only one run of the suite may do at a time: ``make test`` runs it compiled and pure beside each other."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build"


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait until no other process of this checkout holds the lock of this name; the time counts for the test."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
