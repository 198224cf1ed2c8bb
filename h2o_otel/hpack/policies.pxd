import cython
from .names cimport Name
from .table cimport DynamicTable, Entry

cdef Py_ssize_t _COOKIE_BYTES_MIN, _SEEN_BYTES_MAX, ENTRY_OVERHEAD
cdef int _UNUSED_MAX, _UNUSED_RETRY
cdef bytes _NO_NAME
cdef int POLICY_COOKIE, POLICY_INDEX, POLICY_PLAIN, POLICY_SECRET
cdef dict _STATIC_VALUES, _NO_VALUES

# Neither refers to anything but octets, entries and dictionaries of entries: no cycle can run through them.
@cython.final
@cython.no_gc
cdef class Slot:
    cdef Name name
    cdef dict values
    cdef Entry only
    cdef bytes seen
    cdef int kind, flaw, policy, static_index, unused
    cdef bint own
    cdef Py_ssize_t size
    cdef long long newest
    cdef Entry find(self, bytes value)
    cdef int add(self, Entry entry) except -1
    cdef int drop(self, Entry entry) except -1

@cython.final
@cython.no_gc
cdef class Recent:
    cdef bytes name, value
    cdef Slot slot
    cdef Entry entry

cdef bint is_secret(Slot slot, Py_ssize_t n) noexcept
@cython.locals(policy=int, size="Py_ssize_t")
cdef int representation(Slot slot, bytes value, Py_ssize_t n, DynamicTable dynamic, bint adaptive) except -1
