"""The result as a table for terminals and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["page", "plain", "rows_table", "whole_table"]

Cells = list[list[str]]


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _amount(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _pair(row: dict[str, Any], key: str, digits: int = 1) -> str:
    on, off = row["on"][key], row["off"][key]
    return f"{_amount(on, digits)} / {_amount(off, digits)}"


_HEADING = "row|optimisation|switch|CPU us|best|median|allocations||wire B||peak KiB||GC us/1000|goal|verdict|estimate"


def rows_table(rows: Sequence[dict[str, Any]]) -> Cells:
    """Heading and one line per row; each pair is on / off, a number behind it is on as a part of off."""
    cells = [_HEADING.split("|")]
    for row in rows:
        ratios = row["ratios"]
        cells.append(
            [
                row["number"],
                row["name"],
                row["switch"] + ("" if row["default"] else " (off by default)"),
                _pair(row, "cpu_us", 2),
                _times(ratios["cpu"]),
                _times(ratios["cpu_median"]),
                _pair(row, "allocations"),
                _times(ratios["allocations"]),
                _pair(row, "wire_bytes", 0),
                _times(ratios["wire"]),
                f"{row['on']['peak_bytes'] / 1024:,.0f} / {row['off']['peak_bytes'] / 1024:,.0f}",
                _times(ratios["memory"]),
                _pair(row, "gc_pause_us", 0),
                row["goal"],
                row["verdict"],
                row["estimate"],
            ]
        )
    return cells


# What each line of the whole is, the key, and the checklist's floor against the runtime with everything off.
_WHOLE = (
    ("CPU us per request", "cpu_us", 2, "-30 %"),
    ("requests per CPU second", "rate", 0, "+100 %"),
    ("p95 of one request, CPU us", "p95_us", 1, "-50 %"),
    ("peak memory, KiB", "peak", 0, "-40 %"),
    ("allocations per request", "allocations", 1, ""),
    ("GC pause, us per 1,000 requests", "gc_pause_us", 1, "-50 %"),
    ("octets on the wire", "wire_bytes", 0, ""),
)


def whole_table(whole: dict[str, Any]) -> Cells:
    """Default, everything off, and the reference engine."""
    names = list(whole["variants"])
    cells = [[whole["name"], *names, "change to " + names[1], "change to " + names[-1], "floor"]]
    for title, key, digits, floor in _WHOLE:
        values = [_whole_value(whole["variants"][name], key) for name in names]
        changes = [_change(values[0], other) for other in (values[1], values[-1])]
        cells.append([title, *(_amount(value, digits) for value in values), *changes, floor])
    return cells


def _whole_value(figures: dict[str, Any], key: str) -> float | None:
    if key == "rate":
        return 1e6 / float(figures["cpu_us"])
    if key == "peak":
        return float(figures["peak_bytes"]) / 1024
    value = figures[key]
    return None if value is None else float(value)


def _change(value: float | None, other: float | None) -> str:
    return "-" if value is None or not other else f"{(value / other - 1) * 100:+.0f} %"


def plain(cells: Cells) -> str:
    """Aligned columns."""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(cells: Cells) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cell or " " for cell in row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]])


_PAGE = """# What each optimisation is worth

Written by `{command}`; do not edit.
{heading}.

Each row does the same work with its switch on and off, in turns.
Pairs are on / off, and a number behind a pair is on as a part of off, so below 1 the optimisation pays.
`best` compares the least CPU time of the rounds and `median` the middle one; allocations and octets on the wire are exact.
The verdict is about the row's goal and begins at two per cent: `pays`, `even` or `costs`.
The estimate is the goal that was set for the row's layer as a whole.
Switches are fields of `h2o_otel.Tuning`."""


def page(result: dict[str, Any], heading: str, command: str) -> str:
    """The whole result as a page of the documentation."""
    parts = [_PAGE.format(command=command, heading=heading), "## Row by row", markdown(rows_table(result["rows"]))]
    notes = [f"- {row['number']} {row['name']}, {row['note']}" for row in result["rows"] if row["note"]]
    if notes:
        parts += ["What the other side of a row is:", "\n".join(notes)]
    if result["whole"]:
        parts.append("## The whole")
        parts.append(
            "The runtime as it is, with everything off, and with everything off on the `h2` library, beside the goal that was set."
        )
        parts += [markdown(whole_table(whole)) for whole in result["whole"]]
    if result["missing"]:
        parts.append(result["missing"] + ".")
    return "\n\n".join(parts) + "\n"
