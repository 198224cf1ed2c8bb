"""Rows 1, 2 and 8: streams that are reset at once, by the peer or because of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from h2o_otel.limits import SERVER_LIMITS
from tests.attacks.bounds import stopped
from tests.support.engine import serving
from tests.support.wire import PRIORITY, WINDOW_UPDATE, data, frame, headers, ping, priority, request_block, rst_stream, window_update

GET = request_block()
POST = request_block(b"POST")


class TestRow1RapidReset:
    def test_attack(self) -> None:
        _server, peer = serving()
        for n in range(1001):
            peer.sends(headers(2 * n + 1, GET, end_stream=True), rst_stream(2 * n + 1, 8))
        stopped(peer, "rapid_reset")

    def test_honest_browser_cancels_100_requests_at_once(self) -> None:
        server, peer = serving()
        for round in range(20):
            peer.now += 3.1
            first = round * 200
            peer.sends(*(headers(first + 2 * n + 1, GET, end_stream=True) for n in range(100)))
            peer.sends(*(rst_stream(first + 2 * n + 1, 8) for n in range(100)))
        assert not server.closed

    def test_honest_proxy_cancels_every_second_request(self) -> None:
        """Completed responses earn cancels."""
        server, peer = serving()
        for n in range(4000):
            stream_id = 2 * n + 1
            peer.sends(headers(stream_id, GET, end_stream=True))
            if n % 2:
                peer.sends(rst_stream(stream_id, 8))
            else:
                server.send_response(server.streams[stream_id], 204, [], True, peer.now)
        assert not server.closed


FAULTS: dict[str, Callable[[int], bytes]] = {
    "window-update-of-zero": lambda i: headers(i, GET, end_stream=True) + window_update(i, 0),
    "window-overflow": lambda i: headers(i, GET, end_stream=True) + window_update(i, 2**31 - 1),
    "data-after-the-end": lambda i: headers(i, POST, end_stream=True) + data(i, b"x"),
    "headers-after-the-end": lambda i: headers(i, POST, end_stream=True) + headers(i, POST, end_stream=True),
    "depends-on-itself": lambda i: headers(i, GET, end_stream=True) + priority(i, i),
    "priority-of-four-octets": lambda i: headers(i, GET, end_stream=True) + frame(PRIORITY, 0, i, bytes(4)),
    "content-length": lambda i: headers(i, request_block(b"POST", b"/", (b"content-length", b"1"))) + data(i, b"xx"),
    "malformed": lambda i: headers(i, request_block(b"GET", b"/", (b"Upper", b"case")), end_stream=True),
}


class TestRow2MadeYouReset:
    """And row 8, the flood of our own RST_STREAM."""

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_attack(self, fault: Callable[[int], bytes]) -> None:
        _server, peer = serving()
        for n in range(101):
            peer.sends(fault(2 * n + 1))
        stopped(peer, "made_you_reset")

    def test_attack_by_refused_streams(self) -> None:
        """Row 14, too: REFUSED_STREAM is no connection error, but it is not free either."""
        _server, peer = serving(replace(SERVER_LIMITS, streams_max=1))
        peer.sends(*(headers(2 * n + 1, GET, end_stream=True) for n in range(101)))
        assert not peer.connection.closed
        assert peer.counted("frame_errors")["server", "streams_exceeded"] == 100
        peer.sends(headers(203, GET, end_stream=True))
        stopped(peer, "made_you_reset")

    def test_attack_while_the_peer_does_not_read(self) -> None:
        """Row 8: resets that cannot be delivered count as queued answers."""
        server, peer = serving(replace(SERVER_LIMITS, resets_sent_burst=5000, control_queue_frames_max=50))
        server.pause_output()
        peer.sends(*(headers(2 * n + 1, GET, end_stream=True) + frame(WINDOW_UPDATE, 0, 2 * n + 1, bytes(4)) for n in range(51)))
        stopped(peer, "control_queue_flood")

    def test_honest_fault_in_a_while(self) -> None:
        server, peer = serving()
        for n in range(300):
            peer.now += 0.25
            peer.sends(headers(2 * n + 1, GET, end_stream=True), window_update(2 * n + 1, 0))
        assert not server.closed

    def test_honest_client_that_has_not_seen_the_limit_yet(self) -> None:
        """Row 14: requests beyond the limit are refused and may be sent again; the connection lives."""
        server, peer = serving(replace(SERVER_LIMITS, streams_max=50))
        peer.sends(*(headers(2 * n + 1, GET, end_stream=True) for n in range(100)))
        assert len(server.streams) == 50
        peer.sends(ping(b"stillyes"))
        assert not server.closed
