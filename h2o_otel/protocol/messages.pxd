import cython
from .. cimport _mem
from ..counters cimport Counters, Trace
from ..frames.validation cimport MessageValidator
from ..hpack.decoder cimport Decoder
from ..streams.stream cimport Stream
from .control cimport ControlHalf

cdef int _DATA, _HEADERS, _END_STREAM, _END_HEADERS, _PADDED, _HAS_PRIORITY
cdef int _RECV_HEADERS, _RECV_END, _RESERVED_LOCAL, _RESERVED_REMOTE, _CLOSED
cdef int _PADDING, _PRIORITY_STREAMS, _COPIED_REASSEMBLY, _HPACK_DECODE, _FRAMES_READ, _COMPLETED, _REMOTE, _LOCAL, _REFUSED_STREAM, _REFUSE, _MEMORY_REFUSED, _WITHOUT_AUTHORITY

cdef bytes _CONNECT
cdef double _PROGRESS_INTERVAL_S

cdef class MessageHalf(ControlHalf):
    cdef unsigned int skipped_from, skipped_to
    # the field block that is open (HEADERS or PUSH_PROMISE without END_HEADERS)
    cdef unsigned int block_stream
    cdef unsigned int block_promised
    cdef unsigned int block_flags
    cdef readonly bytearray block
    cdef int block_frames
    cdef int block_empty
    cdef readonly double block_since
    # bounds of one turn, see ``ReceiveHalf.parse``
    cdef long long turn_end
    cdef int turn_streams, turn_streams_max

    @cython.locals(pad="Py_ssize_t")
    cdef Py_ssize_t unpad(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t used, int type, unsigned int stream_id) except -1
    cdef body_ended(self, Stream stream)
    cdef int count_body(self, Stream stream, Py_ssize_t n, bint fin) except -1
    @cython.locals(fragment="Py_ssize_t", dependency="unsigned int")
    cdef int on_headers(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    cdef int on_self_dependency(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    cdef open_block(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id, unsigned int promised)
    @cython.locals(t0="long long", decoded_ns="long long", found=Stream, stream=Stream, fields=Decoder)
    cdef int on_block(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, bint fin, unsigned int stream_id) except -1
    cdef decoded(self, Trace trace, long long started_ns, long long decoded_ns)
    @cython.locals(stream=Stream, beyond=bint)
    cdef Stream open_request(self, Decoder fields, bint fin, unsigned int stream_id)
    @cython.locals(held="long long")
    cdef bint may_hold(self, Py_ssize_t list_bytes) except -1
    cdef Stream refuse_for_memory(self, unsigned int stream_id)
    cdef decline(self, unsigned int stream_id, unsigned int code)
    @cython.locals(status=int)
    cdef int on_response(self, Stream stream, Decoder fields, bint fin) except -1
    cdef int on_trailers(self, Stream stream, Decoder fields, bint fin) except -1
    cdef int end_received(self, Stream stream) except -1
    cdef object not_allowed(self, Stream stream, int type)
    cdef int unknown_stream(self, int type, unsigned int stream_id, long long data_bytes) except -1
