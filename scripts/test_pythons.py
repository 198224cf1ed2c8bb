"""Run the suite on the other CPythons of this machine: 3.11 to 3.14, except that which runs this script.

    python scripts/test_pythons.py          a part of the suite: pure on each, compiled on the newest, three minutes of tests at most
    python scripts/test_pythons.py --all    the whole suite on each, compiled
    python scripts/test_pythons.py --list   say which there are, and stop

They are looked for as ``pythonX.Y`` on PATH and below ``~/.pyenv/versions``; of several releases of
one minor version the newest is taken.  Each gets a virtual environment in ``build/pythons``, where
its packages and a log of pip stay.  What is missing is named, and is no failure; a part of the
suite that fails is one.  More arguments after ``--`` go to pytest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / "build" / "pythons"
MINORS = ((3, 11), (3, 12), (3, 13), (3, 14))
SECONDS_MAX = 180
# The parts that depend most on the interpreter come first and are short, so that even a busy machine runs them on
# each: import, loops, tasks, the collector, one client and server.  Parsers come last.
PARTS = {
    "first": [
        "tests/unit/test_rules.py",
        "tests/unit/test_public.py",
        "tests/unit/io/test_transport.py",
        "tests/unit/io/test_asyncio.py",
        "tests/unit/server/test_tasks.py",
        "tests/unit/server/test_disconnect.py",
        "tests/unit/memory/test_growth.py",
        "tests/unit/memory/test_gcwatch.py",
        "tests/integration/test_client.py",
    ],
    "io": ["tests/unit/io", "tests/unit/memory", "tests/unit/tls"],
    "engine": ["tests/unit/protocol", "tests/unit/streams", "tests/unit/frames", "tests/unit/buffers", "tests/unit/hpack"],
    "server": ["tests/unit/server", "tests/integration/test_server_frameworks.py"],
    "client": ["tests/unit/client", "tests/unit/pool", "tests/integration/test_client_budgets.py"],
    "telemetry": ["tests/unit/telemetry", "tests/telemetry", "tests/unit/test_declarations.py", "tests/unit/test_counters.py"],
}
WHOLE = {"the suite": ["tests"]}
PROBE = """
import json, os, sys, sysconfig
def has(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "final": sys.version_info.releaselevel == "final",
    "executable": os.path.realpath(sys.executable),
    "gil": not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "venv": has("venv") and has("ensurepip"),
    "headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
}))
"""


@dataclass(frozen=True, order=True)
class Python:
    """An interpreter of this machine."""

    version: tuple[int, int, int]
    executable: str
    venv: bool = True
    headers: bool = True

    @property
    def minor(self) -> tuple[int, int]:
        return self.version[:2]

    @property
    def name(self) -> str:
        return ".".join(map(str, self.version))


@dataclass
class Report:
    """The interpreters tried and those missing, one line each."""

    lines: list[str] = field(default_factory=list)
    failed: bool = False

    def say(self, line: str) -> None:
        self.lines.append(line)
        print(f"pythons: {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="the whole suite, compiled, on each")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    parser.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="for pytest, after --")
    options = parser.parse_args()
    here = sys.version_info[:2]
    pythons = newest_of_each([probe(path) for path in candidates()], here)
    report = Report()
    missing = [".".join(map(str, minor)) for minor in MINORS if minor != here and minor not in {python.minor for python in pythons}]
    report.say(f"this is {'.'.join(map(str, sys.version_info[:3]))}; also here: {', '.join(python.name for python in pythons) or 'none'}")
    if not options.list:
        run_all(pythons, options.all, options.pytest, report)
        print("\n==> other Pythons")
        for line in report.lines:
            print(f"pythons: {line}")
    print(f"pythons: missing here (PATH, ~/.pyenv/versions): {', '.join(missing) or 'none'}", flush=True)
    return 1 if report.failed else 0


# -- which there are


def candidates(path: str | None = None, home: Path | None = None) -> list[str]:
    """Files that may be an interpreter of a wanted version."""
    folders = [Path(folder) for folder in (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep) if folder]
    found = [folder / f"python{major}.{minor}" for folder in folders for major, minor in MINORS]
    versions = (Path.home() if home is None else home) / ".pyenv" / "versions"
    found += sorted(versions.glob("*/bin/python"))
    return [str(each) for each in found if os.access(each, os.X_OK)]


def probe(executable: str) -> Python | None:
    """The kind of Python; None if it does not run or is not supported."""
    try:
        done = subprocess.run([executable, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=False, cwd="/")
        told = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # such as a shim of pyenv for a version that is not chosen
    if told["implementation"] != "cpython" or not told["gil"] or not told["final"]:
        return None
    major, minor, micro = told["version"]
    return Python((major, minor, micro), told["executable"], told["venv"], told["headers"])


def newest_of_each(found: Iterable[Python | None], here: tuple[int, int]) -> list[Python]:
    """The newest release of each wanted minor version but that of ``here``, oldest first; one that can make environments is preferred."""
    best: dict[tuple[int, int], Python] = {}
    for python in found:
        if python is None or python.minor == here or python.minor not in MINORS:
            continue
        known = best.get(python.minor)
        if known is None or (python.venv, python.version) > (known.venv, known.version):
            best[python.minor] = python
    return sorted(best.values())


# -- running


def run_all(pythons: list[Python], whole: bool, arguments: list[str], report: Report) -> None:
    """Install on each, then run part after part on all of them, so that each has had the first ones when the time is over."""
    runs: list[tuple[Python, Path, bool]] = []
    for python in pythons:
        try:
            venv = install(python)
            if not whole:
                runs.append((python, venv, False))
            if whole or python is pythons[-1]:
                compile_in_place(python, venv)
                runs.append((python, venv, True))
        except Unusable as reason:
            report.say(f"{python.name}: NOT TRIED: {reason}")
            report.failed |= whole
        except NotCompiled as reason:
            report.say(f"{python.name}: FAILED: {reason}")
            report.failed = True
    ends = None if whole else time.monotonic() + SECONDS_MAX
    tallies = {(python, compiled): Tally(python, compiled) for python, _, compiled in runs}
    for name, paths in (WHOLE if whole else PARTS).items():
        for python, venv, compiled in runs:
            tallies[python, compiled].add(name, run_part(venv, compiled, paths, arguments, ends))
    for tally in tallies.values():
        report.say(tally.line)
        report.failed |= bool(tally.failed)


@dataclass
class Tally:
    """The result of one interpreter, compiled or pure."""

    python: Python
    compiled: bool
    passed: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    def add(self, part: str, result: tuple[str, int, float]) -> None:
        outcome, passed, seconds = result
        self.passed += passed
        self.seconds += seconds
        if outcome != "passed":
            (self.cut if outcome == "cut" else self.failed).append(part)

    @property
    def line(self) -> str:
        way = "compiled" if self.compiled else "pure"
        text = f"{self.python.name} {way}: {self.passed} tests passed in {self.seconds:.0f} s"
        if self.failed:
            text += f"; FAILED: {', '.join(self.failed)}"
        if self.cut:
            text += f"; no time for: {', '.join(self.cut)}"
        return text


def run_part(venv: Path, compiled: bool, paths: list[str], arguments: list[str], ends: float | None) -> tuple[str, int, float]:
    """``passed``, ``failed`` or ``cut`` (the time was over), the number of tests that passed, and the seconds."""
    left = None if ends is None else ends - time.monotonic()
    if left is not None and left <= 0:
        return "cut", 0, 0.0
    environment = {name: value for name, value in os.environ.items() if name != "H2O_OTEL_PURE"}
    environment["H2O_OTEL_EXPECT"] = "compiled" if compiled else "pure"
    if not compiled:
        environment["H2O_OTEL_PURE"] = "1"
    command = [str(venv / "bin" / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, *paths]
    print(f"==> {venv.name}, {environment['H2O_OTEL_EXPECT']}: {' '.join(paths)}", flush=True)
    started = time.monotonic()
    log = venv / f"tests-{environment['H2O_OTEL_EXPECT']}.log"
    # A session of its own, because tests start programs, which end with it.
    with log.open("w+", encoding="utf-8") as output:
        pytest = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            pytest.wait(left)
        except subprocess.TimeoutExpired:
            return "cut", 0, time.monotonic() - started
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pytest.pid, signal.SIGKILL)
            pytest.wait()
        output.seek(0)
        text = output.read()
    counted = re.findall(r"(\d+) passed", text.rstrip().rpartition("\n")[2])
    if pytest.returncode:
        print(text, flush=True)
    return "failed" if pytest.returncode else "passed", int(counted[0]) if counted else 0, time.monotonic() - started


# -- installing


class Unusable(Exception):
    """Why an interpreter cannot run the suite, or not compiled: the machine lacks something."""


class NotCompiled(Exception):
    """The modules cannot be compiled though everything is there."""


def install(python: Python) -> Path:
    """The environment of ``python`` with all dependencies and the sources of this checkout."""
    if not python.venv:
        raise Unusable(f"it cannot make virtual environments (Debian: apt-get install python{python.version[0]}.{python.version[1]}-venv)")
    venv = VENVS / python.name
    stamp = venv / "installed"
    if not (venv / "bin" / "python").exists():
        print(f"==> creating {venv.relative_to(ROOT)}", flush=True)
        VENVS.mkdir(parents=True, exist_ok=True)
        ask([python.executable, "-m", "venv", "--clear", str(venv)], VENVS / f"{python.name}.log", "its virtual environment was not made")
    wanted = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"==> installing what the suite needs for {python.name}", flush=True)
        ask([*pip, "--editable", ".[dev]"], venv / "install.log", "its dependencies cannot be installed", H2O_OTEL_PURE="1")
        stamp.write_text(wanted, encoding="utf-8")
    return venv


def compile_in_place(python: Python, venv: Path) -> None:
    """Compiled modules of several versions stand beside each other; what did not change is taken from build/cache."""
    if not (python.headers and shutil.which((os.environ.get("CC") or "cc").split()[0])):
        raise Unusable("a C compiler and its Python.h are needed to compile for it")
    print(f"==> compiling for {python.name}", flush=True)
    build = [str(venv / "bin" / "python"), "setup.py", "build_ext", "--inplace"]
    try:
        ask(build, venv / "compile.log", "its modules were not compiled", H2O_OTEL_REQUIRE_CYTHON="1")
    except Unusable as error:
        raise NotCompiled(str(error)) from None


def ask(command: list[str], log: Path, reason: str, **environment: str) -> None:
    """Run it with its output in ``log``; Unusable with the ``reason`` when it fails."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("H2O_OTEL_PURE", "H2O_OTEL_REQUIRE_CYTHON")}
    with log.open("w", encoding="utf-8") as sink:
        done = subprocess.run(command, cwd=ROOT, env=inherited | environment, stdout=sink, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise Unusable(f"{reason} (see {log.relative_to(ROOT)})")


if __name__ == "__main__":
    sys.exit(main())
