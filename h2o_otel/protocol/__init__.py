"""L8: the connection, its settings, windows, priorities and recovery, and the choice of engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..counters import Counters
from ..errors import LocalProtocolError
from .config import ConnectionConfig
from .connection import Connection
from .engine import Engine

if TYPE_CHECKING:
    from .handler import Handler

__all__ = ["Connection", "ConnectionConfig", "Engine", "make_connection"]


def make_connection(engine: str | None, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> Engine:
    """A connection on the chosen engine.

    Args:
        engine: "native" (ours), "h2" (the reference library), or None for the environment's
            ``H2O_OTEL_ENGINE`` and native without it.

    Raises:
        LocalProtocolError: another name.
    """
    name = engine or os.environ.get("H2O_OTEL_ENGINE") or "native"
    if name == "native":
        return Connection(config, handler, block)
    if name == "h2":
        from .reference import ReferenceConnection

        return ReferenceConnection(config, handler, block)
    raise LocalProtocolError(f"engine is {name!r}; there are 'native' and 'h2'", initiator="user")
