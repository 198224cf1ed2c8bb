import cython
from .stream cimport Stream

@cython.final
cdef class Scheduler:
    cdef list _queues
    cdef readonly int waiting
    cdef unsigned int _nonempty
    cdef unsigned int _picks
    cdef int _starved_every
    cdef void push(self, Stream stream, bint first)
    @cython.locals(urgency=int, mask="unsigned int", stream=Stream)
    cdef Stream pop(self)
    cpdef remove(self, Stream stream)
    cpdef moved(self, Stream stream, int urgency, bint incremental)
