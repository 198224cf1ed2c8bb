"""What a driver stands between: the engine below it, and the handler above it that hears of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..protocol.handler import Handler

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["DriverHandler", "Engine"]


class Engine(Protocol):
    """What a driver needs of a connection engine; ``protocol.connection.Connection`` is one."""

    @property
    def started(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    def start(self, now: float) -> None: ...
    def receive_into(self, buffer: bytearray, start: int, end: int, now: float) -> int: ...
    @property
    def turn_over(self) -> bool:
        """``receive_into`` stopped before the end of what it could parse, so that others have their turn."""
        ...

    def connection_lost(self, error: Exception | None, now: float) -> None: ...
    def out_size(self) -> int: ...
    def chunks_to_send(self) -> list[bytes | memoryview]: ...
    def pump(self, now: float) -> None: ...
    def pause_output(self) -> None: ...
    def resume_output(self, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def next_deadline(self) -> float: ...
    def close(self, code: int, now: float, debug: bytes = b"") -> None: ...


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
