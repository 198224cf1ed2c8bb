"""Rows 30 and 31: frames that never complete, GOAWAY, and TLS records that carry nothing."""

from __future__ import annotations

import pytest

from tests.attacks.bounds import stopped
from tests.support.engine import GET, Peer, requesting, serving
from tests.support.wire import continuation, data, frame, goaway, headers, ping, push_promise, request_block, response_block, settings

BLOCK = request_block()
# A beginning of each frame, and the rule of its deadline.
UNFINISHED = {
    "one octet": (b"\0", "frame_timeout"),
    "a length": (b"\0\0\x08", "frame_timeout"),
    "eight octets of a header": (headers(3, BLOCK)[:8], "header_block_timeout"),
    "HEADERS": (headers(3, BLOCK)[:9], "header_block_timeout"),
    "HEADERS with a field": (headers(3, BLOCK)[:10], "header_block_timeout"),
    "PING": (ping()[:12], "frame_timeout"),
    "SETTINGS": (settings({1: 4096})[:9], "frame_timeout"),
    "a frame of an unknown type": (frame(0xFA, 0, 0, bytes(100))[:50], "frame_timeout"),
    "GOAWAY": (goaway(0, 0, b"debug")[:20], "frame_timeout"),
    "DATA on a stream that has ended": (data(1, b"late")[:10], "frame_timeout"),
    "DATA on an idle stream": (data(9, b"early")[:10], "frame_timeout"),
}


def dribble(peer: Peer, octets: bytes, seconds: int, every: float = 1.0) -> None:
    """``octets`` one by one, over ``seconds``; then silence."""
    rest = list(octets)
    for _ in range(int(seconds / every)):
        peer.now += every
        if rest:
            peer.sends(bytes([rest.pop(0)]))
        peer.connection.tick(peer.now)


class TestRow30Frames:
    @pytest.mark.parametrize("name", UNFINISHED)
    @pytest.mark.parametrize("beside", ["nothing", "a request"])
    def test_attack(self, name: str, beside: str) -> None:
        """Another stream that is open excuses nothing."""
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True))
        if beside == "nothing":
            server.send_response(server.streams[1], 204, [], True, peer.now)
        octets, rule = UNFINISHED[name]
        peer.sends(octets)
        assert server.next_deadline() == peer.now + 10.0
        dribble(peer, b"", 9)
        assert not server.closed
        dribble(peer, b"", 1)
        stopped(peer, rule)

    @pytest.mark.parametrize("name", [name for name, (octets, _) in UNFINISHED.items() if len(octets) > 3])
    def test_attack_beside_an_open_body(self, name: str) -> None:
        """Nor does a body, once the type of the frame is known."""
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True), headers(5, request_block(b"POST")), data(5, b"x" * 1000))
        octets, rule = UNFINISHED[name]
        peer.sends(octets if octets[3] else data(1, b"late")[:10])
        dribble(peer, b"", 10)
        stopped(peer, rule)
        assert server.closed

    def test_attack_of_a_block_in_two_frames(self) -> None:
        """The time of a field block runs from the first octet of its first frame."""
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True))
        octets = headers(3, BLOCK[:2], end_headers=False) + continuation(3, BLOCK[2:])
        began = peer.now + 1
        dribble(peer, octets[:-1], 9, every=9 / 36)
        assert not server.closed
        peer.now = began + 9
        server.tick(peer.now)
        dribble(peer, b"", 1)
        stopped(peer, "header_block_timeout")

    @pytest.mark.parametrize(
        ("octets", "rule"),
        [
            (headers(1, response_block())[:10], "header_block_timeout"),
            (push_promise(1, 2, BLOCK)[:12], "header_block_timeout"),
            (ping()[:3], "frame_timeout"),
        ],
    )
    def test_attack_on_a_client(self, octets: bytes, rule: str) -> None:
        client, peer = requesting(push=True)
        stream = client.send_request(GET, True, peer.now)
        if rule == "frame_timeout":
            # What may become DATA of a response is under the caller's time limits.
            client.reset_stream(stream, 8, peer.now)
        peer.sends(octets)
        dribble(peer, b"", 10)
        stopped(peer, rule)

    def test_attack_with_data_of_a_body_that_was_reset(self) -> None:
        """There is no body any more whose rules the frame could be under."""
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True), headers(3, request_block(b"POST")), data(3, bytes(1000))[:500])
        assert server.frame_since == 0.0
        server.reset_stream(server.streams[3], 8, peer.now)
        dribble(peer, b"", 10)
        stopped(peer, "frame_timeout")

    def test_honest_frames_that_take_their_time(self) -> None:
        """Each has its own ten seconds."""
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True))
        for n in range(10):
            dribble(peer, ping(bytes([n]) * 8), 9, every=9 / 17)
        assert not server.closed
        assert server.frame_since == 0.0

    def test_honest_frames_that_are_cut_anywhere(self) -> None:
        """The end of one frame and the beginning of the next arrive together, for minutes."""
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True))
        octets = b"".join(ping(bytes([n]) * 8) for n in range(100))
        for start in range(0, len(octets), 11):
            peer.now += 3.0
            peer.sends(octets[start : start + 11])
            server.tick(peer.now)
        assert not server.closed

    def test_honest_upload_of_slow_frames(self) -> None:
        """2 kB a second, 8 s a frame: its octets are progress before the frame is complete."""
        server, peer = serving()
        peer.sends(headers(1, request_block(b"POST")))
        octets = data(1, bytes(16_384)) * 5
        for start in range(0, len(octets), 2000):
            peer.sends(octets[start : start + 2000])
            for stream in server.streams.values():
                server.credit(stream, stream.recv_unread, peer.now)
            peer.now += 1.0
            server.tick(peer.now)
        assert not server.closed
        assert server.streams[1].body_received == 5 * 16_384


class TestRow31Records:
    def test_attack_of_goaways(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True), *(goaway(0) for _ in range(11)))
        stopped(peer, "goaway_flood")
        assert peer.read("frame_glitches", "server", "goaway") == 10
        assert server.closed

    def test_attack_of_goaways_on_a_client(self) -> None:
        client, peer = requesting()
        client.send_request(GET, True, peer.now)
        peer.sends(*(goaway(2**31 - 1 - 2 * n, 0, bytes(1000)) for n in range(11)))
        stopped(peer, "goaway_flood")

    def test_attack_of_records(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True))
        server.barren_records(32, peer.now)
        assert not server.closed
        server.barren_records(1000, peer.now)
        stopped(peer, "tls_record_flood")
        assert peer.read("frame_glitches", "server", "tls_record") == 33

    def test_honest_graceful_end(self) -> None:
        """Twice, and once more when there is an error; and a peer that repeats it now and then."""
        client, peer = requesting()
        client.send_request(GET, True, peer.now)
        peer.sends(goaway(2**31 - 1), goaway(1), goaway(1, 2, b"internal error"))
        for _ in range(60):
            peer.now += 1.0
            peer.sends(goaway(1))
        assert not client.closed

    def test_honest_tickets_and_key_updates(self) -> None:
        server, peer = serving()
        for _ in range(100):
            server.barren_records(2, peer.now)
            peer.now += 2.0
        assert not server.closed
