"""Judgements of RFC 9113: a connection in a known state, what it is sent, and the error that this is or is not.

Every judgement ends with what an error must leave behind: after a stream error the connection answers
a PING, after a connection error the last frame is GOAWAY and nothing more is parsed.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.rules import CONNECTION, RULES, STREAM
from h2o_otel.streams.states import State
from tests.support.engine import GET, POST, Peer, requesting, serving
from tests.support.wire import GOAWAY, RST_STREAM, Frame, data, headers, ping, push_promise, request_block, response_block, rst_stream

ALIVE = b"stillyes"


def requirement(*ids: str) -> pytest.MarkDecorator:
    """The test proves these rows of ``tests/requirements.toml``."""
    return pytest.mark.requirement(*ids)


# -- connections in a known state; stream 1 is the one that matters


def server() -> Peer:
    return _clean(serving()[1])


def client() -> Peer:
    return _clean(requesting()[1])


def open_server() -> Peer:
    """Open: the client still owes the body of its request."""
    peer = server()
    peer.sends(headers(1, request_block(b"POST")))
    return _at(peer, State.OPEN)


def asked_server() -> Peer:
    """Half-closed (remote): the request is complete, the response is owed."""
    peer = server()
    peer.sends(headers(1, request_block(), end_stream=True))
    return _at(peer, State.HALF_CLOSED_REMOTE)


def short_server(left: int) -> Peer:
    """Open, and the connection's window has so many octets left, while the stream's has more."""
    peer = _clean(serving(replace(SERVER_LIMITS, connection_window_bytes=0))[1])
    peer.sends(headers(1, request_block(b"POST")), *_filling(left))
    assert peer.connection.recv_window == left < peer.connection.streams[1].recv_window
    return _clean(peer)


def short_client(left: int) -> Peer:
    """The same for a response."""
    connection, peer = requesting(replace(CLIENT_LIMITS, connection_window_bytes=0))
    connection.send_request(GET, True, peer.now)
    peer.sends(headers(1, response_block()), *_filling(left))
    assert peer.connection.recv_window == left < peer.connection.streams[1].recv_window
    return _clean(peer)


def _filling(left: int) -> list[bytes]:
    return [data(1, bytes(16_384)) for _ in range(3)] + [data(1, bytes(16_383 - left))]


def answered_server() -> Peer:
    """Half-closed (local): the response is complete, the request is not."""
    peer = open_server()
    peer.connection.send_response(peer.connection.streams[1], 200, [], True, peer.now)
    return _at(peer, State.HALF_CLOSED_LOCAL)


def done_server() -> Peer:
    """Closed: both sides sent END_STREAM."""
    peer = asked_server()
    peer.connection.send_response(peer.connection.streams[1], 200, [], True, peer.now)
    return _at(peer, None)


def reset_server() -> Peer:
    """Closed by RST_STREAM of this side, while the request was open."""
    peer = open_server()
    peer.connection.reset_stream(peer.connection.streams[1], 8, peer.now)
    return _at(peer, None)


def abandoned_server() -> Peer:
    """Closed by RST_STREAM of the peer."""
    peer = open_server()
    peer.sends(rst_stream(1, 8))
    return _at(peer, None)


def promising_server() -> Peer:
    """Stream 2 is reserved (local)."""
    peer = asked_server()
    peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    assert peer.connection.streams[2].state == State.RESERVED_LOCAL
    return _clean(peer)


def open_client() -> Peer:
    """Open: a request whose body is not complete."""
    peer = client()
    peer.connection.send_request(POST, False, peer.now)
    return _at(peer, State.OPEN)


def waiting_client() -> Peer:
    """Half-closed (local): the request is complete."""
    peer = client()
    peer.connection.send_request(GET, True, peer.now)
    return _at(peer, State.HALF_CLOSED_LOCAL)


def reading_client() -> Peer:
    """Half-closed (local), the response has begun."""
    peer = waiting_client()
    peer.sends(headers(1, response_block()))
    return _at(peer, State.HALF_CLOSED_LOCAL)


def uploading_client() -> Peer:
    """Half-closed (remote): the response is complete, the request is not."""
    peer = open_client()
    peer.sends(headers(1, response_block(), end_stream=True))
    return _at(peer, State.HALF_CLOSED_REMOTE)


def done_client() -> Peer:
    """Closed: both sides sent END_STREAM."""
    peer = waiting_client()
    peer.sends(headers(1, response_block(), end_stream=True))
    return _at(peer, None)


def reset_client() -> Peer:
    """Closed by RST_STREAM of this side."""
    peer = waiting_client()
    peer.connection.reset_stream(peer.connection.streams[1], 8, peer.now)
    return _at(peer, None)


def abandoned_client() -> Peer:
    """Closed by RST_STREAM of the peer."""
    peer = waiting_client()
    peer.sends(rst_stream(1, 8))
    return _at(peer, None)


def pushing_client() -> Peer:
    """A client that takes promises; its request on stream 1 is complete."""
    connection, peer = requesting(push=True)
    connection.send_request(GET, True, peer.now)
    return _clean(peer)


def promised_client() -> Peer:
    """Stream 2 is reserved (remote)."""
    peer = pushing_client()
    peer.sends(push_promise(1, 2, request_block()))
    assert peer.connection.streams[2].state == State.RESERVED_REMOTE
    return _clean(peer)


BOTH = [server, client]
WITH_STREAM = [open_server, waiting_client]
RECEIVING = [open_server, reading_client]


def message(peer: Peer, *fields: tuple[bytes, bytes]) -> bytes:
    """A whole request or response block of the peer, with these fields behind its pseudo-header fields."""
    return response_block(200, *fields) if peer.connection.client else request_block(b"POST", b"/", *fields)


def first_message(*fields: tuple[bytes, bytes], end_stream: bool = False) -> dict[Any, bytes]:
    """The octets that begin stream 1 towards each maker of ``STARTING``."""
    return {
        server: headers(1, request_block(b"POST", b"/", *fields), end_stream=end_stream),
        waiting_client: headers(1, response_block(200, *fields), end_stream=end_stream),
    }


STARTING = [server, waiting_client]


# -- judgements


def connection_error(peer: Peer, rule: str, *octets: bytes, stream_id: int | None = None) -> Any:
    """The octets break ``rule``: GOAWAY with its code and the last stream, the end, and deafness from there on."""
    row = getattr(RULES, rule)
    assert row.scope == CONNECTION
    peer.sends(*octets)
    error = peer.errors()[-1]
    assert (error.rule, error.code, error.scope, error.initiator) == (rule, row.code, "connection", "local")
    if stream_id is not None:
        assert error.stream_id == stream_id
    last = peer.gets_frames()[-1]
    assert last[:3] == (GOAWAY, 0, 0)
    assert struct.unpack_from(">LL", last.payload) == (peer.connection.last_remote_stream_id, row.code)
    assert peer.connection.closed
    assert not peer.connection.streams
    peer.sends(ping(ALIVE))
    peer.gets()
    return error


def stream_error(peer: Peer, rule: str, *octets: bytes, stream_id: int = 1) -> Any:
    """The octets break ``rule`` on one stream: one RST_STREAM, and the connection lives."""
    row = getattr(RULES, rule)
    assert row.scope == STREAM
    counted = peer.counted("frame_errors")
    peer.sends(*octets)
    told = [error for error in peer.errors() if error.rule == rule]
    sent = peer.gets_frames()
    wanted = Frame(RST_STREAM, 0, stream_id, struct.pack(">L", row.code))
    assert [f for f in sent if f.type in (RST_STREAM, GOAWAY)] == [wanted]
    assert stream_id not in peer.connection.streams
    for error in told:
        assert (error.code, error.scope, error.stream_id, error.initiator) == (row.code, "stream", stream_id, "local")
    key = "client" if peer.connection.client else "server", rule
    assert peer.counted("frame_errors") == {**counted, key: counted.get(key, 0) + 1}
    alive(peer)
    return told[0] if told else None


def accepted(peer: Peer, *octets: bytes) -> list[str]:
    """The octets are no error: nothing is reset and the connection lives; returns what happened."""
    counted = peer.counted("frame_errors")
    peer.sends(*octets)
    happened = peer.happened()
    assert not [f for f in peer.gets_frames() if f.type in (RST_STREAM, GOAWAY)]
    assert not [event for event in happened if event.startswith("terminated") or event.endswith("by local")]
    assert peer.counted("frame_errors") == counted
    alive(peer)
    return happened


def alive(peer: Peer) -> None:
    """A PING is answered, and nothing else is said."""
    peer.sends(ping(ALIVE))
    peer.gets(ping(ALIVE, ack=True))
    assert not peer.connection.closed


def body(peer: Peer) -> bytes:
    """DATA that ends stream 1, for tests that go on with it."""
    return data(1, b"body", end_stream=True)


def _clean(peer: Peer) -> Peer:
    peer.forget()
    return peer


def _at(peer: Peer, state: State | None) -> Peer:
    stream = peer.connection.streams.get(1)
    assert (None if stream is None else State(stream.state)) == state
    return _clean(peer)
