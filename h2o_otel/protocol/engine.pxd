from ..counters cimport Trace
from ..streams.stream cimport Stream

cdef class Engine:
    # public: an engine that is not compiled writes them, too
    cdef public bint started, closed, turn_over, trace_requests
    cdef public list traced
    cdef public dict streams
    cdef public long long requests, queued, unsent
    cdef public object remote_settings

    cpdef Py_ssize_t receive_into(self, bytearray buffer, Py_ssize_t start, Py_ssize_t end, double now) except -1
    cpdef pump(self, double now)
    cpdef Py_ssize_t out_size(self)
    cpdef list chunks_to_send(self)
    cpdef double next_deadline(self) except? -1.0
    cpdef bint trim(self, double now, double quiet_s) except -1
    cpdef Stream send_request(self, object headers, bint end_stream, double now, object user=*, Trace trace=*)
    cpdef send_response(self, Stream stream, int status, object headers, bint end_stream, double now)
    cpdef long long send_data(self, Stream stream, bytes data, bint end_stream, double now) except -1
    cpdef reset_stream(self, Stream stream, unsigned int code, double now)
    cpdef credit(self, Stream stream, long long n, double now)
