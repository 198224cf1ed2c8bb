import cython
from .. cimport _mem
from ..counters cimport Counters
from ..memory.intern cimport ValueTable
from . cimport huffman, names, table
from .names cimport Name
from .table cimport DynamicTable, Entry

cdef int _FIELDS, _ENCODED, _PLAIN, _TABLE_SIZE, _TABLE_CAPACITY, _EVICTIONS, _TIME_NS, _NAMES
cdef int _INDEXED_STATIC, _INDEXED_DYNAMIC, _LITERAL_INDEXED, _LITERAL_PLAIN, _LITERAL_NEVER
cdef Py_ssize_t _INTEGER_OCTETS_MAX, _SCRATCH_BYTES, _SCRATCH_KEPT_BYTES, _NONE
cdef unsigned long long _INTEGER_MAX
cdef int _TIMED, _POLICY_INDEX
cdef list _STATIC
cdef dict _NO_FIELDS
cdef int METHOD, SCHEME, AUTHORITY, PATH, STATUS, PROTOCOL, CONTENT_LENGTH, HOST, COOKIE, PRIORITY
cdef int LENGTH_INVALID, PSEUDO_AFTER, PSEUDO_TWICE, VALUE_INVALID
cdef Py_ssize_t ENTRY_OVERHEAD, STATIC_COUNT

@cython.final
cdef class Decoder:
    cdef readonly bytes method, scheme, authority, path, status, protocol, host, priority
    cdef readonly list headers, specials, never_indexed
    cdef readonly int status_code, cookies
    cdef readonly unsigned int pseudo
    cdef readonly Py_ssize_t fields, list_bytes
    cdef readonly long long content_length
    cdef readonly bint te
    cdef readonly object violation
    cdef readonly dict violation_fields
    cdef readonly DynamicTable table
    cdef readonly Counters counters
    cdef public ValueTable interned
    cdef bytearray _scratch
    cdef unsigned char *_room
    cdef Py_ssize_t _scratch_bytes, _pos, _allowed, _shrink_to
    cdef Py_ssize_t _list_bytes_max, _fields_max, _size_updates_max, _names_cached_max
    cdef int _role
    cdef bint _again, _name_cache
    cdef object _reference, _ahead_of
    cdef dict _strings
    cdef Py_ssize_t _first, _parallel_bytes_min
    cdef unsigned int _stream_id, _blocks
    cdef long long _evictions_counted
    cdef Py_ssize_t _reported_size, _reported_capacity

    cdef int _reset(self) except -1
    @cython.locals(started_ns="long long", slots="long long *", octet="unsigned int", index="Py_ssize_t", entry=Entry)
    cdef int decode(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    @cython.locals(name=Name, flaw=int)
    cdef int _examined(self, Entry entry) except -1
    @cython.locals(slots="long long *", mask="unsigned int", index="Py_ssize_t", name=Name, value=bytes, position="Py_ssize_t")
    cdef int _literal(self, const unsigned char *buf, Py_ssize_t end, unsigned int octet) except -1
    @cython.locals(n="Py_ssize_t", flaw=int)
    cdef int _field(self, Name name, bytes value) except -1
    @cython.locals(known=Name)
    cdef Name _name(self, bytes text)
    @cython.locals(text=bytes, value=bytes)
    cdef int _hand_over(self, bytes block) except -1
    @cython.locals(exceeded="bint", flaw=int, entry=Entry, dynamic=DynamicTable)
    cdef int _insert(self, Name name, bytes value) except -1
    cdef Entry _dynamic(self, Py_ssize_t index)
    @cython.locals(n=int, size="Py_ssize_t")
    cdef int _size_updates(self, const unsigned char *buf, Py_ssize_t end) except -1
    cpdef use_strings(self, dict strings)
    cpdef set_allowed_table_size(self, Py_ssize_t size)
    @cython.locals(pos="Py_ssize_t", value="unsigned long long", shift="unsigned int", octet="unsigned long long")
    cdef Py_ssize_t _integer(self, const unsigned char *buf, Py_ssize_t end, unsigned int mask) except -1
    @cython.locals(octet="unsigned int", n="Py_ssize_t", start="Py_ssize_t", size="Py_ssize_t")
    cdef bytes _string(self, const unsigned char *buf, Py_ssize_t end)
    cdef int _make_room(self, Py_ssize_t size) except -1
    @cython.locals(kind=int)
    cdef int _special(self, Name name, bytes value, tuple pair, int flaw) except -1
    cdef int _noted(self, int kind, bytes value) except -1
    cdef int _malformed(self, int flaw, Name name, bytes value) except -1
    cdef int _exceeded(self) except -1
    cdef int _violated(self, object rule, dict values) except -1
    @cython.locals(dynamic=DynamicTable, slots="long long *", place=int)
    cdef int _report(self) except -1
    @cython.locals(slots="long long *", place=int)
    cpdef close(self)
