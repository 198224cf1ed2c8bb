"""RFC 9113 sections 3.3 and 3.4: what a connection begins with."""

from __future__ import annotations

import pytest

from h2o_otel.protocol.connection import Connection
from tests.support.engine import GET, Peer, requesting, serving
from tests.support.judged import alive, connection_error, requirement
from tests.support.wire import (
    ACK,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    frame,
    frames,
    headers,
    ping,
    request_block,
    response_block,
    settings,
    settings_ack,
)


def fresh_server() -> Peer:
    return serving(handshake=False)[1]


def fresh_client() -> Peer:
    return requesting(handshake=False)[1]


def received_in_place(peer: Peer, octets: bytes) -> int:
    buffer = bytearray(b"\xee" * 30 + octets + b"\xee" * 30)
    used: int = peer.connection.receive_into(buffer, 30, 30 + len(octets), peer.now)
    return used


@requirement("9113-3.3-1", "9113-3.4-1", "9113-3.4-2")
def test_client_preface() -> None:
    octets = fresh_client().connection.data_to_send()
    assert octets[:24] == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    first = frames(octets)[0]
    assert (first.type, first.flags, first.stream_id) == (SETTINGS, 0, 0)


@requirement("9113-3.3-1", "9113-3.4-1", "9113-3.4-3")
def test_server_preface() -> None:
    first = fresh_server().gets_frames()[0]
    assert (first.type, first.flags, first.stream_id) == (SETTINGS, 0, 0)


@requirement("9113-3.4-4")
@pytest.mark.parametrize(("make", "first"), [(fresh_server, PREFACE + settings()), (fresh_client, settings({3: 7}))])
def test_settings_of_the_preface_are_acknowledged_behind_our_own(make: object, first: bytes) -> None:
    peer = make()  # type: ignore[operator]
    peer.sends(first)
    sent = [(f.type, f.flags) for f in peer.gets_frames() if f.type == SETTINGS]
    assert sent == [(SETTINGS, 0), (SETTINGS, ACK)]


@requirement("9113-3.4-5")
def test_client_does_not_wait_for_the_server() -> None:
    peer = fresh_client()
    client: Connection = peer.connection
    client.send_request(GET, True, peer.now)
    assert [f.type for f in peer.gets_frames()][-1] == HEADERS
    peer.sends(settings(), settings_ack(), headers(1, response_block(), end_stream=True))
    peer.sees("settings", "response 1 200 end", "closed 1")


@requirement("9113-3.4-5")
def test_server_takes_requests_before_its_settings_are_acknowledged() -> None:
    peer = fresh_server()
    peer.sends(PREFACE + settings() + headers(1, request_block(), end_stream=True))
    peer.sees("settings", "request 1 end")


@requirement("9113-3.4-6")
@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r",
        b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(16),
        settings(),
    ],
)
def test_invalid_client_preface(octets: bytes) -> None:
    connection_error(fresh_server(), "preface_invalid", octets)


@requirement("9113-3.4-6")
@pytest.mark.parametrize("cut", range(1, 24))
def test_preface_is_judged_by_its_first_wrong_octet(cut: int) -> None:
    connection_error(fresh_server(), "preface_invalid", PREFACE[: cut - 1] + b"\x00")


@requirement("9113-3.4-6")
@pytest.mark.parametrize("cut", range(25))
def test_preface_that_comes_in_two_reads(cut: int) -> None:
    """In the middle of a lent buffer, whose octets around it are none of the connection's business."""
    peer = fresh_server()
    octets = PREFACE + settings()
    first = received_in_place(peer, octets[:cut])
    assert first == (0 if cut < 24 else 24)
    assert received_in_place(peer, octets[first:]) == len(octets) - first
    peer.sees("settings")


@requirement("9113-3.4-6")
@pytest.mark.parametrize(
    ("make", "octets"),
    [
        (fresh_server, PREFACE + ping()),
        (fresh_server, PREFACE + settings_ack()),
        (fresh_server, PREFACE + headers(1, request_block())),
        (fresh_client, ping()),
        (fresh_client, settings_ack()),
        (fresh_client, headers(1, response_block())),
        (fresh_client, PREFACE),
        (fresh_client, b"\x15\x03\x01\x00\x02\x02\x46" + bytes(16)),
        (fresh_client, frame(PING, 0, 0, length=20_000)),
        (fresh_client, frame(0x50, 0, 0)),
        (fresh_client, frame(0, 0, 0, length=0x485454)),
    ],
)
def test_first_frame_is_not_settings(make: object, octets: bytes) -> None:
    peer = make()  # type: ignore[operator]
    connection_error(peer, "preface_no_settings", octets)


@requirement("9113-3.4-6")
def test_server_that_speaks_http_1() -> None:
    connection_error(fresh_client(), "preface_http1", b"HTTP/1.1 400 Bad Request\r\n\r\n")


@requirement("9113-3.4-2", "9113-3.4-3")
def test_empty_settings_will_do() -> None:
    for peer, octets in ((fresh_server(), PREFACE + settings()), (fresh_client(), settings())):
        peer.sends(octets, settings_ack())
        peer.forget()
        alive(peer)
