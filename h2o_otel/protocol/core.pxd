import cython
from .. cimport _mem
from ..buffers.output cimport OutputBuffer
from ..counters cimport Counters, Histogram, Trace
from ..frames cimport writer
from ..hpack.decoder cimport Decoder
from ..hpack.encoder cimport Encoder
from ..memory.budget cimport Budget
from ..streams cimport pool
from ..streams.pool cimport StreamPool
from ..streams.scheduler cimport Scheduler
from ..streams.stream cimport Stream
from .guards cimport Guards
from .handler cimport Handler
from .recorder cimport FlightRecorder
from .windows cimport WindowTuner

cdef int _FRAMES, _FRAME_PAYLOAD, _STREAMS, _STREAM_ACTIVE, _STREAM_RESETS, _GOAWAY, _CONNECTION_ACTIVE, _UNREAD, _WINDOW, _FRAME_TYPES, _ERROR_CODES, _OUTCOMES, _PUSH_PROMISES, _PUSH_RESULTS, _TARGET
cdef int _COMPLETED, _RESET_SENT, _RESET_RECV, _REFUSED, _PUSH_REFUSED, _PUSH_CANCELLED
cdef int _SEND_RST, _RECV_RST, _USER, _LOCAL, _REMOTE, _CLOSED, _HALF_CLOSED_REMOTE
cdef int _RST_STREAM, _WINDOW_UPDATE, _SEND
cdef int _MEMORY, _MEMORY_CONNECTIONS, _MEMORY_STREAMS, _MEMORY_HPACK, _MEMORY_QUEUES, _SHRUNK, _RELAXED, _SHRINK, _REFUSE
cdef long long _CONNECTION_BYTES, _STREAM_BYTES, _WINDOW_INITIAL
cdef bytes _SLOT_B
cdef const unsigned char *_SLOT

cdef class ConnectionCore:
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
    cdef readonly dict streams
    cdef Stream latest
    cdef readonly StreamPool stream_pool
    cdef readonly list ended
    cdef readonly Scheduler scheduler
    cdef readonly Guards guards
    cdef readonly FlightRecorder recorder
    # traces (level detail) of streams that something was done for since the driver's last write
    cdef readonly list traced
    # what the gauges were told last
    cdef readonly long long frames_written
    cdef long long _frames_flushed, _reported_send, _reported_recv
    cdef long long _reported_streams_max
    cdef Histogram _flush_frames
    cdef readonly int traced_open
    # requests whose body has not ended, and when progress of bodies is looked at next
    cdef readonly int bodies_open
    cdef readonly double progress_at
    cdef public double now
    # state of the connection
    cdef readonly bint started, closed, goaway_sent, goaway_received, shutting_down, counted
    cdef readonly object error
    cdef readonly double opened_at, active_at
    cdef readonly long long requests
    # settings in force
    cdef readonly object local_settings
    cdef readonly object remote_settings
    cdef readonly long long local_streams_max
    cdef readonly long long remote_streams_max
    cdef readonly long long local_initial_window
    cdef readonly long long remote_initial_window
    cdef Py_ssize_t local_frame_max
    cdef Py_ssize_t remote_frame_max
    cdef list unacked_settings
    # stream identifiers
    # public: a test of the end of the numbers begins near it
    cdef public unsigned int next_stream_id
    cdef readonly unsigned int last_remote_stream_id
    cdef readonly unsigned int goaway_last_stream_id
    cdef readonly unsigned int goaway_sent_last
    cdef readonly int streams_local
    cdef readonly int streams_remote
    cdef readonly dict reset_streams
    cdef unsigned int forgotten_below
    cdef int reset_streams_max
    # flow control of the connection
    cdef readonly long long send_window
    cdef readonly long long recv_window
    cdef readonly long long recv_uncredited
    cdef readonly long long recv_target
    cdef readonly long long queued
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
    cdef touch(self, Trace trace)
    cdef void sent(self, int type, int flags, unsigned int stream_id, Py_ssize_t length) noexcept
    @cython.locals(stream=Stream)
    cdef Stream new_stream(self, unsigned int id, bint local)
    cdef Stream find(self, unsigned int stream_id)
    @cython.locals(outcome=int)
    cdef close_stream(self, Stream stream, int outcome)
    cdef remember_reset(self, unsigned int stream_id, int by)
    cdef write_rst(self, unsigned int stream_id, unsigned int code)
    cdef promise_ended(self, int outcome)
    @cython.locals(unread="long long")
    cdef release(self, Stream stream)
    cdef set_batches(self)
    cdef credit_connection(self, long long n)
    @cython.locals(kept="long long")
    cdef long long adjust_window(self, long long n) noexcept
    cdef settle(self)
    @cython.locals(budget=Budget, streams="long long", hpack="long long", queues="long long", changed=bint)
    cdef account(self)
    @cython.locals(slots="long long *")
    cdef void _report_memory(self, long long own, long long streams, long long hpack, long long queues) noexcept
    cdef credit_stream(self, Stream stream, long long n)
    @cython.locals(small="long long")
    cpdef credit(self, Stream stream, long long n, double now)
    cpdef reset_stream(self, Stream stream, unsigned int code, double now)
    cdef reset_for(self, Stream stream, unsigned int code, object error, int by, int outcome)
    cpdef Py_ssize_t out_size(self)
    @cython.locals(written="long long")
    cdef report(self)
    @cython.locals(place=int)
    cdef _report_windows(self, long long send, long long recv)
    @cython.locals(place=int)
    cdef report_targets(self, long long connection, long long stream)
    cpdef bytes data_to_send(self)
    cpdef list chunks_to_send(self)
