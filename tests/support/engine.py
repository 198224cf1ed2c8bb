"""A connection under test and the peer it talks to, so that a test reads as a transcript.

server, peer = serving()
peer.sends(headers(1, request_block(), end_stream=True))
peer.sees("request 1 end")
server.send_response(server.streams[1], 204, [], True, peer.now)
peer.gets(headers(1, b"\\x89", end_stream=True))
"""

from __future__ import annotations

from typing import Any

from h2o_otel.counters import Counters, Snapshot
from h2o_otel.errors import ErrorCode
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits
from h2o_otel.protocol import events
from h2o_otel.protocol.config import DEFAULT_TUNING, client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.tuning import Tuning
from tests.support.wire import PREFACE, Frame, frames, settings, settings_ack

GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"example.com")]
POST = [(b":method", b"POST"), *GET[1:]]


class Peer:
    """The other end: sends octets, looks at what comes back and at the events that its octets caused."""

    def __init__(self, connection: Any, block: Counters) -> None:
        self.connection = connection
        self.block = block
        self.now = 1.0
        self.events: list[events.Event] = []

    def sends(self, *octets: bytes) -> None:
        """In a fresh ``bytes`` of its exact length, so that an over-read is one in a checked build, too."""
        self.events += self.connection.receive(b"".join(octets), self.now)

    def sends_slowly(self, *octets: bytes) -> None:
        for octet in b"".join(octets):
            self.events += self.connection.receive(bytes([octet]), self.now)

    def gets(self, *expected: bytes) -> None:
        """Exactly these octets are waiting."""
        octets = self.connection.data_to_send()
        wanted = b"".join(expected)
        assert frames(octets) == frames(wanted)
        assert octets == wanted

    def gets_frames(self) -> list[Frame]:
        return frames(self.connection.data_to_send())

    def sees(self, *expected: str) -> None:
        """Exactly these events happened since the last look."""
        assert self.happened() == list(expected)

    def happened(self) -> list[str]:
        found = [*self.events, *self.connection.take_events()]
        self.events = []
        return [told(event) for event in found]

    def read(self, family: str, *labels: str) -> int:
        """One slot of the counters by its labels."""
        snapshot = Snapshot()
        snapshot.add_block(self.block)
        return snapshot.value(family, *labels)

    def errors(self) -> list[Any]:
        """The errors of what happened since the last look."""
        found = [*self.events, *self.connection.take_events()]
        self.events = []
        return [e.error for e in found if isinstance(e, (events.StreamEnded, events.ConnectionEnded))]

    def counted(self, family: str) -> dict[tuple[str, ...], int]:
        return self.block.read_labelled()[family]  # type: ignore[return-value]

    def forget(self) -> None:
        """What was sent and seen so far is not of interest."""
        self.connection.data_to_send()
        self.happened()


def serving(
    limits: EngineLimits = SERVER_LIMITS,
    *,
    handshake: bool = True,
    handler: Any = None,
    connect: bool = True,
    require_authority: bool = False,
    tuning: Tuning = DEFAULT_TUNING,
) -> tuple[Connection, Peer]:
    """A server, and a client that has exchanged settings with it."""
    block = Counters()
    config = server_config(limits, tuning=tuning, enable_connect_protocol=connect, require_authority=require_authority)
    connection = Connection(config, handler, block)
    return connection, _met(connection, block, PREFACE, handshake)


def requesting(
    limits: EngineLimits = CLIENT_LIMITS,
    *,
    handshake: bool = True,
    handler: Any = None,
    push: bool = False,
    tuning: Tuning = DEFAULT_TUNING,
) -> tuple[Connection, Peer]:
    """A client, and a server that has exchanged settings with it."""
    block = Counters()
    connection = Connection(client_config(limits, tuning=tuning, enable_push=push), handler, block)
    return connection, _met(connection, block, b"", handshake)


def _met(connection: Connection, block: Counters, preface: bytes, handshake: bool) -> Peer:
    peer = Peer(connection, block)
    connection.start(peer.now)
    if handshake:
        peer.sends(preface, settings(), settings_ack())
        peer.forget()
    return peer


def told(event: events.Event) -> str:
    """An event in a few words."""
    end = " end" if getattr(event, "end_stream", False) else ""
    match event:
        case events.RequestReceived(stream=s):
            return f"request {s.id}{end}"
        case events.ResponseReceived(stream=s):
            return f"response {s.id} {s.status}{end}"
        case events.InformationalReceived(stream=s, status=status):
            return f"informational {s.id} {status}"
        case events.DataReceived(stream=s, data=data):
            return f"data {s.id} {data.decode('latin-1') if len(data) < 20 else len(data)}{end}"
        case events.TrailersReceived(stream=s):
            return f"trailers {s.id}"
        case events.StreamEnded(stream=s, error=error):
            return f"reset {s.id} {error.rule} {ErrorCode.label(error.code)} by {error.initiator}"
        case events.StreamClosed(stream=s):
            return f"closed {s.id}"
        case events.StreamWritable(stream=s):
            return f"writable {s.id}"
        case events.PushReceived(stream=s, promised=promised):
            return f"push {promised.id} on {s.id}"
        case events.GoAwayReceived(last_stream_id=last, code=code):
            return f"goaway {last} {ErrorCode.label(code)}"
        case events.PingAcknowledged(payload=payload):
            return f"pong {payload.decode('latin-1')}"
        case events.SettingsReceived():
            return "settings"
        case events.ConnectionEnded(error=error):
            return f"terminated {error.rule} {ErrorCode.label(error.code)} by {error.initiator}"
    return type(event).__name__
