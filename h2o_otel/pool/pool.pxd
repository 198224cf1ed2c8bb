import cython
from ..counters cimport Counters
from ..io.loop cimport Loop
from .connection cimport Decision, PooledConnection

cdef object CONNECT, WAIT

@cython.final
cdef class OriginPool:
    cdef readonly object origin
    cdef readonly Loop loop
    cdef readonly object limits
    cdef readonly Counters counters
    cdef readonly PooledConnection current
    cdef readonly object waiting
    cdef readonly list connections
    cdef readonly int expected
    cdef readonly bint closed
    cdef readonly object room
    cdef object _open_connection, _attempt, _last
    cdef list _outside
    cdef str _address, _port
    cdef tuple _key_reused, _key_active, _key_idle
    @cython.locals(current=PooledConnection)
    cpdef Decision choose(self)
    @cython.locals(decision=Decision)
    cpdef PooledConnection take(self)
    cpdef released(self, PooledConnection connection)
    cpdef activity(self, bint busy)
    cpdef retired(self, PooledConnection connection)
    cpdef removed(self, PooledConnection connection, str reason, double age_s)
