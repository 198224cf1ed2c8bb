"""Types of the arguments that client methods take."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from ..limits import Limits
from ..tls.context import ClientTLS
from .headers import Headers
from .timeouts import Timeout

__all__ = [
    "CertTypes",
    "FileLike",
    "HeaderTypes",
    "LimitsTypes",
    "ParamTypes",
    "Primitive",
    "RequestContent",
    "RequestData",
    "TimeoutLike",
    "TimeoutTypes",
    "VerifyTypes",
]


class TimeoutLike(Protocol):
    """``httpx.Timeout``, which is taken without being a dependency."""

    connect: float | None
    read: float | None
    write: float | None
    pool: float | None


class LimitsLike(Protocol):
    """``httpx.Limits``, which is taken without being a dependency."""

    max_connections: int | None
    max_keepalive_connections: int | None
    keepalive_expiry: float | None


class FileLike(Protocol):
    """A file that is open for reading bytes."""

    def read(self, size: int, /) -> bytes: ...


HeaderTypes: TypeAlias = (
    Headers | Mapping[str, str] | Mapping[str, bytes] | Mapping[bytes, bytes] | Iterable[tuple[str | bytes, str | bytes]]
)
LimitsTypes: TypeAlias = Limits | LimitsLike
TimeoutTypes: TypeAlias = Timeout | TimeoutLike | float | None
# What a parameter of a query, or a field of a form, may be.
Primitive: TypeAlias = str | int | float | bool | None
FormFields: TypeAlias = Mapping[str, Primitive | Sequence[Primitive]] | Sequence[tuple[str, Primitive | Sequence[Primitive]]]
ParamTypes: TypeAlias = FormFields | str | bytes
RequestContent: TypeAlias = str | bytes | bytearray | memoryview | FileLike | Iterable[bytes] | AsyncIterable[bytes]
RequestData: TypeAlias = (
    Mapping[str, Primitive | Sequence[Primitive]] | Sequence[tuple[str, Primitive | Sequence[Primitive]]] | RequestContent
)
VerifyTypes: TypeAlias = bool | str | os.PathLike[str] | ssl.SSLContext | ClientTLS
# A file with certificate and key, or a tuple of certificate, key and password.
CertTypes: TypeAlias = str | os.PathLike[str] | tuple[str | os.PathLike[str] | None, ...]
