import cython
from ..io.loop cimport Loop
from ..streams.stream cimport Stream
from .carrier cimport AsgiConnection

cdef unsigned int _NO_ERROR
cdef long long _PROGRESS_BYTES

@cython.final
cdef class UploadDrain:
    cdef AsgiConnection _owner
    cdef Stream _stream
    cdef long long _left, _more_below
    cdef double _drain_s
    cdef object _timer
    cdef object __weakref__

    @cython.locals(loop=Loop)
    cdef _wait(self)
    cpdef _on_timer(self)
    cpdef drop(self, long long n)
    @cython.locals(stream=Stream)
    cpdef end(self)
    cpdef stop(self)
