"""CPU time of a request on our server beside Granian, h2corn, Hypercorn and uvicorn, under h2load; and what telemetry costs.

Every server runs the same application in one process with one worker; the figure is the CPU time of
that process with its threads and children, for each request.  The servers take turns, and the best
round of each counts: on a shared machine read the ratios, and only within one run.

uvicorn speaks HTTP/1.1 alone: it gets a connection for each request that the others have on a stream.

    python benchmarks/server.py [--quick] [--only TEXT] [--scenario TEXT] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common

from h2o_otel.tls.certificates import Authority, Certificate

APP = """
LARGE = bytes(range(256)) * 4096


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["method"] == "POST":
        while (await receive()).get("more_body", False):
            pass
    body = LARGE if scope["path"] == "/large" else b"hello"
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""

UPLOAD_BYTES = 1_048_576

# It ends connections after 1000 requests, and h2load does not connect again.
HYPERCORN = "keep_alive_max_requests = 1000000000\n"


@dataclasses.dataclass(frozen=True)
class Server:
    """A subject: how it is started, the part of the requests that it needs for a fair figure, and whether it is asked in HTTP/1.1."""

    name: str
    distribution: str
    command: Callable[[int, Certificate | None], list[str]]
    part: float = 1.0
    http1: bool = False


def ours(loop: str, level: str = "metrics") -> Callable[[int, Certificate | None], list[str]]:
    def command(port: int, tls: Certificate | None) -> list[str]:
        secure = ["--ssl-certfile", str(tls.certificate), "--ssl-keyfile", str(tls.key)] if tls else []
        start = [sys.executable, "-m", "h2o_otel", "serve", "application:app", "--port", str(port), "--loop", loop]
        return [*start, "--telemetry", level, *secure]

    return command


def granian(port: int, tls: Certificate | None) -> list[str]:
    secure = ["--ssl-certificate", str(tls.certificate), "--ssl-keyfile", str(tls.key)] if tls else []
    start = [common.find_program("granian"), "application:app", "--interface", "asgi", "--http", "2", "--port", str(port)]
    return [*start, "--loop", "uvloop", "--no-ws", "--workers", "1", *secure]


def h2corn(port: int, tls: Certificate | None) -> list[str]:
    secure = ["--certfile", str(tls.certificate), "--keyfile", str(tls.key)] if tls else []
    return [common.find_program("h2corn"), "application:app", "--port", str(port), "--loop", "uvloop", "--workers", "1", *secure]


def hypercorn(port: int, tls: Certificate | None) -> list[str]:
    secure = ["--certfile", str(tls.certificate), "--keyfile", str(tls.key)] if tls else []
    start = [common.find_program("hypercorn"), "application:app", "--bind", f"127.0.0.1:{port}", "--worker-class", "uvloop"]
    return [*start, "--config", "hypercorn.toml", *secure]


def uvicorn(port: int, tls: Certificate | None) -> list[str]:
    secure = ["--ssl-certfile", str(tls.certificate), "--ssl-keyfile", str(tls.key)] if tls else []
    start = [sys.executable, "-m", "uvicorn", "application:app", "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    return [*start, "--no-access-log", "--log-level", "warning", *secure]


SERVERS = [
    Server("h2o-otel asyncio", common.OURS, ours("asyncio")),
    Server("h2o-otel uvloop", common.OURS, ours("uvloop")),
    Server("granian", "granian", granian),
    Server("h2corn", "h2corn", h2corn),
    Server("hypercorn", "hypercorn", hypercorn, part=0.1),
    Server("uvicorn, HTTP/1.1", "uvicorn", uvicorn, http1=True),
]
LEVELS = [Server(f"h2o-otel {level}", common.OURS, ours("uvloop", level)) for level in ("off", "metrics", "traces")]


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    connections: int
    streams: int
    requests: int
    path: str = "/"
    upload: bool = False
    tls: bool = False


SCENARIOS = [
    Scenario("GET 1x100", 1, 100, 20_000),
    Scenario("GET 10x10", 10, 10, 20_000),
    Scenario("GET 1x1", 1, 1, 4000),
    Scenario("GET 1 MiB 1x4", 1, 4, 300, path="/large"),
    Scenario("POST 1 MiB 1x4", 1, 4, 300, upload=True),
    Scenario("TLS GET 1x100", 1, 100, 20_000, tls=True),
    Scenario("TLS GET 10x10", 10, 10, 20_000, tls=True),
    Scenario("TLS GET 1 MiB 1x4", 1, 4, 200, path="/large", tls=True),
    Scenario("TLS POST 1 MiB 1x4", 1, 4, 200, upload=True, tls=True),
]


class Running:
    """The processes of one server, in cleartext and over TLS, started when they are first wanted."""

    def __init__(self, server: Server, folder: Path, tls: Certificate, stack: contextlib.ExitStack) -> None:
        self.server = server
        self.folder = folder
        self.certificate = tls
        self.stack = stack
        self.started: dict[bool, tuple[int, subprocess.Popen[bytes]]] = {}
        self.failures: set[str] = set()

    def at(self, tls: bool) -> tuple[int, subprocess.Popen[bytes]]:
        if tls not in self.started:
            port = common.free_port()
            command = self.server.command(port, self.certificate if tls else None)
            self.started[tls] = port, self.stack.enter_context(common.running(command, port, self.folder))
        return self.started[tls]

    def load(self, scenario: Scenario, requests: int) -> float:
        """Run the load; CPU microseconds of the server for each request."""
        port, process = self.at(scenario.tls)
        before = common.cpu_s(process.pid)
        run_h2load(self.h2load(scenario, port, requests), requests)
        return (common.cpu_s(process.pid) - before) * 1e6 / requests

    def instructions(self, scenario: Scenario, requests: int) -> float:
        """The same in instructions for each request, where ``perf`` can count them."""
        port, process = self.at(scenario.tls)
        pids = ",".join(map(str, (process.pid, *common.descendants(process.pid))))
        count = self.folder / "count"
        perf = [common.find_program("perf"), "stat", "-x,", "-o", str(count), "-e", "instructions", "-p", pids, "--"]
        run_h2load([*perf, *self.h2load(scenario, port, requests)], requests)
        found = re.search(r"^(\d+),", count.read_text(), re.MULTILINE)
        if found is None:
            raise common.Missing("perf counted no instructions")
        return int(found[1]) / requests

    def h2load(self, scenario: Scenario, port: int, requests: int) -> list[str]:
        url = f"{'https' if scenario.tls else 'http'}://127.0.0.1:{port}{scenario.path}"
        connections, streams = scenario.connections, scenario.streams
        if self.server.http1:
            connections, streams = connections * streams, 1
        command = [common.find_program("h2load"), "-n", str(requests), "-c", str(connections), "-m", str(streams)]
        # Windows that are never the limit.
        command += ["--h1"] if self.server.http1 else ["-w", "30", "-W", "30"]
        if scenario.upload:
            command += ["-d", str(self.folder / "upload")]
        return [*command, url]


def run_h2load(command: list[str], requests: int) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if f"{requests} succeeded, 0 failed, 0 errored" not in done.stdout:
        lines = [line for line in done.stdout.splitlines() if line.startswith(("requests:", "status codes:"))]
        raise common.Missing(f"h2load: {'; '.join(lines) or done.stderr.strip() or done.stdout.strip()}")


def available(servers: list[Server], folder: Path, tls: Certificate, stack: contextlib.ExitStack) -> dict[str, Running]:
    """Those that are installed and can be started."""
    found = {}
    for server in servers:
        try:
            common.version(server.distribution)
            subject = Running(server, folder, tls, stack)
            subject.at(False)
        except common.Missing as error:
            print(f"left out: {server.name}: {error}", file=sys.stderr)
        else:
            found[server.name] = subject
    return found


def compare(scenario: Scenario, subjects: dict[str, Running], rounds: int, part: float) -> list[dict[str, Any]]:
    """All subjects in turns at one scenario, each warmed up before."""
    counts = {}
    for name, subject in subjects.items():
        multiple = scenario.connections * scenario.streams
        counts[name] = max(round(scenario.requests * part * subject.server.part) // multiple, 1) * multiple
        try:
            subject.load(scenario, max(counts[name] // 5 // multiple, 1) * multiple)
        except (common.Missing, subprocess.TimeoutExpired) as error:
            print(f"left out: {name} at {scenario.name}: {error}", file=sys.stderr)
            del counts[name]

    def measure(name: str) -> float | None:
        try:
            return subjects[name].load(scenario, counts[name])
        except (common.Missing, subprocess.TimeoutExpired) as error:
            print(f"a round failed: {name} at {scenario.name}: {error}", file=sys.stderr)
            return None

    found = common.in_turns(counts, rounds, measure)
    return common.rows_of(scenario.name, found, connections=scenario.connections, streams=scenario.streams, tls=scenario.tls)


def telemetry_cost(subjects: dict[str, Running], rounds: int) -> list[dict[str, Any]]:
    """Our server at each level of telemetry, nothing sampled: in instructions if they can be counted, otherwise CPU time."""
    scenario = SCENARIOS[0]
    # The differences are small.
    requests = scenario.requests
    counted = common.can_count_instructions()

    def measure(name: str) -> float:
        return subjects[name].instructions(scenario, requests) if counted else subjects[name].load(scenario, requests)

    for name in subjects:
        measure(name)
    best = {name: min(values) for name, values in common.in_turns(subjects, 2 * rounds, measure).items() if values}
    unit = "instructions" if counted else "us"
    base = min(best.values()) if "h2o-otel off" not in best else best["h2o-otel off"]
    return [{"level": name.split()[1], unit: round(value, 3), "more": round(value - base, 3)} for name, value in best.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="rounds of each scenario (7, or 3 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a quarter of the requests")
    parser.add_argument("--only", action="append", default=[], help="servers whose name contains this; may be repeated")
    parser.add_argument("--scenario", action="append", default=[], help="scenarios whose name contains this; may be repeated")
    parser.add_argument("--no-telemetry", action="store_true", help="leave the cost of telemetry out")
    parser.add_argument("--json", type=Path, help="save the result here")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 7)
    part = 0.25 if options.quick else 1.0
    servers = [server for server in SERVERS if not options.only or any(text in server.name for text in options.only)]
    scenarios = [each for each in SCENARIOS if not options.scenario or any(text in each.name for text in options.scenario)]
    try:
        common.find_program("h2load")
    except common.Missing as error:
        sys.exit(f"{error}: it is in the package nghttp2-client")
    rows: list[dict[str, Any]] = []
    cost: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "application.py").write_text(APP)
        (folder / "hypercorn.toml").write_text(HYPERCORN)
        (folder / "upload").write_bytes(bytes(UPLOAD_BYTES))
        tls = Authority(folder / "authority").issue()
        subjects = available(servers, folder, tls, stack)
        for scenario in scenarios:
            print(f"{scenario.name} ...", file=sys.stderr)
            rows += compare(scenario, subjects, rounds, part)
        if not options.no_telemetry:
            cost = telemetry_cost(available(LEVELS, folder, tls, stack), rounds)
    machine = common.machine()
    print(common.table(rows, f"CPU us/request, {machine['build']}"))
    print("(in brackets: the part of the best peer's)")
    for row in cost:
        print(f"telemetry {row['level']:8}" + "".join(f" {key} {value:g}" for key, value in row.items() if key != "level"))
    versions = {each.server.distribution: common.version(each.server.distribution) for each in subjects.values()}
    common.save(options.json, {"benchmark": "server", **machine, "versions": versions, "rows": rows, "telemetry": cost})


if __name__ == "__main__":
    main()
