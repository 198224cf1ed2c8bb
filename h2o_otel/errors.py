"""Every exception that the package raises, and the error codes of the wire.

A leaf: it imports nothing of the package.  One tree, with the names that httpx users know.
Fields come first; the text of an exception is built from them.
"""

from __future__ import annotations

import enum
import json
from typing import Any

__all__ = [
    "ClientClosed",
    "ClientDisconnected",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionTerminated",
    "ErrorCode",
    "H2OError",
    "HTTPError",
    "HTTPStatusError",
    "InvalidURL",
    "JSONDecodeError",
    "LimitExceeded",
    "LocalProtocolError",
    "NetworkError",
    "PoolTimeout",
    "ProtocolError",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "StreamClosed",
    "StreamConsumed",
    "StreamReset",
    "TimeoutException",
    "TotalTimeout",
    "TransportError",
    "UnsupportedProtocol",
    "WriteError",
    "WriteTimeout",
]


class ErrorCode(enum.IntEnum):
    """Error codes of RST_STREAM and GOAWAY (RFC 9113 section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD

    @staticmethod
    def label(code: int) -> str:
        """The name of ``code``, or its hexadecimal form where the registry has none."""
        try:
            return ErrorCode(code).name
        except ValueError:
            return f"0x{code:x}"


class H2OError(Exception):
    """Root of every exception of this package.

    Attributes:
        request: the client request that failed, once one is known.
        flight: the last frames of the connection (``protocol.recorder.FlightLog``) when a client's exchange or
            the connection failed, None where there was no connection or the engine records none.
        attempts: how often the client sent the request, 0 when it never did or when the error is no request's.
        retry_reasons: why it was sent again, one for each time: "REFUSED_STREAM", "GOAWAY", "NO_ERROR", "connection_lost", "421".
    """

    request: Any = None
    flight: Any = None
    attempts: int = 0
    retry_reasons: tuple[str, ...] = ()

    def __init__(self, *args: object) -> None:
        super().__init__(*args)


def copied(error: H2OError) -> H2OError:
    """An error like ``error``, with its fields and its cause, that was not raised yet."""
    own = type(error).__new__(type(error), *error.args)
    own.__dict__.update(error.__dict__)
    own.__cause__ = error.__cause__
    return own


class HTTPError(H2OError):
    """A request failed, or its response was an error that ``raise_for_status()`` reports."""


class TransportError(HTTPError):
    """The exchange with the peer failed."""


class TimeoutException(TransportError):
    """A time limit passed.

    Attributes:
        timeout_s: the limit that passed, in seconds.
    """

    def __init__(self, message: str = "", *, timeout_s: float | None = None) -> None:
        super().__init__(message)
        self.timeout_s = timeout_s


class ConnectTimeout(TimeoutException):
    """No connection within ``Timeout.connect``."""


class ReadTimeout(TimeoutException):
    """Nothing of the response arrived within ``Timeout.read``."""


class WriteTimeout(TimeoutException):
    """The peer took nothing of the request body within ``Timeout.write``."""


class PoolTimeout(TimeoutException):
    """No connection or stream became free within ``Timeout.pool``."""


class TotalTimeout(TimeoutException):
    """The whole exchange took longer than ``Timeout.total``."""


class UnsupportedProtocol(TransportError):
    """The URL of a request is relative without a ``base_url``, has a scheme other than http and https, or is http with ``h2c=False``."""


class NetworkError(TransportError):
    """The network or the operating system failed the connection."""


class ConnectError(NetworkError):
    """A connection could not be made."""


class ReadError(NetworkError):
    """The connection ended while something was still to be read."""


class WriteError(NetworkError):
    """The connection ended while something was still to be written."""


class ProtocolError(TransportError):
    """A rule of the protocol was broken.

    Attributes:
        rule: stable token of the violated rule (the rows of ``h2o_otel.rules``), or "".
        code: the error code of RFC 9113 section 7.
        scope: "stream" or "connection".
        stream_id: the stream concerned, 0 for the connection.
        initiator: who ended it: "local", "remote" or "user".
        limit: the bound that was passed, where there is one.
        actual: what arrived, measured against ``limit``.

    The message is a text, or an object that makes it when it is read (``rules.Fault``).
    """

    def __init__(
        self,
        message: object,
        *,
        rule: str = "",
        code: int = ErrorCode.PROTOCOL_ERROR,
        scope: str = "connection",
        stream_id: int = 0,
        initiator: str = "local",
        limit: int | float | None = None,
        actual: int | float | None = None,
        flight: Any = None,
    ) -> None:
        super().__init__(message)
        self.flight = flight
        self.rule = rule
        self.code = code
        self.scope = scope
        self.stream_id = stream_id
        self.initiator = initiator
        self.limit = limit
        self.actual = actual


class LocalProtocolError(ProtocolError):
    """The caller asked for something that the protocol forbids; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol."""


class StreamReset(RemoteProtocolError):
    """One stream ended early: the peer reset it, or we did because of what the peer sent."""


class ConnectionTerminated(RemoteProtocolError):
    """The connection ended: GOAWAY, a connection error, or a lost transport."""


class LimitExceeded(TransportError):
    """A bound of ``Limits`` or ``ServerLimits`` was reached.

    Attributes:
        limit_name: the field of ``Limits`` or ``ServerLimits``.
        limit: its value.
        actual: what was asked for.
    """

    def __init__(self, message: str, *, limit_name: str = "", limit: int | float | None = None, actual: int | float | None = None) -> None:
        super().__init__(message)
        self.limit_name = limit_name
        self.limit = limit
        self.actual = actual


class HTTPStatusError(HTTPError):
    """``raise_for_status()`` met a 4xx or 5xx response.

    Attributes:
        response: the response.
    """

    def __init__(self, message: str, *, request: Any = None, response: Any = None) -> None:
        super().__init__(message)
        self.request = request
        self.response = response


class InvalidURL(H2OError, ValueError):
    """A URL cannot be parsed; also a ``ValueError``."""


class ClientClosed(H2OError, RuntimeError):
    """A request was made with a client after ``aclose()``; also a ``RuntimeError``, as in httpx."""


class JSONDecodeError(H2OError, json.JSONDecodeError):
    """``Response.json()`` of a body that is no JSON; also the ``ValueError`` of the standard library."""


class StreamConsumed(H2OError):
    """The body was already read."""


class StreamClosed(H2OError):
    """The response was closed before its body was read."""


class ClientDisconnected(OSError):
    """ASGI ``send()`` after the client went away (ASGI spec version 2.4: an OSError)."""
