"""A rule that the peer broke, as the exception that the ``h2`` library raises for it.

The library ends the connection for nearly every fault, and with codes of its own where RFC 9113
names others; both are kept, since programs look at them.
"""

from __future__ import annotations

from typing import Any

from ...rules import Violation
from .errors import ErrorCodes
from .exceptions import (
    DenialOfServiceError,
    FlowControlError,
    FrameDataMissingError,
    FrameTooLargeError,
    InvalidBodyLengthError,
    InvalidSettingsValueError,
    ProtocolError,
    StreamClosedError,
    TooManyStreamsError,
)

__all__ = ["exception_for"]

_CLASSES: dict[str, type[ProtocolError]] = {
    "frame_too_large": FrameTooLargeError,
    "frame_size_wrong": FrameDataMissingError,
    "settings_length": FrameDataMissingError,
    "settings_ack_payload": FrameDataMissingError,
    "priority_length": FrameDataMissingError,
    "flow_control_stream": FlowControlError,
    "flow_control_connection": FlowControlError,
    "window_overflow_connection": FlowControlError,
    "window_overflow_settings": FlowControlError,
    "streams_exceeded": TooManyStreamsError,
    # The library counts CONTINUATION frames without calling it abuse.
    "continuation_flood": ProtocolError,
}
# What programs and tests look for in a message.
_WORDS = {
    "frame_on_stream_zero": "Received frame with invalid header: ",
    "frame_not_on_stream_zero": "Received frame with invalid header: ",
    "continuation_expected": "Invalid frame during header block: ",
    "content_length_invalid": "Invalid content-length header: ",
    "data_before_headers": "cannot receive data before headers: ",
    "field_name_empty": "Received header name with zero length.: ",
    "pseudo_in_trailers": "Received pseudo-header in trailer: ",
}


def exception_for(violation: Violation, flight: Any) -> ProtocolError:
    """The exception to raise for ``violation``; ``flight`` is the log of the last frames."""
    rule = violation.rule
    text = _WORDS.get(rule.token, "") + str(violation)
    made: ProtocolError
    if rule.token == "content_length_mismatch":
        made = InvalidBodyLengthError(violation.fields["limit"], violation.fields["actual"])
    elif rule.token in ("stream_closed", "stream_half_closed"):
        made = StreamClosedError(violation.stream_id)
    elif rule.token in _CLASSES:
        made = _CLASSES[rule.token](text)
    elif rule.code == ErrorCodes.ENHANCE_YOUR_CALM:
        made = DenialOfServiceError(text)
    elif rule.token.startswith("settings_"):
        made = InvalidSettingsValueError(text, error_code=rule.code)
    else:
        made = ProtocolError(text)
    made.rule = rule.token
    made.flight = flight
    made.__cause__ = violation
    return made
