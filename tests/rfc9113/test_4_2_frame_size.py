"""RFC 9113 section 4.2: sizes of frames, and when a wrong one ends more than its stream."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.judged import (
    BOTH,
    WITH_STREAM,
    accepted,
    client,
    connection_error,
    open_client,
    open_server,
    pushing_client,
    requirement,
    server,
    stream_error,
    waiting_client,
)
from tests.support.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_FLAG,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    data,
    frame,
    headers,
    ping,
    request_block,
    response_block,
)


@requirement("9113-4.2-1")
def test_2_to_the_14_octets_are_taken() -> None:
    peer = open_server()
    assert accepted(peer, data(1, bytes(16_384))) == ["data 1 16384"]
    padded = frame(DATA, PADDED, 1, b"\xff" + bytes(16_383 - 255) + bytes(255))
    assert accepted(peer, padded) == [f"data 1 {16_383 - 255}"]


@requirement("9113-4.2-1")
@pytest.mark.parametrize("make", [server, waiting_client])
def test_2_to_the_14_octets_of_fields_are_taken(make: Any) -> None:
    start = request_block() if make is server else response_block()
    rest = 16_384 - len(start)
    name = block((b"a", b"x" * 200))
    filled = start + name * (rest // len(name) - 1)
    last = 16_384 - len(filled)
    filled += block((b"b", b"x" * (last - 6))) if last - 6 >= 255 else block((b"b", b"x" * (last - 5)))
    assert len(filled) in (16_383, 16_384, 16_385)
    accepted(make(), headers(1, filled[:16_384], end_stream=True))


@requirement("9113-4.2-2", "9113-4.2-3")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("type", [DATA, HEADERS, SETTINGS, PUSH_PROMISE, PING, GOAWAY, CONTINUATION, WINDOW_UPDATE, RST_STREAM, 0x16, 0xFF])
def test_larger_than_allowed(make: Any, type: int) -> None:
    """Known by the header alone: the payload never comes."""
    stream_id = 0 if type in (SETTINGS, PING, GOAWAY) else 1
    error = connection_error(make(), "frame_too_large", frame(type, 0, stream_id, length=16_385))
    assert (error.actual, error.limit) == (16_385, 16_384)


@requirement("9113-4.2-2", "9113-4.2-3")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(
    ("type", "stream_id", "sizes"),
    [
        (PING, 0, (0, 7, 9)),
        (RST_STREAM, 1, (0, 3, 5)),
        (WINDOW_UPDATE, 0, (0, 3, 5)),
        (WINDOW_UPDATE, 1, (0, 3, 5)),
        (GOAWAY, 0, (0, 4, 7)),
    ],
)
def test_fixed_sizes(make: Any, type: int, stream_id: int, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        connection_error(make(), "frame_size_wrong", frame(type, 0, stream_id, bytes(size)))


@requirement("9113-4.2-2", "9113-4.2-3")
@pytest.mark.parametrize(
    ("make", "octets"),
    [
        (open_server, frame(DATA, PADDED, 1)),
        (server, frame(HEADERS, END_HEADERS | PADDED, 1)),
        (server, frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, bytes(4))),
        (waiting_client, frame(HEADERS, END_HEADERS | PADDED | PRIORITY_FLAG, 1, b"")),
        (pushing_client, frame(PUSH_PROMISE, END_HEADERS, 1, bytes(3))),
        (pushing_client, frame(PUSH_PROMISE, END_HEADERS | PADDED, 1)),
        (server, frame(PRIORITY_UPDATE, 0, 0, bytes(3))),
    ],
)
def test_too_small_for_what_it_must_carry(make: Any, octets: bytes) -> None:
    connection_error(make(), "frame_size_wrong", octets)


@requirement("9113-4.2-2", "9113-6.3-2")
@pytest.mark.parametrize("make", WITH_STREAM)
@pytest.mark.parametrize("size", [0, 4, 6])
def test_size_of_a_frame_that_concerns_its_stream_alone(make: Any, size: int) -> None:
    stream_error(make(), "priority_length", frame(PRIORITY, 0, 1, bytes(size)))


@requirement("9113-4.2-1", "9113-6.5.2-8")
@pytest.mark.parametrize("make", [open_server, open_client])
def test_larger_frames_once_the_setting_is_acknowledged(make: Any) -> None:
    peer = make()
    peer.connection.update_settings([(5, 20_000)], peer.now)
    peer.forget()
    peer.sends(frame(SETTINGS, 1))
    accepted(peer, frame(0x16, 0, 0, bytes(20_000)))
    connection_error(peer, "frame_too_large", frame(0x16, 0, 0, length=20_001))


def test_header_decides_before_the_payload() -> None:
    """A frame that is too large is refused with nothing of it kept."""
    peer = client()
    peer.sends(ping()[:5])
    peer.gets()
    peer.sends(ping()[5:])
    assert len(peer.gets_frames()) == 1
