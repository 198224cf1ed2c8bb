"""A collector of OTLP on a port of its own: over HTTP or gRPC, one that answers or one that never does."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.waiting import PATIENCE_S

_REQUESTS: dict[str, Any] = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest, "logs": ExportLogsServiceRequest}


class Collector:
    """What was received, by signal.

    Attributes:
        url: its endpoint.
        requests: decoded export requests by signal, in the order of their arrival.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: dict[str, list[Any]] = {signal: [] for signal in _REQUESTS}
        self._grown = threading.Condition()

    def take(self, signal: str, octets: bytes) -> None:
        with self._grown:
            self.requests[signal].append(_REQUESTS[signal].FromString(octets))
            self._grown.notify_all()

    def wait_for(self, signal: str) -> None:
        """Until something of ``signal`` has arrived."""
        with self._grown:
            assert self._grown.wait_for(lambda: self.requests[signal], PATIENCE_S), f"no {signal}"

    @property
    def spans(self) -> list[Any]:
        return [span for r in self.requests["traces"] for rs in r.resource_spans for ss in rs.scope_spans for span in ss.spans]

    @property
    def logs(self) -> list[Any]:
        return [record for r in self.requests["logs"] for rl in r.resource_logs for sl in rl.scope_logs for record in sl.log_records]

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics by name, each as it was received last."""
        return {m.name: m for r in self.requests["metrics"] for rm in r.resource_metrics for sm in rm.scope_metrics for m in sm.metrics}


def attributes_of(record: Any) -> dict[str, Any]:
    """The attributes of a span, a log record or a point."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in record.attributes}


@contextlib.contextmanager
def http_collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            octets = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                octets = gzip.decompress(octets)
            collector.take(self.path.rsplit("/", 1)[1], octets)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)


@contextlib.contextmanager
def grpc_collector() -> Iterator[Collector]:
    import grpc

    collector = Collector()
    methods = {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
    }

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, call: Any) -> Any:
            def export(octets: bytes, context: Any) -> bytes:
                collector.take(methods[call.method], octets)
                return b""

            return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Handlers(),))
    collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait(PATIENCE_S)


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """The URL of an endpoint that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
