"""Row 14: more streams than SETTINGS_MAX_CONCURRENT_STREAMS, before the peer could know it and after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from h2o_otel.limits import SERVER_LIMITS
from tests.attacks.bounds import stopped, within_limits
from tests.support.engine import Peer, serving
from tests.support.judged import requirement
from tests.support.wire import PREFACE, headers, ping, priority, request_block, rst_stream, settings, settings_ack, window_update

GET = request_block()
# A header section of 32 * 5 + its names and values, as it counts for the limits.
LARGE = request_block(b"GET", b"/", (b"x-large", b"x" * 10_000))


def burst(streams: int, first: int = 1, block: bytes = GET) -> list[bytes]:
    return [headers(first + 2 * n, block, end_stream=True) for n in range(streams)]


def meeting(**limits: Any) -> tuple[Any, Peer]:
    """A server that has sent its SETTINGS, and a client that has not read them."""
    server, peer = serving(replace(SERVER_LIMITS, **limits), handshake=False)
    peer.sends(PREFACE, settings())
    peer.forget()
    return server, peer


def refused(peer: Peer) -> list[int]:
    return [frame.stream_id for frame in peer.gets_frames() if frame.type == 0x3 and frame.payload == b"\0\0\0\x07"]


class TestRow14Streams:
    @requirement("9113-5.1.2-2")
    def test_attack_beyond_what_is_held(self) -> None:
        """Refused without any other consequence, and nothing is kept of them."""
        server, peer = meeting()
        peer.sends(*burst(3000))
        assert len(server.streams) == 250 + 1024
        assert len(refused(peer)) == 3000 - 1274
        assert peer.read("streams", "server", "refused") == 3000 - 1274
        assert peer.counted("abuse_detections") == {}
        assert peer.counted("frame_errors") == {}
        within_limits(server)
        peer.sends(settings_ack(), ping(b"and now?"))
        assert not server.closed

    def test_attack_of_held_fields(self) -> None:
        """The header sections of held streams are bounded together, and memory of the connection's budget."""
        server, peer = meeting(streams_max=1)
        before = server.memory_bytes
        peer.sends(*burst(200, block=LARGE))
        assert len(server.streams) == 1 + 1_048_576 // server.streams[1].fields_bytes
        assert server.held_bytes <= 1_048_576
        assert server.memory_bytes - before >= server.held_bytes
        within_limits(server)
        peer.sends(*(rst_stream(n, 8) for n in list(server.streams)))
        assert (server.held_bytes, server.fields_bytes) == (0, 0)

    @requirement("9113-5.1.2-2")
    def test_attack_after_the_acknowledgement(self) -> None:
        """Who has read the limit and exceeds it all the same uses up the tokens of its faults."""
        server, peer = meeting(streams_max=1)
        peer.sends(*burst(50), settings_ack())
        assert len(server.streams) == 50
        peer.sends(*burst(100, first=1001))
        assert len(server.streams) == 50
        assert peer.read("streams", "server", "refused") == 100
        assert not server.closed
        peer.sends(*burst(1, first=2001))
        stopped(peer, "made_you_reset")

    @requirement("9113-6.5.3-5")
    def test_attack_that_never_acknowledges(self) -> None:
        server, peer = meeting()
        peer.sends(*burst(1000))
        for _ in range(10):
            peer.now += 1.0
            server.tick(peer.now)
        stopped(peer, "settings_timeout")
        assert server.held_bytes == 0

    def test_attack_of_resets(self) -> None:
        """A held stream that is reset is a reset like any other."""
        _server, peer = meeting(resets_received_burst=100)
        peer.sends(*burst(300), *(rst_stream(2 * n + 1, 8) for n in range(101)))
        stopped(peer, "rapid_reset")

    def test_attack_of_sections_that_are_too_large(self) -> None:
        """Once their limit was read; before, they are refused and nothing else."""
        server, peer = meeting(header_list_bytes_max=1000)
        peer.sends(*burst(150, block=LARGE))
        assert not server.closed
        assert peer.counted("abuse_detections") == {}
        assert peer.counted("frame_errors")["server", "header_list_too_large"] == 150
        peer.sends(settings_ack(), *burst(101, first=1001, block=LARGE))
        assert [error.rule for error in peer.errors()][-1] == "made_you_reset"

    @requirement("9113-6.5.3-4")
    def test_honest_burst_before_the_limit_is_known(self) -> None:
        """What Envoy sends on a new connection, in one write."""
        server, peer = serving(handshake=False)
        peer.sends(PREFACE, settings(), *burst(300))
        assert len(server.streams) == 300
        peer.sends(settings_ack())
        for stream in list(server.streams.values()):
            server.send_response(stream, 204, [], True, peer.now)
        assert peer.read("streams", "server", "completed") == 300
        assert peer.read("streams", "server", "refused") == 0
        assert server.held_bytes == 0
        assert not server.closed

    @pytest.mark.parametrize("streams_max", [1, 100, 250])
    def test_honest_client_that_uses_all_that_is_advertised(self, streams_max: int) -> None:
        server, peer = serving(replace(SERVER_LIMITS, streams_max=streams_max))
        for round in range(4):
            peer.sends(*burst(streams_max, first=1 + 2 * streams_max * round))
            for stream in list(server.streams.values()):
                server.send_response(stream, 204, [], True, peer.now)
        assert peer.read("streams", "server", "completed") == 4 * streams_max
        assert peer.read("streams", "server", "refused") == 0

    def test_honest_frames_for_refused_streams(self) -> None:
        """Window and priority for a request that we refuse are no flood: the client sent them with it."""
        server, peer = meeting(streams_max=1, streams_held_max=0, window_updates_base=0, priority_frames_per_stream_max=2)
        for n in range(500):
            peer.sends(*burst(1, first=1 + 2 * n), window_update(2 * n + 1, 1000), window_update(0, 1000), priority(2 * n + 1, 0))
        assert peer.read("streams", "server", "refused") == 499
        assert not server.closed

    @requirement("9113-5.1.2-4")
    def test_honest_client_and_a_limit_that_is_lowered(self) -> None:
        """Binding from its acknowledgement on; what is open goes on (RFC 9113 section 6.5.3)."""
        server, peer = serving()
        peer.sends(*burst(100))
        server.update_settings([(3, 10)], peer.now)
        peer.sends(*burst(150, first=1001))
        assert len(server.streams) == 250
        assert peer.read("streams", "server", "refused") == 0
        peer.sends(settings_ack(), *burst(1, first=2001))
        assert (len(server.streams), peer.read("streams", "server", "refused")) == (250, 1)
        for stream in list(server.streams.values())[:-9]:
            server.send_response(stream, 204, [], True, peer.now)
        peer.sends(*burst(1, first=2003))
        assert (len(server.streams), peer.read("streams", "server", "refused")) == (10, 1)
