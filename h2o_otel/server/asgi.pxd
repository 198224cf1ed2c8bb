import cython
from .. cimport _mem
from ..counters cimport Counters
from ..streams.stream cimport Stream
from ..telemetry.requests cimport ServerRequestMetrics
from ..telemetry.span cimport RequestSpan
from ..telemetry.spans cimport Tracing
from .body cimport BodyQueue
from .carrier cimport AsgiConnection
from .drain cimport UploadDrain
from .routes cimport route_of
from .scope cimport expects_continue, make_scope, was_forwarded
from .service cimport Service

cdef int _WAIT_RECEIVE, _WAIT_SEND, _FIELDS_DROPPED, _COPIED_ASGI, _INTERNAL_ERROR, _CANCEL
cdef str _SHUTDOWN
cdef tuple _TEXT

cdef _have_no_span(dict scope)

@cython.final
@cython.freelist(128)
cdef class AsgiRequest:
    cdef readonly AsgiConnection owner
    cdef readonly Stream stream
    cdef readonly dict scope
    cdef readonly RequestSpan span
    cdef readonly int status
    cdef readonly str error_type
    cdef readonly object forwarded
    cdef readonly bint started, disconnected, response_done, over, body_ended
    cdef public bint waiting
    cdef bint _unobserved, _told, _body_taken, _continued, _running, _counted, _head_sent, _bodyless, _expects_trailers, _messages_done, _has_date, _has_server
    cdef BodyQueue _body
    cdef list _receivers, _senders
    cdef object _task, _timer
    cdef UploadDrain _drain
    cdef int _waits
    cdef Py_ssize_t _scope_keys
    cdef list _fields
    cdef long long _content_length, _sent, _app_started_ns
    cdef int _metrics_index
    cdef object __weakref__

    cdef bint _excluded(self) except -1
    cdef str scheme(self)
    cdef tuple client(self)
    @cython.locals(service=Service, stream=Stream, tracing=Tracing, scope=dict, base=dict)
    cdef start(self)
    cpdef _task_done(self, object task)
    cdef _app_ended(self, object error)
    @cython.locals(cancelled=bint, unfinished=bint, told=bint)
    cdef _repair(self, object error)
    cdef _give_up(self)
    cdef bint _content_complete(self)
    cdef _uncount(self)
    cdef refuse(self, int status, bytes text, str reason)
    @cython.locals(owner=AsgiConnection, now=double)
    cdef reply(self, int status, bytes text)
    @cython.locals(n="Py_ssize_t")
    cdef feed(self, bytes data, bint ended)
    @cython.locals(service=Service)
    cdef reset(self, object error)
    cdef notify_shutdown(self)
    cdef cut(self)
    cdef _cancel_later(self)
    cdef bint overdue(self, str rule) except -1
    @cython.locals(scope=dict)
    cdef str _route(self)
    cpdef _expire(self)
    cdef writable(self)
    @cython.locals(owner=AsgiConnection, stream=Stream, status=int)
    cdef closed(self)
    cdef _wake_everybody(self)
    @cython.locals(stream=Stream)
    cdef _continue(self)
    @cython.locals(body=bytes, more=bint)
    cdef dict _take(self)
    @cython.locals(kind=str)
    cdef bint _send(self, dict message) except -1
    @cython.locals(status=int, fields=list, n="Py_ssize_t")
    cdef _send_start(self, dict message)
    @cython.locals(now=double)
    cdef flush_head(self)
    cdef _finish_bodyless(self, double now)
    @cython.locals(owner=AsgiConnection, n="Py_ssize_t", more=bint, end=bint, wait=bint, now=double, body=object)
    cdef bint _send_body(self, dict message) except -1
    cdef _wrong_length(self, bint more)
    @cython.locals(owner=AsgiConnection, service=Service, fields=list)
    cdef _send_head(self, bint end, double now)
    cdef list _normalised(self, list fields)
    @cython.locals(owner=AsgiConnection, now=double)
    cdef _send_trailers(self, dict message)
    cdef _send_early_hint(self, dict message)
    @cython.locals(path=bytes, fields=list)
    cdef _send_push(self, dict message)
    cdef _end_response(self)
    @cython.locals(stream=Stream)
    cdef _end_early(self)

cdef wake_all(list waiters)
cdef gone(AsgiRequest request)
