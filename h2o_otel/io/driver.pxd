import cython
from .. cimport _mem
from ..buffers.pool cimport Buffer, BufferPool
from ..counters cimport Counters, Histogram, Trace
from ..protocol.handler cimport Handler
from ..tls.pump cimport TLSPump
from .loop cimport LentBuffer, Loop
from .transport cimport Transport

cdef int _TRANSFERRED, _OPERATIONS, _RESULTS, _READS, _WRITES, _FULL, _PARTIAL, _WOULD_BLOCK, _EOF, _ERROR
cdef int _WRITE_QUEUE, _PAUSES, _YIELDS, _COPIED_TAIL, _FRAME_HEADER_BYTES, _INTERNAL_ERROR, _TAIL
cdef int _TLS_ENCRYPT, _TLS_DECRYPT, _IO_FLUSH
cdef list _NOTHING_TRACED
cdef int _NEW, _HANDSHAKE, _OPEN, _CLOSING, _CLOSED

cdef class DriverHandler(Handler):
    cpdef connection_made(self, Driver driver)
    cpdef batch_finished(self, double now)
    cpdef writing_paused(self)
    cpdef writing_resumed(self)
    cpdef connection_lost(self, object error)

cdef class Driver:
    cdef readonly Loop loop
    cdef readonly object limits
    cdef readonly int role
    cdef readonly TLSPump tls
    cdef readonly Counters counters
    cdef readonly object connection
    cdef readonly DriverHandler handler
    cdef readonly Transport transport
    cdef readonly object peername
    cdef readonly object sockname
    cdef public object ready
    cdef public object error
    cdef readonly double now
    cdef object __weakref__
    cdef TLSPump _pump
    cdef object _setup
    cdef int _state
    cdef long long *_slots
    cdef Histogram _read_sizes, _write_sizes, _pause_durations
    cdef int _received, _sent
    cdef Py_ssize_t _read_bytes, _high_water
    cdef double _turn_s, _streak_since
    cdef BufferPool _pool
    cdef object _tuning, _housekeeper
    cdef bint _reuse
    cdef Buffer _tail
    cdef Py_ssize_t _tail_size
    cdef bint _yielded, _eof_waits, _in_batch, _woken, _writing_paused, _reading_paused, _peer_eof, _logged, _ended
    cdef double _paused_at
    cdef Py_ssize_t _queued, _drained
    cdef double _deadline, _armed
    cdef object _timer
    cdef list _traced

    cpdef attach(self, Transport transport)
    cpdef bind(self, object connection, DriverHandler handler)
    cdef _open(self)
    cdef _shake(self)
    cdef _refuse(self, object error)
    @cython.locals(buffer=LentBuffer, kept="Py_ssize_t", size="Py_ssize_t")
    cpdef get_buffer(self, Py_ssize_t sizehint)
    @cython.locals(full=bint)
    cpdef buffer_updated(self, Py_ssize_t n)
    @cython.locals(start="Py_ssize_t", kept="Py_ssize_t")
    cdef _parse(self, LentBuffer buffer, Py_ssize_t end)
    @cython.locals(tail=Buffer)
    cdef _keep(self, LentBuffer buffer, Py_ssize_t start, Py_ssize_t kept)
    @cython.locals(tail=Buffer)
    cdef _untail(self, LentBuffer buffer)
    cdef _drop_tail(self)
    @cython.locals(pump=TLSPump, buffer=LentBuffer, got="Py_ssize_t", kept="Py_ssize_t", end="Py_ssize_t", started_ns="long long", decrypted_ns="long long", trace=Trace, waits=bint)
    cdef _decrypt(self, Py_ssize_t n)
    cdef _check_turn(self)
    cdef bint _turn_is_over(self) except -1
    cpdef _next_turn(self)
    @cython.locals(buffer=LentBuffer, kept="Py_ssize_t")
    cdef _go_on(self)
    cdef _discard(self, Py_ssize_t n)
    cpdef eof_received(self)
    cdef _peer_ended(self, object error)
    cpdef pause_reading(self)
    cpdef resume_reading(self)
    cpdef wake(self)
    cpdef _wake(self)
    cpdef flush(self)
    @cython.locals(now_ns="long long", trace=Trace)
    cdef long long _mark(self, int layer, long long started_ns) except -1
    @cython.locals(size="Py_ssize_t", chunks=list, started_ns="long long")
    cdef _flush(self)
    @cython.locals(left="Py_ssize_t")
    cdef _write(self, list chunks, Py_ssize_t size)
    @cython.locals(records=list, size="Py_ssize_t")
    cdef _write_records(self)
    cpdef pause_writing(self)
    cpdef resume_writing(self)
    @cython.locals(deadline=double)
    cdef _arm(self)
    cpdef _on_timer(self)
    cpdef close(self, unsigned int code=*)
    cpdef abort(self)
    cdef _begin_close(self)
    cdef _cut(self)
    cdef _end_engine(self, object error)
    cpdef connection_lost(self, object error)
    cdef _read_out(self)
    cdef _failed(self, object error)
    cdef _log(self, object error)
