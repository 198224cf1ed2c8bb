import cython
from ... cimport _mem
from ...frames cimport writer
from ...hpack.decoder cimport Decoder
from ...protocol.connection cimport Connection
from ...protocol.handler cimport Handler
from ...streams.stream cimport Stream
from .sending cimport SendingEngine

cdef int _HEADERS, _RST_STREAM, _WINDOW_UPDATE, _PRIORITY_UPDATE, _SETTINGS, _ALTSVC, _UNKNOWN, _ACK, _PADDED, _HAS_PRIORITY
cdef int _RECV_HEADERS, _RECV_DATA, _RECV_END, _RECV_PROMISE, _LOCAL, _STREAM_CLOSED, _REFUSED_STREAM, _NOT_MODIFIED

cdef class Collector(Handler):
    cdef readonly list events
    cdef Py_ssize_t length
    cdef public bint muted

    cpdef data_received(self, Stream stream, bytes data, bint end_stream)
    cpdef stream_reset(self, Stream stream, object error)

cdef class FacadeEngine(SendingEngine):
    cdef readonly Collector collector
    cdef object options, machine, priority

    cdef tell(self, object event)
    cdef connection_violation(self, object violation)
    cdef stream_violation(self, object violation)
    @cython.locals(mine=bint, newest="long long")
    cdef int unknown_stream(self, int type, unsigned int stream_id, long long data_bytes) except -1
    cdef object check_header(self, int type, int flags, unsigned int stream_id, Py_ssize_t length)
    cdef int dispatch(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int type, int flags, unsigned int stream_id) except -1
    cdef int on_data(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    @cython.locals(at="Py_ssize_t")
    cdef int on_headers(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    @cython.locals(dependency="unsigned int")
    cdef object priority_at(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id)
    cdef int on_priority(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    cdef int on_rst_stream(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    @cython.locals(known=bint)
    cdef int on_window_update(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    @cython.locals(payload=bytes)
    cdef int on_ping(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags) except -1
    cdef int on_goaway(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -1
    cdef int on_alt_svc(self, bytes payload, unsigned int stream_id) except -1
    cdef int on_settings(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags) except -1
    @cython.locals(found=object, stream=Stream, fields=Decoder, opens=bint)
    cdef int on_block(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, bint fin, unsigned int stream_id) except -1
    cdef int check_size(self, Decoder fields, unsigned int stream_id) except -1
    cdef bint check_fields(self, Decoder fields, unsigned int stream_id) except -1
    @cython.locals(stream=Stream)
    cdef int on_request(self, Decoder fields, bint fin, unsigned int stream_id) except -1
    @cython.locals(status=int)
    cdef int on_response(self, Stream stream, Decoder fields, bint fin) except -1
    cdef int on_trailers(self, Stream stream, Decoder fields, bint fin) except -1
    cdef tell_fields(self, object event, Stream stream, bint fin)
    cdef list shown(self, Decoder fields)
    cdef int on_push_promise(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    @cython.locals(parent=Stream, stream=Stream, fields=Decoder)
    cdef int on_promise_block(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id, unsigned int promised) except -1
