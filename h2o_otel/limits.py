"""Every bound of the runtime: ``ServerLimits`` of a server, ``Limits`` of a client, ``EngineLimits`` what both have.

A leaf.  Units stand last in the names: ``_bytes``, ``_s`` (seconds), ``_per_s``; ``_max`` is the
largest value allowed, ``_burst`` the size of a token bucket and ``_refill_per_s`` its refill.
``None`` means no bound, but for ``memory_process_bytes_max``, where ``memory_process_percent`` of the
container's or the machine's memory takes its place (0 for no bound).  The three httpx names of the pool (``max_connections``,
``max_keepalive_connections``, ``keepalive_expiry``) keep the spelling that its users know.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from .bounds import bound

__all__ = ["CLIENT_LIMITS", "SERVER_LIMITS", "EngineLimits", "Limits", "ServerLimits"]

# RFC 9113 section 6.9.1 and section 5.1.1: neither is a matter of taste, so neither is a field.
WINDOW_BYTES_MAX = 2**31 - 1
STREAM_ID_MAX = 2**31 - 1
# A server drains a connection whose identifiers are half used up, long before they can run out.
STREAM_ID_DRAIN = 2**30
# Settings that connections with the same values share; peers choose the values, so there is a bound.
SETTINGS_SHARED_MAX = 256


def changes(values: Any) -> str:
    """A dataclass with many fields as an expression that names those which differ from their defaults."""
    named = [f"{field.name}={getattr(values, field.name)!r}" for field in fields(values) if getattr(values, field.name) != field.default]
    return f"{type(values).__name__}({', '.join(named)})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EngineLimits:
    """What bounds the protocol engine and the I/O under it, on either side; immutable, so it can be shared.

    ``ServerLimits`` and ``Limits`` have these fields too, so that a server or a client takes one object for all its bounds.

    Raises:
        ValueError: a bound is negative, outside what RFC 9113 section 6.5.2 allows, a ring's size and no power of two, or lets nothing run.
    """

    # -- HPACK and header lists (RFC 7541; RFC 9113 section 6.5.2, 10.5.1)
    header_table_bytes: int = bound(
        4096,
        "The HPACK table that the peer's encoder may use with us (SETTINGS_HEADER_TABLE_SIZE).",
        reached="The peer drops its oldest entries; fields that it repeats cost more octets.",
        change="Raise it for peers that repeat many long fields; every connection may then hold that much.",
    )
    encoder_table_bytes_max: int = bound(
        4096,
        "Our HPACK encoder's table, however large the peer allows it to be.",
        reached="The oldest entries make room for new ones.",
        change="Lower it to spend less memory on each connection, raise it where requests repeat many long fields.",
    )
    encoder_table_grown_bytes_max: int = bound(
        16_384,
        "What the encoder's table may grow to when it loses entries that are still in use.",
        reached="It grows no further; lost entries are sent in full again.",
        change="Set it to 4096 to keep the table small on servers with very many connections.",
    )
    header_list_bytes_max: int = bound(
        65_536,
        "The decoded size of one header or trailer section, 32 octets added for each field (SETTINGS_MAX_HEADER_LIST_SIZE).",
        reached="The stream is reset with rule header_list_too_large; the connection goes on.",
        change="Raise it where honest requests carry very large cookies or tokens.",
    )
    header_fields_max: int = bound(
        256,
        "Fields in one header or trailer section, cookie crumbs included.",
        reached="The stream is reset with rule header_fields_too_many.",
        change="Raise it where browsers send more cookies than that.",
    )
    hpack_size_updates_max: int = bound(
        2,
        "Table size updates at the start of one field block (RFC 7541 section 4.2 needs two).",
        reached="The connection ends with COMPRESSION_ERROR.",
        change="Leave it; two are all that RFC 7541 has a use for.",
    )
    hpack_parallel_bytes_min: int = bound(
        262_144,
        "The size of a field block from which on its Huffman strings are decoded in threads, where Tuning.hpack_parallel is on.",
        reached="Smaller blocks are decoded in the thread of the connection.",
        change="Lower it only after measuring with your own traffic.",
    )
    priority_bytes_max: int = bound(
        256,
        "Octets of a priority: the priority fields of one message together, or the value in a PRIORITY_UPDATE frame.",
        reached="The priority is ignored and counted (`h2o.fields.ignored`).",
        change="Leave it; `u=7, i` is all that RFC 9218 defines.",
    )
    continuation_frames_max: int = bound(
        8,
        "CONTINUATION frames after one HEADERS frame (CVE-2024-27316).",
        reached="The connection ends with rule continuation_flood.",
        change="Raise it together with header_list_bytes_max, for peers that send small frames.",
    )
    continuation_empty_max: int = bound(
        1,
        "Empty CONTINUATION frames in one field block.",
        reached="The connection ends with rule continuation_empty.",
        change="Leave it; no honest peer needs more.",
    )
    header_block_timeout_s: float = bound(
        10.0,
        "The time from the first octet of a field block to its end.",
        reached="The connection ends with rule header_block_timeout.",
        change="Raise it for clients on links where a few kilobytes take this long.",
    )
    frame_timeout_s: float = bound(
        10.0,
        "The time from the first octet of a frame to its end, for all frames but DATA of an open body and those of field blocks.",
        reached="The connection ends with rule frame_timeout.",
        change="Raise it for clients on links that stand still for that long.",
    )
    informational_responses_max: int = bound(
        16,
        "1xx responses before the final response to one request.",
        reached="The request fails with rule informational_too_many.",
        change="Raise it for servers that report progress with many 102 or 103 responses.",
        side="client",
    )
    names_cached_max: int = bound(
        1024,
        "Validated field names that are remembered, so that they are not checked again.",
        reached="Further names are checked each time.",
        change="Leave it unless peers use more distinct field names.",
    )

    # -- frames and buffers
    frame_bytes_max: int = bound(
        16_384,
        "The largest frame payload that we accept (SETTINGS_MAX_FRAME_SIZE).",
        reached="The connection ends with FRAME_SIZE_ERROR.",
        change="Raise it for bulk uploads on fast links; other streams wait behind a large frame.",
    )
    read_buffer_bytes: int = bound(
        65_536,
        "The buffer that one read of the socket fills; connections of a loop share it.",
        reached="The rest stays in the socket for the next read.",
        change="Raise it together with turn_bytes_max for few fast connections.",
    )
    control_queue_frames_max: int = bound(
        1000,
        "Answers (acknowledgements, RST_STREAM) that wait for a peer that does not read.",
        reached="The connection ends with rule control_queue_flood.",
        change="Leave it; only floods come near it.",
    )
    settings_entries_max: int = bound(
        32,
        "Entries in one SETTINGS frame.",
        reached="The connection ends with rule settings_entries.",
        change="Raise it for peers that send many private settings.",
    )
    flight_recorder_frames: int = bound(
        64,
        "The last frames of a connection that are kept for error reports; a power of two, 0 for none.",
        reached="The oldest is forgotten.",
        change="Raise it to see more of what went before an error, lower it to save memory on each connection.",
    )
    flight_recorder_shown_max: int = bound(
        16,
        "Frames of the flight recorder that one log event or span shows.",
        reached="Only the last ones are shown.",
        change="Raise it while looking for a fault.",
    )

    # -- streams (RFC 9113 section 5.1.2)
    streams_max: int = bound(
        250,
        "Streams that the peer may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS).",
        reached="Further streams are refused with REFUSED_STREAM, or held where the peer could not know the limit yet (streams_held_max).",
        change="Raise it for proxies and clients that put many requests on one connection; lower it to bound memory.",
        side="server",
    )
    streams_held_max: int = bound(
        1024,
        "Streams beyond streams_max that are held for a handler when they came before the peer acknowledged our first SETTINGS.",
        reached="Further streams are refused with REFUSED_STREAM, which counts against nobody.",
        change="Raise it for proxies that begin a connection with a larger burst; 0 refuses all that exceed streams_max.",
        side="server",
    )
    streams_held_bytes_max: int = bound(
        1_048_576,
        "The decoded header sections of the held streams of a connection together.",
        reached="Further streams are refused with REFUSED_STREAM, which counts against nobody.",
        change="Raise it together with streams_held_max where requests carry large header sections.",
        side="server",
    )
    closed_streams_remembered_max: int = bound(
        256,
        "Closed streams of a connection whose late frames are told from errors.",
        reached="The oldest is forgotten; a late frame for it ends the connection.",
        change="Raise it for peers with very many cancelled requests under way.",
    )
    push_promises_max: int = bound(
        100,
        "Promised streams that may be open at once on a connection.",
        reached="A server promises no more; a client cancels further ones.",
        change="Raise it where one page pushes more resources than that.",
    )
    push_promises_per_connection_max: int = bound(
        1000,
        "Promises that a server makes in the life of a connection.",
        reached="No more are made; responses are not affected.",
        change="Raise it for long connections that push steadily.",
        side="server",
    )

    # -- flow control (RFC 9113 section 5.2)
    stream_window_bytes: int = bound(
        262_144,
        "What a peer may send on a stream ahead of the reader (SETTINGS_INITIAL_WINDOW_SIZE).",
        reached="The peer waits for WINDOW_UPDATE.",
        change="Raise it for single transfers on links with a large product of bandwidth and delay; each open stream may hold that much.",
    )
    connection_window_bytes: int = bound(
        1_048_576,
        "What a peer may send on all streams of a connection ahead of their readers.",
        reached="The peer waits for WINDOW_UPDATE.",
        change="Raise it with stream_window_bytes; each connection may hold that much.",
    )
    window_bytes_max: int = bound(
        16_777_216,
        "What windows may grow to while the runtime measures bandwidth and delay.",
        reached="Windows grow no further.",
        change="Lower it to bound memory, raise it for very fast and distant peers.",
    )
    window_probe_interval_s: float = bound(
        0.1,
        "The least time between two PINGs that measure bandwidth and delay.",
        reached="The next measurement waits.",
        change="Raise it for peers that complain about PINGs.",
    )
    send_buffer_stream_bytes: int = bound(
        65_536,
        "Body octets of one stream that wait to be sent before its producer has to wait.",
        reached="The application's send() waits until half of it has gone.",
        change="Raise it for producers that write in large bursts.",
    )
    output_high_water_bytes: int = bound(
        262_144,
        "Octets handed to the transport and not written yet.",
        reached="Bodies are queued in their streams until the transport has room.",
        change="Raise it on fast links with a large product of bandwidth and delay.",
    )

    # -- token buckets against floods
    resets_received_burst: int = bound(
        1000,
        "Cancelled requests at once from one peer (CVE-2023-44487).",
        reached="The connection ends with rule rapid_reset.",
        change="Raise it for proxies that cancel more at once.",
        side="server",
    )
    resets_received_refill_per_s: float = bound(
        33.0,
        "Cancelled requests a second in the long run, one more for each response that completes.",
        reached="The burst is used up, then the connection ends with rule rapid_reset.",
        change="Raise it with resets_received_burst.",
        side="server",
    )
    resets_sent_burst: int = bound(
        100,
        "Streams at once that we have to reset for faults of the peer (CVE-2025-8671).",
        reached="The connection ends with rule made_you_reset.",
        change="Raise it for proxies that forward many malformed requests on one connection.",
    )
    resets_sent_refill_per_s: float = bound(
        5.0,
        "Streams a second, in the long run, that we have to reset for faults of the peer.",
        reached="The burst is used up, then the connection ends with rule made_you_reset.",
        change="Raise it with resets_sent_burst.",
    )
    pings_burst: int = bound(
        100,
        "PINGs at once from a peer, beyond one for each message frame that we sent (CVE-2019-9512).",
        reached="The connection ends with rule ping_flood.",
        change="Raise it for peers that probe very often.",
    )
    pings_refill_per_s: float = bound(
        10.0,
        "PINGs a second in the long run.",
        reached="The burst is used up, then the connection ends with rule ping_flood.",
        change="Raise it with pings_burst.",
    )
    settings_burst: int = bound(
        10,
        "SETTINGS frames at once from a peer (CVE-2019-9515).",
        reached="The connection ends with rule settings_flood.",
        change="Raise it for peers that change their settings all the time.",
    )
    settings_refill_per_s: float = bound(
        1.0,
        "SETTINGS frames a second in the long run.",
        reached="The burst is used up, then the connection ends with rule settings_flood.",
        change="Raise it with settings_burst.",
    )
    goaways_burst: int = bound(
        10,
        "GOAWAYs at once from a peer.",
        reached="The connection ends with rule goaway_flood.",
        change="Leave it; a graceful end takes two.",
    )
    goaways_refill_per_s: float = bound(
        1.0,
        "GOAWAYs a second in the long run.",
        reached="The burst is used up, then the connection ends with rule goaway_flood.",
        change="Leave it; a graceful end takes two.",
    )
    tls_records_empty_burst: int = bound(
        32,
        "TLS records at once that carry no octet of the connection (empty ones, key updates, session tickets) once the handshake is done.",
        reached="The connection ends with rule tls_record_flood.",
        change="Raise it for peers that change their keys very often.",
    )
    tls_records_empty_refill_per_s: float = bound(
        1.0,
        "Such TLS records a second in the long run.",
        reached="The burst is used up, then the connection ends with rule tls_record_flood.",
        change="Raise it with tls_records_empty_burst.",
    )
    empty_data_in_a_row_max: int = bound(
        10,
        "DATA frames in a row without data and without an end (CVE-2019-9518).",
        reached="The connection ends with rule empty_data_flood.",
        change="Leave it; no honest peer needs more.",
    )
    empty_data_max: int = bound(
        100,
        "DATA frames without data in the life of a connection.",
        reached="The connection ends with rule empty_data_flood.",
        change="Raise it for peers that send an empty DATA frame with every message.",
    )
    small_data_bytes_min: int = bound(
        25_600,
        "What unread small DATA frames may cost beyond their octets, at least; it grows with the connection's window.",
        reached="The connection ends with rule small_data_flood.",
        change="Raise it for streams of tiny messages with slow readers.",
    )
    priority_frames_per_stream_max: int = bound(
        100,
        "PRIORITY and PRIORITY_UPDATE frames for each stream of a connection.",
        reached="The connection ends with rule priority_flood.",
        change="Leave it; browsers send a few for each stream.",
    )
    window_updates_base: int = bound(
        5,
        "WINDOW_UPDATE frames that a peer may send without having received anything.",
        reached="Beyond it, streams and frames sent earn more; then the connection ends with rule window_update_flood.",
        change="Leave it unless an honest peer is ended by window_update_flood.",
    )
    window_updates_per_stream: int = bound(
        2,
        "WINDOW_UPDATE frames that every stream earns the peer.",
        reached="The connection ends with rule window_update_flood when all are used up.",
        change="Leave it unless an honest peer is ended by window_update_flood.",
    )
    window_updates_per_data: int = bound(
        20,
        "WINDOW_UPDATE frames that every DATA or HEADERS frame sent earns the peer.",
        reached="The connection ends with rule window_update_flood when all are used up.",
        change="Raise it for peers that return credit octet by octet.",
    )
    glitches_burst: int = bound(
        2000,
        "Legal frames of no use (unknown types, late frames, PRIORITY) at once from a peer.",
        reached="The connection ends with rule glitch_flood.",
        change="Raise it for peers with many extensions.",
    )
    glitches_refill_per_s: float = bound(
        200.0,
        "Legal frames of no use a second in the long run.",
        reached="The burst is used up, then the connection ends with rule glitch_flood.",
        change="Raise it with glitches_burst.",
    )

    # -- fairness of one event loop
    turn_bytes_max: int = bound(
        65_536,
        "Octets of one connection that are parsed before other connections have their turn.",
        reached="The connection queues behind the others.",
        change="Lower it for steadier latency under load, raise it for throughput of few connections.",
    )
    turn_frames_max: int = bound(
        256,
        "Frames of one connection that are parsed before other connections have their turn.",
        reached="The connection queues behind the others.",
        change="Lower it for steadier latency under load.",
    )
    turn_streams_max: int = bound(
        128,
        "New requests of one connection that start before other connections have their turn.",
        reached="The connection queues behind the others.",
        change="Lower it where handlers do much work before their first await.",
        side="server",
    )
    turn_s_max: float = bound(
        0.002,
        "The time that one connection may read before other connections have their turn.",
        reached="The connection queues behind the others.",
        change="Lower it for steadier latency under load.",
    )

    # -- time
    tls_handshake_timeout_s: float = bound(
        10.0,
        "The time from the connection's start to the end of the TLS handshake.",
        reached="The connection is closed.",
        change="Raise it for clients on very slow links.",
    )
    preface_timeout_s: float = bound(
        10.0,
        "The time from the connection's start to the peer's first SETTINGS frame.",
        reached="The connection ends with rule preface_timeout.",
        change="Raise it for peers that open connections long before they use them.",
    )
    settings_ack_timeout_s: float = bound(
        10.0,
        "The time in which the peer has to acknowledge our SETTINGS.",
        reached="The connection ends with rule settings_timeout.",
        change="Raise it for peers on very slow links.",
    )
    idle_timeout_s: float | None = bound(
        75.0,
        "How long a connection without streams stays open; None for ever.",
        reached="The connection ends with GOAWAY (NO_ERROR).",
        change="Set it above the idle time of a proxy in front, so that the proxy closes first.",
        side="server",
    )
    body_stall_timeout_s: float | None = bound(
        90.0,
        "How long a client may pause in a request body that the application waits for; None for ever.",
        reached="The request is answered with 408, or its stream ends with rule body_stalled where the response has begun.",
        change="Raise it for clients that stream with longer pauses.",
        side="server",
    )
    body_rate_min_bytes_per_s: int = bound(
        240,
        "The rate at which a request body has to arrive while a resource is short (pressure_percent).",
        reached="The request is answered with 408, or its stream ends with rule body_too_slow where the response has begun.",
        change="Lower it for very slow devices, 0 to never ask for a rate.",
        side="server",
    )
    body_rate_grace_s: float = bound(
        5.0,
        "The time over which the rate of a request body is measured while a resource is short.",
        reached="The request is answered with 408, or its stream ends with rule body_too_slow, where the rate was too low.",
        change="Raise it to allow longer pauses while a resource is short.",
        side="server",
    )
    send_stall_timeout_s: float | None = bound(
        90.0,
        "How long a client may take nothing of a response body that waits for it; None for ever.",
        reached="The stream ends with rule send_stalled; a connection that has no other and does not read is closed.",
        change="Raise it for readers that pause longer.",
        side="server",
    )
    send_stall_pressure_s: float = bound(
        30.0,
        "How long a client may take nothing of a response body while a resource is short (pressure_percent).",
        reached="The stream ends with rule send_stalled; a connection that has no other and does not read is closed.",
        change="Raise it for readers that pause longer, lower it to free memory sooner.",
        side="server",
    )
    send_rate_min_bytes_per_s: int = bound(
        256,
        "The rate at which a client has to take a response body while a resource is short (pressure_percent).",
        reached="The stream ends with rule send_too_slow.",
        change="Lower it for very slow devices, 0 to never ask for a rate.",
        side="server",
    )
    send_rate_grace_s: float = bound(
        10.0,
        "The time over which the rate of taking a body is measured while a resource is short.",
        reached="The stream ends with rule send_too_slow where the rate was too low.",
        change="Raise it to allow longer pauses while a resource is short.",
        side="server",
    )
    pressure_percent: int = bound(
        75,
        "From which part of the memory bound, of connections_max or of running_handlers_max on a resource is short.",
        reached="Bodies have to make progress: body_rate_min_bytes_per_s, send_stall_pressure_s and send_rate_min_bytes_per_s hold.",
        change="Lower it to end slow peers earlier, 0 to ask for progress always, 100 to ask for it never.",
        side="server",
    )
    close_drain_s: float = bound(
        1.0,
        "How long a connection that we end still reads, so that the peer gets our last frames.",
        reached="The socket is closed.",
        change="Raise it for peers with a round trip longer than that.",
    )
    close_drain_bytes: int = bound(
        65_536,
        "Octets that a connection which we end still reads, so that the peer gets our last frames.",
        reached="The socket is closed.",
        change="Raise it for peers with much data under way.",
    )
    ping_interval_min_s: float = bound(
        10.0,
        "The least time between PINGs that ask whether a connection is alive.",
        reached="The next PING waits.",
        change="Raise it for peers that complain about PINGs.",
        side="client",
    )
    ping_timeout_s: float = bound(
        5.0,
        "The time in which the peer has to answer a PING.",
        reached="The connection ends with rule ping_timeout.",
        change="Raise it for peers that stop for garbage collection or on very slow links.",
    )

    # -- memory
    memory_process_bytes_max: int | None = bound(
        None,
        "What the runtime may hold in this process; None for memory_process_percent of the container or machine.",
        reached="Windows shrink at memory_shrink_percent of it, and new streams are refused at memory_refuse_percent.",
        change="Set it where the process shares its machine.",
    )
    memory_process_percent: int = bound(
        50,
        "What the runtime may hold, as a part of the memory of the container or machine; 0 for no bound.",
        reached="As for memory_process_bytes_max.",
        change="Lower it where the application itself needs most of the memory.",
    )
    memory_connection_bytes_max: int = bound(
        67_108_864,
        "What one connection may hold.",
        reached="Its windows shrink at memory_shrink_percent of it, and at the bound its new streams are refused.",
        change="Raise it for proxies that put very many large requests on one connection.",
    )
    memory_shrink_percent: int = bound(
        75,
        "From which part of a memory bound on windows shrink.",
        reached="Credit is held back, so that peers send less ahead.",
        change="Lower it to react earlier.",
    )
    memory_refuse_percent: int = bound(
        90,
        "From which part of the process's memory bound on new streams are refused and idle connections closed.",
        reached="New streams get REFUSED_STREAM, which clients may send again.",
        change="Lower it to react earlier.",
    )
    idle_drops_per_sweep_max: int = bound(
        64,
        "Idle connections that are closed at once while memory is short.",
        reached="The next ones are closed a second later.",
        change="Raise it for servers with tens of thousands of idle connections.",
    )
    streams_pooled_max: int = bound(
        256,
        "Stream objects kept for use again, where Tuning.stream_pool is on.",
        reached="Further ones are left to the garbage collector.",
        change="Change it only after measuring.",
    )
    interned_values_max: int = bound(
        1024,
        "Field values that connections of a thread share instead of keeping a copy each.",
        reached="Further values are kept by each connection.",
        change="Raise it where very many connections send the same values.",
    )
    interned_value_bytes_max: int = bound(
        256,
        "The length of a field value that connections may share.",
        reached="Longer values are kept by each connection.",
        change="Raise it where connections share long values, such as cookies.",
    )
    buffer_cache_bytes_max: int = bound(
        2_097_152,
        "Idle buffers that a thread keeps.",
        reached="Further ones go to the depot of the process.",
        change="Raise it for many connections with large bodies.",
    )
    buffer_depot_bytes_max: int = bound(
        16_777_216,
        "Idle buffers that all threads together keep.",
        reached="Further ones are freed.",
        change="Lower it to give memory back sooner.",
    )
    buffer_quiet_s: float = bound(
        5.0,
        "How long a buffer or an idle connection's tables are unused before they are given back.",
        reached="Their memory is freed.",
        change="Raise it for load that comes in bursts further apart.",
    )
    heap_free_bytes_max: int = bound(
        67_108_864,
        "Free memory that the process's heap keeps after a burst.",
        reached="The rest is given back to the system.",
        change="Lower it where many processes share a machine.",
    )

    # -- telemetry
    telemetry_shutdown_s: float = bound(
        5.0,
        "Time for the last export of spans, logs and metrics together, when a process ends.",
        reached="What has not been exported is lost, with one warning.",
        change="Raise it for a slow collector; a server has less where its grace time used up most of its ten seconds.",
    )
    log_lines_per_s: float = bound(
        10.0,
        "Log lines a second of one kind that a peer can cause.",
        reached="Further ones are counted and left out.",
        change="Raise it while looking for a fault.",
    )
    log_queue_lines_max: int = bound(
        10_000,
        "Log lines that wait for the thread that writes them.",
        reached="Further lines are dropped and counted (`h2o.log.dropped`).",
        change="Raise it where bursts of requests lose access lines; a line takes about a kilobyte.",
    )
    origins_labelled_max: int = bound(
        64,
        "Origins that have labels of their own in a client's metrics.",
        reached="Later origins share the label other.",
        change="Raise it where the metrics store can hold more series.",
        side="client",
    )

    def __repr__(self) -> str:
        return changes(self)

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 0:
                raise ValueError(f"{kind}.{field.name} is {value}; a bound is at least 0, or None where there is none")
        if not 16_384 <= self.frame_bytes_max <= 16_777_215:
            raise ValueError(f"{kind}.frame_bytes_max is {self.frame_bytes_max}; RFC 9113 section 6.5.2 allows 16384 to 16777215")
        if self.flight_recorder_frames & (self.flight_recorder_frames - 1):
            raise ValueError(f"{kind}.flight_recorder_frames is {self.flight_recorder_frames}; it must be a power of two, or 0 for none")
        for name in ("stream_window_bytes", "connection_window_bytes", "window_bytes_max"):
            if getattr(self, name) > WINDOW_BYTES_MAX:
                raise ValueError(f"{kind}.{name} is {getattr(self, name)}; RFC 9113 section 6.9.1 allows at most {WINDOW_BYTES_MAX}")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ServerLimits(EngineLimits):
    """What bounds a server, ``ServerConfig(limits=...)``: its own bounds, and those of ``EngineLimits``.

    Raises:
        ValueError: as ``EngineLimits``; or ``running_handlers_max`` is 0.
    """

    # -- connections of a server
    connections_max: int = bound(
        10_000,
        "Connections of a server at once.",
        reached="Further connections are closed when they are accepted.",
        change="Set it to what the process's file descriptors and memory allow.",
        side="server",
    )
    connections_per_address_max: int | None = bound(
        None,
        "Connections from one address at once; None for no bound.",
        reached="Further ones from that address are closed when they are accepted.",
        change="Set it on servers that face clients directly, not behind a proxy.",
        side="server",
    )
    requests_per_connection_max: int | None = bound(
        None,
        "Requests in the life of a connection; None for no bound.",
        reached="The connection drains with GOAWAY and the client opens another.",
        change="Set it to spread long-lived clients over new processes.",
        side="server",
    )
    connection_age_max_s: float | None = bound(
        None,
        "The age of a connection; None for no bound.",
        reached="The connection drains with GOAWAY and the client opens another.",
        change="Set it to spread long-lived clients over new processes.",
        side="server",
    )

    # -- requests of a server
    running_handlers_max: int = bound(
        250,
        "Applications of one connection that run at once, those whose stream is over included.",
        reached="Further requests wait with their stream open until one ends.",
        change="Raise it for proxies that put many slow requests on one connection.",
        side="server",
    )
    send_buffer_connection_bytes: int = bound(
        524_288,
        "Body octets of all streams of a connection that wait to be sent before producers have to wait.",
        reached="The application's send() waits.",
        change="Raise it for connections with many large responses at once.",
        side="server",
    )
    request_drain_s: float = bound(
        1.0,
        "How long the rest of a request's body is taken and dropped after a full answer, and again while it brings 256 KiB in that time.",
        reached="The stream is reset with NO_ERROR; the request counts as completed.",
        change="Raise it for slow clients that read the answer only when they have sent everything; 0 resets at once.",
        side="server",
    )
    request_drain_bytes: int = bound(
        67_108_864,
        "Octets of a request's body that are taken and dropped after a full answer.",
        reached="The stream is reset with NO_ERROR; the request counts as completed.",
        change="Lower it where uploads cost money, raise it for clients that read the answer only when they have sent everything.",
        side="server",
    )
    disconnect_grace_s: float = bound(
        5.0,
        "How long a handler that has not begun its response, or that waits in receive() or send(), may go on after its client has left.",
        reached="It is cancelled; a handler in the middle of a streaming response that waits elsewhere is cancelled at once.",
        change="Raise it for handlers that need longer to end in order.",
        side="server",
    )
    forwarded_hops_max: int = bound(
        32,
        "Addresses in X-Forwarded-For that are looked at, from the right.",
        reached="The last one that was looked at is the client's.",
        change="Leave it; there are rarely more than a few proxies.",
        side="server",
    )

    # -- shutdown of a server
    shutdown_notice_s: float = bound(
        5.0,
        "How long requests under way run on when the server ends, before receive() gives them http.disconnect.",
        reached="Streams that wait for the client to leave (such as server-sent events) end; others run on.",
        change="Lower it where streams need long to end in order, raise it with shutdown_grace_s for long uploads.",
        side="server",
    )
    shutdown_grace_s: float = bound(
        8.0,
        "How long requests under way may take when the server ends.",
        reached="Streams that are still open get RST_STREAM, their handlers are cancelled, and h2o.server.streams_cut names the routes.",
        change="Set it below the time that your container or service manager gives a process to end (containers: 10 s).",
        side="server",
    )
    shutdown_cleanup_s: float = bound(
        1.0,
        "How long cancelled handlers, last frames and the lifespan's shutdown may take after the grace time.",
        reached="Connections are dropped and the lifespan is cancelled; h2o-otel serve ends although threads still run.",
        change="Raise it for applications whose lifespan has much to do at the end.",
        side="server",
    )

    # A dataclass with slots is created twice, and super() without arguments would refer to the first class.
    def __post_init__(self) -> None:
        EngineLimits.__post_init__(self)
        if self.running_handlers_max == 0:
            raise ValueError("ServerLimits.running_handlers_max is 0; no request would ever be answered")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Limits(EngineLimits):
    """What bounds a client, ``AsyncClient(limits=...)``: its own bounds, and those of ``EngineLimits``.

    The first three are those of ``httpx.Limits``.  Windows are larger than a server's, since responses are larger than requests.

    Raises:
        ValueError: as ``EngineLimits``.
    """

    # -- connections of a client
    max_connections: int | None = bound(
        100,
        "Connections of a client's pool at once, over all origins; None for no bound.",
        reached="Requests wait for one, as long as the pool timeout allows.",
        change="Raise it for clients of very many origins.",
        side="client",
    )
    max_keepalive_connections: int | None = bound(
        20,
        "Idle connections that a client's pool keeps; None for no bound.",
        reached="The one that was idle for longest is closed.",
        change="Raise it for clients that return to many origins.",
        side="client",
    )
    keepalive_expiry: float | None = bound(
        60.0,
        "How long a client's pool keeps an idle connection; None for ever.",
        reached="The connection is closed.",
        change="Set it below the idle timeout of the servers.",
        side="client",
    )
    ping_interval_max_s: float = bound(
        300.0,
        "What the time between PINGs may grow to when the peer complains about them.",
        reached="The time grows no further.",
        change="Leave it; it only follows complaints.",
        side="client",
    )

    # -- requests of a client
    retries_max: int = bound(
        5,
        "How often a request that may be sent again is sent again.",
        reached="The request fails with the last error.",
        change="Lower it where another layer retries as well.",
        side="client",
    )

    # -- response bodies
    response_bytes_max: int | None = bound(
        268_435_456,
        "A response body that is read whole (get, post, aread), decoded; a stream that is read in pieces has no bound.",
        reached="The stream is reset and LimitExceeded raised.",
        change="Raise it, or set None, where larger bodies are wanted in memory; better read those with AsyncClient.stream.",
        side="client",
    )
    decompress_ratio_max: int = bound(
        100,
        "How many times larger than what was received a decoded body may be, beyond decompress_free_bytes.",
        reached="Reading the body raises LimitExceeded.",
        change="Raise it for bodies that compress extremely well, such as logs.",
        side="client",
    )
    decompress_free_bytes: int = bound(
        1_048_576,
        "The size to which a decoded body may always grow.",
        reached="Beyond it decompress_ratio_max holds.",
        change="Raise it where small bodies compress extremely well.",
        side="client",
    )
    decompress_empty_members_max: int = bound(
        100,
        "Members of one gzip body that have nothing in them.",
        reached="Reading the body raises LimitExceeded.",
        change="Raise it for files that were put together from very many empty ones.",
        side="client",
    )

    # Larger windows in place of those of ``EngineLimits``; the sentences are the same.
    stream_window_bytes: int = bound(
        1_048_576,
        "What a peer may send on a stream ahead of the reader (SETTINGS_INITIAL_WINDOW_SIZE).",
        reached="The peer waits for WINDOW_UPDATE.",
        change="Raise it for single transfers on links with a large product of bandwidth and delay; each open stream may hold that much.",
    )
    connection_window_bytes: int = bound(
        8_388_608,
        "What a peer may send on all streams of a connection ahead of their readers.",
        reached="The peer waits for WINDOW_UPDATE.",
        change="Raise it with stream_window_bytes; each connection may hold that much.",
    )


SERVER_LIMITS = ServerLimits()
"""Defaults of a server."""

CLIENT_LIMITS = Limits()
"""Defaults of a client."""

_HTTPX_NAMES = ("max_connections", "max_keepalive_connections", "keepalive_expiry")


def limits_of(limits: object) -> Limits:
    """What users may write for the limits of a client: ``Limits``, or those of httpx or httpx2 with our defaults for the rest.

    Raises:
        TypeError: it is of another type.
    """
    if isinstance(limits, Limits):
        return limits
    if isinstance(limits, EngineLimits):
        raise TypeError(f"limits is a {type(limits).__name__}; a client takes h2o_otel.Limits(...)")
    if type(limits).__module__.partition(".")[0] in ("httpx", "httpx2") and type(limits).__name__ == "Limits":
        return replace(CLIENT_LIMITS, **{name: getattr(limits, name) for name in _HTTPX_NAMES})
    raise TypeError(f"limits is {limits!r} of type {type(limits).__name__}; give h2o_otel.Limits(...) or httpx.Limits(...)")
