"""What the sending and the receiving half of a connection share: streams made and ended, credit, accounting, output.

``state`` says how the connection is put together.
"""

from __future__ import annotations

from typing import Any

from .. import counters
from ..counters import Trace
from ..errors import ErrorCode, StreamReset
from ..frames import writer
from ..frames.types import SLOT_OF_TYPE, FrameType
from ..memory.budget import (
    CONNECTION_BYTES,
    CONNECTIONS,
    HPACK,
    QUEUES,
    REFUSE,
    RELAXED,
    SHRINK,
    SHRINK_WINDOW,
    STREAM_BYTES,
    STREAMS,
)
from ..streams import pool
from ..streams.states import Input, State
from ..streams.stream import USER, Stream
from .state import ConnectionState

__all__ = ["ConnectionCore"]

_FRAMES = counters.slot("frames")
_FRAME_PAYLOAD = counters.slot("frame_payload")
_STREAMS = counters.slot("streams")
_OUTCOMES = len(counters.OUTCOMES)
_STREAM_ACTIVE = counters.slot("stream_active")
_STREAM_RESETS = counters.slot("stream_resets")
_ERROR_CODES = len(counters.ERROR_CODES)
_UNREAD = counters.slot("flow_control_unread")
_WINDOW = counters.slot("flow_control_window")
_TARGET = counters.slot("flow_control_target")
_PUSH_PROMISES = counters.slot("push_promises")
_PUSH_RESULTS = len(counters.PUSH_RESULTS)
_SEND_RST = int(Input.SEND_RST)
_CLOSED = int(State.CLOSED)
_HALF_CLOSED_REMOTE = int(State.HALF_CLOSED_REMOTE)
_USER = USER
_RST_STREAM = int(FrameType.RST_STREAM)
_WINDOW_UPDATE = int(FrameType.WINDOW_UPDATE)
_SEND = counters.SEND
_MEMORY = counters.slot("memory_usage")
_MEMORY_CONNECTIONS, _MEMORY_STREAMS, _MEMORY_HPACK, _MEMORY_QUEUES = (
    _MEMORY + CONNECTIONS,
    _MEMORY + STREAMS,
    _MEMORY + HPACK,
    _MEMORY + QUEUES,
)
_SHRUNK = counters.slot("memory_sheds") + SHRINK_WINDOW
_CONNECTION_BYTES = CONNECTION_BYTES
_STREAM_BYTES = STREAM_BYTES
_RELAXED, _SHRINK, _REFUSE = RELAXED, SHRINK, REFUSE
_SLOT_B = SLOT_OF_TYPE
_SLOT = _SLOT_B

# Positions in ``counters.OUTCOMES``.
COMPLETED, RESET_SENT, RESET_RECV, REFUSED, GOAWAY, CONN_LOST, TIMEOUT, PUSH = range(8)

# Positions in ``counters.PUSH_RESULTS``.
PUSH_ACCEPTED, PUSH_REFUSED, PUSH_CANCELLED, PUSH_DISABLED = range(4)

_COMPLETED, _RESET_SENT, _RESET_RECV, _REFUSED = COMPLETED, RESET_SENT, RESET_RECV, REFUSED
_PUSH_REFUSED, _PUSH_CANCELLED = PUSH_REFUSED, PUSH_CANCELLED

# While a body waits for the peer, its progress is looked at this often.
PROGRESS_INTERVAL_S = 1.0
# What RFC 9113 section 6.9.2 gives every connection: no pressure takes the window below it.
_WINDOW_INITIAL = 65_535


def error_slot(code: int) -> int:
    """Position of an error code in ``counters.ERROR_CODES``."""
    return code if code <= ErrorCode.HTTP_1_1_REQUIRED else len(counters.ERROR_CODES) - 1


class ConnectionCore(ConnectionState):
    """Streams, credit, accounting and output of one HTTP/2 connection."""

    # -- counting

    def sent(self, type: int, flags: int, stream_id: int, length: int) -> None:
        """One frame went into the output."""
        if self.frame_metrics:
            self.slots[_FRAMES + self.send_frames + _SLOT[type]] += 1
            self.slots[_FRAME_PAYLOAD + self.send_frames + _SLOT[type]] += length
        if self.frame_chunks:
            self.out.close_chunk()
        self.recorder.record(_SEND, type, flags, stream_id, length, self.now)
        self.frames_written += 1
        if type <= 1:
            self.guards.message_frames += 1

    def touch(self, trace: Trace) -> None:
        """Work was done for a traced stream: the driver adds what its write or read took, then empties ``traced``."""
        if trace not in self.traced:
            self.traced.append(trace)

    # -- streams

    def new_stream(self, id: int, local: bool) -> Stream:
        stream = pool.new_stream() if self.stream_pool is None else self.stream_pool.take()
        stream.begin(id, self.remote_initial_window, self.local_initial_window, self.now)
        stream.states_plain = self.stream_states_plain
        stream.local = local
        stream.counted = True
        if local:
            self.streams_local += 1
        else:
            self.streams_remote += 1
        self.requests += 1
        # The number as the object that the table has it under: its end finds it by identity.
        stream.key = id
        self.streams[stream.key] = stream
        self.latest = stream
        if self.tracking:
            self.slots[_STREAM_ACTIVE + self.role] += 1
        return stream

    def find(self, stream_id: int) -> Stream | None:
        """The open stream ``stream_id``; the frames of one often come one after the other."""
        if self.latest is not None and self.latest.id == stream_id:
            return self.latest
        if stream_id > self.last_remote_stream_id and stream_id >= self.next_stream_id:
            # Neither side has come that far.
            return None
        self.latest = self.streams.get(stream_id)
        return self.latest

    def close_stream(self, stream: Stream, outcome: int) -> None:
        """The end of every stream: out of the table, counted, and told to the layer above."""
        if stream.counted:
            stream.counted = False
            if stream.local:
                self.streams_local -= 1
            else:
                self.streams_remote -= 1
            if self.tracking:
                self.slots[_STREAM_ACTIVE + self.role] -= 1
                self.slots[_STREAMS + self.role * _OUTCOMES + outcome] += 1
        self.streams.pop(stream.key, None)
        if self.latest is stream:
            self.latest = None
        if stream.id & 1 == 0 and stream.closed_by:
            self.promise_ended(outcome)
        self.fields_bytes -= stream.fields_bytes
        stream.fields_bytes = 0
        if stream.held_bytes:
            self.held_bytes -= stream.held_bytes
            stream.held_bytes = 0
        if stream.body_open:
            stream.body_open = False
            self.bodies_open -= 1
        if stream.local and stream.trace is not None:
            self.traced_open -= 1
        if outcome == _COMPLETED:
            self.guards.response_completed()
            self.guards.stream_closed(0)
        stream.closed_at = self.now
        self.active_at = self.now
        self.release(stream)
        self.handler.stream_closed(stream)
        if self.stream_pool is not None:
            self.ended.append(stream)

    def count_refused(self) -> None:
        """A stream of the peer was refused, so it was never opened here."""
        self.streams_refused += 1
        if self.tracking:
            self.slots[_STREAMS + self.role * _OUTCOMES + _REFUSED] += 1

    def promise_ended(self, outcome: int) -> None:
        """A promised stream ended before its response did."""
        if outcome == _REFUSED:
            self.slots[_PUSH_PROMISES + self.role * _PUSH_RESULTS + _PUSH_REFUSED] += 1
        elif outcome == _RESET_SENT or outcome == _RESET_RECV:
            self.slots[_PUSH_PROMISES + self.role * _PUSH_RESULTS + _PUSH_CANCELLED] += 1

    def release(self, stream: Stream) -> None:
        """Give up what the stream still holds: queued body, and window credit for a body nobody will read."""
        if stream.queued:
            self.queued -= stream.queued
            stream.queued = 0
        stream.queue = None
        if stream.scheduled:
            self.scheduler.remove(stream)
        # A stream that ended in order may still be read; only a reset one is abandoned.
        if stream.closed_by and stream.small_unread:
            self.guards.small_unread -= stream.small_unread
            stream.small_unread = 0
        if stream.closed_by and stream.recv_unread:
            unread = stream.recv_unread
            stream.recv_unread = 0
            self.unread -= unread
            self.slots[_UNREAD + self.role] -= unread
            self.credit_connection(unread)

    def remember_reset(self, stream_id: int, by: int) -> None:
        """Frames that were under way when a stream was reset are not an error (RFC 9113 section 5.1); bounded."""
        table = self.reset_streams
        if len(table) >= self.reset_streams_max:
            oldest = next(iter(table))
            del table[oldest]
            self.forgotten_below = max(self.forgotten_below, oldest)
        table[stream_id] = by

    def write_rst(self, stream_id: int, code: int) -> None:
        writer.write_rst_stream(self.out, stream_id, code)
        self.sent(_RST_STREAM, 0, stream_id, 4)
        self.recorder.note_code(code)
        self.slots[_STREAM_RESETS + (self.role * 2 + counters.SEND) * _ERROR_CODES + error_slot(code)] += 1

    def reset_stream(self, stream: Stream, code: int, now: float) -> None:
        """End ``stream`` at once with RST_STREAM (RFC 9113 section 6.4).

        The application's own reset is not reported back through ``Handler.stream_reset``.  On a
        stream that is closed already it only returns the window credit of what nobody will read.
        """
        if stream.state == _CLOSED or self.closed:
            self.credit(stream, stream.recv_unread, now)
            return
        self.now = now
        self.reset_for(stream, code, None, _USER, _RESET_SENT)

    def reset_for(self, stream: Stream, code: int, error: StreamReset | None, by: int, outcome: int) -> None:
        """Reset ``stream``; ``error`` is what the layer above is told, None when it asked for it."""
        if stream.answered():
            outcome = _COMPLETED
        if stream.state != _HALF_CLOSED_REMOTE:
            self.guards.stream_closed(stream.recv_window)
            if stream.id == self.partial_stream:
                # There is no body any more whose rules the frame under way could be under.
                self.partial_stream = 0
                self.frame_since = self.now
        stream.step(_SEND_RST)
        stream.closed_by = by
        stream.closed_code = code
        self.write_rst(stream.id, code)
        self.remember_reset(stream.id, by)
        if error is not None:
            self.handler.stream_reset(stream, error)
        self.close_stream(stream, outcome)

    # -- flow control of what is received

    def credit_connection(self, n: int) -> None:
        """Return ``n`` octets to the connection's receive window, in batches of half of it (RFC 9113 section 6.9)."""
        if self.pressure or self.window_withheld:
            n = self.adjust_window(n)
        self.recv_uncredited += n
        if self.recv_uncredited >= self.connection_batch and not self.closed:
            writer.write_window_update(self.out, 0, self.recv_uncredited)
            self.sent(_WINDOW_UPDATE, 0, 0, 4)
            self.recv_window += self.recv_uncredited
            self.recv_uncredited = 0

    def adjust_window(self, n: int) -> int:
        """What of the credit ``n`` to return: under memory pressure the window shrinks by keeping it, later it is made good."""
        if self.pressure == _RELAXED:
            kept = -self.window_withheld
        else:
            kept = self.recv_target - _WINDOW_INITIAL
            if kept > n:
                kept = n
            if kept <= 0:
                return n
            if self.window_withheld == 0:
                self.slots[_SHRUNK] += 1
        self.window_withheld += kept
        self.recv_target -= kept
        self.set_batches()
        self.report_targets(self.recv_target, self.stream_target)
        return n - kept

    def credit(self, stream: Stream, n: int, now: float) -> None:
        """The application has used ``n`` octets of the stream's body; windows open again in batches."""
        self.now = now
        if n > stream.recv_unread:
            n = stream.recv_unread
        if n <= 0:
            return
        if stream.small_unread:
            small = stream.small_unread * n // stream.recv_unread
            stream.small_unread -= small
            self.guards.small_unread -= small
        stream.recv_unread -= n
        self.unread -= n
        self.slots[_UNREAD + self.role] -= n
        self.credit_connection(n)
        self.credit_stream(stream, n)

    def credit_stream(self, stream: Stream, n: int) -> None:
        """The same for the stream's own window, while the peer can still send into it."""
        if stream.state == _CLOSED or stream.state == _HALF_CLOSED_REMOTE:
            return
        stream.recv_uncredited += n
        if stream.recv_target != self.stream_target:
            # The target has moved: a larger one is granted on top, a smaller one is reached by holding credit back.
            stream.recv_uncredited += self.stream_target - stream.recv_target
            stream.recv_target = self.stream_target
        if stream.recv_uncredited >= self.stream_batch and not self.closed:
            writer.write_window_update(self.out, stream.id, stream.recv_uncredited)
            self.sent(_WINDOW_UPDATE, 0, stream.id, 4)
            stream.recv_window += stream.recv_uncredited
            stream.recv_uncredited = 0

    # -- memory

    def settle(self) -> None:
        """After a read or before a write: account for memory, and take back the streams that nobody holds."""
        self.account()
        if self.ended and self.stream_pool is not None:
            self.stream_pool.give_all(self.ended)

    def account(self) -> None:
        """Report what the connection holds, and learn how pressing it is."""
        budget = self.budget
        if budget is None or not self.counted:
            return
        streams = len(self.streams) * _STREAM_BYTES + self.fields_bytes
        hpack = self.encoder.table.size + self.decoder.table.size
        queues = self.queued + self.unread
        changed = streams != self._reported_streams or hpack != self._reported_hpack or queues != self._reported_queues
        if changed or not self.memory_bytes:
            self._report_memory(_CONNECTION_BYTES, streams, hpack, queues)
        self.pressure = budget.check(self.now)
        if self.memory_bytes >= self._memory_refuse:
            self.pressure = _REFUSE
        elif self.memory_bytes >= self._memory_shrink and self.pressure == _RELAXED:
            self.pressure = _SHRINK

    def _report_memory(self, own: int, streams: int, hpack: int, queues: int) -> None:
        slots = self.slots
        if own and not self.memory_bytes:
            slots[_MEMORY_CONNECTIONS] += own
        elif not own and self.memory_bytes:
            slots[_MEMORY_CONNECTIONS] -= _CONNECTION_BYTES
        slots[_MEMORY_STREAMS] += streams - self._reported_streams
        slots[_MEMORY_HPACK] += hpack - self._reported_hpack
        slots[_MEMORY_QUEUES] += queues - self._reported_queues
        self._reported_streams = streams
        self._reported_hpack = hpack
        self._reported_queues = queues
        self.memory_bytes = own + streams + hpack + queues

    # -- output

    def out_size(self) -> int:
        """Octets waiting to be taken."""
        return self.out.size()

    def data_to_send(self) -> bytes:
        """Take the output as one piece."""
        self.report()
        return self.out.take()

    def chunks_to_send(self) -> list[bytes | memoryview]:
        """Take the output as immutable pieces in order; large bodies are the caller's own objects."""
        self.report()
        return self.out.take_chunks()

    def report(self) -> None:
        """Bring the gauges up to date, once per write: frames in it, and the connection's windows."""
        written = self.frames_written - self._frames_flushed
        if written and self.frame_metrics:
            self._frames_flushed = self.frames_written
            self._flush_frames.record(written)
        self.settle()
        if self.counted:
            # What a connection writes after its end, a last GOAWAY, has no windows any more.
            self._report_windows(self.send_window, self.recv_window)

    def _report_windows(self, send: int, recv: int) -> None:
        place = _WINDOW + self.role * 2
        self.slots[place] += send - self._reported_send
        self.slots[place + 1] += recv - self._reported_recv
        self._reported_send = send
        self._reported_recv = recv

    def report_targets(self, connection: int, stream: int) -> None:
        """The windows that are aimed at, as sums over connections."""
        place = _TARGET + self.role * 2
        self.slots[place] += connection - self._reported_target
        self.slots[place + 1] += stream - self._reported_stream_target
        self._reported_target = connection
        self._reported_stream_target = stream

    @property
    def streams_open(self) -> int:
        """Streams that count against the two concurrency limits."""
        return self.streams_local + self.streams_remote

    def describe(self) -> dict[str, Any]:
        """A snapshot for consoles and error reports."""
        return {
            "role": counters.ROLES[self.role],
            "streams_open": self.streams_local + self.streams_remote,
            "send_window": self.send_window,
            "recv_window": self.recv_window,
            "recv_target": self.recv_target,
            "stream_target": self.stream_target,
            "rtt_s": self.tuner.rtt_s,
            "bandwidth_delay_bytes": self.tuner.bandwidth_delay_bytes,
            "queued_bytes": self.queued,
            "memory_bytes": self.memory_bytes,
            "requests": self.requests,
            "local_settings": dict(self.local_settings),
            "remote_settings": dict(self.remote_settings),
        }
