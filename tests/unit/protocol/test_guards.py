"""Floods and slowness that the engine decides about: each attack is stopped, and the honest traffic that looks like it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.guards import Bucket
from tests.support.engine import Peer, requesting, serving
from tests.support.wire import (
    continuation,
    data,
    frame,
    headers,
    ping,
    priority,
    priority_update,
    request_block,
    rst_stream,
    settings,
    window_update,
)

GET = request_block()
POST = request_block(b"POST")


def ended_with(peer: Peer) -> str:
    """The rule that ended the connection."""
    return peer.errors()[-1].rule


def test_bucket_refills_with_time_up_to_its_burst() -> None:
    bucket = Bucket(2, 1.0)
    assert [bucket.take(10.0) for _ in range(3)] == [True, True, False]
    assert bucket.take(11.0)
    assert not bucket.take(11.5)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]


class TestRapidReset:
    def test_attack_ends_the_connection(self) -> None:
        server, peer = serving()
        for n in range(1001):
            peer.sends(headers(2 * n + 1, GET, end_stream=True), rst_stream(2 * n + 1, 8))
        assert server.closed
        assert ended_with(peer) == "rapid_reset"
        assert peer.counted("abuse_detections") == {("rapid_reset", "connection_closed"): 1}

    def test_a_browser_that_cancels_100_requests_at_once_is_served(self) -> None:
        server, peer = serving()
        for round in range(20):
            peer.now += 3.1
            first = round * 200
            peer.sends(*(headers(first + 2 * n + 1, GET, end_stream=True) for n in range(100)))
            peer.sends(*(rst_stream(first + 2 * n + 1, 8) for n in range(100)))
        assert not server.closed

    def test_completed_responses_earn_cancels(self) -> None:
        """A proxy that cancels every second of its requests for ever."""
        server, peer = serving()
        for n in range(4000):
            stream_id = 2 * n + 1
            peer.sends(headers(stream_id, GET, end_stream=True))
            if n % 2:
                peer.sends(rst_stream(stream_id, 8))
            else:
                server.send_response(server.streams[stream_id], 204, [], True, peer.now)
        assert not server.closed


class TestResetsThatThePeerCauses:
    def test_attack_ends_the_connection(self) -> None:
        """MadeYouReset: a fault per stream instead of RST_STREAM."""
        server, peer = serving()
        for n in range(101):
            peer.sends(headers(2 * n + 1, GET, end_stream=True), window_update(2 * n + 1, 0))
        assert server.closed
        assert ended_with(peer) == "made_you_reset"

    def test_refused_streams_count(self) -> None:
        _server, peer = serving(replace(SERVER_LIMITS, streams_max=1))
        peer.sends(*(headers(2 * n + 1, GET, end_stream=True) for n in range(102)))
        assert ended_with(peer) == "made_you_reset"

    def test_one_fault_in_a_while_is_forgiven(self) -> None:
        server, peer = serving()
        for n in range(300):
            peer.now += 0.25
            peer.sends(headers(2 * n + 1, GET, end_stream=True), window_update(2 * n + 1, 0))
        assert not server.closed


class TestPing:
    def test_flood_ends_the_connection(self) -> None:
        _server, peer = serving()
        peer.sends(*(ping() for _ in range(101)))
        assert ended_with(peer) == "ping_flood"

    def test_a_ping_for_each_burst_of_data_is_answered(self) -> None:
        """What a client does that estimates the bandwidth-delay product."""
        server, peer = serving()
        for n in range(1000):
            peer.sends(headers(2 * n + 1, GET, end_stream=True))
            server.send_response(server.streams[2 * n + 1], 204, [], True, peer.now)
            peer.sends(ping())
        assert not server.closed

    def test_answers_pile_up_only_so_far(self) -> None:
        limits = replace(SERVER_LIMITS, pings_burst=5000, control_queue_frames_max=1000)
        server, peer = serving(limits)
        server.pause_output()
        peer.sends(*(ping() for _ in range(1001)))
        assert ended_with(peer) == "control_queue_flood"


def test_settings_flood() -> None:
    _server, peer = serving()
    peer.sends(*(settings() for _ in range(11)))
    assert ended_with(peer) == "settings_flood"


def test_ten_settings_at_once_are_fine() -> None:
    server, peer = serving()
    peer.sends(*(settings() for _ in range(9)))
    assert not server.closed


class TestSmallData:
    def test_empty_frames_in_a_row(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, POST), *(data(1) for _ in range(11)))
        assert ended_with(peer) == "empty_data_flood"

    def test_empty_frames_between_others(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, POST), *(data(1) + data(1, b"x" * 300) for _ in range(101)))
        assert ended_with(peer) == "empty_data_flood"

    def test_padding_only_frames_are_empty(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, POST), *(data(1, padding=200) for _ in range(11)))
        assert ended_with(peer) == "empty_data_flood"

    def test_unread_tiny_frames(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, POST), *(data(1, b"x") for _ in range(3000)))
        assert ended_with(peer) == "small_data_flood"

    def test_one_octet_frames_that_the_application_reads(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, POST))
        for _ in range(20_000):
            peer.sends(data(1, b"x"))
            server.credit(server.streams[1], 1, peer.now)
        assert not server.closed
        assert server.guards.small_unread == 0

    def test_messages_of_600_octets_with_a_slow_reader(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, POST), *(data(1, b"m" * 600) for _ in range(400)))
        assert not server.closed

    def test_a_reset_gives_the_budget_back(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, POST), *(data(1, b"x") for _ in range(100)))
        assert server.guards.small_unread == 100 * 255
        peer.sends(rst_stream(1, 8))
        assert server.guards.small_unread == 0


class TestWindowUpdates:
    def test_flood_ends_the_connection(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, GET, end_stream=True), *(window_update(0, 1) for _ in range(8)))
        assert ended_with(peer) == "window_update_flood"

    def test_one_for_each_data_frame_is_honest(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, GET, end_stream=True))
        stream = server.streams[1]
        server.send_response(stream, 200, [], False, peer.now)
        for _ in range(500):
            server.send_data(stream, b"x" * 1000, False, peer.now)
            peer.sends(window_update(0, 1000), window_update(1, 1000))
        assert not server.closed


class TestUselessFrames:
    def test_priority_flood(self) -> None:
        _server, peer = serving()
        peer.sends(*(priority(1, 3) for _ in range(101)))
        assert ended_with(peer) == "priority_flood"

    def test_priority_update_flood_keeps_nothing(self) -> None:
        server, peer = serving()
        peer.sends(*(priority_update(2 * n + 1, b"u=1") for n in range(101)))
        assert ended_with(peer) == "priority_flood"
        assert len(server.idle_priorities) <= 100

    def test_unknown_types(self) -> None:
        _server, peer = serving()
        peer.sends(*(frame(0xFA, 0, 0, b"x") for _ in range(2001)))
        assert ended_with(peer) == "glitch_flood"

    def test_answers_to_pings_that_were_never_sent(self) -> None:
        _server, peer = serving()
        peer.sends(*(ping(ack=True) for _ in range(2001)))
        assert ended_with(peer) == "glitch_flood"

    def test_unknown_types_now_and_then(self) -> None:
        server, peer = serving()
        for _ in range(50):
            peer.now += 1
            peer.sends(*(frame(0xFA, 0, 0, b"x") for _ in range(150)))
        assert not server.closed

    def test_late_frames_on_reset_streams(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, POST))
        server.reset_stream(server.streams[1], 8, peer.now)
        peer.sends(*(data(1, b"late") for _ in range(500)))
        assert not server.closed
        peer.sends(*(data(1, b"late") for _ in range(2600)))
        assert ended_with(peer) == "glitch_flood"

    def test_bodies_under_way_when_they_are_abandoned_are_honest(self) -> None:
        """As much as the windows let out, of more streams than are remembered: it was sent before the resets arrived."""
        server, peer = serving()
        for n in range(400):
            stream_id = 2 * n + 1
            peer.sends(headers(stream_id, POST))
            server.reset_stream(server.streams[stream_id], 8, peer.now)
            peer.sends(*(data(stream_id, bytes(16_384)) for _ in range(16)))
        assert not server.closed

    def test_words_about_streams_that_have_just_closed_are_honest(self) -> None:
        server, peer = serving()
        for n in range(1000):
            stream_id = 2 * n + 1
            peer.sends(headers(stream_id, GET, end_stream=True))
            server.send_response(server.streams[stream_id], 200, [], True, peer.now)
            peer.sends(window_update(stream_id, 100), window_update(stream_id, 100), rst_stream(stream_id, 8))
        assert not server.closed


class TestContinuation:
    def test_flood(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, GET, end_headers=False), *(continuation(1, b"\x82", end_headers=False) for _ in range(9)))
        assert ended_with(peer) == "continuation_flood"

    def test_block_that_never_ends(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, GET, end_headers=False))
        peer.now += 10.0
        assert server.next_deadline() <= peer.now
        server.tick(peer.now)
        assert ended_with(peer) == "header_block_timeout"

    def test_90_cookie_crumbs_are_honest(self) -> None:
        _server, peer = serving()
        crumbs = [(b"cookie", b"name%d=value%d" % (n, n)) for n in range(90)]
        peer.sends(headers(1, request_block(b"GET", b"/", *crumbs), end_stream=True))
        peer.sees("request 1 end")


class TestProgressOfBodies:
    def post(self, **changes: float) -> tuple[object, Peer]:
        server, peer = serving(replace(SERVER_LIMITS, **changes))
        peer.sends(headers(1, POST))
        return server, peer

    def tick(self, server: object, peer: Peer, seconds: float) -> None:
        end = peer.now + seconds
        while peer.now < end and not server.closed:  # type: ignore[attr-defined]
            peer.now += 1.0
            server.tick(peer.now)  # type: ignore[attr-defined]

    def test_body_that_never_comes(self) -> None:
        server, peer = self.post()
        self.tick(server, peer, 8)
        assert [e.rule for e in peer.errors()] == ["body_too_slow"]
        assert peer.counted("abuse_detections") == {("body_too_slow", "stream_reset"): 1}

    @pytest.mark.parametrize(("octets_per_s", "survives"), [(2000, True), (300, True), (100, False)])
    def test_rate_of_an_upload(self, octets_per_s: int, survives: bool) -> None:
        server, peer = self.post()
        for _ in range(60):
            if 1 not in server.streams:  # type: ignore[attr-defined]
                break
            peer.sends(data(1, b"x" * octets_per_s))
            server.credit(server.streams[1], octets_per_s, peer.now)  # type: ignore[attr-defined]
            self.tick(server, peer, 1)
        assert (1 in server.streams) is survives  # type: ignore[attr-defined]

    def test_application_that_does_not_read_is_not_the_peers_fault(self) -> None:
        server, peer = self.post()
        peer.sends(data(1, b"x" * 300))
        self.tick(server, peer, 60)
        assert 1 in server.streams  # type: ignore[attr-defined]

    def test_long_poll_of_five_minutes(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, GET, end_stream=True))
        self.tick(server, peer, 300)
        assert 1 in server.streams

    def test_open_ended_exchange_after_the_response_began(self) -> None:
        server, peer = self.post()
        server.send_response(server.streams[1], 200, [], False, peer.now)  # type: ignore[attr-defined]
        self.tick(server, peer, 300)
        assert 1 in server.streams  # type: ignore[attr-defined]

    def test_response_that_nobody_takes(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, GET, end_stream=True))
        stream = server.streams[1]
        server.send_response(stream, 200, [], False, peer.now)
        server.send_data(stream, b"x" * 200_000, True, peer.now)
        assert stream.queued > 0
        self.tick(server, peer, 33)
        assert [e.rule for e in peer.errors()] == ["send_stalled"]
        assert server.queued == 0

    def test_response_taken_octet_by_octet(self) -> None:
        server, peer = serving(replace(SERVER_LIMITS, window_updates_base=1000))
        peer.sends(headers(1, GET, end_stream=True))
        stream = server.streams[1]
        server.send_response(stream, 200, [], False, peer.now)
        server.send_data(stream, b"x" * 200_000, True, peer.now)
        for _ in range(40):
            if 1 in server.streams:
                peer.sends(window_update(1, 1), window_update(0, 1))
                server.pump(peer.now)
                self.tick(server, peer, 1)
        assert [e.rule for e in peer.errors()] == ["send_too_slow"]

    def test_a_client_has_timeouts_instead(self) -> None:
        client, _peer = requesting()
        client.send_request([(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a")], False, 1.0)
        assert client.next_deadline() == float("inf")
