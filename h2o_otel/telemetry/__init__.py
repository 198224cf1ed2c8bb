"""Telemetry: one catalogue; metrics, spans and log events made from it; OpenTelemetry and Prometheus as ways out.

Names are loaded on first use, so that a process with telemetry off never imports the SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .catalogue import EVENTS, INSTRUMENTS, SPANS
    from .logs import BoundLog, EventLog
    from .metrics import Producer
    from .providers import reader_class
    from .requests import ClientRequestMetrics, ServerRequestMetrics
    from .setup import Telemetry, TelemetryError, configure, default
    from .spans import ConnectionSpan, RequestSpan, Tracing

__all__ = [
    "EVENTS",
    "INSTRUMENTS",
    "SPANS",
    "BoundLog",
    "ClientRequestMetrics",
    "ConnectionSpan",
    "EventLog",
    "Producer",
    "RequestSpan",
    "ServerRequestMetrics",
    "Telemetry",
    "TelemetryError",
    "Tracing",
    "configure",
    "default",
    "reader_class",
]

_HOMES = {
    "EVENTS": "catalogue",
    "INSTRUMENTS": "catalogue",
    "SPANS": "catalogue",
    "BoundLog": "logs",
    "EventLog": "logs",
    "Producer": "metrics",
    "ClientRequestMetrics": "requests",
    "ServerRequestMetrics": "requests",
    "Telemetry": "setup",
    "TelemetryError": "setup",
    "configure": "setup",
    "default": "setup",
    "reader_class": "providers",
    "ConnectionSpan": "spans",
    "RequestSpan": "spans",
    "Tracing": "spans",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value
