import cython
from .. cimport _mem
from ..counters cimport Counters, Trace

cdef int _BUFFERS_ACQUIRE, _COPIED_GROW

@cython.final
cdef class OutputBuffer:
    cdef bytearray _block
    cdef unsigned char *mem
    cdef Py_ssize_t pos
    cdef Py_ssize_t cap
    cdef Py_ssize_t _kept
    cdef list _chunks
    cdef Py_ssize_t _chunk_bytes
    cdef Counters counters
    cdef Trace trace
    @cython.locals(needed="Py_ssize_t", cap="Py_ssize_t", block=bytearray, mem="unsigned char *", started_ns="long long")
    cdef int reserve(self, Py_ssize_t n) except -1
    cdef void put(self, unsigned int octet) noexcept
    @cython.locals(n="Py_ssize_t", mem="const unsigned char *")
    cpdef write(self, bytes data)
    @cython.locals(n="Py_ssize_t")
    cpdef append_chunk(self, object data)
    cpdef bytes take(self)
    cpdef list take_chunks(self)
    cpdef Py_ssize_t size(self) noexcept
