import cython
from ..counters cimport Trace
from ..frames cimport writer
from ..memory.budget cimport Budget
from ..streams cimport pool
from ..streams.stream cimport Stream
from .state cimport ConnectionState

cdef int _FRAMES, _FRAME_PAYLOAD, _STREAMS, _STREAM_ACTIVE, _STREAM_RESETS, _UNREAD, _WINDOW, _ERROR_CODES, _OUTCOMES, _PUSH_PROMISES, _PUSH_RESULTS, _TARGET
cdef int _COMPLETED, _RESET_SENT, _RESET_RECV, _REFUSED, _PUSH_REFUSED, _PUSH_CANCELLED
cdef int _SEND_RST, _USER, _CLOSED, _HALF_CLOSED_REMOTE
cdef int _RST_STREAM, _WINDOW_UPDATE, _SEND
cdef int _MEMORY, _MEMORY_CONNECTIONS, _MEMORY_STREAMS, _MEMORY_HPACK, _MEMORY_QUEUES, _SHRUNK, _RELAXED, _SHRINK, _REFUSE
cdef long long _CONNECTION_BYTES, _STREAM_BYTES, _WINDOW_INITIAL
cdef bytes _SLOT_B
cdef const unsigned char *_SLOT

cdef class ConnectionCore(ConnectionState):
    cdef touch(self, Trace trace)
    cdef void sent(self, int type, int flags, unsigned int stream_id, Py_ssize_t length) noexcept
    @cython.locals(stream=Stream)
    cdef Stream new_stream(self, unsigned int id, bint local)
    cdef Stream find(self, unsigned int stream_id)
    @cython.locals(outcome=int)
    cdef close_stream(self, Stream stream, int outcome)
    cdef remember_reset(self, unsigned int stream_id, int by)
    cdef write_rst(self, unsigned int stream_id, unsigned int code)
    cdef count_refused(self)
    cdef promise_ended(self, int outcome)
    @cython.locals(unread="long long")
    cdef release(self, Stream stream)
    cdef credit_connection(self, long long n)
    @cython.locals(kept="long long")
    cdef long long adjust_window(self, long long n) noexcept
    cdef settle(self)
    @cython.locals(budget=Budget, streams="long long", hpack="long long", queues="long long", changed=bint)
    cdef account(self)
    @cython.locals(slots="long long *")
    cdef void _report_memory(self, long long own, long long streams, long long hpack, long long queues) noexcept
    cdef credit_stream(self, Stream stream, long long n)
    @cython.locals(small="long long")
    cpdef credit(self, Stream stream, long long n, double now)
    cpdef reset_stream(self, Stream stream, unsigned int code, double now)
    cdef reset_for(self, Stream stream, unsigned int code, object error, int by, int outcome)
    cpdef Py_ssize_t out_size(self)
    @cython.locals(written="long long")
    cdef report(self)
    @cython.locals(place=int)
    cdef _report_windows(self, long long send, long long recv)
    @cython.locals(place=int)
    cdef report_targets(self, long long connection, long long stream)
    cpdef bytes data_to_send(self)
    cpdef list chunks_to_send(self)
