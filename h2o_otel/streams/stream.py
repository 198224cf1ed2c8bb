"""One HTTP/2 stream: its state, its windows, the message received and what waits to be sent."""

from __future__ import annotations

from collections import deque
from typing import Any

from ..buffers.assembly import Assembly
from ..counters import Trace
from .states import FORBIDDEN, TABLE, State, plain_step

__all__ = ["LOCAL", "REMOTE", "USER", "Stream"]

# Who closed a stream.
NOBODY, USER, LOCAL, REMOTE = range(4)
INITIATORS = ("", "user", "local", "remote")

_FORBIDDEN = FORBIDDEN
_HALF_CLOSED_LOCAL = int(State.HALF_CLOSED_LOCAL)
_TABLE = TABLE
_STEP = _TABLE


class Stream:
    """State of one stream, owned by its connection; ``user`` belongs to the layer above.

    Attributes:
        id: stream identifier (RFC 9113 section 5.1.1).
        state: a ``states.State``; ``step()`` is its only writer.
        closed_by: ``USER`` (the application), ``LOCAL`` (this library) or ``REMOTE`` once reset, else 0.
        closed_code: the error code of the reset.
        method: of the request.
        scheme, authority, path, protocol: pseudo-header fields received by a server, None when absent.
        status: of the final response, 0 before it was received by a client or sent by a server.
        local: this endpoint opened it.
        refused: the peer declared that it did nothing for this request (REFUSED_STREAM, or GOAWAY below it),
            so it may be sent again.
        headers: regular fields received, in order, as ``(name, value)`` pairs of bytes.
        trailers: the same for the trailer section, None before.
        content_length: as announced by the peer, -1 when it was not.
        send_window, recv_window: octets (RFC 9113 section 5.2); ``send_window`` may be negative.
        recv_target: what ``recv_window``, ``recv_unread`` and credit that is held back add up to.
        recv_unread: octets delivered that the layer above has not credited yet.
        assembly: where DATA that arrives is put, set by the layer above; None when it is handed out in pieces.
        awaited: the layer above waits for body; one that does something else sets it to false meanwhile, and the peer owes nothing.
        body_received, body_sent: octets of DATA without padding.
        queued: octets of DATA waiting for a window or for room in the output.
        urgency, incremental: RFC 9218 priority.
        key: ``id`` as the object that the connection's table has it under.
        ahead, behind: neighbours in the scheduler's queue.
        opened_at, headers_at, closed_at: times on the caller's clock, in seconds; 0.0 when not yet.
        stalled_s: seconds for which queued DATA waited for a window.
        trace: layer marks at telemetry level ``detail``, else None.
        generation: how many owners the object had before; see ``streams.pool``.
    """

    __slots__ = (
        "ahead",
        "assembly",
        "authority",
        "awaited",
        "behind",
        "blocked_since",
        "body_open",
        "body_received",
        "body_sent",
        "closed_at",
        "closed_by",
        "closed_code",
        "content_length",
        "counted",
        "fields_bytes",
        "generation",
        "head_request",
        "headers",
        "headers_at",
        "headers_done",
        "headers_sent",
        "held_bytes",
        "id",
        "incremental",
        "informational",
        "informational_bytes",
        "key",
        "local",
        "method",
        "opened_at",
        "path",
        "protocol",
        "queue",
        "queue_end",
        "queue_offset",
        "queue_trailers",
        "queued",
        "recv_mark",
        "recv_since",
        "recv_target",
        "recv_uncredited",
        "recv_unread",
        "recv_window",
        "refused",
        "scheduled",
        "scheme",
        "send_mark",
        "send_since",
        "send_total_mark",
        "send_window",
        "small_unread",
        "stalled_s",
        "state",
        "states_plain",
        "status",
        "trace",
        "trailers",
        "urgency",
        "user",
        "writable_wanted",
    )

    def __init__(self, id: int, send_window: int, recv_window: int, now: float) -> None:
        self.generation = 0
        self.begin(id, send_window, recv_window, now)

    def begin(self, id: int, send_window: int, recv_window: int, now: float) -> None:
        """Every field at its beginning; ``__init__`` without the cost of a Python call."""
        self.id = id
        self.key = 0
        self.state = 0
        self.states_plain = False
        self.closed_by = 0
        self.closed_code = 0
        self.counted = False
        self.method: bytes | None = None
        self.scheme: bytes | None = None
        self.authority: bytes | None = None
        self.path: bytes | None = None
        self.protocol: bytes | None = None
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] | None = None
        self.trailers: list[tuple[bytes, bytes]] | None = None
        self.content_length = -1
        self.headers_done = False
        self.fields_bytes = 0
        self.held_bytes = 0
        self.informational = 0
        self.informational_bytes = 0
        self.head_request = False
        self.headers_sent = False
        self.local = False
        self.refused = False
        self.send_window = send_window
        self.recv_window = recv_window
        self.recv_target = recv_window
        self.recv_uncredited = 0
        self.recv_unread = 0
        self.assembly: Assembly | None = None
        self.body_received = 0
        self.body_sent = 0
        self.queue: deque[bytes] | None = None
        self.queued = 0
        self.queue_offset = 0
        self.queue_end = False
        self.queue_trailers: list[tuple[bytes, bytes]] | None = None
        self.scheduled = False
        self.ahead: Stream | None = None
        self.behind: Stream | None = None
        self.writable_wanted = False
        self.blocked_since = 0.0
        self.body_open = False
        self.awaited = True
        self.small_unread = 0
        self.recv_since = 0.0
        self.recv_mark = 0
        self.send_since = 0.0
        self.send_mark = 0
        self.send_total_mark = 0
        self.stalled_s = 0.0
        self.urgency = 3
        self.incremental = False
        self.opened_at = now
        self.headers_at = 0.0
        self.closed_at = 0.0
        self.user: Any = None
        self.trace: Trace | None = None

    def clear(self) -> None:
        """Let go of everything, for the next owner to begin with."""
        self.generation += 1
        self.key = 0
        self.method = None
        self.scheme = None
        self.authority = None
        self.path = None
        self.protocol = None
        self.headers = None
        self.trailers = None
        self.assembly = None
        self.queue = None
        self.queue_trailers = None
        self.user = None
        self.trace = None

    def step(self, input: int) -> int:
        """Take ``input``: the state changes and is returned, or ``FORBIDDEN`` is and nothing changes."""
        if self.states_plain:
            state = plain_step(self.state, input)
        else:
            state = _STEP[self.state * 16 + input]
        if state != _FORBIDDEN:
            self.state = state
        return state

    def allows(self, input: int) -> bool:
        """Whether ``step(input)`` would be taken."""
        if self.states_plain:
            return plain_step(self.state, input) != _FORBIDDEN
        return _STEP[self.state * 16 + input] != _FORBIDDEN

    def answered(self) -> bool:
        """Whether a request of the peer has its whole response; what is left of its body changes nothing for it."""
        return not self.local and self.state == _HALF_CLOSED_LOCAL

    def __repr__(self) -> str:
        return f"<Stream {self.id} state={self.state} send_window={self.send_window} recv_window={self.recv_window} queued={self.queued}>"
