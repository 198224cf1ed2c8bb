"""The demo, as its users start it, and what one run of it must show."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from h2o_otel import counters, telemetry
from h2o_otel.cli.main import main as cli
from h2o_otel.demo.figures import Figures, Meter, quantile
from h2o_otel.demo.load import Load
from h2o_otel.demo.run import Demo, Options
from h2o_otel.demo.scenes import SCENES
from h2o_otel.demo.view import LEGEND, NEXT, LiveView, PlainView, RecentLines, octets, seconds, summary

COMMAND = [sys.executable, "-m", "h2o_otel.cli.main", "demo", "--plain"]


def run_in_process(options: Options, **configured: Any) -> tuple[int, Demo, Any]:
    observed = telemetry.configure(
        "demo",
        level="traces",
        in_memory=True,
        sample_ratio=1.0,
        set_global=False,
        log_format="console",
        log_stream=RecentLines(),
        **configured,
    )

    async def main() -> tuple[int, Demo]:
        demo = Demo(options, observed)
        return await demo.run(), demo

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            status, demo = asyncio.run(main())
        return status, demo, observed
    finally:
        observed.shutdown()


def test_command_runs_for_its_time_and_sums_up() -> None:
    done = subprocess.run([*COMMAND, "--duration", "4", "--rate", "60"], capture_output=True, text=True, timeout=90, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert lines[0].startswith("h2o-otel demo: https://127.0.0.1:")
    assert len([line for line in lines if line.startswith("req/s=")]) >= 3
    assert lines[-2:] == ["unexpected: none", NEXT]


def test_interrupt_ends_it_with_a_summary() -> None:
    process = subprocess.Popen([*COMMAND, "--rate", "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("req/s="):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "requests answered" in out
    assert err == ""


@pytest.mark.parametrize("wrong", [["--rate", "0"], ["--duration", "-1"]])
def test_wrong_numbers_are_said(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["demo", *wrong]) == 2
    assert "greater than 0" in capsys.readouterr().err


def test_every_scene_runs_and_servers_spans_have_their_clients_as_parents() -> None:
    status, demo, observed = run_in_process(Options(duration_s=4.0, rate=60, plain=True, seed=1))
    assert status == 0
    assert demo.load is not None
    assert dict(demo.load.unexpected) == {}
    assert demo.load.started > len(SCENES)
    assert {"timeout", "abandoned", "cancelled"} <= set(demo.load.wanted)
    spans = observed.spans()
    clients = {s.context.span_id: s for s in spans if s.kind.name == "CLIENT"}
    # A connection that ended badly has a span too, which has no parent.
    served = [s for s in spans if s.kind.name == "SERVER" and s.name != "h2o.connection"]
    # Nor is a proxy's health check, which names no site.
    servers = [s for s in served if "server.address" in s.attributes]
    assert {s.parent for s in served if s not in servers} == {None}
    assert len(servers) > 50
    for span in servers:
        parent = clients[span.parent.span_id]
        assert parent.context.trace_id == span.context.trace_id
        assert parent.attributes["url.full"].partition("?")[0].endswith(span.attributes["url.path"])
    stock = [s for s in servers if s.attributes["url.path"].startswith("/stock/")]
    assert stock
    by_id = {s.context.span_id: s for s in spans}
    for span in stock:
        asked = by_id[span.parent.span_id]
        order = by_id[asked.parent.span_id]
        assert (order.kind.name, order.attributes["http.route"]) == ("SERVER", "/order")
        assert order.parent.span_id in clients


# Levels: all that goes up has come down when the demo has ended.
LEVELS = {
    "asgi_handlers",
    "buffer_pool_in_use",
    "buffer_pool_requested",
    "connection_active",
    "flow_control_target",
    "flow_control_unread",
    "flow_control_window",
    "frame_control_queue_size",
    "hpack_table_capacity",
    "hpack_table_size",
    "http_server_active_requests",
    "io_write_queue_size",
    "pressure",
    "stream_active",
    "stream_limit",
    "stream_pending",
    "tls_handshake_active",
}
LABELLED_LEVELS = {"http_client_active_requests", "http_client_open_connections", "pool_limit", "pool_pending"}
# Instruments that the demo does not change, and why.
NOT_DRIVEN = {
    "buffer_pool_contended": "one thread serves",
    "buffer_pool_evicted": "the load never needs more than the pool keeps",
    "buffer_pool_leaked": "a bug alarm",
    "fields_ignored": "no peer of the demo sends one that is too long",
    "hpack_parallel_batches": "off by default",
    "hpack_table_growths": "decoders of the demo advertise what encoders begin with",
    "io_accept_pauses": "descriptors are not short",
    "log_dropped": "lines are written as fast as they come",
    "memory_objects": "the stream pool is off by default",
    "memory_sheds": "memory is not short",
    "memory_trimmed": "no burst leaves as much behind as is worth trimming",
    "push_promises": "no client of the demo takes pushes",
    "telemetry_exports": "nothing is exported without a collector",
}
NOT_DRIVEN_PLACES = {
    "buffer_pool_held": "the receive buffer is the loop's own",
    "stream_time_in_queue": "only clients queue",
    "io_pause_duration": "the server's writers are paused, the client's uploads fit the socket",
    "gc_pause_duration": "a short run may have no full collection",
}


def places(name: str) -> list[int]:
    """Where the counts of one histogram family are in a snapshot."""
    size = math.prod(len(labels) for labels in counters.HISTOGRAMS[name][1])
    return [counters.histogram_index(name) + i for i in range(size)]


@pytest.mark.time_limit(60)
@pytest.mark.usefixtures("fresh")
def test_every_family_is_driven_and_every_level_returns() -> None:
    status, demo, _ = run_in_process(Options(duration_s=8.0, rate=60, plain=True, seed=2), body_sizes=True)
    assert status == 0
    assert demo.load is not None
    assert dict(demo.load.unexpected) == {}
    # The loop's receive buffer lives as long as the loop's object does.
    del demo
    gc.collect()
    after = counters.collect()
    assert {name for name in LEVELS if any_level(after, name)} == set()
    assert {name for name in LABELLED_LEVELS if any(after.labelled[name].values())} == set()
    assert {name for name in counters.SLOTS if name not in LEVELS and not after.value(name)} <= set(NOT_DRIVEN)
    counted = {name: [sum(after.histograms[i].counts) for i in places(name)] for name in counters.HISTOGRAMS}
    assert {name for name, found in counted.items() if not any(found)} == set()
    assert {name for name, found in counted.items() if not all(found)} <= set(NOT_DRIVEN_PLACES)
    assert {name for name, found in after.labelled.items() if not any(found.values())} <= LABELLED_LEVELS
    assert {name for name, found in after.labelled_histograms.items() if not found} == set()


def any_level(snapshot: counters.Snapshot, name: str) -> bool:
    start = counters.slot(name)
    return any(snapshot.slots[start : start + math.prod(len(labels) for labels in counters.SLOTS[name])])


@pytest.mark.slow
@pytest.mark.time_limit(300)
@pytest.mark.usefixtures("fresh")
def test_ten_thousand_requests_leave_nothing() -> None:
    observed = telemetry.configure(
        "demo", level="traces", sample_ratio=0.01, set_global=False, log_format="console", log_stream=RecentLines()
    )

    async def main() -> tuple[int, int]:
        async with contextlib.AsyncExitStack() as stack:
            demo = Demo(Options(seed=3, serve_only=True), observed)
            await demo.start(stack)
            await load_of(demo).run_requests(1000, 40)
            before = await settled()
            load = load_of(demo)
            await load.run_requests(10_000, 40)
            assert dict(load.unexpected) == {}
            assert load.finished == 10_000
            after = await settled()
            assert after[0] <= before[0]
            return before[1], after[1]

    try:
        blocks_before, blocks_after = asyncio.run(main())
    finally:
        observed.shutdown()
    # Ten thousand requests that each left one object would show as ten thousand blocks.
    assert blocks_after - blocks_before < 5000
    gc.collect()
    after = counters.collect()
    assert {name for name in LEVELS if any_level(after, name)} == set()


def load_of(demo: Demo) -> Load:
    return Load(demo.url, 100, demo.make_client, 3, ca=demo.ca)


async def settled() -> tuple[int, int]:
    """Tasks and blocks of memory, once the handlers of cancelled requests have ended too; the levels are those of no request."""
    deadline = time.monotonic() + 10
    while True:
        await asyncio.sleep(0.1)
        now = counters.collect()
        busy = [name for name in ("stream_active", "flow_control_unread", "asgi_handlers", "io_write_queue_size") if any_level(now, name)]
        if not busy:
            break
        assert time.monotonic() < deadline, busy
    gc.collect()
    return len(asyncio.all_tasks()), sys.getallocatedblocks()


def test_load_alone_on_a_service_elsewhere(tmp_path: Path) -> None:
    service = subprocess.Popen(
        [*COMMAND, "--serve-only", "--certificates", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert service.stdout is not None
        url = service.stdout.readline().split()[-1]
        status, demo, _ = run_in_process(Options(load_only=url, ca=str(tmp_path / "authority.pem"), duration_s=2.0, rate=40, plain=True))
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=60)
    assert status == 0
    assert demo.load is not None
    assert demo.load.finished > 20


def test_live_view_draws_every_layer() -> None:
    from rich.console import Console

    recent = RecentLines()
    recent.write("2026-01-01T12:00:00.5Z [info     ] h2o.goaway [h2o_otel] x=1\nline 2\n")
    console = Console(width=120, file=io.StringIO(), force_terminal=False)
    console.print(LiveView("demo", recent).render(Figures(requests=100, p50=0.001), None))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    for title in ("Requests", "Frames", "HPACK", "Streams", "I/O", "TLS", "Pool", "Memory", "Loop"):
        assert title in drawn
    assert "100/s" in drawn
    assert "12:00:00 [info ] h2o.goaway" in drawn
    assert "line 2" not in drawn


@pytest.mark.parametrize(("width", "height"), [(114, 32), (113, 32), (80, 24)])
def test_view_says_that_faults_are_provoked(width: int, height: int) -> None:
    from rich.console import Console

    recent = RecentLines()
    for number in range(5):
        recent.write(f"2026-01-01T12:00:00.5Z [warning  ] h2o.connection.failed [h2o_otel] x={number}\n")
    view = LiveView("demo", recent)
    view._live.console = console = Console(width=width, height=height, file=io.StringIO(), force_terminal=False)
    console.print(view.render(Figures(requests=100, p50=0.001), None))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert len(drawn.splitlines()) <= height
    assert "on purpose" in drawn
    assert "Ctrl-C ends it" in drawn
    if width == 114:
        assert all(text in drawn for text in (*LEGEND, NEXT))


def test_plain_view_and_summary_say_it_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainView():
        pass
    printed = capsys.readouterr().out
    assert all(text in printed for text in LEGEND)
    assert summary(Figures(), None, 1.0).endswith(NEXT)


@pytest.mark.parametrize(("n", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**20, "3.0 MiB"), (2**31, "2.0 GiB")])
def test_octets(n: int, shown: str) -> None:
    assert octets(n) == shown


@pytest.mark.parametrize(("s", "shown"), [(0.00005, "50 us"), (0.0123, "12.3 ms"), (2.0, "2.00 s")])
def test_seconds(s: float, shown: str) -> None:
    assert seconds(s) == shown


def test_quantile_interpolates() -> None:
    value = counters.HistogramValue([0, 10, 0, 0], 1.0, 0.1, 0.2, {})
    assert quantile(value, (1.0, 2.0, 4.0), 0.5) == 1.5
    assert quantile(counters.HistogramValue([0, 0], 0.0, 0.0, 0.0, {}), (1.0,), 0.5) == 0.0
    assert quantile(counters.HistogramValue([0, 4], 40.0, 10.0, 12.0, {}), (1.0,), 1.0) == 12.0


def test_meter_compares_with_the_tick_before() -> None:
    meter = Meter()
    counters.local().add("io_transferred", 0, 1000)
    time.sleep(0.01)
    assert meter.tick().octets > 0
    assert meter.tick().octets == 0
    assert meter.total().octets > 0
