import cython
from ..buffers.assembly cimport Assembly
from ..counters cimport Counters
from ..io.loop cimport Loop
from ..pool.connection cimport PooledConnection
from ..protocol.engine cimport Engine
from ..streams.stream cimport Stream
from ..telemetry.requests cimport ClientRequestMetrics
from ..telemetry.span cimport RequestSpan
from .request cimport Request
from .timeouts cimport Timeout

cdef int _CLOSED, _CANCEL, _NO_ERROR, _NOTHING, _HEAD, _DATA, _END, _WRITE_LOOKS
cdef double _NEVER
cdef long long _UNBOUNDED

cdef class Carrier(PooledConnection):
    cdef readonly Loop loop
    cdef readonly object limits
    cdef readonly Engine connection
    cdef readonly long long send_buffer_bytes
    cdef readonly long long response_bytes_max
    cdef readonly str goaway
    cdef readonly long long goaway_last
    cdef readonly Counters counters
    cdef object _timer
    cdef double _timer_at
    cpdef wake(self)
    cpdef credit(self, Stream stream, long long n)
    cpdef silent(self, double since, double now)
    cpdef arm(self, double at)
    cpdef disarm(self)
    cpdef on_timer(self)

@cython.final
@cython.freelist(128)
cdef class Exchange:
    cdef readonly Request request
    cdef readonly Timeout timeout
    cdef public Carrier protocol
    cdef public Stream stream
    cdef readonly bint streaming
    cdef readonly bint delivered
    cdef public bint decoding
    cdef readonly bint head
    cdef readonly bint ended
    cdef readonly bint closed
    cdef readonly object error
    cdef public list informational
    cdef readonly list chunks
    cdef Assembly _assembly
    cdef object _decoded
    cdef readonly double asked_at
    cdef public double sent_at
    cdef readonly double head_at, ended_at
    cdef public double waited_s
    cdef public bint fresh
    cdef public double total_at
    cdef public bint uploading
    cdef public ClientRequestMetrics metrics
    cdef public int metrics_index
    cdef public tuple retry_reasons
    cdef public RequestSpan span
    cdef readonly bint finished
    cdef Py_ssize_t _taken
    cdef object _waiter, _upload_task, _write_waiter
    cdef int _want
    cdef double _active_at, _read_s, _write_at
    cdef long long _write_mark

    cpdef begin(self, Request request, Timeout timeout, bint streaming, double now)
    cpdef response_received(self, bint end, double now)
    cpdef data_received(self, bytes data, bint end, double now)
    @cython.locals(stream=Stream, rest="long long")
    cdef _collect(self, bytes data, long long waiting, bint end, double now)
    @cython.locals(fields=list, field=tuple)
    cdef bint _is_coded(self) except -1
    cdef _decode(self, bytes data, bint last, double now)
    cpdef give_up(self, object error, double now)
    @cython.locals(chunks=list)
    cdef _gather(self, double now)
    cpdef complete(self, double now)
    cpdef fail(self, object error, double now)
    cpdef failure(self)
    cpdef describe_failure(self, object error)
    cdef _attach_flight(self, object error)
    cpdef stream_reset(self, object error, double now)
    cpdef wake(self)
    @cython.locals(protocol=Carrier)
    cdef _wait(self, int want, double now)
    cpdef wait_head(self, double now)
    cpdef wait_end(self, double now)
    cpdef bytes take(self)
    cpdef bytes body(self)
    cpdef stop_streaming(self)
    cpdef abandon(self, object reason=*)
    cpdef reset(self, unsigned int code)
    @cython.locals(at=double, read_at=double, stream=Stream)
    cpdef double check(self, double now) except? -1
    cdef _expire(self, object kind, str name, object limit_s, double now)
    cpdef str describe(self, double now)
    cdef str _attempt(self)
    cpdef stop_upload(self)
    cpdef start_upload(self, object task)
    cpdef writable(self)
    cdef bint _send_chunk(self, bytes chunk) except -1
    cdef _end_upload(self)
    @cython.locals(span=RequestSpan)
    cpdef finish(self, object error_type, double now)

cpdef check_length(list fields, long long sent)
