import cython
from .. cimport _mem

@cython.final
cdef class Assembly:
    cdef object _block
    cdef Py_ssize_t _expected, _room
    cdef readonly Py_ssize_t size
    @cython.locals(n="Py_ssize_t")
    cpdef add(self, bytes piece)
    @cython.locals(room="Py_ssize_t")
    cdef _grow(self, Py_ssize_t needed)
    @cython.locals(size="Py_ssize_t")
    cpdef bytes take(self)
