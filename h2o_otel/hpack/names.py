"""What a field name means to HPACK and to HTTP/2, and whether a value may stand in a field.

A name is examined once: ``name_of`` keeps what it found, for all connections of the process.  The
names that HTTP defines are never dropped; the others are bounded, and only short ones are kept, so
that a peer that makes up names can neither fill the memory nor push out the known ones.  Malformed
names are kept like others: to see one again costs no more than a valid one.
"""

from __future__ import annotations

from .. import _mem
from ..rules import RULES, Rule
from .kinds import (
    AUTHORITY,
    AUTHORITY_INVALID,
    CONNECTION_SPECIFIC,
    CONTENT_LENGTH,
    COOKIE,
    FLAWLESS,
    HOST,
    IN_AUTHORITY,
    IN_NAME,
    IN_NUMBER,
    IN_PATH,
    IN_SCHEME,
    IN_TOKEN,
    LENGTH_INVALID,
    METHOD,
    METHOD_INVALID,
    NAME_EMPTY,
    NAME_INVALID,
    PATH,
    PATH_INVALID,
    POLICY_COOKIE,
    POLICY_INDEX,
    POLICY_PLAIN,
    POLICY_PRIVATE,
    POLICY_SECRET,
    PRIORITY,
    PROTOCOL,
    PSEUDO_UNKNOWN,
    REGULAR,
    SCHEME,
    SCHEME_INVALID,
    STATUS,
    STATUS_INVALID,
    TE,
    TE_INVALID,
    VALUE_INVALID,
)
from .static import STATIC_NAMES

__all__ = ["FLAWS", "Name", "examine", "flaw_of_value", "name_of", "name_of_known"]

FLAWS: tuple[Rule | None, ...] = (
    None,
    RULES.field_name_empty,
    RULES.field_name_invalid,
    RULES.field_connection_specific,
    RULES.pseudo_unknown,
    RULES.field_value_invalid,
    RULES.method_invalid,
    RULES.scheme_invalid,
    RULES.authority_invalid,
    RULES.path_invalid,
    RULES.status_invalid,
    RULES.field_te,
    RULES.content_length_invalid,
    RULES.pseudo_after_field,
    RULES.pseudo_duplicate,
    RULES.pseudo_in_trailers,
)
"""The rule that a flaw breaks, by flaw."""

# A longer name is examined each time that it comes.
_NAME_CACHED_BYTES_MAX = 64

_KINDS = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":authority": AUTHORITY,
    b":path": PATH,
    b":status": STATUS,
    b":protocol": PROTOCOL,
    b"content-length": CONTENT_LENGTH,
    b"host": HOST,
    b"cookie": COOKIE,
    b"te": TE,
    b"priority": PRIORITY,
}

_CONNECTION_SPECIFIC = (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")

_POLICIES = {
    b"authorization": POLICY_SECRET,
    b"proxy-authorization": POLICY_SECRET,
    b"cookie": POLICY_COOKIE,
    b"set-cookie": POLICY_PRIVATE,
    # The date is not here: all responses of one second share it.
    **dict.fromkeys(
        (
            b":path",
            b"age",
            b"content-length",
            b"content-location",
            b"content-range",
            b"etag",
            b"expires",
            b"grpc-timeout",
            b"if-match",
            b"if-modified-since",
            b"if-none-match",
            b"if-range",
            b"if-unmodified-since",
            b"last-modified",
            b"location",
            b"range",
            b"retry-after",
            b"server-timing",
            b"traceparent",
            b"tracestate",
            b"x-amzn-trace-id",
            b"x-b3-spanid",
            b"x-b3-traceid",
            b"x-cloud-trace-context",
            b"x-correlation-id",
            b"x-request-id",
            b"x-response-time",
        ),
        POLICY_PLAIN,
    ),
}

# Further names worth knowing from the start.
_COMMON = (
    b"access-control-allow-credentials",
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-expose-headers",
    b"access-control-max-age",
    b"access-control-request-headers",
    b"access-control-request-method",
    b"alt-svc",
    b"baggage",
    b"content-security-policy",
    b"dnt",
    b"early-data",
    b"forwarded",
    b"grpc-accept-encoding",
    b"grpc-encoding",
    b"grpc-message",
    b"grpc-status",
    b"origin",
    b"permissions-policy",
    b"pragma",
    b"referrer-policy",
    b"sec-ch-ua",
    b"sec-ch-ua-mobile",
    b"sec-ch-ua-platform",
    b"sec-fetch-dest",
    b"sec-fetch-mode",
    b"sec-fetch-site",
    b"sec-fetch-user",
    b"timing-allow-origin",
    b"trailer",
    b"upgrade-insecure-requests",
    b"x-content-type-options",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-frame-options",
    b"x-powered-by",
    b"x-real-ip",
    b"x-requested-with",
    b"x-xss-protection",
)

_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_ALPHANUMERIC = _LOWER + _LOWER.upper() + _DIGITS


def _classes() -> bytes:
    members = (
        # token without upper case (RFC 9113 section 8.2.1)
        (IN_NAME, b"!#$%&'*+-.^_`|~" + _DIGITS + _LOWER),
        (IN_TOKEN, b"!#$%&'*+-.^_`|~" + _ALPHANUMERIC),
        # What a URI may have before its fragment: no octets above 126, controls or spaces (RFC 3986).
        (IN_PATH, bytes(set(range(33, 127)) - {ord("#")})),
        # RFC 3986 host and port; '@' is left out, since RFC 9113 section 8.3.1 allows no userinfo.
        (IN_AUTHORITY, b"-._~%!$&'()*+,;=:[]" + _ALPHANUMERIC),
        (IN_SCHEME, b"+-." + _ALPHANUMERIC),
        (IN_NUMBER, _DIGITS),
    )
    table = bytearray(256)
    for bit, octets in members:
        for octet in octets:
            table[octet] |= bit
    return bytes(table)


_CLASSES_OWNER = _classes()
_CLASSES = _CLASSES_OWNER


class Name:
    """A field name as examined.

    Attributes:
        text: the name; one object for all fields that share it.
        kind: what it is to HTTP/2, ``REGULAR`` for most.
        flaw: why it cannot stand in a field section, 0 when it can.
        policy: how the encoder writes its fields.
        static_index: its lowest index in the static table, 0 when it has none.
    """

    __slots__ = ("flaw", "kind", "policy", "static_index", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.kind: int = _KINDS.get(text, REGULAR)
        self.flaw: int = flaw_of_name(text)
        self.policy: int = _POLICIES.get(text, POLICY_INDEX)
        self.static_index: int = STATIC_NAMES[text][0] if text in STATIC_NAMES else 0


def flaw_of_name(name: bytes) -> int:
    """What is wrong with ``name`` (RFC 9113 section 8.2), 0 when nothing is."""
    n = len(name)
    if n == 0:
        return NAME_EMPTY
    if name[0] == 58:
        return FLAWLESS if name in _KINDS else PSEUDO_UNKNOWN
    if not _mem.all_in(_CLASSES, name, n, n, IN_NAME):
        return NAME_INVALID
    if name in _CONNECTION_SPECIFIC:
        return CONNECTION_SPECIFIC
    return FLAWLESS


def flaw_of_value(kind: int, src: bytes, n: int) -> int:
    """What is wrong with a value of a name of this kind (RFC 9113 sections 8.2.1 and 8.3), 0 when nothing is."""
    if kind != REGULAR and kind != COOKIE:
        return _flaw_of_special(kind, src, n)
    if n == 0:
        return FLAWLESS
    if not _mem.no_breaks(src, n, n) or src[0] == 32 or src[0] == 9 or src[n - 1] == 32 or src[n - 1] == 9:
        return VALUE_INVALID
    return FLAWLESS


def _flaw_of_special(kind: int, src: bytes, n: int) -> int:
    if kind == PATH:
        # "*" belongs to OPTIONS alone, which is for whoever knows the method to judge.
        if n == 0 or not _mem.all_in(_CLASSES, src, n, n, IN_PATH) or (src[0] != 47 and (n > 1 or src[0] != 42)):
            return PATH_INVALID
    elif kind == METHOD:
        if n == 0 or not _mem.all_in(_CLASSES, src, n, n, IN_TOKEN):
            return METHOD_INVALID
    elif kind == SCHEME:
        # A scheme begins with a letter; of its octets, only letters are above '9'.
        if n == 0 or not _mem.all_in(_CLASSES, src, n, n, IN_SCHEME) or src[0] <= 57:
            return SCHEME_INVALID
    elif kind == AUTHORITY:
        if n == 0 or not _mem.all_in(_CLASSES, src, n, n, IN_AUTHORITY):
            return AUTHORITY_INVALID
    elif kind == STATUS:
        if n != 3 or not _mem.all_in(_CLASSES, src, n, n, IN_NUMBER) or src[0] < 49 or src[0] > 53:
            return STATUS_INVALID
    elif kind == CONTENT_LENGTH:
        # 18 digits fit a signed 64-bit number and are an exabyte.
        if n == 0 or n > 18 or not _mem.all_in(_CLASSES, src, n, n, IN_NUMBER):
            return LENGTH_INVALID
    else:
        flaw = flaw_of_value(REGULAR, src, n)
        if flaw == FLAWLESS and kind == TE and not _is_trailers(src, n):
            return TE_INVALID
        return flaw
    return FLAWLESS


def _is_trailers(src: bytes, n: int) -> bool:
    """Whether a te value is "trailers", which like every transfer coding name is in any case."""
    if n != 8:
        return False
    for i in range(8):
        if (src[i] | 32) != _TRAILERS[i]:
            return False
    return True


_TRAILERS_OWNER = b"trailers"
_TRAILERS = _TRAILERS_OWNER

_KNOWN: dict[bytes, Name] = {name: Name(name) for name in (*STATIC_NAMES, *_KINDS, *_POLICIES, *_COMMON, *_CONNECTION_SPECIFIC)}
_KNOWN_COUNT = len(_KNOWN)
_NAMES: dict[bytes, Name] = dict(_KNOWN)


def name_of(name: bytes, names_cached_max: int) -> Name:
    """``name`` as examined, from the cache where it is there; at most ``names_cached_max`` names beside the known ones are kept."""
    found = _NAMES.get(name)
    return examine(name, names_cached_max) if found is None else found


def examine(name: bytes, names_cached_max: int) -> Name:
    """``name`` examined anew, and kept where there is room for it."""
    made = Name(name)
    if len(name) <= _NAME_CACHED_BYTES_MAX and names_cached_max > 0:
        if len(_NAMES) >= _KNOWN_COUNT + names_cached_max:
            _forget_names()
        _NAMES[name] = made
    return made


def _forget_names() -> None:
    """Begin again with the known names: whatever filled the cache, the names in use come back at one examination each."""
    _NAMES.clear()
    _NAMES.update(_KNOWN)


def name_of_known(name: bytes) -> Name | None:
    """``name`` if it is cached."""
    return _NAMES.get(name)
