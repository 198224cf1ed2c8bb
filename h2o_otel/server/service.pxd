import cython
from .. cimport _mem
from ..counters cimport Counters, Histogram
from ..io.loop cimport Loop
from ..streams.stream cimport Stream
from ..telemetry.requests cimport ServerRequestMetrics
from ..telemetry.span cimport RequestSpan
from ..telemetry.spans cimport Tracing

cdef int _CREATE_TASK, _CAPTURE, _EAGER_START
cdef object _Task, _eager, _CoroutineType
cdef dict _current_tasks
cdef str _TASK_NAME
cdef int _CUT_ROUTES_MAX, _ROUTE_MAX
cdef int _HANDLERS_RUNNING
cdef double _LAG_NOTICED_S

@cython.final
cdef class Service:
    cdef readonly object app
    cdef readonly Loop loop
    cdef readonly object limits
    cdef readonly object telemetry
    cdef readonly ServerRequestMetrics metrics
    cdef readonly Tracing tracing
    cdef readonly object excluded
    cdef readonly object log
    cdef readonly bint access_log, log_requests
    cdef readonly str root_path
    cdef readonly object trust
    cdef readonly bytes raw_root_path
    cdef public dict state
    cdef readonly Counters counters
    cdef readonly Histogram app_durations
    cdef readonly bint date
    cdef readonly tuple server_field
    cdef readonly int concurrency_max
    cdef readonly object pressure
    cdef readonly set connections
    cdef readonly set tasks
    cdef public int handlers
    cdef readonly dict cut_routes
    cdef public long long connection_ids
    cdef public bint loop_asleep
    cdef public object loop_watch
    cdef object _event_loop
    cdef dict _loop_dict
    cdef int _start, _mode
    cdef object _captured, _captured_context
    cdef tuple _date_field
    cdef double _date_until

    cpdef refresh(self)
    cpdef begin_batch(self)
    @cython.locals(took=double)
    cdef end_batch(self, double began)
    @cython.locals(names=dict)
    cpdef spawn(self, object work, object context)
    cdef long long handler_began(self) except -1
    @cython.locals(seconds=double)
    cdef handler_ended(self, long long began_ns, object error)
    @cython.locals(name=str)
    cdef report_cut(self, Stream stream, str route)
    cdef report_exception(self, object error, Stream stream, RequestSpan span)
    @cython.locals(duration=double)
    cdef report_request(self, Stream stream, int metrics_index, int status, str route, str error_type, RequestSpan span, str scheme, tuple client)
    @cython.locals(field=tuple)
    cpdef tuple date_field(self, double now)
