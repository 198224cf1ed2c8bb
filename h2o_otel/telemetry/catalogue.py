"""Every instrument, span and log event of the runtime; nothing else is emitted.

From it come the OpenTelemetry points, the Prometheus names, the panels, the reference page
(``python -m h2o_otel.telemetry.reference``) and the tests.  An instrument names the family of ``counters``
that feeds it; a test holds the two sets equal.  Dimensions of a family map to attributes in order.
"""

# Tables: a row is one or two lines.
# ruff: noqa: E501

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import counters

__all__ = [
    "EVENTS",
    "INSTRUMENTS",
    "SPANS",
    "Attribute",
    "Event",
    "Instrument",
    "SpanKind",
    "by_family",
    "by_name",
    "prometheus_label",
    "prometheus_name",
]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an instrument.

    Attributes:
        name: as exported.
        values: all values it can have, or () when they are bounded in another way.
        bound: what bounds the values when they cannot be listed.
        type: "string", "int" or "boolean"; of the exported value.
    """

    name: str
    values: tuple[str, ...] = ()
    bound: str = ""
    type: str = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One metric.

    Attributes:
        family: name in ``counters``, or "" for what is read at collection.
        source: "slots", "histograms" or "labelled" of ``counters``, or "read".
        scale: exported value per counted unit, such as 1e-9 for nanoseconds to seconds.
        bounds: bucket bounds of a histogram.
        stability: "stable", "rc" or "dev" in the semantic conventions, "own" for ours.
        why: what somebody who tunes the runtime wants it for.
        moved_by: what it takes to move it, where no traffic between clients and a server does; "" for all others.
    """

    name: str
    kind: str
    unit: str
    attributes: tuple[Attribute, ...]
    layer: str
    why: str
    family: str = ""
    source: str = "read"
    scale: float = 1.0
    bounds: tuple[float, ...] = ()
    stability: str = "own"
    moved_by: str = ""

    @property
    def prometheus(self) -> str:
        """Name in Prometheus."""
        return prometheus_name(self.name, self.unit, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanKind:
    """One kind of span: its name, when there is one, and the attributes that it may have."""

    name: str
    kind: str
    when: str
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One log event.

    Attributes:
        level: "debug", "info", "warning" or "error".
        limited: whether a peer can cause it at will, so that it is rate limited.
    """

    name: str
    level: str
    why: str
    attributes: tuple[str, ...]
    limited: bool = False


# Units of the Prometheus names: opentelemetry's compatibility document, "Metric Metadata".
_UNITS = {"s": "seconds", "By": "bytes", "By/s": "bytes_per_second"}


def prometheus_name(name: str, unit: str, kind: str) -> str:
    """Name of an instrument in Prometheus: dots become underscores, the unit and ``_total`` are appended."""
    found = re.sub(r"[^a-zA-Z0-9:]+", "_", name)
    suffix = _UNITS.get(unit, "")
    if suffix and not found.endswith("_" + suffix):
        found += "_" + suffix
    return found + "_total" if kind == "counter" else found


def prometheus_label(name: str) -> str:
    """Name of an attribute in Prometheus."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", name)


_ROLE = Attribute("h2o.role", counters.ROLES)
_DIRECTION = Attribute("network.io.direction", counters.DIRECTIONS)
_CODE = Attribute("h2o.error_code", counters.ERROR_CODES)
_SCOPE = Attribute("h2o.flow_control.scope", counters.SCOPES)
_FRAME = Attribute("h2o.frame.type", counters.FRAME_TYPES)
_POOL = Attribute("h2o.buffer.pool.name", counters.BUFFER_POOLS)
_METHOD = Attribute("http.request.method", counters.HTTP_METHODS)
_SCHEME = Attribute("url.scheme", counters.URL_SCHEMES)
_STATUS = Attribute("http.response.status_code", bound="statuses that applications send", type="int")
_ROUTE = Attribute("http.route", bound="routes of the framework; absent without one")
_VERSION = Attribute("network.protocol.version", ("1.1", "2"))
_ADDRESS = Attribute("server.address", bound="Limits.origins_labelled_max, then other")
_PORT = Attribute("server.port", bound="as server.address", type="int")
_RULE_ERROR = Attribute("error.type", bound="tokens of the rules")
_ERROR = Attribute("error.type", bound="exception classes, rule tokens, statuses")
_TLS_VERSION = Attribute("tls.protocol.version", ("1.2", "1.3"))
_RESUMED = Attribute("tls.resumed", counters.BOOLEANS, type="boolean")
_GENERATION = Attribute("cpython.gc.generation", ("0", "1", "2"), type="int")


def _result(*values: str) -> Attribute:
    return Attribute("h2o.result", values)


def _reason(*values: str, bound: str = "") -> Attribute:
    return Attribute("h2o.reason", values, bound)


def _bounds_of(family: str) -> tuple[str, tuple[float, ...]]:
    if family in counters.SLOTS:
        return "slots", ()
    if family in counters.HISTOGRAMS:
        return "histograms", counters.HISTOGRAMS[family][0]
    if family in counters.LABELLED:
        return "labelled", counters.LABELLED[family]
    return "read", ()


def _row(
    layer: str,
    name: str,
    kind: str,
    unit: str,
    attributes: tuple[Attribute, ...],
    why: str,
    *,
    family: str | None = "",
    scale: float = 1.0,
    stability: str = "own",
    moved_by: str = "",
) -> Instrument:
    """``family`` is derived from the name unless it is given; None when it is read at collection."""
    if family == "":
        family = name.removeprefix("h2o.").replace(".", "_")
    source, bounds = ("read", ()) if family is None else _bounds_of(family)
    return Instrument(
        name=name,
        kind=kind,
        unit=unit,
        attributes=attributes,
        layer=layer,
        why=why,
        family=family or "",
        source=source,
        scale=scale,
        bounds=bounds,
        stability=stability,
        moved_by=moved_by,
    )


_C, _U, _G, _H = "counter", "updowncounter", "gauge", "histogram"
_DEV, _RC = "dev", "rc"

INSTRUMENTS: tuple[Instrument, ...] = (
    # -- request
    _row("request", "http.server.request.duration", _H, "s", (_METHOD, _SCHEME, _STATUS, _ROUTE, _VERSION, _ERROR),
         "Rate, errors and latency of what is served; its exemplars lead to traces.", stability="stable"),
    _row("request", "http.server.active_requests", _U, "{request}", (_METHOD, _SCHEME), "Saturation of the application.", stability=_DEV),
    _row("request", "http.server.request.body.size", _H, "By", (_METHOD, _SCHEME, _STATUS),
         "The mix of uploads: sizes windows and buffers. Opt-in.", stability=_DEV),
    _row("request", "http.server.response.body.size", _H, "By", (_METHOD, _SCHEME, _STATUS),
         "The mix of downloads: frame size and window choice. Opt-in.", stability=_DEV),
    _row("request", "http.client.request.duration", _H, "s", (_METHOD, _ADDRESS, _PORT, _STATUS, _VERSION, _ERROR),
         "Rate, errors and latency of what is called.", stability="stable"),
    _row("request", "http.client.active_requests", _U, "{request}", (_METHOD, _ADDRESS, _PORT), "Outbound requests in flight.", stability=_DEV),
    # -- buffers
    _row("buffers", "h2o.buffer.pool.acquisitions", _C, "{buffer}",
         (_POOL, Attribute("h2o.buffer.size_class", counters.SIZE_CLASSES), _result(*counters.BUFFER_RESULTS)),
         "Hit ratio per size class: resize classes or add some."),
    _row("buffers", "h2o.buffer.pool.in_use", _U, "By", (_POOL,), "Rented now; growth without bound is a leak."),
    _row("buffers", "h2o.buffer.pool.idle", _U, "By", (_POOL,), "Memory parked for reuse: what trimming can give back."),
    _row("buffers", "h2o.buffer.pool.allocated", _C, "By", (_POOL,), "Pressure on the allocator."),
    _row("buffers", "h2o.buffer.pool.evicted", _C, "By", (_POOL,), "Trimming is too eager where it follows allocated."),
    _row("buffers", "h2o.buffer.pool.leaked", _C, "{buffer}", (_POOL,), "Buffers finalised without release: a bug; alert.", moved_by="a bug of this runtime"),
    _row("buffers", "h2o.buffer.pool.requested", _U, "By", (_POOL,), "What holders asked for: in use beyond it is waste inside the size classes."),
    _row("buffers", "h2o.buffer.pool.contended", _C, "{wait}", (), "Waits for the depot that threads share: their own caches are too small.",
         moved_by="loops in several threads that meet"),
    _row("buffers", "h2o.buffer.pool.held", _H, "s", (_POOL,), "Age of buffers when they come back, one in 16 of output: blocks that are held for long are not scratch."),
    _row("buffers", "h2o.buffer.copied", _C, "By", (_reason(*counters.COPY_REASONS),), "Octets copied by reason; over transferred octets it is the copy ratio."),
    # -- hpack
    _row("hpack", "h2o.hpack.fields", _C, "{field}", (_DIRECTION, Attribute("h2o.hpack.representation", counters.REPRESENTATIONS)),
         "Indexed against literal fields: whether the table is large enough."),
    _row("hpack", "h2o.hpack.size", _C, "By", (_DIRECTION, Attribute("h2o.hpack.form", ("encoded", "plain"))), "Encoded over plain is the compression ratio."),
    _row("hpack", "h2o.hpack.table.size", _G, "By", (_ROLE, _DIRECTION), "Occupancy over all connections: what HPACK costs in memory."),
    _row("hpack", "h2o.hpack.table.capacity", _G, "By", (_ROLE, _DIRECTION), "SETTINGS_HEADER_TABLE_SIZE in force."),
    _row("hpack", "h2o.hpack.table.evictions", _C, "{entry}", (_DIRECTION,), "Churn: raise the table size or stop indexing volatile fields."),
    _row("hpack", "h2o.hpack.time", _C, "s", (_DIRECTION,), "CPU in the codec (sampled and scaled).", family="hpack_time_ns", scale=1e-9),
    _row("hpack", "h2o.hpack.names", _C, "{name}", (_DIRECTION, _result(*counters.NAME_RESULTS)),
         "Names that stood in literal fields, or were new to a connection: the hit rate of the name cache."),
    _row("hpack", "h2o.hpack.fields.repeated", _C, "{field}", (), "Fields sent again by the same objects in the same place: no table was searched."),
    _row("hpack", "h2o.hpack.table.lost", _C, "{entry}", (), "Entries evicted from the encoder's tables though they had been of use: the table is too small."),
    _row("hpack", "h2o.hpack.table.growths", _C, "{resize}", (), "Encoder tables that grew for it, within `Limits.encoder_table_grown_bytes_max`."),
    _row("hpack", "h2o.hpack.parallel.batches", _C, "{batch}", (_result(*counters.PARALLEL_RESULTS),),
         "Huffman work handed to threads, or too little for it: whether `hpack_parallel` pays."),
    _row("hpack", "h2o.hpack.errors", _C, "{error}", (_DIRECTION, _RULE_ERROR), "Header blocks that could not be decoded or were too large."),
    _row("hpack", "h2o.fields.ignored", _C, "{field}", (Attribute("h2o.field.name", counters.IGNORED_FIELDS),),
         "Optional fields of peers that were longer than their limit or malformed, and so treated as absent."),
    # -- frames
    _row("frames", "h2o.frames", _C, "{frame}", (_ROLE, _DIRECTION, _FRAME), "The mix of frames: floods, frames per request."),
    _row("frames", "h2o.frame.payload", _C, "By", (_ROLE, _DIRECTION, _FRAME), "DATA against overhead."),
    _row("frames", "h2o.frame.data.size", _H, "By", (_DIRECTION,), "Tiny DATA frames are bad coalescing; tune the frame size."),
    _row("frames", "h2o.frame.flush.frames", _H, "{frame}", (_ROLE,), "Frames per write: whether batching works."),
    _row("frames", "h2o.frame.turn.frames", _H, "{frame}", (_ROLE,), "Frames parsed at once: at turn_frames_max a peer floods, and its turn is cut short."),
    _row("frames", "h2o.frame.padding", _C, "By", (_DIRECTION,), "Waste."),
    _row("frames", "h2o.frame.control_queue.size", _U, "{frame}", (_ROLE,), "Backlog of control frames: headroom of the flood guard."),
    _row("frames", "h2o.frame.glitches", _C, "{frame}", (_ROLE, Attribute("h2o.glitch.kind", counters.GLITCHES)),
         "Legal frames without use: how near peers are to the glitch guard."),
    _row("frames", "h2o.requests.without_authority", _C, "{request}", (), "Requests with neither :authority nor host: health checks of proxies."),
    _row("frames", "h2o.frame.errors", _C, "{error}", (_ROLE, _RULE_ERROR), "Peers that break the framing rules."),
    # -- streams
    _row("streams", "h2o.streams", _C, "{stream}", (_ROLE, Attribute("h2o.stream.outcome", counters.OUTCOMES)), "How streams end."),
    _row("streams", "h2o.stream.active", _U, "{stream}", (_ROLE,), "Concurrency now, against the limit."),
    _row("streams", "h2o.stream.limit", _G, "{stream}", (_ROLE, _DIRECTION), "MAX_CONCURRENT_STREAMS over all connections: the denominator of utilisation."),
    _row("streams", "h2o.stream.resets", _C, "{stream}", (_ROLE, _DIRECTION, _CODE), "Who cancels and why; rapid reset."),
    _row("streams", "h2o.stream.pending", _U, "{stream}", (_ROLE,), "Requests that wait for a stream."),
    _row("streams", "h2o.stream.time_in_queue", _H, "s", (_ROLE,), "Head-of-line waiting at the stream limit."),
    _row("streams", "h2o.flow_control.stalls", _C, "{stall}", (_ROLE, _SCOPE), "Writes that a closed window stopped."),
    _row("streams", "h2o.flow_control.stall.duration", _H, "s", (_ROLE, _SCOPE), "Time lost to windows: raise the initial window."),
    _row("streams", "h2o.flow_control.window", _G, "By", (_ROLE, _DIRECTION), "Sum of the connections' own windows: how far they are open."),
    _row("streams", "h2o.flow_control.target", _G, "By", (_ROLE, _SCOPE), "Sum of the receive windows that connections aim at: what auto-tuning made of them."),
    _row("streams", "h2o.flow_control.retunes", _C, "{change}", (_ROLE, _result(*counters.RETUNES)), "Receive windows that a measured round trip or the memory budget changed."),
    _row("streams", "h2o.flow_control.unread", _U, "By", (_ROLE,), "Received and not read by the application: where back-pressure comes from."),
    _row("streams", "h2o.priority.streams", _C, "{stream}",
         (Attribute("h2o.priority.urgency", counters.URGENCIES, type="int"), Attribute("h2o.priority.incremental", counters.BOOLEANS, type="boolean")),
         "Use of RFC 9218: whether the scheduler matters."),
    _row("streams", "h2o.push.promises", _C, "{push}", (_ROLE, _result(*counters.PUSH_RESULTS)), "Promises made or taken, and what became of them."),
    # -- pool
    _row("pool", "http.client.open_connections", _U, "{connection}",
         (Attribute("http.connection.state", ("active", "idle")), _ADDRESS, _PORT, _VERSION), "Size of the pool by state.", stability=_DEV),
    _row("pool", "http.client.connection.duration", _H, "s", (_ADDRESS, _PORT, _VERSION), "Churn: short lives are a keep-alive problem.", stability=_DEV),
    _row("pool", "http.client.request.time_in_queue", _H, "s", (_METHOD, _ADDRESS, _VERSION), "Starvation of the pool; look here first."),
    _row("pool", "h2o.pool.acquisitions", _C, "{request}", (_ADDRESS, _result("reused", "new", "waited", "rejected", "timeout")), "How requests got their connection."),
    _row("pool", "h2o.pool.pending", _U, "{request}", (_ADDRESS,), "Length of the queue now."),
    _row("pool", "h2o.pool.limit", _G, "{connection}", (_ADDRESS,), "Denominator of the pool's utilisation."),
    _row("pool", "h2o.pool.connections.created", _C, "{connection}", (_ADDRESS, _ERROR), "Attempts, those that failed by error."),
    _row("pool", "h2o.pool.connections.closed", _C, "{connection}",
         (_ADDRESS, _reason("idle", "max_age", "goaway", "error", "shutdown", "health", "unused", "misdirected", "evicted", bound="closed list of the pool")), "Why connections end."),
    _row("pool", "h2o.pool.retries", _C, "{request}", (_reason("REFUSED_STREAM", "GOAWAY", "NO_ERROR", "connection_lost", "421"),), "Requests sent again, and why that was safe."),
    _row("pool", "h2o.client.decoded", _C, "{body}", (_result(*counters.DECODED_RESULTS),), "Response bodies with a content coding, and those that were given up."),
    _row("pool", "h2o.pool.connect.duration", _H, "s", (Attribute("h2o.connect.phase", counters.CONNECT_PHASES), _ERROR), "Which phase of connecting hurts."),
    # -- tls
    _row("tls", "h2o.tls.handshakes", _C, "{handshake}", (_ROLE, _RESUMED, _TLS_VERSION, Attribute("error.type", bound="closed list of TLS failures")),
         "Handshakes and why they fail."),
    _row("tls", "h2o.tls.handshake.duration", _H, "s", (_ROLE, _RESUMED, _TLS_VERSION), "What resumption gains."),
    _row("tls", "h2o.tls.handshake.active", _U, "{handshake}", (_ROLE,), "A storm of handshakes."),
    _row("tls", "h2o.tls.alpn", _C, "{handshake}", (_ROLE, Attribute("tls.next_protocol", bound="protocols that we offer, or none")), "Who falls back to HTTP/1.1."),
    _row("tls", "h2o.tls.records", _C, "{record}", (_DIRECTION,), "With the payload: mean record size."),
    _row("tls", "h2o.tls.payload", _C, "By", (_DIRECTION,), "Plaintext octets; against I/O the overhead of TLS."),
    # -- memory
    _row("memory", "process.memory.usage", _U, "By", (), "Resident memory.", family=None, stability=_RC),
    _row("memory", "process.memory.virtual", _U, "By", (), "Address space.", family=None, stability=_RC),
    _row("memory", "process.paging.faults", _C, "{fault}", (Attribute("system.paging.fault.type", ("major", "minor")),),
         "Major faults are swapping.", family=None, stability=_RC),
    _row("memory", "h2o.memory.usage", _U, "By", (Attribute("h2o.memory.component", counters.MEMORY_COMPONENTS),),
         "What the runtime accounts for, by component; the budget compares its sum with the limit."),
    _row("memory", "h2o.memory.sheds", _C, "{event}", (_reason(*counters.SHED_REASONS),), "What gave way to memory pressure."),
    _row("memory", "h2o.pressure", _G, "{resource}", (Attribute("h2o.resource", counters.PRESSURES),),
         "Resources that are short, above `Limits.pressure_percent`: bodies have to make progress meanwhile."),
    _row("memory", "h2o.memory.trimmed", _C, "By", (), "Resident memory that trimming the C heap gave back to the system."),
    _row("memory", "h2o.memory.objects", _C, "{object}", (Attribute("h2o.object.type", counters.OBJECT_TYPES), _result(*counters.OBJECT_RESULTS)),
         "Whether the stream pool finds one (hit, miss), and streams that somebody still held when they ended."),
    _row("memory", "h2o.memory.interned.lookups", _C, "{lookup}", (_result(*counters.HIT_OR_MISS),), "Field values found again: whether interning shares anything."),
    _row("memory", "h2o.memory.interned.size", _U, "By", (), "What the interned values hold."),
    _row("memory", "h2o.memory.heap", _G, "By", (Attribute("h2o.memory.state", ("allocated", "used")),),
         "The C allocator's own view: allocated from the system against used; the difference is fragmentation.", family=None),
    _row("memory", "cpython.gc.collections", _C, "{collection}", (_GENERATION,), "How often the collector runs.", family=None, stability=_DEV),
    _row("memory", "cpython.gc.collected_objects", _C, "{object}", (_GENERATION,), "Cyclic garbage: find the cycle.", family=None, stability=_DEV),
    _row("memory", "cpython.gc.uncollectable_objects", _C, "{object}", (_GENERATION,), "A leak.", family=None, stability=_DEV,
         moved_by="an extension module in C whose objects cannot be finalised"),
    _row("memory", "h2o.gc.pause.duration", _H, "s", (_GENERATION,), "A culprit of tail latency: what is frozen, and thresholds."),
    _row("memory", "h2o.gc.frozen", _G, "{object}", (), "Containers of the loaded application that the collector does not look at (memory_gc_freeze).", family=None),
    _row("memory", "h2o.memory.python.blocks", _G, "{block}", (), "Blocks that the interpreter has allocated.", family=None),
    # -- protocol
    _row("protocol", "h2o.connection.active", _U, "{connection}", (_ROLE,), "Connections open now."),
    _row("protocol", "h2o.connection.duration", _H, "s", (_ROLE, _VERSION, _ERROR), "How long connections live and why they end."),
    _row("protocol", "h2o.connection.rejected", _C, "{connection}", (_reason(bound="names of limits"),), "Limits that were hit."),
    _row("protocol", "h2o.connection.requests", _H, "{request}", (_ROLE,), "Multiplexing achieved per connection."),
    _row("protocol", "h2o.goaway", _C, "{frame}", (_ROLE, _DIRECTION, _CODE), "Drains and faults."),
    _row("protocol", "h2o.connection.errors", _C, "{error}", (_ROLE, _DIRECTION, Attribute("h2o.error_code", bound="error codes")), "Connection errors by code."),
    _row("protocol", "h2o.settings.value", _G, "{setting}", (_ROLE, _DIRECTION, Attribute("h2o.setting.name", counters.SETTING_NAMES)), "What peers ask for: the values last exchanged."),
    _row("protocol", "h2o.settings.ack.duration", _H, "s", (_ROLE,), "One round trip after connecting."),
    _row("protocol", "h2o.ping.rtt", _H, "s", (_ROLE,), "Round trip through the peer's application."),
    _row("protocol", "h2o.ping.timeouts", _C, "{timeout}", (_ROLE,), "Dead peers."),
    _row("protocol", "h2o.abuse.detections", _C, "{detection}", (Attribute("h2o.abuse.kind", bound="guards of the engine"), _result("refused", "reset", "closed")), "Attacks and broken peers."),
    # -- io
    _row("io", "h2o.io.transferred", _C, "By", (_ROLE, _DIRECTION), "Throughput on the wire."),
    _row("io", "h2o.io.operations", _C, "{operation}", (_DIRECTION, _result(*counters.IO_RESULTS)), "System calls per request."),
    _row("io", "h2o.io.size", _H, "By", (_DIRECTION,), "Batching at the socket."),
    _row("io", "h2o.io.write_queue.size", _U, "By", (_ROLE,), "Octets that wait on the transport."),
    _row("io", "h2o.io.pauses", _C, "{pause}", (_ROLE,), "How often the high-water mark stopped writers."),
    _row("io", "h2o.io.yields", _C, "{yield}", (_ROLE,), "Turns that were cut short so that other connections have theirs."),
    _row("io", "h2o.io.accept.pauses", _C, "{pause}", (_reason(*counters.SHORTAGES),), "Times that accepting stopped until a descriptor was free: raise `ulimit -n`, or lower connections_max."),
    _row("io", "h2o.io.pause.duration", _H, "s", (_ROLE,), "For how long."),
    # -- runtime
    _row("runtime", "h2o.loop.lag", _H, "s", (), "Scheduling delay of the event loop: blocking code."),
    _row("runtime", "h2o.loop.busy", _C, "s", (), "Its rate is the utilisation of the loop, 0 to 1.", family="loop_busy_ns", scale=1e-9),
    _row("runtime", "h2o.asgi.app.duration", _H, "s", (_ERROR,), "Time in the application; the request's duration less this is ours."),
    _row("runtime", "h2o.asgi.wait", _C, "s", (_reason("receive", "send"),), "Time in receive() and send(): slow client or slow application.", family="asgi_wait_ns", scale=1e-9),
    _row("runtime", "h2o.asgi.handlers", _U, "{handler}", (Attribute("h2o.asgi.state", ("running", "waiting")),),
         "Applications at work, also those whose client is gone; far above open streams it is rapid reset."),
    _row("runtime", "h2o.asgi.fields.dropped", _C, "{field}", (), "Fields of HTTP/1.1 that applications send and HTTP/2 forbids."),
    _row("runtime", "process.cpu.time", _C, "s", (Attribute("cpu.mode", ("system", "user")),), "CPU per request.", family=None, stability=_RC),
    _row("runtime", "process.unix.file_descriptor.count", _U, "{file_descriptor}", (), "Exhaustion of descriptors.", family=None, stability=_RC),
    _row("runtime", "process.thread.count", _U, "{thread}", (), "Threads of the process.", family=None, stability=_RC),
    _row("runtime", "process.context_switches", _C, "{context_switch}", (Attribute("process.context_switch.type", ("involuntary", "voluntary")),),
         "Involuntary ones mean that CPU is short.", family=None, stability=_RC),
    _row("runtime", "h2o.telemetry.time", _C, "s", (_reason(*counters.SELF_COSTS),), "What telemetry itself costs.", family="telemetry_time_ns", scale=1e-9),
    _row("runtime", "h2o.telemetry.spans", _C, "{span}", (_result(*counters.SPAN_RESULTS),), "Spans recorded, dropped and not sampled."),
    _row("runtime", "h2o.telemetry.logs", _C, "{event}", (_result("emitted", "suppressed", "dropped"),), "Log events, those that the rate limit suppressed, those that failed."),
    _row("runtime", "h2o.log.dropped", _C, "{line}", (_reason(*counters.LOG_DROPS),), "Log lines lost: they came faster than they could be written, or the disk or the reader of the pipe gave out."),
    _row("runtime", "h2o.telemetry.exports", _C, "{export}", (Attribute("h2o.telemetry.signal", counters.SIGNALS), _result("success", "failure")), "Exports, and whether the collector takes them."),
    _row("runtime", "h2o.build.info", _G, "{info}",
         (Attribute("h2o.version", bound="one per process"), Attribute("h2o.compiled", counters.BOOLEANS, type="boolean"),
          Attribute("h2o.tls.backend", bound="one per process"), Attribute("process.runtime.version", bound="one per process")),
         "Always 1; version and build of the process as attributes.", family=None),
)  # fmt: skip

_REQUEST_FACTS = (
    "http.request.method",
    "http.request.method_original",
    "http.request.body.size",
    "http.response.status_code",
    "http.response.body.size",
    "error.type",
    "network.protocol.version",
    "network.peer.address",
    "network.peer.port",
    "server.address",
    "server.port",
    "h2o.connection.id",
    "h2o.stream.id",
    "h2o.stream.closed_by",
    "h2o.error_code",
    "h2o.flight",
    "h2o.request.stalled",
    "h2o.trace.dropped",
)

SPANS: tuple[SpanKind, ...] = (
    SpanKind(
        name="{http.request.method} {http.route}",
        kind="server",
        when="each sampled request",
        attributes=(
            *_REQUEST_FACTS,
            "http.route",
            "url.scheme",
            "url.path",
            "url.query",
            "user_agent.original",
            "client.address",
            "network.transport",
        ),
    ),
    SpanKind(
        name="{http.request.method}",
        kind="client",
        when="each attempt of a sampled request; ends when the body was read or abandoned",
        attributes=(
            *_REQUEST_FACTS,
            "url.full",
            "http.request.resend_count",
            "h2o.request.time_in_queue",
            "h2o.request.time_to_first_byte",
            "h2o.request.body_time",
            "h2o.retry.reason",
        ),
    ),
    SpanKind(name="HTTP wait_for_connection", kind="internal", when="the request really waited", attributes=("error.type",)),
    SpanKind(
        name="HTTP connection_setup",
        kind="internal",
        when="a connection is made; root of its own trace, requests link to it",
        attributes=(
            "server.address",
            "server.port",
            "network.peer.address",
            "network.peer.port",
            "network.protocol.version",
            "error.type",
            "h2o.connection.id",
        ),
    ),
    SpanKind(
        name="DNS lookup", kind="internal", when="phase of connection_setup", attributes=("dns.question.name", "dns.answers", "error.type")
    ),
    SpanKind(
        name="socket connect",
        kind="internal",
        when="phase of connection_setup",
        attributes=("network.peer.address", "network.peer.port", "error.type"),
    ),
    SpanKind(
        name="TLS handshake",
        kind="internal",
        when="phase of connection_setup",
        attributes=("tls.protocol.version", "tls.cipher", "tls.resumed", "tls.next_protocol", "error.type"),
    ),
    SpanKind(name="h2 settings_exchange", kind="internal", when="phase of connection_setup", attributes=("error.type",)),
    SpanKind(
        name="h2o.connection",
        kind="server",
        when="a server's connection ended abnormally",
        attributes=(
            "h2o.connection.id",
            "network.protocol.version",
            "network.peer.address",
            "network.peer.port",
            "client.address",
            "error.type",
            "h2o.reason",
            "h2o.flight",
        ),
    ),
    *(
        SpanKind(name=name, kind="internal", when="level detail: the layer's work for the request", attributes=())
        for name in counters.LAYERS
    ),
)

_PEER = ("h2o.connection.id", "h2o.role", "network.peer.address", "network.peer.port", "network.protocol.version")

EVENTS: tuple[Event, ...] = (
    Event(name="h2o.connection.opened", level="debug", why="A connection is ready.", attributes=(*_PEER, "tls.protocol.version", "tls.next_protocol")),
    Event(name="h2o.connection.closed", level="debug", why="A connection is over.", attributes=(*_PEER, "h2o.reason", "error.type", "h2o.connection.requests", "h2o.duration")),
    Event(name="h2o.goaway", level="info", why="GOAWAY sent or received.",
          attributes=(*_PEER, "network.io.direction", "h2o.error_code", "h2o.goaway.last_stream_id", "h2o.goaway.debug", "error.type"), limited=True),
    Event(name="h2o.stream.reset", level="debug", why="A stream ended early.",
          attributes=(*_PEER, "network.io.direction", "h2o.stream.id", "h2o.error_code", "error.type"), limited=True),
    Event(name="h2o.flow_control.stalled", level="warning", why="A write waits for a window for long.",
          attributes=(*_PEER, "h2o.stream.id", "h2o.flow_control.scope", "h2o.duration", "h2o.flow_control.queued"), limited=True),
    Event(name="h2o.settings.changed", level="debug", why="The peer's settings changed.", attributes=(*_PEER, "h2o.setting.name", "h2o.setting.value"), limited=True),
    Event(name="h2o.connection.left", level="info", why="The peer closed the connection in order, with requests open.",
          attributes=(*_PEER, "error.type", "exception.message", "h2o.error_code"), limited=True),
    Event(name="h2o.connection.frames", level="debug", why="The last frames of a connection that the peer left.", attributes=(*_PEER, "h2o.flight"), limited=True),
    Event(name="h2o.request.refused", level="warning", why="The server ended a stream or refused a request.",
          attributes=(*_PEER, "client.address", "h2o.stream.id", "http.request.method", "url.path", "http.route", "error.type", "exception.message",
                      "h2o.limit.name", "h2o.limit.value", "h2o.limit.actual", "h2o.hint", "h2o.refusals.unsaid"), limited=True),
    Event(name="h2o.connection.refused", level="warning", why="The server has no place for a connection.",
          attributes=("network.peer.address", "error.type", "h2o.limit.name", "h2o.limit.value", "h2o.hint"), limited=True),
    Event(name="h2o.pressure.entered", level="warning", why="A resource is short: bodies have to make progress from now on.",
          attributes=(*_PEER, "h2o.resource", "h2o.limit.name", "h2o.limit.value", "h2o.limit.actual", "h2o.hint"), limited=True),
    Event(name="h2o.pressure.left", level="info", why="A resource is short no more.",
          attributes=(*_PEER, "h2o.resource", "h2o.limit.name", "h2o.limit.value", "h2o.limit.actual"), limited=True),
    Event(name="h2o.connection.failed", level="warning", why="A connection ended for a fault of the peer or the network.",
          attributes=(*_PEER, "error.type", "exception.message", "h2o.error_code", "h2o.limit.name", "h2o.limit.value", "h2o.limit.actual",
                      "h2o.hint", "h2o.flight"), limited=True),
    Event(name="http.client.request.exception", level="warning", why="A request failed.",
          attributes=(*_PEER, "http.request.method", "url.full", "error.type", "exception.type", "exception.message", "exception.stacktrace"), limited=True),
    Event(name="http.server.request.exception", level="error", why="The application raised.",
          attributes=(*_PEER, "http.request.method", "url.path", "http.route", "error.type", "exception.type", "exception.message", "exception.stacktrace"), limited=True),
    Event(name="h2o.access", level="info", why="One line per request, when the access log is on; without a status where no response began.",
          attributes=(*_PEER, "http.request.method", "url.path", "http.response.status_code", "h2o.duration", "http.request.body.size",
                      "http.response.body.size", "client.address", "url.scheme", "error.type", "http.route", "h2o.stream.id",
                      "user_agent.original")),
    Event(name="h2o.server.started", level="info", why="A worker serves.", attributes=("server.address", "server.port", "url.scheme", "process.pid")),
    Event(name="h2o.server.streams_cut", level="warning", why="The end of the server has cut streams; how many of which routes.",
          attributes=("h2o.streams.cut", "h2o.routes", "h2o.duration", "h2o.limit")),
    Event(name="h2o.accept.paused", level="warning", why="Descriptors are short, so new connections wait; at most one line a second.",
          attributes=("h2o.reason", "error.type", "exception.message", "h2o.limit", "h2o.suppressed")),
    Event(name="h2o.server.stopped", level="info", why="A worker ended.", attributes=("process.pid", "h2o.reason", "h2o.duration")),
    Event(name="h2o.worker.exited", level="error", why="A worker ended unasked and is restarted.", attributes=("process.pid", "h2o.exit_code", "h2o.worker.restarts")),
)  # fmt: skip

by_name: dict[str, Instrument] = {instrument.name: instrument for instrument in INSTRUMENTS}
by_family: dict[str, Instrument] = {instrument.family: instrument for instrument in INSTRUMENTS if instrument.family}
