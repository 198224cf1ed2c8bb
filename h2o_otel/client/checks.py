"""Arguments of a client that are of a wrong type are refused where they are given, not at the first request."""

from __future__ import annotations

import os

from ..tls.context import ClientTLS

__all__ = ["check_type", "check_verify"]


def check_type(name: str, value: object, kind: type) -> None:
    """
    Raises:
        TypeError: the argument ``name`` is no ``kind``.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r:.100} of type {type(value).__name__}; give h2o_otel.{kind.__name__}(...)")


def check_verify(verify: object) -> None:
    """
    Raises:
        TypeError: ``verify`` is nothing that certificates can be checked with.
    """
    # A context of another TLS library has the methods of ssl.SSLContext, not its type.
    if isinstance(verify, (bool, str, bytes, os.PathLike, ClientTLS)) or hasattr(verify, "set_alpn_protocols"):
        return
    wanted = "True, False, a file or folder of certificates, or an ssl.SSLContext"
    raise TypeError(f"verify is {verify!r:.100} of type {type(verify).__name__}; give {wanted}")
