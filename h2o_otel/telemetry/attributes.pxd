import cython
from ..streams.stream cimport Stream
from .requests cimport method_label

cdef str _text(bytes value)
@cython.locals(n="long long")
cdef double _seconds(double value)
cpdef str redact_url(str url)

cpdef dict connection(object connection_id, object peername, object sockname, str protocol_version)
cpdef tuple split_authority(bytes authority)
@cython.locals(fields=dict, method=bytes, label=str, path=str, query=str, host=bytes, name=bytes, value=bytes)
cpdef dict server_request(Stream stream, dict base)
@cython.locals(fields=dict)
cpdef dict client_request(str method, str url, str server_address, int server_port, int resend_count)
@cython.locals(received="long long", sent="long long", opened=double, headers=double, closed=double, stalled=double)
cpdef object stream_facts(dict fields, Stream stream, bint server, long long end_ns)
