"""What a decoded field section must be to count as a message (RFC 9113 section 8).

The decoder has examined each field, once for each entry of its table however often that comes;
here it is seen whether they fit together.  Of the common shapes, four pseudo-header fields or a
status alone, that is all; any other message is looked at in full, and so is every message where
``Tuning.frame_validation_cache`` is off.
"""

from __future__ import annotations

from ..hpack.decoder import Decoder
from ..hpack.kinds import AUTHORITY, METHOD, PATH, PROTOCOL, SCHEME, STATUS
from ..rules import RULES, fail

__all__ = ["MessageValidator"]

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TOKEN_OK_B = bytes(1 if i in _TOKEN else 0 for i in range(256))
_TOKEN_OK = _TOKEN_OK_B
# No control characters, no space, no fragment: the request line of a downstream HTTP/1.1 hop could
# be split by any of them.  Octets above 0x7f belong in no URI (RFC 3986): clients percent-encode them.
_PATH_OK_B = bytes(0 if i <= 0x20 or i >= 0x7F or i == 0x23 else 1 for i in range(256))
_PATH_OK = _PATH_OK_B
# Neither user information (RFC 9113 section 8.3.1) nor what cannot be in a host or a port.
_AUTHORITY_OK_B = bytes(0 if i <= 0x20 or i >= 0x7F or i in b'@/?#"<>\\^`{|}' else 1 for i in range(256))
_AUTHORITY_OK = _AUTHORITY_OK_B
_SCHEME_FIRST = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_SCHEME_REST = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789+-.")
_HTTP, _HTTPS, _GET = b"http", b"https", b"GET"
_CONNECT, _OPTIONS, _STAR = b"CONNECT", b"OPTIONS", b"*"
# The common shapes, as the decoder notes them.
_REQUEST = 1 << METHOD | 1 << SCHEME | 1 << AUTHORITY | 1 << PATH
_RESPONSE = 1 << STATUS
_PSEUDO_NAMES = {METHOD: ":method", SCHEME: ":scheme", AUTHORITY: ":authority", PATH: ":path", STATUS: ":status", PROTOCOL: ":protocol"}
# A value in an error's text is cut here: peers choose its length.
_SHOWN = 64


def all_in(value: bytes, table: bytes, n: int) -> bool:
    """Whether each of the ``n`` octets of ``value`` is allowed by ``table``."""
    mem = value
    for i in range(n):
        if table[mem[i]] == 0:
            return False
    return True


def _first_pseudo(seen: int) -> str:
    """The name of one of the pseudo-header fields that ``seen`` has a bit for."""
    return next(name for kind, name in _PSEUDO_NAMES.items() if seen & 1 << kind)


def same_authority(host: bytes, authority: bytes, scheme: bytes | None) -> bool:
    """Whether both name the same once normalized (RFC 9113 section 8.3.1): letters in either case, the scheme's own port or none."""
    default = b":80" if scheme == _HTTP else b":443" if scheme == _HTTPS else b":"
    return host == authority or _normalized(host, default) == _normalized(authority, default)


def _normalized(authority: bytes, default_port: bytes) -> bytes:
    return authority.lower().removesuffix(default_port).removesuffix(b":")


class MessageValidator:
    """Validation of the messages of one connection.

    Args:
        connect_protocol: extended CONNECT is allowed.
        trusting: what the decoder has examined is not examined again.
        require_authority: a request names its authority, in ``:authority`` or ``host``.
    """

    __slots__ = ("_trusting", "connect_protocol", "require_authority")

    def __init__(self, connect_protocol: bool, trusting: bool = True, require_authority: bool = False) -> None:
        self.connect_protocol = connect_protocol
        self._trusting = trusting
        self.require_authority = require_authority

    def request(self, fields: Decoder, stream_id: int) -> int:
        """RFC 9113 section 8.3.1."""
        if self._trusting and fields.pseudo == _REQUEST:
            path = fields.path
            if (
                path is not None
                and path[0] == 0x2F
                and fields.scheme in (_HTTPS, _HTTP)
                and fields.method != _CONNECT
                and (fields.host is None or fields.host == fields.authority)
            ):
                return 0
        return self.request_in_full(fields, stream_id)

    def request_in_full(self, fields: Decoder, stream_id: int) -> int:
        """Every pseudo-header field, and all of them together."""
        method = fields.method
        if fields.status is not None:
            raise fail(RULES.pseudo_wrong_direction, stream_id, got=":status")
        if method is None:
            raise fail(RULES.pseudo_missing, stream_id, got=":method")
        if not method or not all_in(method, _TOKEN_OK, len(method)):
            raise fail(RULES.method_invalid, stream_id, got=method[:_SHOWN])
        if method == _CONNECT or fields.protocol is not None:
            return self.connect(fields, stream_id)
        scheme = fields.scheme
        if scheme is None:
            raise fail(RULES.pseudo_missing, stream_id, got=":scheme")
        if scheme not in (_HTTP, _HTTPS) and not (scheme and scheme[0] in _SCHEME_FIRST and _SCHEME_REST.issuperset(scheme)):
            raise fail(RULES.scheme_invalid, stream_id, got=scheme[:_SHOWN])
        self.check_path(fields, stream_id)
        authority = fields.authority
        if authority is not None:
            self.check_authority(authority, stream_id)
            if fields.host is not None and not same_authority(fields.host, authority, scheme):
                raise fail(RULES.host_mismatch, stream_id, got=fields.host[:_SHOWN])
        elif fields.host is not None:
            self.check_authority(fields.host, stream_id)
        elif self.require_authority and scheme in (_HTTP, _HTTPS):
            # Without this option they pass: RFC 9113 asks for it, and health checks of proxies leave it out.
            raise fail(RULES.pseudo_missing, stream_id, got=":authority")
        return 0

    def check_path(self, fields: Decoder, stream_id: int) -> int:
        path = fields.path
        if path is None:
            raise fail(RULES.pseudo_missing, stream_id, got=":path")
        n = len(path)
        if n == 0 or (path[0] != 0x2F and not (path == _STAR and fields.method == _OPTIONS)) or not all_in(path, _PATH_OK, n):
            raise fail(RULES.path_invalid, stream_id, got=path[:_SHOWN])
        return 0

    def check_authority(self, authority: bytes, stream_id: int) -> int:
        n = len(authority)
        if n == 0 or not all_in(authority, _AUTHORITY_OK, n):
            raise fail(RULES.authority_invalid, stream_id, got=authority[:_SHOWN])
        return 0

    def connect(self, fields: Decoder, stream_id: int) -> int:
        """CONNECT (RFC 9113 section 8.5) and extended CONNECT (RFC 8441 section 4)."""
        if fields.protocol is None:
            if fields.authority is None or fields.scheme is not None or fields.path is not None:
                raise fail(RULES.connect_pseudo, stream_id)
        else:
            if fields.method != _CONNECT or not self.connect_protocol:
                raise fail(RULES.protocol_unexpected, stream_id)
            if fields.scheme is None or fields.path is None or fields.authority is None:
                raise fail(RULES.pseudo_missing, stream_id, got=":scheme, :path or :authority")
            self.check_path(fields, stream_id)
        self.check_authority(fields.authority, stream_id)
        if fields.host is not None and not same_authority(fields.host, fields.authority, fields.scheme):
            raise fail(RULES.host_mismatch, stream_id, got=fields.host[:_SHOWN])
        return 0

    def response(self, fields: Decoder, stream_id: int) -> int:
        """RFC 9113 section 8.3.2; returns the status code."""
        if self._trusting and fields.pseudo == _RESPONSE and fields.status_code != 101:
            return fields.status_code
        status = fields.status
        if fields.pseudo & ~_RESPONSE:
            raise fail(RULES.pseudo_wrong_direction, stream_id, got=_first_pseudo(fields.pseudo & ~_RESPONSE))
        if status is None:
            raise fail(RULES.pseudo_missing, stream_id, got=":status")
        if len(status) != 3 or not status.isdigit():
            raise fail(RULES.status_invalid, stream_id, got=status[:_SHOWN])
        code = int(status)
        if not 100 <= code <= 599:
            raise fail(RULES.status_invalid, stream_id, got=status)
        if code == 101:
            raise fail(RULES.status_101, stream_id)
        return code

    def trailers(self, fields: Decoder, stream_id: int) -> int:
        """RFC 9113 section 8.1: no pseudo-header fields, and none that frame the message (RFC 9110 section 6.5.1)."""
        if fields.pseudo:
            raise fail(RULES.pseudo_in_trailers, stream_id, got=_first_pseudo(fields.pseudo))
        if fields.content_length >= 0:
            raise fail(RULES.trailers_field, stream_id, got="content-length")
        if fields.host is not None:
            raise fail(RULES.trailers_field, stream_id, got="host")
        return 0
