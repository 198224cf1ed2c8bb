"""RFC 9113 section 6.9: WINDOW_UPDATE, and windows below zero and at their largest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from h2o_otel.limits import CLIENT_LIMITS
from tests.support.engine import requesting
from tests.support.judged import (
    BOTH,
    RECEIVING,
    WITH_STREAM,
    accepted,
    asked_server,
    connection_error,
    done_client,
    done_server,
    open_client,
    open_server,
    reading_client,
    requirement,
    reset_server,
    short_client,
    short_server,
    stream_error,
)
from tests.support.wire import DATA, WINDOW_UPDATE, block, data, frame, headers, settings, settings_ack, window_update

LARGEST = 2**31 - 1


def sending(make: Any) -> tuple[Any, Any, Any]:
    peer = make()
    stream = peer.connection.streams[1]
    if make is asked_server:
        peer.connection.send_response(stream, 200, [], False, peer.now)
        peer.forget()
    return peer, peer.connection, stream


def data_sent(peer: Any) -> list[bytes]:
    peer.connection.pump(peer.now)
    return [f.payload for f in peer.gets_frames() if f.type == DATA]


@requirement("9113-6.9-1")
@pytest.mark.parametrize("make", WITH_STREAM)
@pytest.mark.parametrize("increment", [0, 2**31])
def test_increment_of_0(make: Any, increment: int) -> None:
    stream_error(make(), "window_update_zero", window_update(1, increment))
    connection_error(make(), "window_update_zero_connection", window_update(0, increment))


@requirement("9113-6.9-2")
@pytest.mark.parametrize("make", WITH_STREAM)
@pytest.mark.parametrize("stream_id", [0, 1, 3])
@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_another_length(make: Any, stream_id: int, size: int) -> None:
    connection_error(make(), "frame_size_wrong", frame(WINDOW_UPDATE, 0, stream_id, bytes(size)))


@requirement("9113-6.9-3")
@pytest.mark.parametrize("make", [asked_server, done_server, done_client, reset_server])
def test_late_credit_is_no_error(make: Any) -> None:
    assert accepted(make(), window_update(1, 1), window_update(1, LARGEST - 65_536)) == []


@requirement("9113-6.9-4")
@pytest.mark.parametrize("make", WITH_STREAM)
def test_reserved_bit(make: Any) -> None:
    peer = make()
    accepted(peer, window_update(0, 2**31 + 5), window_update(1, 2**31 + 7))
    assert (peer.connection.send_window, peer.connection.streams[1].send_window) == (65_540, 65_542)


@requirement("9113-6.9-5")
@pytest.mark.parametrize("make", RECEIVING)
def test_data_in_error_counts(make: Any) -> None:
    """Each fault on the stream leaves the connection's window as if the data had been taken."""
    for spoil in (window_update(1, 0), headers(1, block((b"a", b"b")))):
        peer = make()
        window = peer.connection.recv_window
        peer.sends(data(1, b"x" * 100), spoil, data(1, b"x" * 200), data(1, b"x" * 300, end_stream=True))
        credited = sum(int.from_bytes(f.payload, "big") for f in peer.gets_frames() if f.type == WINDOW_UPDATE and not f.stream_id)
        assert peer.connection.recv_window - credited == window - 600
        assert not peer.connection.closed


@requirement("9113-6.9-5")
def test_data_that_breaks_the_stream_counts() -> None:
    peer = open_server()
    peer.connection.streams[1].recv_window = 10
    window = peer.connection.recv_window
    stream_error(peer, "flow_control_stream", data(1, b"x" * 11))
    assert peer.connection.recv_window == window - 11


@requirement("9113-6.9-6")
@pytest.mark.parametrize("make", RECEIVING)
def test_more_than_the_window(make: Any) -> None:
    peer = make()
    peer.connection.streams[1].recv_window = 10
    accepted(peer, data(1, b"x" * 10))
    stream_error(peer, "flow_control_stream", data(1, b"x"))
    peer = short_server(10) if make is open_server else short_client(10)
    accepted(peer, data(1, b"x" * 10), data(1))
    connection_error(peer, "flow_control_connection", data(1, b"x"))


# -- 6.9.1


@requirement("9113-6.9.1-1")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_frames_are_cut_to_the_window(make: Any) -> None:
    peer, connection, stream = sending(make)
    peer.sends(settings({4: 1}))
    peer.forget()
    connection.send_data(stream, b"abcdef", True, peer.now)
    assert data_sent(peer) == [b"a"]
    peer.sends(window_update(1, 2))
    assert data_sent(peer) == [b"bc"]
    peer.sends(window_update(0, 1000))
    assert data_sent(peer) == []
    peer.sends(settings({4: 10}))
    assert data_sent(peer) == [b"def"]


@requirement("9113-6.9.1-2")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_empty_end_needs_no_window(make: Any) -> None:
    peer, connection, stream = sending(make)
    peer.sends(settings({4: 0}))
    peer.forget()
    connection.send_data(stream, b"", True, peer.now)
    peer.gets(data(1, end_stream=True))


@requirement("9113-6.9.1-2")
@pytest.mark.parametrize("make", RECEIVING)
def test_empty_end_is_taken_without_a_window(make: Any) -> None:
    peer = short_server(0) if make is open_server else short_client(0)
    peer.connection.streams[1].recv_window = 0
    assert accepted(peer, data(1, end_stream=True))[0] == "data 1  end"


@requirement("9113-6.9.1-3")
@pytest.mark.parametrize("make", RECEIVING)
def test_credit_of_stream_and_connection(make: Any) -> None:
    peer = make()
    connection, stream = peer.connection, peer.connection.streams[1]
    windows = connection.recv_window, stream.recv_window
    updates: dict[int, int] = {0: 0, 1: 0}
    for _ in range(512):
        peer.sends(data(1, bytes(16_384)))
        connection.credit(stream, 16_384, peer.now)
        for f in peer.gets_frames():
            if f.type == WINDOW_UPDATE:
                updates[f.stream_id] += int.from_bytes(f.payload, "big")
    total = 512 * 16_384
    assert (connection.recv_window, stream.recv_window) == (windows[0] - total + updates[0], windows[1] - total + updates[1])
    assert min(updates.values()) > total // 2


@requirement("9113-6.9.1-4")
@pytest.mark.parametrize("make", WITH_STREAM)
def test_window_beyond_the_largest(make: Any) -> None:
    peer = make()
    accepted(peer, window_update(1, LARGEST - 65_535), window_update(0, LARGEST - 65_535))
    stream_error(peer, "window_overflow", window_update(1, 1))
    connection_error(peer, "window_overflow_connection", window_update(0, 1))


@requirement("9113-6.9.1-4")
@pytest.mark.parametrize("make", BOTH)
def test_two_largest_increments(make: Any) -> None:
    connection_error(make(), "window_overflow_connection", window_update(0, LARGEST), window_update(0, LARGEST))


# -- 6.9.2


@requirement("9113-6.9.2-1")
@pytest.mark.parametrize("make", WITH_STREAM)
def test_settings_leave_the_connection_window_alone(make: Any) -> None:
    peer = make()
    peer.sends(settings({4: 0}), settings({4: 100_000}))
    assert peer.connection.send_window == 65_535


@requirement("9113-6.9.2-2")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_all_windows_move(make: Any) -> None:
    peer, connection, stream = sending(make)
    connection.send_data(stream, b"x" * 535, False, peer.now)
    peer.sends(settings({4: 1000}))
    assert stream.send_window == 1000 - 535
    peer.sends(settings({4: 100_000}))
    assert stream.send_window == 100_000 - 535


@requirement("9113-6.9.2-3")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_window_below_zero(make: Any) -> None:
    peer, connection, stream = sending(make)
    connection.send_data(stream, b"x" * 20_000, False, peer.now)
    peer.forget()
    peer.sends(settings({4: 16_384}))
    assert stream.send_window == 16_384 - 20_000
    connection.send_data(stream, b"later", True, peer.now)
    peer.sends(window_update(1, 3_615))
    assert stream.send_window == -1
    assert data_sent(peer) == []
    peer.sends(window_update(1, 1))
    assert data_sent(peer) == []
    peer.sends(window_update(1, 1))
    assert data_sent(peer) == [b"l"]


@requirement("9113-6.9.2-3")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_empty_end_at_a_window_below_zero(make: Any) -> None:
    peer, connection, stream = sending(make)
    connection.send_data(stream, b"x" * 100, False, peer.now)
    peer.sends(settings({4: 10}))
    peer.forget()
    connection.send_data(stream, b"", True, peer.now)
    assert data_sent(peer) == [b""]


@requirement("9113-6.9.2-4")
@pytest.mark.parametrize("make", WITH_STREAM)
def test_setting_that_takes_a_window_beyond_the_largest(make: Any) -> None:
    peer = make()
    accepted(peer, window_update(1, 1))
    connection_error(peer, "window_overflow_settings", settings({4: LARGEST}))


@requirement("9113-6.9.2-4")
@pytest.mark.parametrize("make", WITH_STREAM)
def test_setting_that_takes_a_window_to_the_largest(make: Any) -> None:
    peer = make()
    peer.sends(settings({4: LARGEST}))
    peer.gets(settings_ack())
    assert peer.connection.streams[1].send_window == LARGEST


# -- 6.9.3


@requirement("9113-6.9.3-1")
@pytest.mark.parametrize("make", RECEIVING)
def test_reduced_window_takes_what_was_under_way(make: Any) -> None:
    peer = make()
    connection, stream = peer.connection, peer.connection.streams[1]
    connection.update_settings([(4, 100)], peer.now)
    peer.forget()
    assert accepted(peer, data(1, b"x" * 10_000)) == ["data 1 10000"]
    peer.sends(settings_ack())
    assert stream.recv_window < 0
    # No error before the peer sends more than it may by now.
    accepted(peer, data(1))
    stream_error(peer, "flow_control_stream", data(1, b"x"))


@requirement("9113-6.9.3-1")
def test_windows_smaller_than_the_default_wait_for_the_acknowledgement() -> None:
    connection, peer = requesting(replace(CLIENT_LIMITS, stream_window_bytes=0), handshake=False)
    assert connection.local_initial_window == 65_535
    peer.sends(settings(), settings_ack())
    assert connection.local_initial_window == 0


def test_credit_that_is_due_after_a_response() -> None:
    peer = reading_client()
    assert accepted(peer, data(1, b"x", end_stream=True))[0] == "data 1 x end"
