"""Extensible priorities (RFC 9218 section 4): the Priority Field Value, read leniently."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["DEFAULT_URGENCY", "format_priority", "parse_priority"]

DEFAULT_URGENCY = 3


@lru_cache(maxsize=64)
def parse_priority(value: bytes) -> tuple[int, bool]:
    """Urgency 0 (first) to 7 and whether the response is of use in parts.

    Unknown members, parameters and values out of range are ignored, each for itself (RFC 9218 section 4).
    """
    urgency, incremental = DEFAULT_URGENCY, False
    for member in value.split(b","):
        key, separator, rest = member.partition(b";")[0].strip().partition(b"=")
        if key == b"u":
            urgency = rest[0] - 0x30 if len(rest) == 1 and b"0" <= rest <= b"7" else urgency
        elif key == b"i":
            incremental = rest == b"?1" if separator else True
    return urgency, incremental


def format_priority(urgency: int, incremental: bool) -> bytes:
    """The field value for a priority; defaults are left out.

    Raises:
        ValueError: urgency outside 0 to 7.
    """
    if not 0 <= urgency <= 7:
        raise ValueError(f"urgency is {urgency}; RFC 9218 section 4.1 allows 0 to 7")
    members = [b"u=%d" % urgency] if urgency != DEFAULT_URGENCY else []
    if incremental:
        members.append(b"i")
    return b", ".join(members)
