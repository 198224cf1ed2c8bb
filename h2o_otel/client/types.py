"""Types of the arguments that client methods take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from .headers import Headers
from .timeouts import Timeout

__all__ = ["HeaderTypes", "TimeoutLike", "TimeoutTypes"]


class TimeoutLike(Protocol):
    """``httpx.Timeout``, which is taken without being a dependency."""

    connect: float | None
    read: float | None
    write: float | None
    pool: float | None


HeaderTypes: TypeAlias = (
    Headers | Mapping[str, str] | Mapping[str, bytes] | Mapping[bytes, bytes] | Iterable[tuple[str | bytes, str | bytes]]
)
TimeoutTypes: TypeAlias = Timeout | TimeoutLike | float | None
