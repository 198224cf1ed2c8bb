import cython
from .. cimport _mem
from ..counters cimport Counters

cdef int _COPIED_GROW

@cython.final
cdef class Assembly:
    cdef bytes _block
    cdef Py_ssize_t _expected, _room
    cdef object _growing
    cdef readonly Py_ssize_t size
    cdef readonly Counters counters
    cpdef add(self, bytes piece)
    @cython.locals(n="Py_ssize_t")
    cdef put(self, const unsigned char *src, Py_ssize_t pos, Py_ssize_t end)
    @cython.locals(room="Py_ssize_t", block=bytes)
    cdef _grow(self, Py_ssize_t needed)
    cdef _append(self, bytes piece)
    @cython.locals(body=bytes)
    cpdef bytes take(self)
    @cython.locals(size="Py_ssize_t", block=bytes)
    cdef bytes _filled(self)
