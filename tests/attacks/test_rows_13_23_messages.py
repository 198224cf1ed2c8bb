"""Rows 13 to 23: sizes, counts, slowness, identifiers, malformed messages, promises, 1xx, servers that lie, work after the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from tests.attacks.bounds import stopped, within_limits
from tests.support.engine import GET, Peer, requesting, serving
from tests.support.wire import (
    DATA,
    GOAWAY,
    PREFACE,
    RST_STREAM,
    block,
    data,
    frame,
    goaway,
    headers,
    ping,
    push_promise,
    request_block,
    response_block,
    settings,
)

BLOCK = request_block()


def wait(peer: Peer, seconds: float) -> None:
    end = peer.now + seconds
    while peer.now < end and not peer.connection.closed:
        peer.now += 1.0
        peer.connection.tick(peer.now)


class TestRow13OversizeFrames:
    def test_attack(self) -> None:
        """Nine octets decide; not one of the 16 MB that they announce is waited for."""
        _server, peer = serving()
        peer.sends(frame(DATA, 0, 1, b"", length=2**24 - 1))
        assert peer.counted("frame_errors") == {("server", "frame_too_large"): 1}
        assert peer.connection.closed

    def test_honest_largest_frame(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, request_block(b"POST")), data(1, bytes(16_384)))
        assert not server.closed


class TestRow15Slowloris:
    def test_attack_on_the_preface(self) -> None:
        """The deadline is absolute: an octet now and then does not move it."""
        server, peer = serving(handshake=False)
        for octet in (PREFACE + settings())[:9]:
            peer.sends(bytes([octet]))
            wait(peer, 1)
        assert not server.closed
        wait(peer, 1)
        stopped(peer, "preface_timeout")

    @pytest.mark.parametrize(("percent", "after_s", "rule"), [(75, 91, "body_stalled"), (0, 6, "body_too_slow")])
    def test_attack_with_a_body_that_never_comes(self, percent: int, after_s: int, rule: str) -> None:
        server, peer = serving(replace(SERVER_LIMITS, pressure_percent=percent))
        peer.sends(headers(1, request_block(b"POST")))
        wait(peer, after_s - 1)
        assert list(server.streams) == [1]
        wait(peer, 1)
        stopped(peer, rule, "reset")

    def test_attack_by_an_idle_connection(self) -> None:
        server, peer = serving()
        wait(peer, 75)
        assert server.closed

    def test_honest_application_that_does_not_read(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, request_block(b"POST")), data(1, b"x" * 300))
        wait(peer, 60)
        assert 1 in server.streams

    def test_honest_long_poll_of_five_minutes(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, BLOCK, end_stream=True))
        wait(peer, 300)
        assert 1 in server.streams

    def test_honest_websocket_idle_for_ten_minutes_with_pings(self) -> None:
        """RFC 8441: neither side owes the other anything; PING shows that both live."""
        server, peer = serving()
        fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]]
        peer.sends(headers(1, block(*fields)))
        server.send_response(server.streams[1], 200, [], False, peer.now)
        for _ in range(20):
            wait(peer, 30)
            peer.sends(ping())
        assert 1 in server.streams

    def test_honest_exchange_that_goes_both_ways(self) -> None:
        server, peer = serving()
        peer.sends(headers(1, request_block(b"POST")))
        server.send_response(server.streams[1], 200, [], False, peer.now)
        wait(peer, 300)
        assert 1 in server.streams

    def test_a_client_has_timeouts_instead(self) -> None:
        client, _peer = requesting()
        client.send_request([(b":method", b"POST"), *GET[1:]], False, 1.0)
        assert client.next_deadline() == float("inf")


class TestRow16Exhaustion:
    def test_attack_of_one_high_identifier(self) -> None:
        """Half of all identifiers are passed over at once: the connection drains, and none is used twice."""
        server, peer = serving()
        peer.sends(headers(2**30 + 1, BLOCK, end_stream=True))
        assert [f.type for f in peer.gets_frames()] == [GOAWAY]
        peer.sends(headers(1, BLOCK, end_stream=True))
        assert server.closed
        assert peer.counted("frame_errors") == {("server", "stream_id_reused"): 1}

    def test_honest_connection_of_many_requests(self) -> None:
        server, peer = serving()
        for n in range(5000):
            peer.sends(headers(2 * n + 1, BLOCK, end_stream=True))
            server.send_response(server.streams[2 * n + 1], 204, [], True, peer.now)
        assert not [f for f in peer.gets_frames() if f.type == GOAWAY]


class TestRow17Malformed:
    """The rules themselves are in ``tests/unit/frames/test_message_rules.py``; here that they are the stream's matter alone."""

    @pytest.mark.parametrize(
        "fields",
        [
            [*GET, (b"a", b"x\r\nb: y")],
            [*GET, (b"a", b"x\0y")],
            [*GET, (b"transfer-encoding", b"chunked")],
            [*GET, (b"host", b"example.com"), (b"host", b"evil.example")],
            [*GET, (b"content-length", b"1, 2")],
            [*GET, (b"te", b"gzip")],
            [*GET[:2], (b":path", b"x"), GET[3]],
            [*GET, (b":path", b"/twice")],
        ],
    )
    def test_attack(self, fields: list[tuple[bytes, bytes]]) -> None:
        server, peer = serving()
        peer.sends(headers(1, block(*fields), end_stream=True))
        peer.sees()
        assert [f.type for f in peer.gets_frames()] == [RST_STREAM]
        peer.sends(headers(3, BLOCK, end_stream=True))
        peer.sees("request 3 end")
        within_limits(server)

    def test_honest_fields(self) -> None:
        _server, peer = serving()
        fields = [*GET, (b"te", b"trailers"), (b"host", b"example.com"), (b"content-length", b"0"), (b"x", b"a b\tc")]
        peer.sends(headers(1, block(*fields), end_stream=True))
        peer.sees("request 1 end")


def asking(**changes: Any) -> tuple[Any, Peer]:
    client, peer = requesting(replace(CLIENT_LIMITS, **changes), push=True)
    client.send_request(GET, True, peer.now)
    return client, peer


class TestRow18Push:
    def test_attack_by_promises_that_were_not_enabled(self) -> None:
        client, peer = requesting()
        client.send_request(GET, True, peer.now)
        peer.sends(push_promise(1, 2, BLOCK))
        assert client.closed
        assert peer.counted("frame_errors") == {("client", "push_promise_unexpected"): 1}

    def test_attack_by_many_promises(self) -> None:
        client, peer = asking()
        for n in range(500):
            peer.sends(push_promise(1, 2 * n + 2, BLOCK))
        assert client.streams_remote == CLIENT_LIMITS.push_promises_max
        assert peer.read("push_promises", "client", "refused") == 400
        assert len(client.reset_streams) <= CLIENT_LIMITS.closed_streams_remembered_max

    @pytest.mark.parametrize("parent", ["open", "reset"])
    def test_attack_by_a_server_that_does_not_read_the_refusals(self, parent: str) -> None:
        client, peer = asking(push_promises_max=0, control_queue_frames_max=50)
        if parent == "reset":
            client.reset_stream(client.streams[1], 8, peer.now)
            peer.forget()
        client.pause_output()
        peer.sends(*(push_promise(1, 2 * n + 2, BLOCK) for n in range(51)))
        stopped(peer, "control_queue_flood")

    @pytest.mark.parametrize("parent", ["open", "reset"])
    def test_honest_server_whose_pushes_are_under_way_when_they_are_refused(self, parent: str) -> None:
        client, peer = asking(push_promises_max=0, glitches_burst=0)
        if parent == "reset":
            client.reset_stream(client.streams[1], 8, peer.now)
        for n in range(10):
            peer.sends(push_promise(1, 2 * n + 2, BLOCK), headers(2 * n + 2, response_block()))
            peer.sends(data(2 * n + 2, bytes(16_384)), data(2 * n + 2, bytes(10_000), end_stream=True))
        assert not client.closed

    def test_honest_push(self) -> None:
        client, peer = asking()
        peer.sends(push_promise(1, 2, BLOCK), headers(2, response_block()), data(2, b"pushed", end_stream=True))
        peer.sees("push 2 on 1", "response 2 200", "data 2 pushed end", "closed 2")
        assert peer.read("push_promises", "client", "accepted") == 1
        assert not client.closed


class TestRow19Informational:
    def test_attack_of_many(self) -> None:
        _client, peer = asking()
        peer.sends(*(headers(1, response_block(103)) for _ in range(17)))
        stopped(peer, "informational_too_many", "reset")

    def test_attack_of_large_ones(self) -> None:
        """All 1xx responses of a request share one field list's limit."""
        _client, peer = asking()
        hint = response_block(103, (b"link", b"x" * 15_000))
        peer.sends(*(headers(1, hint) for _ in range(5)))
        stopped(peer, "informational_too_large", "reset")

    def test_honest_early_hints(self) -> None:
        client, peer = asking()
        peer.sends(*(headers(1, response_block(103, (b"link", b"</a.css>"))) for _ in range(16)))
        peer.sends(headers(1, response_block(), end_stream=True))
        assert peer.happened()[-2:] == ["response 1 200 end", "closed 1"]
        assert not client.closed


class TestRow20MaliciousServer:
    @pytest.mark.parametrize(
        ("code", "value", "rule"),
        [
            (5, 0, "settings_max_frame_size"),
            (5, 2**32 - 1, "settings_max_frame_size"),
            (4, 2**31, "settings_initial_window"),
            (2, 1, "settings_enable_push"),
        ],
    )
    def test_attack_by_settings(self, code: int, value: int, rule: str) -> None:
        client, peer = asking()
        peer.sends(settings({code: value}))
        assert client.closed
        assert peer.counted("frame_errors") == {("client", rule): 1}
        within_limits(client)

    def test_attack_by_goaway(self) -> None:
        client, peer = asking()
        peer.sends(goaway(1), goaway(3))
        assert client.closed
        assert peer.counted("frame_errors") == {("client", "goaway_last_stream_grew"): 1}

    def test_honest_server_that_allows_nothing_yet(self) -> None:
        client, peer = requesting()
        peer.sends(settings({3: 0, 4: 0}))
        assert not client.can_open_stream()
        peer.sends(settings({3: 1, 4: 100}))
        client.send_request(GET, True, peer.now)
        assert not client.closed


class TestRow23AfterTheEnd:
    def test_nothing_is_parsed_or_answered_after_a_connection_error(self) -> None:
        server, peer = serving()
        peer.sends(data(0, b"x"), ping(), headers(1, BLOCK, end_stream=True))
        sent = server.data_to_send()
        peer.forget()
        peer.sends(*(ping() for _ in range(10_000)))
        assert server.data_to_send() == b""
        assert sent.count(b"\x07") >= 1
        assert server.next_deadline() == float("inf")

    def test_streams_above_our_goaway_cost_nothing(self) -> None:
        """And they are bounded: each is a glitch once its fields are decoded."""
        server, peer = serving()
        server.finish_shutdown(peer.now)
        peer.sends(*(headers(2 * n + 1, BLOCK, end_stream=True) for n in range(500)))
        assert not server.streams
        assert not server.closed

    def test_goaway_twice(self) -> None:
        client, peer = asking()
        peer.sends(goaway(2**31 - 1), goaway(1), goaway(1))
        assert not client.closed
