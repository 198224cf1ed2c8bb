"""Make a virtual environment and install h2o-otel into it, editable and compiled, with progress shown.

    python3 scripts/setup_venv.py .venv dev
    python3 scripts/setup_venv.py .venv dev --only-build    after an edit of compiled modules

It runs plain pip.  pip hides what a build says, so this keeps the whole of it in a log and shows
the lines that matter.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
PYTHON_OLDEST = (3, 11)
LOG_LINES_SHOWN = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("venv", type=Path)
    parser.add_argument("extra", help="the extra to install: dev, demo, bench ...")
    parser.add_argument("--only-build", action="store_true", help="compile again, leave the dependencies as they are")
    options = parser.parse_args()
    if sys.version_info < PYTHON_OLDEST:
        found, oldest = (".".join(map(str, v)) for v in (sys.version_info[:3], PYTHON_OLDEST))
        print(f"h2o-otel needs Python {oldest} or later, and {sys.executable} is {found}; run: make PYTHON=python3.12 ...", file=sys.stderr)
        return 1
    os.chdir(ROOT)
    started = time.monotonic()
    python = options.venv / "bin" / "python"
    if not python.exists():
        create(options.venv)
    install(python, options)
    built = subprocess.run([python, "-c", "from h2o_otel import _pure; print(_pure.build())"], capture_output=True, text=True, check=False)
    if built.returncode:
        print(built.stderr, file=sys.stderr)
        return 1
    print(
        f"==> ready in {time.monotonic() - started:.0f} s: h2o-otel[{options.extra}], {built.stdout.strip()}, in {options.venv}", flush=True
    )
    return 0


def create(venv: Path) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"==> creating the virtual environment {venv} (Python {version})", flush=True)
    done = subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        sys.exit("python3 -m venv failed; on Debian and Ubuntu it needs: apt-get install python3-venv")


def install(python: Path, options: argparse.Namespace) -> None:
    log = options.venv / "install.log"
    command = [str(python), "-m", "pip", "install", "--verbose", "--disable-pip-version-check", "--no-input"]
    command += ["--editable", "." if options.only_build else f".[{options.extra}]"]
    if options.only_build:
        command += ["--no-deps"]
        if subprocess.run([python, "-c", "import Cython, setuptools"], capture_output=True, check=False).returncode == 0:
            command += ["--no-build-isolation"]
        print("==> compiling what changed", flush=True)
    else:
        print(f"==> installing h2o-otel[{options.extra}] and what it needs (everything pip says: {log})", flush=True)
    with (
        log.open("w") as sink,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as pip,
    ):
        assert pip.stdout is not None
        show(lines(pip.stdout, sink))
    if pip.returncode:
        tail = log.read_text().splitlines()[-LOG_LINES_SHOWN:]
        sys.exit("\n".join([*tail, f"pip failed; the whole of it is in {log}"]))


def lines(stream: Iterable[str], sink: TextIO) -> Iterator[str]:
    """Each line on its way into the log."""
    for line in stream:
        sink.write(line)
        sink.flush()
        yield line.rstrip()


def show(found: Iterator[str]) -> None:
    """The build's own lines, and a count of what pip collects (indented lines are about the tools of the build)."""
    live = sys.stdout.isatty()
    looked_at = 0
    for line in found:
        build = line.strip()
        if build.startswith("h2o-otel: "):
            print(f"    {build.removeprefix('h2o-otel: ')}", flush=True)
        elif line.startswith(("Collecting ", "Requirement already satisfied: ")):
            looked_at += 1
            if live:
                print(f"\r    dependencies: {looked_at:<60}", end="", flush=True)
        elif line.startswith("Installing collected packages"):
            start = "\r" if live else ""
            print(f"{start}    dependencies: {looked_at} looked at, installing {line.count(',') + 1:<40}".rstrip(), flush=True)
    if live:
        print()


if __name__ == "__main__":
    sys.exit(main())
