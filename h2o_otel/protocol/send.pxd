import cython
from .. cimport _mem
from ..buffers.output cimport OutputBuffer
from ..counters cimport Counters, Histogram, Trace
from ..frames cimport writer
from ..hpack.encoder cimport Encoder
from ..streams.scheduler cimport Scheduler
from ..streams.stream cimport Stream
from .core cimport ConnectionCore

cdef int _SEND_HEADERS, _SEND_DATA, _SEND_END, _CLOSED
cdef int _END_STREAM, _END_HEADERS, _DATA, _HEADERS, _CONTINUATION, _PUSH_PROMISE, _PING, _PRIORITY_UPDATE
cdef int _STALLS, _FRAMES_WRITE, _HPACK_ENCODE, _WAIT_WINDOW
cdef int _COMPLETED, _SMALL_DATA_BYTES
cdef int _REQUEST, _NOT_AUTHORITY, _PROTOCOL, _CONNECT, _EXTENDED_CONNECT

cdef unsigned int _STREAM_ID_MAX
cdef double _PROGRESS_INTERVAL_S

cdef class SendHalf(ConnectionCore):
    cdef Histogram data_sizes
    cdef Histogram stream_stalls
    cdef Histogram connection_stalls
    cdef readonly dict pings

    cpdef bint can_open_stream(self)
    @cython.locals(stream=Stream, out=OutputBuffer, start="Py_ssize_t", t0="long long", method=bytes)
    cpdef Stream send_request(self, object headers, bint end_stream, double now, object user=*, Trace trace=*)
    @cython.locals(pseudo=int, method=bytes, name=bytes, value=bytes)
    cdef bytes check_pseudo(self, object headers)
    @cython.locals(out=OutputBuffer, start="Py_ssize_t", t0="long long")
    cpdef send_response(self, Stream stream, int status, object headers, bint end_stream, double now)
    @cython.locals(out=OutputBuffer, start="Py_ssize_t")
    cpdef send_informational(self, Stream stream, int status, object headers, double now)
    @cython.locals(out=OutputBuffer, start="Py_ssize_t")
    cpdef send_trailers(self, Stream stream, object headers, double now)
    cdef write_trailers(self, Stream stream, object headers)
    @cython.locals(out=OutputBuffer, n="Py_ssize_t", frames=int, flags=int, t0="long long")
    cdef finish_block(self, Stream stream, Py_ssize_t start, bint end_stream, unsigned int promised)
    @cython.locals(n="Py_ssize_t", offset="Py_ssize_t")
    cpdef long long send_data(self, Stream stream, bytes data, bint end_stream, double now) except -1
    @cython.locals(t0="long long", done="Py_ssize_t", trace=Trace)
    cdef Py_ssize_t write_frames(self, Stream stream, bytes data, Py_ssize_t offset, Py_ssize_t n, bint end_stream, long long budget) except -1
    @cython.locals(m="Py_ssize_t", room="long long", mem="const unsigned char *", last=bint)
    cdef Py_ssize_t frame_data(self, Stream stream, bytes data, Py_ssize_t offset, Py_ssize_t n, bint end_stream, long long budget) except -1
    @cython.locals(n="Py_ssize_t")
    cdef enqueue(self, Stream stream, bytes data, Py_ssize_t offset, bint end_stream)
    cdef block_on_window(self, Stream stream)
    cdef unblock(self, Stream stream)
    @cython.locals(stream=Stream)
    cpdef pump(self, double now)
    @cython.locals(data=bytes, n="Py_ssize_t", done="Py_ssize_t", offset="Py_ssize_t", budget="long long", end=bint)
    cdef bint write_queued(self, Stream stream) except -1
    cdef end_sent(self, Stream stream)
    cdef misuse(self, str message, Stream stream)
    cpdef send_ping(self, bytes payload, double now)
    cpdef prioritize(self, Stream stream, int urgency, bint incremental)
