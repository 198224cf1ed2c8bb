"""The console and the exporters: a line for what there is to say, by the protocol that was asked for."""

import json

import pytest

from h2o_otel import counters
from h2o_otel.telemetry import configure, outputs, setup

pytestmark = pytest.mark.usefixtures("fresh")


def test_the_console_prints_what_was_chosen_in_one_line_each(capsys):
    with configure("svc", "traces", console="traces,logs", set_global=False) as telemetry:
        for _ in range(3):
            telemetry.tracing.client_started("GET", "http://a/", "a", 80, counters.clock()).finish(200)
        telemetry.events.emit("h2o.goaway", {"h2o.error_code": "NO_ERROR"})
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("name") for line in printed if "kind" in line] == ["GET"] * 3
    assert [line["body"] for line in printed if "body" in line] == ["h2o.goaway h2o.error_code=NO_ERROR"]
    assert len(printed) == 4


def test_true_prints_no_metrics_beside_traces(capsys):
    with configure("svc", "traces", console=True, set_global=False) as telemetry:
        telemetry.tracing.client_started("GET", "http://a/", "a", 80, counters.clock()).finish(200)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_metrics_on_the_console_are_what_changed(capsys):
    with configure("svc", console="metrics", set_global=False) as telemetry:
        counters.local().add("frame_padding", 0, 5)
        counters.local().histogram("ping_rtt", counters.CLIENT).record(0.25)
        telemetry.force_flush()
        first = capsys.readouterr().out.splitlines()
        counters.local().add("frame_padding", 0, 3)
        telemetry.force_flush()
        second = capsys.readouterr().out.splitlines()
    assert 'h2o.frame.padding{"network.io.direction": "transmit"} 5 By' in first
    assert 'h2o.ping.rtt{"h2o.role": "client"} count=1 sum=0.25 min=0.25 max=0.25 s' in first
    assert 'h2o.frame.padding{"network.io.direction": "transmit"} 3 By' in second
    assert not [line for line in second if line.startswith(("h2o.ping.rtt", "h2o.build.info"))]


def test_a_wrong_signal_is_refused():
    with pytest.raises(setup.TelemetryError, match="'spans' is none of traces, metrics, logs"):
        configure("svc", console="spans", set_global=False)


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_grpc(monkeypatch, signal):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    exporter = outputs.otlp(signal, "http://127.0.0.1:9")
    assert type(exporter).__module__.startswith("opentelemetry.exporter.otlp.proto.grpc.")
    assert exporter._endpoint == "127.0.0.1:9"
    exporter.shutdown()
