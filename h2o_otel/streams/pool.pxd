import cython
from .. cimport _mem
from ..counters cimport Counters
from .stream cimport Stream

cdef int _OBJECTS, _HIT, _MISS, _HELD

@cython.locals(stream=Stream)
cdef Stream new_stream()

@cython.final
cdef class StreamPool:
    cdef readonly Counters counters
    cdef long long *_slots
    cdef list _free
    cdef Py_ssize_t _streams_max
    cdef bint _taken
    cdef Stream take(self)
    @cython.locals(stream=Stream)
    cpdef give_all(self, list ended)
