"""Bodies that make no progress: who owes what, how long a pause may be, and what ends.

While no resource is short, a peer may pause for as long as ``EngineLimits.body_stall_timeout_s`` and
``send_stall_timeout_s``; while one is, bodies have to keep up a rate.
"""

from __future__ import annotations

from .. import counters
from ..errors import StreamReset
from ..rules import RULES, Violation, fail
from ..streams.stream import LOCAL, Stream
from .core import PROGRESS_INTERVAL_S, RESET_SENT
from .receive import ReceiveHalf

__all__ = ["ProgressHalf"]

_LOCAL = LOCAL
_RESET_SENT = RESET_SENT
# A limit so short that there is no check half way.
_SHORT_S = 2.0 * PROGRESS_INTERVAL_S


class ProgressHalf(ReceiveHalf):
    """What time does to bodies."""

    def break_off(self, stream: Stream, violation: Violation) -> None:
        """Reset ``stream`` for ``violation``."""
        rule = violation.rule
        error = StreamReset(
            violation.fault(),
            rule=rule.token,
            code=rule.code,
            scope="stream",
            stream_id=stream.id,
            initiator="local",
            limit=violation.fields.get("limit"),
            actual=violation.fields.get("actual"),
            flight=self.recorder.log(),
        )
        self.reset_for(stream, rule.code, error, _LOCAL, _RESET_SENT)

    def check_progress(self) -> bool:
        """End streams whose peer neither sends the body it owes nor takes the one it asked for.

        Progress is counted in octets of body, so a dribble of frames does not count as one.  While no
        resource is short, a pause is all that is looked for.

        Returns:
            The last stream was ended, and the peer does not read: the connection is of no use any more.
        """
        self.progress_at = self.now + PROGRESS_INTERVAL_S
        self.look_for_shortage()
        if self.bodies_open and not self.strict_at and not self.held_bytes:
            # Streams that are held beyond the limit are no excuse: they are there only until our SETTINGS are acknowledged.
            self.uploading_at = self.now
        ended = False
        for stream in list(self.streams.values()):
            violation = self.receive_progress(stream) or self.send_progress(stream)
            if violation is not None and not self.closed:
                ended = True
                self.end_overdue(stream, violation)
        return ended and not self.streams and not self.closed and (self.paused or self.asked_at != 0.0)

    def look_for_shortage(self) -> None:
        """Learn whether memory or a resource of the layer above is short."""
        budget = self.budget
        if budget is not None:
            budget.check(self.now)
        if (budget is not None and budget.short) or self.handler.short_of():
            if not self.strict_at:
                self.strict_at = self.now
        else:
            self.strict_at = 0.0

    def end_overdue(self, stream: Stream, violation: Violation) -> None:
        """A body makes no progress: 408 where the layer above can still say so, else RST_STREAM.

        That is no fault which ``made_you_reset`` counts: a proxy has the streams of many clients on one connection.
        """
        token = violation.rule.token
        self.counters.count("frame_errors", (counters.ROLES[self.role], token))
        if violation.rule is RULES.body_stalled or violation.rule is RULES.body_too_slow:
            if not stream.headers_sent and self.handler.body_overdue(stream, violation):
                self.counters.count("abuse_detections", (token, "refused"))
                return
        self.counters.count("abuse_detections", (token, "reset"))
        self.break_off(stream, violation)

    def receive_progress(self, stream: Stream) -> Violation | None:
        """The peer owes body while the application waits for it, has used all there was, and the window is open.

        Extended CONNECT, CONNECT and responses that have begun beside an open-ended request are free to pause.
        """
        owed = (
            stream.body_open
            and stream.awaited
            and stream.recv_unread == 0
            and stream.recv_window > 0
            and stream.protocol is None
            and stream.method != b"CONNECT"
            and (stream.content_length >= 0 or not stream.headers_sent)
        )
        if not owed:
            stream.recv_since = 0.0
            return None
        # Octets of a frame that is not complete are progress, too.
        received = stream.body_received + (self.partial_bytes if stream.id == self.partial_stream else 0)
        if stream.recv_since == 0.0 or (not self.strict_at and received != stream.recv_mark):
            stream.recv_since = self.now
            stream.recv_mark = received
            return None
        limits = self.limits
        if not self.strict_at:
            paused = self.now - stream.recv_since
            if limits.body_stall_timeout_s is not None and paused >= limits.body_stall_timeout_s:
                return fail(RULES.body_stalled, stream.id, actual=paused, limit=limits.body_stall_timeout_s)
            return None
        elapsed = self.now - max(stream.recv_since, self.strict_at)
        if elapsed < limits.body_rate_grace_s:
            return None
        rate = (received - stream.recv_mark) / elapsed
        if rate < limits.body_rate_min_bytes_per_s:
            return fail(RULES.body_too_slow, stream.id, actual=rate, limit=limits.body_rate_min_bytes_per_s)
        stream.recv_since = self.now
        stream.recv_mark = received
        return None

    def send_progress(self, stream: Stream) -> Violation | None:
        """Body is queued, and it is the peer (its window or its socket) that holds it up.

        A stream whose own window is open waits for the connection, and perhaps for other streams in
        front of it (RFC 9218 section 10): there progress is what the connection sends.
        """
        if not stream.queued or not (stream.send_window <= 0 or self.send_window <= 0 or self.paused):
            stream.send_since = 0.0
            return None
        # While the transport is full, what it still holds has not reached the peer.
        taken = self.bodies_sent - self.unsent if self.paused else self.bodies_sent
        own = stream.send_window <= 0 and not self.paused
        sent = stream.body_sent - stream.send_mark if own else taken - stream.send_total_mark
        limits = self.limits
        timeout_s = limits.send_stall_pressure_s if self.strict_at else limits.send_stall_timeout_s
        if stream.send_since == 0.0 or (not self.strict_at and sent > 0):
            self.mark_sent(stream, taken)
            if timeout_s is not None and timeout_s <= _SHORT_S:
                self.ask_whether_read()
            return None
        stalled = self.now - stream.send_since
        elapsed = stalled if not self.strict_at else self.now - max(stream.send_since, self.strict_at)
        if sent <= 0:
            if timeout_s is None:
                return None
            # Half way, once: the check comes at least every other interval.
            if timeout_s <= 2.0 * elapsed < timeout_s + 4.0 * PROGRESS_INTERVAL_S and elapsed < timeout_s:
                self.ask_whether_read()
            if elapsed >= timeout_s:
                return fail(RULES.send_stalled, stream.id, actual=stalled, limit=timeout_s)
        elif elapsed >= limits.send_rate_grace_s:
            if sent / elapsed < limits.send_rate_min_bytes_per_s:
                return fail(RULES.send_too_slow, stream.id, actual=sent / elapsed, limit=limits.send_rate_min_bytes_per_s)
            self.mark_sent(stream, taken)
        return None

    def mark_sent(self, stream: Stream, taken: int) -> None:
        """Progress of ``stream`` is measured from here on; ``taken`` is what the peer took of all bodies."""
        stream.send_since = self.now
        stream.send_mark = stream.body_sent
        stream.send_total_mark = taken
