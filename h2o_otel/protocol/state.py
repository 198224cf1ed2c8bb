"""What a connection knows: its settings, codecs, streams, windows and memory, as they are in the beginning.

The connection is one object in nine files, each a subclass of the one before: ``state`` (this),
``core`` (what both halves do with it), ``send`` (verbs and framing), ``control`` (the connection
as a whole), ``messages`` (requests and responses received), ``push`` (promises), ``receive``
(frames of the peer), ``progress`` (bodies that make none), ``connection`` (life cycle and public surface).
"""

from __future__ import annotations

from .. import counters
from ..buffers.output import OutputBuffer
from ..counters import Counters
from ..frames import writer
from ..hpack.decoder import Decoder
from ..hpack.encoder import Encoder
from ..limits import STREAM_ID_DRAIN
from ..memory.budget import RELAXED, local_budget
from ..memory.intern import local_values
from ..memory.machine import process_bytes_max
from ..streams.pool import local_stream_pool
from ..streams.scheduler import Scheduler
from ..streams.stream import Stream
from . import settings
from .config import ConnectionConfig
from .engine import Engine
from .guards import Guards
from .handler import Handler
from .recorder import FlightRecorder
from .windows import WindowTuner

__all__ = ["ConnectionState"]

_FRAME_TYPES = len(counters.FRAME_TYPES)

# What a setting that is not set stands for (RFC 9113 section 6.5.2).
UNLIMITED = 2**32 - 1


class ConnectionState(Engine):
    """State of one HTTP/2 connection."""

    def __init__(self, config: ConnectionConfig, handler: Handler | None = None, block: Counters | None = None) -> None:
        Engine.__init__(self)
        self.config = config
        self.limits = config.limits
        self.role = config.role
        self.client = config.role == counters.CLIENT
        self.handler = Handler() if handler is None else handler
        self.counters = counters.local() if block is None else block
        self.slots = self.counters.slots
        self.now = 0.0
        self.guards = Guards(self.limits, self.counters, config.role)
        self.recorder = FlightRecorder(self.limits.flight_recorder_frames)
        self.traced_open = 0
        self._begin_life()
        self._begin_codec()
        self._begin_frames()
        self._begin_streams()
        self._begin_windows()
        self._begin_memory()

    def _begin_life(self) -> None:
        """How far the connection has come, and what both sides have set."""
        self.goaway_sent = False
        self.goaway_received = False
        # Of the peer's GOAWAY, the first that says what went wrong.
        self.goaway_code = 0
        self.shutting_down = False
        self.counted = False
        self.recovery = self.config.tuning.protocol_recovery
        self.error: Exception | None = None
        self.opened_at = 0.0
        self.active_at = 0.0
        self._trimmed_at = 0.0
        # A drain that the engine begins itself: from which stream on, and when it names the last stream.
        self.drain_stream_id = STREAM_ID_DRAIN
        self.drain_at = 0.0
        self.drained = False
        self.local_settings = settings.INITIAL
        # One entry as a rule, so a list: the smallest deque takes 700 octets.
        self.unacked_settings: list[tuple[dict[int, int], float]] = []
        # The peer has acknowledged our first SETTINGS: before, it could not know our limits (RFC 9113 section 6.5.3).
        self.settings_known = False

    def _begin_codec(self) -> None:
        """The field coder of each direction."""
        limits, tuning = self.limits, self.config.tuning
        self.encoder = Encoder(
            self.counters,
            self.role,
            limits.encoder_table_bytes_max,
            limits.names_cached_max,
            adaptive=tuning.protocol_adaptive_compression,
            table_bytes_grown_max=limits.encoder_table_grown_bytes_max,
            static_forms=tuning.hpack_static_forms,
            name_cache=tuning.hpack_name_cache,
            reference=not tuning.hpack_ring_table,
        )
        self.decoder = Decoder(
            self.counters,
            self.role,
            limits,
            tuning.frame_validation_cache,
            name_cache=tuning.hpack_name_cache,
            reference=not tuning.hpack_ring_table,
            parallel=tuning.hpack_parallel,
        )
        if tuning.memory_interning:
            self.decoder.interned = local_values(self.counters, limits.interned_values_max, limits.interned_value_bytes_max)

    def _begin_frames(self) -> None:
        """The output, and what is counted of the frames each way."""
        limits, tuning = self.limits, self.config.tuning
        # The first block of the output by what is written first: 256 octets hold any frames of control, most
        # field sections fit the next class but one, and DATA asks for what it needs.
        by_type = tuning.frame_size_classes
        block_bytes = writer.CONTROL_BLOCK_BYTES if by_type else writer.BLOCK_BYTES
        self.out = OutputBuffer(self.counters, block_bytes, tuning, limits.buffer_cache_bytes_max)
        self.block_room = writer.FIELDS_ROOM_BYTES if by_type else 9
        self.local_frame_max = limits.frame_bytes_max
        self.remote_frame_max = 16_384
        self.paused = False
        self.high_water = limits.output_high_water_bytes
        self.frame_metrics = tuning.frame_metrics
        self.frame_chunks = not tuning.frame_batching
        self.send_frames = (self.role * 2 + counters.SEND) * _FRAME_TYPES
        self.recv_frames = (self.role * 2 + counters.RECV) * _FRAME_TYPES
        # The frame that is incomplete since its first octet: 0 for none, and for DATA of an open body, whose octets are counted.
        self.frame_since = 0.0
        self.frame_type = 0
        self.frame_stream = 0
        self.partial_stream = 0
        self.partial_bytes = 0
        self.frames_written = 0
        self._frames_flushed = 0
        self._flush_frames = self.counters.histogram("frame_flush_frames", self.role)

    def _begin_streams(self) -> None:
        """The streams, their identifiers and bounds, and who may write next."""
        limits, tuning = self.limits, self.config.tuning
        # The one of them that was opened or found last.
        self.latest: Stream | None = None
        self.stream_pool = local_stream_pool(self.counters, limits.streams_pooled_max) if tuning.stream_pool else None
        # Closed since the last look: whether anybody holds them is asked when no call of theirs is under way.
        self.ended: list[Stream] = []
        self.stream_states_plain = not tuning.stream_state_table
        self.tracking = tuning.stream_tracking
        self.scheduler = Scheduler(tuning.stream_priorities, 16 if tuning.protocol_fair_scheduling else 0)
        self.stream_low_water = limits.send_buffer_stream_bytes // 2
        self.bodies_open = 0
        self.progress_at = 0.0
        # Since when bodies have to make progress because a resource is short, 0.0 while none is.
        self.strict_at = 0.0
        # When a request body was open last, of a client that may be too busy sending it to read our SETTINGS and PINGs.
        self.uploading_at = 0.0
        # When a client that takes no body was asked by PING whether it reads at all, 0.0 once it has answered.
        self.asked_at = 0.0
        self.local_streams_max = limits.push_promises_max if self.client else limits.streams_max
        self.remote_streams_max = UNLIMITED
        self._reported_streams_max = 0
        self.next_stream_id = 1 if self.client else 2
        self.last_remote_stream_id = 0
        self.goaway_last_stream_id = 2**31 - 1
        self.goaway_sent_last = 2**31 - 1
        self.streams_local = 0
        self.streams_remote = 0
        # Streams that this side refused or, after its GOAWAY, ignored; what the open ones beyond the limit hold (``may_hold``).
        self.streams_refused = 0
        self.held_bytes = 0
        self.reset_streams: dict[int, int] = {}
        self.reset_streams_max = limits.closed_streams_remembered_max
        self.forgotten_below = 0

    def _begin_windows(self) -> None:
        """The connection's windows, the first windows of streams, and what is aimed at."""
        limits, tuning = self.limits, self.config.tuning
        self.local_initial_window = 65_535
        self.remote_initial_window = 65_535
        self.send_window = 65_535
        self.recv_window = 65_535
        self.recv_uncredited = 0
        self.batching = tuning.stream_window_batching
        self.tuner = WindowTuner(limits, tuning.protocol_window_tuning)
        self.recv_target = 65_535
        self.stream_target = limits.stream_window_bytes
        self.connection_batch = self.stream_batch = 1
        self.set_batches()
        self._reported_send = 0
        self._reported_recv = 0
        self._reported_target = 0
        self._reported_stream_target = 0
        self.bodies_sent = 0
        self.blocked_since = 0.0

    def _begin_memory(self) -> None:
        """What the connection holds, and the bounds on it."""
        limits = self.limits
        # Octets delivered on all streams and not credited yet; octets of field sections that open streams keep.
        self.unread = 0
        self.fields_bytes = 0
        self.budget = (
            local_budget(
                self.counters,
                process_bytes_max(limits),
                limits.memory_shrink_percent,
                limits.memory_refuse_percent,
                limits.pressure_percent,
            )
            if self.config.tuning.memory_budget
            else None
        )
        self.pressure = RELAXED
        self.memory_bytes = 0
        self.window_withheld = 0
        self._memory_refuse = limits.memory_connection_bytes_max
        self._memory_shrink = limits.memory_connection_bytes_max * limits.memory_shrink_percent // 100
        self._reported_streams = 0
        self._reported_hpack = 0
        self._reported_queues = 0

    def trim(self, now: float, quiet_s: float) -> bool:
        if self.streams:
            # There is nothing to wait for: the end of the last one is activity.
            return True
        if now - self.active_at < quiet_s:
            return False
        if self._trimmed_at != self.active_at:
            self._trimmed_at = self.active_at
            # An empty dictionary keeps the room of what it had.
            self.streams.clear()
            self.encoder.trim()
            self.decoder.trim()
        return True

    def set_batches(self) -> None:
        """Credit goes out in batches of half a window; one by one without ``Tuning.stream_window_batching``."""
        self.connection_batch = max(1, (self.recv_target + 1) // 2) if self.batching else 1
        self.stream_batch = max(1, (self.stream_target + 1) // 2) if self.batching else 1
