"""One stream as ``H2Connection.streams`` shows it, and the window arithmetic of the ``h2`` library."""

from __future__ import annotations

import enum

from ...limits import WINDOW_BYTES_MAX
from ...streams.states import State
from ...streams.stream import LOCAL, REMOTE, USER, Stream
from .config import H2Configuration
from .exceptions import FlowControlError

__all__ = ["H2Stream", "StreamClosedBy", "StreamState", "increment"]

# With its window used up, a peer is let on once so many octets of it were used.
_STARVED_BYTES = 1024


class StreamState(enum.IntEnum):
    IDLE = 0
    RESERVED_REMOTE = 1
    RESERVED_LOCAL = 2
    OPEN = 3
    HALF_CLOSED_REMOTE = 4
    HALF_CLOSED_LOCAL = 5
    CLOSED = 6


class StreamClosedBy(enum.Enum):
    SEND_END_STREAM = 0
    RECV_END_STREAM = 1
    SEND_RST_STREAM = 2
    RECV_RST_STREAM = 3


_STATES = [StreamState[State(value).name] for value in range(len(State))]
_RESET_BY = {USER: StreamClosedBy.SEND_RST_STREAM, LOCAL: StreamClosedBy.SEND_RST_STREAM, REMOTE: StreamClosedBy.RECV_RST_STREAM}


def increment(window: int, window_max: int, used: int) -> int:
    """By how much to open a window of which ``used`` octets were used since it was last opened; 0 is not yet.

    Half of the largest window at a time, sooner when nothing is left of it.
    """
    if used and (used >= window_max // 2 or (window == 0 and used > min(_STARVED_BYTES, window_max // 4))):
        return min(used, window_max - window)
    return 0


class H2Stream:
    """What the façade knows of a stream; the engine's own object is let go when the stream is over.

    Args:
        stream: the engine's stream; without one, an idle stream that belongs to no connection.

    Attributes:
        stream_id: its identifier.
        closed_by: how it ended, None while it is open.
        authority: of its request, None when unknown.
        window_max: the largest window that the peer was given on it.
    """

    __slots__ = ("_outbound", "_window", "authority", "closed_by", "config", "stream", "stream_id", "trailers_sent", "window_max")

    def __init__(
        self,
        stream_id: int,
        config: H2Configuration | None = None,
        inbound_window_size: int = 65_535,
        outbound_window_size: int = 65_535,
        stream: Stream | None = None,
    ) -> None:
        self.stream_id = stream_id
        self.config = config
        self.stream: Stream | None = Stream(stream_id, outbound_window_size, inbound_window_size, 0.0) if stream is None else stream
        self.closed_by: StreamClosedBy | None = None
        self.authority: bytes | None = None
        self.trailers_sent = False
        self.window_max = inbound_window_size
        self._window = inbound_window_size
        self._outbound = outbound_window_size

    def let_go(self, ended_by_peer: bool) -> None:
        """The stream is over."""
        stream = self.stream
        assert stream is not None
        if stream.closed_by:
            self.closed_by = _RESET_BY[stream.closed_by]
        else:
            self.closed_by = StreamClosedBy.RECV_END_STREAM if ended_by_peer else StreamClosedBy.SEND_END_STREAM
        self._window, self._outbound = stream.recv_window, stream.send_window
        self.stream = None

    @property
    def state(self) -> StreamState:
        """Its state (RFC 9113 section 5.1)."""
        return StreamState.CLOSED if self.stream is None else _STATES[self.stream.state]

    @property
    def open(self) -> bool:
        """Whether it counts against a limit on concurrent streams."""
        return self.stream is not None and self.stream.state in (State.OPEN, State.HALF_CLOSED_LOCAL, State.HALF_CLOSED_REMOTE)

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self.state is StreamState.CLOSED

    @property
    def inbound_flow_control_window(self) -> int:
        """Octets that the peer may send on it."""
        return self._window if self.stream is None else self.stream.recv_window

    @property
    def outbound_flow_control_window(self) -> int:
        """Octets that may be sent on it."""
        return self._outbound if self.stream is None else self.stream.send_window

    @outbound_flow_control_window.setter
    def outbound_flow_control_window(self, value: int) -> None:
        if self.stream is not None:
            self.stream.send_window = value

    def check_increment(self, n: int) -> None:
        """Raise ``FlowControlError`` where opening the peer's window by ``n`` would make it too large."""
        if self.inbound_flow_control_window + n > WINDOW_BYTES_MAX:
            raise FlowControlError(f"stream {self.stream_id}: a window of more than {WINDOW_BYTES_MAX} octets (RFC 9113 §6.9.1)")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} id:{self.stream_id} state:{self.state!r}>"
