from ..streams.stream cimport Stream

cdef class Handler:
    cpdef request_received(self, Stream stream, bint end_stream)
    cpdef response_received(self, Stream stream, bint end_stream)
    cpdef informational_received(self, Stream stream, int status, list headers)
    cpdef data_received(self, Stream stream, bytes data, bint end_stream)
    cpdef trailers_received(self, Stream stream)
    cpdef stream_reset(self, Stream stream, object error)
    cpdef str short_of(self)
    cpdef bint body_overdue(self, Stream stream, object violation) except -1
    cpdef request_refused(self, unsigned int stream_id, str rule, object violation)
    cpdef stream_writable(self, Stream stream)
    cpdef stream_closed(self, Stream stream)
    cpdef push_received(self, Stream stream, Stream promised)
    cpdef goaway_received(self, unsigned int last_stream_id, unsigned int code, bytes debug)
    cpdef settings_received(self)
    cpdef ping_acknowledged(self, bytes payload, double rtt_s)
    cpdef connection_terminated(self, object error)
