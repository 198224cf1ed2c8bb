import cython
from ..counters cimport Counters
from ..protocol.engine cimport Engine
from ..tls.pump cimport TLSPump
from .handler cimport DriverHandler
from .loop cimport Loop
from .transport cimport Transport

cdef int _NEW, _OPEN, _CLOSING, _CLOSED
cdef list _NOTHING_TRACED

cdef class DriverCore:
    cdef readonly Loop loop
    cdef readonly object limits
    cdef readonly int role
    cdef readonly TLSPump tls
    cdef readonly Counters counters
    cdef readonly Engine connection
    cdef readonly DriverHandler handler
    cdef readonly Transport transport
    cdef readonly object peername
    cdef readonly object sockname
    cdef public object ready
    cdef public object error
    cdef readonly double now
    cdef object __weakref__
    cdef TLSPump _pump
    cdef int _state
    cdef long long *_slots
    cdef object _tuning, _housekeeper
    cdef bint _in_batch, _logged
    cdef double _deadline, _armed
    cdef object _timer
    cdef list _traced

    @cython.locals(deadline=double)
    cdef _arm(self)
    cdef _log(self, object error)
    cpdef _on_timer(self)
    cdef _shake(self)
    cdef _refuse(self, object error)
    cdef _peer_ended(self, object error)
    cdef _begin_close(self)
    cdef _discard(self, Py_ssize_t n)
    cdef _failed(self, object error)
