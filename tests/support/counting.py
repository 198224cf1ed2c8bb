"""Counters as tests compare them."""

from __future__ import annotations

import itertools

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


def nonzero(block: Counters, name: str) -> dict[tuple[str, ...], int]:
    """What this family of slots counted, by its labels, without what is 0."""
    start, slots = counters.slot(name), block.read_slots()
    return {labels: n for i, labels in enumerate(itertools.product(*SLOTS[name])) if (n := slots[start + i])}


class Since:
    """What the process counted from here on under keys that have this label.

    Totals of the process alone will not do: ports are used again, so an earlier test's counts may stand
    under the same key, and what it left to the collector may be counted while the present one runs.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._before = counters.collect()

    def labelled(self, name: str) -> dict[tuple[str, ...], int]:
        """The counters or levels of this family that have changed, and by how much."""
        return self._changed(self._before.labelled[name], counters.collect().labelled[name])

    def recorded(self, name: str) -> dict[tuple[str, ...], int]:
        """How many values each histogram of this family has got."""
        before, now = (
            {key: sum(value.counts) for key, value in snapshot.labelled_histograms[name].items()}
            for snapshot in (self._before, counters.collect())
        )
        return self._changed(before, now)

    def _changed(self, before: dict[tuple[str, ...], int], now: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
        changed = {key: value - before.get(key, 0) for key, value in now.items() if self._label in key}
        return {key: value for key, value in changed.items() if value}
