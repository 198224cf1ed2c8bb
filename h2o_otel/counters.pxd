import cython
from . cimport _mem

cdef int TRACE_MARKS_MAX
cdef double _INFINITY

@cython.final
cdef class Histogram:
    cdef bytearray _bounds_memory, _counts_memory
    cdef double *_bounds
    cdef long long *_counts
    cdef int _bounds_n
    cdef double _sum, _min, _max, _above, _up_to
    cdef int _last
    cdef public dict exemplars
    @cython.locals(low=int)
    cpdef int record(self, double value) noexcept
    @cython.locals(low=int, high=int, middle=int)
    cdef int _search(self, double value) noexcept

@cython.final
cdef class Trace:
    cdef bytearray _memory
    cdef long long *_marks
    cdef int _n
    cdef readonly int dropped
    @cython.locals(n=int, marks="long long *")
    cpdef void mark(self, int layer, long long start_ns, long long end_ns) noexcept

@cython.final
cdef class Tally:
    cdef public long long n

@cython.final
cdef class Counters:
    cdef bytearray _memory
    cdef long long *slots
    cdef readonly list histograms
    cdef dict _labelled
    cdef object __weakref__
    cpdef Histogram histogram(self, str name, int index=*)
    cpdef count(self, str name, tuple key, long long n=*)
    @cython.locals(tally=Tally)
    cpdef Tally tally(self, str name, tuple key)
    cpdef Histogram labelled_histogram(self, str name, tuple key)
