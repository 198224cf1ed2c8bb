import cython
from ..buffers.assembly cimport Assembly
from ..counters cimport Trace

cdef bytes _TABLE
cdef const unsigned char *_STEP

cdef int _FORBIDDEN, _HALF_CLOSED_LOCAL

@cython.final
@cython.freelist(256)
cdef class Stream:
    # public, not readonly: the reference engine, which is not compiled, keeps its streams in this class, too
    cdef public unsigned int id
    cdef public unsigned int generation
    cdef object key
    cdef public int state
    # Tuning.stream_state_table is off
    cdef bint states_plain
    cdef public int closed_by
    cdef public unsigned int closed_code
    cdef public bint counted
    # the message received
    cdef public bytes method, scheme, authority, path, protocol
    cdef public int status
    cdef public list headers
    cdef public list trailers
    cdef public Py_ssize_t fields_bytes
    # the size of the header section of a request beyond SETTINGS_MAX_CONCURRENT_STREAMS, which the peer did not know yet; else 0
    cdef public Py_ssize_t held_bytes
    cdef public long long content_length
    cdef public bint headers_done
    cdef public int informational
    cdef public long long informational_bytes
    cdef public bint head_request
    cdef public bint headers_sent
    cdef public bint local
    cdef public bint refused
    # flow control
    cdef public long long send_window
    cdef public long long recv_window
    cdef public long long recv_target
    cdef public long long recv_uncredited
    cdef public long long recv_unread
    cdef public Assembly assembly
    cdef public long long body_received
    cdef public long long body_sent
    # what waits to be sent
    cdef public object queue
    cdef public long long queued
    cdef public Py_ssize_t queue_offset
    cdef public bint queue_end
    cdef public list queue_trailers
    cdef public bint scheduled
    cdef Stream ahead, behind
    cdef public bint writable_wanted
    cdef public double blocked_since
    # progress of the body each way, looked at by ``Connection.check_progress``
    cdef bint body_open
    cdef public bint awaited
    cdef long long small_unread
    cdef double recv_since, send_since
    cdef long long recv_mark, send_mark, send_total_mark
    cdef public double stalled_s
    # RFC 9218
    cdef public int urgency
    cdef public bint incremental
    # times in seconds of the caller's clock, 0 when it has not happened
    cdef public double opened_at, headers_at, closed_at
    # for the layers above
    cdef public object user
    cdef public Trace trace
    cdef void begin(self, unsigned int id, long long send_window, long long recv_window, double now)
    cdef void clear(self)
    @cython.locals(state=int)
    cpdef int step(self, int input) noexcept
    cpdef bint allows(self, int input) noexcept
    cpdef bint answered(self) noexcept
