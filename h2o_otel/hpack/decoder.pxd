import cython
from .. cimport _mem
from ..memory.intern cimport ValueTable
from . cimport huffman, names, table
from .names cimport Name
from .section cimport FieldSection
from .table cimport DynamicTable, Entry

cdef int _RECV, _FIELDS, _ENCODED, _PLAIN, _TIME_NS, _NAMES
cdef int _INDEXED_STATIC, _INDEXED_DYNAMIC, _LITERAL_INDEXED, _LITERAL_PLAIN, _LITERAL_NEVER
cdef Py_ssize_t _INTEGER_OCTETS_MAX, _SCRATCH_BYTES, _SCRATCH_KEPT_BYTES, _NONE
cdef unsigned long long _INTEGER_MAX
cdef int _TIMED, _POLICY_INDEX
cdef list _STATIC
cdef bytearray _NO_ROOM
cdef Py_ssize_t ENTRY_OVERHEAD, STATIC_COUNT

@cython.final
cdef class Decoder(FieldSection):
    cdef readonly DynamicTable table
    cdef public ValueTable interned
    cdef bytearray _scratch
    cdef unsigned char *_room
    cdef Py_ssize_t _scratch_bytes, _pos, _allowed, _shrink_to
    cdef Py_ssize_t _size_updates_max, _names_cached_max
    cdef int _role
    cdef bint _again, _name_cache
    cdef object _reference, _ahead_of
    cdef dict _strings
    cdef Py_ssize_t _first, _parallel_bytes_min
    cdef unsigned int _stream_id, _blocks

    @cython.locals(started_ns="long long", slots="long long *", octet="unsigned int", index="Py_ssize_t", entry=Entry)
    cdef int decode(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    @cython.locals(name=Name, flaw=int)
    cdef int _examined(self, Entry entry) except -1
    @cython.locals(slots="long long *", mask="unsigned int", index="Py_ssize_t", name=Name, value=bytes, position="Py_ssize_t")
    cdef int _literal(self, const unsigned char *buf, Py_ssize_t end, unsigned int octet) except -1
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
    cdef trim(self)
    cdef int _make_room(self, Py_ssize_t size) except -1
    cpdef close(self)
