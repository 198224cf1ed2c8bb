"""Events: the same calls as ``Handler``'s, as objects, for people who use the engine by hand."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConnectionTerminated, StreamReset
from ..streams.stream import Stream
from .handler import Handler

__all__ = [
    "ConnectionEnded",
    "DataReceived",
    "Event",
    "EventCollector",
    "GoAwayReceived",
    "InformationalReceived",
    "PingAcknowledged",
    "PushReceived",
    "RequestReceived",
    "ResponseReceived",
    "SettingsReceived",
    "StreamClosed",
    "StreamEnded",
    "StreamWritable",
    "TrailersReceived",
]


@dataclass(slots=True)
class Event:
    """Base of all events."""


@dataclass(slots=True)
class RequestReceived(Event):
    """A request; pseudo-header fields are attributes of ``stream``."""

    stream: Stream
    end_stream: bool


@dataclass(slots=True)
class ResponseReceived(Event):
    """A final response; ``stream.status`` and ``stream.headers`` are set."""

    stream: Stream
    end_stream: bool


@dataclass(slots=True)
class InformationalReceived(Event):
    """A 1xx response."""

    stream: Stream
    status: int
    headers: list[tuple[bytes, bytes]]


@dataclass(slots=True)
class DataReceived(Event):
    """Body octets; give them back with ``Connection.credit``."""

    stream: Stream
    data: bytes
    end_stream: bool


@dataclass(slots=True)
class TrailersReceived(Event):
    """``stream.trailers`` is set, the message is complete."""

    stream: Stream


@dataclass(slots=True)
class StreamEnded(Event):
    """The stream ended early."""

    stream: Stream
    error: StreamReset


@dataclass(slots=True)
class StreamWritable(Event):
    """Queued body fell below the low-water mark."""

    stream: Stream


@dataclass(slots=True)
class StreamClosed(Event):
    """The stream is over."""

    stream: Stream


@dataclass(slots=True)
class PushReceived(Event):
    """The server promised a response."""

    stream: Stream
    promised: Stream


@dataclass(slots=True)
class GoAwayReceived(Event):
    """The peer takes no new streams."""

    last_stream_id: int
    code: int
    debug: bytes


@dataclass(slots=True)
class SettingsReceived(Event):
    """The peer's settings changed."""


@dataclass(slots=True)
class PingAcknowledged(Event):
    """The peer answered a PING; ``rtt_s`` in seconds."""

    payload: bytes
    rtt_s: float


@dataclass(slots=True)
class ConnectionEnded(Event):
    """The connection is over."""

    error: ConnectionTerminated


class EventCollector(Handler):
    """Turns calls into events."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def take(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        self._events.append(RequestReceived(stream, end_stream))

    def response_received(self, stream: Stream, end_stream: bool) -> None:
        self._events.append(ResponseReceived(stream, end_stream))

    def informational_received(self, stream: Stream, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._events.append(InformationalReceived(stream, status, headers))

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        self._events.append(DataReceived(stream, data, end_stream))

    def trailers_received(self, stream: Stream) -> None:
        self._events.append(TrailersReceived(stream))

    def stream_reset(self, stream: Stream, error: StreamReset) -> None:
        self._events.append(StreamEnded(stream, error))

    def stream_writable(self, stream: Stream) -> None:
        self._events.append(StreamWritable(stream))

    def stream_closed(self, stream: Stream) -> None:
        self._events.append(StreamClosed(stream))

    def push_received(self, stream: Stream, promised: Stream) -> None:
        self._events.append(PushReceived(stream, promised))

    def goaway_received(self, last_stream_id: int, code: int, debug: bytes) -> None:
        self._events.append(GoAwayReceived(last_stream_id, code, debug))

    def settings_received(self) -> None:
        self._events.append(SettingsReceived())

    def ping_acknowledged(self, payload: bytes, rtt_s: float) -> None:
        self._events.append(PingAcknowledged(payload, rtt_s))

    def connection_terminated(self, error: ConnectionTerminated) -> None:
        self._events.append(ConnectionEnded(error))
