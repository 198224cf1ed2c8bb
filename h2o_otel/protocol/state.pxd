from ..buffers.output cimport OutputBuffer
from ..counters cimport Counters, Histogram
from ..frames cimport writer
from ..hpack.decoder cimport Decoder
from ..hpack.encoder cimport Encoder
from ..memory.budget cimport Budget
from ..streams.pool cimport StreamPool
from ..streams.scheduler cimport Scheduler
from ..streams.stream cimport Stream
from .engine cimport Engine
from .guards cimport Guards
from .handler cimport Handler
from .recorder cimport FlightRecorder
from .windows cimport WindowTuner

cdef int _FRAME_TYPES

cdef class ConnectionState(Engine):
    cdef readonly object config
    cdef readonly object limits
    cdef readonly int role
    cdef readonly bint client
    cdef public Handler handler
    cdef readonly Counters counters
    cdef long long *slots
    cdef int send_frames, recv_frames
    # switches
    cdef Py_ssize_t block_room
    cdef bint frame_metrics, frame_chunks, stream_states_plain
    cdef readonly OutputBuffer out
    cdef readonly Encoder encoder
    cdef readonly Decoder decoder
    cdef Stream latest
    cdef readonly StreamPool stream_pool
    cdef readonly list ended
    cdef readonly Scheduler scheduler
    cdef readonly Guards guards
    cdef readonly FlightRecorder recorder
    # what the gauges were told last
    cdef readonly double frame_since
    cdef int frame_type
    cdef unsigned int frame_stream, partial_stream
    cdef Py_ssize_t partial_bytes
    cdef readonly long long frames_written
    cdef long long _frames_flushed, _reported_send, _reported_recv
    cdef long long _reported_streams_max
    cdef Histogram _flush_frames
    cdef readonly int traced_open
    # requests whose body has not ended, and when progress of bodies is looked at next
    cdef readonly int bodies_open
    cdef readonly double progress_at, strict_at, uploading_at
    cdef double asked_at
    cdef public double now
    # state of the connection
    cdef readonly bint goaway_sent, goaway_received, shutting_down, counted
    cdef readonly object error
    cdef readonly double opened_at, active_at
    cdef double _trimmed_at
    # settings in force
    cdef readonly object local_settings
    cdef readonly long long local_streams_max
    cdef readonly long long remote_streams_max
    cdef readonly long long local_initial_window
    cdef readonly long long remote_initial_window
    cdef Py_ssize_t local_frame_max
    cdef Py_ssize_t remote_frame_max
    cdef list unacked_settings
    cdef bint settings_known
    # stream identifiers
    # public: a test of the end of the numbers begins near it
    cdef public unsigned int next_stream_id
    cdef readonly unsigned int last_remote_stream_id
    cdef readonly unsigned int goaway_last_stream_id
    cdef readonly unsigned int goaway_code
    cdef readonly unsigned int goaway_sent_last
    cdef readonly int streams_local
    cdef readonly int streams_remote
    cdef readonly long long streams_refused
    cdef readonly long long held_bytes
    cdef readonly dict reset_streams
    cdef unsigned int forgotten_below
    cdef int reset_streams_max
    # flow control of the connection
    cdef readonly long long send_window
    cdef readonly long long recv_window
    cdef readonly long long recv_uncredited
    cdef readonly long long recv_target
    # octets of bodies framed since the connection began
    cdef readonly long long bodies_sent
    cdef readonly WindowTuner tuner
    cdef readonly long long stream_target
    cdef bint batching
    cdef long long connection_batch, stream_batch, _reported_target, _reported_stream_target
    cdef readonly double blocked_since
    # memory
    cdef readonly long long unread
    cdef readonly long long fields_bytes
    cdef readonly Budget budget
    cdef readonly int pressure
    cdef readonly long long memory_bytes
    cdef readonly long long window_withheld
    cdef long long _memory_refuse, _memory_shrink, _reported_streams, _reported_hpack, _reported_queues
    # output
    cdef readonly bint paused
    cdef Py_ssize_t high_water
    cdef long long stream_low_water
    cdef bint recovery, tracking
    cdef unsigned int drain_stream_id
    cdef double drain_at
    cdef readonly bint drained

    cdef _begin_life(self)
    cdef _begin_codec(self)
    cdef _begin_frames(self)
    cdef _begin_streams(self)
    cdef _begin_windows(self)
    cdef _begin_memory(self)
    cpdef bint trim(self, double now, double quiet_s) except -1
    cdef set_batches(self)
