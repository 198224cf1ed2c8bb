import cython
from .. cimport _mem
from ..counters cimport Counters

cdef int _ACQUISITIONS, _IN_USE, _IDLE, _ALLOCATED, _EVICTED, _LEAKED, _CLASSES, _RESULTS, _HIT, _MISS, _OVERSIZE
cdef tuple _SIZES

cdef class Buffer:
    cdef readonly bytearray memory
    cdef unsigned char *mem
    cdef readonly Py_ssize_t size
    cdef readonly int size_class
    cdef readonly int name
    cdef readonly bint in_use
    cdef readonly object site
    cdef BufferPool pool

@cython.final
cdef class BufferPool:
    cdef readonly Counters counters
    cdef long long *_slots
    cdef list _caches
    cdef readonly Py_ssize_t cache_bytes_max
    cdef readonly Py_ssize_t cached_bytes
    cdef readonly Py_ssize_t in_use_bytes
    cdef readonly Py_ssize_t high_water_bytes
    cdef readonly bint debug
    cdef object _depot
    cdef int class_of(self, Py_ssize_t size) noexcept
    @cython.locals(size_class=int, cache=list, buffer=Buffer)
    cpdef Buffer acquire(self, Py_ssize_t size, int name)
    @cython.locals(buffer=Buffer, memory=bytearray)
    cdef Buffer _make(self, Py_ssize_t size, int size_class, int name)
    @cython.locals(cache=list)
    cpdef release(self, Buffer buffer)
    cpdef leaked(self, Buffer buffer)
    @cython.locals(buffer=Buffer)
    cpdef trim(self)
