"""``h2o-otel demo``: a traced service, a load and a live view, in one command."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..demo.view import RecentLines

__all__ = ["register", "run"]


def register(subparsers: Any) -> None:
    """Add the command to ``subparsers`` of ``argparse``."""
    parser = subparsers.add_parser(
        "demo",
        help="see it work: a service, a load and a live view",
        description="Two servers over TLS with a certificate of their own, a load of our client, peers that misbehave, "
        "and what every layer does, live.",
    )
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="end after this long (default: Ctrl-C)")
    parser.add_argument("--rate", type=float, default=150.0, help="scenes a second (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="where the service listens (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="its port (default: any free one)")
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="serve Prometheus metrics on 127.0.0.1 (extra: prometheus)")
    parser.add_argument("--metrics-host", default="127.0.0.1", metavar="HOST", help="address of the metrics (default: %(default)s)")
    parser.add_argument("--otlp", metavar="ENDPOINT", help="send OTLP there (default: OTEL_EXPORTER_OTLP_ENDPOINT, if set)")
    parser.add_argument("--sample-ratio", type=float, default=0.1, help="share of requests that are traced (default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="one line of figures a second, even on a terminal")
    parser.add_argument("--log", action="store_true", help="write log events to standard error, those of provoked faults too")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="event loop (default: %(default)s)")
    parser.add_argument("--certificates", type=Path, metavar="FOLDER", help="make or find the certificates here")
    parser.add_argument("--name", action="append", default=[], metavar="DNS", help="one more name that the certificate is for")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--serve-only", action="store_true", help="the service without a load")
    only.add_argument("--load-only", metavar="URL", help="the load alone, on a demo that runs elsewhere")
    parser.add_argument("--ca", metavar="FILE", help="with --load-only: the certificate of its authority")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when the time is over, 130 after Ctrl-C, 1 when it could not start, 2 when something is missing."""
    if args.rate <= 0 or (args.duration is not None and args.duration <= 0):
        print("h2o-otel demo: --rate and --duration are greater than 0", file=sys.stderr)
        return 2
    from .. import telemetry
    from ..telemetry import TelemetryError

    plain = args.plain or not sys.stdout.isatty()
    if not plain:
        try:
            import rich.live  # noqa: F401
        except ImportError:
            print("h2o-otel demo: the live view needs rich (pip install 'h2o-otel[demo]'); plain figures follow", file=sys.stderr)
            plain = True
    from ..demo.view import RecentLines

    recent = RecentLines()
    try:
        observed = telemetry.configure(
            "h2o-otel-demo",
            level="traces",
            otlp=args.otlp,
            prometheus_port=args.metrics_port,
            prometheus_host=args.metrics_host,
            sample_ratio=args.sample_ratio,
            body_sizes=True,
            log_format="console",
            log_stream=sys.stderr if args.log else recent,
        )
    except TelemetryError as error:
        print(f"h2o-otel demo: {error}", file=sys.stderr)
        return 2
    try:
        return _run(args, plain, observed, recent)
    finally:
        observed.shutdown()


def _run(args: argparse.Namespace, plain: bool, observed: Any, recent: RecentLines) -> int:
    from ..demo.run import Demo, Options
    from ..server.server import loop_factory
    from ..tls.certificates import CertificateToolMissing

    options = Options(
        host=args.host,
        port=args.port,
        duration_s=args.duration,
        rate=args.rate,
        serve_only=args.serve_only,
        load_only=args.load_only,
        ca=args.ca,
        folder=args.certificates,
        names=tuple(args.name),
        plain=plain,
    )

    async def main() -> int:
        return await Demo(options, observed, recent).run()

    try:
        with asyncio.Runner(loop_factory=loop_factory(args.loop)) as runner:
            return runner.run(main())
    except (OSError, CertificateToolMissing) as error:
        print(f"h2o-otel demo: {error}", file=sys.stderr)
        return 1
