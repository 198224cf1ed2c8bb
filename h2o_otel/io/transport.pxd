import cython

cdef int _IOV_MAX
cdef bint _WRITEV
cdef long _SOCKET_QUEUE

cdef class Transport:
    cdef public bint greedy
    cdef public Py_ssize_t high_water_bytes
    cpdef Py_ssize_t write(self, list chunks) except -1
    cpdef write_eof(self)
    cpdef close(self)
    cpdef abort(self)
    cpdef Py_ssize_t buffered(self) except -1
    @cython.locals(waiting="Py_ssize_t")
    cpdef Py_ssize_t unacknowledged(self) except -1
    cpdef pause_reading(self)
    cpdef resume_reading(self)
    cpdef extra(self, str name)

cdef class AsyncioTransport(Transport):
    cdef readonly object transport
    cdef bint _backlog
    cdef int _fd
    @cython.locals(count="Py_ssize_t", sent="Py_ssize_t", position="Py_ssize_t", size="Py_ssize_t", rest=list)
    cpdef Py_ssize_t write(self, list chunks) except -1
    @cython.locals(size="Py_ssize_t")
    cdef Py_ssize_t _hand_over(self, list chunks) except -1
