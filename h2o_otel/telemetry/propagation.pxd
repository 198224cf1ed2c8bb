import cython

@cython.locals(n=Py_ssize_t, name=bytes, value=bytes, parent=bytes, state=bytes, baggage=bytes)
cpdef tuple read_headers(object headers)
@cython.locals(n=Py_ssize_t, version=bytes, trace=bytes, span=bytes)
cpdef tuple parse_traceparent(bytes value)
cpdef bytes format_traceparent(object trace_id, object span_id, int flags)
