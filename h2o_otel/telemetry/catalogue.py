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
        why: what it measures, and what its value tells who tunes the runtime.
        moved_by: what changes it, for an instrument that traffic alone does not change; "" for all others.
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
_ADDRESS = Attribute("server.address", bound="EngineLimits.origins_labelled_max, then other")
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
         "Rate, errors and latency of the requests served; exemplars link to traces.", stability="stable"),
    _row("request", "http.server.active_requests", _U, "{request}", (_METHOD, _SCHEME), "Requests that the application is serving now.", stability=_DEV),
    _row("request", "http.server.request.body.size", _H, "By", (_METHOD, _SCHEME, _STATUS),
         "Sizes of request bodies, for choosing windows and buffers. Opt-in.", stability=_DEV),
    _row("request", "http.server.response.body.size", _H, "By", (_METHOD, _SCHEME, _STATUS),
         "Sizes of response bodies, for choosing frame size and windows. Opt-in.", stability=_DEV),
    _row("request", "http.client.request.duration", _H, "s", (_METHOD, _ADDRESS, _PORT, _STATUS, _VERSION, _ERROR),
         "Rate, errors and latency of the requests made.", stability="stable"),
    _row("request", "http.client.active_requests", _U, "{request}", (_METHOD, _ADDRESS, _PORT), "Outbound requests in flight.", stability=_DEV),
    # -- buffers
    _row("buffers", "h2o.buffer.pool.acquisitions", _C, "{buffer}",
         (_POOL, Attribute("h2o.buffer.size_class", counters.SIZE_CLASSES), _result(*counters.BUFFER_RESULTS)),
         "Buffers taken from the pool by size class and result; a low hit ratio means unsuitable size classes."),
    _row("buffers", "h2o.buffer.pool.in_use", _U, "By", (_POOL,), "Bytes of buffers in use now; unbounded growth is a leak."),
    _row("buffers", "h2o.buffer.pool.idle", _U, "By", (_POOL,), "Bytes kept for reuse, which trimming can release."),
    _row("buffers", "h2o.buffer.pool.allocated", _C, "By", (_POOL,), "Bytes that the pool allocated because it had no idle buffer."),
    _row("buffers", "h2o.buffer.pool.evicted", _C, "By", (_POOL,), "Bytes that trimming released; if it follows allocated, trimming is too eager."),
    _row("buffers", "h2o.buffer.pool.leaked", _C, "{buffer}", (_POOL,), "Buffers that were garbage-collected without a release: a bug; alert on it.", moved_by="a bug of this runtime"),
    _row("buffers", "h2o.buffer.pool.requested", _U, "By", (_POOL,), "Bytes requested by holders of buffers; the rest of the bytes in use is lost to rounding up to size classes."),
    _row("buffers", "h2o.buffer.pool.contended", _C, "{wait}", (), "Waits for the lock of the shared pool: the per-thread caches are too small.",
         moved_by="event loops in several threads that use the pool at once"),
    _row("buffers", "h2o.buffer.pool.held", _H, "s", (_POOL,), "Time for which buffers are held; of output buffers one in 16 is measured."),
    _row("buffers", "h2o.buffer.copied", _C, "By", (_reason(*counters.COPY_REASONS),), "Bytes copied, by reason; divided by bytes transferred it is the copy ratio."),
    # -- hpack
    _row("hpack", "h2o.hpack.fields", _C, "{field}", (_DIRECTION, Attribute("h2o.hpack.representation", counters.REPRESENTATIONS)),
         "Fields by representation; few indexed ones mean that the dynamic table is too small."),
    _row("hpack", "h2o.hpack.size", _C, "By", (_DIRECTION, Attribute("h2o.hpack.form", ("encoded", "plain"))), "Header bytes before and after encoding; encoded divided by plain is the compression ratio."),
    _row("hpack", "h2o.hpack.table.size", _G, "By", (_ROLE, _DIRECTION), "Size of the dynamic tables of all connections, as RFC 7541 section 4.1 counts it."),
    _row("hpack", "h2o.hpack.table.capacity", _G, "By", (_ROLE, _DIRECTION), "Capacity of the dynamic tables of all connections (SETTINGS_HEADER_TABLE_SIZE)."),
    _row("hpack", "h2o.hpack.table.evictions", _C, "{entry}", (_DIRECTION,), "Entries evicted from dynamic tables: raise the table size, or do not index values that change often."),
    _row("hpack", "h2o.hpack.time", _C, "s", (_DIRECTION,), "CPU time of encoding and decoding (sampled and scaled).", family="hpack_time_ns", scale=1e-9),
    _row("hpack", "h2o.hpack.names", _C, "{name}", (_DIRECTION, _result(*counters.NAME_RESULTS)),
         "Field names looked up in the name cache: those in literal fields or new to a connection."),
    _row("hpack", "h2o.hpack.fields.repeated", _C, "{field}", (), "Fields that repeat the objects of the previous header block at the same position, so that no table is searched."),
    _row("hpack", "h2o.hpack.table.lost", _C, "{entry}", (), "Entries evicted from the encoder's tables after they had been used: the table is too small."),
    _row("hpack", "h2o.hpack.table.growths", _C, "{resize}", (), "Encoder tables that grew because used entries were evicted, within `EngineLimits.encoder_table_grown_bytes_max`."),
    _row("hpack", "h2o.hpack.parallel.batches", _C, "{batch}", (_result(*counters.PARALLEL_RESULTS),),
         "Batches whose Huffman strings threads decoded, and those too small for it (`hpack_parallel`)."),
    _row("hpack", "h2o.hpack.errors", _C, "{error}", (_DIRECTION, _RULE_ERROR), "Header blocks that could not be decoded or were too large."),
    _row("hpack", "h2o.fields.ignored", _C, "{field}", (Attribute("h2o.field.name", counters.IGNORED_FIELDS),),
         "Optional fields of peers that were ignored because they were malformed or longer than their limit."),
    # -- frames
    _row("frames", "h2o.frames", _C, "{frame}", (_ROLE, _DIRECTION, _FRAME), "Frames by type and direction; shows floods and the number of frames per request."),
    _row("frames", "h2o.frame.payload", _C, "By", (_ROLE, _DIRECTION, _FRAME), "Payload bytes by frame type: DATA and overhead."),
    _row("frames", "h2o.frame.data.size", _H, "By", (_DIRECTION,), "Sizes of DATA frames; many small ones mean that writes are not coalesced."),
    _row("frames", "h2o.frame.flush.frames", _H, "{frame}", (_ROLE,), "Frames per write to the transport; more than 1 under load means that batching works."),
    _row("frames", "h2o.frame.turn.frames", _H, "{frame}", (_ROLE,), "Frames parsed in one batch; at `EngineLimits.turn_frames_max` the connection yields to others."),
    _row("frames", "h2o.frame.padding", _C, "By", (_DIRECTION,), "Bytes of padding."),
    _row("frames", "h2o.frame.control_queue.size", _U, "{frame}", (_ROLE,), "Control frames that wait to be sent; `EngineLimits.control_queue_frames_max` bounds them."),
    _row("frames", "h2o.frame.glitches", _C, "{frame}", (_ROLE, Attribute("h2o.glitch.kind", counters.GLITCHES)),
         "Valid frames without effect, which the glitch guard counts."),
    _row("frames", "h2o.requests.without_authority", _C, "{request}", (), "Requests with neither :authority nor host, such as health checks of proxies."),
    _row("frames", "h2o.frame.errors", _C, "{error}", (_ROLE, _RULE_ERROR), "Frames that violate a rule, by the rule's token."),
    # -- streams
    _row("streams", "h2o.streams", _C, "{stream}", (_ROLE, Attribute("h2o.stream.outcome", counters.OUTCOMES)), "Streams ended, by outcome."),
    _row("streams", "h2o.stream.active", _U, "{stream}", (_ROLE,), "Streams open now."),
    _row("streams", "h2o.stream.limit", _G, "{stream}", (_ROLE, _DIRECTION), "Sum of SETTINGS_MAX_CONCURRENT_STREAMS of all connections."),
    _row("streams", "h2o.stream.resets", _C, "{stream}", (_ROLE, _DIRECTION, _CODE), "RST_STREAM frames by direction and error code."),
    _row("streams", "h2o.stream.pending", _U, "{stream}", (_ROLE,), "Requests that wait for a stream now."),
    _row("streams", "h2o.stream.time_in_queue", _H, "s", (_ROLE,), "Time that requests waited for a stream at the limit."),
    _row("streams", "h2o.flow_control.stalls", _C, "{stall}", (_ROLE, _SCOPE), "Writes that stopped because a window was empty."),
    _row("streams", "h2o.flow_control.stall.duration", _H, "s", (_ROLE, _SCOPE), "Time that writes waited for window; if high, raise the receiver's initial window."),
    _row("streams", "h2o.flow_control.window", _G, "By", (_ROLE, _DIRECTION), "Sum of the connection-level windows."),
    _row("streams", "h2o.flow_control.target", _G, "By", (_ROLE, _SCOPE), "Sum of the target sizes of receive windows, which auto-tuning adjusts."),
    _row("streams", "h2o.flow_control.retunes", _C, "{change}", (_ROLE, _result(*counters.RETUNES)), "Changes of receive windows by auto-tuning or the memory budget."),
    _row("streams", "h2o.flow_control.unread", _U, "By", (_ROLE,), "Body bytes received and not yet read by the application."),
    _row("streams", "h2o.priority.streams", _C, "{stream}",
         (Attribute("h2o.priority.urgency", counters.URGENCIES, type="int"), Attribute("h2o.priority.incremental", counters.BOOLEANS, type="boolean")),
         "Streams by priority (RFC 9218)."),
    _row("streams", "h2o.push.promises", _C, "{push}", (_ROLE, _result(*counters.PUSH_RESULTS)), "Pushes sent or received, by result."),
    # -- pool
    _row("pool", "http.client.open_connections", _U, "{connection}",
         (Attribute("http.connection.state", ("active", "idle")), _ADDRESS, _PORT, _VERSION), "Size of the pool by state.", stability=_DEV),
    _row("pool", "http.client.connection.duration", _H, "s", (_ADDRESS, _PORT, _VERSION), "Lifetimes of client connections; short ones point to keep-alive settings.", stability=_DEV),
    _row("pool", "http.client.request.time_in_queue", _H, "s", (_METHOD, _ADDRESS, _VERSION), "Time that requests waited for a connection or a stream."),
    _row("pool", "h2o.pool.acquisitions", _C, "{request}", (_ADDRESS, _result("reused", "new", "waited", "rejected", "timeout")), "Requests by the way in which they got a connection."),
    _row("pool", "h2o.pool.pending", _U, "{request}", (_ADDRESS,), "Requests that wait for a connection now."),
    _row("pool", "h2o.pool.limit", _G, "{connection}", (_ADDRESS,), "Largest number of connections that the pool keeps."),
    _row("pool", "h2o.pool.connections.created", _C, "{connection}", (_ADDRESS, _ERROR), "Connection attempts; error.type is set for failed ones."),
    _row("pool", "h2o.pool.connections.closed", _C, "{connection}",
         (_ADDRESS, _reason("idle", "max_age", "goaway", "error", "shutdown", "health", "unused", "misdirected", "evicted", bound="closed list of the pool")), "Connections closed, by reason."),
    _row("pool", "h2o.pool.retries", _C, "{request}", (_reason("REFUSED_STREAM", "GOAWAY", "NO_ERROR", "connection_lost", "421"),), "Requests sent again, by the reason that made it safe."),
    _row("pool", "h2o.client.decoded", _C, "{body}", (_result(*counters.DECODED_RESULTS),), "Response bodies with a content coding, by the result of decoding."),
    _row("pool", "h2o.pool.connect.duration", _H, "s", (Attribute("h2o.connect.phase", counters.CONNECT_PHASES), _ERROR), "Duration of connection set-up by phase."),
    # -- tls
    _row("tls", "h2o.tls.handshakes", _C, "{handshake}", (_ROLE, _RESUMED, _TLS_VERSION, Attribute("error.type", bound="closed list of TLS failures")),
         "TLS handshakes; error.type is set for failed ones."),
    _row("tls", "h2o.tls.handshake.duration", _H, "s", (_ROLE, _RESUMED, _TLS_VERSION), "Duration of TLS handshakes."),
    _row("tls", "h2o.tls.handshake.active", _U, "{handshake}", (_ROLE,), "TLS handshakes in progress."),
    _row("tls", "h2o.tls.alpn", _C, "{handshake}", (_ROLE, Attribute("tls.next_protocol", bound="protocols that we offer, or none")), "Protocols negotiated by ALPN."),
    _row("tls", "h2o.tls.records", _C, "{record}", (_DIRECTION,), "TLS records; payload divided by records is the mean record size."),
    _row("tls", "h2o.tls.payload", _C, "By", (_DIRECTION,), "Plaintext bytes; compared with I/O bytes they show the overhead of TLS."),
    # -- memory
    _row("memory", "process.memory.usage", _U, "By", (), "Resident memory.", family=None, stability=_RC),
    _row("memory", "process.memory.virtual", _U, "By", (), "Address space.", family=None, stability=_RC),
    _row("memory", "process.paging.faults", _C, "{fault}", (Attribute("system.paging.fault.type", ("major", "minor")),),
         "Page faults; major ones read from disk.", family=None, stability=_RC),
    _row("memory", "h2o.memory.usage", _U, "By", (Attribute("h2o.memory.component", counters.MEMORY_COMPONENTS),),
         "Memory that the runtime accounts for, by component; the budget compares the sum with its limit."),
    _row("memory", "h2o.memory.sheds", _C, "{event}", (_reason(*counters.SHED_REASONS),), "Actions that memory pressure caused."),
    _row("memory", "h2o.pressure", _G, "{resource}", (Attribute("h2o.resource", counters.PRESSURES),),
         "Resources used above `EngineLimits.pressure_percent`; meanwhile bodies have to make progress."),
    _row("memory", "h2o.memory.trimmed", _C, "By", (), "Resident memory that trimming the C heap returned to the system."),
    _row("memory", "h2o.memory.objects", _C, "{object}", (Attribute("h2o.object.type", counters.OBJECT_TYPES), _result(*counters.OBJECT_RESULTS)),
         "Stream objects from the pool (hit, miss), and those not reused because something still referred to them (held)."),
    _row("memory", "h2o.memory.interned.lookups", _C, "{lookup}", (_result(*counters.HIT_OR_MISS),), "Lookups of field values in the intern table."),
    _row("memory", "h2o.memory.interned.size", _U, "By", (), "Bytes of interned values."),
    _row("memory", "h2o.memory.heap", _G, "By", (Attribute("h2o.memory.state", ("allocated", "used")),),
         "Statistics of the C allocator: bytes allocated from the system and bytes used; the difference is fragmentation.", family=None),
    _row("memory", "cpython.gc.collections", _C, "{collection}", (_GENERATION,), "Garbage collections by generation.", family=None, stability=_DEV),
    _row("memory", "cpython.gc.collected_objects", _C, "{object}", (_GENERATION,), "Objects freed by the garbage collector, which were in reference cycles.", family=None, stability=_DEV),
    _row("memory", "cpython.gc.uncollectable_objects", _C, "{object}", (_GENERATION,), "Objects that the garbage collector could not free: a leak.", family=None, stability=_DEV,
         moved_by="an extension module in C whose objects cannot be finalised"),
    _row("memory", "h2o.gc.pause.duration", _H, "s", (_GENERATION,), "Pauses by the garbage collector, a cause of tail latency."),
    _row("memory", "h2o.gc.frozen", _G, "{object}", (), "Objects of the loaded application that the garbage collector skips (`memory_gc_freeze`).", family=None),
    _row("memory", "h2o.memory.python.blocks", _G, "{block}", (), "Blocks that the interpreter has allocated.", family=None),
    # -- protocol
    _row("protocol", "h2o.connection.active", _U, "{connection}", (_ROLE,), "Connections open now."),
    _row("protocol", "h2o.connection.duration", _H, "s", (_ROLE, _VERSION, _ERROR), "Lifetimes of connections; error.type is set for those that ended abnormally."),
    _row("protocol", "h2o.connection.rejected", _C, "{connection}", (_reason(bound="names of limits"),), "Connections refused, by the limit reached."),
    _row("protocol", "h2o.connection.requests", _H, "{request}", (_ROLE,), "Requests per connection."),
    _row("protocol", "h2o.goaway", _C, "{frame}", (_ROLE, _DIRECTION, _CODE), "GOAWAY frames by direction and error code."),
    _row("protocol", "h2o.connection.errors", _C, "{error}", (_ROLE, _DIRECTION, Attribute("h2o.error_code", bound="error codes")), "Connection errors by code."),
    _row("protocol", "h2o.settings.value", _G, "{setting}", (_ROLE, _DIRECTION, Attribute("h2o.setting.name", counters.SETTING_NAMES)), "Values of the settings last sent and received."),
    _row("protocol", "h2o.settings.ack.duration", _H, "s", (_ROLE,), "Time until the peer acknowledged SETTINGS."),
    _row("protocol", "h2o.ping.rtt", _H, "s", (_ROLE,), "Round-trip times of PING."),
    _row("protocol", "h2o.ping.timeouts", _C, "{timeout}", (_ROLE,), "Connections closed because the peer did not answer PING."),
    _row("protocol", "h2o.abuse.detections", _C, "{detection}", (Attribute("h2o.abuse.kind", bound="guards of the engine"), _result("refused", "reset", "closed")), "Actions of the guards against abuse, by guard and result."),
    # -- io
    _row("io", "h2o.io.transferred", _C, "By", (_ROLE, _DIRECTION), "Bytes read from and written to transports."),
    _row("io", "h2o.io.operations", _C, "{operation}", (_DIRECTION, _result(*counters.IO_RESULTS)), "Reads and writes by result."),
    _row("io", "h2o.io.size", _H, "By", (_DIRECTION,), "Bytes per read and per write."),
    _row("io", "h2o.io.write_queue.size", _U, "By", (_ROLE,), "Bytes that transports have not written yet."),
    _row("io", "h2o.io.pauses", _C, "{pause}", (_ROLE,), "Times that a transport's high-water mark paused writing."),
    _row("io", "h2o.io.yields", _C, "{yield}", (_ROLE,), "Times that a connection stopped parsing so that other connections could proceed."),
    _row("io", "h2o.io.accept.pauses", _C, "{pause}", (_reason(*counters.SHORTAGES),), "Times that accepting stopped because of a shortage: raise `ulimit -n`, or lower connections_max."),
    _row("io", "h2o.io.pause.duration", _H, "s", (_ROLE,), "Durations of pauses of writing."),
    # -- runtime
    _row("runtime", "h2o.loop.lag", _H, "s", (), "Scheduling delay of the event loop; high values mean blocking code."),
    _row("runtime", "h2o.loop.busy", _C, "s", (), "Busy time of the event loop; its rate is the utilisation, 0 to 1.", family="loop_busy_ns", scale=1e-9),
    _row("runtime", "h2o.asgi.app.duration", _H, "s", (_ERROR,), "Time in the application; the rest of the request's duration is the runtime and the client."),
    _row("runtime", "h2o.asgi.wait", _C, "s", (_reason("receive", "send"),), "Time that applications waited in receive() and send().", family="asgi_wait_ns", scale=1e-9),
    _row("runtime", "h2o.asgi.handlers", _U, "{handler}", (Attribute("h2o.asgi.state", ("running", "waiting")),),
         "Application calls running or waiting, also those whose client is gone; far more than open streams indicates rapid reset."),
    _row("runtime", "h2o.asgi.fields.dropped", _C, "{field}", (), "Connection-specific fields of applications, which HTTP/2 forbids and the server drops."),
    _row("runtime", "process.cpu.time", _C, "s", (Attribute("cpu.mode", ("system", "user")),), "CPU time of the process.", family=None, stability=_RC),
    _row("runtime", "process.unix.file_descriptor.count", _U, "{file_descriptor}", (), "Open file descriptors.", family=None, stability=_RC),
    _row("runtime", "process.thread.count", _U, "{thread}", (), "Threads of the process.", family=None, stability=_RC),
    _row("runtime", "process.context_switches", _C, "{context_switch}", (Attribute("process.context_switch.type", ("involuntary", "voluntary")),),
         "Context switches; involuntary ones mean that CPU is short.", family=None, stability=_RC),
    _row("runtime", "h2o.telemetry.time", _C, "s", (_reason(*counters.SELF_COSTS),), "Time spent in telemetry itself.", family="telemetry_time_ns", scale=1e-9),
    _row("runtime", "h2o.telemetry.spans", _C, "{span}", (_result(*counters.SPAN_RESULTS),), "Spans recorded, dropped and not sampled."),
    _row("runtime", "h2o.telemetry.logs", _C, "{event}", (_result("emitted", "suppressed", "dropped"),), "Log events emitted, suppressed by the rate limit, and dropped because of an error."),
    _row("runtime", "h2o.log.dropped", _C, "{line}", (_reason(*counters.LOG_DROPS),), "Log lines lost because the queue was full or writing failed."),
    _row("runtime", "h2o.telemetry.exports", _C, "{export}", (Attribute("h2o.telemetry.signal", counters.SIGNALS), _result("success", "failure")), "Exports by signal and result."),
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
    SpanKind(name="HTTP wait_for_connection", kind="internal", when="the request waited for a connection", attributes=("error.type",)),
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
    Event(name="h2o.connection.closed", level="debug", why="A connection has ended.", attributes=(*_PEER, "h2o.reason", "error.type", "h2o.connection.requests", "h2o.duration")),
    Event(name="h2o.goaway", level="info", why="GOAWAY sent or received.",
          attributes=(*_PEER, "network.io.direction", "h2o.error_code", "h2o.goaway.last_stream_id", "h2o.goaway.debug", "error.type"), limited=True),
    Event(name="h2o.stream.reset", level="debug", why="A stream ended early.",
          attributes=(*_PEER, "network.io.direction", "h2o.stream.id", "h2o.error_code", "error.type"), limited=True),
    Event(name="h2o.flow_control.stalled", level="warning", why="A write has waited long for flow-control window.",
          attributes=(*_PEER, "h2o.stream.id", "h2o.flow_control.scope", "h2o.duration", "h2o.flow_control.queued"), limited=True),
    Event(name="h2o.settings.changed", level="debug", why="The peer's settings changed.", attributes=(*_PEER, "h2o.setting.name", "h2o.setting.value"), limited=True),
    Event(name="h2o.connection.left", level="info", why="The peer closed the connection cleanly while requests were open.",
          attributes=(*_PEER, "error.type", "exception.message", "h2o.error_code"), limited=True),
    Event(name="h2o.connection.frames", level="debug", why="The last frames of a connection that the peer closed while requests were open.", attributes=(*_PEER, "h2o.flight"), limited=True),
    Event(name="h2o.request.refused", level="warning", why="The server ended a stream or refused a request.",
          attributes=(*_PEER, "client.address", "h2o.stream.id", "http.request.method", "url.path", "http.route", "error.type", "exception.message",
                      "h2o.limit.name", "h2o.limit.value", "h2o.limit.actual", "h2o.hint", "h2o.refusals.unsaid"), limited=True),
    Event(name="h2o.connection.refused", level="warning", why="The server refused a connection because a limit was reached.",
          attributes=("network.peer.address", "error.type", "h2o.limit.name", "h2o.limit.value", "h2o.hint"), limited=True),
    Event(name="h2o.pressure.entered", level="warning", why="A resource is under pressure: from now on bodies have to make progress.",
          attributes=(*_PEER, "h2o.resource", "h2o.limit.name", "h2o.limit.value", "h2o.limit.actual", "h2o.hint"), limited=True),
    Event(name="h2o.pressure.left", level="info", why="A resource is no longer under pressure.",
          attributes=(*_PEER, "h2o.resource", "h2o.limit.name", "h2o.limit.value", "h2o.limit.actual"), limited=True),
    Event(name="h2o.connection.failed", level="warning", why="A connection ended because of a fault of the peer or the network.",
          attributes=(*_PEER, "error.type", "exception.message", "h2o.error_code", "h2o.limit.name", "h2o.limit.value", "h2o.limit.actual",
                      "h2o.hint", "h2o.flight"), limited=True),
    Event(name="http.client.request.exception", level="warning", why="A request failed.",
          attributes=(*_PEER, "http.request.method", "url.full", "error.type", "exception.type", "exception.message", "exception.stacktrace"), limited=True),
    Event(name="http.server.request.exception", level="error", why="The application raised.",
          attributes=(*_PEER, "http.request.method", "url.path", "http.route", "error.type", "exception.type", "exception.message", "exception.stacktrace"), limited=True),
    Event(name="h2o.access", level="info", why="One line per request while the access log is on; it has no status if no response began.",
          attributes=(*_PEER, "http.request.method", "url.path", "http.response.status_code", "h2o.duration", "http.request.body.size",
                      "http.response.body.size", "client.address", "url.scheme", "error.type", "http.route", "h2o.stream.id",
                      "user_agent.original")),
    Event(name="h2o.server.started", level="info", why="A worker started serving.", attributes=("server.address", "server.port", "url.scheme", "process.pid")),
    Event(name="h2o.server.streams_cut", level="warning", why="Shutdown ended open streams; the attributes list how many, by route.",
          attributes=("h2o.streams.cut", "h2o.routes", "h2o.duration", "h2o.limit")),
    Event(name="h2o.accept.paused", level="warning", why="File descriptors are short, so new connections wait; at most one line per second.",
          attributes=("h2o.reason", "error.type", "exception.message", "h2o.limit", "h2o.suppressed")),
    Event(name="h2o.server.stopped", level="info", why="A worker ended.", attributes=("process.pid", "h2o.reason", "h2o.duration")),
    Event(name="h2o.worker.exited", level="error", why="A worker exited unexpectedly and is restarted.", attributes=("process.pid", "h2o.exit_code", "h2o.worker.restarts")),
)  # fmt: skip

by_name: dict[str, Instrument] = {instrument.name: instrument for instrument in INSTRUMENTS}
by_family: dict[str, Instrument] = {instrument.family: instrument for instrument in INSTRUMENTS if instrument.family}
