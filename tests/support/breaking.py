"""Breaking the rules of ``rules.py``, one row at a time: connections in need of it, cases, and their judgement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from h2o_otel import counters
from h2o_otel.limits import SERVER_LIMITS, EngineLimits
from h2o_otel.rules import CONNECTION, RULES
from tests.support.engine import GET, Peer, requesting, serving
from tests.support.wire import (
    block,
    frames,
    goaway,
    headers,
    ping,
    request_block,
    rst_stream,
)

# -- the connection under test, before it gets the octets


def fresh_server() -> Peer:
    return serving(handshake=False)[1]


def fresh_client() -> Peer:
    return requesting(handshake=False)[1]


def server() -> Peer:
    return serving()[1]


def client() -> Peer:
    return requesting()[1]


def open_server() -> Peer:
    """Stream 1 has an open request."""
    peer = server()
    peer.sends(headers(1, request_block(b"POST")))
    return peer


def pressed_server() -> Peer:
    """Stream 1 has an open request, and a resource is short."""
    _, peer = serving(replace(SERVER_LIMITS, pressure_percent=0))
    peer.sends(headers(1, request_block(b"POST")))
    return peer


def connected_server() -> Peer:
    """Stream 1 is a tunnel."""
    connection, peer = serving()
    peer.sends(headers(1, block((b":method", b"CONNECT"), (b":authority", b"a:1"))))
    connection.send_response(connection.streams[1], 200, [], False, peer.now)
    return peer


def done_server() -> Peer:
    """Stream 1 is over."""
    connection, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    connection.send_response(connection.streams[1], 204, [], True, peer.now)
    return peer


def narrow_server() -> Peer:
    """Small bounds, and an open request on stream 1."""
    limits = replace(SERVER_LIMITS, streams_max=1, stream_window_bytes=100, connection_window_bytes=0, header_list_bytes_max=1000)
    peer = serving(limits)[1]
    peer.sends(headers(1, request_block(b"POST")))
    return peer


def wide_server() -> Peer:
    """The window of a stream is larger than the connection's, and stream 1 has an open request."""
    peer = serving(replace(SERVER_LIMITS, connection_window_bytes=0))[1]
    peer.sends(headers(1, request_block(b"POST")))
    return peer


def small_table_server() -> Peer:
    return serving(replace(SERVER_LIMITS, header_table_bytes=100))[1]


def pinging_server() -> Peer:
    connection, peer = serving()
    connection.send_ping(b"12345678", peer.now)
    return peer


def open_client() -> Peer:
    connection, peer = requesting()
    connection.send_request(GET, True, peer.now)
    return peer


def open_pushing_client() -> Peer:
    connection, peer = requesting(push=True)
    connection.send_request(GET, True, peer.now)
    return peer


def strict_server() -> Peer:
    """Two of everything that comes in floods."""
    limits = replace(
        SERVER_LIMITS,
        resets_received_burst=2,
        resets_sent_burst=2,
        pings_burst=2,
        settings_burst=2,
        glitches_burst=2,
        connection_window_bytes=0,
    )
    return serving(limits)[1]


def paused_server() -> Peer:
    connection, peer = serving(replace(SERVER_LIMITS, control_queue_frames_max=2))
    connection.pause_output()
    return peer


def pressed_answering_server() -> Peer:
    """The same while a resource is short."""
    return answering_server(replace(SERVER_LIMITS, pressure_percent=0))


def answering_server(limits: EngineLimits = SERVER_LIMITS) -> Peer:
    """The response of stream 1 waits for a window, as it did a second ago, and stream 3 for its application."""
    connection, peer = serving(limits)
    peer.sends(headers(1, request_block(), end_stream=True), headers(3, request_block(), end_stream=True))
    connection.send_response(connection.streams[1], 200, [], False, peer.now)
    connection.send_data(connection.streams[1], bytes(200_000), True, peer.now)
    after(1.0)(peer)
    return peer


def after(seconds: float) -> Callable[[Peer], None]:
    def wait(peer: Peer) -> None:
        end = peer.now + seconds
        while peer.now < end:
            peer.now += 1.0
            peer.connection.pump(peer.now)
            peer.connection.tick(peer.now)

    return wait


def nothing(peer: Peer) -> None:
    pass


# -- the transcripts


@dataclass(frozen=True)
class Case:
    """
    Attributes:
        rule: token of the row that is broken.
        of: makes the connection under test.
        octets: what breaks it.
        text: the whole text of the error, or "" for a request that the application never sees.
        then: what happens after the octets.
    """

    rule: str
    of: Callable[[], Peer]
    octets: bytes
    text: str = ""
    then: Callable[[Peer], None] = nothing

    def __str__(self) -> str:
        return f"{self.rule}-{self.of.__name__}"


# -- the judgement


def breaks(case: Case) -> None:
    """The octets at once: the counter, the last frame, and the errors that the application sees."""
    rule = getattr(RULES, case.rule)
    peer = case.of()
    peer.forget()
    peer.sends(case.octets)
    case.then(peer)
    errors = peer.errors()
    role = counters.ROLES[peer.connection.role]
    assert peer.counted("frame_errors")[role, case.rule] == 1
    last = frames(peer.connection.data_to_send())[-1]
    if rule.scope == CONNECTION:
        error = errors[-1]
        reason = case.text.replace("§", "section ").encode("ascii", "replace")
        assert last == frames(goaway(peer.connection.last_remote_stream_id, rule.code, reason[:200]))[0]
        assert peer.connection.closed
        assert (error.rule, error.code, error.scope, error.initiator) == (case.rule, rule.code, "connection", "local")
        assert str(error) == case.text
    else:
        assert last in frames(rst_stream(1, rule.code) + rst_stream(2, rule.code) + rst_stream(3, rule.code))
        told = [error for error in errors if error.rule == case.rule]
        assert [str(error) for error in told] == ([case.text] if case.text else [])
        for error in told:
            assert (error.code, error.scope, error.stream_id, error.initiator) == (rule.code, "stream", last.stream_id, "local")
        peer.sends(ping(b"stillyes"))
        peer.gets(ping(b"stillyes", ack=True))


def breaks_slowly(case: Case) -> None:
    """The octets one by one break the same rule."""
    peer = case.of()
    peer.forget()
    peer.sends_slowly(case.octets)
    case.then(peer)
    assert list(peer.counted("frame_errors"))[-1] == (counters.ROLES[peer.connection.role], case.rule)
