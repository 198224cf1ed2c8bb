"""CPU time of a request of our client beside httpunk, pycurl and httpx, against nghttpd.

Each client runs in a process of its own and measures its own CPU time, all threads included: 100
tasks that share one connection, one request after the other, and large bodies.  The clients take
turns, and the best round of each counts: on a shared machine read the ratios, and only within one run.

    python benchmarks/client.py [--quick] [--only TEXT] [--scenario TEXT] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import common

Fetch = Callable[[], Awaitable[int]]


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    tasks: int
    requests: int
    path: str = "small"
    tls: bool = False


SCENARIOS = [
    Scenario("100 tasks", 100, 20_000),
    Scenario("one at a time", 1, 3000),
    Scenario("1 MiB x4", 4, 200, "large"),
    Scenario("TLS 100 tasks", 100, 20_000, tls=True),
    Scenario("TLS one at a time", 1, 3000, tls=True),
    Scenario("TLS 1 MiB x4", 4, 200, "large", tls=True),
]


@dataclasses.dataclass(frozen=True)
class Client:
    """A subject, and the part of the requests that it needs for a fair figure."""

    name: str
    distribution: str
    part: float = 1.0


CLIENTS = [
    Client("h2o-otel asyncio", common.OURS),
    Client("h2o-otel uvloop", common.OURS),
    Client("httpunk", "httpunk"),
    Client("pycurl", "pycurl"),
    Client("httpx", "httpx", part=0.1),
]


# -- what a client process runs


async def in_tasks(fetch: Fetch, tasks: int, requests: int) -> None:
    left = requests

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await fetch()

    await asyncio.gather(*(work() for _ in range(tasks)))


async def measured(fetch: Fetch, scenario: Scenario, requests: int) -> float:
    size = await fetch()
    assert size >= (1_048_576 if scenario.path == "large" else 1), f"a body of {size} octets"
    await in_tasks(fetch, scenario.tasks, max(requests // 5, scenario.tasks))
    before = time.process_time_ns()
    await in_tasks(fetch, scenario.tasks, requests)
    return (time.process_time_ns() - before) / 1000 / requests


async def run_ours(url: str, ca: str, scenario: Scenario, requests: int) -> float:
    import h2o_otel

    async with h2o_otel.AsyncClient(verify=ca) as client:

        async def fetch() -> int:
            return len((await client.get(url)).content)

        return await measured(fetch, scenario, requests)


async def run_httpx(url: str, ca: str, scenario: Scenario, requests: int) -> float:
    import ssl

    import httpx

    context = ssl.create_default_context(cafile=ca)
    async with httpx.AsyncClient(http1=False, http2=True, verify=context, limits=httpx.Limits(max_connections=1)) as client:

        async def fetch() -> int:
            return len((await client.get(url)).content)

        return await measured(fetch, scenario, requests)


async def run_httpunk(url: str, ca: str, scenario: Scenario, requests: int) -> float:
    import ssl
    from urllib.parse import urlsplit

    import httpunk
    from httpunk.util import connect

    parts = urlsplit(url)
    assert parts.port is not None
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["h2"])
        connection: Any = await connect(url, backend=httpunk.Backend.asyncio, ssl_context=context)
    else:
        from httpunk._backend import resolve

        transport = await resolve(httpunk.Backend.asyncio).connect_tcp(parts.hostname, parts.port)
        connection = httpunk.H2Connection(transport, authority=parts.netloc, backend=httpunk.Backend.asyncio)
    headers = {"accept": "*/*", "user-agent": "httpunk"}
    async with connection:

        async def fetch() -> int:
            response = await connection.request("GET", parts.path, headers=headers)
            return len(await response.read())

        return await measured(fetch, scenario, requests)


def run_pycurl(url: str, ca: str, scenario: Scenario, requests: int) -> float:
    """Without an event loop: the multi interface, each handle used again and again."""
    import pycurl

    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
    multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
    multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, 100)
    handles = []
    pieces: dict[Any, list[bytes]] = {}
    for _ in range(scenario.tasks):
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.CAINFO, ca)
        pieces[handle] = []
        handle.setopt(pycurl.WRITEFUNCTION, pieces[handle].append)
        handles.append(handle)

    def run(count: int) -> None:
        done, started = 0, min(len(handles), count)
        for handle in handles[:started]:
            multi.add_handle(handle)
        while done < count:
            multi.perform()
            more, good, bad = multi.info_read(len(handles))
            assert not bad, bad
            for handle in good:
                done += 1
                # The others hand out bodies in one piece, too.
                body = b"".join(pieces[handle])
                assert body
                pieces[handle].clear()
                multi.remove_handle(handle)
                if started < count:
                    started += 1
                    multi.add_handle(handle)
            if not good and not more:
                multi.select(1.0)

    run(len(handles))
    run(max(requests // 5, len(handles)))
    before = time.process_time_ns()
    run(requests)
    return (time.process_time_ns() - before) / 1000 / requests


def run_client(name: str, url: str, ca: str, scenario: Scenario, requests: int) -> float:
    if name == "pycurl":
        return run_pycurl(url, ca, scenario, requests)
    factory = None
    if name != "h2o-otel asyncio":
        # httpunk and httpx are given the faster loop.
        with contextlib.suppress(ImportError):
            import uvloop

            factory = uvloop.new_event_loop
    run = {"httpunk": run_httpunk, "httpx": run_httpx}.get(name, run_ours)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(run(url, ca, scenario, requests))


# -- what compares them


def measure(client: Client, urls: dict[bool, str], ca: str, scenario: Scenario, requests: int) -> float | None:
    count = max(round(requests * client.part), scenario.tasks)
    command = [sys.executable, __file__, "--run", json.dumps([client.name, urls[scenario.tls], ca, scenario.name, count])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        print(f"a round failed: {client.name} at {scenario.name}: not done after 120 s", file=sys.stderr)
        return None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"a round failed: {client.name} at {scenario.name}: {last}", file=sys.stderr)
        return None
    return float(done.stdout)


def installed(clients: list[Client]) -> list[Client]:
    found = []
    for client in clients:
        try:
            common.version(client.distribution)
            if client.name.endswith("uvloop"):
                common.version("uvloop")
        except common.Missing as error:
            print(f"left out: {client.name}: {error}", file=sys.stderr)
        else:
            found.append(client)
    return found


def compare(options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[Client]]:
    from h2o_otel.tls.certificates import Authority

    clients = installed([each for each in CLIENTS if not options.only or any(text in each.name for text in options.only)])
    by_name = {client.name: client for client in clients}
    rounds = options.rounds or (3 if options.quick else 7)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "small").write_bytes(b"hello")
        (folder / "large").write_bytes(os.urandom(1_048_576))
        authority = Authority(folder / "authority")
        leaf = authority.issue()
        nghttpd = common.find_program("nghttpd")
        ports = {tls: common.free_port() for tls in (False, True)}
        start = [nghttpd, "-d", str(folder), "-a", "127.0.0.1", "-n", "1"]
        stack.enter_context(common.running([*start, "--no-tls", str(ports[False])], ports[False], folder))
        stack.enter_context(common.running([*start, str(ports[True]), str(leaf.key), str(leaf.certificate)], ports[True], folder))
        for scenario in SCENARIOS:
            if options.scenario and not any(text in scenario.name for text in options.scenario):
                continue
            print(f"{scenario.name} ...", file=sys.stderr)
            urls = {tls: f"{'https' if tls else 'http'}://127.0.0.1:{port}/{scenario.path}" for tls, port in ports.items()}
            requests = round(scenario.requests * (0.25 if options.quick else 1.0))
            found = common.in_turns(
                by_name, rounds, lambda n, s=scenario, u=urls, r=requests: measure(by_name[n], u, str(authority.certificate), s, r)
            )
            rows += common.rows_of(scenario.name, found, tasks=scenario.tasks, tls=scenario.tls)
    return rows, clients


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="rounds of each scenario (7, or 3 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a quarter of the requests")
    parser.add_argument("--only", action="append", default=[], help="clients whose name contains this; may be repeated")
    parser.add_argument("--scenario", action="append", default=[], help="scenarios whose name contains this; may be repeated")
    parser.add_argument("--json", type=Path, help="save the result here")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        name, url, ca, scenario_name, requests = json.loads(options.run)
        scenario = next(each for each in SCENARIOS if each.name == scenario_name)
        print(run_client(name, url, ca, scenario, requests))
        return
    try:
        rows, clients = compare(options)
    except common.Missing as error:
        sys.exit(f"{error}: nghttpd is in the package nghttp2-server")
    machine = common.machine()
    print(common.table(rows, f"CPU us/request, {machine['build']}"))
    print("(in brackets: the part of the best peer's)")
    versions = {client.distribution: common.version(client.distribution) for client in clients}
    common.save(options.json, {"benchmark": "client", **machine, "versions": versions, "rows": rows})


if __name__ == "__main__":
    main()
