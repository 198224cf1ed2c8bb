"""Who may connect: connections are counted when they are accepted, before TLS and before any octet of theirs is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .. import counters
from ..io.asyncio import H2Protocol
from ..limits import ServerLimits

__all__ = ["Gate", "GatedProtocol"]


def _ignore(*_: object) -> None:
    """Nobody asked to be told."""


class Gate:
    """Counts the connections of a server.

    Args:
        limits: ``connections_max`` and ``connections_per_address_max``.

    Attributes:
        connections: that are inside.
        changed: called with the number of connections when one has come or gone.
        refused: called with an address, and the limit that refused a connection from it.
        addresses: how many of them each client address has; kept only where its limit is set.
        left: called when a connection is gone, whose descriptor is free in the next turn of the loop.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self.connections = 0
        self.addresses: dict[str, int] = {}
        self.left: Callable[[], object] | None = None
        self.changed: Callable[[int], None] = _ignore
        self.refused: Callable[[str, str], None] = _ignore
        self._connections_max = limits.connections_max
        self._address_max = limits.connections_per_address_max

    def enter(self, address: str) -> bool:
        """Count one more from ``address``; false, and counted as rejected, where that is too many."""
        held = self.addresses.get(address, 0)
        if self.connections >= self._connections_max:
            return self._refuse(address, "connections_max")
        if self._address_max is not None and address:
            if held >= self._address_max:
                return self._refuse(address, "connections_per_address_max")
            self.addresses[address] = held + 1
        self.connections += 1
        self.changed(self.connections)
        return True

    def _refuse(self, address: str, limit: str) -> bool:
        counters.local().count("connection_rejected", (limit,))
        self.refused(address, limit)
        return False

    def leave(self, address: str) -> None:
        """One that had entered is gone."""
        self.connections -= 1
        self.changed(self.connections)
        held = self.addresses.get(address, 0)
        if held > 1:
            self.addresses[address] = held - 1
        elif held:
            del self.addresses[address]
        if self.left is not None:
            self.left()


class GatedProtocol(H2Protocol):
    """A connection of a server that passes its ``Gate`` first; see ``Driver`` for the other arguments."""

    __slots__ = ("_address", "_gate", "_inside")

    def __init__(self, gate: Gate, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._gate = gate
        self._address = ""
        self._inside = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        # Clients of a Unix socket have no address of their own.
        self._address = name[0] if isinstance(name, tuple) else ""
        self._inside = self._gate.enter(self._address)
        if self._inside:
            super().connection_made(transport)
        else:
            transport.abort()  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        if self._inside:
            self._inside = False
            self._gate.leave(self._address)
            super().connection_lost(error)
