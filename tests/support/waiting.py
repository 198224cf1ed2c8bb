"""Waiting for what other threads and tasks do.

A machine may stop a process for half a second at any point.  So a test never sleeps and takes it that
something has happened meanwhile; it waits for what happened, and what it waits for has a generous bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anyio

# Only a failing test waits so long.
PATIENCE_S = 30.0


async def eventually(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Until ``condition()`` holds: other threads and tasks see some things later."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await anyio.sleep(0.005)


async def still(value: Callable[[], Any], looks: int = 40) -> Any:
    """Until ``value()`` was the same at so many looks in turn, with turns of the loop between them; what it is then."""
    seen, same = value(), 0
    while same < looks:
        await anyio.sleep(0.005)
        now = value()
        seen, same = now, same + 1 if now == seen else 0
    return seen
