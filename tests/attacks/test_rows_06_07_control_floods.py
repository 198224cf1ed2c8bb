"""Rows 6 and 7: PING and SETTINGS that ask for answers."""

from __future__ import annotations

from dataclasses import replace

from h2o_otel.limits import SERVER_LIMITS
from tests.attacks.bounds import stopped
from tests.support.engine import requesting, serving
from tests.support.wire import PREFACE, SETTINGS, data, frame, headers, ping, request_block, settings

GET = request_block()


class TestRow6Ping:
    def test_attack(self) -> None:
        _server, peer = serving()
        peer.sends(*(ping() for _ in range(101)))
        stopped(peer, "ping_flood")

    def test_attack_on_a_client(self) -> None:
        _client, peer = requesting()
        peer.sends(*(ping() for _ in range(101)))
        stopped(peer, "ping_flood")

    def test_attack_that_does_not_read_the_answers(self) -> None:
        server, peer = serving(replace(SERVER_LIMITS, pings_burst=5000))
        server.pause_output()
        peer.sends(*(ping() for _ in range(1001)))
        stopped(peer, "control_queue_flood")
        # GOAWAY behind 1001 answers, and not one octet more.
        assert server.out_size() < 1002 * 17 + 300

    def test_attack_that_keeps_an_idle_connection(self) -> None:
        """PING is no use of the connection: the idle time goes on."""
        server, peer = serving()
        for _ in range(75):
            peer.now += 1.0
            peer.sends(ping())
            server.tick(peer.now)
        assert server.closed

    def test_honest_ping_for_each_burst_of_data(self) -> None:
        """What a client does that estimates the bandwidth-delay product."""
        server, peer = serving()
        for n in range(1000):
            peer.sends(headers(2 * n + 1, GET, end_stream=True))
            server.send_response(server.streams[2 * n + 1], 204, [], True, peer.now)
            peer.sends(ping())
        assert not server.closed


class TestRow7Settings:
    def test_attack_of_frames(self) -> None:
        _server, peer = serving()
        peer.sends(*(settings() for _ in range(11)))
        stopped(peer, "settings_flood")

    def test_attack_of_a_large_frame(self) -> None:
        _server, peer = serving()
        peer.sends(frame(SETTINGS, 0, 0, bytes.fromhex("000100001000") * 33))
        stopped(peer, "settings_entries")

    def test_attack_of_windows_that_move(self) -> None:
        """All changes of the initial window in one frame are one pass over the streams: what is blocked in the end was never let go."""
        server, peer = serving()
        peer.sends(settings({4: 0}), *(headers(2 * n + 1, GET, end_stream=True) for n in range(50)))
        for stream in server.streams.values():
            server.send_response(stream, 200, [], False, peer.now)
            server.send_data(stream, b"body", True, peer.now)
        moves = b"".join(b"\x00\x04" + (1000 - n % 2 * 1000).to_bytes(4, "big") for n in range(32))
        peer.sends(frame(SETTINGS, 0, 0, moves))
        assert server.scheduler.waiting == 0
        assert {stream.send_window for stream in server.streams.values()} == {0}

    def test_attack_that_never_acknowledges(self) -> None:
        server, peer = serving(handshake=False)
        peer.sends(PREFACE, settings())
        for _ in range(10):
            peer.now += 1.0
            server.tick(peer.now)
        stopped(peer, "settings_timeout")

    def test_honest_settings_at_the_beginning(self) -> None:
        server, peer = serving()
        peer.sends(*(settings() for _ in range(9)))
        peer.sends(headers(1, request_block(b"POST")), data(1, b"x", end_stream=True))
        assert not server.closed

    def test_honest_settings_once_a_second(self) -> None:
        server, peer = serving()
        for n in range(100):
            peer.now += 1.0
            peer.sends(settings({4: 65_535 + n}))
        assert not server.closed
