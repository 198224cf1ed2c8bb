import cython
from ..counters cimport Trace

cdef bytes _TABLE
cdef const unsigned char *_STEP

cdef int _FORBIDDEN

@cython.final
@cython.freelist(256)
cdef class Stream:
    cdef readonly unsigned int id
    cdef readonly int state
    cdef readonly int closed_by
    cdef readonly unsigned int closed_code
    cdef readonly bint counted
    # the message received
    cdef readonly bytes method, scheme, authority, path, protocol
    cdef readonly int status
    cdef readonly list headers
    cdef readonly list trailers
    cdef readonly long long content_length
    cdef readonly bint headers_done
    cdef readonly int informational
    cdef readonly bint head_request
    cdef readonly bint headers_sent
    cdef readonly bint local
    cdef readonly bint refused
    # flow control
    cdef readonly long long send_window
    cdef readonly long long recv_window
    cdef readonly long long recv_uncredited
    cdef readonly long long recv_unread
    cdef readonly long long body_received
    cdef readonly long long body_sent
    # what waits to be sent
    cdef readonly object queue
    cdef readonly long long queued
    cdef Py_ssize_t queue_offset
    cdef readonly bint queue_end
    cdef readonly list queue_trailers
    cdef readonly bint scheduled
    cdef readonly bint writable_wanted
    cdef readonly double blocked_since
    cdef readonly double stalled_s
    # RFC 9218
    cdef readonly int urgency
    cdef readonly bint incremental
    # times in seconds of the caller's clock, 0 when it has not happened
    cdef readonly double opened_at, headers_at, closed_at
    # for the layers above
    cdef public object user
    cdef public Trace trace
    cpdef int step(self, int input) noexcept
    cpdef bint allows(self, int input) noexcept
