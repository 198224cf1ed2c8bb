"""The static table of RFC 7541 appendix A, and what can be computed from it once, at import.

Index 0 does not exist; ``STATIC_TABLE[0]`` is index 1.  The ``:status`` field of a response that
stands in the table as a whole is one octet, kept ready in ``STATUS_OCTETS``.
"""

from __future__ import annotations

__all__ = ["STATIC_NAMES", "STATIC_TABLE", "STATUS_MAX", "STATUS_MIN", "STATUS_OCTETS", "STATUS_VALUES"]

STATIC_TABLE: tuple[tuple[bytes, bytes], ...] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)

# name -> (lowest index of the name, {value: index}); the lowest index names the field in literals.
STATIC_NAMES: dict[bytes, tuple[int, dict[bytes, int]]] = {}
for _index, (_name, _value) in enumerate(STATIC_TABLE, 1):
    STATIC_NAMES.setdefault(_name, (_index, {}))[1][_value] = _index

# Status codes that HTTP has (RFC 9110 section 15).
STATUS_MIN, STATUS_MAX = 100, 599

# status -> its value, so that no response formats a number.
STATUS_VALUES: list[bytes] = [b"%03d" % status for status in range(STATUS_MAX + 1)]

# status -> the whole encoded field where the table has it, else 0.
_STATUS_INDICES = STATIC_NAMES[b":status"][1]
STATUS_OCTETS: bytes = bytes(0x80 | _STATUS_INDICES[value] if value in _STATUS_INDICES else 0 for value in STATUS_VALUES)
