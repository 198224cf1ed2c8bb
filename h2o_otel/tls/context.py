"""TLS contexts that meet RFC 9113 section 9.2, for clients and servers, and the factory of record pumps.

``ssl_module`` is the seam for another TLS library with the interface of the standard one.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import counters
from ..counters import Counters
from .pump import TLSPump

__all__ = ["ALPN", "ClientTLS", "ServerTLS", "client_context", "server_context"]

ALPN = ("h2", "http/1.1")
# RFC 9113 section 9.2.2 and appendix A: ephemeral key exchange with AEAD only.  Level 2 refuses
# RSA keys below 2048 bits and SHA-1 signatures, whatever the system's default is.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"

Location = str | os.PathLike[str]
Password = str | bytes | None


def _base(protocol: int, ssl_module: Any, alpn: Sequence[str]) -> Any:
    context = ssl_module.SSLContext(protocol)
    context.minimum_version = ssl_module.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    for option in ("OP_NO_COMPRESSION", "OP_NO_RENEGOTIATION", "OP_SINGLE_ECDH_USE"):
        context.options |= getattr(ssl_module, option, 0)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    keys = os.environ.get("SSLKEYLOGFILE")
    if keys and not sys.flags.ignore_environment:
        context.keylog_filename = keys
    return context


def _load_trust(context: Any, ca: Location | bytes | None) -> None:
    """A PEM file, a folder of hashed certificates, or PEM or DER octets."""
    if isinstance(ca, bytes):
        context.load_verify_locations(cadata=ca.decode("ascii") if ca.lstrip().startswith(b"-----") else ca)
    elif ca is not None:
        path = Path(ca)
        if not path.exists():
            raise FileNotFoundError(f"CA certificates: {path} does not exist")
        context.load_verify_locations(**({"capath": str(path)} if path.is_dir() else {"cafile": str(path)}))


def _load_certificate(context: Any, certificate: Location, key: Location | None, password: Password) -> None:
    try:
        context.load_cert_chain(str(certificate), None if key is None else str(key), password)
    except OSError as error:
        names = f"{certificate}" + (f" and {key}" if key is not None else "")
        raise type(error)(error.errno, f"certificate chain and key from {names}: {error.strerror or error}") from error


def client_context(
    *,
    ca: Location | bytes | None = None,
    certificate: Location | None = None,
    key: Location | None = None,
    password: Password = None,
    crl: Location | None = None,
    verify: bool = True,
    alpn: Sequence[str] = ALPN,
    ssl_module: Any = ssl,
) -> Any:
    """A client's context.

    Args:
        ca: whom to trust: a PEM file, a folder, or octets; the system's certificates by default.
        certificate, key, password: what to show a server that asks.
        crl: a PEM file of revocation lists; the server's certificate is checked against it.
        verify: False accepts every certificate, for tests only.
        alpn: protocols to offer, best first.
        ssl_module: ``ssl`` or a module with the same interface.

    Raises:
        OSError: a file is missing or unreadable, or (``ssl.SSLError``) has no usable content.
    """
    context = _base(ssl_module.PROTOCOL_TLS_CLIENT, ssl_module, alpn)
    context.hostname_checks_common_name = False
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl_module.CERT_NONE
    elif ca is None:
        context.load_default_certs(ssl_module.Purpose.SERVER_AUTH)
    _load_trust(context, ca)
    if crl is not None:
        context.load_verify_locations(cafile=str(crl))
        context.verify_flags |= ssl_module.VERIFY_CRL_CHECK_LEAF
    if certificate is not None:
        _load_certificate(context, certificate, key, password)
    return context


def server_context(
    certificate: Location,
    key: Location | None = None,
    *,
    password: Password = None,
    client_ca: Location | bytes | None = None,
    client_certificate_required: bool = True,
    alpn: Sequence[str] = ALPN,
    ssl_module: Any = ssl,
) -> Any:
    """A server's context.

    Args:
        certificate, key, password: PEM files; the key may be in the certificate's file.
        client_ca: whose certificates clients may show; without it they are not asked.
        client_certificate_required: refuse clients that show none; only with ``client_ca``.
        alpn: protocols to accept, best first.
        ssl_module: ``ssl`` or a module with the same interface.

    Raises:
        OSError: a file is missing or unreadable, or (``ssl.SSLError``) has no usable content.
    """
    context = _base(ssl_module.PROTOCOL_TLS_SERVER, ssl_module, alpn)
    context.options |= getattr(ssl_module, "OP_CIPHER_SERVER_PREFERENCE", 0)
    _load_certificate(context, certificate, key, password)
    if client_ca is not None:
        _load_trust(context, client_ca)
        context.verify_mode = ssl_module.CERT_REQUIRED if client_certificate_required else ssl_module.CERT_OPTIONAL
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTLS:
    """How a client makes TLS connections; ``pump()`` begins one.

    Attributes:
        context: see ``client_context``.
        alpn_required: protocols of which the server must agree to one, such as ``("h2",)``; empty for any outcome.
        ssl_module: the module that made the context.
    """

    context: Any = field(default_factory=client_context)
    alpn_required: tuple[str, ...] = ()
    ssl_module: Any = ssl

    def pump(self, server_hostname: str, *, session: Any = None, block: Counters | None = None) -> TLSPump:
        """The record pump of a connection to ``server_hostname`` (a DNS name or an address)."""
        counters.feeds("tls")
        return TLSPump(
            self.context,
            server_side=False,
            # A trailing dot is a matter of resolving; certificates and SNI are without it.
            server_hostname=server_hostname.rstrip(".").strip("[]"),
            alpn_required=self.alpn_required,
            session=session,
            ssl_module=self.ssl_module,
            block=block,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLS:
    """How a server makes TLS connections; ``pump()`` begins one.

    Attributes:
        context: see ``server_context``.
        alpn_required: protocols of which one must be agreed on; empty for any outcome.
        ssl_module: the module that made the context.
    """

    context: Any
    alpn_required: tuple[str, ...] = ()
    ssl_module: Any = ssl

    def pump(self, *, block: Counters | None = None) -> TLSPump:
        """The record pump of one accepted connection."""
        counters.feeds("tls")
        return TLSPump(self.context, server_side=True, alpn_required=self.alpn_required, ssl_module=self.ssl_module, block=block)
