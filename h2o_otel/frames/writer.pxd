import cython
from .. cimport _mem
from ..buffers.output cimport OutputBuffer

cdef int _DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION, _PRIORITY_UPDATE
cdef int _END_STREAM, _ACK, _END_HEADERS
cdef Py_ssize_t _BY_REFERENCE

cdef int write_rst_stream(OutputBuffer out, unsigned int stream_id, unsigned int code) except -1
cdef int write_window_update(OutputBuffer out, unsigned int stream_id, unsigned int increment) except -1
cdef int write_settings_ack(OutputBuffer out) except -1
cdef int write_settings(OutputBuffer out, object entries) except -1
cdef int write_goaway(OutputBuffer out, unsigned int last_stream_id, unsigned int code, bytes debug) except -1
cdef int write_priority_update(OutputBuffer out, unsigned int stream_id, bytes value) except -1
cdef int write_ping(OutputBuffer out, bytes payload, bint ack) except -1
cdef int write_data(OutputBuffer out, unsigned int stream_id, const unsigned char *data, Py_ssize_t start, Py_ssize_t n, Py_ssize_t total, object owner, bint end_stream) except -1
@cython.locals(start="Py_ssize_t", n="Py_ssize_t", first="Py_ssize_t", offset="Py_ssize_t", size="Py_ssize_t", frames=int, flags=int, block=bytes, type=int)
cdef int close_block(OutputBuffer out, Py_ssize_t start, unsigned int stream_id, bint end_stream, Py_ssize_t frame_bytes_max, unsigned int promised) except -1
