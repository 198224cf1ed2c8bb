"""Field sections on their way out: normalized and checked by the rules of the ``h2`` library.

What comes in is checked by the engine, whose rules are stricter; ``validate_headers`` is here for
programs that call it themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple

from .exceptions import ProtocolError

__all__ = [
    "HeaderValidationFlags",
    "SizeLimitDict",
    "authority_from_headers",
    "extract_method_header",
    "is_informational_response",
    "normalize_outbound_headers",
    "utf8_encode_headers",
    "validate_headers",
    "validate_outbound_headers",
]

Field = tuple[bytes, bytes]

_CONNECTION_SPECIFIC = frozenset([b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"])
_COOKIE = b"cookie"
_SECRETS = frozenset([b"authorization", b"proxy-authorization"])
# A shorter cookie could be guessed octet by octet (RFC 7541 section 7.1.3).
_COOKIE_BYTES_MIN = 20
_REQUEST_ONLY = frozenset([b":method", b":scheme", b":authority", b":path", b":protocol"])
_PSEUDO = _REQUEST_ONLY | {b":status"}


class HeaderValidationFlags(NamedTuple):
    """What a field section is."""

    is_client: bool
    is_trailer: bool
    is_response_header: bool
    is_push_promise: bool


class SizeLimitDict(OrderedDict[int, Any]):
    """A mapping that forgets its oldest entries beyond ``size_limit``; None for no limit."""

    def __init__(self, *args: Any, size_limit: int | None = None, **entries: Any) -> None:
        self._limit = size_limit
        super().__init__(*args, **entries)

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        while self._limit is not None and len(self) > self._limit:
            self.popitem(last=False)


def _octets(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _like(header: Any, name: bytes, value: bytes) -> Field:
    """A field of the same class as ``header``, which says whether it may be indexed."""
    if isinstance(header, HeaderTuple):
        made: Field = header.__class__(name, value)
        return made
    return name, value


def _kept_secret(header: Any, name: bytes, value: bytes) -> Field:
    """Credentials, and a cookie: never indexed unless it is a long one."""
    if name == _COOKIE and len(value) >= _COOKIE_BYTES_MIN:
        return _like(header, name, value)
    made: Field = NeverIndexedHeaderTuple(name, value)
    return made


def utf8_encode_headers(headers: Iterable[Any]) -> list[Field]:
    """The fields as bytes."""
    made: list[Field] = []
    for header in headers:
        name, value = header
        if type(header) is tuple and type(name) is bytes and type(value) is bytes:
            made.append(header)
        else:
            made.append(_like(header, _octets(name), _octets(value)))
    return made


def extract_method_header(headers: Iterable[Field]) -> bytes | None:
    """The value of ``:method``, None when it is missing."""
    return next((value for name, value in headers if name == b":method"), None)


def authority_from_headers(headers: Iterable[Field]) -> bytes | None:
    """The value of ``:authority``, None when it is missing."""
    return next((value for name, value in headers if name == b":authority"), None)


def is_informational_response(headers: Iterable[Field]) -> bool:
    """Whether ``:status`` is 1xx."""
    for name, value in headers:
        if name[:1] != b":":
            return False
        if name == b":status":
            return value.startswith(b"1")
    return False


def normalize_outbound_headers(
    headers: Iterable[Field], hdr_validation_flags: HeaderValidationFlags | None = None, should_split_outbound_cookies: bool = False
) -> list[Field]:
    """Names in lower case, no space around values, no connection-specific fields, secrets never indexed."""
    made: list[Field] = []
    for header in headers:
        name, value = header[0].lower().strip(), header[1]
        if name in _CONNECTION_SPECIFIC:
            continue
        if name == _COOKIE and should_split_outbound_cookies:
            made += [_kept_secret(header, name, part.strip()) for part in value.split(b"; ")]
        elif name == _COOKIE or name in _SECRETS:
            made.append(_kept_secret(header, name, value.strip()))
        elif type(header) is tuple:
            made.append((name, value.strip()))
        else:
            made.append(_like(header, name, value.strip()))
    return made


def validate_headers(headers: Iterable[Field], hdr_validation_flags: HeaderValidationFlags) -> list[Field]:
    """Check a field section that was received.

    Raises:
        ProtocolError: RFC 9113 section 8 forbids it.
    """
    fields = list(headers)
    for name, value in fields:
        if not name:
            raise ProtocolError("Received header name with zero length.")
        if any(c <= 0x20 or c >= 0x7F or 0x41 <= c <= 0x5A for c in name) or name.find(b":", 1) >= 0:
            raise ProtocolError(f"field name {name!r} is not a lower-case token (RFC 9113 §8.2.1)")
        if value and (any(c in (0, 0x0A, 0x0D) for c in value) or value[0] in b" \t" or value[-1] in b" \t"):
            raise ProtocolError(f"the value of field {name!r} has CR, LF, NUL or white space at its edge (RFC 9113 §8.2.1)")
    return validate_outbound_headers(fields, hdr_validation_flags)


def validate_outbound_headers(headers: Iterable[Field], hdr_validation_flags: HeaderValidationFlags) -> list[Field]:
    """Check a field section that is to be sent.

    Raises:
        ProtocolError: RFC 9113 section 8 forbids it.
    """
    fields = list(headers)
    pseudo: dict[bytes, bytes] = {}
    host: bytes | None = None
    regular = False
    for name, value in fields:
        if name[:1] == b":":
            if name in pseudo:
                raise ProtocolError(f"pseudo-header field {name!r} twice (RFC 9113 §8.3)")
            if regular:
                raise ProtocolError(f"pseudo-header field {name!r} after a regular field (RFC 9113 §8.3)")
            if name not in _PSEUDO:
                raise ProtocolError(f"pseudo-header field {name!r} is not defined (RFC 9113 §8.3)")
            pseudo[name] = value
            continue
        regular = True
        if name in _CONNECTION_SPECIFIC:
            raise ProtocolError(f"connection-specific field {name!r} (RFC 9113 §8.2.2)")
        if name == b"te" and value.lower() != b"trailers":
            raise ProtocolError(f"te is {value!r}, only 'trailers' is allowed (RFC 9113 §8.2.2)")
        if name == b"host":
            if host is not None and not hdr_validation_flags.is_response_header and not hdr_validation_flags.is_trailer:
                raise ProtocolError("the host field stands twice (RFC 9113 §8.3.1)")
            host = value
    if hdr_validation_flags.is_trailer:
        if pseudo:
            raise ProtocolError(f"pseudo-header in trailer: {', '.join(map(repr, pseudo))} (RFC 9113 §8.1)")
    if hdr_validation_flags.is_response_header:
        _check_response(pseudo)
    elif not hdr_validation_flags.is_trailer:
        _check_request(pseudo, host)
    return fields


def _check_response(pseudo: dict[bytes, bytes]) -> None:
    if b":status" not in pseudo:
        raise ProtocolError("a response without :status (RFC 9113 §8.3.2)")
    if wrong := pseudo.keys() & _REQUEST_ONLY:
        raise ProtocolError(f"pseudo-header fields of a request in a response: {', '.join(map(repr, wrong))} (RFC 9113 §8.3)")


def _check_request(pseudo: dict[bytes, bytes], host: bytes | None) -> None:
    method = pseudo.get(b":method")
    if method is None:
        raise ProtocolError("a request without :method (RFC 9113 §8.3.1)")
    if method == b"CONNECT" and b":protocol" not in pseudo:
        if b":scheme" in pseudo or b":path" in pseudo:
            raise ProtocolError("CONNECT has neither :scheme nor :path (RFC 9113 §8.5)")
    elif b":scheme" not in pseudo or b":path" not in pseudo:
        raise ProtocolError("a request without :scheme or :path (RFC 9113 §8.3.1)")
    if b":status" in pseudo:
        raise ProtocolError(":status in a request (RFC 9113 §8.3)")
    if b":protocol" in pseudo and method != b"CONNECT":
        raise ProtocolError(":protocol belongs to CONNECT (RFC 8441 §4)")
    if pseudo.get(b":path") == b"":
        raise ProtocolError("an empty :path (RFC 9113 §8.3.1)")
    authority = pseudo.get(b":authority")
    if authority is None and host is None:
        raise ProtocolError("a request with neither :authority nor host (RFC 9113 §8.3.1)")
    if authority is not None and host is not None and authority != host:
        raise ProtocolError(f"host {host!r} differs from :authority {authority!r} (RFC 9113 §8.3.1)")
