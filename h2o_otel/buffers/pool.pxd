import cython
from .. cimport _mem
from ..counters cimport Counters, Histogram

cdef int _ACQUISITIONS, _IN_USE, _REQUESTED, _IDLE, _ALLOCATED, _EVICTED, _LEAKED, _CONTENDED, _USAGE, _CLASSES, _RESULTS
cdef int _HIT, _MISS, _OVERSIZE, _OUTPUT
cdef unsigned int _OUTPUTS_TIMED
cdef tuple _SIZES

cdef class Buffer:
    cdef readonly bytearray memory
    cdef unsigned char *mem
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t requested
    cdef readonly int size_class
    cdef readonly int name
    cdef readonly bint in_use
    cdef bint collected
    cdef readonly long long lent_ns
    cdef readonly object site
    cdef BufferPool pool

@cython.final
cdef class IdleBuffers:
    cdef list _room
    cdef readonly Py_ssize_t n
    cdef public Py_ssize_t low
    cdef push(self, Buffer buffer)
    @cython.locals(buffer=Buffer)
    cdef Buffer pop(self)
    cpdef list drop_unused(self)

@cython.final
cdef class BufferPool:
    cdef readonly Counters counters
    cdef long long *_slots
    cdef list _caches
    cdef list _held_times
    cdef dict _held
    cdef bint _pooled, _tracked
    cdef unsigned int _outputs
    cdef readonly Py_ssize_t cache_bytes_max
    cdef readonly Py_ssize_t cached_bytes
    cdef readonly Py_ssize_t in_use_bytes
    cdef readonly Py_ssize_t high_water_bytes
    cdef readonly bint debug
    cdef object _depot, is_finalizing
    @cython.locals(bound="Py_ssize_t", size_class=int)
    cdef int class_of(self, Py_ssize_t size) noexcept
    @cython.locals(size_class=int, cache=IdleBuffers, buffer=Buffer)
    cpdef Buffer acquire(self, Py_ssize_t size, int name)
    cdef _track(self, Buffer buffer)
    @cython.locals(memory=bytearray, result=int)
    cdef Buffer _make(self, Py_ssize_t size, int size_class, int name)
    @cython.locals(size_class=int, times=Histogram, cache=IdleBuffers)
    cpdef release(self, Buffer buffer)
    cdef _untrack(self, Buffer buffer)
    cpdef leaked(self, Buffer buffer)
    @cython.locals(cache=IdleBuffers)
    cpdef trim(self)
    @cython.locals(buffer=Buffer, cache=IdleBuffers)
    cpdef trim_unused(self)
