"""The command ``h2o-otel``: finds the subcommands beside it and runs one.

A subcommand is a module of this folder with ``register(subparsers)``, which sets ``run`` as its
parser's default, and ``run(args)``, which returns the exit status.  Its module must be cheap to
import: what the command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

__all__ = ["main", "make_parser", "version"]

# The order of the help text; commands that are not named here follow in alphabetical order.
_ORDER = ("demo", "serve", "get", "dashboards")


def version() -> str:
    """The version of the package, read at run time, since the package imports this module's layer."""
    package = (__package__ or "h2o_otel").partition(".")[0]
    return str(importlib.import_module(package).__version__)


def commands() -> list[str]:
    """Names of the modules that have a command."""
    package = __package__ or "h2o_otel.cli"
    found = [info.name for info in pkgutil.iter_modules(importlib.import_module(package).__path__) if info.name != "main"]
    known = [name for name in _ORDER if name in found]
    return known + sorted(name for name in found if name not in known and not name.startswith("_"))


def make_parser() -> argparse.ArgumentParser:
    """The parser with every subcommand."""
    parser = argparse.ArgumentParser(prog="h2o-otel", description="An observability-first HTTP/2 runtime.")
    parser.add_argument("--version", action="version", version=f"h2o-otel {version()}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in commands():
        module = importlib.import_module(f".{name}", __package__)
        if hasattr(module, "register"):
            module.register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of ``argv`` (by default the process's); returns its exit status."""
    args = make_parser().parse_args(argv)
    # Nothing else runs in this process after the command.
    args.own_process = argv is None
    status = args.run(args)
    return 0 if status is None else int(status)


if __name__ == "__main__":
    sys.exit(main())
