import cython
from ..pool.pool cimport OriginPool
from ..telemetry.requests cimport ClientRequestMetrics
from .request cimport Request

cdef object _CLEAN
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

cdef class RequestBuilder:
    cdef public object base_url
    cdef public object params
    cdef public object headers
    cdef readonly bint h2c
    cdef readonly bint is_closed
    cdef object _telemetry, _pool
    cdef dict _endpoints
    @cython.locals(request=Request)
    cdef Request _build(self, object method, object url, object content, object data, object json, object params, object headers, object timeout, object retry)
    @cython.locals(endpoint=Endpoint, end="Py_ssize_t")
    cdef Request _known(self, str method, str url, object timeout)
    cdef Request _merged(self, str method, object url, object params, object timeout)
    cdef Endpoint _endpoint(self, object url)
    @cython.locals(endpoint=Endpoint)
    cdef Endpoint _endpoint_of(self, Request request)
