"""The OTEL_* variables: each value is honoured, or named in one warning."""

import os

import pytest

from h2o_otel.telemetry import environment
from h2o_otel.telemetry.environment import Wanted, console_signals, excluded_pattern, wanted


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(environment, "_warned", set())


@pytest.mark.parametrize(
    ("variables", "otlp", "expected"),
    [
        ({}, None, Wanted(False, False)),
        ({}, True, Wanted(True, False)),
        ({}, "http://collector:4318", Wanted(True, False)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, None, Wanted(True, False)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, None, Wanted(True, False)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c"}, None, Wanted(False, False)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False, Wanted(False, False)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, None, Wanted(True, False)),
        ({"OTEL_TRACES_EXPORTER": "OTLP, Console"}, None, Wanted(True, True)),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, None, Wanted(False, True)),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, None, Wanted(False, False)),
        ({"OTEL_TRACES_EXPORTER": "none"}, True, Wanted(False, False)),
        ({"OTEL_TRACES_EXPORTER": "none"}, "http://c", Wanted(True, False)),
        ({"OTEL_TRACES_EXPORTER": "logging"}, True, Wanted(False, True)),
    ],
)
def test_exporters_of_traces(monkeypatch, variables, otlp, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wanted("traces", otlp, None) == expected


def test_prometheus_is_an_exporter_of_metrics_alone(monkeypatch, caplog):
    for signal in ("METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "prometheus")
    assert wanted("metrics", None, None) == Wanted(False, False, True)
    assert caplog.records == []
    assert wanted("logs", None, None) == Wanted(False, False)
    assert "OTEL_LOGS_EXPORTER names 'prometheus', which is none of console, none, otlp" in caplog.text


def test_what_the_code_says_about_the_console_prevails(monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    assert not wanted("traces", None, False).console
    monkeypatch.delenv("OTEL_TRACES_EXPORTER")
    assert wanted("traces", None, True).console


def test_unknown_exporters_are_named_once(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin,otlp")
    assert [wanted("traces", None, None) for _ in range(3)] == [Wanted(True, False)] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry: OTEL_TRACES_EXPORTER names 'zipkin', which is none of console, none, otlp; no traces are exported there"
    ]


@pytest.mark.parametrize(
    ("console", "level", "printed"),
    [
        (True, "metrics", {"metrics", "logs"}),
        (True, "traces", {"traces", "logs"}),
        (False, "traces", set()),
        ("traces", "traces", {"traces"}),
        ("traces, logs", "detail", {"traces", "logs"}),
        (["metrics"], "traces", {"metrics"}),
    ],
)
def test_console_chooses_signals(console, level, printed):
    assert {signal for signal, on in console_signals(console, level).items() if on} == printed


def test_console_left_out_is_up_to_the_environment():
    assert set(console_signals(None, "traces").values()) == {None}
    with pytest.raises(ValueError, match="'spans' is none of traces, metrics, logs"):
        console_signals("spans", "traces")


def test_protocols(monkeypatch, caplog):
    assert environment.protocol("logs") == "http/protobuf"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    assert [environment.protocol(signal) for signal in ("traces", "logs")] == ["http/protobuf", "grpc"]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json")
    assert [environment.protocol("logs") for _ in range(2)] == ["http/protobuf"] * 2
    assert caplog.text.count("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL is 'http/json'") == 1


def test_prometheus_address(monkeypatch, caplog):
    assert environment.prometheus_address() == ("127.0.0.1", 9464)
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_HOST", "0.0.0.0")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", "9000")
    assert environment.prometheus_address() == ("0.0.0.0", 9000)
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", "many")
    assert environment.prometheus_address() == ("0.0.0.0", 9464)
    assert "'many', which is no port" in caplog.text


def test_exemplar_filter(monkeypatch, caplog):
    assert environment.exemplars_wanted()
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "always_off")
    assert not environment.exemplars_wanted()
    assert caplog.records == []
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "always_on")
    assert [environment.exemplars_wanted() for _ in range(2)] == [True, True]
    assert caplog.text.count("OTEL_METRICS_EXEMPLAR_FILTER is 'always_on'") == 1


def test_excluded_urls(monkeypatch, caplog):
    assert excluded_pattern(None) is None
    assert excluded_pattern("") is None
    monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "/health$, metrics")
    found = excluded_pattern(None)
    assert [bool(found.search(url)) for url in ("http://a/health", "http://a/healthy", "https://b/metrics/x")] == [True, False, True]
    # The code's own prevails.
    assert excluded_pattern(["^http://a/"]).search("http://a/healthy")
    assert excluded_pattern([]) is None
    with pytest.raises(ValueError, match="excluded_urls: '\\(' is no regular expression"):
        excluded_pattern("(")
    monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "a,(")
    assert [excluded_pattern(None) for _ in range(2)] == [None, None]
    assert caplog.text.count("nothing is excluded") == 1
