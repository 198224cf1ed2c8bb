import cython
from ..counters cimport Counters
from ..frames cimport writer
from ..streams.stream cimport Stream
from .progress cimport ProgressHalf

cdef int _FAULT_FRAMES, _CLOSED, _RESET_SENT, _CONN_LOST, _COMPLETED, _CONNECTION_ACTIVE, _LOCAL, _REMOTE, _SEND_RST, _HPACK_DECODE
cdef double _NEVER
cdef tuple _ANNOUNCED, _WITH_FIELDS

cdef class Connection(ProgressHalf):
    cdef object _collector
    cdef bytes _rest
    cdef bint _receiving
    cdef int _pressed
    cdef double _preface_s, _idle_s

    cpdef start(self, double now)
    cdef press(self)
    cpdef list take_events(self)
    @cython.locals(used="Py_ssize_t")
    cpdef list receive(self, bytes data, double now)
    @cython.locals(mem="const unsigned char *")
    cpdef Py_ssize_t receive_into(self, bytearray buffer, Py_ssize_t start, Py_ssize_t end, double now) except -1
    @cython.locals(before="long long")
    cdef Py_ssize_t take_turn(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -1
    @cython.locals(pos="Py_ssize_t")
    cdef Py_ssize_t consume(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -1
    @cython.locals(stream=Stream, unknown=bint)
    cdef stream_violation(self, object violation)
    cdef connection_violation(self, object violation)
    @cython.locals(stream=Stream)
    cdef bint all_answered(self) except -1
    @cython.locals(stream=Stream, ending=int)
    cdef end_streams(self, str text, unsigned int code, str rule, int by, int outcome)
    cdef close_unread(self)
    cdef double answers_since(self, double sent_at) except? -1.0
    cdef double patience(self, double timeout_s) except? -1.0
    cdef finish(self, object error, str error_type)
    @cython.locals(deadline=double)
    cpdef double next_deadline(self) except? -1.0
    cdef double _answers_due(self) except? -1.0
    cdef double _frame_s(self) except? -1.0
    cdef object _frame_late(self)
    cpdef pause_output(self)
    cpdef resume_output(self, double now)
