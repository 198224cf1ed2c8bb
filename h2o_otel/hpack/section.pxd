import cython
from .. cimport _mem
from ..counters cimport Counters
from . cimport names
from .names cimport Name

cdef dict _NO_FIELDS
cdef int METHOD, SCHEME, AUTHORITY, PATH, STATUS, PROTOCOL, CONTENT_LENGTH, HOST, COOKIE, PRIORITY
cdef int LENGTH_INVALID, PSEUDO_AFTER, PSEUDO_TWICE, VALUE_INVALID
cdef Py_ssize_t ENTRY_OVERHEAD
cdef int _FIELDS_IGNORED

cdef class FieldSection:
    cdef readonly bytes method, scheme, authority, path, status, protocol, host, priority
    cdef readonly list headers, specials, never_indexed
    cdef readonly int status_code, cookies
    cdef readonly unsigned int pseudo
    cdef readonly Py_ssize_t fields, list_bytes
    cdef readonly long long content_length
    cdef readonly bint te
    cdef readonly object violation
    cdef readonly dict violation_fields
    cdef readonly Counters counters
    cdef Py_ssize_t _list_bytes_max, _fields_max, _priority_bytes, _priority_bytes_max

    cdef int _reset(self) except -1
    @cython.locals(n="Py_ssize_t", flaw=int)
    cdef int _field(self, Name name, bytes value) except -1
    @cython.locals(kind=int)
    cdef int _special(self, Name name, bytes value, tuple pair, int flaw) except -1
    cdef int _noted(self, int kind, bytes value) except -1
    @cython.locals(before="Py_ssize_t")
    cdef int _prioritised(self, bytes value) except -1
    cdef int _malformed(self, int flaw, Name name, bytes value) except -1
    cdef int _exceeded(self) except -1
    cdef int _violated(self, object rule, dict values) except -1
