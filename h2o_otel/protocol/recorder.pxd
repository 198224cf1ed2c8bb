import cython
from .. cimport _mem

cdef int _CODE_OTHER
cdef Py_ssize_t _ROOM

@cython.final
cdef class FlightRecorder:
    cdef bytearray _memory
    cdef long long *_ring
    cdef Py_ssize_t _room
    cdef readonly Py_ssize_t capacity
    cdef readonly long long recorded
    cdef readonly double started_s
    @cython.locals(place="Py_ssize_t", when="long long", what="long long")
    cdef void record(self, int direction, int type, int flags, unsigned int stream_id, Py_ssize_t length, double now) noexcept
    @cython.locals(place="Py_ssize_t", packed="long long")
    cdef void note_code(self, unsigned int code) noexcept
    @cython.locals(memory=bytearray, ring="long long *", i="Py_ssize_t")
    cdef int _grow(self) except -1
    cpdef object log(self)
