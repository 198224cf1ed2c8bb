import cython
from .. cimport _mem
from ..counters cimport Counters
from ..io.loop cimport Loop
from ..telemetry.requests cimport ClientRequestMetrics
from ..telemetry.span cimport RequestSpan
from ..telemetry.spans cimport Tracing
from .building cimport Endpoint, RequestBuilder
from .exchange cimport Exchange, check_length
from .protocol cimport ClientProtocol
from .request cimport Request
from .response cimport Response

cdef object _running_loop, _current_context
cdef int _MISDIRECTED

cdef class AsyncClient(RequestBuilder):
    cdef public object timeout
    cdef readonly object limits
    cdef readonly object tuning
    cdef readonly object retry
    cdef object _engine, _verify, _cert, _uds, _local_address, _asyncio_loop
    cdef Tracing _tracing
    cdef Loop _loop
    cdef object _group
    cdef list _without_host
    cdef object __weakref__
    cdef _start(self, Loop loop)
    cdef _check(self)
    @cython.locals(endpoint=Endpoint, exchange=Exchange, connection=ClientProtocol)
    cdef Exchange _begin(self, Request request, bint streaming)
    @cython.locals(request=Request, metrics=ClientRequestMetrics, block=Counters, tracing=Tracing)
    cdef _observe(self, Exchange exchange, Endpoint endpoint, int resend_count)
    @cython.locals(request=Request, raw=list, fields=list, span=RequestSpan)
    cdef _open(self, Exchange exchange, Endpoint endpoint, ClientProtocol connection, double now)
    @cython.locals(head=list, field=tuple)
    cdef list _fields(self, Endpoint endpoint, Request request, list raw)
    cdef Exchange _again(self, Exchange failed, Endpoint endpoint, str reason)

cdef list _renamed(list head, Request request, list raw)
@cython.locals(response=Response)
cdef Response _respond(Exchange exchange)
