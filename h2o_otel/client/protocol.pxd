import cython
from ..counters cimport Counters, Trace
from ..io.driver cimport Driver
from ..streams.stream cimport Stream
from .exchange cimport Carrier, Exchange

cdef double _NEVER
cdef int _MAX_CONCURRENT_STREAMS, _STREAMS_ASSUMED, _WRITE_LOOKS, _CLOSE_NO_ERROR
cdef unsigned int _ENHANCE_YOUR_CALM
cdef long long _STREAMS_UNLIMITED

cdef class ClientProtocol(Carrier):
    cdef readonly object origin
    cdef readonly Driver driver
    cdef public dict phases
    cdef public object setup_span
    cdef readonly double opened_at
    cdef long long _opened_ns
    cdef object _log
    cdef bint _settings_seen
    cdef str _reason
    cdef bint _closing, _gone
    cdef double _keepalive_s, _heard_at, _pinged_at
    cdef long long _pings
    cdef list _closed_waiters

    @cython.locals(stream=Stream, data=bytes, empty=bint)
    cpdef send(self, Exchange exchange, list fields, object body, double now, Trace trace=*)
    cdef _send_body(self, Exchange exchange, Stream stream, bytes data, double now)
    @cython.locals(exchange=Exchange)
    cpdef response_received(self, Stream stream, bint end_stream)
    @cython.locals(exchange=Exchange)
    cpdef informational_received(self, Stream stream, int status, list headers)
    @cython.locals(exchange=Exchange)
    cpdef data_received(self, Stream stream, bytes data, bint end_stream)
    @cython.locals(exchange=Exchange)
    cpdef trailers_received(self, Stream stream)
    @cython.locals(exchange=Exchange)
    cpdef stream_reset(self, Stream stream, object error)
    @cython.locals(exchange=Exchange)
    cpdef stream_writable(self, Stream stream)
    @cython.locals(was_open=int)
    cpdef stream_closed(self, Stream stream)
    cdef _phase_settings(self, str error_type)
    @cython.locals(at=double, now=double, stream=Stream, exchange=Exchange)
    cpdef on_timer(self)
    cpdef finish(self, str reason)
    cpdef terminate(self, str reason)
    cdef _close_soon(self)
    cpdef _close_now(self)
