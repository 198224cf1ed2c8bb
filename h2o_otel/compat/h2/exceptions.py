"""What ``H2Connection`` raises: the tree of the ``h2`` library.

Unlike there, an exception for what the peer did also says which rule was broken and carries the
last frames of the connection.
"""

from __future__ import annotations

from typing import Any

from .errors import ErrorCodes

__all__ = [
    "DenialOfServiceError",
    "FlowControlError",
    "FrameDataMissingError",
    "FrameTooLargeError",
    "H2Error",
    "InvalidBodyLengthError",
    "InvalidSettingsValueError",
    "NoAvailableStreamIDError",
    "NoSuchStreamError",
    "ProtocolError",
    "RFC1122Error",
    "StreamClosedError",
    "StreamIDTooLowError",
    "TooManyStreamsError",
    "UnsupportedFrameError",
]


class H2Error(Exception):
    """Root of the tree."""


class ProtocolError(H2Error):
    """The peer broke HTTP/2, or the caller tried to.

    Attributes:
        error_code: what the GOAWAY says.
        rule: token of the rule that the peer broke (the rows of ``h2o_otel.rules``), "" where the caller was at fault.
        flight: the last frames of the connection (``protocol.recorder.FlightLog``), None where the caller was at fault.
    """

    error_code: ErrorCodes = ErrorCodes.PROTOCOL_ERROR
    rule: str = ""
    flight: Any = None


class FrameTooLargeError(ProtocolError):
    """A frame is larger than SETTINGS_MAX_FRAME_SIZE (RFC 9113 section 4.2)."""

    error_code = ErrorCodes.FRAME_SIZE_ERROR


class FrameDataMissingError(ProtocolError):
    """A frame is too short for its type (RFC 9113 section 4.2)."""

    error_code = ErrorCodes.FRAME_SIZE_ERROR


class TooManyStreamsError(ProtocolError):
    """One more stream than SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 section 5.1.2)."""


class FlowControlError(ProtocolError):
    """More octets than a window has, or a window above 2^31 - 1 (RFC 9113 section 6.9)."""

    error_code = ErrorCodes.FLOW_CONTROL_ERROR


class StreamIDTooLowError(ProtocolError):
    """A new stream below one that exists (RFC 9113 section 5.1.1).

    Attributes:
        stream_id: the identifier that was to be opened.
        max_stream_id: the highest one so far.
    """

    def __init__(self, stream_id: int, max_stream_id: int) -> None:
        super().__init__(stream_id, max_stream_id)
        self.stream_id = stream_id
        self.max_stream_id = max_stream_id

    def __str__(self) -> str:
        return f"StreamIDTooLowError: {self.stream_id} is lower than {self.max_stream_id}"


class NoAvailableStreamIDError(ProtocolError):
    """Every stream identifier has been used: make a new connection."""


class NoSuchStreamError(ProtocolError):
    """The stream has not been opened.

    Attributes:
        stream_id: its identifier.
    """

    def __init__(self, stream_id: int) -> None:
        super().__init__(stream_id)
        self.stream_id = stream_id

    def __str__(self) -> str:
        return f"there is no stream {self.stream_id}"


class StreamClosedError(NoSuchStreamError):
    """The stream is over."""

    error_code = ErrorCodes.STREAM_CLOSED

    def __str__(self) -> str:
        return f"stream {self.stream_id} is closed"


class InvalidSettingsValueError(ProtocolError, ValueError):
    """A setting has a value that RFC 9113 section 6.5.2 forbids."""

    def __init__(self, msg: str, error_code: ErrorCodes) -> None:
        super().__init__(msg)
        self.error_code = error_code


class InvalidBodyLengthError(ProtocolError):
    """The body is not as long as content-length says (RFC 9113 section 8.1.1).

    Attributes:
        expected_length: octets announced.
        actual_length: octets of DATA so far.
    """

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(expected, actual)
        self.expected_length = expected
        self.actual_length = actual

    def __str__(self) -> str:
        return f"InvalidBodyLengthError: Expected {self.expected_length} bytes, received {self.actual_length}"


class UnsupportedFrameError(ProtocolError):
    """Kept for programs that catch it; never raised."""


class RFC1122Error(H2Error):
    """The caller asked for something that RFC 7540 allows and nobody understands: a server that prioritizes."""


class DenialOfServiceError(ProtocolError):
    """The peer passed a bound that guards against denial of service."""

    error_code = ErrorCodes.ENHANCE_YOUR_CALM
