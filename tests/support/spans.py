"""A tracer whose spans are kept, and streams for it."""

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from h2o_otel import counters
from h2o_otel.streams.stream import Stream
from h2o_otel.telemetry.spans import Tracing

TRACE, PARENT = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
SAMPLED = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
UNSAMPLED = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")


def a_stream(method=b"GET", path=b"/items/7?q=a&sig=secret", authority=b"example.com:8443", headers=()):
    """A stream with what a span reads of it."""
    stream = Stream(5, 65_535, 65_535, 0.0)
    stream.method, stream.path, stream.authority, stream.scheme = method, path, authority, b"https"
    stream.headers = [(b"user-agent", b"curl/8"), *headers]
    stream.body_received, stream.body_sent = 11, 22
    stream.opened_at, stream.headers_at, stream.closed_at = 10.0, 10.25, 11.0
    return stream


class Kit:
    def __init__(self, sampler=ALWAYS_ON, detail=False, **options):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False, resource=Resource({"service.name": "t"}), **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Tracing(self.provider, detail)
        self.base = self.tracing.connection(7, ("192.0.2.1", 50000), ("192.0.2.2", 8443))

    def server(self, stream=None, headers=(), start=None):
        stream = a_stream() if stream is None else stream
        return self.tracing.server_started(stream, list(headers), counters.clock() if start is None else start, self.base)

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    @property
    def only(self):
        (span,) = self.spans
        return span
