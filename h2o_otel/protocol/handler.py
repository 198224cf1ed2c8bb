"""What a connection tells the layer above, as method calls.

Every method is called from inside ``receive``, ``tick``, ``connection_lost`` or a ``send_*``
verb.  An implementation may call any verb of the connection from any of them (except
``receive``, which is not re-entrant).  Defaults do nothing.
"""

from __future__ import annotations

from ..errors import ConnectionTerminated, StreamReset
from ..rules import Violation
from ..streams.stream import Stream

__all__ = ["Handler"]


class Handler:
    """Base of the server's and the client's protocol objects; compiled subclasses are called without a lookup."""

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        """A request's field section is complete; ``end_stream`` when it has no body."""

    def response_received(self, stream: Stream, end_stream: bool) -> None:
        """The final response's field section is complete."""

    def informational_received(self, stream: Stream, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """A 1xx response."""

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        """Body octets; give them back with ``Connection.credit`` once they are used.

        Empty where the body goes into ``stream.assembly``: ``stream.recv_unread`` is what there is to give back.
        """

    def trailers_received(self, stream: Stream) -> None:
        """``stream.trailers`` is set; the message is complete."""

    def stream_reset(self, stream: Stream, error: StreamReset) -> None:
        """The stream ended early, by the peer, by a rule, or because the connection ended; once per stream, before ``stream_closed``."""

    def short_of(self) -> str:
        """The resource that is short, beside memory, so that bodies have to make progress; "" while none is."""
        return ""

    def body_overdue(self, stream: Stream, violation: Violation) -> bool:
        """The request's body does not come, and no response has begun: true where the layer above has answered and ended the stream."""
        return False

    def request_refused(self, stream_id: int, rule: str, violation: Violation | None) -> None:
        """A request was reset before it became a stream; ``violation`` is the reason where it is a fault of the peer."""

    def stream_writable(self, stream: Stream) -> None:
        """Queued body went below the stream's low-water mark: producers may go on."""

    def stream_closed(self, stream: Stream) -> None:
        """The stream is over, however it ended; the last call that concerns it."""

    def push_received(self, stream: Stream, promised: Stream) -> None:
        """``promised`` carries the request that the server will answer unasked."""

    def goaway_received(self, last_stream_id: int, code: int, debug: bytes) -> None:
        """The peer will take no new stream; those above ``last_stream_id`` get ``stream_reset`` with REFUSED_STREAM."""

    def settings_received(self) -> None:
        """The peer's settings changed (``Connection.remote_settings``)."""

    def ping_acknowledged(self, payload: bytes, rtt_s: float) -> None:
        """The peer answered one of our PINGs."""

    def connection_terminated(self, error: ConnectionTerminated) -> None:
        """The connection is over; every open stream already got ``stream_reset``."""
