import cython
from .stream cimport Stream

cdef int _QUEUES
cdef int _LAST
cdef list _NONE

@cython.final
cdef class Scheduler:
    cdef list _oldest, _newest
    cdef readonly int waiting
    cdef unsigned int _nonempty
    cdef unsigned int _picks
    cdef bint _priorities
    cdef int _starved_every
    cdef int _starved_last
    cdef int index(self, Stream stream)
    @cython.locals(index=int, before=Stream, behind=Stream, first=Stream)
    cdef void push(self, Stream stream)
    @cython.locals(index=int, mask="unsigned int", stream=Stream)
    cdef Stream pop(self)
    @cython.locals(before=Stream, behind=Stream)
    cdef void take(self, Stream stream, int index)
    cpdef remove(self, Stream stream)
    cpdef moved(self, Stream stream, int urgency, bint incremental)
