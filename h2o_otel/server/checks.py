"""What an application sends and raises, looked at where it is not as HTTP/2 has it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ..errors import ClientDisconnected

__all__ = ["caused_by_disconnect", "is_connection_specific", "normalised", "pushed_path"]


def normalised(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Lower-case names, values without white space at their edges, no connection-specific fields (RFC 9113 section 8.2.2).

    Raises:
        TypeError: a name or value is not bytes.
    """
    kept = []
    for name, value in fields:
        if not isinstance(name, (bytes, bytearray)) or not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"field ({name!r}, {value!r}): ASGI applications send names and values as bytes")
        low = bytes(name).lower()
        if not is_connection_specific(low, value):
            kept.append((low, bytes(value).strip(b" \t")))
    return kept


def is_connection_specific(name: bytes, value: Any) -> bool:
    if name in (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"):
        return True
    return name == b"te" and bytes(value).strip().lower() != b"trailers"


def pushed_path(path: str) -> bytes:
    """The ``:path`` of a promise; what is encoded already and a query stay as they are.

    Raises:
        ValueError: it is no absolute path.
    """
    if not path.startswith("/"):
        raise ValueError(f"http.response.push has path {path!r}; a path begins with /")
    return quote(path, safe="/%?&=+:;,@!$'()*~-._").encode("ascii")


def caused_by_disconnect(error: BaseException) -> bool:
    """Whether ``error`` is how an application or framework passes on that the client went away."""
    seen = 0
    found: BaseException | None = error
    while found is not None and seen < 16:
        if isinstance(found, ClientDisconnected) or type(found).__name__ == "ClientDisconnect":
            return True
        if isinstance(found, BaseExceptionGroup):
            return all(caused_by_disconnect(each) for each in found.exceptions)
        found = found.__cause__ or found.__context__
        seen += 1
    return False
