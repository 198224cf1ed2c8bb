import cython
from .. cimport _mem
from ..buffers.output cimport OutputBuffer
from ..hpack.decoder cimport Decoder
from ..hpack.encoder cimport Encoder
from ..streams.stream cimport Stream
from .messages cimport MessageHalf

cdef int _PUSH_PROMISE, _END_HEADERS, _PADDED, _SEND_DATA, _RECV_DATA, _SEND_PROMISE, _RECV_PROMISE, _PUSH_PROMISES, _PUSH_RESULTS
cdef tuple _IDENTITY

cdef class PushHalf(MessageHalf):
    cdef readonly bint push_enabled
    cdef readonly set pushed

    cdef Py_ssize_t promises_made(self) noexcept
    cdef count_promise(self, int result)
    cpdef bint can_push(self)
    @cython.locals(out=OutputBuffer, start="Py_ssize_t", promised=Stream)
    cpdef Stream send_push_promise(self, Stream stream, object headers, double now)
    @cython.locals(fields=Decoder, stream=Stream)
    cdef promise_received(self, Stream parent, unsigned int promised)
    @cython.locals(fragment="Py_ssize_t", promised="unsigned int")
    cdef int on_push_promise(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags, unsigned int stream_id) except -1
    @cython.locals(parent=Stream)
    cdef int on_promise_block(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id, unsigned int promised) except -1
