"""Waiting for what other threads and tasks do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anyio


async def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Until ``condition()`` holds: other threads and tasks see some things later.  Only a failing test waits so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await anyio.sleep(0.005)
