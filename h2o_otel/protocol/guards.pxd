import cython
from ..counters cimport Counters

cdef int _GLITCHES, _GLITCH_KINDS, _GOAWAY, _TLS_RECORD
cdef tuple _GLITCH_TEXTS
cdef long long _LATE_FRAMES

@cython.final
cdef class Bucket:
    cdef readonly double tokens
    cdef readonly double burst
    cdef double _refill
    cdef double _last
    cpdef bint take(self, double now) noexcept
    cpdef put(self, double n)

@cython.final
cdef class Guards:
    cdef object _limits
    cdef Counters _counters
    cdef long long *_slots
    cdef int _glitches
    cdef readonly Bucket resets_received, resets_sent, pings, settings, glitches, goaways, tls_records
    cdef readonly int empty_in_a_row
    cdef readonly long long empty_data
    cdef readonly long long small_unread
    cdef readonly long long small_max
    cdef double small_over_at
    cdef readonly long long window_updates
    cdef readonly long long priorities
    cdef public long long message_frames
    cdef long long _message_frames_at_ping
    cdef readonly long long late_octets, late_frames
    cdef long long _late_octets_max, _late_frames_max
    cdef public int control_queued
    cdef int _control_max
    cdef int _updates_base, _updates_per_stream, _updates_per_frame

    cdef scale(self, long long connection_window)
    cdef int reset_received(self, unsigned int stream_id, double now) except -1
    cdef response_completed(self)
    cdef int fault_reset(self, unsigned int stream_id, double now) except -1
    cdef int ping(self, double now) except -1
    cdef int settings_frame(self, double now) except -1
    cdef int goaway(self, bint repeated, double now) except -1
    cdef int tls_record(self, double now) except -1
    cdef int empty_frame(self, unsigned int stream_id) except -1
    cdef int small_frame(self, unsigned int stream_id, long long overhead, double now) except -1
    cdef int window_update(self, long long streams) except -1
    cdef int priority(self, long long streams) except -1
    cdef int glitch(self, int kind, double now) except -1
    cdef int _spend(self, int kind, double now) except -1
    cdef goaway_sent(self)
    cdef int frame_after_goaway(self, long long data_bytes, double now) except -1
    @cython.locals(cost="long long")
    cdef bint _under_way(self, long long data_bytes) noexcept
    cdef void stream_closed(self, long long window) noexcept
    cdef int late_frame(self, long long data_bytes, double now) except -1
    cdef int control_frame(self, bint paused) except -1
