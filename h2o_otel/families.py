"""The families of counters: what is counted, by which attribute values, in which buckets.

Data alone.  ``counters`` counts by it and hands its names on; ``telemetry.catalogue`` makes an
instrument of each family.  Three kinds:

* ``SLOTS``: counters with attribute values known in advance; one array index per combination.
* ``HISTOGRAMS``: the same for distributions, aggregated in place.
* ``LABELLED``: rare or open-ended attribute values (an origin, an error); a bounded dictionary.
"""

from __future__ import annotations

# Positions in the two dimensions that most families have.
CLIENT, SERVER = 0, 1
SEND, RECV = 0, 1

ROLES = ("client", "server")
DIRECTIONS = ("transmit", "receive")
FRAME_TYPES = (
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
    "PRIORITY_UPDATE",
    "UNKNOWN",
)
ERROR_CODES = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
    "UNKNOWN",
)
BUFFER_POOLS = ("receive", "output", "tail")
SIZE_CLASSES = ("256", "1024", "4096", "16384", "65536", "262144", "1048576", "oversize")
BUFFER_RESULTS = ("hit", "miss", "oversize")
COPY_REASONS = ("deliver", "reassembly", "tail", "output", "split", "grow", "asgi", "tls")
REPRESENTATIONS = ("indexed_static", "indexed_dynamic", "literal_indexed", "literal_plain", "literal_never")
OUTCOMES = ("completed", "reset_sent", "reset_recv", "refused", "goaway", "conn_lost", "timeout", "push")
SCOPES = ("connection", "stream")
GLITCHES = ("unknown_type", "empty_data", "priority", "closed_stream", "after_goaway", "unasked_pong", "goaway", "tls_record")
RETUNES = ("grow", "shrink")
PUSH_RESULTS = ("accepted", "refused", "cancelled", "disabled")
URGENCIES = ("0", "1", "2", "3", "4", "5", "6", "7")
BOOLEANS = ("false", "true")
NAME_RESULTS = ("cached", "examined")
PARALLEL_RESULTS = ("parallel", "inline")
IO_RESULTS = ("full", "partial", "would_block", "eof", "error")
SETTING_NAMES = (
    "HEADER_TABLE_SIZE",
    "ENABLE_PUSH",
    "MAX_CONCURRENT_STREAMS",
    "INITIAL_WINDOW_SIZE",
    "MAX_FRAME_SIZE",
    "MAX_HEADER_LIST_SIZE",
    "ENABLE_CONNECT_PROTOCOL",
    "NO_RFC7540_PRIORITIES",
)
MEMORY_COMPONENTS = ("connections", "streams", "hpack", "buffers", "queues", "tls", "telemetry")
HIT_OR_MISS = ("hit", "miss")
OBJECT_TYPES = ("stream",)
DECODED_RESULTS = ("complete", "invalid", "truncated", "too_large")
OBJECT_RESULTS = ("hit", "miss", "held")
SHED_REASONS = ("refuse_stream", "shrink_window", "drop_idle")
PRESSURES = ("memory", "connections", "handlers")
CONNECT_PHASES = ("dns", "tcp", "tls", "settings")
SPAN_RESULTS = ("recorded", "dropped", "unsampled")
SELF_COSTS = ("collect", "spans", "logs")
HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "_OTHER")
URL_SCHEMES = ("http", "https")
LOG_DROPS = ("queue_full", "write_failed", "shutdown")
# Of a peer: longer than their limit, or not what their specification says.
IGNORED_FIELDS = ("priority", "traceparent", "tracestate", "baggage")
SHORTAGES = ("process_descriptors", "system_descriptors", "memory", "error")
SIGNALS = ("metrics", "traces", "logs")

# Bucket bounds.  Request durations are those of the semantic conventions, connection durations
# those of .NET; the others step evenly on a logarithmic scale.
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
CONNECTION_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
MICRO_S = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 1e-1, 2.5e-1, 5e-1, 1.0)
SIZE_BY = (16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0)
COUNT = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0)
RATE_BY_S = (1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10)

SLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    # requests
    "http_server_active_requests": (HTTP_METHODS, URL_SCHEMES),
    # buffers
    "buffer_pool_acquisitions": (BUFFER_POOLS, SIZE_CLASSES, BUFFER_RESULTS),
    "buffer_pool_in_use": (BUFFER_POOLS,),
    "buffer_pool_idle": (BUFFER_POOLS,),
    "buffer_pool_allocated": (BUFFER_POOLS,),
    "buffer_pool_evicted": (BUFFER_POOLS,),
    "buffer_pool_leaked": (BUFFER_POOLS,),
    "buffer_pool_requested": (BUFFER_POOLS,),
    "buffer_pool_contended": (),
    "buffer_copied": (COPY_REASONS,),
    # hpack
    "hpack_fields": (DIRECTIONS, REPRESENTATIONS),
    "hpack_size": (DIRECTIONS, ("encoded", "plain")),
    "hpack_table_size": (ROLES, DIRECTIONS),
    "hpack_table_capacity": (ROLES, DIRECTIONS),
    "hpack_table_evictions": (DIRECTIONS,),
    "hpack_time_ns": (DIRECTIONS,),
    "hpack_names": (DIRECTIONS, NAME_RESULTS),
    "hpack_fields_repeated": (),
    "hpack_table_lost": (),
    "hpack_table_growths": (),
    "hpack_parallel_batches": (PARALLEL_RESULTS,),
    "fields_ignored": (IGNORED_FIELDS,),
    # frames
    "frames": (ROLES, DIRECTIONS, FRAME_TYPES),
    "frame_payload": (ROLES, DIRECTIONS, FRAME_TYPES),
    "frame_padding": (DIRECTIONS,),
    "frame_control_queue_size": (ROLES,),
    "frame_glitches": (ROLES, GLITCHES),
    "requests_without_authority": (),
    # streams
    "streams": (ROLES, OUTCOMES),
    "stream_active": (ROLES,),
    "stream_limit": (ROLES, DIRECTIONS),
    "stream_resets": (ROLES, DIRECTIONS, ERROR_CODES),
    "flow_control_stalls": (ROLES, SCOPES),
    "flow_control_window": (ROLES, DIRECTIONS),
    "flow_control_target": (ROLES, SCOPES),
    "flow_control_retunes": (ROLES, RETUNES),
    "stream_pending": (ROLES,),
    "flow_control_unread": (ROLES,),
    "priority_streams": (URGENCIES, BOOLEANS),
    "push_promises": (ROLES, PUSH_RESULTS),
    # tls
    "tls_handshake_active": (ROLES,),
    "tls_records": (DIRECTIONS,),
    "tls_payload": (DIRECTIONS,),
    # memory
    "memory_usage": (MEMORY_COMPONENTS,),
    "memory_sheds": (SHED_REASONS,),
    "pressure": (PRESSURES,),
    "memory_trimmed": (),
    "memory_objects": (OBJECT_TYPES, OBJECT_RESULTS),
    "memory_interned_lookups": (HIT_OR_MISS,),
    "memory_interned_size": (),
    # protocol
    "connection_active": (ROLES,),
    "goaway": (ROLES, DIRECTIONS, ERROR_CODES),
    "settings_value": (ROLES, DIRECTIONS, SETTING_NAMES),
    "ping_timeouts": (ROLES,),
    # io
    "io_transferred": (ROLES, DIRECTIONS),
    "io_operations": (DIRECTIONS, IO_RESULTS),
    "io_write_queue_size": (ROLES,),
    "io_pauses": (ROLES,),
    "io_yields": (ROLES,),
    "io_accept_pauses": (SHORTAGES,),
    # client
    "client_decoded": (DECODED_RESULTS,),
    # runtime
    "loop_busy_ns": (),
    "asgi_wait_ns": (("receive", "send"),),
    "asgi_handlers": (("running", "waiting"),),
    "asgi_fields_dropped": (),
    "telemetry_time_ns": (SELF_COSTS,),
    "telemetry_spans": (SPAN_RESULTS,),
    "telemetry_logs": (("emitted", "suppressed", "dropped"),),
    "log_dropped": (LOG_DROPS,),
    "telemetry_exports": (SIGNALS, ("success", "failure")),
}

# The component that must be in use before a zero of these families is exported.  A family whose first dimension is
# the role needs a client or a server; all others are counted by every user of the engine.
FEEDERS: dict[str, str] = {
    "http_server_active_requests": "server",
    "client_decoded": "client",
    "tls_handshake_active": "tls",
    "tls_records": "tls",
    "tls_payload": "tls",
    "loop_busy_ns": "loop",
    "asgi_wait_ns": "server",
    "asgi_handlers": "server",
    "asgi_fields_dropped": "server",
}

HISTOGRAMS: dict[str, tuple[tuple[float, ...], tuple[tuple[str, ...], ...]]] = {
    "frame_data_size": (SIZE_BY, (DIRECTIONS,)),
    "frame_flush_frames": (COUNT, (ROLES,)),
    "frame_turn_frames": (COUNT, (ROLES,)),
    "stream_time_in_queue": (MICRO_S, (ROLES,)),
    "flow_control_stall_duration": (MICRO_S, (ROLES, SCOPES)),
    "connection_requests": (COUNT, (ROLES,)),
    "settings_ack_duration": (MICRO_S, (ROLES,)),
    "ping_rtt": (MICRO_S, (ROLES,)),
    "io_size": (SIZE_BY, (DIRECTIONS,)),
    "io_pause_duration": (MICRO_S, (ROLES,)),
    "loop_lag": (MICRO_S, ()),
    "buffer_pool_held": (MICRO_S, (BUFFER_POOLS,)),
    "gc_pause_duration": (MICRO_S, (("0", "1", "2"),)),
}

# name -> bucket bounds of a histogram, or () for a counter.  Keys are tuples of attribute values
# in the order that the catalogue names them.
LABELLED: dict[str, tuple[float, ...]] = {
    "hpack_errors": (),
    "frame_errors": (),
    "connection_errors": (),
    "connection_rejected": (),
    "connection_duration": CONNECTION_S,
    "abuse_detections": (),
    "http_server_request_duration": REQUEST_S,
    "http_server_request_body_size": SIZE_BY,
    "http_server_response_body_size": SIZE_BY,
    "http_client_request_duration": REQUEST_S,
    "http_client_active_requests": (),
    "http_client_request_time_in_queue": REQUEST_S,
    "http_client_open_connections": (),
    "http_client_connection_duration": CONNECTION_S,
    "pool_acquisitions": (),
    "pool_pending": (),
    "pool_limit": (),
    "pool_connections_created": (),
    "pool_connections_closed": (),
    "pool_connect_duration": REQUEST_S,
    "pool_retries": (),
    "tls_handshakes": (),
    "tls_handshake_duration": REQUEST_S,
    "tls_alpn": (),
    "asgi_app_duration": REQUEST_S,
}
