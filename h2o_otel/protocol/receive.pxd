import cython
from .. cimport _mem
from ..counters cimport Counters, Histogram, Trace
from ..frames cimport writer
from ..frames.validation cimport MessageValidator
from ..hpack.decoder cimport Decoder
from ..streams.stream cimport Stream
from .control cimport ControlHalf

cdef int _DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION, _PRIORITY_UPDATE
cdef int _RECV, _END_STREAM, _ACK, _END_HEADERS, _PADDED, _HAS_PRIORITY
cdef int _RECV_HEADERS, _RECV_DATA, _RECV_END, _RECV_RST, _RECV_PROMISE, _RESERVED_LOCAL, _RESERVED_REMOTE, _CLOSED, _FORBIDDEN
cdef int _FRAMES, _FRAME_PAYLOAD, _PADDING, _PRIORITY_STREAMS, _STREAM_RESETS, _UNREAD, _COPIED_DELIVER, _COPIED_REASSEMBLY, _ERROR_CODES
cdef int _HPACK_DECODE, _FRAMES_READ, _COMPLETED, _RESET_RECV, _REFUSED, _REMOTE, _REFUSED_STREAM
cdef long long _WINDOW_MAX
cdef bytes _SLOT_B, _SCOPE_B, _LENGTH_B, _PREFACE
cdef const unsigned char *_SLOT
cdef const unsigned char *_SCOPE
cdef const unsigned char *_LENGTH

cdef class ReceiveHalf(ControlHalf):
    cdef bint need_preface
    cdef Py_ssize_t next_frame
    cdef unsigned int skipped_from, skipped_to
    cdef readonly long long frames_received
    # the field block that is open (HEADERS or PUSH_PROMISE without END_HEADERS)
    cdef unsigned int block_stream
    cdef unsigned int block_promised
    cdef unsigned int block_flags
    cdef bytearray block
    cdef int block_frames
    cdef int block_empty
    cdef readonly double block_since
    cdef Histogram data_received_sizes
    cdef public bint trace_requests

    @cython.locals(pos="Py_ssize_t", length="Py_ssize_t", stop="Py_ssize_t", type=int, flags=int, stream_id="unsigned int")
    cdef Py_ssize_t parse(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -1
    @cython.locals(n="Py_ssize_t")
    cdef Py_ssize_t parse_preface(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -2
    @cython.locals(expected=int, scope=int)
    cdef int check_header(self, int type, int flags, unsigned int stream_id, Py_ssize_t length) except -1
    cdef int dispatch(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int type, int flags, unsigned int stream_id) except -1
    @cython.locals(pad="Py_ssize_t")
    cdef Py_ssize_t unpad(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t used, int type, unsigned int stream_id) except -1
    @cython.locals(length="Py_ssize_t", n="Py_ssize_t", found=object, stream=Stream, data=bytes, fin=bint, started_ns="long long")
    cdef int on_data(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    cdef small_data(self, Stream stream, Py_ssize_t n)
    cdef body_ended(self, Stream stream)
    cdef int count_body(self, Stream stream, Py_ssize_t n, bint fin) except -1
    @cython.locals(fragment="Py_ssize_t", dependency="unsigned int")
    cdef int on_headers(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    cdef int on_self_dependency(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    cdef open_block(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id, unsigned int promised)
    @cython.locals(block=bytes)
    cdef int on_continuation(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    @cython.locals(t0="long long", decoded_ns="long long", found=object, stream=Stream, fields=Decoder)
    cdef int on_block(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, bint fin, unsigned int stream_id) except -1
    cdef decoded(self, Trace trace, long long started_ns, long long decoded_ns)
    @cython.locals(stream=Stream)
    cdef Stream open_request(self, Decoder fields, bint fin, unsigned int stream_id)
    @cython.locals(status=int)
    cdef int on_response(self, Stream stream, Decoder fields, bint fin) except -1
    cdef int on_trailers(self, Stream stream, Decoder fields, bint fin) except -1
    cdef int end_received(self, Stream stream) except -1
    cdef object not_allowed(self, Stream stream, int type)
    cdef int unknown_stream(self, int type, unsigned int stream_id, long long data_bytes) except -1
    @cython.locals(increment="unsigned int", stream=Stream, found=object, since=double)
    cdef int on_window_update(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    @cython.locals(code="unsigned int", stream=Stream, found=object, outcome=int)
    cdef int on_rst_stream(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    @cython.locals(fragment="Py_ssize_t", promised="unsigned int")
    cdef int on_push_promise(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    @cython.locals(parent=Stream)
    cdef int on_promise_block(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id, unsigned int promised) except -1
