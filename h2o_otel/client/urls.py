"""URLs as requests need them: split once, percent-encoded, and an origin to find a connection by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import idna

from ..errors import InvalidURL, UnsupportedProtocol
from ..pool.origin import DEFAULT_PORTS, Origin

__all__ = ["URL", "Params", "encode_params"]

Params = Mapping[str, Any] | Iterable[tuple[str, Any]] | str | bytes

# RFC 1035 section 2.3.4.
_HOST_CHARACTERS_MAX = 253
# RFC 3986: what may stand unencoded, "%" included because it begins what is encoded already.
_PATH_SAFE = "/:@!$&'()*+,;=~%[]"
_QUERY_SAFE = _PATH_SAFE + "?"
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%-]+|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?")


def encode_params(params: Params) -> str:
    """``params`` as a query string; booleans and None as browsers' forms have them, lists repeated."""
    if isinstance(params, bytes):
        return params.decode("ascii")
    if isinstance(params, str):
        return params
    pairs = params.items() if isinstance(params, Mapping) else params
    flat: list[tuple[str, str]] = []
    for name, value in pairs:
        values = value if isinstance(value, (list, tuple)) else (value,)
        flat.extend((name, _text(item)) for item in values)
    return urlencode(flat)


def _text(value: Any) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    return "" if value is None else str(value)


def _quoted(text: str, safe: str) -> str:
    return quote(_BAD_ESCAPE.sub("%25", text), safe)


class URL:
    """An absolute http or https URL, or a relative one that a base completes.

    Attributes:
        scheme, host: in lower case, "" when relative.
        port: explicit, or the scheme's own; 0 when relative.
        path: percent-encoded.
        query: percent-encoded, without "?".
        fragment: never sent.
        userinfo: ``user:password`` of the authority, percent-encoded, or "".

    Raises:
        InvalidURL: the URL cannot be parsed.
        UnsupportedProtocol: its scheme is neither http nor https.
        TypeError: it is no str or URL (a URL of httpx is taken).
    """

    __slots__ = ("fragment", "host", "path", "port", "query", "scheme", "userinfo")

    def __init__(self, url: str | URL, params: Params | None = None) -> None:
        if not isinstance(url, (str, URL)) and type(url).__module__.partition(".")[0] != "httpx":
            raise TypeError(f"the URL is of type {type(url).__name__}; give a str or URL")
        try:
            parts = urlsplit(str(url))
            port = parts.port
        except ValueError as error:
            raise _invalid(str(url), str(error)) from error
        self.scheme = parts.scheme.lower()
        if self.scheme not in ("http", "https", ""):
            raise UnsupportedProtocol(f"URL {str(url)!r}: the scheme is {self.scheme!r}; use 'http' or 'https'")
        self.userinfo, _, _ = parts.netloc.rpartition("@")
        self.host = _host(parts.hostname or "", str(url))
        if self.scheme and not self.host:
            raise _invalid(str(url), "it has no host")
        self.port = DEFAULT_PORTS.get(self.scheme, 0) if port is None else port
        self.path = _quoted(parts.path, _PATH_SAFE)
        if not self.path and self.host:
            self.path = "/"
        query = _quoted(parts.query, _QUERY_SAFE)
        if params is not None:
            added = encode_params(params)
            query = f"{query}&{added}" if query and added else query or added
        self.query = query
        self.fragment = _quoted(parts.fragment, _QUERY_SAFE)

    @property
    def is_absolute(self) -> bool:
        return bool(self.scheme)

    @property
    def target(self) -> bytes:
        """What goes into ``:path``."""
        return (f"{self.path}?{self.query}" if self.query else self.path).encode("ascii")

    raw_path = target

    @property
    def netloc(self) -> str:
        """Host and, where it is not the scheme's own, port."""
        return Origin(self.scheme, self.host, self.port).authority

    def origin(self, tls: int = 0) -> Origin:
        """What a connection is found by."""
        return Origin(self.scheme, self.host, self.port, tls)

    def join(self, url: str | URL) -> URL:
        """``url`` completed by this one (RFC 3986 section 5)."""
        return URL(urljoin(str(self), str(url)))

    def copy_merge_params(self, params: Params) -> URL:
        """This URL with ``params`` added to its query."""
        return URL(self, params)

    def __str__(self) -> str:
        text = f"{self.path}?{self.query}" if self.query else self.path
        if self.fragment:
            text = f"{text}#{self.fragment}"
        if not self.host:
            return text
        userinfo = f"{self.userinfo}@" if self.userinfo else ""
        return f"{self.scheme}://{userinfo}{self.netloc}{text}"

    def __repr__(self) -> str:
        text = str(self)
        if self.userinfo:
            text = text.replace(f"{self.userinfo}@", f"{self.userinfo.partition(':')[0]}:[secure]@", 1)
        return f"URL({text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (str, URL)) and str(self) == str(URL(other))

    def __hash__(self) -> int:
        return hash(str(self))


def _host(host: str, url: str) -> str:
    if host and not host.isascii():
        # IDNA 2008 with the mapping that browsers use (UTS 46, not transitional): faß.de is not fass.de.
        if len(host) > _HOST_CHARACTERS_MAX:
            raise _invalid(url, f"its host has {len(host)} characters; a domain name has at most {_HOST_CHARACTERS_MAX}")
        try:
            host = idna.encode(host, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise _invalid(url, f"host {host!r} is no domain name ({error})") from error
    if host and not _HOST.fullmatch(host):
        raise _invalid(url, f"host {host!r} has characters that no host has")
    return host.lower()


def _invalid(url: str, why: str) -> InvalidURL:
    return InvalidURL(f"invalid URL {url!r}: {why}")
