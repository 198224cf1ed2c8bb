"""The demo, as its users start it, and what one run of it must show."""

from __future__ import annotations

import asyncio
import contextlib
import io
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
from h2o_otel.demo.load import SCENES
from h2o_otel.demo.run import Demo, Options
from h2o_otel.demo.view import LiveView, octets, seconds

COMMAND = [sys.executable, "-m", "h2o_otel.cli.main", "demo", "--plain"]


def run_in_process(options: Options, **configured: Any) -> tuple[int, Demo, Any]:
    observed = telemetry.configure("demo", level="traces", in_memory=True, sample_ratio=1.0, set_global=False, **configured)

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
    done = subprocess.run([*COMMAND, "--duration", "4", "--rate", "60"], capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert lines[0].startswith("h2o-otel demo: https://127.0.0.1:")
    assert len([line for line in lines if line.startswith("req/s=")]) >= 3
    assert lines[-1] == "unexpected: none"


def test_interrupt_ends_it_with_a_summary() -> None:
    process = subprocess.Popen([*COMMAND, "--rate", "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("req/s="):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
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
    servers = [s for s in spans if s.kind.name == "SERVER"]
    assert len(servers) > 50
    for span in servers:
        parent = clients[span.parent.span_id]
        assert parent.context.trace_id == span.context.trace_id
        assert parent.attributes["url.full"].partition("?")[0].endswith(span.attributes["url.path"])
    traced_through = [s for s in servers if s.attributes["url.path"].startswith("/stock/")]
    assert traced_through
    by_id = {s.context.span_id: s for s in spans}
    upstream = by_id[traced_through[0].parent.span_id]
    assert by_id[upstream.parent.span_id].kind.name == "SERVER"


# Families that a healthy run on one machine leaves at zero, and why.
NOT_DRIVEN = {
    "buffer_pool_evicted": "nothing is larger than what the pool keeps",
    "buffer_pool_leaked": "a bug alarm",
    "hpack_table_evictions": "the tables of a short run do not fill",
    "frame_padding": "neither side pads",
    "frame_control_queue_size": "a level: both sides read",
    "stream_pending": "a level: no queue at the end",
    "tls_handshake_active": "a level: none at the end",
    "io_write_queue_size": "a level: sockets take everything in the end",
    "ping_timeouts": "nobody goes silent",
    "telemetry_logs": "nothing is worth a line",
    "telemetry_exports": "nothing is exported",
    "asgi_handlers": "a level: none at the end",
    "asgi_fields_dropped": "the applications send what may be sent",
    "http_server_active_requests": "a level: none at the end",
    "flow_control_unread": "a level: all was read",
    "flow_control_window": "a level: no connection is left",
    "connection_active": "a level: no connection is left",
    "stream_active": "a level: no stream is left",
    "stream_limit": "a level: no connection is left",
    "hpack_table_size": "a level: no connection is left",
    "hpack_table_capacity": "a level: no connection is left",
    "buffer_pool_in_use": "a level",
    "buffer_pool_idle": "a level",
    "settings_value": "the values of the last connection, the same in every run",
    "priority_streams": "no scene sends priorities",
    "io_pauses": "a socket that is full for a moment, which loopback rarely is",
}


def test_counters_are_driven() -> None:
    before = counters.collect()
    run_in_process(Options(duration_s=4.0, rate=60, plain=True, seed=2))
    after = counters.collect()
    still = {name for name in counters.SLOTS if after.value(name) == before.value(name)}
    assert still <= set(NOT_DRIVEN)
    assert after.value("stream_active") == before.value("stream_active")
    assert after.value("flow_control_unread") == before.value("flow_control_unread")
    assert after.value("connection_active") == before.value("connection_active")
    assert after.value("buffer_pool_leaked") == before.value("buffer_pool_leaked")


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
        service.communicate(timeout=20)
    assert status == 0
    assert demo.load is not None
    assert demo.load.finished > 20


def test_live_view_draws_every_layer() -> None:
    from rich.console import Console

    console = Console(width=120, file=io.StringIO(), force_terminal=False)
    console.print(LiveView("demo").render(Figures(requests=100, p50=0.001, statuses={"200": 5}), None))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    for title in ("Requests", "Frames", "Streams and flow control", "I/O and TLS", "Memory", "Loop and load"):
        assert title in drawn
    assert "200:5" in drawn


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
