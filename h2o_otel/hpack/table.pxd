import cython
from ..counters cimport Counters
from . cimport names
from .names cimport Name

cdef Py_ssize_t ENTRY_OVERHEAD
cdef Py_ssize_t _RING_ENTRIES_MIN
cdef int _TABLE_SIZE, _TABLE_CAPACITY, _EVICTIONS

# An entry refers to octets and to a pair of octets: no cycle can run through it.
@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Entry:
    cdef readonly Name name
    cdef readonly bytes value
    cdef readonly tuple pair
    cdef readonly int flaw
    cdef readonly int special
    cdef readonly Py_ssize_t size
    cdef readonly long long number
    cdef bint used

@cython.locals(entry=Entry)
cdef Entry new_entry(Name name, bytes value, int flaw)

@cython.final
cdef class DynamicTable:
    cdef list ring
    cdef long long _mask
    cdef readonly long long inserted
    cdef readonly Py_ssize_t capacity, size, count
    cdef readonly long long evictions
    cdef long long _reported_evictions
    cdef Py_ssize_t _reported_size, _reported_capacity
    @cython.locals(entry=Entry)
    cdef Entry at(self, Py_ssize_t position)
    cdef bint fits(self, Py_ssize_t size) noexcept
    cdef int insert(self, Entry entry) except -1
    @cython.locals(place="Py_ssize_t", entry=Entry)
    cdef Entry evict(self)
    cdef int evict_for(self, Py_ssize_t size) except -1
    @cython.locals(place="Py_ssize_t", entry=Entry)
    cdef Entry take_back(self)
    cpdef resize(self, Py_ssize_t capacity)
    @cython.locals(entries=list, entry=Entry)
    cdef _grow(self)
    cdef bint changed(self) noexcept
    @cython.locals(slots="long long *", place=int)
    cdef int report(self, Counters block, int role, int direction) except -1
    @cython.locals(slots="long long *", place=int)
    cdef int leave(self, Counters block, int role, int direction) except -1
