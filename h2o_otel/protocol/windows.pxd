import cython

cdef long long _NEVER, _PROBE_BYTES_MIN
cdef double _USED
cdef int _IDLE_PROBES

@cython.final
cdef class WindowTuner:
    cdef readonly bint enabled, probing
    cdef readonly long long stream_bytes, stream_bytes_min, connection_bytes, connection_bytes_min, bytes_max
    cdef readonly long long probes, bandwidth_delay_bytes
    cdef readonly double rtt_s
    cdef readonly unsigned int stream_id
    cdef long long _limit, _received, _due_bytes, _stream_mark
    cdef double _sent_at, _interval_min_s, _interval_max_s, _interval_s, _due_at
    cdef int _idle

    cdef _rearm(self)
    cpdef bint received(self, long long n, double now) noexcept
    cpdef begin(self, unsigned int stream_id, long long stream_octets, double now)
    @cython.locals(sample="long long", stream_sample="long long", stream_before="long long", connection_before="long long", changed=bint)
    cpdef bint end(self, long long stream_octets, long long unread, double now) except -1
    @cython.locals(stream_before="long long", connection_before="long long")
    cpdef bint limit(self, long long bytes_max) except -1
    cdef _shrink(self, long long stream_bytes, long long connection_bytes)
    cpdef begin_with(self, long long stream_bytes)
