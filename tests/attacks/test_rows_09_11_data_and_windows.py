"""Rows 9 to 11 and 26: DATA and WINDOW_UPDATE in crumbs, readers that do not read, frames without use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from tests.attacks.bounds import stopped, within_limits
from tests.support.engine import Peer, requesting, serving
from tests.support.wire import (
    GOAWAY,
    PING,
    data,
    frame,
    frames,
    headers,
    ping,
    priority,
    priority_update,
    request_block,
    response_block,
    rst_stream,
    settings,
    window_update,
)

GET = request_block()
POST = request_block(b"POST")


def wait(peer: Peer, seconds: float) -> None:
    end = peer.now + seconds
    while peer.now < end and not peer.connection.closed:
        peer.now += 1.0
        peer.connection.tick(peer.now)


class TestRow9SmallData:
    def test_attack_of_empty_frames_in_a_row(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, POST), *(data(1) for _ in range(11)))
        stopped(peer, "empty_data_flood")

    def test_attack_of_empty_frames_between_others(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, POST), *(data(1) + data(1, b"x" * 300) for _ in range(101)))
        stopped(peer, "empty_data_flood")

    def test_attack_of_padding_only(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, POST), *(data(1, padding=200) for _ in range(11)))
        stopped(peer, "empty_data_flood")

    def test_attack_of_unread_crumbs(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, POST), *(data(1, b"x") for _ in range(3000)))
        peer.now += 0.001
        peer.sends(data(1, b"x"))
        stopped(peer, "small_data_flood")

    def test_attack_on_a_client(self) -> None:
        client, peer = requesting(replace(CLIENT_LIMITS, connection_window_bytes=65_535))
        client.send_request([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a")], True, 1.0)
        peer.sends(headers(1, response_block()), *(data(1, b"x") for _ in range(200)))
        peer.now += 0.001
        peer.sends(data(1, b"x"))
        stopped(peer, "small_data_flood")

    def test_honest_upload_of_single_octets_that_is_read(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, POST))
        for _ in range(20_000):
            peer.sends(data(1, b"x"))
            server.credit(server.streams[1], 1, peer.now)
        assert not server.closed
        assert server.guards.small_unread == 0

    def test_honest_10000_messages_of_600_octets_with_a_slow_reader(self) -> None:
        """A gRPC stream whose reader is always a window behind."""
        server, peer = serving()
        peer.sends(headers(1, POST))
        unread = 0
        for _ in range(10_000):
            if server.streams[1].recv_window < 600:
                server.credit(server.streams[1], 131_072, peer.now)
                unread -= 131_072
            peer.sends(data(1, b"m" * 600))
            unread += 600
        assert unread == server.streams[1].recv_unread > 100_000
        assert not server.closed

    def test_a_reset_gives_the_budget_back(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, POST), *(data(1, b"x") for _ in range(100)))
        assert server.guards.small_unread == 100 * 255
        peer.sends(rst_stream(1, 8))
        assert server.guards.small_unread == 0


def answering(size: int = 200_000, **changes: Any) -> tuple[Any, Peer]:
    """A server whose response of ``size`` octets waits for windows."""
    server, peer = serving(replace(SERVER_LIMITS, **changes))
    peer.sends(headers(1, GET, end_stream=True))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    server.send_data(server.streams[1], b"x" * size, True, peer.now)
    return server, peer


def waits_and_answers(peer: Peer, seconds: int) -> None:
    """Time passes second by second for a peer that answers PING."""
    for _ in range(seconds):
        wait(peer, 1)
        pings = [f for f in frames(peer.connection.data_to_send()) if f.type == PING and not f.flags & 1]
        peer.sends(*(ping(f.payload, ack=True) for f in pings))


class TestRow10SlowRead:
    @pytest.mark.parametrize(("short", "after_s"), [(False, 91), (True, 31)])
    def test_attack_of_a_reader_that_does_not_read(self, short: bool, after_s: int) -> None:
        """It answers PING, so the connection stays."""
        server, peer = answering(pressure_percent=0 if short else 75)
        waits_and_answers(peer, after_s - 1)
        assert list(server.streams) == [1]
        waits_and_answers(peer, 1)
        stopped(peer, "send_stalled", "reset")
        assert server.queued == 0

    @pytest.mark.parametrize(("short", "after_s"), [(False, 91), (True, 31)])
    @pytest.mark.parametrize("paused", [False, True], ids=["answers no PING", "full socket"])
    def test_attack_of_a_connection_that_is_not_read(self, short: bool, after_s: int, paused: bool) -> None:
        """With its last stream goes the connection, without the idle time."""
        server, peer = answering(pressure_percent=0 if short else 75)
        if paused:
            server.pause_output()
        wait(peer, after_s - 1)
        assert not server.closed
        wait(peer, 1)
        assert peer.counted("abuse_detections") == {("send_stalled", "reset"): 1}
        assert server.closed
        goaway = [f for f in frames(server.data_to_send()) if f.type == GOAWAY]
        assert goaway[-1].payload[8:] == b"the connection is not read"

    def test_honest_reader_that_pauses_for_a_minute(self) -> None:
        """Again and again, and it reads little in between."""
        server, peer = answering(window_updates_base=1000)
        for _ in range(4):
            waits_and_answers(peer, 80)
            peer.sends(window_update(1, 10), window_update(0, 10))
            server.pump(peer.now)
        assert list(server.streams) == [1]

    def test_honest_other_stream_keeps_the_connection(self) -> None:
        server, peer = answering()
        peer.sends(headers(3, GET, end_stream=True))
        wait(peer, 200)
        assert list(server.streams) == [3]
        assert not server.closed

    def test_honest_socket_that_empties_slowly(self) -> None:
        """What the transport still holds is not progress, what it gets rid of is, though the engine writes nothing meanwhile."""
        server, peer = answering(200_000)
        server.data_to_send()
        server.pause_output()
        for second in range(300):
            server.unsent = 600_000 - 2000 * second
            wait(peer, 1)
        assert list(server.streams) == [1]
        wait(peer, 91)
        assert not server.streams

    def test_attack_of_window_updates(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, GET, end_stream=True), *(window_update(0, 1) for _ in range(8)))
        stopped(peer, "window_update_flood")

    def test_attack_of_single_octets_of_window(self) -> None:
        """DATA that the peer's own window cut to a crumb earns it no further WINDOW_UPDATE."""
        server, peer = serving()
        peer.sends(settings({4: 0}), headers(1, GET, end_stream=True))
        server.send_response(server.streams[1], 200, [], False, peer.now)
        server.send_data(server.streams[1], b"x" * 60_000, True, peer.now)
        sent = 0
        while not server.closed and sent < 1000:
            peer.sends(window_update(1, 1))
            server.pump(peer.now)
            sent += 1
        assert sent < 50
        stopped(peer, "window_update_flood")

    @pytest.mark.parametrize(("octets_per_s", "rules"), [(2000, []), (1, ["send_too_slow", "send_too_slow"])])
    def test_response_that_waits_behind_another(self, octets_per_s: int, rules: list[str]) -> None:
        """Responses go out in request order: the second waits for a connection that moves, however long that takes."""
        server, peer = serving(replace(SERVER_LIMITS, window_updates_base=1000, pressure_percent=0))
        peer.sends(settings({4: 2**20}), headers(1, GET, end_stream=True), headers(3, GET, end_stream=True))
        for stream_id in (1, 3):
            server.send_response(server.streams[stream_id], 200, [], False, peer.now)
            server.send_data(server.streams[stream_id], b"x" * 180_000, True, peer.now)
        peer.forget()
        for _ in range(50):
            peer.sends(window_update(0, octets_per_s))
            server.pump(peer.now)
            wait(peer, 1)
        assert [e.rule for e in peer.errors()] == rules
        assert list(server.streams) == ([] if rules else [1, 3])

    def test_attack_of_one_reader_behind_another(self) -> None:
        """A stream that its own window holds up is not excused by what the others take."""
        server, peer = serving(replace(SERVER_LIMITS, window_updates_base=1000))
        peer.sends(window_update(0, 2**30), headers(1, GET, end_stream=True), headers(3, GET, end_stream=True))
        for stream_id in (1, 3):
            server.send_response(server.streams[stream_id], 200, [], False, peer.now)
            server.send_data(server.streams[stream_id], b"x" * 1_000_000, True, peer.now)
        for _ in range(93):
            peer.sends(window_update(3, 10_000))
            server.pump(peer.now)
            wait(peer, 1)
        assert [(e.rule, e.stream_id) for e in peer.errors()] == [("send_stalled", 1)]
        assert list(server.streams) == [3]

    def test_attack_of_octets_in_time(self) -> None:
        """Progress is counted in octets of body: a few a second are none."""
        server, peer = answering(window_updates_base=1000, pressure_percent=0)
        for _ in range(40):
            if 1 in server.streams:
                peer.sends(window_update(1, 1), window_update(0, 1))
                server.pump(peer.now)
                wait(peer, 1)
        stopped(peer, "send_too_slow", "reset")

    def test_honest_update_for_each_data_frame(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, GET, end_stream=True))
        stream = server.streams[1]
        server.send_response(stream, 200, [], False, peer.now)
        for _ in range(500):
            server.send_data(stream, b"x" * 10, False, peer.now)
            peer.sends(window_update(0, 10), window_update(1, 10))
        assert not server.closed

    def test_honest_reader_with_a_window_of_a_few_hundred_octets(self) -> None:
        server, peer = serving()
        peer.sends(settings({4: 300}), headers(1, GET, end_stream=True))
        server.send_response(server.streams[1], 200, [], False, peer.now)
        server.send_data(server.streams[1], b"x" * 60_000, True, peer.now)
        for _ in range(199):
            peer.sends(window_update(1, 300))
            server.pump(peer.now)
        assert not server.streams
        assert not server.closed

    @pytest.mark.parametrize(
        ("octets_per_s", "short", "survives"), [(2000, True, True), (300, True, True), (100, True, False), (1, False, True)]
    )
    def test_honest_slow_but_steady_upload(self, octets_per_s: int, short: bool, survives: bool) -> None:
        server, peer = serving(replace(SERVER_LIMITS, pressure_percent=0 if short else 75))
        peer.sends(headers(1, POST))
        for _ in range(60):
            if 1 not in server.streams:
                break
            peer.sends(data(1, b"x" * octets_per_s))
            server.credit(server.streams[1], octets_per_s, peer.now)
            wait(peer, 1)
        assert (1 in server.streams) is survives

    def test_honest_slow_but_steady_download(self) -> None:
        """A mobile client that takes 2 kB a second of a large response."""
        server, peer = answering()
        for _ in range(60):
            peer.sends(window_update(1, 2000), window_update(0, 2000))
            server.pump(peer.now)
            wait(peer, 1)
        assert 1 in server.streams


def use(peer: Peer) -> None:
    peer.sends(ping(b"stillyes"))
    assert not peer.connection.closed


class TestRow11Priorities:
    def test_attack_of_priority(self) -> None:
        _server, peer = serving()
        peer.sends(*(priority(1, 3) for _ in range(101)))
        stopped(peer, "priority_flood")

    def test_attack_of_priority_updates_of_idle_streams(self) -> None:
        server, peer = serving()
        peer.sends(*(priority_update(2 * n + 1, b"u=1") for n in range(101)))
        stopped(peer, "priority_flood")
        assert len(server.idle_priorities) <= SERVER_LIMITS.streams_max

    def test_attack_of_a_dependency_cycle(self) -> None:
        """No tree is kept, so no cycle can be built: the frames are read and forgotten."""
        server, peer = serving()
        peer.sends(priority(1, 3), priority(3, 5), priority(5, 1))
        within_limits(server)
        use(peer)

    def test_honest_browser_that_builds_the_old_tree(self) -> None:
        _server, peer = serving()
        peer.sends(*(priority(n, 0) for n in (3, 5, 7, 9, 11)))
        for n in range(100):
            peer.sends(headers(2 * n + 13, GET, end_stream=True), priority(2 * n + 13, 11), rst_stream(2 * n + 13, 8))
        use(peer)


USELESS: dict[str, tuple[Callable[[int], bytes], str]] = {
    "unknown types": (lambda n: frame(0xFA, 0, 0, b"x"), "unknown_type"),
    "answers to no ping": (lambda n: ping(ack=True), "unasked_pong"),
    "window updates on closed streams": (lambda n: window_update(1, 1), "closed_stream"),
    "data on a reset stream": (lambda n: data(3, b"late"), "closed_stream"),
}


class TestRow26Glitches:
    @pytest.mark.parametrize("kind", USELESS)
    def test_attack(self, kind: str) -> None:
        server, peer = serving(replace(SERVER_LIMITS, window_updates_base=100_000))
        peer.sends(headers(1, GET, end_stream=True))
        server.send_response(server.streams[1], 204, [], True, peer.now)
        peer.sends(headers(3, POST))
        server.reset_stream(server.streams[3], 8, peer.now)
        make, name = USELESS[kind]
        for _ in range(4000):
            if not server.closed:
                peer.sends(make(0))
        stopped(peer, "glitch_flood")
        assert peer.read("frame_glitches", "server", name) > 2000

    def test_honest_greasing(self) -> None:
        server, peer = serving()
        for _ in range(50):
            peer.now += 1
            peer.sends(*(frame(0xFA, 0, 0, b"x") for _ in range(150)))
        assert not server.closed

    def test_honest_requests_that_cross_our_goaway(self) -> None:
        """Sent before the client could know that they would be ignored: 250 of them, with bodies."""
        server, peer = serving(replace(SERVER_LIMITS, glitches_burst=10, glitches_refill_per_s=0.0))
        server.finish_shutdown(peer.now)
        for n in range(250):
            peer.sends(headers(2 * n + 1, POST), *(data(2 * n + 1, bytes(1000)) for _ in range(4)), window_update(2 * n + 1, 1000))
        assert not server.closed
        assert peer.read("frame_glitches", "server", "after_goaway") == 250 * 6
        # Whoever goes on and on has read it.
        for n in range(250, 2000):
            peer.sends(headers(2 * n + 1, POST))
        stopped(peer, "glitch_flood")

    def test_honest_bodies_under_way_when_they_are_abandoned(self) -> None:
        """As much as the windows let out, of more streams than are remembered: it was sent before the resets arrived."""
        server, peer = serving()
        for n in range(400):
            stream_id = 2 * n + 1
            peer.sends(headers(stream_id, POST))
            server.reset_stream(server.streams[stream_id], 8, peer.now)
            peer.sends(*(data(stream_id, bytes(16_384)) for _ in range(16)))
        assert not server.closed

    def test_honest_words_about_streams_that_have_just_closed(self) -> None:
        server, peer = serving()
        for n in range(1000):
            stream_id = 2 * n + 1
            peer.sends(headers(stream_id, GET, end_stream=True))
            server.send_response(server.streams[stream_id], 200, [], True, peer.now)
            peer.sends(window_update(stream_id, 100), window_update(stream_id, 100), rst_stream(stream_id, 8))
        assert not server.closed
