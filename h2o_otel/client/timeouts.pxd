cdef dict _DEFAULTS

cdef class Timeout:
    cdef readonly object connect, read, write, pool, total
    cdef readonly double read_s, total_s
