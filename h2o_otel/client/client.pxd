import cython
from ..io.loop cimport Loop
from ..pool.pool cimport OriginPool
from ..telemetry.requests cimport ClientRequestMetrics
from .exchange cimport Exchange, check_length
from .protocol cimport ClientProtocol
from .request cimport Request
from .response cimport Response

cdef object _running_loop, _CLEAN
cpdef bint _clean(str target) except -1

@cython.final
cdef class Endpoint:
    cdef readonly object origin
    cdef readonly OriginPool pool
    cdef readonly ClientRequestMetrics metrics
    cdef readonly str prefix
    cdef readonly tuple scheme, authority
    cdef readonly dict heads
    @cython.locals(found=list)
    cpdef list head(self, str method)

cdef class Client:
    cdef public object base_url
    cdef public object timeout
    cdef readonly object limits
    cdef readonly object tuning
    cdef public object params
    cdef public object headers
    cdef readonly bint h2c
    cdef readonly bint is_closed
    cdef object _engine, _verify, _cert, _telemetry, _uds, _local_address, _tracing, _asyncio_loop
    cdef Loop _loop
    cdef object _group, _pool
    cdef dict _endpoints
    cdef object __weakref__
    cdef _start(self, Loop loop)
    cdef _check(self)
    @cython.locals(request=Request)
    cdef Request _build(self, object method, object url, object content, object data, object json, object params, object headers, object timeout)
    @cython.locals(endpoint=Endpoint, end="Py_ssize_t")
    cdef Request _known(self, str method, str url, object timeout)
    cdef Request _merged(self, str method, object url, object params, object timeout)
    cdef Endpoint _endpoint(self, object url)
    @cython.locals(endpoint=Endpoint, exchange=Exchange, connection=ClientProtocol)
    cdef Exchange _begin(self, Request request, bint streaming)
    @cython.locals(endpoint=Endpoint)
    cdef Endpoint _endpoint_of(self, Request request)
    @cython.locals(request=Request, metrics=ClientRequestMetrics)
    cdef _observe(self, Exchange exchange, Endpoint endpoint, int resend_count)
    @cython.locals(request=Request, raw=list, fields=list)
    cdef _open(self, Exchange exchange, Endpoint endpoint, ClientProtocol connection, double now)
    cdef Exchange _again(self, Exchange failed, Endpoint endpoint, int attempts, str reason)

@cython.locals(response=Response)
cdef Response _respond(Exchange exchange)
cdef str _replay_reason(Exchange exchange)
