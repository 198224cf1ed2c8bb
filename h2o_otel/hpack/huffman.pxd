import cython
from .. cimport _mem

cdef unsigned int[257] _CODES
cdef unsigned char[257] _BITS
cdef unsigned int[4096] _STEPS
cdef unsigned int[31] _LONG_ENDS
cdef int[31] _LONG_OFFSETS
cdef unsigned short[257] _LONG_SYMBOLS

cdef Py_ssize_t EOS, PADDING
cdef unsigned long long _MASK_32, _MASK_48
cdef unsigned int _EOS_SYMBOL, _LENGTH_MAX, _PEEK_BITS

@cython.locals(bits="Py_ssize_t", i="Py_ssize_t")
cdef Py_ssize_t measure(const unsigned char *src, Py_ssize_t n) noexcept nogil
@cython.locals(window="unsigned long long", held="unsigned int", octet="unsigned int", i="Py_ssize_t")
cdef Py_ssize_t encode(unsigned char *dst, Py_ssize_t pos, Py_ssize_t cap, const unsigned char *src, Py_ssize_t n) noexcept nogil
@cython.locals(length="unsigned int")
cdef unsigned int _find_long(unsigned int window) noexcept nogil
@cython.locals(window="unsigned long long", held="unsigned int", pos="Py_ssize_t", step="unsigned int")
cdef Py_ssize_t decode(const unsigned char *src, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t end, unsigned char *dst, Py_ssize_t done, Py_ssize_t cap) noexcept nogil
@cython.locals(step="unsigned int", bits="unsigned int")
cdef Py_ssize_t _decode_end(unsigned long long window, unsigned int held, unsigned char *dst, Py_ssize_t done, Py_ssize_t cap) noexcept nogil
