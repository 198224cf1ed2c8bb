"""How large the receive windows should be: the bandwidth-delay product, measured with PING.

A policy without I/O.  While DATA arrives, the connection sends a PING now and then; what arrives
until its acknowledgement is what the path holds in one round trip.  A window that is nearly used
up in that time holds the sender back and grows to twice the measure; one that is hardly used
shrinks again.  An application that does not read is no reason to grow.
"""

from __future__ import annotations

from ..limits import EngineLimits

__all__ = ["WindowTuner"]

_NEVER = 2**62
# Shorter transfers are over in a few round trips, whatever the window.
_PROBE_BYTES_MIN = 131_072
# A round trip that uses this share of a window is held back by it.
_USED = 2.0 / 3.0
# Windows shrink after this many round trips in a row that used less than an eighth.
_IDLE_PROBES = 3


class WindowTuner:
    """Targets of one connection's receive windows.

    Args:
        limits: ``stream_window_bytes`` and ``connection_window_bytes`` are where the windows begin and the
            least that they shrink to, ``window_bytes_max`` the most that they grow to.
        enabled: without, nothing is measured and the targets stay where they begin.

    Attributes:
        stream_bytes, connection_bytes: the targets.
        bytes_max: the most that either may be now; the memory budget may lower it (``limit``).
        probing: a PING is under way.
        probes: PINGs sent so far.
        rtt_s: the last round trip, 0.0 before the first.
        bandwidth_delay_bytes: what arrived in it.
    """

    __slots__ = (
        "_due_at",
        "_due_bytes",
        "_idle",
        "_interval_max_s",
        "_interval_min_s",
        "_interval_s",
        "_limit",
        "_received",
        "_sent_at",
        "_stream_mark",
        "bandwidth_delay_bytes",
        "bytes_max",
        "connection_bytes",
        "connection_bytes_min",
        "enabled",
        "probes",
        "probing",
        "rtt_s",
        "stream_bytes",
        "stream_bytes_min",
        "stream_id",
    )

    def __init__(self, limits: EngineLimits, enabled: bool) -> None:
        self.enabled = enabled
        self.stream_bytes = self.stream_bytes_min = limits.stream_window_bytes
        self.connection_bytes = self.connection_bytes_min = max(65_535, limits.connection_window_bytes)
        self.bytes_max = self._limit = limits.window_bytes_max
        self.probing = False
        self.probes = 0
        self.rtt_s = 0.0
        self.bandwidth_delay_bytes = 0
        self.stream_id = 0
        self._stream_mark = 0
        self._received = 0
        self._sent_at = 0.0
        self._interval_min_s = limits.window_probe_interval_s
        self._interval_max_s = max(limits.window_probe_interval_s, limits.ping_interval_min_s)
        self._interval_s = self._interval_min_s
        self._due_at = 0.0
        self._idle = 0
        self._due_bytes = _NEVER
        self._rearm()

    def _rearm(self) -> None:
        """A probe is worth its PING once half of the smaller window has arrived, and it is no small transfer."""
        self._received = 0
        self._due_bytes = max(_PROBE_BYTES_MIN, min(self.stream_bytes, self.connection_bytes) // 2) if self.enabled else _NEVER

    def received(self, n: int, now: float) -> bool:
        """Count ``n`` octets of DATA; true when a PING should go out now."""
        self._received += n
        return self._received >= self._due_bytes and now >= self._due_at

    def begin(self, stream_id: int, stream_octets: int, now: float) -> None:
        """The PING goes out; ``stream_octets`` have arrived on the stream that is measured beside the connection."""
        self.probing = True
        self.probes += 1
        self.stream_id = stream_id
        self._stream_mark = stream_octets
        self._sent_at = now
        self._received = 0
        self._due_bytes = _NEVER

    def end(self, stream_octets: int, unread: int, now: float) -> bool:
        """The PING came back; true when a target has changed.

        Args:
            stream_octets: what has arrived on the measured stream by now, -1 when it is over.
            unread: octets of the connection that the application has not read.
        """
        self.probing = False
        self.rtt_s = now - self._sent_at
        sample = self._received
        self.bandwidth_delay_bytes = sample
        stream_sample = stream_octets - self._stream_mark if stream_octets >= 0 else 0
        stream_before, connection_before = self.stream_bytes, self.connection_bytes
        if 2 * unread < self.connection_bytes:
            if sample >= _USED * self.connection_bytes:
                self.connection_bytes = max(self.connection_bytes, min(2 * sample, self.bytes_max))
            if stream_sample >= _USED * self.stream_bytes:
                self.stream_bytes = max(self.stream_bytes, min(2 * stream_sample, self.bytes_max))
                self.connection_bytes = max(self.connection_bytes, self.stream_bytes)
        self._idle = self._idle + 1 if 8 * sample < self.connection_bytes else 0
        if self._idle >= _IDLE_PROBES:
            self._idle = 0
            self._shrink(self.stream_bytes // 2, self.connection_bytes // 2)
        changed = stream_before != self.stream_bytes or connection_before != self.connection_bytes
        # Where there is nothing to learn, ask ever more rarely.
        self._interval_s = self._interval_min_s if changed else min(2 * self._interval_s, self._interval_max_s)
        self._due_at = now + self._interval_s
        self._rearm()
        return changed

    def limit(self, bytes_max: int) -> bool:
        """Let no window be larger than ``bytes_max`` or what it began with; true when a target has changed."""
        stream_before, connection_before = self.stream_bytes, self.connection_bytes
        self.bytes_max = min(bytes_max, self._limit)
        self._shrink(min(self.stream_bytes, self.bytes_max), min(self.connection_bytes, self.bytes_max))
        return stream_before != self.stream_bytes or connection_before != self.connection_bytes

    def _shrink(self, stream_bytes: int, connection_bytes: int) -> None:
        self.stream_bytes = max(stream_bytes, self.stream_bytes_min)
        self.connection_bytes = max(connection_bytes, self.connection_bytes_min)

    def begin_with(self, stream_bytes: int) -> None:
        """The stream window that SETTINGS announce has changed: that is where it begins from now on."""
        self.stream_bytes = self.stream_bytes_min = stream_bytes
