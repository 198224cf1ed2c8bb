"""``configure()``: telemetry for an application in one call; ``default()``: what a library user gets.

Providers that the application has set are used as they are; ours are made only where there is
none.  Call ``configure`` in each worker, after the fork: resources, threads and ports are per
process.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from ..limits import SERVER_LIMITS
from .requests import ClientRequestMetrics, ServerRequestMetrics

__all__ = ["LEVELS", "Telemetry", "TelemetryError", "configure", "default"]

LEVELS = ("off", "metrics", "traces", "detail")

_log = logging.getLogger("h2o_otel.telemetry")


class TelemetryError(ValueError):
    """A telemetry setting is wrong, or needs an extra that is not installed."""


def _disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _check_level(level: str) -> str:
    if level not in LEVELS:
        raise TelemetryError(f"telemetry level {level!r} is none of {', '.join(LEVELS)}")
    return "off" if _disabled() else level


class Telemetry:
    """What clients and servers ask for their instruments, and the handle to end it all.

    Attributes:
        level: "off", "metrics", "traces" or "detail".
        tracing: makes spans; None below level "traces".
        events: the log events.
        access_log: whether servers log one line per request.
        producer: of our metrics; None at level "off".
        readers: the metric readers that were made here.
        prometheus: the scrape endpoint, or None.
        span_exporter, log_exporter: the in-memory ones, or None.
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
        self._body_sizes = body_sizes
        self._origins_max = origins_max
        self._owned: list[Any] = []
        self._closers: list[Callable[[], object]] = []
        self._closed = False

    @property
    def enabled(self) -> bool:
        return self.level != "off"

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
        self._bounded([functools.partial(provider.force_flush, int(timeout_s * 1000)) for provider in self._owned], timeout_s)

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Export what is waiting and stop; waits at most ``timeout_s``, never raises, and may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._bounded([provider.shutdown for provider in self._owned], timeout_s)
        for close in reversed(self._closers):
            try:
                close()
            except Exception:
                _log.warning("telemetry: shutdown was not clean", exc_info=True)

    def _bounded(self, calls: list[Callable[[], object]], timeout_s: float) -> None:
        """Run ``calls`` on a thread of their own: an exporter that hangs must not hang the process."""

        def run() -> None:
            for call in calls:
                try:
                    call()
                except Exception:
                    _log.warning("telemetry: flushing or shutting down failed", exc_info=True)

        if calls:
            thread = threading.Thread(target=run, name="h2o-otel-telemetry", daemon=True)
            thread.start()
            thread.join(timeout_s)
            if thread.is_alive():
                _log.warning("telemetry: an exporter did not finish within %s s and was left behind", timeout_s)

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()


def configure(
    service_name: str | None = None,
    level: str = "metrics",
    *,
    otlp: str | bool | None = None,
    console: bool = False,
    in_memory: bool = False,
    prometheus_port: int | None = None,
    prometheus_host: str = "127.0.0.1",
    sample_ratio: float | None = None,
    resource_attributes: Mapping[str, Any] | None = None,
    log_format: str | None = None,
    log_level: str = "info",
    log_stream: TextIO | None = None,
    log_lines_per_s: float = SERVER_LIMITS.log_lines_per_s,
    capture_logging: bool = False,
    access_log: bool = False,
    body_sizes: bool = False,
    origins_max: int = SERVER_LIMITS.origins_labelled_max,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    logger_provider: Any = None,
    delta: bool = False,
    set_global: bool = True,
) -> Telemetry:
    """Set telemetry up for an application; call it once per process, after the fork.

    Args:
        service_name: ``service.name``; ``OTEL_SERVICE_NAME`` wins over it.
        level: "off", "metrics", "traces" or "detail".
        otlp: endpoint of a collector (OTLP over HTTP), such as ``http://localhost:4318``; True for the
            one in the environment. Left out, it is on when ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set.
        console: print points, spans and log records to standard output.
        in_memory: keep them for ``spans()``, ``metrics()`` and ``logs()``; for tests.
        prometheus_port: serve ``/metrics`` there, 0 for any free port.
        prometheus_host: address to bind it to.
        sample_ratio: share of new traces that is sampled; left out, ``OTEL_TRACES_SAMPLER`` decides.
        resource_attributes: more attributes of the resource; ``OTEL_RESOURCE_ATTRIBUTES`` is honoured.
        log_format: "json" or "console" to write log events to ``log_stream``; None leaves them to the
            handlers of the application.
        log_level: of the logger ``h2o_otel``, when ``log_format`` is given.
        log_stream: standard error by default.
        log_lines_per_s: bound on lines of one kind that a peer can cause (``Limits.log_lines_per_s``).
        capture_logging: hand the application's own stdlib log records to OpenTelemetry too.
        access_log: one ``h2o.access`` event per request.
        body_sizes: record ``http.server.*.body.size``.
        origins_max: origins with labels of their own (``Limits.origins_labelled_max``).
        tracer_provider, meter_provider, logger_provider: use these instead of the global ones.
        delta: the in-memory reader prefers delta temporality.
        set_global: make providers made here the global ones, where the application has set none.

    Returns:
        The handle that clients and servers take, and whose ``shutdown()`` ends it.

    Raises:
        TelemetryError: a value is wrong, or an extra is missing.
    """
    level = _check_level(level)
    if sample_ratio is not None and not 0.0 <= sample_ratio <= 1.0:
        raise TelemetryError(f"sample_ratio {sample_ratio} is not between 0 and 1")
    telemetry = Telemetry(level, access_log=access_log, body_sizes=body_sizes, origins_max=origins_max)
    from .providers import Builder

    builder = Builder(telemetry, otlp=otlp, console=console, in_memory=in_memory, delta=delta, set_global=set_global)
    builder.resource(service_name, resource_attributes)
    try:
        if log_format is not None:
            builder.handler(log_format, log_level, log_stream)
        if level == "off":
            builder.events(logger_provider, log_lines_per_s, export=False)
            return telemetry
        builder.metrics(meter_provider, prometheus_port, prometheus_host)
        if level in ("traces", "detail"):
            builder.traces(tracer_provider, sample_ratio, level == "detail")
        builder.events(logger_provider, log_lines_per_s, capture=capture_logging)
    except BaseException:
        telemetry.shutdown()
        raise
    return telemetry


_default: tuple[int, Telemetry] | None = None
_default_lock = threading.Lock()


def default() -> Telemetry:
    """What a client or server uses when it is given none.

    Level ``metrics``, or ``H2O_OTEL_TELEMETRY``; with the providers that the application sets,
    whenever it does; without exporters of its own.
    """
    global _default
    with _default_lock:
        if _default is not None and _default[0] == os.getpid():
            return _default[1]
        level = os.environ.get("H2O_OTEL_TELEMETRY", "metrics").strip().lower()
        if level not in LEVELS:
            _log.warning("H2O_OTEL_TELEMETRY=%r is none of %s; using metrics", level, ", ".join(LEVELS))
            level = "metrics"
        telemetry = Telemetry(_check_level(level))
        from .providers import Builder

        builder = Builder(telemetry, otlp=False)
        builder.events(None, SERVER_LIMITS.log_lines_per_s)
        if telemetry.enabled:
            builder.observables()
            if telemetry.level in ("traces", "detail"):
                from .spans import Tracing

                telemetry.tracing = Tracing(None, telemetry.level == "detail")
        _default = (os.getpid(), telemetry)
        return telemetry


def _forget_default() -> None:
    global _default
    _default = None


os.register_at_fork(after_in_child=_forget_default)
