import cython
from .. cimport _mem
from ..counters cimport Counters
from ..frames cimport writer
from ..frames.validation cimport MessageValidator
from ..hpack.decoder cimport Decoder
from ..hpack.encoder cimport Encoder
from ..buffers.output cimport OutputBuffer
from ..streams.stream cimport Stream
from .send cimport SendHalf
from .windows cimport WindowTuner

cdef int _SETTINGS, _PING, _GOAWAY, _ACK, _RECV_RST
cdef int _STREAM_LIMIT, _CONTROL_QUEUE, _SETTINGS_VALUE, _SETTING_NAMES, _GOAWAY_SLOT, _ERROR_CODES
cdef long long _WINDOW_MAX
cdef int _RETUNES, _FIELDS_IGNORED
cdef bytes _PROBE, _QUESTION

cdef class ControlHalf(SendHalf):
    cdef readonly bint need_settings
    cdef MessageValidator validator
    cdef readonly dict idle_priorities
    cdef long long _tuned_connection

    cdef report_streams_max(self, long long limit)
    cdef int answer_queued(self) except -1
    cdef answers_gone(self)
    cpdef update_settings(self, object entries, double now)
    @cython.locals(code="unsigned int", value="unsigned int", window="long long", highest="long long")
    cdef int on_settings(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags) except -1
    cdef apply_remote(self, unsigned int code, unsigned int value)
    cdef note_remote(self, dict changes)
    cdef _show_settings(self, dict changes, int direction)
    @cython.locals(before="long long")
    cdef take_initial_window(self, long long window, long long highest)
    @cython.locals(stream=Stream)
    cdef move_send_windows(self, long long delta, long long highest)
    cdef settings_acknowledged(self)
    @cython.locals(stream=Stream, delta="long long")
    cdef apply_local(self, unsigned int code, unsigned int value)
    cdef note_local(self, dict changes)
    cdef int on_ping(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, int flags) except -1
    cdef ask_whether_read(self)
    cdef probe(self, Stream stream)
    @cython.locals(tuner=WindowTuner, unread="long long", stream=Stream)
    cdef probe_returned(self)
    cpdef limit_windows(self, long long bytes_max, double now)
    @cython.locals(grown="long long", grows=bint)
    cdef retarget(self, Stream stream)
    cdef begin_drain(self, bytes reason)
    cdef write_goaway(self, unsigned int last_stream_id, unsigned int code, bytes debug)
    @cython.locals(last="unsigned int", code="unsigned int", stream=Stream)
    cdef int on_goaway(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -1
    cdef refuse(self, Stream stream, unsigned int last, unsigned int code)
    cdef int on_priority(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end, unsigned int stream_id) except -1
    @cython.locals(stream_id="unsigned int")
    cdef int on_priority_update(self, const unsigned char *buf, Py_ssize_t pos, Py_ssize_t end) except -1
    cdef remember_priority(self, unsigned int stream_id, tuple priority)
    cpdef send_priority_update(self, Stream stream, int urgency, bint incremental, double now)
