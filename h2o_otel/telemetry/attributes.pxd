import cython

cpdef dict connection(object connection_id, object peername, object sockname, str protocol_version)
cpdef tuple split_authority(bytes authority)
@cython.locals(fields=dict, method=bytes)
cpdef dict server_request(object stream, dict base)
@cython.locals(fields=dict)
cpdef dict client_request(str method, str url, str server_address, int server_port, int resend_count)
@cython.locals(received="long long", sent="long long", opened=double, headers=double, closed=double, stalled=double)
cpdef object stream_facts(dict fields, object stream, bint server, long long end_ns)
