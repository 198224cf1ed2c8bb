import cython
from .. cimport _mem
from ..counters cimport Counters

cdef int _RECORDS, _PAYLOAD, _SEND, _RECV, _HANDSHAKE_ACTIVE, _COPIED_TLS, _RECORD_BYTES_MAX, _PIECE_BYTES, _RECORD_HEADER_BYTES, _HANDSHAKE_RECORDS

cdef class TLSPump:
    cdef readonly Counters counters
    cdef long long *_slots
    cdef readonly int role
    cdef tuple _alpn_required
    cdef object _incoming, _outgoing, _want_read, _error, _server_hostname, _read, _write, _pending
    cdef readonly object ssl_object
    cdef readonly object alpn
    cdef readonly str version
    cdef readonly str cipher
    cdef readonly bint session_reused
    cdef readonly bint complete
    cdef readonly bint close_notify_received
    cdef readonly double duration_s
    cdef double _started_at
    cdef bint _counted, _closed
    cdef list _ready
    cdef unsigned int _head
    cdef int _head_have
    cdef Py_ssize_t _record_left
    cdef long long _fed, _gave

    cpdef start(self, double now)
    cpdef bint handshake(self, double now) except -1
    cpdef timed_out(self, double now, double limit_s)
    cpdef peer_closed(self, double now)
    cpdef lost(self, double now)
    cdef _failure(self, double now, str text, str reason)
    cdef _settle(self, double now, str reason)
    cdef _with_peer(self)
    cpdef feed(self, object data)
    @cython.locals(pos="Py_ssize_t", left="Py_ssize_t")
    cdef count(self, const unsigned char *buf, Py_ssize_t end)
    @cython.locals(n="long long")
    cdef long long barren(self) except -1
    @cython.locals(n="Py_ssize_t")
    cpdef Py_ssize_t read_into(self, object view, Py_ssize_t start, Py_ssize_t end) except -2
    @cython.locals(size="Py_ssize_t")
    cpdef write(self, list chunks)
    @cython.locals(piece=list, room="Py_ssize_t", start="Py_ssize_t", left="Py_ssize_t")
    cdef _write_pieces(self, list chunks)
    @cython.locals(data=object, size="Py_ssize_t", sent="Py_ssize_t")
    cdef _encrypt(self, list chunks)
    @cython.locals(ready=list)
    cpdef list output(self)
    cpdef close(self)
