import cython
from ..io.driver cimport Driver
from ..protocol.engine cimport Engine
from ..streams.stream cimport Stream
from .asgi cimport AsgiRequest
from .carrier cimport AsgiConnection
from .routes cimport route_of
from .service cimport Service
from ..memory.budget cimport eased

cdef dict _ASGI
cdef int _HANDLERS_WAITING
cdef double _GOAWAY_WAIT_S, _SHORTAGE_S
cdef bytes _GOAWAY_PING
cdef unsigned int _CANCEL, _REFUSED_STREAM

cdef class ServerProtocol(AsgiConnection):
    cdef readonly int running, running_max
    cdef readonly bint draining
    cdef bint _drained, _resuming, _said_goodbye
    cdef long long _requests_max
    cdef object _age_timer
    cdef list _pending, _heads
    cdef dict _waiting
    cdef long long _id, _opened_ns
    cdef object _log
    cdef int _pressure_above
    cdef bint _short
    cdef object _shortage_timer
    cdef object _refusals
    cdef object __weakref__

    cpdef emit(self, str name, dict fields)
    @cython.locals(request=AsgiRequest)
    cpdef request_received(self, Stream stream, bint end_stream)
    @cython.locals(request=AsgiRequest)
    cpdef data_received(self, Stream stream, bytes data, bint end_stream)
    @cython.locals(request=AsgiRequest)
    cpdef trailers_received(self, Stream stream)
    @cython.locals(request=AsgiRequest)
    cpdef stream_reset(self, Stream stream, object error)
    cpdef str short_of(self)
    @cython.locals(request=AsgiRequest)
    cpdef bint body_overdue(self, Stream stream, object violation) except -1
    cpdef request_refused(self, unsigned int stream_id, str rule, object violation)
    @cython.locals(request=AsgiRequest)
    cdef _refused(self, unsigned int stream_id, Stream stream, str rule, object reason, object limit, object actual)
    @cython.locals(request=AsgiRequest)
    cpdef stream_writable(self, Stream stream)
    @cython.locals(request=AsgiRequest)
    cpdef stream_closed(self, Stream stream)
    @cython.locals(request=AsgiRequest, pending=list)
    cpdef batch_finished(self, double now)
    cdef _admit(self, AsgiRequest request)
    @cython.locals(service=Service)
    cdef _begin(self, AsgiRequest request)
    cdef _unwait(self, AsgiRequest request)
    cdef handler_ended(self)
    cdef _begin_shortage(self)
    cpdef _report_shortage(self)
    cdef _end_shortage(self)
    cdef _resume_soon(self)
    cdef head_waits(self, object request)
    cpdef _heads_due(self)
    @cython.locals(request=AsgiRequest, heads=list)
    cpdef _flush_heads(self)
    @cython.locals(connection=Engine, promised=Stream, request=AsgiRequest)
    cdef push(self, Stream parent, bytes path, list fields, double now)
    cpdef _resume(self)
    @cython.locals(request=AsgiRequest, began=double)
    cdef _start_waiting(self)
    cpdef shutdown(self)
    @cython.locals(request=AsgiRequest, stream=Stream)
    cpdef notify_shutdown(self)
    @cython.locals(request=AsgiRequest, stream=Stream, code="unsigned int")
    cpdef cut(self)
    cpdef _finish_shutdown(self)
    cdef _end_if_idle(self)
    cpdef _end(self)
