import cython
from .. cimport _mem

@cython.final
cdef class LentBuffer:
    cdef readonly bytearray memory
    cdef readonly object view
    cdef readonly Py_ssize_t size
    cdef object _counters, _is_finalizing

cdef class Loop:
    cdef readonly LentBuffer plain
    cdef readonly LentBuffer cipher
    cdef readonly object housekeeper
    @cython.locals(shared=bint)
    cpdef renew(self)
    @cython.locals(old=LentBuffer)
    cpdef reserve(self, Py_ssize_t plain_bytes, Py_ssize_t cipher_bytes)
    cpdef double now(self) except? -1
    cpdef call_soon(self, object callback)
    cpdef call_at(self, double when, object callback)
    cpdef create_waiter(self)

cdef class AsyncioLoop(Loop):
    cdef readonly object loop
    cdef object _call_soon, _call_later, _create_future, _context
    @cython.locals(delay=double)
    cpdef call_at(self, double when, object callback)
