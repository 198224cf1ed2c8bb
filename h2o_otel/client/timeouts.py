"""How long each step of a request may take."""

from __future__ import annotations

import math
from typing import Any

from .._signature import SourceSignature

__all__ = ["DEFAULT_TIMEOUT", "USE_CLIENT_DEFAULT", "Timeout"]


class _Default:
    """Marks a timeout that was not given."""

    def __repr__(self) -> str:
        return "USE_CLIENT_DEFAULT"

    def __bool__(self) -> bool:
        return False


USE_CLIENT_DEFAULT: Any = _Default()


class Timeout:
    """Limits of one request, in seconds; None means no limit.  Make another one to change it.

    Args:
        timeout: the limit of every step that is not given by name (never of ``total``).
        connect: until a connection is ready, name lookup and TLS included.
        read: between two arrivals of something of the response.
        write: in which the peer takes some of the request body.
        pool: waiting for a free stream.
        total: the whole exchange, from the call to the end of the body.

    Raises:
        ValueError: a limit is negative or not a number.
        TypeError: a limit is of another type than int, float and None.

    Attributes:
        read_s, total_s: the limits as numbers, infinite where there is none.
    """

    __slots__ = ("connect", "pool", "read", "read_s", "total", "total_s", "write")

    __signature__ = SourceSignature()

    def __init__(
        self,
        timeout: float | Timeout | None = USE_CLIENT_DEFAULT,
        *,
        connect: float | None = USE_CLIENT_DEFAULT,
        read: float | None = USE_CLIENT_DEFAULT,
        write: float | None = USE_CLIENT_DEFAULT,
        pool: float | None = USE_CLIENT_DEFAULT,
        total: float | None = USE_CLIENT_DEFAULT,
    ) -> None:
        self.connect = _limit("connect", connect, timeout)
        self.read = _limit("read", read, timeout)
        self.write = _limit("write", write, timeout)
        self.pool = _limit("pool", pool, timeout)
        self.total = _limit("total", total, timeout)
        self.read_s = math.inf if self.read is None else self.read
        self.total_s = math.inf if self.total is None else self.total

    def _values(self) -> tuple[float | None, ...]:
        return self.connect, self.read, self.write, self.pool, self.total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeout) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Timeout({', '.join(f'{name}={getattr(self, name)}' for name in ('connect', 'read', 'write', 'pool', 'total'))})"


_DEFAULTS: dict[str, float | None] = {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": 5.0, "total": None}


def _limit(name: str, value: Any, fallback: Any) -> float | None:
    """One limit: as given by name, or what ``fallback`` makes of it."""
    if value is USE_CLIENT_DEFAULT:
        if fallback is USE_CLIENT_DEFAULT:
            value = _DEFAULTS[name]
        elif isinstance(fallback, Timeout):
            value = getattr(fallback, name)
        else:
            value = None if name == "total" else fallback
    if value is None:
        return None
    if not isinstance(value, (int, float)):
        raise TypeError(f"Timeout.{name} is {value!r} of type {type(value).__name__}; give seconds, or None for no limit")
    if not value >= 0:
        raise ValueError(f"Timeout.{name} is {value}; a limit is at least 0, or None where there is none")
    return float(value)


DEFAULT_TIMEOUT = Timeout()


def timeout_of(timeout: Any) -> Timeout:
    """What users may write for a timeout, a ``Timeout`` of httpx included, as a ``Timeout``.

    Raises:
        TypeError: it is of another type.
        ValueError: it is negative or not a number.
    """
    if isinstance(timeout, Timeout):
        return timeout
    if timeout is None or timeout is USE_CLIENT_DEFAULT or isinstance(timeout, (int, float)):
        return Timeout(timeout)
    if type(timeout).__module__.partition(".")[0] == "httpx" and type(timeout).__name__ == "Timeout":
        return Timeout(connect=timeout.connect, read=timeout.read, write=timeout.write, pool=timeout.pool)
    raise TypeError(f"timeout is {timeout!r} of type {type(timeout).__name__}; give seconds, a Timeout, or None for no limit")
