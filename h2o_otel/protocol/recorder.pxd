import cython
from .. cimport _mem

@cython.final
cdef class FlightRecorder:
    cdef bytearray _memory
    cdef long long *_ring
    cdef readonly Py_ssize_t capacity
    cdef readonly long long recorded
    @cython.locals(place="Py_ssize_t", when="long long", what="long long")
    cdef void record(self, int direction, int type, int flags, unsigned int stream_id, Py_ssize_t length, double now) noexcept
    cpdef object log(self)
