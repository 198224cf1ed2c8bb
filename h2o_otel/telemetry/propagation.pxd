import cython
from .. cimport _mem

cdef object _LOW

@cython.locals(n=Py_ssize_t, name=bytes, value=bytes, parent=bytes, state=bytes, baggage=bytes)
cpdef tuple read_headers(object headers)
@cython.locals(n=Py_ssize_t, high=object, low=object, span=object, trace=object, digit=int, first=int, last=int)
cpdef tuple parse_traceparent(bytes value)
cpdef bytes format_traceparent(object trace_id, object span_id, int flags)
