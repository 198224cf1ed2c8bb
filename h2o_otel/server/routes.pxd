import cython

cdef dict _templates, _literals

@cython.locals(path=str, prefix=str)
cpdef str route_of(dict scope)
@cython.locals(joined=str)
cdef str _join(str prefix, str path)
cdef str _path_of(object route)
cdef str _own_path(dict scope, object route)
@cython.locals(root=str)
cdef str _prefix(dict scope)
