"""What the log says when the server itself ends a stream or refuses a request: who, why, which limit, and how to change it."""

from __future__ import annotations

from typing import Any

from ..limits import ServerLimits
from ..rules import bound_of
from ..streams.stream import Stream

__all__ = ["Refusals", "ended_early", "limit_fields", "request_fields"]

# One line a second of each connection; the log has a bound for all of them together.
_INTERVAL_S = 1.0
# Reasons that are no rules of the engine, and their limits.
_OTHER_BOUNDS = {
    "streams_held": "streams_held_max",
    "memory_refused": "memory_process_bytes_max",
    "connections_max": "connections_max",
    "connections_per_address_max": "connections_per_address_max",
}


def limit_fields(rule: str, limits: ServerLimits, limit: Any = None, actual: Any = None) -> dict[str, Any]:
    """The limit that ``rule`` holds, and how to change it; empty where it is the protocol's.

    Args:
        rule: token of the rule.
        limits: in force.
        limit: the value that was passed; by default that of ``limits``.
        actual: what was found.
    """
    if rule == "limit_concurrency":
        return {"h2o.limit.name": rule, "h2o.limit.value": limit, "h2o.hint": "raise it with --limit-concurrency N"}
    name = bound_of(rule) or _OTHER_BOUNDS.get(rule, "")
    if not name:
        return {}
    if rule == "send_stalled" and limit == limits.send_stall_pressure_s != limits.send_stall_timeout_s:
        name = "send_stall_pressure_s"
    fields: dict[str, Any] = {"h2o.limit.name": name}
    value = getattr(limits, name) if limit is None else limit
    if value is not None:
        fields["h2o.limit.value"] = value
    if actual is not None:
        fields["h2o.limit.actual"] = round(actual, 3)
    fields["h2o.hint"] = f"change it with --limit {name}=VALUE, H2O_OTEL_LIMIT_{name.upper()} or ServerLimits({name}=...)"
    return fields


def request_fields(stream: Stream, route: str | None, client: Any) -> dict[str, Any]:
    """Which request it was, and of which client, who is another than the peer behind a proxy."""
    fields: dict[str, Any] = {
        "http.request.method": (stream.method or b"").decode("ascii", "replace"),
        "url.path": (stream.path or b"").partition(b"?")[0].decode("utf-8", "replace"),
    }
    if route is not None:
        fields["http.route"] = route
    if client is not None:
        fields["client.address"] = client[0]
    return fields


def ended_early(error_type: str | None, route: str | None) -> dict[str, Any]:
    """What the access log has of a request that failed, beside the usual: why, and which route."""
    fields: dict[str, Any] = {"error.type": error_type or "disconnected"}
    if route is not None:
        fields["http.route"] = route
    return fields


class Refusals:
    """Which of the refusals on one connection have a line of their own; the others are counted in the next one."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._unsaid = 0

    def take(self, now: float) -> int:
        """How many were not said before this one; -1 when this one is not said, either."""
        if now < self._next_at:
            self._unsaid += 1
            return -1
        self._next_at = now + _INTERVAL_S
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid
