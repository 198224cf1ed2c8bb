import cython
from .. cimport _mem
from ..counters cimport Counters, Histogram
from ..streams.stream cimport Stream
from .push cimport PushHalf

cdef int _DATA, _RST_STREAM, _SETTINGS, _WINDOW_UPDATE, _CONTINUATION
cdef int _RECV, _END_STREAM, _ACK, _END_HEADERS, _PADDED
cdef int _RECV_DATA, _RECV_END, _RECV_RST, _RESERVED_REMOTE, _CLOSED
cdef int _FRAMES, _FRAME_PAYLOAD, _STREAM_RESETS, _UNREAD, _COPIED_DELIVER, _COPIED_REASSEMBLY, _ERROR_CODES
cdef int _FRAMES_READ, _COMPLETED, _RESET_RECV, _REFUSED, _REMOTE
cdef unsigned int _REFUSED_STREAM
cdef long long _WINDOW_MAX
cdef Py_ssize_t _HTTP1_LENGTH
cdef int _HTTP1_TYPE
cdef bytes _NO_OCTETS, _SLOT_B, _SCOPE_B, _LENGTH_B, _CHECK_B, _PREFACE
cdef long long _ENDLESS
cdef const unsigned char *_SLOT
cdef const unsigned char *_SCOPE
cdef const unsigned char *_LENGTH
cdef const unsigned char *_CHECK

cdef class ReceiveHalf(PushHalf):
    cdef bint need_preface
    cdef Py_ssize_t next_frame
    cdef readonly long long frames_received
    cdef long long turn_frames
    cdef Histogram turn_sizes
    cdef Histogram data_received_sizes
    # switches
    cdef bint frame_batching, frame_dispatch_table

    @cython.locals(pos="Py_ssize_t", length="Py_ssize_t", stop="Py_ssize_t", type=int, flags=int, stream_id="unsigned int", check=bint)
    cdef Py_ssize_t parse(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -1
    @cython.locals(stop="Py_ssize_t", used="Py_ssize_t", frame=bytes)
    cdef Py_ssize_t parse_each(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -1
    cdef void received(self, int type, int flags, unsigned int stream_id, Py_ssize_t length) noexcept
    @cython.locals(n="Py_ssize_t", type=int, stream_id="unsigned int", body=bint, stream=Stream)
    cdef incomplete(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end)
    @cython.locals(n="Py_ssize_t")
    cdef Py_ssize_t parse_preface(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -2
    @cython.locals(expected=int, scope=int)
    cdef object check_header(self, int type, int flags, unsigned int stream_id, Py_ssize_t length)
    cdef int dispatch(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int type, int flags, unsigned int stream_id) except -1
    @cython.locals(length="Py_ssize_t", n="Py_ssize_t", found=Stream, stream=Stream, data=bytes, fin=bint, started_ns="long long")
    cdef int on_data(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    cdef small_data(self, Stream stream, Py_ssize_t n)
    @cython.locals(block=bytes, kept=bytearray)
    cdef int on_continuation(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    @cython.locals(increment="unsigned int", stream=Stream, found=Stream, since=double)
    cdef int on_window_update(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    @cython.locals(code="unsigned int", stream=Stream, found=Stream, outcome=int)
    cdef int on_rst_stream(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
