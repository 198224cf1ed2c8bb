"""``h2o-otel serve module:app``: serve an ASGI application over HTTP/2.

Options have the names that uvicorn's users know.  Each can also be given in the environment:
``--root-path`` is ``H2O_OTEL_ROOT_PATH``; what stands on the command line wins.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..limits import SERVER_LIMITS, ServerLimits
from ..tuning import Tuning
from . import _limits, _tuning
from ._leaving import Leaving, flush_standard_streams

if TYPE_CHECKING:
    from ..server import Server, ServerConfig

__all__ = ["register", "run"]

_ENVIRONMENT = "H2O_OTEL_"
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off", "")
_LEVELS = ("debug", "info", "warning", "error", "critical")


def register(subparsers: Any) -> None:
    """Add the command to ``subparsers`` of ``argparse``."""
    parser = subparsers.add_parser(
        "serve",
        help="serve an ASGI application over HTTP/2",
        description="Serve an ASGI application over HTTP/2: over TLS with a certificate, otherwise in cleartext with prior knowledge.",
        epilog=f"Every option is also read from the environment: --root-path is {_ENVIRONMENT}ROOT_PATH,"
        f" --limit idle_timeout_s=60 is {_limits.ENVIRONMENT}IDLE_TIMEOUT_S=60.",
    )
    parser.add_argument("app", metavar="MODULE:APP", help="the application, such as main:app")
    parser.add_argument("--factory", action=argparse.BooleanOptionalAction, default=False, help="APP is called and returns the application")
    parser.add_argument("--app-dir", metavar="FOLDER", help="import the application from here (the current folder)")
    _add_listener(parser.add_argument_group("where to listen"))
    _add_proxy(parser.add_argument_group("behind a proxy"))
    _add_tls(parser.add_argument_group("TLS"))
    _add_behaviour(parser.add_argument_group("behaviour"))
    _limits.add_options(parser.add_argument_group("limits"))
    _add_telemetry(parser.add_argument_group("logs and telemetry"))
    _read_environment(parser, os.environ)
    parser.set_defaults(run=run)


def _add_listener(group: Any) -> None:
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    group.add_argument("--port", type=port_number, default=8000, help="port to listen on, 0 for any free one (%(default)s)")
    group.add_argument("--uds", metavar="PATH", help="listen on this Unix socket instead")
    group.add_argument("--uds-mode", type=file_mode, metavar="MODE", help="permissions of the Unix socket, such as 660 (the umask's)")
    group.add_argument("--fd", type=int, metavar="NUMBER", help="listen on this inherited socket instead")
    group.add_argument("--backlog", type=int, default=2048, help="connections that wait to be accepted (%(default)s)")


def _add_proxy(group: Any) -> None:
    group.add_argument(
        "--proxy-headers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take scheme and client address from X-Forwarded-Proto and X-Forwarded-For, if a trusted proxy sent them (on)",
    )
    group.add_argument(
        "--forwarded-allow-ips",
        metavar="LIST",
        help="trusted proxies: addresses and networks with commas, * for all, unix or a path for Unix sockets"
        " ($FORWARDED_ALLOW_IPS, or 127.0.0.1,::1)",
    )


def _add_tls(group: Any) -> None:
    group.add_argument("--ssl-certfile", metavar="FILE", help="certificate chain, PEM")
    group.add_argument("--ssl-keyfile", metavar="FILE", help="private key, PEM, where it is not in the certificate's file")
    group.add_argument("--ssl-keyfile-password", metavar="TEXT", help="password of the key; better in the environment")
    group.add_argument("--ssl-ca-certs", metavar="FILE", help="require client certificates of these authorities")


def _add_behaviour(group: Any) -> None:
    group.add_argument("--loop", choices=("auto", "asyncio", "uvloop"), default="auto", help="event loop; auto is uvloop where installed")
    group.add_argument("--lifespan", choices=("auto", "on", "off"), default="auto", help="run the application's lifespan (%(default)s)")
    group.add_argument("--root-path", default="", metavar="PATH", help="where a proxy mounts the application")
    group.add_argument("--limit-concurrency", type=positive_number, metavar="N", help="answer 503 beyond this many requests in flight")
    group.add_argument(
        "--timeout-graceful-shutdown", type=seconds, metavar="SECONDS", help="for requests in flight when the server shuts down (8)"
    )
    group.add_argument(
        "--require-authority",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="refuse requests without :authority and host, which health checks of some proxies send (off)",
    )
    group.add_argument("--engine", choices=("native", "h2"), help="protocol engine (native); h2 is the fallback on the h2 library, slow")
    _tuning.add_options(group)


def _add_telemetry(group: Any) -> None:
    group.add_argument("--log-level", choices=_LEVELS, default="info", help="least level of log events (%(default)s)")
    group.add_argument("--log-format", choices=("console", "json"), default="console", help="console text or JSON lines (%(default)s)")
    group.add_argument(
        "--capture-logging",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="export what the application logs with Python's logging, from --log-level on (off)",
    )
    group.add_argument("--access-log", action=argparse.BooleanOptionalAction, default=False, help="one log event per request (off)")
    group.add_argument(
        "--telemetry", choices=("off", "metrics", "traces", "detail"), default="metrics", help="level of telemetry (%(default)s)"
    )
    group.add_argument("--excluded-urls", metavar="REGEXPS", help="no spans and metrics for URLs that one of these, with commas, matches")
    group.add_argument(
        "--body-sizes", action=argparse.BooleanOptionalAction, default=False, help="record the sizes of request and response bodies (off)"
    )
    group.add_argument("--prometheus-port", type=port_number, metavar="PORT", help="serve /metrics on this port of 127.0.0.1")


def port_number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{number} is not a port (0 to 65535)")
    return number


def file_mode(text: str) -> int:
    """Octal digits, as ``chmod`` takes them."""
    mode = int(text, 8)
    if not 0 <= mode <= 0o777:
        raise argparse.ArgumentTypeError(f"{text} is no file mode (0 to 777)")
    return mode


def positive_number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return number


def _read_environment(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Variables become defaults; argparse converts and the choices are checked as on the command line."""
    for action in parser._actions:
        name = _ENVIRONMENT + action.dest.upper()
        # Each limit has a variable of its own, see ``_limits``.
        if not action.option_strings or action.dest in ("help", "limit") or name not in environment:
            continue
        text = environment[name]
        if isinstance(action, argparse.BooleanOptionalAction):
            if text.lower() not in _YES + _NO:
                parser.error(f"{name} is {text!r}; it is one of {', '.join(_YES)} or {', '.join(filter(None, _NO))}")
            action.default = text.lower() in _YES
        elif action.choices is not None and text not in action.choices:
            # argparse leaves defaults unchecked.
            parser.error(f"{name} is {text!r}; it is one of {', '.join(action.choices)}")
        else:
            action.default = text


def run(args: argparse.Namespace) -> int:
    """Returns 0 after a clean shutdown, 1 when the server could not start or stop, 2 when a setting is wrong."""
    leaving: list[Leaving] = []
    status = _run(args, leaving)
    for each in leaving:
        each.status = status
    flush_standard_streams()
    return status


def _run(args: argparse.Namespace, leaving: list[Leaving]) -> int:
    from ..server import ConfigError, LifespanError, Server
    from ..server.server import loop_factory
    from ..telemetry import TelemetryError

    server = None
    _open_standard_streams()
    try:
        try:
            loops = loop_factory(args.loop)
        except ModuleNotFoundError:
            return _complain("--loop uvloop: uvloop is not installed (pip install 'h2o-otel[uvloop]')", 2)
        limits = _limits.limits_of(args.limit, os.environ)
        server = Server(_make_config(args, functools.partial(_make_telemetry, args, limits), limits))
        if args.own_process:
            config = server.config
            leaving.append(Leaving(config.grace_s + config.limits.shutdown_cleanup_s))
            server.on_stop = leaving[0].begin
        with asyncio.Runner(loop_factory=loops) as runner:
            runner.run(_serve(server, args))
    except (ConfigError, TelemetryError, _limits.LimitsError) as error:
        return _complain(str(error), 2)
    except LifespanError as error:
        return _complain(str(error), 1)
    except Exception as error:
        if _print_application_error(error):
            return _complain(f"{args.app} cannot be loaded: {type(error).__name__}: {error}", 1)
        if not isinstance(error, OSError):
            raise
        return _complain(_explain(error), 1)
    finally:
        if server is not None and server.telemetry is not None:
            server.telemetry.shutdown(_export_budget_s(server))
    return 0


# Supervisors kill a server ten seconds after SIGTERM: the last export gets the time that the drain left of that.
_STOP_S = 9.5
_EXPORT_MIN_S = 1.0


def _export_budget_s(server: Server | None) -> float:
    """Seconds for the last export of telemetry."""
    if server is None or server.stop_began is None:
        return SERVER_LIMITS.telemetry_shutdown_s
    left = _STOP_S - (time.monotonic() - server.stop_began)
    return max(_EXPORT_MIN_S, min(server.config.limits.telemetry_shutdown_s, left))


def _open_standard_streams() -> None:
    """Open standard streams that a supervisor has closed on /dev/null, so that no socket gets their descriptors."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)


def _make_telemetry(args: argparse.Namespace, limits: ServerLimits = SERVER_LIMITS) -> Any:
    from ..telemetry import configure

    return configure(
        level=args.telemetry,
        prometheus_port=args.prometheus_port,
        log_format=args.log_format,
        log_level=args.log_level,
        access_log=args.access_log,
        body_sizes=args.body_sizes,
        log_lines_per_s=limits.log_lines_per_s,
        log_queue_lines_max=limits.log_queue_lines_max,
        origins_max=limits.origins_labelled_max,
        capture_logging=args.capture_logging,
        excluded_urls=args.excluded_urls,
    )


def _make_config(args: argparse.Namespace, telemetry: Any, limits: ServerLimits = SERVER_LIMITS) -> ServerConfig:
    from ..server import ServerConfig

    return ServerConfig(
        app=args.app,
        factory=args.factory,
        app_dir=args.app_dir,
        host=args.host,
        port=args.port,
        uds=args.uds,
        uds_mode=args.uds_mode,
        fd=args.fd,
        backlog=args.backlog,
        ssl_certfile=args.ssl_certfile,
        ssl_keyfile=args.ssl_keyfile,
        ssl_keyfile_password=args.ssl_keyfile_password,
        ssl_ca_certs=args.ssl_ca_certs,
        loop=args.loop,
        root_path=args.root_path,
        proxy_headers=args.proxy_headers,
        forwarded_allow_ips=args.forwarded_allow_ips,
        lifespan=args.lifespan,
        access_log=args.access_log,
        limit_concurrency=args.limit_concurrency,
        timeout_graceful_shutdown=args.timeout_graceful_shutdown,
        require_authority=args.require_authority,
        engine=args.engine,
        tuning=Tuning() if args.tuning is None else args.tuning,
        telemetry=telemetry,
        limits=limits,
    )


async def _serve(server: Server, args: argparse.Namespace) -> None:
    serving = asyncio.ensure_future(server.serve(own_process=True))
    started = asyncio.ensure_future(server.wait_started())
    await asyncio.wait((serving, started), return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if not serving.done():
        # A full disk or a closed pipe is no reason to stop serving.
        with contextlib.suppress(OSError):
            print(_start_line(server, args), file=sys.stderr, flush=True)
    await serving


def _start_line(server: Server, args: argparse.Namespace) -> str:
    from .. import _pure
    from .main import version

    scheme = "http" if args.ssl_certfile is None else "https"
    names = [_url(scheme, address) for address in server.addresses]
    manner = "HTTP/2 over TLS" if scheme == "https" else "HTTP/2 cleartext, prior knowledge"
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    return f"h2o-otel {version()}: {args.app} on {' and '.join(names)} ({manner}; {loop}, {_pure.build()}); Ctrl-C ends it"


def _url(scheme: str, address: Any) -> str:
    if not isinstance(address, tuple):
        return f"unix:{os.fsdecode(address)}"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{scheme}://{host}:{address[1]}"


def _print_application_error(error: Exception) -> bool:
    """Print the traceback of an error of loading the application, from its own first line on; false for other errors."""
    import importlib
    import traceback

    from ..server import config

    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code is not config.load_app.__code__:
        frame = frame.tb_next
    if frame is None:
        return False
    # The import system's own frames name frozen files, or its package.
    ours = (config.__file__, "<frozen importlib", importlib.__file__)
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(ours):
        frame = frame.tb_next
    traceback.print_exception(type(error), error, frame)
    return True


def _explain(error: OSError) -> str:
    import errno

    text = str(error.strerror or error)
    if error.errno == errno.EADDRINUSE:
        text += "; another process listens there, choose with --port or --uds"
    elif error.errno == errno.EACCES and " port " in text:
        text += "; ports below 1024 need a privilege, choose a higher one with --port"
    return text


def _complain(text: str, status: int) -> int:
    print(f"h2o-otel serve: {text}", file=sys.stderr)
    return status
