"""RFC 9218: extensible priorities, by field and by PRIORITY_UPDATE."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from h2o_otel.streams.priority import format_priority, parse_priority
from tests.support.engine import Peer, requesting, serving
from tests.support.judged import BOTH, WITH_STREAM, accepted, client, connection_error, done_server, open_server, requirement, server
from tests.support.wire import DATA, PRIORITY_UPDATE, frame, frames, headers, priority_update, request_block, settings, window_update


def urgency_of(value: bytes) -> tuple[int, bool]:
    """What a request with this priority field gets."""
    peer = server()
    accepted(peer, headers(1, request_block(b"GET", b"/", (b"priority", value))))
    stream = peer.connection.streams[1]
    return stream.urgency, stream.incremental


@requirement("9218-2.1-1")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("value", [2, 2**32 - 1])
def test_setting_above_1(make: Any, value: int) -> None:
    connection_error(make(), "settings_no_rfc7540_priorities", settings({9: value}))


@requirement("9218-2.1-2")
@pytest.mark.parametrize("role", [serving, requesting])
def test_setting_of_ours(role: Any) -> None:
    connection, peer = role(handshake=False)
    payload = frames(connection.data_to_send())[0].payload
    assert b"\0\x09\0\0\0\x01" in [payload[i : i + 6] for i in range(0, len(payload), 6)]
    with pytest.raises(LocalProtocolError, match=r"^SETTINGS_NO_RFC7540_PRIORITIES was 1 and cannot be taken back \(RFC 9218 §2\.1\)$"):
        connection.update_settings([(9, 0)], peer.now)
    peer.gets()


@requirement("9218-4-1")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", (3, False)),
        (b"u=5, i, x=1, y", (5, True)),
        (b"u=8", (3, False)),
        (b"u=-1, i", (3, True)),
        (b"u=1.0", (3, False)),
        (b'u="1"', (3, False)),
        (b"u, i=1", (3, False)),
        (b"u=2;foo=bar, i;x", (2, True)),
        (b"\xff\xfe", (3, False)),
    ],
)
def test_what_is_not_understood_is_ignored(value: bytes, expected: tuple[int, bool]) -> None:
    assert urgency_of(value) == expected


@requirement("9218-4.1-1", "9218-4.2-1")
def test_values_and_defaults() -> None:
    assert [urgency_of(b"u=%d" % u)[0] for u in range(8)] == list(range(8))
    assert [urgency_of(value)[1] for value in (b"i", b"i=?1", b"i=?0", b"u=1")] == [True, True, False, False]
    peer = server()
    accepted(peer, headers(1, request_block()))
    assert (peer.connection.streams[1].urgency, peer.connection.streams[1].incremental) == (3, False)
    assert all(parse_priority(format_priority(u, i)) == (u, i) for u in range(8) for i in (False, True))
    for urgency in (-1, 8):
        with pytest.raises(ValueError):
            format_priority(urgency, False)


# -- 7.1


@requirement("9218-7.1-1")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
def test_update_on_a_stream(make: Any) -> None:
    connection_error(make(), "frame_not_on_stream_zero", frame(PRIORITY_UPDATE, 0, 1, b"\0\0\0\x01u=1"))


@requirement("9218-7.1-2")
@pytest.mark.parametrize("stream_id", [0, 2, 2**31 - 2])
def test_update_of_no_stream_of_the_client(stream_id: int) -> None:
    connection_error(server(), "priority_update_stream", priority_update(stream_id, b"u=1"))


@requirement("9218-7.1-3")
def test_update_from_a_server() -> None:
    connection_error(client(), "priority_update_unexpected", priority_update(1, b"u=1"))
    peer = open_server()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_priority_update(peer.connection.streams[1], 1, False, peer.now)
    peer.gets()


@requirement("9218-7.1-4")
def test_update_before_its_request() -> None:
    peer = server()
    accepted(peer, priority_update(3, b"u=1, i"), headers(1, request_block()))
    accepted(peer, headers(3, request_block(b"GET", b"/", (b"priority", b"u=7"))))
    first, second = (peer.connection.streams[i] for i in (1, 3))
    assert (first.urgency, second.urgency, second.incremental) == (3, 1, True)


@requirement("9218-7.1-4")
def test_updates_before_their_requests_are_bounded() -> None:
    """And the newest value of a stream counts."""
    peer = server()
    for stream_id in range(1, 2 * 98, 2):
        accepted(peer, priority_update(stream_id, b"u=1"))
    assert len(peer.connection.idle_priorities) <= peer.connection.limits.streams_max
    peer = server()
    accepted(peer, priority_update(1, b"u=1"), priority_update(1, b"u=6"), headers(1, request_block()))
    assert peer.connection.streams[1].urgency == 6


@requirement("9218-7.1-4")
def test_update_of_an_open_stream() -> None:
    peer = open_server()
    accepted(peer, priority_update(1, b"u=0"))
    assert peer.connection.streams[1].urgency == 0
    # What a later update leaves out is the default again.
    accepted(peer, priority_update(1, b"i"))
    assert (peer.connection.streams[1].urgency, peer.connection.streams[1].incremental) == (3, True)


@requirement("9218-7.1-5")
@pytest.mark.parametrize("size", [0, 3])
def test_update_too_short(size: int) -> None:
    connection_error(server(), "frame_size_wrong", frame(PRIORITY_UPDATE, 0, 0, bytes(size)))


@requirement("9218-7.1-6")
def test_update_of_a_closed_stream() -> None:
    peer = done_server()
    assert accepted(peer, priority_update(1, b"u=0")) == []
    assert not peer.connection.idle_priorities


# -- 10


def answers(*values: bytes) -> list[int]:
    """Streams in the order in which their bodies, of two frames each, go out."""
    peer: Peer = server()
    connection = peer.connection
    connection.pause_output()
    for i, value in enumerate(values):
        peer.sends(headers(2 * i + 1, request_block(b"GET", b"/", (b"priority", value)), end_stream=True))
        connection.send_response(connection.streams[2 * i + 1], 200, [], False, peer.now)
        connection.send_data(connection.streams[2 * i + 1], bytes(30_000), True, peer.now)
    peer.sends(window_update(0, 1_000_000))
    connection.resume_output(peer.now)
    connection.pump(peer.now)
    return [f.stream_id for f in peer.gets_frames() if f.type == DATA]


@requirement("9218-10-1")
def test_urgent_responses_go_first() -> None:
    assert answers(b"u=5", b"u=1", b"u=3") == [3, 3, 5, 5, 1, 1]


@requirement("9218-10-1")
def test_equals_take_turns_when_incremental() -> None:
    assert answers(b"i", b"i", b"i") == [1, 3, 5, 1, 3, 5]
    assert answers(b"", b"", b"") == [1, 1, 3, 3, 5, 5]
