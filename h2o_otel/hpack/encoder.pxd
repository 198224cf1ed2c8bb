import cython
from .. cimport _mem
from ..buffers.output cimport OutputBuffer
from ..counters cimport Counters
from . cimport huffman, names, policies, table
from .names cimport Name
from .policies cimport Recent, Slot
from .table cimport DynamicTable, Entry

cdef int _FIELDS, _ENCODED, _PLAIN, _TABLE_SIZE, _TABLE_CAPACITY, _EVICTIONS, _TIME_NS, _NAMES, _REPEATED, _LOST, _GROWTHS
cdef int _INDEXED_STATIC, _INDEXED_DYNAMIC, _LITERAL_INDEXED, _LITERAL_PLAIN, _LITERAL_NEVER
cdef Py_ssize_t _NONE, _RECENT_MAX
cdef Entry _NO_ENTRY
cdef long long GONE
cdef int _TIMED, _LOST_MAX, _LOST_BLOCKS
cdef bytes _STATUS_OCTETS_OWNER, _STATUS_NAME
cdef const unsigned char *_STATUS_OCTETS
cdef list _STATUS_VALUES
cdef int PRIORITY, PROTOCOL, REGULAR, STATUS, PSEUDO_AFTER, PSEUDO_TRAILERS, PSEUDO_TWICE, STATUS_MIN, STATUS_MAX
cdef int POLICY_INDEX, POLICY_PLAIN, POLICY_PRIVATE
cdef Py_ssize_t ENTRY_OVERHEAD, STATIC_COUNT

@cython.final
cdef class Encoder:
    cdef readonly DynamicTable table
    cdef Counters counters
    cdef dict _slots
    cdef list _recent
    cdef Py_ssize_t _recent_count, _place
    cdef int _role
    cdef bint _huffman, _adaptive, _static_forms, _name_cache, _grown
    cdef object _reference
    cdef int _lost, _repeated
    cdef unsigned int _lost_until
    cdef Py_ssize_t _allowed, _grown_max
    cdef Py_ssize_t _table_bytes_max, _names_cached_max
    cdef Py_ssize_t _pending, _pending_min
    cdef Py_ssize_t _block_pos, _block_pending, _block_pending_min
    cdef long long _block_inserted, _block_evictions, _evictions_counted
    cdef unsigned int _block_pseudo
    cdef readonly bytes priority
    cdef bint _block_regular, _trailers
    cdef unsigned int _blocks
    cdef Py_ssize_t _plain_bytes, _reported_size, _reported_capacity
    cdef long long _started_ns

    cpdef encode(self, OutputBuffer out, object headers)
    cpdef encode_trailers(self, OutputBuffer out, object headers)
    cpdef encode_response(self, OutputBuffer out, int status, object headers)
    cpdef int begin(self, OutputBuffer out) except -1
    @cython.locals(slots="long long *")
    cpdef int end(self, OutputBuffer out) except -1
    @cython.locals(dynamic=DynamicTable)
    cpdef abort(self, OutputBuffer out)
    @cython.locals(name=bytes, value=bytes)
    cdef int _fields(self, OutputBuffer out, object headers) except -1
    @cython.locals(name=bytes, value=bytes, found=Name, flaw=int)
    cpdef check(self, object headers)
    @cython.locals(octet="unsigned int")
    cpdef int status(self, OutputBuffer out, int status) except -1
    @cython.locals(slot=Slot, entry=Entry, recent=Recent, place="Py_ssize_t")
    cpdef int field(self, OutputBuffer out, bytes name, bytes value) except -1
    @cython.locals(n="Py_ssize_t", flaw=int, policy=int, index="Py_ssize_t")
    cdef int _literal(self, OutputBuffer out, Slot slot, bytes value) except -1
    @cython.locals(n="Py_ssize_t", flaw=int)
    cdef int _hand_over(self, OutputBuffer out, Slot slot, bytes value) except -1
    @cython.locals(flaw=int)
    cdef int _check_order(self, OutputBuffer out, Slot slot, bytes value) except -1
    cdef _refuse(self, OutputBuffer out, int flaw, bytes name, bytes value)
    @cython.locals(coded="Py_ssize_t", pos="Py_ssize_t")
    cdef int _string(self, OutputBuffer out, const unsigned char *src, Py_ssize_t n) except -1
    @cython.locals(recent=Recent)
    cdef Recent _new_recent(self)
    @cython.locals(cached=Name, found=Name, policy=int, slot=Slot)
    cdef Slot _new_slot(self, bytes name)
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
    cdef int _write_size_updates(self, OutputBuffer out) except -1
    @cython.locals(dynamic=DynamicTable)
    cdef int _resize(self, Py_ssize_t capacity) except -1
    @cython.locals(dynamic=DynamicTable, slots="long long *", place=int)
    cdef int _report(self) except -1
    @cython.locals(slots="long long *", place=int)
    cpdef close(self)

cdef int write_integer(OutputBuffer out, unsigned long long value, unsigned int mask, unsigned int top) noexcept
