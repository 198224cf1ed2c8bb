"""W3C Trace Context and Baggage, read straight from a header list and written straight into one.

Strict, as the two specifications ask: what is malformed is ignored as a whole, and the trace
starts anew.  Nothing here knows the OpenTelemetry SDK.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar
from urllib.parse import quote, unquote

from .. import _mem, counters

__all__ = [
    "BAGGAGE",
    "TRACEPARENT",
    "TRACESTATE",
    "format_baggage",
    "format_traceparent",
    "parse_baggage",
    "parse_traceparent",
    "parse_tracestate",
    "read_headers",
]

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"
BAGGAGE = b"baggage"

_T = TypeVar("_T")

# Bounds of the specifications: tracestate section 3.3.1.5 (at least 512 characters and 32 members
# are kept), baggage section 3.3.2 (64 members, 8192 octets).
TRACESTATE_BYTES_MAX = 512
TRACESTATE_MEMBERS_MAX = 32
BAGGAGE_BYTES_MAX = 8192
BAGGAGE_MEMBERS_MAX = 64

_MEMBER = re.compile(
    r"([a-z0-9][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})"
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAGGAGE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_LOW = (1 << 64) - 1
# Octets of a baggage value that need no percent-encoding, besides letters, digits and "_.-~".
_BAGGAGE_SAFE = "!#$&'()*+/:<=>?@[]^`{|}"


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes | None, bytes | None, bytes | None]:
    """The values of traceparent, tracestate and baggage; None for what is absent.

    Repeated tracestate and baggage fields are joined (RFC 9110 section 5.3); a repeated
    traceparent is no traceparent (Trace Context section 3.2).
    """
    parent: bytes | None = None
    state: bytes | None = None
    baggage: bytes | None = None
    for name, value in headers:
        n = len(name)
        if n == 11:
            if name == TRACEPARENT:
                parent = value if parent is None else b""
        elif n == 10:
            if name == TRACESTATE:
                # A value that is too long already is not extended: it will be ignored.
                if state is None:
                    state = value
                elif len(state) <= TRACESTATE_BYTES_MAX:
                    state = state + b"," + value
        elif n == 7 and name == BAGGAGE:
            if baggage is None:
                baggage = value
            elif len(baggage) <= BAGGAGE_BYTES_MAX:
                baggage = baggage + b"," + value
    return parent, state, baggage


def parse_traceparent(value: bytes) -> tuple[int, int, int] | None:
    """Trace id, parent span id and flags, or None when the field is malformed."""
    n = len(value)
    if n < 55:
        return None
    first = value[0]
    last = value[n - 1]
    if first == 32 or first == 9 or last == 32 or last == 9:
        value = value.strip(b" \t")
        n = len(value)
    if n < 55 or value[2] != 45 or value[35] != 45 or value[52] != 45:
        return None
    # Only version 00 ends here for certain; a later one may carry more after another dash (section 3.2.4).
    if n > 55 and (value[55] != 45 or value[:2] == b"00"):
        return None
    if not (_mem.lower_hex(value, 0, n, 2) and _mem.lower_hex(value, 3, n, 32)):
        return None
    if not (_mem.lower_hex(value, 36, n, 16) and _mem.lower_hex(value, 53, n, 2)):
        return None
    if value[0] == 102 and value[1] == 102:
        return None
    high = _mem.hex_u64(value, 3, n)
    low = _mem.hex_u64(value, 19, n)
    span = _mem.hex_u64(value, 36, n)
    trace = high << 64 | low
    if not trace or not span:
        return None
    # Flags that version 00 does not define are not passed on (section 3.2.2.5): sampled and random are.
    digit = value[54]
    return trace, span, (digit - 48 if digit <= 57 else digit - 87) & 3


def ignored(name: str, nothing: _T) -> _T:
    """Count a malformed or oversized field that is ignored; returns ``nothing``."""
    counters.local().add("fields_ignored", counters.IGNORED_FIELDS.index(name), 1)
    return nothing


def parse_tracestate(value: bytes) -> list[tuple[str, str]]:
    """The members in order; empty when one is malformed, repeated or beyond the bounds."""
    members: dict[str, str] = {}
    if len(value) > TRACESTATE_BYTES_MAX or not value.isascii():
        return ignored("tracestate", [])
    for part in value.decode("ascii").split(","):
        part = part.strip(" \t")
        if not part:
            continue
        match = _MEMBER.fullmatch(part)
        if match is None or match[1] in members:
            return ignored("tracestate", [])
        members[match[1]] = match[2]
    return list(members.items()) if len(members) <= TRACESTATE_MEMBERS_MAX else ignored("tracestate", [])


def format_traceparent(trace_id: int, span_id: int, flags: int) -> bytes:
    """The field value, version 00."""
    return _mem.traceparent(trace_id >> 64, trace_id & _LOW, span_id, flags)


def parse_baggage(value: bytes) -> dict[str, str]:
    """Names and decoded values; malformed members are left out, properties after ``;`` are ignored."""
    found: dict[str, str] = {}
    if len(value) > BAGGAGE_BYTES_MAX:
        return ignored("baggage", found)
    for part in value.split(b",", BAGGAGE_MEMBERS_MAX)[:BAGGAGE_MEMBERS_MAX]:
        try:
            text = part.split(b";", 1)[0].decode("ascii")
        except UnicodeDecodeError:
            continue
        name, separator, content = text.partition("=")
        name = name.strip(" \t")
        content = content.strip(" \t")
        if separator and _TOKEN.fullmatch(name) and _BAGGAGE_VALUE.fullmatch(content):
            found[name] = unquote(content)
    return found


def format_baggage(entries: Mapping[str, object]) -> bytes:
    """The field value; entries beyond the bounds of the specification are left out."""
    parts: list[str] = []
    size = -1
    for name, value in entries.items():
        if not _TOKEN.fullmatch(name):
            continue
        part = f"{name}={quote(str(value), safe=_BAGGAGE_SAFE)}"
        if len(parts) >= BAGGAGE_MEMBERS_MAX or size + 1 + len(part) > BAGGAGE_BYTES_MAX:
            break
        size += 1 + len(part)
        parts.append(part)
    return ",".join(parts).encode("ascii")
