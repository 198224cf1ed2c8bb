"""The whole against itself with everything off: default, ``Tuning.baseline()``, and the ``h2`` engine."""

from __future__ import annotations

from typing import Any

from h2o_otel.tuning import Tuning

from .runner import Runner
from .workloads import Pair

__all__ = ["measure_whole"]


def measure_whole(runner: Runner) -> list[dict[str, Any]]:
    """Small requests, ten at a time, and larger bodies both ways."""
    return [
        _measure(runner, "engine pair, 10 at once, 64 B", batch=10),
        _measure(runner, "engine pair, 10 at once, 16 KiB up, 64 KiB down", batch=10, body=65_536, upload=16_384),
    ]


def _measure(runner: Runner, name: str, **options: Any) -> dict[str, Any]:
    found = runner.compare(
        {
            "default": lambda: Pair(Tuning(), **options),
            "all off": lambda: Pair(Tuning.baseline(), **options),
            "h2 engine": lambda: Pair(Tuning.baseline(), engine="h2", **options),
        }
    )
    return {"name": name, "variants": {key: figures.as_dict() for key, figures in found.items()}}
