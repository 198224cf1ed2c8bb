"""RFC 9113 sections 6.1 to 6.4: DATA, HEADERS, PRIORITY and RST_STREAM."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine import GET
from tests.support.judged import (
    BOTH,
    RECEIVING,
    STARTING,
    WITH_STREAM,
    abandoned_client,
    abandoned_server,
    accepted,
    asked_server,
    client,
    connection_error,
    message,
    open_client,
    open_server,
    reading_client,
    requirement,
    server,
    short_server,
    stream_error,
    uploading_client,
    waiting_client,
)
from tests.support.wire import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PRIORITY,
    PRIORITY_FLAG,
    RST_STREAM,
    WINDOW_UPDATE,
    continuation,
    data,
    frame,
    headers,
    priority,
    request_block,
    rst_stream,
)

# -- 6.1 DATA


@requirement("9113-6.1-1")
@pytest.mark.parametrize("make", [*BOTH, *RECEIVING])
@pytest.mark.parametrize("octets", [data(0, b"x"), data(0), data(0, b"x", end_stream=True), frame(DATA, PADDED, 0, b"\0")])
def test_data_on_stream_0(make: Any, octets: bytes) -> None:
    connection_error(make(), "frame_on_stream_zero", octets)


@requirement("9113-6.1-2")
@pytest.mark.parametrize("make", RECEIVING)
@pytest.mark.parametrize("padding", [0, 1, 255])
def test_padding_counts_against_both_windows(make: Any, padding: int) -> None:
    """And is credited at once, since nobody will read it."""
    peer = make()
    connection, stream = peer.connection, peer.connection.streams[1]
    before = connection.recv_window, stream.recv_window
    frames = []
    for _ in range(40):
        peer.sends(data(1, b"x" * 1000, padding=padding))
        frames += [f for f in peer.gets_frames() if f.type == WINDOW_UPDATE]
    used = 40 * (1000 + 1 + padding)
    for stream_id, window, was in ((0, connection.recv_window, before[0]), (1, stream.recv_window, before[1])):
        credited = sum(int.from_bytes(f.payload, "big") for f in frames if f.stream_id == stream_id)
        assert was - window == used - credited
    assert stream.recv_unread == 40_000


@requirement("9113-6.1-2", "9113-6.9-6")
def test_padding_alone_can_exceed_a_window() -> None:
    peer = open_server()
    peer.connection.streams[1].recv_window = 20
    stream_error(peer, "flow_control_stream", data(1, b"x" * 10, padding=10))
    connection_error(short_server(20), "flow_control_connection", data(1, b"x" * 10, padding=10))


@requirement("9113-6.1-4")
@pytest.mark.parametrize("make", RECEIVING)
@pytest.mark.parametrize("payload", [b"\x01", b"\xff", b"\x05abcd", b"\x06Test", b"\xff" + bytes(254)])
def test_padding_as_long_as_the_payload(make: Any, payload: bytes) -> None:
    connection_error(make(), "padding_too_long", frame(DATA, PADDED, 1, payload))


@requirement("9113-6.1-5", "9113-10.7-1")
@pytest.mark.parametrize("make", RECEIVING)
def test_padding_up_to_the_end(make: Any) -> None:
    """Its octets should be 0, but are not looked at."""
    peer = make()
    octets = (frame(DATA, PADDED, 1, b"\0abc"), frame(DATA, PADDED, 1, b"\x04abcdxxxx"), frame(DATA, PADDED, 1, b"\x04\0\0\0\0"))
    assert accepted(peer, *octets) == ["data 1 abc", "data 1 abcd"]
    assert "data 1  end" in accepted(peer, frame(DATA, PADDED | END_STREAM, 1, b"\x01\0"))


@requirement("9113-6.1-5")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_our_data_needs_no_padding(make: Any) -> None:
    """None is ever sent, so that none can be other than 0."""
    peer = make()
    if make is asked_server:
        peer.connection.send_response(peer.connection.streams[1], 200, [], False, peer.now)
    peer.connection.send_data(peer.connection.streams[1], b"body", True, peer.now)
    assert all(not f.flags & PADDED for f in peer.gets_frames())


# -- 6.2 HEADERS


@requirement("9113-6.2-1")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("end_headers", [True, False])
def test_headers_on_stream_0(make: Any, end_headers: bool) -> None:
    connection_error(make(), "frame_on_stream_zero", headers(0, b"\x82", end_headers=end_headers))


@requirement("9113-6.2-2")
@pytest.mark.parametrize("make", STARTING)
def test_headers_in_the_middle_of_a_block(make: Any) -> None:
    peer = make()
    connection_error(peer, "continuation_expected", headers(1, message(peer), end_headers=False), headers(1, b"", end_stream=True))


@requirement("9113-6.2-3")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize(
    ("flags", "payload"),
    [
        (PADDED, b"\x01"),
        (PADDED, b"\x04\x82\x84"),
        (PADDED, b"\xff" + bytes(200)),
        (PADDED | PRIORITY_FLAG, b"\x01" + bytes(5)),
        (PADDED | PRIORITY_FLAG, b"\x00" + bytes(4)),
    ],
)
def test_padding_of_headers_too_long(make: Any, flags: int, payload: bytes) -> None:
    connection_error(make(), "padding_too_long", frame(HEADERS, END_HEADERS | flags, 1, payload))
    connection_error(make(), "padding_too_long", frame(HEADERS, flags, 1, payload))


@requirement("9113-6.2-3", "9113-10.7-1")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize("padding", [0, 1, 255])
def test_padding_of_headers_is_cut_off(make: Any, padding: int) -> None:
    for flags, priority_octets in ((PADDED, b""), (PADDED | PRIORITY_FLAG, b"\0\0\0\x05\x0f")):
        peer = make()
        whole = message(peer, (b"a", b"b"))
        payload = bytes([padding]) + priority_octets + whole + b"\xff" * padding
        assert len(accepted(peer, frame(HEADERS, END_HEADERS | flags, 1, payload))) == 1
        assert peer.connection.streams[1].headers == [(b"a", b"b")]
        again = make()
        again.sends(
            frame(HEADERS, flags, 1, bytes([padding]) + priority_octets + whole[:7] + b"\xff" * padding), continuation(1, whole[7:])
        )
        assert again.connection.streams[1].headers == [(b"a", b"b")]


@requirement("9113-6.2-4")
@pytest.mark.parametrize("make", STARTING)
def test_end_stream_of_a_block_in_pieces(make: Any) -> None:
    peer = make()
    whole = message(peer)
    peer.sends(headers(1, whole[:3], end_stream=True, end_headers=False))
    peer.sees()
    peer.sends(continuation(1, whole[3:]))
    (event, *_) = peer.happened()
    assert event.endswith(" end")
    # CONTINUATION has no such flag of its own: this one ends nothing.
    peer = make()
    accepted(peer, headers(1, whole[:3], end_headers=False), frame(0x9, END_HEADERS | END_STREAM, 1, whole[3:]))
    assert accepted(peer, data(1, b"x", end_stream=True))[0] == "data 1 x end"


@requirement("9113-6.2-4")
def test_end_stream_that_we_send() -> None:
    """On HEADERS, and not on the CONTINUATION behind it."""
    peer = client()
    peer.connection.send_request([*GET, (b"x", b"\xff" * 20_000)], True, peer.now)
    assert [f.flags for f in peer.gets_frames()] == [END_STREAM, END_HEADERS]


# -- 6.3 PRIORITY


@requirement("9113-6.3-1")
@pytest.mark.parametrize("make", BOTH)
def test_priority_on_stream_0(make: Any) -> None:
    connection_error(make(), "frame_on_stream_zero", priority(0, 3))


@requirement("9113-6.3-2")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
@pytest.mark.parametrize("size", [0, 4, 6, 5 * 5])
def test_priority_of_another_length(make: Any, size: int) -> None:
    stream_error(make(), "priority_length", frame(PRIORITY, 0, 1, bytes(size)))


@requirement("9113-6.3-3")
@pytest.mark.parametrize(
    "make", [server, client, open_server, asked_server, waiting_client, uploading_client, abandoned_server, abandoned_client]
)
def test_priority_in_every_state(make: Any) -> None:
    assert accepted(make(), priority(1, 0), priority(1, 3, 255), frame(PRIORITY, 0, 1, b"\x80\0\0\x05\0"), priority(7)) == []


# -- 6.4 RST_STREAM


@requirement("9113-6.4-1")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
def test_reset_of_stream_0(make: Any) -> None:
    connection_error(make(), "frame_on_stream_zero", rst_stream(0, 8))


@requirement("9113-6.4-2")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("stream_id", [1, 2, 101])
def test_reset_of_an_idle_stream(make: Any, stream_id: int) -> None:
    connection_error(make(), "stream_idle", rst_stream(stream_id, 8), stream_id=stream_id)


@requirement("9113-6.4-3")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_reset_of_another_length(make: Any, size: int) -> None:
    connection_error(make(), "frame_size_wrong", frame(RST_STREAM, 0, 1, bytes(size)))


@requirement("9113-6.4-4")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_nothing_is_sent_after_the_peers_reset(make: Any) -> None:
    """Not even the body that waits for its window."""
    peer = make()
    connection, stream = peer.connection, peer.connection.streams[1]
    if make is asked_server:
        connection.send_response(stream, 200, [], False, peer.now)
    connection.send_data(stream, bytes(100_000), True, peer.now)
    peer.forget()
    peer.sends(rst_stream(1, 8), frame(WINDOW_UPDATE, 0, 0, b"\0\x10\0\0"))
    connection.pump(peer.now)
    peer.gets()
    assert connection.queued == 0


@requirement("9113-6.4-6")
@pytest.mark.parametrize("make", BOTH)
def test_idle_streams_are_not_reset(make: Any) -> None:
    """Faults on idle streams end the connection instead; streams are reset by the verb once they exist."""
    peer = make()
    peer.sends(data(1, b"x"))
    assert RST_STREAM not in [f.type for f in peer.gets_frames()]


def test_reset_ends_a_response_under_way() -> None:
    peer = reading_client()
    peer.sends(data(1, b"half"), rst_stream(1, 2))
    peer.sees("data 1 half", "reset 1 rst_stream_received INTERNAL_ERROR by remote", "closed 1")
    assert open_server().connection.streams.keys() == {1}
    assert accepted(server(), headers(1, request_block(), end_stream=True)) == ["request 1 end"]
