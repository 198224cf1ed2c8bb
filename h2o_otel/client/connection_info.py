"""What a user may know of the connection that a response came on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["ConnectionInfo", "connection_info"]


class ConnectionInfo(NamedTuple):
    """The connection of one response.

    Attributes:
        id: number of the connection in this process; log events and spans have the same.
        reused: the connection was open before the request was made.
        protocol: "HTTP/2".
        peer: address and port of the server, the path of a Unix socket, or None where the transport names none.
        tls_version: "1.3" or "1.2"; None in cleartext.
        tls_resumed: the TLS handshake resumed an earlier session.
    """

    id: int
    reused: bool
    protocol: str
    peer: tuple[str, int] | str | None
    tls_version: str | None
    tls_resumed: bool


def connection_info(exchange: Exchange) -> ConnectionInfo:
    """Of the connection that ``exchange`` ran on."""
    protocol = exchange.protocol
    driver = protocol.driver
    # An engine that runs without a transport, as in tests, has no driver.
    tls, name = (None, None) if driver is None else (driver.tls, driver.peername)
    # IPv6 addresses have two numbers more, which say nothing to a user; a Unix socket's name may be empty.
    peer = (str(name[0]), int(name[1])) if isinstance(name, tuple) else (name or None)
    return ConnectionInfo(
        id=int(protocol.id),
        reused=not exchange.fresh,
        protocol="HTTP/2",
        peer=peer,
        tls_version=None if tls is None else tls.version,
        tls_resumed=tls is not None and tls.session_reused,
    )
