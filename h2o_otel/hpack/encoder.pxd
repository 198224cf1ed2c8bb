import cython
from .. cimport _mem
from ..buffers.output cimport OutputBuffer
from . cimport huffman, names, policies
from .indexing cimport Indexing
from .names cimport Name
from .policies cimport Recent, Slot
from .table cimport DynamicTable, Entry

cdef int _SEND, _FIELDS, _ENCODED, _PLAIN, _TIME_NS, _NAMES, _REPEATED
cdef int _INDEXED_STATIC, _INDEXED_DYNAMIC, _LITERAL_INDEXED, _LITERAL_PLAIN, _LITERAL_NEVER
cdef Py_ssize_t _NONE
cdef long long GONE
cdef Entry _NO_ENTRY
cdef int _TIMED
cdef bytes _STATUS_OCTETS_OWNER, _STATUS_NAME
cdef const unsigned char *_STATUS_OCTETS
cdef list _STATUS_VALUES
cdef int PRIORITY, PROTOCOL, REGULAR, STATUS, PSEUDO_AFTER, PSEUDO_TRAILERS, PSEUDO_TWICE, STATUS_MIN, STATUS_MAX
cdef int POLICY_INDEX, POLICY_PLAIN
cdef Py_ssize_t ENTRY_OVERHEAD, STATIC_COUNT

@cython.final
cdef class Encoder(Indexing):
    cdef Py_ssize_t _place
    cdef bint _huffman, _static_forms
    cdef int _repeated
    cdef Py_ssize_t _block_pos, _block_pending, _block_pending_min
    cdef long long _block_inserted, _block_evictions
    cdef unsigned int _block_pseudo
    cdef readonly bytes priority
    cdef bint _block_regular, _trailers
    cdef Py_ssize_t _plain_bytes
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
    cdef int _write_size_updates(self, OutputBuffer out) except -1

cdef int write_integer(OutputBuffer out, unsigned long long value, unsigned int mask, unsigned int top) noexcept
