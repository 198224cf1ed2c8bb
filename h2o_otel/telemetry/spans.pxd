import cython
from ..counters cimport Counters, Trace
from . cimport attributes, propagation

cdef object _SERVER, _CLIENT, _INTERNAL, _RATIO_MASK, _NO_STATE, _ERROR, _EMPTY, _SPAN_KEY, _SUPPRESS_KEY, _make_current, _copy_context
cdef tuple _FLAGS
cdef int _OFF, _ON, _CUSTOM, _RATIO
cdef int _SPANS, _SPANS_TIME, _RECORDED, _DROPPED, _UNSAMPLED, _CHILDREN_MAX

@cython.locals(block=Counters)
cdef object _count(int index, long long n)

@cython.final
@cython.freelist(256)
cdef class RequestSpan:
    cdef Tracing _tracing
    cdef object _kind
    cdef long long _start_ns, _unix_offset
    cdef readonly bint sampled
    cdef readonly bint finished
    cdef readonly object trace_id
    cdef readonly object span_id
    cdef readonly Trace trace
    cdef int _flags, _parent_flags
    cdef object _parent_id
    cdef bint _parent_remote
    cdef object _parent, _state, _outer, _baggage, _stream, _live, _span_context
    cdef dict _connection, _attributes
    cdef list _children, _links
    cpdef object span_context(self)
    cdef object _identify(self)
    cdef object _trace_state(self)
    cdef object _parent_context(self)
    cpdef object otel_context(self)
    cpdef object context(self)
    cpdef object set(self, str name, object value)
    cpdef object child(self, str name, long long start_ns, long long end_ns, dict fields=*)
    cpdef object link(self, object other)
    cdef object _open(self)
    @cython.locals(began="long long")
    cpdef object finish(self, int status=*, str error_type=*, str route=*, long long end_ns=*, object stream=*)
    @cython.locals(server=bint, fields=dict, made=int, offset="long long", start="long long", end="long long")
    cdef object _export(self, int status, str error_type, str route, long long end_ns)

@cython.locals(span=RequestSpan)
cdef RequestSpan _span_of(Tracing tracing, object kind, long long start_ns)

@cython.final
cdef class Tracing:
    cdef readonly bint detail
    cdef object _provider, _access, _sampler, _ids, _trace_ids, _span_ids
    cdef int _random_flag
    cdef list _bounds
    cdef int _root, _remote_on, _remote_off, _local_on, _local_off
    cdef int _rule(self, object rule) except -1
    cdef bint _resolve(self) except -1
    cdef object _new_trace_id(self)
    cdef object _new_span_id(self)
    cdef object _decide(self, RequestSpan span, int rule, str name, object fields)
    cdef object _ask(self, RequestSpan span, str name, object fields)
    @cython.locals(span=RequestSpan, parsed=tuple, rule=int)
    cpdef object server_started(self, object stream, object headers, long long start_ns, dict connection=*)
    @cython.locals(span=RequestSpan)
    cpdef object connection_ended(self, dict connection, long long start_ns, long long end_ns, str error_type, dict fields=*)
    @cython.locals(span=RequestSpan, begun=dict, rule=int)
    cpdef object client_started(self, str method, str url, str server_address, int server_port, long long start_ns, int resend_count=*)
    @cython.locals(added=list)
    cpdef list inject(self, RequestSpan span, object headers=*)
    @cython.locals(span=RequestSpan)
    cpdef object connection_started(self, str server_address, int server_port, long long start_ns)
    cdef object _export_child(self, RequestSpan parent, str name, long long start, long long end, object fields)
