import cython

cdef int _OFF, _ON, _CUSTOM, _RATIO, _NO_BOUND
cdef object _U64_MAX, _get_textmap

@cython.final
cdef class SdkTracer:
    cdef object _provider, _access, _sampler, _trace_ids, _span_ids, _halves
    cdef int _random_flag, _carries
    cdef object _textmap
    cdef int _propagator(self) except -1
    cdef list _bounds
    cdef int _root, _remote_on, _remote_off, _local_on, _local_off
    cdef int _rule(self, object rule) except -1
    cdef bint _resolve(self) except -1
    cdef object _new_trace_id(self)
    cdef object _new_span_id(self)
    cdef object _processor
    cdef bint _in_order, _clips
    cdef tuple _processors, _starters
    cdef int _attributes_max
    cdef object _refresh_processors(self)
    cdef object _begin(self, object live)
    cdef object _end(self, object live, object end_time)
