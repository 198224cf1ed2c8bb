"""What one connection is built with."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import counters
from ..limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits
from ..tuning import Tuning

__all__ = ["ConnectionConfig", "client_config", "server_config"]

DEFAULT_TUNING = Tuning()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
    """Role and bounds of a connection; the settings it announces follow from them.

    Attributes:
        role: ``counters.CLIENT`` or ``counters.SERVER``.
        limits: every bound.
        tuning: which optimisations are on.
        enable_push: a client announces that it takes PUSH_PROMISE (RFC 9113 section 8.4).
        enable_connect_protocol: a server announces extended CONNECT (RFC 8441).
        require_authority: a request with neither ``:authority`` nor ``host`` is malformed; otherwise it is accepted and counted.
    """

    role: int
    limits: EngineLimits = field(default=SERVER_LIMITS)
    tuning: Tuning = field(default=DEFAULT_TUNING)
    enable_push: bool = False
    enable_connect_protocol: bool = False
    require_authority: bool = False


def client_config(limits: EngineLimits = CLIENT_LIMITS, *, tuning: Tuning = DEFAULT_TUNING, enable_push: bool = False) -> ConnectionConfig:
    """A client's configuration."""
    # A promised request has an authority, for which its server answers (RFC 9113 section 8.4).
    return ConnectionConfig(role=counters.CLIENT, limits=limits, tuning=tuning, enable_push=enable_push, require_authority=True)


def server_config(
    limits: EngineLimits = SERVER_LIMITS,
    *,
    tuning: Tuning = DEFAULT_TUNING,
    enable_connect_protocol: bool = True,
    require_authority: bool = False,
) -> ConnectionConfig:
    """A server's configuration."""
    return ConnectionConfig(
        role=counters.SERVER,
        limits=limits,
        tuning=tuning,
        enable_connect_protocol=enable_connect_protocol,
        require_authority=require_authority,
    )
