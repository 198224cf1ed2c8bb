"""Rows 3 to 5 and 12: field blocks that never end, that expand, or that cost more to decode than to send."""

from __future__ import annotations

from dataclasses import replace

import pytest

from h2o_otel.limits import SERVER_LIMITS
from tests.attacks.bounds import stopped, within_limits
from tests.support.engine import requesting, serving
from tests.support.wire import block, continuation, frames, headers, integer, literal, request_block, response_block, settings

GET = request_block()


class TestRow3Continuation:
    def test_attack_of_many_frames(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, GET, end_headers=False), *(continuation(1, b"\x82", end_headers=False) for _ in range(9)))
        stopped(peer, "continuation_flood")

    def test_attack_of_empty_frames(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, GET, end_headers=False), *(continuation(1, b"", end_headers=False) for _ in range(2)))
        stopped(peer, "continuation_empty")

    def test_attack_of_compressed_octets(self) -> None:
        _server, peer = serving()
        field = literal(b"a", b"x" * 16_000)
        peer.sends(headers(1, GET + field, end_headers=False), *(continuation(1, field, end_headers=False) for _ in range(4)))
        stopped(peer, "header_block_too_large")

    def test_attack_of_a_block_that_never_ends(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, GET, end_headers=False))
        for octet in continuation(1, b"\x82", end_headers=False)[:9]:
            peer.now += 1.0
            peer.sends(bytes([octet]))
            server.tick(peer.now)
            assert not server.closed
        peer.now += 1.0
        assert server.next_deadline() <= peer.now
        server.tick(peer.now)
        stopped(peer, "header_block_timeout")

    def test_attack_on_a_client(self) -> None:
        client, peer = requesting()
        client.send_request([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a")], True, 1.0)
        peer.sends(headers(1, response_block(), end_headers=False), *(continuation(1, b"\x88", end_headers=False) for _ in range(9)))
        stopped(peer, "continuation_flood")

    def test_honest_block_in_eight_pieces(self) -> None:
        _server, peer = serving()
        piece = block((b"a", b"x" * 1000))
        peer.sends(headers(1, GET, end_stream=True, end_headers=False))
        peer.sends(*(continuation(1, piece, end_headers=n == 7) for n in range(8)))
        peer.sees("request 1 end")


class TestRow4HpackBomb:
    def test_attack_of_references(self) -> None:
        """One large field in the table, named again and again: a block of 4 kB for fields of 16 MB."""
        server, peer = serving()
        entry = b"\x40" + integer(1, 7) + b"a" + integer(4000, 7) + b"x" * 4000
        peer.sends(headers(1, GET + entry + b"\xbe" * 4000, end_stream=True))
        assert peer.counted("frame_errors")["server", "header_list_too_large"] == 1
        assert peer.counted("abuse_detections")["header_list_too_large", "reset"] == 1
        # The table is still right: the connection goes on.
        peer.forget()
        peer.sends(headers(3, GET + b"\xbe", end_stream=True))
        peer.sees("request 3 end")
        assert server.streams[3].headers == [(b"a", b"x" * 4000)]
        within_limits(server)

    def test_attack_of_crumbs(self) -> None:
        """Every cookie crumb counts as a field, though they are joined later (the HTTP/2 bomb of 2026)."""
        _server, peer = serving()
        peer.sends(headers(1, request_block(b"GET", b"/", *[(b"cookie", b"")] * 300), end_stream=True))
        assert peer.counted("abuse_detections")["header_fields_too_many", "reset"] == 1
        assert not peer.connection.closed

    def test_attack_in_trailers(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, request_block(b"POST")), headers(1, block((b"a", b"")) * 257, end_stream=True))
        assert peer.counted("abuse_detections")["header_fields_too_many", "reset"] == 1

    def test_attack_that_holds_what_it_decoded(self) -> None:
        """Responses into windows that never open: the streams, and with them the fields, are given up."""
        server, peer = serving()
        peer.sends(settings({4: 0}))
        peer.sends(*(headers(2 * n + 1, request_block(b"GET", b"/", (b"a", b"x" * 8000)), end_stream=True) for n in range(100)))
        for stream in list(server.streams.values()):
            server.send_response(stream, 200, [], False, peer.now)
            server.send_data(stream, b"x" * 1000, True, peer.now)
        for _ in range(93):
            peer.now += 1.0
            server.tick(peer.now)
        assert not server.streams
        assert server.queued == 0

    def test_honest_cookie_of_90_crumbs(self) -> None:
        _server, peer = serving()
        crumbs = [(b"cookie", b"name%d=value%d" % (n, n)) for n in range(90)]
        peer.sends(headers(1, request_block(b"GET", b"/", *crumbs), end_stream=True))
        peer.sees("request 1 end")


class TestRow5HpackDetails:
    @pytest.mark.parametrize(
        ("octets", "rule"),
        [
            (b"\x00\x7f" + b"\xff" * 5 + b"\x0f", "hpack_integer_too_large"),
            (b"\x00" + integer(1, 7) + b"a" + integer(70_000, 7), "hpack_string_too_long"),
            (b"\x20\x20\x20", "hpack_size_updates"),
            (GET + b"\x20", "hpack_size_update_late"),
            (b"\x3f" + integer(4097, 5)[1:], "hpack_size_update_too_large"),
        ],
    )
    def test_attack(self, octets: bytes, rule: str) -> None:
        _server, peer = serving()
        peer.sends(headers(1, octets, end_stream=True))
        assert peer.counted("frame_errors")["server", rule] == 1
        assert peer.connection.closed
        within_limits(peer.connection)

    def test_attack_on_the_encoders_table(self) -> None:
        """Whatever the peer allows, our table stays inside ``encoder_table_bytes_max``."""
        server, peer = serving()
        peer.sends(settings({1: 2**32 - 1}))
        for n in range(200):
            stream_id = 2 * n + 1
            peer.sends(headers(stream_id, GET, end_stream=True))
            server.send_response(server.streams[stream_id], 200, [(b"x-%d" % n, b"y" * 100)], True, peer.now)
        assert server.encoder.table.size <= SERVER_LIMITS.encoder_table_bytes_max

    def test_honest_two_size_updates(self) -> None:
        _server, peer = serving()
        peer.sends(headers(1, b"\x20\x3f\xe1\x1f" + GET, end_stream=True))
        peer.sees("request 1 end")


class TestRow12EmptyNames:
    def test_attack(self) -> None:
        """Names without octets cost the overhead of an entry each, and are malformed."""
        _server, peer = serving()
        peer.sends(headers(1, GET + literal(b"", b"") * 3000, end_stream=True))
        assert not peer.connection.closed
        errors = peer.counted("frame_errors")
        assert errors.get(("server", "field_name_empty")) or errors.get(("server", "header_list_too_large"))
        assert [f.type for f in frames(peer.connection.data_to_send())] == [3]

    def test_honest_empty_value(self) -> None:
        _server, peer = serving(replace(SERVER_LIMITS))
        peer.sends(headers(1, GET + literal(b"x-flag", b""), end_stream=True))
        peer.sees("request 1 end")
