"""Figures of the last second: differences between two collections of the counters."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from .. import counters
from ..counters import HISTOGRAMS, LABELLED, Histogram, HistogramValue, Snapshot
from ..telemetry.runtime import read_process

__all__ = ["Figures", "Meter", "quantile"]


def quantile(value: HistogramValue, bounds: tuple[float, ...], q: float) -> float:
    """The ``q``-quantile by linear interpolation within its bucket; 0.0 when nothing was recorded."""
    total = sum(value.counts)
    if not total:
        return 0.0
    rank = q * total
    seen = 0
    for i, n in enumerate(value.counts):
        if n and seen + n >= rank:
            low = bounds[i - 1] if i else 0.0
            high = bounds[i] if i < len(bounds) else value.max
            return low + (high - low) * (rank - seen) / n
        seen += n
    return value.max


@dataclass(slots=True)
class Figures:
    """Rates per second over ``seconds``, and levels now; durations in seconds, sizes in octets."""

    seconds: float = 0.0
    requests: float = 0.0
    errors: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    frames_sent: float = 0.0
    frames_received: float = 0.0
    hpack_ratio: float = 0.0
    hpack_indexed: float = 0.0
    streams: int = 0
    resets: float = 0.0
    stalls: float = 0.0
    window_send: int = 0
    unread: int = 0
    buffers_in_use: int = 0
    buffers_hits: float = 0.0
    octets: float = 0.0
    writes: float = 0.0
    reads: float = 0.0
    pauses: float = 0.0
    write_queue: int = 0
    reused: float = 0.0
    queued: int = 0
    resident: int = 0
    frames_per_write: float = 0.0
    handshakes: float = 0.0
    records: float = 0.0
    connections: int = 0
    gc_pauses: float = 0.0
    gc_longest: float = 0.0
    loop_busy: float = 0.0
    loop_lag_p99: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)


class Meter:
    """Collects, and compares with the collection before.

    Attributes:
        latency: what the load measured and the bounds of its buckets; without it the durations of the
            client's requests are shown, in the buckets of the conventions.
    """

    def __init__(self) -> None:
        self.latency: tuple[Histogram, tuple[float, ...]] | None = None
        self._latency_last: HistogramValue | None = None
        self._last = counters.collect()
        self._first = self._last
        self._at = self._began = time.monotonic()

    def tick(self) -> Figures:
        """The changes since the last tick."""
        now, snapshot = time.monotonic(), counters.collect()
        latency = self._read_latency()
        figures = self._figures(self._last, snapshot, now - self._at, self._latency_last)
        self._latency_last = latency
        self._last, self._at = snapshot, now
        return figures

    def total(self) -> Figures:
        """The changes since the meter was made."""
        return self._figures(self._first, counters.collect(), time.monotonic() - self._began, None)

    def _read_latency(self) -> HistogramValue | None:
        return None if self.latency is None else HistogramValue(*self.latency[0].read(), {})

    def _figures(self, old: Snapshot, new: Snapshot, seconds: float, latency_old: HistogramValue | None) -> Figures:
        per_s = 1.0 / max(seconds, 1e-6)

        def rate(name: str, *labels: str) -> float:
            return (new.value(name, *labels) - old.value(name, *labels)) * per_s

        def grown(name: str, *labels: str) -> int:
            return new.value(name, *labels) - old.value(name, *labels)

        requests = _labelled(old, new, "http_client_request_duration")
        durations, bounds = requests, LABELLED["http_client_request_duration"]
        if self.latency is not None and (latency := self._read_latency()) is not None:
            durations, bounds = _minus(latency, latency_old), self.latency[1]
        plain, encoded = _direction(old, new, "plain"), _direction(old, new, "encoded")
        fields = grown("hpack_fields")
        hits = sum(grown("buffer_pool_acquisitions", "output", size, "hit") for size in counters.SIZE_CLASSES)
        reused = sum(_result(new, "reused").values()) - sum(_result(old, "reused").values())
        flushes = _histogram(old, new, "frame_flush_frames", (0, 1))
        pauses = _histogram(old, new, "gc_pause_duration", (0, 1, 2))
        return Figures(
            seconds=seconds,
            requests=sum(requests.counts) * per_s,
            errors=_errors(old, new) * per_s,
            p50=quantile(durations, bounds, 0.5),
            p95=quantile(durations, bounds, 0.95),
            p99=quantile(durations, bounds, 0.99),
            frames_sent=sum(rate("frames", role, "transmit", t) for role in counters.ROLES for t in counters.FRAME_TYPES),
            frames_received=sum(rate("frames", role, "receive", t) for role in counters.ROLES for t in counters.FRAME_TYPES),
            hpack_ratio=encoded / plain if plain else 0.0,
            hpack_indexed=sum(grown("hpack_fields", d, f"indexed_{t}") for d in counters.DIRECTIONS for t in ("static", "dynamic")) / fields
            if fields
            else 0.0,
            streams=new.value("stream_active", "server"),
            resets=rate("stream_resets"),
            stalls=rate("flow_control_stalls"),
            window_send=new.value("flow_control_window", "server", "transmit"),
            unread=new.value("flow_control_unread"),
            buffers_in_use=new.value("buffer_pool_in_use"),
            buffers_hits=hits / max(1, grown("buffer_pool_acquisitions")),
            octets=rate("io_transferred"),
            writes=sum(rate("io_operations", "transmit", result) for result in counters.IO_RESULTS),
            reads=sum(rate("io_operations", "receive", result) for result in counters.IO_RESULTS),
            pauses=rate("io_pauses"),
            write_queue=new.value("io_write_queue_size"),
            reused=reused / max(1, grown("pool_acquisitions")),
            queued=new.value("pool_pending") + new.value("stream_pending"),
            resident=read_process().get("process.memory.usage", {}).get((), 0),
            frames_per_write=flushes.sum / max(1, sum(flushes.counts)),
            handshakes=rate("tls_handshakes"),
            records=rate("tls_records"),
            connections=new.value("connection_active", "server"),
            gc_pauses=sum(pauses.counts) * per_s,
            gc_longest=pauses.max,
            loop_busy=rate("loop_busy_ns") * 1e-9,
            loop_lag_p99=quantile(_histogram(old, new, "loop_lag", (0,)), HISTOGRAMS["loop_lag"][0], 0.99),
            statuses=_statuses(old, new),
        )


def _minus(new: HistogramValue, old: HistogramValue | None) -> HistogramValue:
    if old is None:
        return new
    return HistogramValue([a - b for a, b in zip(new.counts, old.counts, strict=True)], new.sum - old.sum, new.min, new.max, {})


def _histogram(old: Snapshot, new: Snapshot, name: str, places: tuple[int, ...]) -> HistogramValue:
    start = counters.histogram_index(name)
    found = [_minus(new.histograms[start + i], old.histograms[start + i]) for i in places]
    total = found[0]
    for value in found[1:]:
        total = total.plus(value)
    return total


def _labelled(old: Snapshot, new: Snapshot, name: str) -> HistogramValue:
    total = HistogramValue([0] * (len(LABELLED[name]) + 1), 0.0, 0.0, 0.0, {})
    for key, value in new.labelled_histograms[name].items():
        total = total.plus(_minus(value, old.labelled_histograms[name].get(key)))
    return total


def _result(snapshot: Snapshot, result: str) -> dict[tuple[str, ...], int]:
    """Requests by how they got their connection."""
    return {key: n for key, n in snapshot.labelled["pool_acquisitions"].items() if key[-1] == result}


def _direction(old: Snapshot, new: Snapshot, form: str) -> int:
    return sum(new.value("hpack_size", d, form) - old.value("hpack_size", d, form) for d in counters.DIRECTIONS)


def _by_status(old: Snapshot, new: Snapshot) -> dict[str, int]:
    """Requests that servers answered, by the status in the key of their durations."""
    name = "http_server_request_duration"
    found: dict[str, int] = {}
    for key, value in new.labelled_histograms[name].items():
        n = sum(_minus(value, old.labelled_histograms[name].get(key)).counts)
        status = next((part for part in key if len(part) == 3 and part.isdigit()), "none")
        if n:
            found[status] = found.get(status, 0) + n
    return found


def _errors(old: Snapshot, new: Snapshot) -> int:
    return sum(n for status, n in _by_status(old, new).items() if status.startswith("5"))


def _statuses(old: Snapshot, new: Snapshot) -> dict[str, int]:
    return dict(sorted(_by_status(old, new).items()))
