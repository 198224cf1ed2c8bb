import cython
from ..io.handler cimport DriverHandler

cdef int _STREAMS_EVER_MAX

cdef class PooledConnection(DriverHandler)

@cython.final
cdef class Decision:
    cdef readonly PooledConnection connection
    cdef readonly str reason

cdef class PooledConnection(DriverHandler):
    cdef readonly long long id
    cdef public object pool
    cdef public Decision decision
    cdef public int streams_open
    cdef public int reserved
    cdef public long long streams_max
    cdef public long long streams_ever
    cdef public bint retired
    cdef public bint suspect
    cdef public double idle_since
    cdef public object error
    cpdef bint available(self)
    cpdef bint usable(self)
    cpdef finish(self, str reason)
    cpdef terminate(self, str reason)
