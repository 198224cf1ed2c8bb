"""What telemetry costs: CPU time of each call that a request makes, and of a collection.

    python benchmarks/telemetry.py [--json FILE]

Each figure is the best of several rounds of process CPU time, less the cost of an empty call, so
that other load on the machine matters little.  Run it on a compiled build for the real figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

from h2o_otel import counters
from h2o_otel.streams.stream import Stream
from h2o_otel.telemetry import _sdk_spans, configure
from h2o_otel.telemetry.metrics import Producer
from h2o_otel.telemetry.propagation import parse_traceparent, read_headers
from h2o_otel.telemetry.requests import ClientRequestMetrics, ServerRequestMetrics
from h2o_otel.telemetry.spans import Tracing

ROUNDS = 9
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
FIELDS = [(b"accept", b"*/*"), (b"user-agent", b"curl/8"), (b"accept-encoding", b"gzip"), (b"x-request-id", b"abc")]


class Sink(SpanProcessor):
    """Takes finished spans and does nothing: the cost before export."""

    on_start = SimpleSpanProcessor.on_start


def cpu_ns(call: Callable[[], Any], seconds: float = 0.03) -> float:
    """CPU time of one call."""
    n = 1
    while True:
        began = time.process_time_ns()
        for _ in range(n):
            call()
        if (took := time.process_time_ns() - began) > seconds * 1e9 / 4:
            break
        n *= 4
    best = took / n
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(n):
            call()
        best = min(best, (time.process_time_ns() - began) / n)
    return best


def tracing_of(sampler: Any) -> Tracing:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(Sink())
    return Tracing(provider)


def measure() -> dict[str, float]:
    stream = Stream(1, 65535, 65535, 0.0)
    on, off = tracing_of(ParentBased(ALWAYS_ON)), tracing_of(ALWAYS_OFF)
    base = on.connection(7, ("127.0.0.1", 50000), None)
    sampled = [*FIELDS, (b"traceparent", PARENT + b"01")]
    unsampled = [*FIELDS, (b"traceparent", PARENT + b"00")]
    server, client = ServerRequestMetrics(), ClientRequestMetrics("example.com", 443)
    now = counters.clock()
    access = on._sdk._access if hasattr(on, "_sdk") else _sdk_spans.tracer_access(TracerProvider(shutdown_on_exit=False), "x", "", "")
    api = access.tracer

    def server_request(tracing: Tracing, headers: list[tuple[bytes, bytes]], context: bool) -> Callable[[], None]:
        def call() -> None:
            span = tracing.server_started(stream, headers, now, base)
            if context:
                span.context()
            span.finish(200, None, "/items/{id}")

        return call

    def client_request(tracing: Tracing) -> Callable[[], None]:
        def call() -> None:
            span = tracing.client_started("GET", "https://example.com/", "example.com", 443, now)
            tracing.inject(span, FIELDS)
            span.finish(200, None, None, 0, stream)

        return call

    def server_metrics() -> None:
        server.finished(server.started(b"GET", b"https"), 200, "/items/{id}", None, 0.001)

    def client_metrics() -> None:
        client.finished(client.started(b"GET"), 200, None, 0.001)

    calls: dict[str, Callable[[], Any]] = {
        "metrics, server request": server_metrics,
        "metrics, client request": client_metrics,
        "traceparent found and parsed": lambda: parse_traceparent(read_headers(sampled)[0]),
        "span, unsampled server request": server_request(on, unsampled, False),
        "span, unsampled, tracing off by root sampler": server_request(off, FIELDS, False),
        "span, unsampled, with the application's context": server_request(on, unsampled, True),
        "span, sampled server request": server_request(on, sampled, False),
        "span, sampled, with the application's context": server_request(on, sampled, True),
        "span, unsampled client request with inject": client_request(off),
        "span, sampled client request with inject": client_request(on),
        "for comparison: SDK start_span and end": lambda: api.start_span("x").end(),
    }
    empty = cpu_ns(lambda: None)
    found = {name: cpu_ns(call) - empty for name, call in calls.items()}
    # A reader that the application made: its requests are recorded one by one.
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    with configure(set_global=False, otlp=False, meter_provider=provider):
        found["metrics, server request, through the application's meter"] = cpu_ns(server_metrics) - empty
    producer = Producer()
    found["collection of all points"] = cpu_ns(producer.produce, 0.2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    figures = measure()
    build = "pure" if str(counters.__file__).endswith(".py") else "compiled"
    print(f"CPython {platform.python_version()}, {build}; CPU time per call")
    for name, ns in figures.items():
        print(f"  {name:<50} {ns / 1000:9.3f} us")
    if arguments.json:
        document = {"python": platform.python_version(), "build": build, "ns": figures}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
