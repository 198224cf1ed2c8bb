"""What the benchmarks of servers and clients share: programs, processes and their CPU time, rounds, tables, JSON.

Import it first: it puts the repository before this folder on the import path, where ``hpack.py``
would hide the library of that name.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or os.curdir).resolve() not in (ROOT, ROOT / "benchmarks"))]

# nginx, nghttpd and h2o are in sbin on Debian, which is not on a user's path.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
OURS = "h2o-otel"


class Missing(Exception):
    """A peer or a program is not installed; the text says which."""


def find_program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        raise Missing(f"the program {name} is not installed")
    return found


def version(distribution: str) -> str:
    if distribution == OURS:
        import h2o_otel

        return h2o_otel.__version__
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise Missing(f"the package {distribution} is not installed") from error


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        if process.poll() is not None:
            raise Missing(f"{process.args!r} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise Missing(f"{process.args!r} does not listen after {seconds:g} s") from None
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def running(command: Sequence[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that listens on ``port``; it and its children are gone afterwards."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for_port(port, process)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# -- CPU time


def cpu_s(pid: int) -> float:
    """CPU time of a process with all its threads, also those that ended, and of its living descendants."""
    return sum(map(_cpu_of, (pid, *descendants(pid))))


def _cpu_of(pid: int) -> float:
    try:
        # The CPU clock of another process, in nanoseconds: clock_getcpuclockid(3) on Linux.
        return time.clock_gettime_ns((~pid << 3) | 2) * 1e-9
    except OSError:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def can_count_instructions() -> bool:
    """Whether ``perf`` can; most virtual machines hide the counter."""
    try:
        perf = find_program("perf")
    except Missing:
        return False
    done = subprocess.run([perf, "stat", "-x,", "-e", "instructions", "true"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and "not supported" not in done.stderr and "not counted" not in done.stderr


# -- results


def machine() -> dict[str, Any]:
    from h2o_otel import _pure

    return {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(), "build": _pure.build()}


def in_turns(names: Iterable[str], rounds: int, measure: Callable[[str], float | None]) -> dict[str, list[float]]:
    """Every name once a round, in an order that turns, so that a busy moment does not always hit the same one.

    A round that fails is None, and left out.
    """
    order = list(names)
    found: dict[str, list[float]] = {name: [] for name in order}
    for i in range(rounds):
        at = i % len(order) if order else 0
        for name in order[at:] + order[:at]:
            value = measure(name)
            if value is not None:
                found[name].append(value)
    return found


def is_ours(name: str) -> bool:
    return name.split()[0] == OURS


def rows_of(scenario: str, found: dict[str, list[float]], **more: Any) -> list[dict[str, Any]]:
    """A row per subject: its best round, and that as a part of the best peer's."""
    best = {name: min(values) for name, values in found.items() if values}
    peers = [us for name, us in best.items() if not is_ours(name)]
    return [
        {
            "scenario": scenario,
            "name": name,
            "us": round(us, 3),
            "to_best_peer": round(us / min(peers), 3) if peers else None,
            "rounds": [round(value, 3) for value in found[name]],
            **more,
        }
        for name, us in best.items()
    ]


def table(rows: Sequence[dict[str, Any]], unit: str) -> str:
    """Scenarios down, subjects across; for ours also the part of the best peer's CPU time."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows))
    width = max(map(len, [*scenarios, unit]))
    widths = {name: max(len(name), 14) for name in names}
    lines = [f"{unit:{width}}" + "".join(f"  {name:>{widths[name]}}" for name in names)]
    by_key = {(row["scenario"], row["name"]): row for row in rows}
    for scenario in scenarios:
        line = f"{scenario:{width}}"
        for name in names:
            row = by_key.get((scenario, name))
            text = "-"
            if row is not None:
                text = f"{row['us']:.1f}"
                if is_ours(name) and row["to_best_peer"] is not None:
                    text += f" ({row['to_best_peer']:.2f})"
            line += f"  {text:>{widths[name]}}"
        lines.append(line)
    return "\n".join(lines)


def save(path: Path | None, result: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")
