import cython
from ..memory.budget cimport Budget
from ..streams.stream cimport Stream
from .receive cimport ReceiveHalf

cdef int _LOCAL, _RESET_SENT
cdef double _SHORT_S

cdef class ProgressHalf(ReceiveHalf):
    @cython.locals(stream=Stream, ended=bint)
    cdef bint check_progress(self) except -1
    @cython.locals(budget=Budget)
    cdef look_for_shortage(self)
    cdef break_off(self, Stream stream, object violation)
    cdef end_overdue(self, Stream stream, object violation)
    @cython.locals(elapsed=double, rate=double, paused=double, owed=bint, received="long long")
    cdef receive_progress(self, Stream stream)
    @cython.locals(elapsed=double, stalled=double, sent="long long", taken="long long", own=bint)
    cdef send_progress(self, Stream stream)
    cdef mark_sent(self, Stream stream, long long taken)
