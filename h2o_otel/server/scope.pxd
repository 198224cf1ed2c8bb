import cython
from ..streams.stream cimport Stream
from .carrier cimport AsgiConnection
from .service cimport Service

cdef dict _METHODS
cdef bytes _HOST, _COOKIE, _EXPECT, _FORWARDED_FOR, _FORWARDED_PROTO
cdef object _unquote

@cython.locals(service=Service, scope=dict, name=bytes, raw=bytes, query=bytes, path=str, mark="Py_ssize_t")
cpdef dict make_scope(AsgiConnection owner, Stream stream)
@cython.locals(fields=list, name=bytes, n="Py_ssize_t", cookies=int, hosts=int, authority=bytes, pair=tuple)
cdef list make_headers(Stream stream)
@cython.locals(fields=list, pair=tuple, name=bytes, n="Py_ssize_t")
cpdef bint was_forwarded(Stream stream) except -1
@cython.locals(name=bytes, value=bytes)
cpdef bint expects_continue(Stream stream) except -1
