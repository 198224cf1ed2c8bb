"""How long each step of a request may take."""

from __future__ import annotations

from typing import Any

__all__ = ["DEFAULT_TIMEOUT", "USE_CLIENT_DEFAULT", "Timeout"]


class _Default:
    """Marks a timeout that was not given."""

    def __repr__(self) -> str:
        return "USE_CLIENT_DEFAULT"

    def __bool__(self) -> bool:
        return False


USE_CLIENT_DEFAULT: Any = _Default()


class Timeout:
    """Limits of one request, in seconds; None means no limit.  Immutable.

    Args:
        timeout: the limit of every step that is not given by name (never of ``total``).
        connect: until a connection is ready, name lookup and TLS included.
        read: between two arrivals of something of the response.
        write: in which the peer takes some of the request body.
        pool: waiting for a free stream.
        total: the whole exchange, from the call to the end of the body.

    Raises:
        ValueError: a limit is negative.
    """

    __slots__ = ("connect", "pool", "read", "total", "write")

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
        given = {"connect": connect, "read": read, "write": write, "pool": pool, "total": total}
        for name, value in given.items():
            if value is USE_CLIENT_DEFAULT:
                value = self._fallback(name, timeout)
            if value is not None and value < 0:
                raise ValueError(f"Timeout.{name} is {value}; a limit is at least 0, or None where there is none")
            object.__setattr__(self, name, value)

    @staticmethod
    def _fallback(name: str, timeout: Any) -> float | None:
        if isinstance(timeout, Timeout):
            return getattr(timeout, name)  # type: ignore[no-any-return]
        if timeout is USE_CLIENT_DEFAULT:
            return _DEFAULTS[name]
        return None if name == "total" or timeout is None else float(timeout)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Timeout is immutable: make another one to change {name}")

    def _values(self) -> tuple[float | None, ...]:
        return self.connect, self.read, self.write, self.pool, self.total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeout) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Timeout({', '.join(f'{name}={getattr(self, name)}' for name in ('connect', 'read', 'write', 'pool', 'total'))})"

    # Declared for type checkers; the values are in the slots.
    connect: float | None
    read: float | None
    write: float | None
    pool: float | None
    total: float | None


_DEFAULTS: dict[str, float | None] = {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": 5.0, "total": None}

DEFAULT_TIMEOUT = Timeout()


def timeout_of(timeout: Any) -> Timeout:
    """What users may write for a timeout, as a ``Timeout``."""
    return timeout if isinstance(timeout, Timeout) else Timeout(timeout)
