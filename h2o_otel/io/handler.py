"""Who is above a driver and hears of it, and of the engine below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.handler import Handler

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["DriverHandler"]


class DriverHandler(Handler):
    """What a driver tells the layer above, beside the calls of the engine; defaults do nothing."""

    def connection_made(self, driver: Driver) -> None:
        """The driver was bound to this handler; octets flow from here on."""

    def batch_finished(self, now: float) -> None:
        """All octets of one read were parsed (or time was let pass); what is sent from here goes out in the same write."""

    def writing_paused(self) -> None:
        """The socket is full: bodies are queued from here on."""

    def writing_resumed(self) -> None:
        """The socket took everything."""

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone; called once, last, after every open stream was told."""
