"""The whole against itself with everything off: default, ``Tuning.baseline()``, and the ``h2`` engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h2o_otel.tuning import Tuning

from .row import Workload
from .runner import Runner
from .workloads import Pair, Stack

__all__ = ["measure_whole"]


def measure_whole(runner: Runner) -> list[dict[str, Any]]:
    """The engines alone with small and with larger messages, and the whole runtime over TCP."""
    return [
        _measure(runner, "engine pair, 10 at once, 64 B", Pair, batch=10),
        _measure(runner, "engine pair, 10 at once, 16 KiB up, 64 KiB down", Pair, batch=10, body=65_536, upload=16_384),
        _measure(runner, "client and server over TCP, 20 tasks, 64 B", Stack),
    ]


def _measure(runner: Runner, name: str, kind: Callable[..., Workload], **options: Any) -> dict[str, Any]:
    found = runner.compare(
        {
            "default": lambda: kind(Tuning(), **options),
            "all off": lambda: kind(Tuning.baseline(), **options),
            "h2 engine": lambda: kind(Tuning.baseline(), engine="h2", **options),
        }
    )
    return {"name": name, "variants": {key: figures.as_dict() for key, figures in found.items()}}
