import cython
from .. cimport _mem
from ..counters cimport Counters, Trace
from ..streams.stream cimport Stream
from . cimport attributes, propagation
from .sdk_tracer cimport SdkTracer
from .span cimport RequestSpan, count, span_of

cdef object _SERVER, _CLIENT, _INTERNAL, _EMPTY, _SUPPRESS_KEY, _NO_STATE, _current_context
cdef int _OFF, _ON, _CUSTOM, _RATIO, _TRACE, _BAGGAGE, _OTHER, _SPANS, _UNSAMPLED

@cython.final
cdef class Tracing:
    cdef readonly bint detail
    cdef SdkTracer _sdk
    @cython.locals(sdk=SdkTracer, bound="unsigned long long")
    cdef object _decide(self, RequestSpan span, int rule, str name, object fields, Counters block=*)
    cdef object _unsampled(self, Counters block)
    @cython.locals(sdk=SdkTracer)
    cdef object _ask(self, RequestSpan span, str name, object fields)
    @cython.locals(sdk=SdkTracer, span=RequestSpan, parsed=tuple, rule=int, carries=int)
    cpdef object server_started(self, Stream stream, object headers, long long start_ns, dict connection=*, Counters block=*)
    @cython.locals(sdk=SdkTracer, span=RequestSpan)
    cpdef object connection_ended(self, dict connection, long long start_ns, long long end_ns, str error_type, dict fields=*)
    @cython.locals(sdk=SdkTracer, span=RequestSpan, begun=dict, rule=int)
    cpdef object client_started(self, str method, object url, str server_address, int server_port, long long start_ns, int resend_count=*, Counters block=*)
    @cython.locals(sdk=SdkTracer)
    cdef bint _take_extracted(self, RequestSpan span, object headers) except -1
    @cython.locals(sdk=SdkTracer, added=list, carries=int)
    cpdef list inject(self, RequestSpan span, object headers=*)
    @cython.locals(sdk=SdkTracer, span=RequestSpan)
    cpdef object connection_started(self, str server_address, int server_port, long long start_ns)
