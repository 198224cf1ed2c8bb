"""What proxies say about the client of a request: ``X-Forwarded-For`` and ``X-Forwarded-Proto``, believed only where they are trusted.

Parsing is bounded by ``ServerLimits.forwarded_hops_max`` and linear in the octets that it looks at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["DEFAULT_ALLOWED", "Forwarded", "Trust", "allowed_by_environment"]

DEFAULT_ALLOWED = "127.0.0.1,::1"
_VARIABLE = "FORWARDED_ALLOW_IPS"
_FOR = b"x-forwarded-for"
_PROTO = b"x-forwarded-proto"
# The longest address with brackets, zone and port; whatever is longer is none.
_ADDRESS_MAX = 80
_PROTO_MAX = 512
_SCHEMES = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def allowed_by_environment(environment: Mapping[str, str] = os.environ) -> str:
    """What is trusted where nothing is configured: ``FORWARDED_ALLOW_IPS``, as uvicorn and gunicorn read it, or loopback."""
    return environment.get(_VARIABLE, DEFAULT_ALLOWED)


class Forwarded:
    """What trusted proxies say about one request.

    Attributes:
        client: address and port (0 where it is unknown) of the client, None where nothing credible was said.
        scheme: "http" or "https", None where it was not said.
    """

    __slots__ = ("client", "scheme")

    def __init__(self, client: tuple[str, int] | None, scheme: str | None) -> None:
        self.client = client
        self.scheme = scheme


class Trust:
    """Whose forwarded fields count.

    Args:
        allowed: addresses and networks, with commas; ``*`` for everybody, ``unix`` for every Unix socket or the path of one.
        hops_max: ``ServerLimits.forwarded_hops_max``.

    Raises:
        ValueError: an entry is none of these.
    """

    def __init__(self, allowed: str, hops_max: int = 32) -> None:
        self._everybody = False
        self._every_socket = False
        self._paths: set[str] = set()
        self._addresses: set[Address] = set()
        self._networks: list[Network] = []
        self._hops_max = hops_max
        for entry in filter(None, (part.strip() for part in allowed.split(","))):
            self._add(entry)

    def _add(self, entry: str) -> None:
        if entry == "*":
            self._everybody = True
        elif entry in ("unix", "unix:"):
            self._every_socket = True
        elif entry.removeprefix("unix:").startswith(("/", "@")):
            self._paths.add(entry.removeprefix("unix:"))
        else:
            try:
                if "/" in entry:
                    self._networks.append(ip_network(entry, strict=False))
                else:
                    self._addresses.add(_plain(ip_address(entry)))
            except ValueError:
                raise ValueError(
                    f"{entry!r} is no address, network (10.0.0.0/8), path of a Unix socket, 'unix' for all of these, or '*'"
                ) from None

    def connection(self, peername: object, sockname: object) -> bool:
        """Whether the other end of a socket is trusted."""
        if self._everybody:
            return True
        if isinstance(peername, tuple) and peername:
            address = _parse(str(peername[0]).encode("ascii", "replace"))
            return address is not None and self._trusts(address[0])
        path = _path(sockname)
        return path is not None and (self._every_socket or path in self._paths)

    def _trusts(self, address: Address) -> bool:
        return self._everybody or address in self._addresses or any(address in network for network in self._networks)

    def read(self, fields: Iterable[tuple[bytes, bytes]]) -> Forwarded:
        """What ``fields`` say, of a request from a connection that is trusted."""
        chains: list[bytes] = []
        schemes: list[bytes] = []
        for name, value in fields:
            if name == _FOR:
                chains.append(value)
            elif name == _PROTO:
                schemes.append(value)
        client, hop = self._first(chains) if self._everybody else self._walk(chains)
        return Forwarded(client, _scheme(schemes, hop) if schemes else None)

    def _first(self, chains: list[bytes]) -> tuple[tuple[str, int] | None, int]:
        """Everybody is trusted: the client is who is named first."""
        found = _parse(chains[0].partition(b",")[0]) if chains else None
        return (None if found is None else (str(found[0]), found[1])), self._hops_max

    def _walk(self, chains: list[bytes]) -> tuple[tuple[str, int] | None, int]:
        """The right-most address that is not trusted: each proxy appends the one that it sees; left of that anybody may have written.

        Returns:
            The last address that somebody trusted has named, and how many hops of trusted proxies lie behind it.
        """
        client: tuple[str, int] | None = None
        hop = 0
        for chain in reversed(chains):
            end = len(chain)
            while end >= 0:
                comma = chain.rfind(b",", 0, end)
                found = _parse(chain[comma + 1 : end])
                if found is None:
                    return client, max(hop - 1, 0)
                client = (str(found[0]), found[1])
                if not self._trusts(found[0]) or hop + 1 >= self._hops_max:
                    return client, hop
                hop += 1
                end = comma
        return client, max(hop - 1, 0)


def _parse(text: bytes) -> tuple[Address, int] | None:
    """An address as proxies write it: plain, with a port, in brackets; None where it is none."""
    text = text.strip(b' \t"')
    if not 0 < len(text) <= _ADDRESS_MAX:
        return None
    host, port = text, b""
    if text.startswith(b"["):
        host, _, port = text[1:].partition(b"]")
        port = port.removeprefix(b":")
    elif text.count(b":") == 1:
        host, _, port = text.partition(b":")
    try:
        return _plain(ip_address(host.decode("ascii"))), int(port) if port.isdigit() and len(port) <= 5 else 0
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """A socket of both families names IPv4 addresses as ``::ffff:192.0.2.1``."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _path(sockname: object) -> str | None:
    """The path of a Unix socket; abstract ones begin with ``@``."""
    if isinstance(sockname, bytes):
        sockname = os.fsdecode(sockname)
    if not isinstance(sockname, str):
        return None
    return f"@{sockname[1:]}" if sockname.startswith("\0") else sockname


def _scheme(values: list[bytes], hop: int) -> str | None:
    """What the proxy said that named the client: of several values the one in the same place, counted from the right."""
    parts = b",".join(values[-_PROTO_MAX:])[-_PROTO_MAX:].split(b",")
    part = parts[-1 - hop] if hop < len(parts) else parts[0]
    return _SCHEMES.get(part.strip(b" \t").lower())
