"""Guards against peers that cost more than they ask for: token buckets and budgets of one connection.

Each method is called at the one place where its frame is handled and raises a ``Violation`` when
its bound is passed.  The clock is passed in.  Numbers are those of ``Limits``.
"""

from __future__ import annotations

import math

from .. import counters
from ..counters import GLITCHES, Counters
from ..limits import EngineLimits
from ..rules import RULES, fail

__all__ = ["SMALL_DATA_BYTES", "Bucket", "Guards"]

# DATA below this size costs its difference to it while it is unread: an object of CPython and its
# place in a queue are about this large, whatever is in them.
SMALL_DATA_BYTES = 256
# What a peer may still say about a stream that has just closed: HEADERS, trailers, RST_STREAM, WINDOW_UPDATE.
_LATE_FRAMES = 4
# Kinds of glitches, as positions in ``counters.GLITCHES``, and how the text of an error names them.
UNKNOWN_TYPE, EMPTY_DATA, RFC7540_PRIORITY, CLOSED_STREAM, AFTER_GOAWAY, UNASKED_PONG, GOAWAY, TLS_RECORD = range(8)
_GOAWAY, _TLS_RECORD = GOAWAY, TLS_RECORD
_GLITCH_TEXTS = ("of an unknown type", "empty DATA", "PRIORITY", "on a closed stream", "on a stream after GOAWAY", "an answer to no PING")
_GLITCHES = counters.slot("frame_glitches")
_GLITCH_KINDS = len(GLITCHES)


class Bucket:
    """A token bucket: ``burst`` at once, ``refill_per_s`` in the long run."""

    __slots__ = ("_last", "_refill", "burst", "tokens")

    def __init__(self, burst: float, refill_per_s: float) -> None:
        self.burst = burst
        self.tokens = burst
        self._refill = refill_per_s
        self._last = 0.0

    def take(self, now: float) -> bool:
        """Take one token; false when there is none."""
        self.tokens += (now - self._last) * self._refill
        if self.tokens > self.burst:
            self.tokens = self.burst
        self._last = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def put(self, n: float) -> None:
        """Give tokens back, for what earns them; those beyond the burst are lost with the next one that is taken."""
        self.tokens += n


class Guards:
    """What one peer has used up.

    Attributes:
        message_frames: HEADERS and DATA sent; they excuse PING and WINDOW_UPDATE of the peer.  DATA that the
            peer's own window cut to a crumb does not, or it could dribble window for ever.
        small_unread: what small DATA frames cost beyond their octets, until they are read.
        late_octets, late_frames: what may still be under way on streams that have closed; the peer
            sent it with every right, so it is no glitch.
        control_queued: answers (acknowledgements, RST_STREAM) that wait behind a peer that does not read.
    """

    __slots__ = (
        "_control_max",
        "_counters",
        "_glitches",
        "_late_frames_max",
        "_late_octets_max",
        "_limits",
        "_message_frames_at_ping",
        "_slots",
        "_updates_base",
        "_updates_per_frame",
        "_updates_per_stream",
        "control_queued",
        "empty_data",
        "empty_in_a_row",
        "glitches",
        "goaways",
        "late_frames",
        "late_octets",
        "message_frames",
        "pings",
        "priorities",
        "resets_received",
        "resets_sent",
        "settings",
        "small_max",
        "small_over_at",
        "small_unread",
        "tls_records",
        "window_updates",
    )

    def __init__(self, limits: EngineLimits, block: Counters, role: int) -> None:
        self._limits = limits
        self._counters = block
        self._slots = self._counters.slots
        self._glitches = _GLITCHES + role * _GLITCH_KINDS
        # Each is made when something is first taken out of it; until then it is full.
        self.resets_received: Bucket | None = None
        self.resets_sent: Bucket | None = None
        self.pings: Bucket | None = None
        self.settings: Bucket | None = None
        self.glitches: Bucket | None = None
        self.goaways: Bucket | None = None
        self.tls_records: Bucket | None = None
        self.empty_in_a_row = 0
        self.empty_data = 0
        self.small_unread = 0
        # When the budget was first overdrawn since it was last kept; infinite while it is kept.
        self.small_over_at = math.inf
        # A fixed budget breaks streams of small messages with a slow reader, so it grows with the window.
        self.small_max = max(limits.small_data_bytes_min, limits.connection_window_bytes // 2)
        self.window_updates = 0
        self.priorities = 0
        self.message_frames = 0
        self._message_frames_at_ping = 0
        self.late_octets = 0
        self.late_frames = 0
        # More cannot be under way than the connection's window lets out, and once again after its credit.
        self._late_octets_max = 2 * limits.connection_window_bytes
        self._late_frames_max = _LATE_FRAMES * limits.closed_streams_remembered_max
        self.control_queued = 0
        self._control_max = limits.control_queue_frames_max
        self._updates_base = limits.window_updates_base
        self._updates_per_stream = limits.window_updates_per_stream
        self._updates_per_frame = limits.window_updates_per_data

    def scale(self, connection_window: int) -> None:
        """Budgets that follow the connection's receive window, which may be tuned."""
        self.small_max = max(self._limits.small_data_bytes_min, connection_window // 2)
        self._late_octets_max = 2 * connection_window

    def reset_received(self, stream_id: int, now: float) -> int:
        """RST_STREAM for a stream whose response was not complete (CVE-2023-44487)."""
        if self.resets_received is None:
            self.resets_received = Bucket(self._limits.resets_received_burst, self._limits.resets_received_refill_per_s)
        if not self.resets_received.take(now):
            raise fail(RULES.rapid_reset, stream_id, limit=int(self.resets_received.burst))
        return 0

    def response_completed(self) -> None:
        """A complete response earns a reset."""
        if self.resets_received is not None:
            self.resets_received.put(1.0)

    def fault_reset(self, stream_id: int, now: float) -> int:
        """The peer made us reset a stream (CVE-2025-8671)."""
        if self.resets_sent is None:
            self.resets_sent = Bucket(self._limits.resets_sent_burst, self._limits.resets_sent_refill_per_s)
        if not self.resets_sent.take(now):
            raise fail(RULES.made_you_reset, stream_id, limit=int(self.resets_sent.burst))
        return 0

    def ping(self, now: float) -> int:
        """PING that wants an answer (CVE-2019-9512); messages sent since the last one excuse as many."""
        if self.pings is None:
            self.pings = Bucket(self._limits.pings_burst, self._limits.pings_refill_per_s)
        if self.message_frames != self._message_frames_at_ping:
            self.pings.put(self.message_frames - self._message_frames_at_ping)
            self._message_frames_at_ping = self.message_frames
        if not self.pings.take(now):
            raise fail(RULES.ping_flood, limit=int(self.pings.burst))
        return 0

    def settings_frame(self, now: float) -> int:
        """SETTINGS (CVE-2019-9515)."""
        if self.settings is None:
            self.settings = Bucket(self._limits.settings_burst, self._limits.settings_refill_per_s)
        if not self.settings.take(now):
            raise fail(RULES.settings_flood, limit=int(self.settings.burst))
        return 0

    def goaway(self, repeated: bool, now: float) -> int:
        """GOAWAY; ``repeated`` is one that says what the last one said."""
        if repeated:
            self._slots[self._glitches + _GOAWAY] += 1
        if self.goaways is None:
            self.goaways = Bucket(self._limits.goaways_burst, self._limits.goaways_refill_per_s)
        if not self.goaways.take(now):
            raise fail(RULES.goaway_flood, limit=int(self.goaways.burst))
        return 0

    def tls_record(self, now: float) -> int:
        """A TLS record that brought nothing: empty, a key update, a session ticket."""
        self._slots[self._glitches + _TLS_RECORD] += 1
        if self.tls_records is None:
            self.tls_records = Bucket(self._limits.tls_records_empty_burst, self._limits.tls_records_empty_refill_per_s)
        if not self.tls_records.take(now):
            raise fail(RULES.tls_record_flood, limit=int(self.tls_records.burst))
        return 0

    def empty_frame(self, stream_id: int) -> int:
        """DATA without data and without an end (CVE-2019-9518)."""
        self.empty_in_a_row += 1
        self.empty_data += 1
        if self.empty_in_a_row > self._limits.empty_data_in_a_row_max:
            raise fail(RULES.empty_data_flood, stream_id, actual=self.empty_in_a_row, limit=self._limits.empty_data_in_a_row_max)
        if self.empty_data > self._limits.empty_data_max:
            raise fail(RULES.empty_data_flood, stream_id, actual=self.empty_data, limit=self._limits.empty_data_max)
        return 0

    def small_frame(self, stream_id: int, overhead: int, now: float) -> int:
        """DATA much smaller than what keeping it costs; given back when it is read.

        One read of the socket may bring more than the budget before anybody could read any of it, so
        it binds only what a later read brings; how much that is, the size of a read bounds.
        """
        self.small_unread += overhead
        if self.small_unread <= self.small_max:
            self.small_over_at = math.inf
        elif now <= self.small_over_at:
            self.small_over_at = now
        else:
            raise fail(RULES.small_data_flood, stream_id, actual=self.small_unread, limit=self.small_max)
        return 0

    def window_update(self, streams: int) -> int:
        """WINDOW_UPDATE: each stream and each message frame sent earns some."""
        self.window_updates += 1
        limit = self._updates_base + self._updates_per_stream * streams + self._updates_per_frame * self.message_frames
        if self.window_updates > limit:
            raise fail(RULES.window_update_flood, actual=self.window_updates, limit=limit)
        return 0

    def priority(self, streams: int) -> int:
        """PRIORITY and PRIORITY_UPDATE (CVE-2019-9513)."""
        self.priorities += 1
        limit = self._limits.priority_frames_per_stream_max * (1 + streams)
        if self.priorities > limit:
            raise fail(RULES.priority_flood, actual=self.priorities, limit=limit)
        return 0

    def glitch(self, kind: int, now: float) -> int:
        """A legal frame that is of no use."""
        self._slots[self._glitches + kind] += 1
        return self._spend(kind, now)

    def _spend(self, kind: int, now: float) -> int:
        if self.glitches is None:
            self.glitches = Bucket(self._limits.glitches_burst, self._limits.glitches_refill_per_s)
        if not self.glitches.take(now):
            raise fail(RULES.glitch_flood, kind=_GLITCH_TEXTS[kind], limit=int(self.glitches.burst))
        return 0

    def stream_closed(self, window: int) -> None:
        """A stream closed; ``window`` is what the peer could still send on it when we reset it, else 0."""
        self.late_frames = min(self.late_frames + _LATE_FRAMES, self._late_frames_max)
        if window > 0:
            self.late_octets = min(self.late_octets + window, self._late_octets_max)

    def late_frame(self, data_bytes: int, now: float) -> int:
        """A frame on a closed stream; ``data_bytes`` is the length of DATA, -1 for other frames."""
        if self._under_way(data_bytes):
            return 0
        return self.glitch(CLOSED_STREAM, now)

    def goaway_sent(self) -> None:
        """Our GOAWAY leaves streams out, and the peer goes on with them until it has read it: as much as its windows let out."""
        self.late_frames = self._late_frames_max
        self.late_octets = self._late_octets_max

    def frame_after_goaway(self, data_bytes: int, now: float) -> int:
        """A frame on a stream that our GOAWAY leaves out, which is ignored; ``data_bytes`` as in ``late_frame``."""
        self._slots[self._glitches + AFTER_GOAWAY] += 1
        if self._under_way(data_bytes):
            return 0
        return self._spend(AFTER_GOAWAY, now)

    def _under_way(self, data_bytes: int) -> bool:
        """Whether the peer may have sent such a frame before it knew better; then one less is to come."""
        if data_bytes < 0:
            if self.late_frames > 0:
                self.late_frames -= 1
                return True
        else:
            cost = max(data_bytes, SMALL_DATA_BYTES)
            if cost <= self.late_octets:
                self.late_octets -= cost
                return True
        return False

    def control_frame(self, paused: bool) -> int:
        """An answer was queued; while the transport is full they pile up (CVE-2019-9514)."""
        if not paused:
            return 0
        self.control_queued += 1
        if self.control_queued > self._control_max:
            raise fail(RULES.control_queue_flood, actual=self.control_queued, limit=self._control_max)
        return 0
