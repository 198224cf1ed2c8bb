"""Run the ablation.

python -m benchmarks.ablation [--quick] [--rows NUMBER|SECTION|SWITCH ...] [--no-whole] [--json FILE] [--markdown FILE]

Each row does the same work with its switch on and off, in turns.  Ratios are on as a part of off:
below 1 the optimisation pays.  Read the ratios, and only within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from h2o_otel import __version__, _pure

from . import report
from .row import Row
from .runner import Runner, find_rows
from .whole import measure_whole


def _machine() -> dict[str, Any]:
    return {
        "version": __version__,
        "build": _pure.build(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _heading(result: dict[str, Any]) -> str:
    m = result["machine"]
    return (
        f"h2o-otel {m['version']} {m['build']}, {m['python']}, {m['machine']}, {m['cores']} cores, {m['date']}; "
        f"{result['rounds']} rounds of {result['seconds']:g} s for each side"
    )


def _measure(runner: Runner, rows: list[Row], quiet: bool) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    found, failed = [], []
    for row in rows:
        try:
            result = runner.measure(row)
        except Exception as error:
            failed.append({"number": row.number, "name": row.name, "error": f"{type(error).__name__}: {error}"})
            print(f"{row.number:5} {row.name}: FAILED: {error!r}", file=sys.stderr)
            continue
        found.append(result)
        if not quiet:
            noise = max(_noise(result["on"]), _noise(result["off"]))
            ratio = result["ratios"][row.goal]
            text = "-" if ratio is None else f"{ratio:.3f}"
            print(f"{row.number:5} {row.name}: {row.goal} {text} ({result['verdict']}; noise {noise:.0%})", file=sys.stderr, flush=True)
    return found, failed


def _noise(figures: dict[str, Any]) -> float:
    rounds = sorted(figures["cpu_rounds"])
    return float(rounds[len(rounds) // 2] / rounds[0] - 1)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description="Every optimisation on and off on the same work.")
    parser.add_argument("--rows", nargs="+", default=[], metavar="WHICH", help="numbers (5.3), sections (5) or switches; all without it")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2, help="CPU time of a round (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.05 s")
    parser.add_argument("--no-whole", action="store_true", help="leave out the comparison of the whole with everything off and with h2")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--markdown", type=Path, help="write a page there")
    arguments = parser.parse_args(argv)
    rows = find_rows(arguments.rows)
    if arguments.list:
        for row in rows:
            print(f"{row.number:5} {row.switch:30} {row.name}")
        return 0
    if not rows and arguments.rows:
        parser.error(f"there is no row {' or '.join(arguments.rows)}")
    runner = Runner(3, 0.05) if arguments.quick else Runner(arguments.rounds, arguments.seconds)
    found, failed = _measure(runner, rows, quiet=False)
    result: dict[str, Any] = {
        "benchmark": "ablation",
        "machine": _machine(),
        "rounds": runner.rounds,
        "seconds": runner.seconds,
        "rows": found,
        "failed": failed,
        "whole": [] if arguments.no_whole else measure_whole(runner),
        "missing": runner.allocations.missing,
    }
    _write(result, arguments.json, arguments.markdown)
    return 1 if failed else 0


def _write(result: dict[str, Any], json_path: Path | None, markdown_path: Path | None) -> None:
    heading = _heading(result)
    tables = [report.rows_table(result["rows"])] if result["rows"] else []
    tables += [report.whole_table(whole) for whole in result["whole"]]
    print("\n" + heading)
    for cells in tables:
        print("\n" + report.plain(cells))
    if result["missing"]:
        print("\n" + result["missing"])
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if markdown_path is not None:
        markdown_path.write_text(
            report.page(result, heading, "python -m benchmarks.ablation --markdown docs/ablation.md"), encoding="utf-8"
        )


if __name__ == "__main__":
    sys.exit(main())
