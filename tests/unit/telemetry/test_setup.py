"""configure() and default(): providers, environment, extras, failures, forks."""

import logging
import os
import re
import sys
import threading
import urllib.request

import pytest
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from h2o_otel import counters
from h2o_otel.telemetry import _sdk_metrics, configure, default, reader_class, setup
from h2o_otel.telemetry.exporters import CountedMetricExporter, CountedSpanExporter, CountedSpanProcessor

pytestmark = pytest.mark.usefixtures("fresh", "clean")

OTEL = [name for name in os.environ if name.startswith("OTEL_")]


@pytest.fixture
def clean(monkeypatch):
    for name in [*OTEL, "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER", "H2O_OTEL_TELEMETRY"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(setup, "_default", None)


def local(level="metrics", **options):
    return configure("svc", level, set_global=False, **options)


def test_metrics_is_the_default_level():
    with local(in_memory=True) as telemetry:
        assert (telemetry.level, telemetry.tracing, telemetry.tracer_provider) == ("metrics", None, None)
        metrics = telemetry.server_requests()
        metrics.finished(metrics.started(b"GET", b"http"), 200, None, None, 0.1)
        (point,) = telemetry.metrics()["http.server.request.duration"].data.data_points
        assert point.count == 1


def test_off_makes_nothing():
    with configure(level="off", in_memory=True, prometheus_port=0) as telemetry:
        assert not telemetry.enabled
        assert telemetry.server_requests() is None
        assert telemetry.client_requests("a", 80) is None
        assert (telemetry.tracing, telemetry.prometheus, telemetry.readers, telemetry.metrics()) == (None, None, [], {})
        telemetry.events.emit("h2o.goaway")


def test_sdk_disabled_is_off(monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert local("traces").level == "off"


def test_importing_telemetry_loads_no_sdk():
    import subprocess

    code = "import sys, h2o_otel.telemetry, h2o_otel.telemetry.requests; sys.exit(any(m.startswith('opentelemetry') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("level", ["traces", "detail"])
def test_traces_in_memory(level):
    with local(level, in_memory=True) as telemetry:
        telemetry.tracing.client_started("GET", "http://a/", "a", 80, counters.clock()).finish(200)
        assert telemetry.tracing.detail is (level == "detail")
        (span,) = telemetry.spans()
        assert span.resource.attributes["service.name"] == "svc"


def test_resource_honours_the_environment(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-env")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a,deployment.environment.name=test")
    with local("traces", resource_attributes={"own": 1}) as telemetry:
        fields = telemetry.tracer_provider.resource.attributes
        assert (fields["service.name"], fields["team"], fields["own"]) == ("from-env", "a", 1)
        assert fields["service.instance.id"]


def test_sampler_of_the_environment(monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with local("traces") as telemetry:
        assert not telemetry.tracing.client_started("GET", "http://a/", "a", 80, 1).sampled


def test_sample_ratio():
    with local("traces", sample_ratio=0.0) as telemetry:
        assert not telemetry.tracing.client_started("GET", "http://a/", "a", 80, 1).sampled
    with pytest.raises(setup.TelemetryError, match="sample_ratio 2 is not between 0 and 1"):
        local("traces", sample_ratio=2)


def test_unknown_level_is_refused():
    with pytest.raises(setup.TelemetryError, match="level 'all' is none of off, metrics, traces, detail"):
        configure(level="all")


def test_unknown_log_format_is_refused():
    with pytest.raises(setup.TelemetryError, match="xml"):
        local(log_format="xml")


def test_log_format_is_undone():
    logger = logging.getLogger("h2o_otel")
    with local(log_format="json"):
        assert not logger.propagate
    assert logger.propagate
    assert logger.handlers == []


def test_the_applications_providers_are_used_as_they_are(caplog):
    tracers = TracerProvider(shutdown_on_exit=False)
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with local("traces", tracer_provider=tracers, meter_provider=meters, in_memory=True) as telemetry:
        assert telemetry.tracer_provider is tracers
        assert telemetry.meter_provider is meters
        assert telemetry.tracing.client_started("GET", "http://a/", "a", 80, 1).sampled
        assert tracers._active_span_processor._span_processors == ()
        assert list(meters._measurement_consumer._reader_storages) == [reader]
    assert "in_memory of configure() does not apply" in caplog.text
    # Ending ours leaves the application's running.
    assert tracers.get_tracer("x").start_span("x").is_recording()
    meters.shutdown()


def test_readers_of_ours_in_the_applications_provider():
    reader = reader_class(InMemoryMetricReader)()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with local(meter_provider=meters) as telemetry:
        counters.local().histogram("ping_rtt").record(0.1)
        assert sum(p.count for p in telemetry.metrics()["h2o.ping.rtt"].data.data_points) == 1
    meters.shutdown()


def test_a_foreign_reader_gets_observables():
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with local(meter_provider=meters):
        counters.local().add("frame_padding", 0, 5)
        metrics = {m.name: m for s in reader.get_metrics_data().resource_metrics[0].scope_metrics for m in s.metrics}
        assert sum(p.value for p in metrics["h2o.frame.padding"].data.data_points) == 5
    meters.shutdown()


def test_delta_temporality():
    with local(in_memory=True, delta=True) as telemetry:
        for expected in (5, 3):
            counters.local().add("frame_padding", 0, expected)
            data = telemetry.metrics()["h2o.frame.padding"].data
            assert sum(p.value for p in data.data_points) == expected


def test_prometheus_endpoint():
    with local(prometheus_port=0) as telemetry:
        url = telemetry.prometheus.url
        with urllib.request.urlopen(url, timeout=30) as response:
            text = response.read().decode()
    assert 'service_name="svc"' in text
    assert "h2o_build_info{" in text
    assert "process_cpu_time_seconds_total{" in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=30)


def test_prometheus_port_in_use_is_told():
    with local(prometheus_port=0) as telemetry:
        port = telemetry.prometheus.port
        with pytest.raises(setup.TelemetryError, match=f"cannot listen on 127.0.0.1:{port}"):
            local(prometheus_port=port)


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [
        ("prometheus_client", {"prometheus_port": 0}, "prometheus"),
        ("opentelemetry.exporter.otlp.proto.http.metric_exporter", {"otlp": True}, "otlp"),
    ],
)
def test_missing_extras_are_named(monkeypatch, module, options, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(setup.TelemetryError, match=rf"pip install 'h2o-otel\[{extra}\]'"):
        local(**options)


def test_otlp_endpoints():
    with local("traces", otlp="http://127.0.0.1:9/") as telemetry:
        (reader,) = telemetry.readers
        exporter = reader._exporter.inner
        assert exporter._endpoint == "http://127.0.0.1:9/v1/metrics"
        # Nothing listens there: an exporter that was shut down does not try.
        exporter.shutdown()


# -- failures


class Broken(SpanExporter):
    def export(self, spans):
        raise RuntimeError("down")


class Hanging(MetricExporter):
    def __init__(self):
        super().__init__()
        self.released = threading.Event()
        self.returned = False

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.released.wait(50)
        self.returned = True
        return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        return None


def test_failing_exporter_is_counted_and_breaks_nothing(monkeypatch):
    monkeypatch.setattr("h2o_otel.telemetry.failures._raise", False)
    provider = TracerProvider(shutdown_on_exit=False)
    processor = CountedSpanProcessor(CountedSpanExporter(Broken()))
    provider.add_span_processor(processor)
    with local("traces", tracer_provider=provider) as telemetry:
        telemetry.tracing.client_started("GET", "http://a/", "a", 80, 1).finish(200)
        processor.force_flush()
        assert counters.collect().value("telemetry_exports", "traces", "failure") == 1
    provider.shutdown()


def test_a_slow_exporter_drops_and_counts():
    class Slow(SpanExporter):
        def export(self, spans):
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    processor = CountedSpanProcessor(Slow(), max_queue_size=4, max_export_batch_size=4, schedule_delay_millis=1e6)
    processor._batch_processor._export = lambda strategy: None
    provider.add_span_processor(processor)
    with local("traces", tracer_provider=provider) as telemetry:
        for _ in range(10):
            telemetry.tracing.client_started("GET", "http://a/", "a", 80, 1).finish(200)
    assert counters.collect().value("telemetry_spans", "dropped") == 6
    assert len(processor._batch_processor._queue) == 4
    provider.shutdown()


def test_shutdown_waits_for_a_hanging_exporter_only_so_long(caplog):
    exporter = Hanging()
    reader = _sdk_metrics.counting_reader_class(PeriodicExportingMetricReader)(CountedMetricExporter(exporter), 3_600_000)
    telemetry = setup.Telemetry("metrics")
    telemetry._owned.append(MeterProvider([reader], shutdown_on_exit=False))
    telemetry._owned[0].get_meter("x").create_counter("x").add(1)
    telemetry.shutdown(0.2)
    assert not exporter.returned
    # The rest of 0.2 s when the export begins.
    assert re.search(r"the last export of metrics did not finish within 0\.[012]\d* s and is lost", caplog.text)
    exporter.released.set()
    telemetry.shutdown()


def test_shutdown_twice_is_fine():
    telemetry = local("traces", in_memory=True, prometheus_port=0)
    telemetry.force_flush()
    telemetry.shutdown()
    telemetry.shutdown()


# -- default()


def test_default_makes_no_providers():
    telemetry = default()
    assert telemetry is default()
    assert (telemetry.level, telemetry.tracing) == ("metrics", None)
    assert not isinstance(metrics_api.get_meter_provider(), MeterProvider)
    assert not isinstance(trace_api.get_tracer_provider(), TracerProvider)


def test_default_level_of_the_environment(monkeypatch, caplog):
    monkeypatch.setenv("H2O_OTEL_TELEMETRY", "Traces")
    assert default().level == "traces"
    assert default().tracing.client_started("GET", "http://a/", "a", 80, 1) is None
    monkeypatch.setattr(setup, "_default", None)
    monkeypatch.setenv("H2O_OTEL_TELEMETRY", "loud")
    assert default().level == "metrics"
    assert "H2O_OTEL_TELEMETRY='loud'" in caplog.text


def test_forked_worker_starts_from_nothing():
    telemetry = local(in_memory=True)
    counters.local().add("frame_padding", 0, 5)
    assert sum(p.value for p in telemetry.metrics()["h2o.frame.padding"].data.data_points) == 5
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            first = default()
            counters.local().add("frame_padding", 0, 2)
            values = [p.value for p in telemetry.metrics()["h2o.frame.padding"].data.data_points]
            os.write(write, f"{sum(values)} {first is default()}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    assert os.read(read, 100) == b"2 True"
    os.close(read)
    telemetry.shutdown()
