"""Every bound of the runtime, in one frozen dataclass.

A leaf.  Units stand last in the names: ``_bytes``, ``_s`` (seconds), ``_per_s``; ``_max`` is the
largest value allowed, ``_burst`` the size of a token bucket and ``_refill_per_s`` its refill.
``None`` means no bound, but for ``memory_process_bytes_max``, where ``memory_process_percent`` of the
container's or the machine's memory takes its place (0 for no bound).  The three httpx names of the pool (``max_connections``,
``max_keepalive_connections``, ``keepalive_expiry``) keep the spelling that its users know.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

__all__ = ["CLIENT_LIMITS", "SERVER_LIMITS", "Limits"]

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
class Limits:
    """What a peer, an application or the machine may use up; immutable, so it can be shared.

    Raises:
        ValueError: a bound is negative, outside what RFC 9113 section 6.5.2 allows, a ring's size and no power of two, or lets nothing run.
    """

    # -- HPACK and header lists (RFC 7541; RFC 9113 section 6.5.2, 10.5.1)
    header_table_bytes: int = 4096
    encoder_table_bytes_max: int = 4096
    encoder_table_grown_bytes_max: int = 16_384
    header_list_bytes_max: int = 65_536
    header_fields_max: int = 256
    hpack_size_updates_max: int = 2
    hpack_parallel_bytes_min: int = 262_144
    continuation_frames_max: int = 8
    continuation_empty_max: int = 1
    header_block_timeout_s: float = 10.0
    informational_responses_max: int = 16
    names_cached_max: int = 1024

    # -- frames and buffers
    frame_bytes_max: int = 16_384
    read_buffer_bytes: int = 65_536
    control_queue_frames_max: int = 1000
    settings_entries_max: int = 32
    flight_recorder_frames: int = 64
    flight_recorder_shown_max: int = 16

    # -- streams (RFC 9113 section 5.1.2)
    streams_max: int = 100
    closed_streams_remembered_max: int = 256
    running_handlers_max: int = 100
    push_promises_max: int = 100
    push_promises_per_connection_max: int = 1000

    # -- flow control (RFC 9113 section 5.2)
    stream_window_bytes: int = 262_144
    connection_window_bytes: int = 1_048_576
    window_bytes_max: int = 16_777_216
    window_probe_interval_s: float = 0.1
    send_buffer_stream_bytes: int = 65_536
    send_buffer_connection_bytes: int = 524_288
    output_high_water_bytes: int = 262_144

    # -- token buckets against floods
    resets_received_burst: int = 1000
    resets_received_refill_per_s: float = 33.0
    resets_sent_burst: int = 100
    resets_sent_refill_per_s: float = 5.0
    pings_burst: int = 100
    pings_refill_per_s: float = 10.0
    settings_burst: int = 10
    settings_refill_per_s: float = 1.0
    empty_data_in_a_row_max: int = 10
    empty_data_max: int = 100
    small_data_bytes_min: int = 25_600
    priority_frames_per_stream_max: int = 100
    window_updates_base: int = 5
    window_updates_per_stream: int = 2
    window_updates_per_data: int = 20
    glitches_burst: int = 2000
    glitches_refill_per_s: float = 200.0

    # -- fairness of one event loop
    turn_bytes_max: int = 65_536
    turn_frames_max: int = 256
    turn_streams_max: int = 128
    turn_s_max: float = 0.002

    # -- time
    tls_handshake_timeout_s: float = 10.0
    preface_timeout_s: float = 10.0
    settings_ack_timeout_s: float = 10.0
    idle_timeout_s: float | None = 75.0
    body_rate_min_bytes_per_s: int = 240
    body_rate_grace_s: float = 5.0
    send_stall_timeout_s: float = 30.0
    send_rate_min_bytes_per_s: int = 256
    send_rate_grace_s: float = 10.0
    close_drain_s: float = 1.0
    close_drain_bytes: int = 65_536
    shutdown_grace_s: float = 30.0
    disconnect_grace_s: float = 5.0
    ping_interval_min_s: float = 10.0
    ping_interval_max_s: float = 300.0
    ping_timeout_s: float = 5.0

    # -- connections
    connections_max: int = 10_000
    connections_per_address_max: int | None = None
    requests_per_connection_max: int | None = None
    connection_age_max_s: float | None = None
    max_connections: int | None = 100
    max_keepalive_connections: int | None = 20
    keepalive_expiry: float | None = 60.0
    retries_max: int = 5

    # -- bodies, memory, logs
    decompress_ratio_max: int = 100
    decompress_free_bytes: int = 1_048_576
    memory_process_bytes_max: int | None = None
    memory_process_percent: int = 50
    memory_connection_bytes_max: int = 67_108_864
    memory_shrink_percent: int = 75
    memory_refuse_percent: int = 90
    idle_drops_per_sweep_max: int = 64
    streams_pooled_max: int = 256
    interned_values_max: int = 1024
    interned_value_bytes_max: int = 256
    buffer_cache_bytes_max: int = 2_097_152
    buffer_depot_bytes_max: int = 16_777_216
    buffer_quiet_s: float = 5.0
    heap_free_bytes_max: int = 67_108_864
    log_lines_per_s: float = 10.0
    origins_labelled_max: int = 64

    def __repr__(self) -> str:
        return changes(self)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 0:
                raise ValueError(f"Limits.{field.name} is {value}; a bound is at least 0, or None where there is none")
        if not 16_384 <= self.frame_bytes_max <= 16_777_215:
            raise ValueError(f"Limits.frame_bytes_max is {self.frame_bytes_max}; RFC 9113 section 6.5.2 allows 16384 to 16777215")
        if self.flight_recorder_frames & (self.flight_recorder_frames - 1):
            raise ValueError(f"Limits.flight_recorder_frames is {self.flight_recorder_frames}; it must be a power of two, or 0 for none")
        if self.running_handlers_max == 0:
            raise ValueError("Limits.running_handlers_max is 0; no request would ever be answered")
        for name in ("stream_window_bytes", "connection_window_bytes", "window_bytes_max"):
            if getattr(self, name) > WINDOW_BYTES_MAX:
                raise ValueError(f"Limits.{name} is {getattr(self, name)}; RFC 9113 section 6.9.1 allows at most {WINDOW_BYTES_MAX}")


SERVER_LIMITS = Limits()
"""Defaults of a server."""

CLIENT_LIMITS = Limits(stream_window_bytes=1_048_576, connection_window_bytes=8_388_608)
"""Defaults of a client: larger windows, since responses are larger than requests."""
