import cython
from .. cimport _mem
from ..counters cimport Counters, Trace
from .pool cimport Buffer, BufferPool

cdef int _BUFFERS_ACQUIRE, _COPIED_GROW, _COPIED_OUTPUT, _OUTPUT
cdef bytearray _EMPTY

@cython.final
cdef class OutputBuffer:
    cdef BufferPool _pool
    cdef Buffer _block
    cdef unsigned char *mem
    cdef Py_ssize_t pos
    cdef Py_ssize_t cap
    cdef Py_ssize_t _kept
    cdef bint _by_reference
    cdef list _chunks
    cdef Py_ssize_t _chunk_bytes
    cdef Counters counters
    cdef Trace trace
    cdef int reserve(self, Py_ssize_t n) except -1
    @cython.locals(old=Buffer, block=Buffer, mem="unsigned char *", started_ns="long long")
    cdef _grow(self, Py_ssize_t needed)
    cdef void put(self, unsigned int octet) noexcept
    @cython.locals(n="Py_ssize_t", mem="const unsigned char *")
    cpdef write(self, bytes data)
    @cython.locals(n="Py_ssize_t")
    cpdef append_chunk(self, object data)
    cdef close_chunk(self)
    cpdef bytes take(self)
    cpdef list take_chunks(self)
    cpdef Py_ssize_t size(self) noexcept
    cpdef clear(self)
    cdef _reset(self)
