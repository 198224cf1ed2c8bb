"""Graceful ends, and what may be sent again elsewhere (RFC 9113 sections 5.1.1 and 6.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from h2o_otel.counters import Counters
from h2o_otel.limits import STREAM_ID_DRAIN
from h2o_otel.protocol.config import DEFAULT_TUNING, client_config
from h2o_otel.protocol.connection import Connection
from tests.support.engine import GET, Peer, serving
from tests.support.wire import GOAWAY, frames, goaway, headers, request_block, response_block, rst_stream, settings, settings_ack

BLOCK = request_block()
REASON = b"half of the stream identifiers are used up"


def answer(server: Any, peer: Peer) -> None:
    for stream in list(server.streams.values()):
        server.send_response(stream, 204, [], True, peer.now)


def drained_after(server: Any, peer: Peer, reason: bytes, last: int) -> None:
    """Two GOAWAYs, a second apart, then the end once the streams are over."""
    found = [f for f in peer.gets_frames() if f.type == GOAWAY]
    assert found == frames(goaway(2**31 - 1, 0, reason))
    assert not server.can_open_stream()
    # What crossed the GOAWAY is still served.
    if last + 2 < 2**31:
        peer.sends(headers(last + 2, BLOCK, end_stream=True))
        last += 2
    peer.now += 1.0
    assert server.next_deadline() <= peer.now
    server.tick(peer.now)
    assert [f for f in peer.gets_frames() if f.type == GOAWAY] == frames(goaway(last, 0))
    # What comes later is not.
    open_before = len(server.streams)
    if last + 2 < 2**31:
        peer.sends(headers(last + 2, BLOCK, end_stream=True))
    assert len(server.streams) == open_before
    answer(server, peer)
    server.tick(peer.now)
    assert server.closed
    assert server.error is None
    assert [f for f in peer.gets_frames() if f.type == GOAWAY][-1].payload.endswith(b"drained")


def test_identifiers_are_half_used_up() -> None:
    server, peer = serving()
    first = STREAM_ID_DRAIN + 1
    peer.sends(headers(first - 4, BLOCK, end_stream=True))
    assert not [f for f in peer.gets_frames() if f.type == GOAWAY]
    peer.sends(headers(first, BLOCK, end_stream=True))
    drained_after(server, peer, REASON, first)


def test_the_very_last_identifier() -> None:
    server, peer = serving()
    peer.sends(headers(2**31 - 1, BLOCK, end_stream=True))
    peer.sees("request 2147483647 end")
    drained_after(server, peer, REASON, 2**31 - 1)


def test_drain_that_is_asked_for_prevails() -> None:
    server, peer = serving()
    peer.sends(headers(1, BLOCK, end_stream=True))
    server.shutdown(peer.now)
    peer.forget()
    peer.sends(headers(STREAM_ID_DRAIN + 1, BLOCK, end_stream=True))
    assert not [f for f in peer.gets_frames() if f.type == GOAWAY]
    assert len(server.streams) == 2


# -- what may be sent again


def asking(*, recovery: bool = True) -> tuple[Connection, Peer]:
    """A client with requests 1, 3 and 5."""
    block = Counters()
    tuning = replace(DEFAULT_TUNING, protocol_recovery=recovery)
    client = Connection(client_config(tuning=tuning), None, block)
    peer = Peer(client, block)
    client.start(peer.now)
    peer.sends(settings(), settings_ack())
    for _ in range(3):
        client.send_request(GET, True, peer.now)
    peer.forget()
    return client, peer


@pytest.mark.parametrize("recovery", [True, False])
def test_refused(recovery: bool) -> None:
    client, peer = asking(recovery=recovery)
    first, second, third = client.streams.values()
    peer.sends(rst_stream(1, 7), rst_stream(3, 8), headers(5, response_block(), end_stream=True))
    assert [first.refused, second.refused, third.refused] == [recovery, False, False]
    assert peer.read("streams", "client", "refused") == 1


@pytest.mark.parametrize("recovery", [True, False])
def test_left_out_by_goaway(recovery: bool) -> None:
    client, peer = asking(recovery=recovery)
    first, second, third = client.streams.values()
    peer.sends(goaway(1))
    assert list(client.streams) == [1]
    assert [first.refused, second.refused, third.refused] == [False, recovery, recovery]
    # The last one goes on to its end.
    peer.sends(headers(1, response_block(), end_stream=True))
    assert not first.refused
    assert peer.read("streams", "client", "goaway") == 2


def test_lost_after_a_first_goaway() -> None:
    """A drain that named no stream yet: nobody knows what was seen, so nothing is safe."""
    client, peer = asking()
    streams = list(client.streams.values())
    peer.sends(goaway(2**31 - 1))
    client.connection_lost(None, peer.now)
    assert [stream.refused for stream in streams] == [False, False, False]


# -- tracking


def test_outcomes_are_not_counted_when_switched_off() -> None:
    server, peer = serving(tuning=replace(DEFAULT_TUNING, stream_tracking=False))
    peer.sends(headers(1, BLOCK, end_stream=True))
    assert peer.read("stream_active", "server") == 0
    answer(server, peer)
    assert peer.read("streams", "server", "completed") == 0
    assert not server.streams
    assert server.streams_open == 0
