import cython
from .. cimport _mem

cdef int REGULAR, METHOD, SCHEME, AUTHORITY, PATH, STATUS, PROTOCOL, CONTENT_LENGTH, HOST, COOKIE, TE, PRIORITY
cdef int POLICY_INDEX, POLICY_PLAIN, POLICY_PRIVATE, POLICY_COOKIE, POLICY_SECRET
cdef int FLAWLESS, NAME_EMPTY, NAME_INVALID, CONNECTION_SPECIFIC, PSEUDO_UNKNOWN, VALUE_INVALID, METHOD_INVALID, SCHEME_INVALID, AUTHORITY_INVALID, PATH_INVALID, STATUS_INVALID, TE_INVALID, LENGTH_INVALID
cdef int IN_NAME, IN_TOKEN, IN_PATH, IN_AUTHORITY, IN_SCHEME, IN_NUMBER
cdef Py_ssize_t _NAME_CACHED_BYTES_MAX
cdef bytes _CLASSES_OWNER, _TRAILERS_OWNER
cdef const unsigned char *_CLASSES
cdef const unsigned char *_TRAILERS
cdef dict _NAMES, _KNOWN
cdef Py_ssize_t _KNOWN_COUNT

@cython.final
cdef class Name:
    cdef readonly bytes text
    cdef readonly int kind, flaw, policy, static_index

@cython.locals(n="Py_ssize_t")
cdef int flaw_of_name(bytes name) except -1
cdef int flaw_of_value(int kind, const unsigned char *src, Py_ssize_t n) noexcept
@cython.locals(flaw="int")
cdef int _flaw_of_special(int kind, const unsigned char *src, Py_ssize_t n) noexcept
@cython.locals(i="Py_ssize_t")
cdef bint _is_trailers(const unsigned char *src, Py_ssize_t n) noexcept
@cython.locals(found=Name)
cpdef Name name_of(bytes name, Py_ssize_t names_cached_max)
@cython.locals(made=Name)
cdef Name examine(bytes name, Py_ssize_t names_cached_max)
cpdef Name name_of_known(bytes name)
cdef _forget_names()
