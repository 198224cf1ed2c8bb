import cython

cdef object NO_BODY, _WITH_CONTENT

@cython.freelist(128)
cdef class Request:
    cdef public str method
    cdef public object timeout
    cdef public object retry
    cdef public object body
    cdef public bytes target
    cdef public str prefix
    cdef public list raw
    cdef object _url, _headers
    cdef _describe(self, object content, object data, object json)
    cpdef list _fields(self)
    cpdef str _url_text(self)

@cython.locals(request=Request)
cpdef Request prepared(str method, str prefix, bytes target, list raw, object timeout)
