# Byte access, inline C when compiled; the plain Python twin is _mem.py.
#
# Every read takes `end`, the first position that must not be read, and every write takes `cap`.
# In a normal build these are unused and cost nothing.  In a checked build
# (H2O_OTEL_CHECKED=1 at build time) a position outside aborts the process: callers check lengths
# before they index, so an abort here is always our mistake and never the peer's.
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from cpython.dict cimport PyDict_SetItem
from cpython.object cimport PyObject, PyTypeObject

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object thing) noexcept
    unsigned long long PyLong_AsUnsignedLongLongMask(object number) except? 0
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    object PyContextVar_Set(object variable, object value)

cdef extern from *:
    """
    #include <string.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <time.h>
    #if defined(H2O_OTEL_CHECKED)
    static void h2o_outside(const char *what, Py_ssize_t pos, Py_ssize_t n, Py_ssize_t end) {
        fprintf(stderr, "h2o_otel: checked access outside its buffer: %s of %zd octets at %zd, end %zd\\n", what, n, pos, end);
        fflush(stderr);
        abort();
    }
    #define H2O_CHECK(what, pos, n, end) do { if ((pos) < 0 || (n) < 0 || (pos) + (n) > (end)) h2o_outside(what, (pos), (n), (end)); } while (0)
    #else
    #define H2O_CHECK(what, pos, n, end) do { (void)(end); } while (0)
    #endif
    /* One load or store and a swap, which gcc does not always make of shifted octets by itself. */
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    #define H2O_BIG_16(v) __builtin_bswap16(v)
    #define H2O_BIG_32(v) __builtin_bswap32(v)
    #elif defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define H2O_BIG_16(v) (v)
    #define H2O_BIG_32(v) (v)
    #endif
    static inline unsigned int h2o_u8(const unsigned char *b, Py_ssize_t pos, Py_ssize_t end) {
        H2O_CHECK("read", pos, 1, end);
        return b[pos];
    }
    static inline unsigned int h2o_u16(const unsigned char *b, Py_ssize_t pos, Py_ssize_t end) {
        H2O_CHECK("read", pos, 2, end);
        return ((unsigned int)b[pos] << 8) | b[pos + 1];
    }
    static inline unsigned int h2o_u24(const unsigned char *b, Py_ssize_t pos, Py_ssize_t end) {
        H2O_CHECK("read", pos, 3, end);
        return ((unsigned int)b[pos] << 16) | ((unsigned int)b[pos + 1] << 8) | b[pos + 2];
    }
    static inline unsigned int h2o_u32(const unsigned char *b, Py_ssize_t pos, Py_ssize_t end) {
        H2O_CHECK("read", pos, 4, end);
    #if defined(H2O_BIG_32)
        unsigned int v;
        memcpy(&v, b + pos, 4);
        return H2O_BIG_32(v);
    #else
        return ((unsigned int)b[pos] << 24) | ((unsigned int)b[pos + 1] << 16) | ((unsigned int)b[pos + 2] << 8) | b[pos + 3];
    #endif
    }
    static inline void h2o_put_u8(unsigned char *d, Py_ssize_t pos, unsigned int v, Py_ssize_t cap) {
        H2O_CHECK("write", pos, 1, cap);
        d[pos] = (unsigned char)v;
    }
    static inline void h2o_put_u16(unsigned char *d, Py_ssize_t pos, unsigned int v, Py_ssize_t cap) {
        H2O_CHECK("write", pos, 2, cap);
    #if defined(H2O_BIG_16)
        unsigned short swapped = H2O_BIG_16((unsigned short)v);
        memcpy(d + pos, &swapped, 2);
    #else
        d[pos] = (unsigned char)(v >> 8); d[pos + 1] = (unsigned char)v;
    #endif
    }
    static inline void h2o_put_u32(unsigned char *d, Py_ssize_t pos, unsigned int v, Py_ssize_t cap) {
        H2O_CHECK("write", pos, 4, cap);
    #if defined(H2O_BIG_32)
        v = H2O_BIG_32(v);
        memcpy(d + pos, &v, 4);
    #else
        d[pos] = (unsigned char)(v >> 24); d[pos + 1] = (unsigned char)(v >> 16);
        d[pos + 2] = (unsigned char)(v >> 8); d[pos + 3] = (unsigned char)v;
    #endif
    }
    static inline void h2o_put_frame_header(unsigned char *d, Py_ssize_t pos, unsigned int length, unsigned int type,
                                            unsigned int flags, unsigned int stream_id, Py_ssize_t cap) {
        H2O_CHECK("write", pos, 9, cap);
        d += pos;
        d[0] = (unsigned char)(length >> 16); d[1] = (unsigned char)(length >> 8); d[2] = (unsigned char)length;
        d[3] = (unsigned char)type; d[4] = (unsigned char)flags;
        d[5] = (unsigned char)(stream_id >> 24); d[6] = (unsigned char)(stream_id >> 16);
        d[7] = (unsigned char)(stream_id >> 8); d[8] = (unsigned char)stream_id;
    }
    static inline void h2o_copy(unsigned char *d, Py_ssize_t dpos, Py_ssize_t cap,
                                const unsigned char *s, Py_ssize_t spos, Py_ssize_t n, Py_ssize_t send) {
        H2O_CHECK("copy to", dpos, n, cap);
        H2O_CHECK("copy from", spos, n, send);
        memcpy(d + dpos, s + spos, (size_t)n);
    }
    static inline int h2o_same(const unsigned char *a, Py_ssize_t pos, Py_ssize_t end, const unsigned char *b, Py_ssize_t n) {
        H2O_CHECK("compare", pos, n, end);
        return memcmp(a + pos, b, (size_t)n) == 0;
    }
    static inline int h2o_lower_hex(const unsigned char *b, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t n) {
        H2O_CHECK("read", pos, n, end);
        for (Py_ssize_t i = pos; i < pos + n; i++)
            if (!((b[i] >= '0' && b[i] <= '9') || (b[i] >= 'a' && b[i] <= 'f')))
                return 0;
        return 1;
    }
    static inline unsigned long long h2o_hex_u64(const unsigned char *b, Py_ssize_t pos, Py_ssize_t end) {
        unsigned long long value = 0;
        H2O_CHECK("read", pos, 16, end);
        for (Py_ssize_t i = pos; i < pos + 16; i++)
            value = value << 4 | (unsigned)(b[i] <= '9' ? b[i] - '0' : b[i] - 'a' + 10);
        return value;
    }
    static inline void h2o_put_hex(unsigned char *d, Py_ssize_t pos, unsigned long long value, Py_ssize_t digits, Py_ssize_t cap) {
        H2O_CHECK("write", pos, digits, cap);
        for (Py_ssize_t i = pos + digits - 1; i >= pos; i--, value >>= 4)
            d[i] = (unsigned char)"0123456789abcdef"[value & 15];
    }
    static inline int h2o_all_in(const unsigned char *classes, const unsigned char *b, Py_ssize_t n, Py_ssize_t end, unsigned int bit) {
        unsigned int found = bit;
        H2O_CHECK("read", 0, n, end);
        for (Py_ssize_t i = 0; i < n; i++)
            found &= classes[b[i]];
        return found != 0;
    }
    /* Eight octets at a time: a word has a zero octet if and only if (w - 0x01..) & ~w & 0x80.. is not 0. */
    #define H2O_ZERO_OCTET(w) (((w) - 0x0101010101010101ULL) & ~(w) & 0x8080808080808080ULL)
    static inline int h2o_no_breaks(const unsigned char *b, Py_ssize_t n, Py_ssize_t end) {
        unsigned long long word, found = 0;
        Py_ssize_t i = 0;
        H2O_CHECK("read", 0, n, end);
        for (; n - i >= 8; i += 8) {
            memcpy(&word, b + i, 8);
            found |= H2O_ZERO_OCTET(word) | H2O_ZERO_OCTET(word ^ 0x0a0a0a0a0a0a0a0aULL) | H2O_ZERO_OCTET(word ^ 0x0d0d0d0d0d0d0d0dULL);
        }
        for (; i < n; i++)
            found |= (b[i] == 0) | (b[i] == 10) | (b[i] == 13);
        return found == 0;
    }
    static inline long long h2o_decimal(const unsigned char *b, Py_ssize_t n, Py_ssize_t end) {
        long long value = 0;
        H2O_CHECK("read", 0, n, end);
        for (Py_ssize_t i = 0; i < n; i++)
            value = value * 10 + (b[i] - '0');
        return value;
    }
    static inline long long h2o_now_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (long long)t.tv_sec * 1000000000LL + t.tv_nsec;
    }
    """
    unsigned int u8 "h2o_u8"(const unsigned char *src, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    unsigned int u16 "h2o_u16"(const unsigned char *src, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    unsigned int u24 "h2o_u24"(const unsigned char *src, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    unsigned int u32 "h2o_u32"(const unsigned char *src, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    void put_u8 "h2o_put_u8"(unsigned char *dst, Py_ssize_t pos, unsigned int value, Py_ssize_t cap) noexcept nogil
    void put_u16 "h2o_put_u16"(unsigned char *dst, Py_ssize_t pos, unsigned int value, Py_ssize_t cap) noexcept nogil
    void put_u32 "h2o_put_u32"(unsigned char *dst, Py_ssize_t pos, unsigned int value, Py_ssize_t cap) noexcept nogil
    void put_frame_header "h2o_put_frame_header"(unsigned char *dst, Py_ssize_t pos, unsigned int length, unsigned int type, unsigned int flags, unsigned int stream_id, Py_ssize_t cap) noexcept nogil
    void copy "h2o_copy"(unsigned char *dst, Py_ssize_t dst_pos, Py_ssize_t cap, const unsigned char *src, Py_ssize_t src_pos, Py_ssize_t n, Py_ssize_t src_end) noexcept nogil
    bint same "h2o_same"(const unsigned char *src, Py_ssize_t pos, Py_ssize_t end, const unsigned char *other, Py_ssize_t n) noexcept nogil
    # Digits 0-9 and a-f only; then sixteen of them as a number.
    bint lower_hex "h2o_lower_hex"(const unsigned char *src, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t n) noexcept nogil
    unsigned long long hex_u64 "h2o_hex_u64"(const unsigned char *src, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    void put_hex "h2o_put_hex"(unsigned char *dst, Py_ssize_t pos, unsigned long long value, Py_ssize_t digits, Py_ssize_t cap) noexcept nogil
    # Whether each octet has `bit` in its class; whether none is NUL, LF or CR.
    bint all_in "h2o_all_in"(const unsigned char *classes, const unsigned char *src, Py_ssize_t n, Py_ssize_t end, unsigned int bit) noexcept nogil
    bint no_breaks "h2o_no_breaks"(const unsigned char *src, Py_ssize_t n, Py_ssize_t end) noexcept nogil
    # At most 18 digits, and nothing else.
    long long decimal "h2o_decimal"(const unsigned char *src, Py_ssize_t n, Py_ssize_t end) noexcept nogil
    void check_read "H2O_CHECK"(const char *what, Py_ssize_t pos, Py_ssize_t n, Py_ssize_t end) noexcept nogil
    long long now_ns "h2o_now_ns"() noexcept nogil

cdef inline bint alone(object thing):
    return Py_REFCNT(thing) == 1

cdef inline bytes to_bytes(const unsigned char *src, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t end):
    check_read("slice", start, stop - start, end)
    return PyBytes_FromStringAndSize(<const char *>src + start, stop - start)

# A bytes object that is written before anybody else sees it.
cdef inline bytes blank(Py_ssize_t n):
    return PyBytes_FromStringAndSize(NULL, n)

cdef inline void fill(bytes block, Py_ssize_t pos, Py_ssize_t cap, const unsigned char *src, Py_ssize_t src_pos, Py_ssize_t n, Py_ssize_t src_end) noexcept:
    check_read("fill", 0, cap, PyBytes_GET_SIZE(block))
    copy(<unsigned char *>PyBytes_AS_STRING(block), pos, cap, src, src_pos, n, src_end)

cdef inline bytes filled(bytes block, Py_ssize_t n):
    return block if n == len(block) else block[:n]

# A number of 128 bits and its halves; higher bits are left out.
cdef inline object wide(unsigned long long high, unsigned long long low):
    return (<object>high << 64) | low

cdef inline unsigned long long high_u64(object number) except? 0:
    return PyLong_AsUnsignedLongLongMask(number >> 64)

cdef inline unsigned long long low_u64(object number) except? 0:
    return PyLong_AsUnsignedLongLongMask(number)

# A mapping of one entry; `cls` is a dict whose constructor adds nothing.
cdef inline object one_entry(object cls, object key, object value):
    cdef tuple nothing = ()
    cdef object made = (<PyTypeObject *>cls).tp_new(<type>cls, <PyObject *>nothing, NULL)
    PyDict_SetItem(made, key, value)
    return made

# Set a context variable in a context that nobody runs.
cdef inline object set_in(object context, object variable, object value):
    PyContext_Enter(context)
    try:
        PyContextVar_Set(variable, value)
    finally:
        PyContext_Exit(context)

# The value of a traceparent field, version 00.
cdef inline bytes traceparent(unsigned long long high, unsigned long long low, unsigned long long span_id, unsigned int flags):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, 55)
    cdef unsigned char *to = <unsigned char *>PyBytes_AS_STRING(made)
    to[0] = to[1] = 48
    to[2] = to[35] = to[52] = 45
    put_hex(to, 3, high, 16, 55)
    put_hex(to, 19, low, 16, 55)
    put_hex(to, 36, span_id, 16, 55)
    put_hex(to, 53, flags, 2, 55)
    return made

# Arrays of C numbers kept in a bytearray, which the caller owns beside the pointer and never resizes.
cdef inline long long *integers(bytearray owner):
    return <long long *>PyByteArray_AS_STRING(owner)

# The first `n` of them, as octets in the machine's order.
cdef inline bytes integers_bytes(long long *integers, Py_ssize_t n):
    return PyBytes_FromStringAndSize(<const char *>integers, n * 8)

cdef inline double *floats(bytearray owner):
    return <double *>PyByteArray_AS_STRING(owner)
