import cython
from .. cimport _mem
from ..counters cimport Counters, Trace
from ..streams.stream cimport Stream
from . cimport attributes, propagation
from .sdk_tracer cimport SdkTracer

cdef object _SERVER, _INTERNAL, _NO_STATE, _ERROR, _SPAN_KEY, _make_current, _context_variable, _CONTEXT, _copy_context, _span_context, _local, _live_span
cdef tuple _FLAGS
cdef int _SPANS, _SPANS_TIME, _RECORDED, _DROPPED, _UNSAMPLED, _CHILDREN_MAX

@cython.locals(block=Counters)
cpdef object count(int index, long long n)

@cython.final
@cython.freelist(256)
cdef class RequestSpan:
    cdef SdkTracer _sdk
    cdef object _kind
    cdef long long _start_ns, _unix_offset
    cdef readonly bint sampled
    cdef readonly bint finished
    cdef unsigned long long _high, _low, _id
    cdef readonly Trace trace
    cdef int _flags, _parent_flags
    cdef object _parent_id
    cdef bint _parent_remote
    cdef object _parent, _state, _outer, _baggage, _live, _span_context
    cdef Stream _stream
    cdef dict _connection, _attributes
    cdef list _children, _links
    cpdef object span_context(self)
    cdef object _identify(self)
    @cython.locals(sdk=SdkTracer)
    cdef object _complete_trace_id(self)
    cdef object _take_trace_id(self, object trace_id)
    cdef object _trace_state(self)
    cdef object _parent_context(self)
    cpdef object otel_context(self)
    cpdef object context(self)
    cpdef object set(self, str name, object value)
    cpdef object child(self, str name, long long start_ns, long long end_ns, dict fields=*)
    cpdef object link(self, object other)
    @cython.locals(sdk=SdkTracer, fields=dict, begun=dict)
    cdef object _open(self)
    @cython.locals(began="long long")
    cpdef object finish(self, int status=*, str error_type=*, str route=*, long long end_ns=*, object stream=*)
    @cython.locals(server=bint, fields=dict, made=int, offset="long long", start="long long", end="long long")
    cdef object _export(self, int status, str error_type, str route, long long end_ns)
    @cython.locals(sdk=SdkTracer)
    cdef object _export_child(self, str name, long long start, long long end, object fields)

@cython.locals(span=RequestSpan)
cpdef RequestSpan span_of(SdkTracer sdk, object kind, long long start_ns)
