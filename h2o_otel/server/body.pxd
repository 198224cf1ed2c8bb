import cython
from ..counters cimport Counters

cdef int _COPIED_ASGI
cdef Py_ssize_t _SMALL_BYTES, _JOINED_BYTES_MAX

@cython.final
@cython.freelist(32)
cdef class BodyQueue:
    cdef Counters _block
    cdef list _chunks
    cdef bytearray _small

    @cython.locals(n="Py_ssize_t", small=bytearray)
    cpdef push(self, bytes data)
    @cython.locals(data=bytes)
    cpdef bytes pop(self)
    cpdef bint waits(self)
