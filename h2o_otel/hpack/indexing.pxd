import cython
from ..counters cimport Counters
from . cimport names, table
from .names cimport Name
from .policies cimport Recent, Slot
from .table cimport DynamicTable, Entry

cdef int _SEND, _NAMES, _LOST, _GROWTHS
cdef Py_ssize_t _NONE, _RECENT_MAX
cdef Entry _NO_ENTRY
cdef long long GONE
cdef int _LOST_MAX, _LOST_BLOCKS
cdef int POLICY_INDEX, POLICY_PLAIN, POLICY_PRIVATE

cdef class Indexing:
    cdef readonly DynamicTable table
    cdef Counters counters
    cdef dict _slots
    cdef list _recent
    cdef Py_ssize_t _recent_count
    cdef int _role
    cdef bint _adaptive, _name_cache, _grown
    cdef object _reference
    cdef int _lost
    cdef unsigned int _lost_until, _blocks
    cdef Py_ssize_t _allowed, _grown_max
    cdef Py_ssize_t _table_bytes_max, _names_cached_max
    cdef Py_ssize_t _pending, _pending_min

    @cython.locals(recent=Recent)
    cdef Recent _new_recent(self)
    @cython.locals(cached=Name, found=Name, policy=int, slot=Slot)
    cdef Slot _new_slot(self, bytes name)
    cdef trim(self)
    @cython.locals(slots=dict, slot=Slot)
    cdef int _drop_unused_slots(self) except -1
    @cython.locals(dynamic=DynamicTable, size="Py_ssize_t", entry=Entry)
    cdef int _insert(self, Slot slot, bytes value) except -1
    @cython.locals(capacity="Py_ssize_t")
    cdef int _entry_lost(self) except -1
    @cython.locals(slot=Slot)
    cdef int _forget(self, Entry entry) except -1
    @cython.locals(dynamic=DynamicTable, entry=Entry, other=Entry, slot=Slot, position="Py_ssize_t")
    cdef int _take_back(self) except -1
    @cython.locals(capacity="Py_ssize_t")
    cpdef set_table_size(self, Py_ssize_t size)
    cdef _set_pending(self, Py_ssize_t capacity)
    @cython.locals(dynamic=DynamicTable)
    cdef int _resize(self, Py_ssize_t capacity) except -1
    cpdef close(self)
