"""RFC 9113 section 8.7: what may be called not processed, and what therefore may be sent again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from h2o_otel.limits import SERVER_LIMITS
from tests.support.engine import GET, serving
from tests.support.judged import client, open_server, requirement
from tests.support.wire import data, goaway, headers, request_block, response_block, rst_stream


@requirement("9113-8.7-1")
def test_refused_request_reached_nobody() -> None:
    peer = serving(replace(SERVER_LIMITS, streams_max=1))[1]
    peer.sends(headers(1, request_block(b"POST")))
    peer.forget()
    peer.sends(headers(3, request_block(b"POST")), data(3, b"x", end_stream=True))
    peer.gets(rst_stream(3, 7))
    peer.sees()


@requirement("9113-8.7-1")
def test_request_beyond_goaway_reached_nobody() -> None:
    peer = open_server()
    peer.connection.shutdown(peer.now)
    peer.connection.finish_shutdown(peer.now)
    peer.sends(headers(3, request_block(b"POST")), data(3, b"x", end_stream=True))
    peer.sees()
    assert peer.connection.goaway_sent_last == 1


@requirement("9113-8.7-2")
@pytest.mark.parametrize("code", range(14))
def test_only_refused_streams_are_safe_to_repeat(code: int) -> None:
    peer = client()
    stream = peer.connection.send_request(GET, True, peer.now)
    peer.sends(rst_stream(1, code))
    assert stream.refused is (code == 7)


@requirement("9113-8.7-2")
def test_streams_up_to_the_last_one_are_not_safe_to_repeat() -> None:
    """Even when the connection is lost behind GOAWAY; and one that got a response is not repeated either."""
    peer = client()
    streams = [peer.connection.send_request(GET, True, peer.now) for _ in range(3)]
    peer.sends(goaway(3), headers(3, response_block()))
    peer.connection.connection_lost(None, peer.now)
    assert [stream.refused for stream in streams] == [False, False, True]
