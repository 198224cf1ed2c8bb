"""RFC 9113 section 4.1: the nine octets in front of every payload, and what in them is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine import GET
from tests.support.faults import for_each
from tests.support.judged import BOTH, WITH_STREAM, accepted, open_client, open_server, requirement, server, waiting_client
from tests.support.wire import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_FLAG,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    data,
    frame,
    headers,
    request_block,
    response_block,
    settings,
)

# What a type has no flag for (RFC 9113 section 6), though another type may use the bit.
UNDEFINED = {
    DATA: 0xFF & ~(END_STREAM | PADDED),
    HEADERS: 0xFF & ~(END_STREAM | END_HEADERS | PADDED | PRIORITY_FLAG),
    RST_STREAM: 0xFF,
    SETTINGS: 0xFF & ~ACK,
    PING: 0xFF & ~ACK,
    GOAWAY: 0xFF,
    WINDOW_UPDATE: 0xFF,
    PRIORITY: 0xFF,
}


@requirement("9113-4.1-1", "9113-5.5-1")
@for_each("make", [*BOTH, *WITH_STREAM])
@for_each("type", [0x0A, 0x0B, 0x0C, 0x0F, 0x11, 0x16, 0x7F, 0xFF])
@for_each("flags, stream_id", [(0, 0), (0xFF, 0), (0, 1), (0xFF, 1), (0, 2**31 - 1)])
def test_unknown_types_are_discarded(make: Any, type: int, flags: int, stream_id: int) -> None:
    assert accepted(make(), frame(type, flags, stream_id, b"12345678"), frame(type, flags, stream_id)) == []


@requirement("9113-4.1-2")
@pytest.mark.parametrize("make", BOTH)
def test_undefined_flags_are_ignored(make: Any) -> None:
    peer = make()
    peer.sends(frame(PING, UNDEFINED[PING], 0, b"12345678"), frame(SETTINGS, UNDEFINED[SETTINGS]))
    peer.gets(frame(PING, ACK, 0, b"12345678"), frame(SETTINGS, ACK))
    window = peer.connection.send_window
    accepted(peer, frame(WINDOW_UPDATE, UNDEFINED[WINDOW_UPDATE], 0, b"\0\0\0\x05"))
    assert peer.connection.send_window == window + 5


@requirement("9113-4.1-2")
def test_undefined_flags_of_a_request() -> None:
    peer = server()
    assert accepted(
        peer, frame(HEADERS, END_HEADERS | UNDEFINED[HEADERS], 1, request_block(b"POST")), frame(DATA, UNDEFINED[DATA], 1, b"x")
    ) == ["request 1", "data 1 x"]
    peer.sends(frame(RST_STREAM, UNDEFINED[RST_STREAM], 1, b"\0\0\0\x08"))
    peer.sees("reset 1 rst_stream_received CANCEL by remote", "closed 1")


@requirement("9113-4.1-2")
def test_undefined_flags_of_a_response() -> None:
    peer = waiting_client()
    assert accepted(peer, frame(HEADERS, END_HEADERS | UNDEFINED[HEADERS], 1, response_block()), frame(DATA, 0xFF & ~PADDED, 1, b"x")) == [
        "response 1 200",
        "data 1 x end",
        "closed 1",
    ]


@requirement("9113-4.1-2", "9113-4.1-3")
def test_flags_and_bit_that_we_send() -> None:
    """Nothing but what is defined, in a conversation with every type of frame that either role sends."""
    peer, other = open_client(), open_server()
    asking, answering = peer.connection, other.connection
    peer.sends(headers(1, response_block()))
    asking.send_data(asking.streams[1], b"body", False, peer.now)
    asking.send_ping(b"12345678", peer.now)
    asking.send_priority_update(asking.streams[1], 1, True, peer.now)
    asking.update_settings([(4, 100_000)], peer.now)
    asking.send_trailers(asking.streams[1], [(b"a", b"b")], peer.now)
    asking.reset_stream(asking.streams[1], 8, peer.now)
    asking.close(0, peer.now)
    other.sends(data(1, bytes(16_384)) * 15)
    answering.credit(answering.streams[1], 245_760, other.now)
    answering.send_response(answering.streams[1], 200, [(b"x", b"y" * 40_000)], False, other.now)
    for octets in (asking.data_to_send(), answering.data_to_send()):
        while octets:
            size = int.from_bytes(octets[:3], "big")
            type, flags, stream_id = octets[3], octets[4], int.from_bytes(octets[5:9], "big")
            defined = END_HEADERS if type == CONTINUATION else 0 if type == 0x10 else 0xFF & ~UNDEFINED[type]
            assert flags & ~defined == 0
            assert stream_id < 2**31
            octets = octets[9 + size :]


@requirement("9113-4.1-3")
@pytest.mark.parametrize("make", BOTH)
def test_reserved_bit_is_ignored(make: Any) -> None:
    peer = make()
    peer.sends(frame(PING, 0, 0x80000000, b"12345678"))
    peer.gets(frame(PING, ACK, 0, b"12345678"))


@requirement("9113-4.1-3")
def test_reserved_bit_of_a_request() -> None:
    peer = server()
    assert accepted(peer, frame(HEADERS, END_HEADERS, 0x80000001, request_block(b"POST")), frame(DATA, 1, 0x80000001, b"x")) == [
        "request 1",
        "data 1 x end",
    ]


@requirement("9113-4.1-4")
def test_frames_within_what_the_peer_announced() -> None:
    """Without SETTINGS_MAX_FRAME_SIZE of the peer, 2^14 octets are the most that is sent."""
    peer = open_client()
    asking = peer.connection
    asking.send_data(asking.streams[1], bytes(40_000), False, peer.now)
    asking.send_request([*GET, (b"x", b"\xff" * 20_000)], True, peer.now)
    found = [(f.type, len(f.payload)) for f in peer.gets_frames()]
    assert [size for type, size in found if type == DATA] == [16_384, 16_384, 7_232]
    assert [type for type, _ in found if type != DATA] == [HEADERS, CONTINUATION]
    assert max(size for _, size in found) == 16_384
    peer.sends(settings({5: 20_000}))
    peer.forget()
    asking.send_data(asking.streams[1], bytes(20_000), False, peer.now)
    peer.gets(data(1, bytes(20_000)))
