from ..protocol.engine cimport Engine
from ..tls.pump cimport TLSPump
from .handler cimport DriverHandler
from .reading cimport ReadingHalf
from .transport cimport Transport

cdef int _READ_ERRORS, _WRITE_QUEUE, _INTERNAL_ERROR
cdef int _HANDSHAKE, _OPEN, _CLOSING, _CLOSED

cdef class Driver(ReadingHalf):
    cdef object _setup
    cdef Py_ssize_t _drained
    cdef bint _ended

    cpdef attach(self, Transport transport)
    cpdef bind(self, Engine connection, DriverHandler handler)
    cdef _open(self)
    cdef _shake(self)
    cdef _refuse(self, object error)
    cpdef _on_timer(self)
    cpdef close(self, unsigned int code=*)
    cpdef abort(self)
    cdef _begin_close(self)
    cdef _discard(self, Py_ssize_t n)
    cdef _cut(self)
    cdef _peer_ended(self, object error)
    cdef _end_engine(self, object error)
    cpdef connection_lost(self, object error)
    cdef _read_out(self)
    cdef _failed(self, object error)
