import cython
from ..counters cimport Counters

cdef int _LOOKUPS, _SIZE, _HIT, _MISS
cdef Py_ssize_t _OVERHEAD_BYTES

@cython.final
cdef class ValueTable:
    cdef readonly Counters counters
    cdef long long *_slots
    cdef Py_ssize_t _values_max, _bytes_max, _young_bytes, _old_bytes
    cdef dict _young, _old
    @cython.locals(n="Py_ssize_t")
    cpdef bytes intern(self, bytes value)
    cdef _turn(self)
