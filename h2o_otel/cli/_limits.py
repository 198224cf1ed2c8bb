"""Limits on the command line and in the environment, and the list of them all."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from ..bounds import Bound, UnknownLimit, bounds_of, parse, replaced
from ..limits import SERVER_LIMITS, ServerLimits

__all__ = ["ENVIRONMENT", "LimitsError", "add_options", "described", "limits_of"]

ENVIRONMENT = "H2O_OTEL_LIMIT_"
# Variables of other options that have the prefix of limits.
_NOT_LIMITS = ("H2O_OTEL_LIMIT_CONCURRENCY",)
_BOUNDS = bounds_of(ServerLimits)


class LimitsError(ValueError):
    """An unknown name of a limit, or an invalid value."""


def add_options(group: Any) -> None:
    """``--limit`` and ``--list-limits``."""
    group.add_argument(
        "--limit",
        action="append",
        type=pair,
        metavar="NAME=VALUE",
        default=[],
        help=f"set a limit; can be given many times. In the environment, {ENVIRONMENT}NAME is the same, NAME in upper case",
    )
    group.add_argument("--list-limits", action=_List, help="print every limit with its meaning, default and unit, and exit")


def pair(text: str) -> tuple[str, int | float | None]:
    """The name and value in ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not NAME=VALUE; --list-limits prints the names")
    try:
        return name, parse(_BOUNDS, name, value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _List(argparse.Action):
    """Prints and exits, as ``--help`` does; needs no application."""

    def __init__(self, option_strings: list[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(described())
        parser.exit()


def limits_of(pairs: Iterable[tuple[str, int | float | None]], environment: Mapping[str, str]) -> ServerLimits:
    """The limits of a server: the defaults, changed by the environment, and then by ``pairs`` of the command line.

    Raises:
        LimitsError: a variable names no limit, or a value is not possible.
    """
    changes: dict[str, int | float | None] = {}
    for variable in sorted(environment):
        if variable.startswith(ENVIRONMENT) and variable not in _NOT_LIMITS:
            try:
                changes[variable[len(ENVIRONMENT) :].lower()] = parse(_BOUNDS, variable[len(ENVIRONMENT) :].lower(), environment[variable])
            except UnknownLimit as error:
                nearest = [ENVIRONMENT + name.upper() for name in error.nearest]
                hint = f"did you mean {' or '.join(nearest)}?" if nearest else "h2o-otel serve --list-limits prints them"
                raise LimitsError(f"{variable[:80]} names no limit; {hint}") from None
            except ValueError as error:
                raise LimitsError(f"{variable}: {error}") from None
    changes.update(pairs)
    try:
        return replaced(SERVER_LIMITS, changes)
    except ValueError as error:
        raise LimitsError(str(error)) from None


def described() -> str:
    """All limits as readable text."""
    lines = [f"Limits of h2o-otel. Set one with --limit NAME=VALUE, or with {ENVIRONMENT}NAME in the environment."]
    for row in _BOUNDS.values():
        lines += ["", f"{row.name} = {_shown(row)}", *textwrap.wrap(f"{row.meaning} {row.reached} {row.change}", 96, **_INDENTED)]
    return "\n".join(lines)


_INDENTED: Any = {"initial_indent": "    ", "subsequent_indent": "    "}


def _shown(row: Bound) -> str:
    default = "none" if row.default is None else str(row.default)
    unit = f" {row.unit}" if row.unit else ""
    none = ", or none" if row.optional and row.default is not None else ""
    side = "" if row.side == "both" else f" ({row.side}s)"
    return f"{default}{unit}{none}{side}"
