"""What an ASGI request needs of its connection: the engine's verbs, and when what they queue is written."""

from __future__ import annotations

from typing import Any

from ..io.driver import Driver
from ..io.handler import DriverHandler
from ..streams.stream import Stream
from .forwarded import Trust
from .service import Service

__all__ = ["AsgiConnection"]


class AsgiConnection(DriverHandler):
    """What requests need of their connection; ``protocol.ServerProtocol`` is the rest of it.

    Attributes:
        connection: the engine, once there is one.
        template: the part of the scope that all requests of the connection share.
        trust: reads forwarded fields, where the peer is trusted with them.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.loop = service.loop
        self.driver: Driver | None = None
        self.connection: Any = None
        self.template: dict[str, Any] = {}
        self.scheme = b"http"
        self.span_base: dict[str, Any] | None = None
        self.trust: Trust | None = None
        self.send_stream_max = service.limits.send_buffer_stream_bytes
        self.send_connection_max = service.limits.send_buffer_connection_bytes

    def handler_ended(self) -> None:
        """A handler no longer counts against the connection's limit."""

    def head_waits(self, request: Any) -> None:
        """``request`` has a head to send that waits for the first of its body."""

    def push(self, parent: Stream, path: bytes, fields: list[tuple[bytes, bytes]], now: float) -> None:
        """Promise ``path`` on ``parent`` and answer it, if that can be done now."""

    def respond(self, stream: Stream, status: int, fields: list[tuple[bytes, bytes]], end: bool, now: float) -> None:
        self.connection.send_response(stream, status, fields, end, now)

    def inform(self, stream: Stream, status: int, fields: list[tuple[bytes, bytes]], now: float) -> None:
        """Send an informational response."""
        self.connection.send_informational(stream, status, fields, now)
        self.wake()

    def data(self, stream: Stream, body: bytes, end: bool, now: float) -> bool:
        """Send or queue ``body``; true when the producer must wait."""
        queued = self.connection.send_data(stream, body, end, now)
        if queued == 0 or end:
            return False
        if queued > self.send_stream_max or self.connection.queued > self.send_connection_max:
            stream.writable_wanted = True
            return True
        return False

    def credit(self, stream: Stream, n: int, now: float) -> None:
        self.connection.credit(stream, n, now)
        if self.connection.out_size():
            self.wake()

    def reset(self, stream: Stream, code: int, now: float) -> None:
        self.connection.reset_stream(stream, code, now)
        self.wake()

    def wake(self) -> None:
        if self.driver is not None:
            self.driver.wake()
