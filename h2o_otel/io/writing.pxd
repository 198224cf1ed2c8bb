import cython
from .. cimport _mem
from ..counters cimport Histogram, Trace
from ..protocol.engine cimport Engine
from .core cimport DriverCore
from .transport cimport Transport

cdef int _TRANSFERRED, _WRITES, _FULL, _PARTIAL, _WOULD_BLOCK, _WRITE_QUEUE, _PAUSES, _TLS_ENCRYPT, _IO_FLUSH, _OPEN, _CLOSED
cdef double _DRAIN_CHECK_S

cdef class WritingHalf(DriverCore):
    cdef Histogram _write_sizes, _pause_durations
    cdef int _sent
    cdef Py_ssize_t _high_water
    cdef bint _woken, _writing_paused
    cdef double _paused_at
    cdef Py_ssize_t _queued

    cpdef wake(self)
    cpdef _wake(self)
    cpdef flush(self)
    @cython.locals(connection=Engine, size="Py_ssize_t", chunks=list, started_ns="long long")
    cdef _flush(self)
    @cython.locals(now_ns="long long", trace=Trace)
    cdef long long _mark(self, int layer, long long started_ns) except -1
    @cython.locals(transport=Transport, left="Py_ssize_t")
    cdef _write(self, list chunks, Py_ssize_t size)
    cpdef _check_drained(self)
    @cython.locals(records=list, size="Py_ssize_t")
    cdef _write_records(self)
    cpdef pause_writing(self)
    cpdef resume_writing(self)
