"""RFC 9113 section 6.7: PING is answered once, at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.judged import BOTH, WITH_STREAM, accepted, asked_server, connection_error, open_client, requirement
from tests.support.wire import ACK, DATA, PING, frame, ping


@requirement("9113-6.7-1")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
@pytest.mark.parametrize("payload", [bytes(8), b"\xff" * 8, b"h2spec\0\0"])
def test_answer(make: Any, payload: bytes) -> None:
    peer = make()
    peer.sends(ping(payload), ping(payload[::-1]))
    peer.gets(ping(payload, ack=True), ping(payload[::-1], ack=True))


@requirement("9113-6.7-2")
@pytest.mark.parametrize("make", BOTH)
def test_answers_are_not_answered(make: Any) -> None:
    """Neither those that were asked for nor those that were not."""
    peer = make()
    peer.connection.send_ping(b"12345678", peer.now)
    peer.gets(ping(b"12345678"))
    assert accepted(peer, ping(b"12345678", ack=True)) == ["pong 12345678"]
    assert accepted(peer, ping(b"12345678", ack=True), ping(b"unknown!", ack=True)) == []


@requirement("9113-6.7-3")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
@pytest.mark.parametrize("flags", [0, ACK])
@pytest.mark.parametrize("stream_id", [1, 2, 2**31 - 1])
def test_ping_on_a_stream(make: Any, flags: int, stream_id: int) -> None:
    connection_error(make(), "frame_not_on_stream_zero", frame(PING, flags, stream_id, bytes(8)))


@requirement("9113-6.7-4")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("flags", [0, ACK])
@pytest.mark.parametrize("size", [0, 6, 7, 9, 16])
def test_ping_of_another_length(make: Any, flags: int, size: int) -> None:
    connection_error(make(), "frame_size_wrong", frame(PING, flags, 0, bytes(size)))


@requirement("9113-6.7-5")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_answer_does_not_wait_behind_bodies(make: Any) -> None:
    peer = make()
    connection, stream = peer.connection, peer.connection.streams[1]
    if make is asked_server:
        connection.send_response(stream, 200, [], False, peer.now)
        peer.forget()
    connection.pause_output()
    connection.send_data(stream, bytes(60_000), True, peer.now)
    peer.sends(ping(b"12345678"))
    connection.resume_output(peer.now)
    connection.pump(peer.now)
    types = [f.type for f in peer.gets_frames()]
    assert types[0] == PING
    assert DATA in types
