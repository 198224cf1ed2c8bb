"""RFC 9113 section 6.8: GOAWAY, which streams it leaves, and an end in order."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from tests.support.engine import GET, POST
from tests.support.judged import (
    BOTH,
    WITH_STREAM,
    accepted,
    alive,
    asked_server,
    client,
    connection_error,
    open_server,
    promised_client,
    requirement,
    server,
    waiting_client,
)
from tests.support.wire import GOAWAY, WINDOW_UPDATE, data, frame, goaway, headers, push_promise, request_block, response_block


@requirement("9113-6.8-1")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
@pytest.mark.parametrize("stream_id", [1, 2, 3])
def test_goaway_on_a_stream(make: Any, stream_id: int) -> None:
    connection_error(make(), "frame_not_on_stream_zero", frame(GOAWAY, 0, stream_id, bytes(8)))


@requirement("9113-6.8-2")
def test_no_request_after_goaway() -> None:
    peer = waiting_client()
    peer.sends(goaway(2**31 - 1))
    peer.forget()
    assert not peer.connection.can_open_stream()
    with pytest.raises(LocalProtocolError, match="the peer sent GOAWAY"):
        peer.connection.send_request(GET, True, peer.now)
    peer.gets()
    assert accepted(peer, headers(1, response_block(), end_stream=True))[0] == "response 1 200 end"


@requirement("9113-6.8-2")
def test_no_promise_after_goaway() -> None:
    peer = asked_server()
    peer.sends(goaway(0))
    peer.forget()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    # The request under way is answered all the same.
    peer.connection.send_response(peer.connection.streams[1], 200, [], True, peer.now)
    peer.gets(headers(1, b"\x88", end_stream=True))


@requirement("9113-6.8-3")
@pytest.mark.parametrize("make", BOTH)
def test_last_stream_does_not_grow(make: Any) -> None:
    peer = make()
    peer.sends(goaway(5), goaway(5), goaway(3))
    assert [event[:6] for event in peer.happened()] == ["goaway"] * 3
    connection_error(peer, "goaway_last_stream_grew", goaway(5))


@requirement("9113-6.8-3")
def test_ours_does_not_grow() -> None:
    peer = open_server()
    connection = peer.connection
    connection.shutdown(peer.now)
    connection.finish_shutdown(peer.now)
    peer.sends(headers(3, request_block()), headers(5, request_block()))
    connection.close(0, peer.now)
    last = [struct.unpack_from(">L", f.payload)[0] for f in peer.gets_frames() if f.type == GOAWAY]
    assert last == [2**31 - 1, 1, 1]


@requirement("9113-6.8-4")
@pytest.mark.parametrize("code", [0, 2, 11])
def test_streams_above_the_last_were_not_processed(code: int) -> None:
    peer = client()
    for _ in range(3):
        peer.connection.send_request(POST, False, peer.now)
    peer.forget()
    streams = dict(peer.connection.streams)
    peer.sends(goaway(3, code))
    errors = peer.errors()
    assert [(e.stream_id, e.rule) for e in errors] == [(5, "goaway_received")]
    assert [streams[i].refused for i in (1, 3, 5)] == [False, False, True]
    peer.connection.send_data(streams[1], b"x", True, peer.now)
    peer.gets(data(1, b"x", end_stream=True))
    assert accepted(peer, headers(3, response_block()))[0] == "response 3 200"


@requirement("9113-6.8-5")
def test_streams_beyond_ours_are_discarded() -> None:
    """Their DATA counts and is credited to the connection at once."""
    peer = open_server()
    connection = peer.connection
    connection.shutdown(peer.now)
    connection.finish_shutdown(peer.now)
    peer.forget()
    window = connection.recv_window
    assert accepted(peer, headers(3, request_block(b"POST")), data(3, b"x"), data(3, b"x", end_stream=True)) == []
    assert connection.recv_window == window - 2
    credited = 0
    for _ in range(60):
        peer.sends(data(3, bytes(16_000)))
        credited += sum(int.from_bytes(f.payload, "big") for f in peer.gets_frames() if f.type == WINDOW_UPDATE and f.stream_id == 0)
    assert connection.recv_window == window - 2 - 60 * 16_000 + credited
    assert credited > 500_000
    assert accepted(peer, data(1, b"x", end_stream=True)) == ["data 1 x end"]


@requirement("9113-6.8-5")
def test_promises_beyond_ours_are_discarded() -> None:
    """Before the second GOAWAY they are taken; behind it their blocks count and nothing else."""
    peer = promised_client()
    peer.connection.shutdown(peer.now)
    peer.forget()
    assert accepted(peer, push_promise(1, 4, request_block(b"GET", b"/4"))) == ["push 4 on 1"]
    peer.connection.finish_shutdown(peer.now)
    peer.gets(goaway(4))
    octets = (push_promise(1, 6, request_block(b"GET", b"/6") + b"\x40\x01a\x01b"), headers(6, response_block()), data(6, b"x"))
    assert accepted(peer, *octets) == []
    assert accepted(peer, headers(4, response_block() + b"\xbe")) == ["response 4 200"]
    assert peer.connection.streams[4].headers == [(b"a", b"b")]


@requirement("9113-6.8-6")
def test_graceful_end_in_two_steps() -> None:
    peer = open_server()
    connection = peer.connection
    connection.shutdown(peer.now)
    peer.gets(goaway(2**31 - 1))
    assert accepted(peer, headers(3, request_block(), end_stream=True)) == ["request 3 end"]
    connection.finish_shutdown(peer.now)
    peer.gets(goaway(3))
    for stream_id in (1, 3):
        connection.send_response(connection.streams[stream_id], 204, [], True, peer.now)
    assert accepted(peer, data(1, end_stream=True))[-1] == "closed 1"
    assert not connection.streams


@requirement("9113-6.8-7", "9113-6.8-9")
@pytest.mark.parametrize("make", [server, client, open_server, waiting_client])
def test_goaway_before_the_end(make: Any) -> None:
    peer = make()
    peer.connection.close(0, peer.now, b"bye")
    peer.gets(goaway(1 if make is open_server else 0, 0, b"bye"))
    assert peer.connection.closed


@requirement("9113-6.8-8")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("size", [0, 4, 7])
def test_goaway_too_short(make: Any, size: int) -> None:
    connection_error(make(), "frame_size_wrong", frame(GOAWAY, 0, 0, bytes(size)))


@requirement("9113-6.8-8")
@pytest.mark.parametrize("make", WITH_STREAM)
def test_goaway_with_debug_data(make: Any) -> None:
    peer = make()
    assert accepted(peer, goaway(1, 0, b"\x00\xff" * 4000)) == ["goaway 1 NO_ERROR"]
    assert peer.connection.streams.keys() == {1}


@requirement("9113-6.8-8")
def test_reserved_bit_of_the_last_stream() -> None:
    peer = waiting_client()
    peer.sends(goaway(2**31 + 1))
    assert peer.connection.goaway_last_stream_id == 1
    alive(peer)
