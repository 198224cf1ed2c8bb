import cython
from ..io.driver cimport Driver
from ..io.handler cimport DriverHandler
from ..io.loop cimport Loop
from ..protocol.engine cimport Engine
from ..streams.stream cimport Stream
from .service cimport Service

cdef class AsgiConnection(DriverHandler):
    cdef readonly Service service
    cdef readonly Loop loop
    cdef readonly Driver driver
    cdef readonly Engine connection
    cdef readonly dict template
    cdef readonly bytes scheme
    cdef readonly dict span_base
    cdef readonly object trust
    cdef long long send_stream_max, send_connection_max

    cdef handler_ended(self)
    cdef head_waits(self, object request)
    cdef push(self, Stream parent, bytes path, list fields, double now)
    cdef inform(self, Stream stream, int status, list fields, double now)
    cdef respond(self, Stream stream, int status, list fields, bint end, double now)
    @cython.locals(queued="long long")
    cdef bint data(self, Stream stream, bytes body, bint end, double now) except -1
    cdef credit(self, Stream stream, long long n, double now)
    cdef reset(self, Stream stream, unsigned int code, double now)
    cdef wake(self)
