import cython
from ... cimport _mem
from ...buffers.output cimport OutputBuffer
from ...frames cimport writer
from ...hpack cimport encoder as hpack_encoder
from ...hpack.encoder cimport Encoder
from ...hpack.policies cimport Slot
from ...hpack.table cimport Entry
from ...protocol.connection cimport Connection
from ...streams.stream cimport Stream

cdef int _SEND_HEADERS, _SEND_PROMISE, _SEND_END, _RECV_HEADERS, _RECV_END, _DATA, _WINDOW_UPDATE, _SETTINGS
cdef int _END_STREAM, _PADDED, _HAS_PRIORITY, _LOCAL, _CONN_LOST
cdef int _FIELDS, _INDEXED_STATIC, _INDEXED_DYNAMIC, _LITERAL_INDEXED, _LITERAL_NEVER
cdef Py_ssize_t _STATIC_COUNT

cdef class SendingEngine(Connection):
    cdef public object local
    cdef readonly object remote
    cdef readonly dict views
    cdef readonly object closed_streams
    cdef readonly list over
    cdef readonly int promised
    cdef bint automatic
    cdef readonly long long window_max

    @cython.locals(stream=Stream)
    cpdef open_stream(self, unsigned int stream_id)
    @cython.locals(stream=Stream)
    cpdef open_upgraded(self)
    cdef watch(self, Stream stream)
    cdef close_stream(self, Stream stream, int outcome)
    @cython.locals(stream=Stream, start="Py_ssize_t", out=OutputBuffer)
    cpdef write_headers(self, object view, object headers, bint end_stream, bint final, bytes priority)
    @cython.locals(stream=Stream, other=Stream, start="Py_ssize_t")
    cpdef write_promise(self, object parent, unsigned int promised_id, object headers)
    @cython.locals(start="Py_ssize_t", n="Py_ssize_t", out=OutputBuffer, encoder=Encoder)
    cdef Py_ssize_t write_block(self, object headers, bytes prefix) except -1
    @cython.locals(out=OutputBuffer, slot=Slot, entry=Entry, index="Py_ssize_t", n="Py_ssize_t", size="Py_ssize_t")
    cdef int write_field(self, Encoder encoder, bytes name, bytes value, bint secret) except -1
    @cython.locals(stream=Stream, out=OutputBuffer, n="Py_ssize_t", flags=int)
    cpdef write_body(self, object view, bytes data, bint end_stream, int padding)
    @cython.locals(out=OutputBuffer, n="Py_ssize_t")
    cpdef write_frame(self, int type, unsigned int stream_id, bytes payload)
    cdef credit_connection(self, long long n)
    cdef credit_stream(self, Stream stream, long long n)
    @cython.locals(more="long long")
    cpdef give_back(self, long long n)
    @cython.locals(stream=Stream, more="long long")
    cpdef give_back_on(self, object view, long long n)
    @cython.locals(stream=Stream, stream_id="unsigned int")
    cpdef open_window(self, object view, long long n)
