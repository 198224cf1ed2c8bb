"""``h2o-otel dashboards``: write the Grafana dashboards and the Prometheus rules, or check that they are current."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["register", "run"]


def register(subparsers: Any) -> None:
    """Add the command to ``subparsers`` of ``argparse``."""
    parser = subparsers.add_parser(
        "dashboards",
        help="build Grafana dashboards, alerts and recording rules",
        description="Dashboards go to dashboards/*.json, rules to deploy/prometheus/rules/, below --output.",
    )
    parser.add_argument("action", choices=["build", "check"], help="write what is out of date, or fail if something is")
    parser.add_argument("--output", type=Path, default=Path(), metavar="FOLDER", help="where to write them (the current folder)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when all is current or written, 1 when ``check`` found something, 2 when the extra is missing."""
    from ..dashboards import build

    if reason := build.missing_extra():
        print(reason, file=sys.stderr)
        return 2
    if args.action == "check":
        old = build.out_of_date(args.output)
        for path in old:
            print(f"{args.output / path} is not current; run: h2o-otel dashboards build", file=sys.stderr)
        return 1 if old else 0
    changed = build.write_files(args.output)
    for path in changed:
        print(f"wrote {args.output / path}")
    if not changed:
        print("everything is current")
    return 0
