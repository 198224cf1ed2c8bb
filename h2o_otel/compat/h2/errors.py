"""Error codes of RST_STREAM and GOAWAY, by the name that ``h2`` gives them."""

from __future__ import annotations

from ...errors import ErrorCode as ErrorCodes

__all__ = ["ErrorCodes", "error_code"]


def error_code(code: int) -> ErrorCodes | int:
    """``code`` as a member of ``ErrorCodes``, or as it is where RFC 9113 section 7 has no name for it."""
    try:
        return ErrorCodes(code)
    except ValueError:
        return code
