"""The event loops that tests run on.

``async def test_...`` runs on asyncio and trio without further ado (conftest's ``anyio_backend``).
``@backends.asyncio_only``, ``@backends.trio_only`` and ``@backends.every_loop`` (uvloop, too) say otherwise.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

Backend = tuple[str, dict[str, Any]]

ASYNCIO: Backend = ("asyncio", {"use_uvloop": False})
UVLOOP: Backend = ("asyncio", {"use_uvloop": True})
TRIO: Backend = ("trio", {})
ASYNCIO_AND_TRIO = [ASYNCIO, TRIO]


def name_of(backend: Backend) -> str:
    return "uvloop" if backend == UVLOOP else backend[0]


def on(*chosen: Backend) -> pytest.MarkDecorator:
    """Run the test on these loops; uvloop is skipped where it is not installed."""
    missing = pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed")
    params = [pytest.param(b, id=name_of(b), marks=[missing] if b == UVLOOP else []) for b in chosen]
    return pytest.mark.parametrize("anyio_backend", params)


asyncio_only = on(ASYNCIO)
trio_only = on(TRIO)
asyncio_loops = on(ASYNCIO, UVLOOP)
every_loop = on(ASYNCIO, UVLOOP, TRIO)
