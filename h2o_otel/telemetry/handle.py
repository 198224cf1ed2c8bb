"""The handle that ``configure`` returns: instruments for clients and servers, and shutdown."""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from ..limits import SERVER_LIMITS
from . import ending, lines
from .requests import ClientRequestMetrics, ServerRequestMetrics

__all__ = ["Telemetry", "TelemetryError"]

_log = logging.getLogger("h2o_otel.telemetry")


class TelemetryError(ValueError):
    """A telemetry setting is wrong, or needs an extra that is not installed."""


class Telemetry:
    """Gives clients and servers their instruments, and shuts telemetry down.

    Attributes:
        level: "off", "metrics", "traces" or "detail".
        tracing: makes spans; None below level "traces".
        events: the log events.
        access_log: whether servers log one line per request.
        producer: of our metrics; None at level "off".
        readers: the metric readers that were made here.
        prometheus: the scrape endpoint, or None.
        span_exporter, log_exporter: the in-memory ones, or None.
        excluded: what the URLs of requests without spans and metrics match, or None.
    """

    def __init__(self, level: str, *, access_log: bool = False, body_sizes: bool = False, origins_max: int = 64) -> None:
        self.level = level
        self.access_log = access_log
        self.tracing: Any = None
        self.events: Any = None
        self.producer: Any = None
        self.readers: list[Any] = []
        self.prometheus: Any = None
        self.span_exporter: Any = None
        self.log_exporter: Any = None
        self.tracer_provider: Any = None
        self.meter_provider: Any = None
        self.logger_provider: Any = None
        self.log_handler: Any = None
        self.excluded: re.Pattern[str] | None = None
        self._body_sizes = body_sizes
        self._origins_max = origins_max
        self._owned: list[Any] = []
        self._bridges: list[Any] = []
        self._closers: list[Callable[[], object]] = []
        self._closed = False

    @property
    def enabled(self) -> bool:
        return self.level != "off"

    @property
    def closed(self) -> bool:
        return self._closed

    def widen(self, access_log: bool, body_sizes: bool, origins_max: int) -> None:
        """Take over what another call of ``configure`` asks for; nothing that was on is turned off."""
        self.access_log = self.access_log or access_log
        self._body_sizes = self._body_sizes or body_sizes
        self._origins_max = max(self._origins_max, origins_max)

    def bridged(self, provider: Any) -> None:
        """Show our instruments on ``provider``, too."""
        from . import _sdk_providers, bridge

        if not self._closed and self.enabled and not _sdk_providers.is_shut_down(provider):
            made = bridge.attach(provider, self)
            if made not in self._bridges:
                self._bridges.append(made)

    def server_requests(self, protocol_version: str = "2") -> ServerRequestMetrics | None:
        """Request metrics of a server for the calling thread's event loop; None at level "off"."""
        return ServerRequestMetrics(protocol_version, None, self._body_sizes) if self.enabled else None

    def client_requests(self, server_address: str, server_port: int, protocol_version: str = "2") -> ClientRequestMetrics | None:
        """Request metrics of a client to one origin for the calling thread's event loop; None at level "off"."""
        if not self.enabled:
            return None
        return ClientRequestMetrics(server_address, server_port, protocol_version, None, self._origins_max)

    # -- what tests and the built-in views read

    def spans(self) -> list[Any]:
        """Finished spans of the in-memory exporter."""
        return [] if self.span_exporter is None else list(self.span_exporter.get_finished_spans())

    def logs(self) -> list[Any]:
        """Log records of the in-memory exporter."""
        return [] if self.log_exporter is None else [item.log_record for item in self.log_exporter.get_finished_logs()]

    def metrics(self) -> dict[str, Any]:
        """Points of the in-memory reader by instrument name, collected now."""
        found: dict[str, Any] = {}
        for reader in self.readers:
            if hasattr(reader, "get_metrics_data"):
                data = reader.get_metrics_data()
                for resource in data.resource_metrics if data is not None else ():
                    for scope in resource.scope_metrics:
                        found.update({metric.name: metric for metric in scope.metrics})
        return found

    def force_flush(self, timeout_s: float = 5.0) -> None:
        """Export what is waiting; waits at most ``timeout_s`` and never raises."""
        lines.flush(timeout_s)
        ending.flush_all([functools.partial(provider.force_flush, int(timeout_s * 1000)) for provider in self._owned], timeout_s)

    def shutdown(self, timeout_s: float = SERVER_LIMITS.telemetry_shutdown_s) -> None:
        """Export what is waiting and stop; waits at most ``timeout_s``, never raises, and may be called twice.

        A process that ends does it by itself.
        """
        if self._closed:
            return
        self._closed = True
        ending.forget(self)
        began = time.monotonic()
        # Access lines reach the exporters through the queue.
        lines.flush(min(timeout_s, 1.0))
        ending.shut_down(self._owned, max(0.0, timeout_s - (time.monotonic() - began)))
        for made in self._bridges:
            made.release(self)
        for close in reversed(self._closers):
            try:
                close()
            except Exception:
                _log.warning("telemetry: shutdown was not clean", exc_info=True)

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
