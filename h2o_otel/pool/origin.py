"""What connections are kept by: two requests may share one only when all of this is equal."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DEFAULT_PORTS", "Origin"]

DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Key of the pool: never share a connection across trust (a request for https on a connection made for http).

    Attributes:
        scheme: "http" or "https".
        host: as in the URL, in lower case; IPv6 addresses without brackets.
        port: always explicit.
        tls: identity of the TLS configuration, 0 for none.
        proxy: URL of the proxy, "" for none.
        alpn: protocols offered, most wanted first.
    """

    scheme: str
    host: str
    port: int
    tls: int = 0
    proxy: str = ""
    alpn: tuple[str, ...] = ("h2",)

    @property
    def authority(self) -> str:
        """As in ``:authority``: brackets around IPv6, no port where it is the scheme's own (RFC 9113 section 8.3.1)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"
