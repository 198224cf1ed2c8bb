import cython
from .. cimport _mem
from ..buffers.pool cimport Buffer, BufferPool
from ..counters cimport Histogram, Trace
from ..protocol.engine cimport Engine
from ..tls.pump cimport TLSPump
from .loop cimport LentBuffer
from .writing cimport WritingHalf

cdef int _TRANSFERRED, _READS, _FULL, _PARTIAL, _EOF, _YIELDS, _COPIED_TAIL, _TAIL, _FRAME_HEADER_BYTES, _TLS_DECRYPT
cdef int _HANDSHAKE, _OPEN, _CLOSING

cdef class ReadingHalf(WritingHalf):
    cdef Histogram _read_sizes
    cdef int _received
    cdef Py_ssize_t _read_bytes
    cdef BufferPool _pool
    cdef bint _reuse
    cdef Buffer _tail
    cdef Py_ssize_t _tail_size
    cdef double _turn_s, _streak_since
    cdef bint _yielded, _eof_waits, _peer_eof

    @cython.locals(buffer=LentBuffer, kept="Py_ssize_t", size="Py_ssize_t")
    cpdef get_buffer(self, Py_ssize_t sizehint)
    @cython.locals(full=bint)
    cpdef buffer_updated(self, Py_ssize_t n)
    @cython.locals(connection=Engine, start="Py_ssize_t", kept="Py_ssize_t")
    cdef _parse(self, LentBuffer buffer, Py_ssize_t end)
    @cython.locals(pump=TLSPump, buffer=LentBuffer, got="Py_ssize_t", kept="Py_ssize_t", end="Py_ssize_t", started_ns="long long", decrypted_ns="long long", trace=Trace, waits=bint, barren="long long")
    cdef _decrypt(self, Py_ssize_t n)
    cpdef eof_received(self)
    @cython.locals(tail=Buffer)
    cdef _keep(self, LentBuffer buffer, Py_ssize_t start, Py_ssize_t kept)
    @cython.locals(tail=Buffer)
    cdef _untail(self, LentBuffer buffer)
    cdef _drop_tail(self)
    cdef _check_turn(self)
    cdef bint _turn_is_over(self) except -1
    cpdef _next_turn(self)
    @cython.locals(buffer=LentBuffer, kept="Py_ssize_t")
    cdef _go_on(self)
