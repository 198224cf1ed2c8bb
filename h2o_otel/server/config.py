"""What a server is built with, and how its application is found."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from ..limits import SERVER_LIMITS, ServerLimits
from ..protocol.config import DEFAULT_TUNING
from ..tls.context import ServerTLS, server_context
from ..tuning import Tuning
from .forwarded import Trust, allowed_by_environment

if TYPE_CHECKING:
    from ..telemetry.handle import Telemetry

__all__ = ["ConfigError", "ServerConfig", "ServerOptions", "load_app"]

# Frameworks, asgiref and users annotate scope, receive and send in ways of their own, so only what is returned is told.
Application: TypeAlias = Callable[..., Awaitable[object]]
ApplicationFactory: TypeAlias = Callable[[], Application]
TelemetryTypes: TypeAlias = "Telemetry | Callable[[], Telemetry] | None"

LIFESPAN_MODES = ("auto", "on", "off")
LOOPS = ("auto", "asyncio", "uvloop")


class ConfigError(ValueError):
    """A setting is wrong; the text says which, and what to do."""


class ServerOptions(TypedDict, total=False):
    """The settings of a ``ServerConfig`` beside its application, for ``run``; see there."""

    factory: bool
    app_dir: str | None
    host: str
    port: int
    uds: str | None
    uds_mode: int | None
    fd: int | None
    backlog: int
    ssl_certfile: str | os.PathLike[str] | None
    ssl_keyfile: str | os.PathLike[str] | None
    ssl_keyfile_password: str | None
    ssl_ca_certs: str | os.PathLike[str] | None
    loop: str
    root_path: str
    proxy_headers: bool
    forwarded_allow_ips: str | None
    lifespan: str
    access_log: bool
    date_header: bool
    server_header: str | None
    limits: ServerLimits
    limit_concurrency: int | None
    timeout_graceful_shutdown: float | None
    engine: str | None
    tuning: Tuning
    require_authority: bool
    eager_tasks: bool
    handle_signals: bool
    telemetry: TelemetryTypes


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Settings of a server; names are those of uvicorn where it has the same thing.

    Attributes:
        app: an ASGI 3 application, or "module:attribute".
        factory: ``app`` is called without arguments and returns the application.
        app_dir: folder that a module is imported from first.
        host, port: where to listen; port 0 lets the system choose.
        uds: path of a Unix socket to listen on instead.
        uds_mode: permissions of that socket, such as 0o660 for a proxy of its group; None leaves what the umask gives.
        fd: an inherited listening socket instead.
        backlog: connections that the system keeps until they are accepted.
        ssl_certfile, ssl_keyfile, ssl_keyfile_password: PEM files; without them the server speaks
            cleartext HTTP/2 (prior knowledge).
        ssl_ca_certs: client certificates of these authorities are required.
        loop: "auto" (uvloop where installed), "asyncio" or "uvloop"; only for ``Server.run``.
        root_path: where the application is mounted.
        proxy_headers: X-Forwarded-For and X-Forwarded-Proto count, where the connection comes from ``forwarded_allow_ips``.
        forwarded_allow_ips: addresses and networks with commas, "*" for everybody, "unix" or a path for Unix sockets; None
            for the environment's ``FORWARDED_ALLOW_IPS``, or else 127.0.0.1 and ::1.
        lifespan: "auto", "on" or "off".
        access_log: one log event per request.
        date_header: add ``date`` to responses without it.
        server_header: value of a ``server`` field, or None for none.
        limits: every bound.
        limit_concurrency: requests in flight beyond which 503 is the answer.
        timeout_graceful_shutdown: seconds for requests under way when the server ends; None takes
            ``limits.shutdown_grace_s``.  ``limits.shutdown_notice_s`` becomes the same part of it.
        engine: "native", "h2", or None for the environment's ``H2O_OTEL_ENGINE``.
        tuning: which optimisations its connections use.
        require_authority: requests with neither ``:authority`` nor ``host`` (health checks of some proxies) are malformed.
        eager_tasks: applications run their first step at once, in the same write as their neighbours.
        handle_signals: SIGINT and SIGTERM end the server; off where the program around it does that.
        telemetry: a ``Telemetry``; what makes one as soon as the application is loaded, with the providers that it
            has set; or None for the process's own.
    """

    app: Application | ApplicationFactory | str
    factory: bool = False
    app_dir: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    uds_mode: int | None = None
    fd: int | None = None
    backlog: int = 2048
    ssl_certfile: str | os.PathLike[str] | None = None
    ssl_keyfile: str | os.PathLike[str] | None = None
    ssl_keyfile_password: str | None = field(default=None, repr=False)
    ssl_ca_certs: str | os.PathLike[str] | None = None
    loop: str = "auto"
    root_path: str = ""
    proxy_headers: bool = True
    forwarded_allow_ips: str | None = None
    lifespan: str = "auto"
    access_log: bool = False
    date_header: bool = True
    server_header: str | None = None
    limits: ServerLimits = field(default=SERVER_LIMITS)
    limit_concurrency: int | None = None
    timeout_graceful_shutdown: float | None = None
    engine: str | None = None
    tuning: Tuning = field(default=DEFAULT_TUNING)
    require_authority: bool = False
    eager_tasks: bool = True
    handle_signals: bool = True
    telemetry: TelemetryTypes = None

    def __post_init__(self) -> None:
        if not isinstance(self.limits, ServerLimits):
            raise ConfigError(f"limits is a {type(self.limits).__name__}; a server takes h2o_otel.ServerLimits(...)")
        if self.lifespan not in LIFESPAN_MODES:
            raise ConfigError(f"lifespan is {self.lifespan!r}; there are {', '.join(LIFESPAN_MODES)}")
        if self.loop not in LOOPS:
            raise ConfigError(f"loop is {self.loop!r}; there are {', '.join(LOOPS)}")
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port is {self.port}; ports are 0 to 65535")
        if self.uds_mode is not None and (self.uds is None or not 0 <= self.uds_mode <= 0o777):
            raise ConfigError(f"uds_mode is {self.uds_mode:#o}; it is 0 to 0o777, and only a Unix socket (uds) has one")
        self.make_trust()
        if self.uds is not None and self.fd is not None:
            raise ConfigError("uds and fd are both given; a server listens on one of them")
        if self.ssl_certfile is None and (self.ssl_keyfile is not None or self.ssl_ca_certs is not None):
            raise ConfigError("ssl_keyfile or ssl_ca_certs is given without ssl_certfile")

    @property
    def grace_s(self) -> float:
        """Seconds that requests under way have when the server ends."""
        return self.limits.shutdown_grace_s if self.timeout_graceful_shutdown is None else self.timeout_graceful_shutdown

    @property
    def notice_s(self) -> float:
        """Seconds until those that are still open get ``http.disconnect``: the same part of the grace time as in ``limits``."""
        notice_s, grace_s = self.limits.shutdown_notice_s, self.limits.shutdown_grace_s
        if self.timeout_graceful_shutdown is None or not grace_s:
            return min(notice_s, self.grace_s)
        return self.timeout_graceful_shutdown * min(notice_s / grace_s, 1.0)

    def make_trust(self) -> Trust | None:
        """Whose forwarded fields count, None for nobody's.

        Raises:
            ConfigError: an entry of ``forwarded_allow_ips`` is no address.
        """
        if not self.proxy_headers:
            return None
        allowed = allowed_by_environment() if self.forwarded_allow_ips is None else self.forwarded_allow_ips
        try:
            return Trust(allowed, self.limits.forwarded_hops_max)
        except ValueError as error:
            raise ConfigError(f"forwarded_allow_ips is {allowed!r}: {error}") from None

    def make_tls(self) -> ServerTLS | None:
        """The TLS of the listener, None for cleartext.

        Raises:
            ConfigError: a file is missing or is not what it should be.
        """
        if self.ssl_certfile is None:
            return None
        for name in ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs"):
            path = getattr(self, name)
            if path is not None and not Path(path).exists():
                raise ConfigError(f"{name}: {path} does not exist")
        try:
            context = server_context(
                self.ssl_certfile, self.ssl_keyfile, password=self.ssl_keyfile_password, client_ca=self.ssl_ca_certs, alpn=("h2",)
            )
        except OSError as error:
            files = ", ".join(str(path) for path in (self.ssl_certfile, self.ssl_keyfile, self.ssl_ca_certs) if path is not None)
            reason = getattr(error, "reason", None) or error.strerror or error
            raise ConfigError(
                f"TLS: {files} cannot be used: {reason} (certificate chain and key must be PEM and belong together)"
            ) from error
        return ServerTLS(context=context, alpn_required=("h2",))


def load_app(config: ServerConfig) -> Application:
    """The application that ``config`` names.

    Raises:
        ConfigError: it cannot be found; an exception while a module is imported passes through.
    """
    app: Any = config.app
    if isinstance(app, str):
        app = _import(app, config.app_dir)
    if config.factory:
        app = app()
    if not callable(app):
        raise ConfigError(f"the application {app!r} is not callable" + ("" if config.factory else "; is factory meant?"))
    loaded: Application = app
    return loaded


def _import(name: str, app_dir: str | None) -> Any:
    module_name, colon, path = name.partition(":")
    if not module_name or not colon or not path:
        raise ConfigError(f"the application is {name!r}; write it as module:attribute, such as main:app")
    folder = os.path.abspath(app_dir or os.curdir)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that the application's own imports miss is a different fault.
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise
        raise ConfigError(f"no module {module_name!r} in {folder} or on the import path (--app-dir says where to look)") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise ConfigError(f"module {module_name!r} has no attribute {path!r}") from error
    return found
