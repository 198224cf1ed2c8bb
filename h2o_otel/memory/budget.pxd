import cython
from ..counters cimport Counters

cdef int _USAGE, _COMPONENTS, _RELAXED, _SHRINK, _REFUSE
cdef double _OTHERS_INTERVAL_S

@cython.final
cdef class Budget:
    cdef readonly Counters counters
    cdef long long *_slots
    cdef readonly long long bytes_max
    cdef readonly int level
    cdef readonly long long used_bytes
    cdef readonly bint short
    cdef readonly object watchers
    cdef long long _shrink_bytes, _refuse_bytes, _pressure_bytes, _eased_bytes, _others_bytes
    cdef double _read_at
    @cython.locals(used="long long", i=int)
    cpdef int check(self, double now) except -1
    cdef _change(self, bint short)

cpdef long long eased(long long threshold) except? -1
