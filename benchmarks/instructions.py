"""Instructions for each request, counted by valgrind: figures that a busy machine does not change.

    python benchmarks/instructions.py engine       the engine pair, and its parts with a switch off
    python benchmarks/instructions.py counters     the engine pair with and without every counter statement
    python benchmarks/instructions.py telemetry    server and client at each level of telemetry, everything sampled at traces

Only the requests are counted, once the program is warm: it tells valgrind when to begin and to end,
through a library of two lines that is compiled for it.  ``counters`` compiles a copy of the package from which each statement that adds to
a counter or a histogram was taken out.  Without valgrind and its headers, a C compiler, or h2load
and nghttpd for ``telemetry``, it says so and ends with status 0.

    [--requests N] [--json FILE]
"""

from __future__ import annotations

import argparse
import ast
import atexit
import functools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common

BATCH = 10
WARM = 1000
# Whose counters are taken out, for the whole engine pair.
ENGINE = ("memory", "buffers", "hpack", "frames", "streams", "protocol")

SWITCH = """
#include <valgrind/callgrind.h>
void counting_begins(void) { CALLGRIND_START_INSTRUMENTATION; }
void counting_ends(void) { CALLGRIND_STOP_INSTRUMENTATION; }
"""

BEGIN = """
import ctypes
counting = ctypes.PyDLL({library!r})
"""

PAIR = """
import sys
sys.path.append({benchmarks!r})
from engine import Ours
from h2o_otel.tuning import Tuning
pair = Ours(Tuning.parse({tuning!r}))

def run(first, last):
    for n in range(first // {batch}, last // {batch}):
        pair.exchange(n * {batch}, {batch})

run(0, {warm})
counting.counting_begins()
run({warm}, {warm} + {requests})
counting.counting_ends()
"""

APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello, world"})
"""

SERVER = """
import signal, sys
from h2o_otel.cli.main import main
signal.signal(signal.SIGUSR1, lambda *_: counting.counting_begins())
signal.signal(signal.SIGUSR2, lambda *_: counting.counting_ends())
sys.exit(main(["serve", "application:app", "--port", "{port}", "--telemetry", "{level}", "--loop", "asyncio"]))
"""

CLIENT = """
import asyncio
import h2o_otel
from h2o_otel.telemetry import configure

async def main():
    async with h2o_otel.AsyncClient(telemetry=configure("bench", level={level!r}, set_global=False)) as client:
        async def requests(n):
            async def work():
                nonlocal n
                while n > 0:
                    n -= 1
                    (await client.get({url!r})).content
            await asyncio.gather(*(work() for _ in range({batch})))
        await requests({warm})
        counting.counting_begins()
        await requests({requests})
        counting.counting_ends()

asyncio.run(main())
"""


@functools.cache
def library() -> str:
    """The library that begins and ends counting."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    folder = tempfile.mkdtemp(prefix="h2o-otel-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "counting.so")
    command = [*compiler, "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    done = subprocess.run(command, input=SWITCH, capture_output=True, text=True, check=False)
    if done.returncode:
        raise common.Missing(f"valgrind's headers or a C compiler are missing: {done.stderr.strip().splitlines()[:1]}")
    return str(path)


def counted(code: str) -> list[str]:
    """The command of a Python program that counts what it asks for."""
    valgrind = [common.find_program("valgrind"), "--tool=callgrind", "--callgrind-out-file=/dev/null", "--instr-atstart=no"]
    return [*valgrind, sys.executable, "-c", BEGIN.format(library=library()) + code]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": "0", "H2O_OTEL_PURE": ""}


def collected(log: str) -> int:
    found = re.search(r"Collected : (\d+)", log)
    if found is None:
        raise common.Missing(f"valgrind counted nothing: {log[-500:]}")
    return int(found.group(1))


def run(code: str, requests: int, folder: Path = common.ROOT) -> float:
    """Instructions of a Python program for one of its requests."""
    done = subprocess.run(counted(code), cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    if done.returncode:
        raise common.Missing(f"the program failed under valgrind: {done.stderr[-500:]}")
    return collected(done.stderr) / requests


def pair(requests: int, tuning: str = "", folder: Path = common.ROOT) -> float:
    benchmarks = str(common.ROOT / "benchmarks")
    return run(PAIR.format(benchmarks=benchmarks, tuning=tuning, requests=requests, batch=BATCH, warm=WARM), requests, folder)


# -- what is measured


def engine(requests: int) -> list[dict[str, Any]]:
    """The pair, and what each switch of the frame layer adds or saves."""
    whole = pair(requests)
    switches = ("frame_metrics", "frame_validation_cache", "frame_dispatch_table", "frame_batching", "stream_state_table")
    without = [{"name": f"without {switch}", "instructions": pair(requests, f"-{switch}"), "base": whole} for switch in switches]
    return [{"name": "engine pair", "instructions": whole}, *without]


def counters(requests: int) -> list[dict[str, Any]]:
    """All counters together: the pair against a build without them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for item in ("h2o_otel", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
            source = common.ROOT / item
            if source.is_dir():
                shutil.copytree(source, folder / item, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            else:
                shutil.copy2(source, folder / item)
        removed = sum(strip(path) for layer in ENGINE for path in sorted((folder / "h2o_otel" / layer).glob("*.py")))
        print(f"compiling a copy without {removed} counter statements", file=sys.stderr, flush=True)
        build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
        subprocess.run(build, cwd=folder, env={**os.environ, "H2O_OTEL_REQUIRE_CYTHON": "1", "H2O_OTEL_PURE": ""}, check=True)
        without = pair(requests, folder=folder)
    whole = pair(requests)
    return [
        {"name": "engine pair", "instructions": whole, "part_of_whole": (whole - without) / whole, "statements": removed},
        {"name": "without counters", "instructions": without, "base": whole},
    ]


class Strip(ast.NodeTransformer):
    """Takes out ``slots[...] += n``, ``histogram.record(value)`` and ``counters.count(...)``."""

    def __init__(self) -> None:
        self.removed = 0

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        target = node.target
        if isinstance(target, ast.Subscript) and _last_name(target.value) in ("slots", "_slots"):
            return self._nothing(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            owner = _last_name(call.func.value)
            if call.func.attr in ("record", "count", "add") and owner != "recorder" and (call.func.attr == "record" or owner == "counters"):
                return self._nothing(node)
        return node

    def _nothing(self, node: ast.AST) -> ast.AST:
        self.removed += 1
        return ast.copy_location(ast.Pass(), node)


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def strip(path: Path) -> int:
    """Take the counter statements out of a source; returns how many there were."""
    transformer = Strip()
    tree = transformer.visit(ast.parse(path.read_text(encoding="utf-8")))
    if transformer.removed:
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)) + "\n", encoding="utf-8")
    return transformer.removed


def telemetry(requests: int) -> list[dict[str, Any]]:
    """Server and client, each level against off."""
    common.find_program("h2load")
    rows = []
    for side, measure in (("server", server), ("client", client)):
        base = 0.0
        for level in ("off", "metrics", "traces"):
            found = measure(requests, level)
            rows.append({"name": f"{side}, telemetry {level}", "instructions": found, **({"base": base} if base else {})})
            base = base or found
    return rows


def server(requests: int, level: str) -> float:
    port = common.free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "application.py").write_text(APP)
        with (folder / "log").open("w+") as log:
            command = counted(SERVER.format(port=port, level=level))
            process = subprocess.Popen(command, cwd=folder, env=environment(common.ROOT), stdout=log, stderr=log)
            try:
                common.wait_for_port(port, process, 120.0)
                load(port, WARM)
                process.send_signal(signal.SIGUSR1)
                load(port, requests)
                process.send_signal(signal.SIGUSR2)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(120)
            log.seek(0)
            return collected(log.read()) / requests


def load(port: int, requests: int) -> None:
    command = [common.find_program("h2load"), "-n", str(requests), "-c", "1", "-m", str(BATCH), f"http://127.0.0.1:{port}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if f"{requests} succeeded" not in done.stdout:
        raise common.Missing(f"h2load: {done.stdout[-300:]}")


def client(requests: int, level: str) -> float:
    port = common.free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small").write_text("hello, world")
        with common.running([common.find_program("nghttpd"), "--no-tls", "-d", name, str(port)], port, folder):
            url = f"http://127.0.0.1:{port}/small"
            return run(CLIENT.format(requests=requests, level=level, url=url, batch=BATCH, warm=WARM), requests)


WHAT = {"engine": engine, "counters": counters, "telemetry": telemetry}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*WHAT, []], default=list(WHAT), help="all of them without it")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    machine = common.machine()
    print(f"h2o-otel {common.version(common.OURS)} {machine['build']}, Python {machine['python']}, {machine['machine']}")
    rows: list[dict[str, Any]] = []
    for what in arguments.what or list(WHAT):
        try:
            found = WHAT[what](arguments.requests)
        except common.Missing as reason:
            print(f"{what}: not measured: {reason}")
            continue
        for row in found:
            more = f"  {row['instructions'] - row['base']:+10,.0f}  {row['instructions'] / row['base'] - 1:+7.1%}" if "base" in row else ""
            part = f"  counters are {row['part_of_whole']:.1%}" if "part_of_whole" in row else ""
            print(f"  {row['name']:36} {row['instructions']:12,.0f} instructions{more}{part}", flush=True)
        rows += [{"what": what, **row} for row in found]
    common.save(arguments.json, {"benchmark": "instructions", **machine, "requests": arguments.requests, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
