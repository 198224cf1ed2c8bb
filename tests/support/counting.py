"""Counters as tests compare them."""

from __future__ import annotations

from h2o_otel import counters
from h2o_otel.counters import SLOTS, Counters

# What a connection does shows in these.  Others depend on time, or on what the process pooled and cached before.
REPEATED = (
    "hpack_fields",
    "hpack_size",
    "hpack_table_size",
    "hpack_table_capacity",
    "hpack_table_evictions",
    "frames",
    "frame_payload",
    "frame_padding",
    "frame_glitches",
    "streams",
    "stream_active",
    "stream_limit",
    "stream_resets",
    "flow_control_stalls",
    "flow_control_window",
    "flow_control_unread",
    "priority_streams",
    "connection_active",
    "goaway",
    "settings_value",
)


def repeatable(block: Counters) -> dict[str, list[int]]:
    """The families that are the same in two runs of the same octets."""
    slots, found = block.read_slots(), {}
    for name in REPEATED:
        start, n = counters.slot(name), 1
        for values in SLOTS[name]:
            n *= len(values)
        found[name] = slots[start : start + n]
    return found
