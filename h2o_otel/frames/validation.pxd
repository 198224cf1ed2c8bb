import cython
from .. cimport _mem
from ..hpack.decoder cimport Decoder

cdef bytes _PATH_OK_B, _AUTHORITY_OK_B, _TOKEN_OK_B
cdef const unsigned char *_PATH_OK
cdef const unsigned char *_AUTHORITY_OK
cdef const unsigned char *_TOKEN_OK
cdef unsigned int _REQUEST, _RESPONSE
cdef bytes _HTTP, _HTTPS, _GET, _CONNECT, _OPTIONS, _STAR

@cython.final
cdef class MessageValidator:
    cdef bint _trusting
    cdef readonly bint connect_protocol
    cdef readonly bint require_authority

    @cython.locals(path=bytes)
    cdef int request(self, Decoder fields, unsigned int stream_id) except -1
    @cython.locals(method=bytes, scheme=bytes, authority=bytes)
    cdef int request_in_full(self, Decoder fields, unsigned int stream_id) except -1
    cdef int response(self, Decoder fields, unsigned int stream_id) except -1
    cdef int trailers(self, Decoder fields, unsigned int stream_id) except -1
    cdef int check_authority(self, bytes authority, unsigned int stream_id) except -1
    cdef int check_path(self, Decoder fields, unsigned int stream_id) except -1
    cdef int connect(self, Decoder fields, unsigned int stream_id) except -1

@cython.locals(i="Py_ssize_t", mem="const unsigned char *")
cdef bint all_in(bytes value, const unsigned char *table, Py_ssize_t n) except -1
