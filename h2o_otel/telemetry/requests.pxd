import cython
from ..counters cimport Counters, Histogram, Tally

cdef dict _METHOD_INDEX
cdef int _ACTIVE
cdef int _OTHER
cdef int _SERIES_MAX

@cython.final
cdef class Recording:
    cdef readonly bint active
    cdef readonly tuple sinks
    cpdef object add(self, object sink)
    cpdef object remove(self, object sink)
    cpdef object record(self, str name, tuple labels, double value, object span)

cdef Recording _RECORDING

@cython.final
cdef class _Series:
    cdef tuple labels
    cdef Histogram duration, request_size, response_size

cpdef str method_label(object method)

@cython.locals(bucket=int)
cdef object _record(Histogram histogram, double value, object span)

@cython.final
cdef class ServerRequestMetrics:
    cdef readonly Counters block
    cdef str _version
    cdef bint _body_sizes
    cdef dict _series
    cdef bytes _method
    cdef int _method_index
    cdef _Series _last
    cdef int _last_index, _last_status
    cdef str _last_route
    @cython.locals(index=int)
    cpdef int started(self, bytes method, bytes scheme)
    @cython.locals(series=_Series, key=tuple)
    cdef _Series _find(self, int index, int status, str route, str error_type)
    @cython.locals(series=_Series)
    cpdef object finished(self, int index, int status, str route, str error_type, double duration_s, object span=*, long long received=*, long long sent=*)
    cdef object _hand_on(self, _Series series, double duration_s, object span, long long received, long long sent)
    @cython.locals(block=Counters, every=tuple)
    cdef _Series _make(self, tuple key)

@cython.final
cdef class ClientRequestMetrics:
    cdef readonly Counters block
    cdef str _version, _address, _port
    cdef list _active, _queue
    cdef dict _series
    cdef _Series _last
    cdef int _last_index, _last_status
    @cython.locals(index=int, active=Tally)
    cpdef int started(self, object method)
    @cython.locals(histogram=Histogram, labels=tuple)
    cpdef object queued(self, int index, double duration_s)
    @cython.locals(series=_Series, key=tuple)
    cdef _Series _find(self, int index, int status, str error_type)
    @cython.locals(series=_Series, active=Tally)
    cpdef object finished(self, int index, int status, str error_type, double duration_s, object span=*)
    @cython.locals(labels=tuple)
    cdef _Series _make(self, tuple key)
