"""How connections end, seen from outside: GOAWAY is delivered, then the end, whatever else is under way."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal

from h2o_otel.server import Server
from tests.support import wire
from tests.support.judged import requirement
from tests.support.peers import Certificates
from tests.support.spec import PROTOCOL_ERROR, Conn, connected, server_of, serving
from tests.support.wire import data, frame, goaway, headers, ping

BODY = b"x" * 200_000
VIOLATION = frame(wire.PING, 0, 3, bytes(8))


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the request, then answers with more than a window holds."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": BODY})


@pytest.fixture(params=["h2c", "tls"])
def running(request: pytest.FixtureRequest, certificates: Certificates, portal: BlockingPortal) -> Iterator[tuple[Server, Any]]:
    """A server of its own for each test, since some end it, and the context to connect with."""
    server, context = server_of(app, request.param == "tls", certificates, timeout_graceful_shutdown=5)
    with serving(portal, server):
        yield server, context


@pytest.fixture
def conn(running: tuple[Server, Any]) -> Iterator[Conn]:
    server, context = running
    with connected(server.addresses[0], context) as made:
        made.handshake()
        yield made


def get(conn: Conn, stream_id: int = 1) -> bytes:
    return headers(stream_id, conn.request(), end_stream=True)


@requirement("9113-5.4.1-1", "9113-6.8-7")
def test_goaway_survives_what_is_not_read_any_more(conn: Conn) -> None:
    """Closing a socket with unread input would make TCP reset it, and the reset would overtake the GOAWAY."""
    conn.sends(VIOLATION, *(ping(bytes(8)) for _ in range(1000)), bytes(20_000))
    conn.connection_error(PROTOCOL_ERROR)


@requirement("9113-5.4.1-1")
def test_goaway_comes_behind_a_body_under_way(conn: Conn) -> None:
    """The part of a response that is already in the output is not cut inside a frame."""
    conn.sends(get(conn), VIOLATION)
    conn.connection_error(PROTOCOL_ERROR)
    assert [f.type for f in conn.seen if f.type == wire.GOAWAY] == [wire.GOAWAY]


@requirement("9113-6.8-1", "9113-6.8-7")
def test_client_that_says_goodbye_gets_its_response(conn: Conn) -> None:
    conn.sends(get(conn), goaway(0))
    received = 0
    while received < len(BODY):
        size = len(conn.until(lambda f: f.type == wire.DATA).payload)
        conn.sends(wire.window_update(0, size), wire.window_update(1, size))
        received += size
    assert received == len(BODY)


@requirement("9113-6.8-6")
def test_stopping_server_finishes_requests_then_ends(conn: Conn, running: tuple[Server, Any], portal: BlockingPortal) -> None:
    """GOAWAY with 2^31-1 and a PING, then GOAWAY with the last stream, the response, and the end."""
    server, _ = running
    conn.sends(headers(1, conn.request(b"POST")), data(1, b"x"))
    conn.alive()
    portal.call(server.stop)
    first = conn.until(lambda f: f.type == wire.GOAWAY)
    assert struct.unpack(">LL", first.payload[:8]) == (2**31 - 1, 0)
    answer = conn.until(lambda f: f.type == wire.PING)
    conn.sends(ping(answer.payload, ack=True))
    second = conn.until(lambda f: f.type == wire.GOAWAY)
    assert struct.unpack(">LL", second.payload[:8]) == (1, 0)
    conn.sends(data(1, end_stream=True), wire.window_update(0, 2**20), wire.window_update(1, 2**20))
    conn.stream_closed()
    conn.closed()


@requirement("9113-6.8-6")
def test_stopping_server_ends_idle_connections(conn: Conn, running: tuple[Server, Any], portal: BlockingPortal) -> None:
    server, _ = running
    portal.call(server.stop)
    answer = conn.until(lambda f: f.type == wire.PING)
    conn.sends(ping(answer.payload, ack=True))
    conn.closed()
    assert [f.type for f in conn.seen][-2:] == [wire.PING, wire.GOAWAY]
