import cython
from .exchange cimport Exchange

cdef class Response:
    cdef readonly Exchange exchange
    cdef readonly int status_code
    cdef public bint is_stream_consumed
    cdef object _headers, _text, _encoding
    cdef public object watch
    cdef bytes _content
    cdef object __weakref__
    cpdef _read_body(self)
    @cython.locals(headers=list, field=tuple)
    cdef _decoder(self)
    cdef _raise_if_closed(self)
