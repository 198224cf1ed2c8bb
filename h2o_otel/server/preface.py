"""What a cleartext connection begins with: the HTTP/2 preface, or something that gets a short answer.

The server's SETTINGS wait for the first octets of the client, which costs no round trip, since
clients send their preface unasked; before it, nobody can say in which protocol to answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from ..frames.types import CLIENT_PREFACE
from ..io.driver import Driver
from ..io.handler import DriverHandler
from ..limits import ServerLimits
from ..protocol.engine import Engine

__all__ = ["Preface", "http1_response"]

# No method of HTTP/1 begins with this: "PRI" is reserved (RFC 9113 section 11.6).
_DECIDING = CLIENT_PREFACE[:4]
# The parts of a request line (RFC 9112 section 3), and how far one is looked at: whoever sends a longer one speaks HTTP/1 all the same.
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]\r?")
_REQUEST_LINE_BYTES_MAX = 8192


def begins_http1(first: bytes) -> bool | None:
    """Whether a connection that begins with ``first`` speaks HTTP/1; None while more octets have to tell."""
    line, ended, _ = first.partition(b"\n")
    method, _, rest = line.partition(b" ")
    target, space, version = rest.partition(b" ")
    if not _METHOD.fullmatch(method) or (space and not target):
        return False
    if ended:
        return _VERSION.fullmatch(version) is not None
    if not _VERSION.fullmatch(version + b"HTTP/1.1\r"[len(version) :]):
        return False
    return True if len(first) >= _REQUEST_LINE_BYTES_MAX else None


def http1_response(status: str, text: str) -> bytes:
    """A complete HTTP/1.1 response that ends its connection."""
    body = text.encode("utf-8")
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode("ascii") + body


class Preface(Engine):
    """An engine for the first octets of a connection, which then makes way for the right one.

    Args:
        driver: of the connection.
        limits: ``preface_timeout_s`` bounds the silence.
        http2: binds the HTTP/2 engine to the driver.
    """

    def __init__(self, driver: Driver, limits: ServerLimits, http2: Callable[[Driver], object]) -> None:
        Engine.__init__(self)
        self.started = True
        self._driver = driver
        self._http2 = http2
        self._deadline = driver.now + limits.preface_timeout_s
        self._output = b""

    def start(self, now: float) -> None:
        """Nothing is sent before the client has spoken."""

    def receive_into(self, buffer: bytearray, start: int, end: int, now: float) -> int:
        """Decide by the first octets; returns 0, so that they go to whatever was bound."""
        first = bytes(buffer[start : min(end, start + _REQUEST_LINE_BYTES_MAX)])
        if not first.startswith(_DECIDING):
            if _DECIDING.startswith(first):
                return 0
            http1 = begins_http1(first)
            if http1:
                self._answer_http1()
                return end - start
            if http1 is None:
                return 0
        # The preface, or neither protocol: then the engine says so with GOAWAY.
        self._http2(self._driver)
        return 0

    def _answer_http1(self) -> None:
        text = "This port speaks HTTP/2 without TLS (prior knowledge); try: curl --http2-prior-knowledge\n"
        self._output = http1_response("505 HTTP Version Not Supported", text)
        self.closed = True

    def out_size(self) -> int:
        return len(self._output)

    def chunks_to_send(self) -> list[bytes | memoryview]:
        output, self._output = self._output, b""
        return [output]

    def next_deadline(self) -> float:
        return math.inf if self.closed else self._deadline

    def tick(self, now: float) -> None:
        if now >= self._deadline:
            self.closed = True

    def close(self, code: int, now: float, debug: bytes = b"") -> None:
        self.closed = True

    def connection_lost(self, error: Exception | None, now: float) -> None:
        self.closed = True

    def pump(self, now: float) -> None:
        """There are no bodies."""

    def pause_output(self) -> None:
        """There are no bodies."""

    def resume_output(self, now: float) -> None:
        """There are no bodies."""


class PrefaceHandler(DriverHandler):
    """The handler of a connection that is still to be decided: keeps it among those that a shutdown ends.

    Args:
        connections: of the server.
    """

    def __init__(self, connections: set[Any]) -> None:
        self._connections = connections
        self.driver: Driver | None = None

    def connection_made(self, driver: Driver) -> None:
        self.driver = driver
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Nothing is under way."""
        if self.driver is not None:
            self.driver.close()

    def notify_shutdown(self) -> None:
        """No request could be told."""

    def cut(self) -> None:
        """No stream could be reset."""
