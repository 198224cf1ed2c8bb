"""``configure()``: telemetry for an application in one call; ``default()``: the telemetry of the process.

Providers that the application has set are used as they are, and nothing is added to them; ours are
made only where there is none.  Call ``configure`` in each worker, after the fork: resources, threads
and ports are per process.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from ..limits import SERVER_LIMITS
from . import ending, environment
from .handle import Telemetry, TelemetryError

__all__ = ["LEVELS", "Telemetry", "TelemetryError", "configure", "default"]

LEVELS = ("off", "metrics", "traces", "detail")

_log = logging.getLogger("h2o_otel.telemetry")


def _disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _check_level(level: str) -> str:
    if level not in LEVELS:
        raise TelemetryError(f"telemetry level {level!r} is none of {', '.join(LEVELS)}")
    return "off" if _disabled() else level


def configure(
    service_name: str | None = None,
    level: str = "metrics",
    *,
    otlp: str | bool | None = None,
    console: bool | str | Iterable[str] | None = None,
    in_memory: bool = False,
    prometheus_port: int | None = None,
    prometheus_host: str = "127.0.0.1",
    sample_ratio: float | None = None,
    resource_attributes: Mapping[str, Any] | None = None,
    log_format: str | None = None,
    log_level: str = "info",
    log_stream: TextIO | None = None,
    log_lines_per_s: float = SERVER_LIMITS.log_lines_per_s,
    log_queue_lines_max: int = SERVER_LIMITS.log_queue_lines_max,
    capture_logging: bool = False,
    access_log: bool = False,
    body_sizes: bool = False,
    excluded_urls: str | Iterable[str] | None = None,
    origins_max: int = SERVER_LIMITS.origins_labelled_max,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    logger_provider: Any = None,
    delta: bool = False,
    set_global: bool = True,
) -> Telemetry:
    """Set telemetry up for an application, in each process after the fork.

    A second call adds to what the first one set up (as in an application that ``h2o-otel serve`` runs);
    the higher of the two levels holds.

    Args:
        service_name: ``service.name``; ``OTEL_SERVICE_NAME`` wins over it.
        level: "off", "metrics", "traces" or "detail".
        otlp: endpoint of a collector, such as ``http://localhost:4318``; True for the endpoint in the environment.
            Left out, it is on when ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set. ``OTEL_EXPORTER_OTLP_PROTOCOL`` chooses
            between OTLP over HTTP and gRPC.
        console: signals to print to standard output, one line each: "traces", "metrics" (series that changed),
            "logs", several with commas or as a list. True prints log records and spans, or at level "metrics"
            log records and metrics. Left out, ``OTEL_TRACES_EXPORTER`` and its siblings decide, which also know
            "otlp", "prometheus" and "none".
        in_memory: keep them for ``spans()``, ``metrics()`` and ``logs()``; for tests.
        prometheus_port: serve ``/metrics`` there, 0 for any free port; ``OTEL_METRICS_EXPORTER=prometheus`` does it, too.
        prometheus_host: address to bind it to.
        sample_ratio: share of new traces that is sampled; left out, ``OTEL_TRACES_SAMPLER`` decides.
        resource_attributes: more attributes of the resource; ``OTEL_RESOURCE_ATTRIBUTES`` is honoured.
        log_format: "json" or "console" to write log events to ``log_stream``; None leaves them to the
            handlers of the application.
        log_level: of the logger ``h2o_otel``, when ``log_format`` is given; and with ``capture_logging`` of the root
            logger, where the application leaves it at Python's "warning".
        log_stream: standard error by default.
        log_lines_per_s: bound on lines of one kind that a peer can cause (``EngineLimits.log_lines_per_s``).
        log_queue_lines_max: lines that wait for the thread that writes them (``EngineLimits.log_queue_lines_max``).
        capture_logging: hand the application's own stdlib log records to OpenTelemetry too.
        access_log: one ``h2o.access`` event per request.
        body_sizes: record ``http.server.*.body.size``.
        excluded_urls: regular expressions, with commas if it is one text: requests, of servers and clients, whose URL
            (without its query) one of them matches have no spans and no request metrics. Left out, it is
            ``OTEL_PYTHON_EXCLUDED_URLS``.
        origins_max: origins with labels of their own (``EngineLimits.origins_labelled_max``).
        tracer_provider, meter_provider, logger_provider: use these instead of the global ones.
        delta: the in-memory reader prefers delta temporality.
        set_global: make this the process's telemetry (``default()``), use the global providers, and make the ones
            made here global where the application has set none; False keeps all of it apart.

    Returns:
        The handle that clients and servers take, and whose ``shutdown()`` ends it.

    Raises:
        TelemetryError: a value is wrong, or an extra is missing.
    """
    level = _check_level(level)
    if sample_ratio is not None and not 0.0 <= sample_ratio <= 1.0:
        raise TelemetryError(f"sample_ratio {sample_ratio} is not between 0 and 1")
    try:
        printed = environment.console_signals(console, level)
        excluded = environment.excluded_pattern(excluded_urls)
    except ValueError as error:
        raise TelemetryError(str(error)) from error
    telemetry = _process_telemetry(level) if set_global else Telemetry(level)
    begun = telemetry.events is not None
    if excluded_urls is not None or telemetry.excluded is None:
        telemetry.excluded = excluded
    telemetry.widen(access_log, body_sizes, origins_max)
    from .providers import Builder

    builder = Builder(telemetry, otlp=otlp, console=printed, in_memory=in_memory, delta=delta, set_global=set_global)
    builder.resource(service_name, resource_attributes)
    try:
        if log_format is not None:
            builder.handler(log_format, log_level, log_stream, log_lines_per_s)
        if not telemetry.enabled:
            builder.events(logger_provider, log_lines_per_s, export=False)
            return telemetry
        builder.metrics(meter_provider, prometheus_port, prometheus_host)
        if telemetry.level in ("traces", "detail"):
            builder.traces(tracer_provider, sample_ratio, telemetry.level == "detail")
        builder.events(logger_provider, log_lines_per_s, captured=log_level if capture_logging else None)
        builder.warn_unused()
    except BaseException:
        if not begun:
            telemetry.shutdown()
        raise
    ending.remember(telemetry)
    return telemetry


# The telemetry of this process, with the process: what configure() set up last, or what default() made in its stead.
_default: tuple[int, Telemetry] | None = None
# Made by default(): configure() decides its level.
_provisional = False
_default_lock = threading.RLock()


def _current() -> Telemetry | None:
    found = None if _default is None or _default[0] != os.getpid() else _default[1]
    return None if found is None or found.closed else found


def _process_telemetry(level: str) -> Telemetry:
    """The process's ``Telemetry``, at ``level`` or at the higher one that an earlier ``configure`` asked for."""
    global _default, _provisional
    with _default_lock:
        found = _current()
        if found is None:
            found = Telemetry(level)
            _default = (os.getpid(), found)
        elif _provisional or LEVELS.index(level) > LEVELS.index(found.level):
            found.level = level
        _provisional = False
        return found


def default() -> Telemetry:
    """The telemetry of the process, which clients and servers use when they are given none.

    It is what ``configure`` or ``h2o-otel serve`` set up, before or after this call.  Without them: level
    ``metrics``, or ``H2O_OTEL_TELEMETRY``; with the providers that the application sets, whenever it does;
    without exporters of its own.
    """
    global _default, _provisional
    with _default_lock:
        found = _current()
        if found is not None:
            return found
        level = os.environ.get("H2O_OTEL_TELEMETRY", "metrics").strip().lower()
        if level not in LEVELS:
            _log.warning("H2O_OTEL_TELEMETRY=%r is none of %s; using metrics", level, ", ".join(LEVELS))
            level = "metrics"
        telemetry = Telemetry(_check_level(level))
        telemetry.excluded = environment.excluded_pattern(None)
        from .providers import Builder

        builder = Builder(telemetry, otlp=False, console=environment.console_signals(False, level))
        builder.events(None, SERVER_LIMITS.log_lines_per_s)
        if telemetry.enabled:
            builder.observe()
            if telemetry.level in ("traces", "detail"):
                from .spans import Tracing

                telemetry.tracing = Tracing(None, telemetry.level == "detail")
        _default = (os.getpid(), telemetry)
        _provisional = True
        return telemetry


def _forget_default() -> None:
    global _default, _default_lock
    _default = None
    # Another thread of the parent may have held it.
    _default_lock = threading.RLock()


os.register_at_fork(after_in_child=_forget_default)
