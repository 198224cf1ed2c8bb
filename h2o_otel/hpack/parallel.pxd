import cython
from .. cimport _mem
from . cimport gil, huffman

cdef str _BATCHES
cdef int _PARALLEL, _INLINE, _THREADS_MAX
cdef Py_ssize_t _NUMBERS

@cython.final
cdef class Ahead:
    cdef readonly Py_ssize_t count
    cdef readonly list strings
    cdef list _pieces, _spans
    cdef bytearray _memory, _room_owner
    cdef bytes _source_owner
    cdef long long *_numbers
    cdef const unsigned char *_source
    cdef unsigned char *_room
    cdef Py_ssize_t _end, _cap

    @cython.locals(pos="Py_ssize_t", octet="unsigned int", mask="unsigned int")
    cdef int _scan(self, Py_ssize_t block, const unsigned char *buf, Py_ssize_t end) except -1
    @cython.locals(coded="unsigned int", after="Py_ssize_t", n="Py_ssize_t")
    cdef Py_ssize_t _string(self, Py_ssize_t block, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -2
    @cython.locals(i="Py_ssize_t")
    cdef Py_ssize_t _first_from(self, Py_ssize_t octets) except -1
    @cython.locals(state="void *")
    cpdef decode(self, Py_ssize_t first, Py_ssize_t last)
    @cython.locals(i="Py_ssize_t", start="Py_ssize_t", stop="Py_ssize_t", block="Py_ssize_t")
    cdef int _collect(self) except -1

@cython.locals(i="Py_ssize_t", start="Py_ssize_t", stop="Py_ssize_t")
cdef int _decode(const unsigned char *source, Py_ssize_t end, long long *numbers, Py_ssize_t first, Py_ssize_t last, unsigned char *room, Py_ssize_t cap) noexcept nogil
cdef Py_ssize_t _after_integer(const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int mask) noexcept nogil
@cython.locals(value="unsigned long long", octet="unsigned long long", shift="unsigned int", i="Py_ssize_t")
cdef Py_ssize_t _integer(const unsigned char *buf, Py_ssize_t pos, Py_ssize_t after, unsigned int mask, Py_ssize_t end) noexcept nogil
