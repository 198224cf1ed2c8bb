"""The dashboards, one module for each layer; a panel for every instrument of the catalogue."""

from __future__ import annotations

from ..model import Dashboard
from . import connections, frames, hpack, io, memory, overview, pool, requests, runtime, streams, tls

__all__ = ["DASHBOARDS"]

DASHBOARDS: tuple[Dashboard, ...] = (
    overview.DASHBOARD,
    requests.DASHBOARD,
    connections.DASHBOARD,
    streams.DASHBOARD,
    frames.DASHBOARD,
    hpack.DASHBOARD,
    memory.DASHBOARD,
    pool.DASHBOARD,
    tls.DASHBOARD,
    io.DASHBOARD,
    runtime.RUNTIME,
    runtime.TELEMETRY,
)
