"""RFC 9113 section 5.2: the principles of flow control."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine import requesting, serving
from tests.support.judged import (
    BOTH,
    abandoned_server,
    accepted,
    asked_server,
    client,
    open_client,
    open_server,
    requirement,
    reset_server,
    server,
    stream_error,
    waiting_client,
)
from tests.support.wire import DATA, HEADERS, WINDOW_UPDATE, data, headers, ping, request_block, settings, window_update


def sending(make: Any) -> tuple[Any, Any, Any]:
    """A side that may send a body on stream 1."""
    peer = make()
    stream = peer.connection.streams[1]
    if not peer.connection.client:
        peer.connection.send_response(stream, 200, [], False, peer.now)
        peer.forget()
    return peer, peer.connection, stream


@requirement("9113-5.2.1-1", "9113-5.2.1-2", "9113-6.9.1-1", "9113-6.9.2-1")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_nothing_is_sent_beyond_65535_octets_at_first(make: Any) -> None:
    peer, connection, stream = sending(make)
    connection.send_data(stream, bytes(100_000), True, peer.now)
    connection.pump(peer.now)
    assert sum(len(f.payload) for f in peer.gets_frames() if f.type == DATA) == 65_535
    # The stream's window alone is not enough, nor is the connection's.
    for octets, more in ((window_update(1, 10_000), 0), (window_update(0, 4_000), 4_000), (window_update(0, 50_000), 6_000)):
        peer.sends(octets)
        connection.pump(peer.now)
        assert sum(len(f.payload) for f in peer.gets_frames() if f.type == DATA) == more


@requirement("9113-5.2.1-2")
@pytest.mark.parametrize("make", BOTH)
def test_windows_of_a_new_connection(make: Any) -> None:
    peer = make()
    assert peer.connection.send_window == peer.connection.remote_initial_window == 65_535


@requirement("9113-5.2.1-2")
@pytest.mark.parametrize("role", [serving, requesting])
def test_65535_octets_are_always_taken_at_first(role: Any) -> None:
    """The peer may use the default until it has seen our settings."""
    connection = role(handshake=False)[0]
    assert connection.local_initial_window >= 65_535
    assert connection.recv_window >= 65_535


@requirement("9113-5.2.1-3")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_only_data_is_flow_controlled(make: Any) -> None:
    peer, connection, stream = sending(make)
    connection.send_data(stream, bytes(65_535), False, peer.now)
    peer.forget()
    assert connection.send_window == 0
    connection.send_ping(b"12345678", peer.now)
    connection.update_settings([(4, 1000)], peer.now)
    connection.send_trailers(stream, [(b"a", b"b" * 1000)], peer.now)
    assert connection.send_window == 0
    assert HEADERS in [f.type for f in peer.gets_frames()]
    # Nor do the peer's other frames use our window up.
    window = connection.recv_window
    peer.sends(ping(), settings({2: 0}))
    assert connection.recv_window == window


@requirement("9113-5.2.1-4")
@pytest.mark.parametrize("make", BOTH)
def test_it_cannot_be_turned_off(make: Any) -> None:
    """The largest window is as far as it goes."""
    peer = make()
    accepted(peer, window_update(0, 2**31 - 1 - 65_535))
    assert peer.connection.send_window == 2**31 - 1


@requirement("9113-5.2.1-1")
def test_windows_are_of_one_direction() -> None:
    peer = open_server()
    before = peer.connection.recv_window, peer.connection.streams[1].recv_window
    peer.sends(window_update(0, 7), window_update(1, 7))
    assert (peer.connection.recv_window, peer.connection.streams[1].recv_window) == before
    sent = peer.connection.send_window, peer.connection.streams[1].send_window
    assert sent == (65_542, 65_542)
    peer.sends(data(1, bytes(1000)))
    assert (peer.connection.send_window, peer.connection.streams[1].send_window) == sent


@requirement("9113-5.2.2-1")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_frames_are_read_while_bodies_wait(make: Any) -> None:
    """A body that waits for its window, or an application that does not read, keeps no frame from being processed."""
    peer, connection, stream = sending(make)
    connection.pause_output()
    connection.send_data(stream, bytes(100_000), True, peer.now)
    peer.sends(window_update(1, 50_000), window_update(0, 50_000), settings({4: 70_000}), ping(b"12345678"))
    assert stream.send_window == 65_535 + 50_000 + 4_465
    connection.resume_output(peer.now)
    connection.pump(peer.now)
    assert sum(len(f.payload) for f in peer.gets_frames() if f.type == DATA) == 100_000


@requirement("9113-5.2.2-1")
def test_body_that_nobody_reads_holds_up_no_other_stream() -> None:
    peer = open_server()
    connection = peer.connection
    for _ in range(16):
        peer.sends(data(1, bytes(16_384)))
    peer.forget()
    assert connection.streams[1].recv_window == 0
    assert accepted(peer, headers(3, request_block(b"POST")), data(3, b"x")) == ["request 3", "data 3 x"]


@requirement("9113-5.2.1-1")
def test_credit_is_the_receivers_to_give() -> None:
    """Nothing is credited before the application has taken it."""
    peer = open_server()
    for _ in range(16):
        peer.sends(data(1, bytes(16_384)))
    assert WINDOW_UPDATE not in [f.type for f in peer.gets_frames()]
    peer.connection.credit(peer.connection.streams[1], 262_144, peer.now)
    assert WINDOW_UPDATE in [f.type for f in peer.gets_frames()]


def test_windows_of_a_quiet_connection_stay() -> None:
    for make in (client, server):
        assert accepted(make()) == []


def limited_server(length: int) -> Any:
    """Its request on stream 1 has a content-length."""
    peer = server()
    peer.sends(headers(1, request_block(b"POST", b"/", (b"content-length", b"%d" % length))))
    peer.forget()
    return peer


@requirement("9113-6.9-5")
@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (asked_server, "stream_half_closed"),
        (abandoned_server, "stream_half_closed"),
        (lambda: limited_server(10), "content_length_mismatch"),
        (waiting_client, "data_before_headers"),
    ],
)
@pytest.mark.parametrize("padding", [None, 0, 100])
def test_data_that_is_refused_is_credited(make: Any, rule: str, padding: int | None) -> None:
    """Its octets were counted against the connection's window, and nobody will ever read them."""
    peer = make()
    connection = peer.connection
    window = connection.recv_window
    stream_error(peer, rule, data(1, bytes(1000), padding=padding))
    assert connection.recv_window < window
    assert connection.recv_window + connection.recv_uncredited == connection.recv_target


@requirement("9113-6.9-5")
def test_data_under_way_when_the_stream_was_reset_is_credited() -> None:
    peer = reset_server()
    connection = peer.connection
    accepted(peer, data(1, bytes(1000), padding=100))
    assert connection.recv_window + connection.recv_uncredited == connection.recv_target
