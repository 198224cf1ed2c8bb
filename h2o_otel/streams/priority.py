"""Extensible priorities (RFC 9218 section 4): the Priority Field Value, a dictionary of RFC 9651 (structured fields).

Members that are unknown, of another type or out of range are ignored, each for itself.  A value
that is no dictionary at all says nothing, and neither does one that is longer than the limit.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..limits import SERVER_LIMITS

__all__ = ["DEFAULT_URGENCY", "format_priority", "merge_priority", "parse_priority"]

DEFAULT_URGENCY = 3
# Longer values are read, but not remembered: a peer chooses them.
_CACHED_BYTES_MAX = 64

# The grammar of RFC 9651, flattened: what a bare item is, parameters behind it, and inner lists of items.
# Every quantifier is possessive and every choice atomic, which the grammar allows: no octet is looked at twice.
_KEY = rb"[a-z*][a-z0-9_\-.*]*+"
_ITEM = (
    rb"(?>-?\d{1,12}+\.\d{1,3}+|-?\d{1,15}+"  # decimal, integer
    rb'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*+"'  # string
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+"  # token
    rb"|:[A-Za-z0-9+/=]*+:|\?[01]"  # octets, boolean
    rb"|@-?\d{1,15}+"  # date
    rb'|%"(?:[\x20\x21\x23-\x24\x26-\x7e]|%[0-9a-f]{2})*+")'  # display string
)
_PARAMETERS = rb"(?:; *+" + _KEY + rb"(?:=" + _ITEM + rb")?+)*+"
_LIST = rb"\( *+(?:" + _ITEM + _PARAMETERS + rb"(?> +|(?=\))))*+\)"
_MEMBER = re.compile(rb"(" + _KEY + rb")(?:=(" + _ITEM + rb"|" + _LIST + rb"))?+" + _PARAMETERS)
_BETWEEN = re.compile(rb"[ \t]*+,[ \t]*+")


def parse_priority(value: bytes, bytes_max: int = SERVER_LIMITS.priority_bytes_max) -> tuple[int, bool]:
    """Urgency 0 (first) to 7 and whether the response is of use in parts, defaults for what is not said."""
    return merge_priority(value, DEFAULT_URGENCY, False, bytes_max)


def merge_priority(value: bytes, urgency: int, incremental: bool, bytes_max: int = SERVER_LIMITS.priority_bytes_max) -> tuple[int, bool]:
    """The priority that ``value`` makes of another: what it does not say stays (RFC 9218 section 8)."""
    if len(value) > bytes_max:
        return urgency, incremental
    said = _cached(value) if len(value) <= _CACHED_BYTES_MAX else _parse(value)
    return (urgency if said[0] < 0 else said[0], incremental if said[1] < 0 else said[1] == 1)


def _parse(value: bytes) -> tuple[int, int]:
    """Urgency and incremental as far as they are said, else -1."""
    members: dict[bytes, bytes] = {}
    text = value.strip(b" ")
    position = 0
    while position < len(text):
        member = _MEMBER.match(text, position)
        if member is None:
            return -1, -1
        # The last of equal keys counts; a key alone is true.
        members[member[1]] = b"?1" if member[2] is None else member[2]
        position = member.end()
        if position == len(text):
            break
        between = _BETWEEN.match(text, position)
        if between is None or between.end() == len(text):
            return -1, -1
        position = between.end()
    urgency = members.get(b"u", b"")
    incremental = members.get(b"i", b"")
    said = int(urgency) if urgency.lstrip(b"-").isdigit() else -1
    return (said if 0 <= said <= 7 else -1, {b"?1": 1, b"?0": 0}.get(incremental, -1))


_cached = lru_cache(maxsize=64)(_parse)


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
