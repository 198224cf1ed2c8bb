"""PING, GOAWAY, RST_STREAM, priorities, deadlines and the end of a connection."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from h2o_otel import counters
from h2o_otel.errors import LocalProtocolError
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.streams.states import State
from h2o_otel.streams.stream import REMOTE
from tests.support.engine import GET, POST, requesting, serving
from tests.support.wire import (
    GOAWAY,
    PREFACE,
    SETTINGS,
    block,
    continuation,
    data,
    frame,
    goaway,
    headers,
    ping,
    priority,
    priority_update,
    request_block,
    rst_stream,
    settings,
    settings_ack,
)

ANY = 2**31 - 1

# -- SETTINGS


def test_own_settings_may_say_the_same_again() -> None:
    """What cannot be taken back may be repeated, and a server may say that it takes no promises."""
    server, peer = serving()
    for entries in ([(8, 1), (9, 1)], [(2, 0)]):
        server.update_settings(entries, peer.now)
        peer.gets(settings(dict(entries)))


def test_only_the_table_size_is_for_the_encoder() -> None:
    server, peer = serving()
    peer.sends(settings({5: 20_000, 6: 100, 8: 1, 9: 1}), headers(1, request_block(), end_stream=True))
    peer.forget()
    server.send_response(server.streams[1], 204, [], True, peer.now)
    peer.gets(headers(1, b"\x89", end_stream=True))


@pytest.mark.parametrize("raised", [False, True])
def test_settings_that_open_a_window_by_one_octet(raised: bool) -> None:
    """From none, and from below none by way of a larger one in the same frame."""
    server, peer = serving()
    peer.sends(settings({4: 0}), headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    server.send_data(server.streams[1], b"ab", True, peer.now)
    peer.forget()
    entries = b"\x00\x04\x00\x00\x00\x09" * raised + b"\x00\x04\x00\x00\x00\x01"
    peer.sends(frame(SETTINGS, 0, 0, entries))
    server.pump(peer.now)
    peer.gets(settings_ack(), data(1, b"a"))


def test_most_entries_that_settings_may_have() -> None:
    _server, peer = serving(replace(SERVER_LIMITS, settings_entries_max=3))
    peer.sends(frame(SETTINGS, 0, 0, b"\x00\xfa\x00\x00\x00\x00" * 3))
    peer.gets(settings_ack())


# -- PING


def test_ping_and_its_round_trip() -> None:
    client, peer = requesting()
    client.send_ping(b"12345678", peer.now)
    peer.gets(ping(b"12345678"))
    peer.now += 0.25
    peer.sends(ping(b"12345678", ack=True))
    assert [(e.payload, e.rtt_s) for e in peer.events] == [(b"12345678", 0.25)]


def test_unasked_answer_is_ignored() -> None:
    _, peer = requesting()
    peer.sends(ping(b"12345678", ack=True))
    peer.sees()


@pytest.mark.parametrize("payload", [b"", b"1234567", b"123456789"])
def test_ping_of_another_size(payload: bytes) -> None:
    client, peer = requesting()
    with pytest.raises(LocalProtocolError) as caught:
        client.send_ping(payload, peer.now)
    assert str(caught.value) == f"a PING carries 8 octets, not {len(payload)} (RFC 9113 §6.7)"


# -- GOAWAY


def test_requests_the_peer_has_not_seen_may_be_sent_again() -> None:
    client, peer = requesting()
    streams = [client.send_request(GET, True, peer.now) for _ in range(3)]
    peer.sends(goaway(3, 2, b"overloaded"))
    peer.sees("reset 5 goaway_received REFUSED_STREAM by remote", "closed 5", "goaway 3 INTERNAL_ERROR")
    assert [s.refused for s in streams] == [False, False, True]
    assert (client.draining, client.closed, client.can_open_stream()) == (True, False, False)
    peer.sends(headers(3, b"\x88", end_stream=True))
    peer.sees("response 3 200 end", "closed 3")


def test_text_of_a_refused_request() -> None:
    client, peer = requesting()
    client.send_request(GET, True, peer.now)
    peer.sends(goaway(0, 0))
    assert [str(e) for e in peer.errors()] == [
        "stream 1: the peer sent GOAWAY NO_ERROR with last stream 0, so it has not seen this request"
    ]


def test_requests_above_the_last_stream_are_over() -> None:
    """As if the peer had refused each of them: they leave the table, and what follows on them is a fault of the peer."""
    client, peer = requesting()
    first, second = client.send_request(GET, True, peer.now), client.send_request(GET, True, peer.now)
    peer.sends(goaway(1))
    assert list(client.streams) == [1]
    assert (second.closed_by, second.closed_code, second.refused, second.state) == (REMOTE, 7, True, State.CLOSED)
    assert (first.closed_by, first.refused) == (0, False)
    peer.forget()
    peer.sends(data(3, b"late"))
    peer.gets(rst_stream(3, 5))
    assert not client.closed


@pytest.mark.parametrize("debug", [b"", b"x", b"a reason that is told"])
def test_reason_of_goaway(debug: bytes) -> None:
    client, peer = requesting()
    events = client.receive(goaway(ANY, 0, debug), peer.now)
    assert [(e.last_stream_id, e.code, e.debug) for e in events] == [(ANY, 0, debug)]


def test_no_request_after_goaway() -> None:
    client, peer = requesting()
    peer.sends(goaway(ANY))
    with pytest.raises(LocalProtocolError) as caught:
        client.send_request(GET, True, peer.now)
    assert str(caught.value) == "the peer sent GOAWAY: new requests belong on another connection (RFC 9113 §6.8)"


def test_goaway_in_two_steps() -> None:
    client, peer = requesting()
    client.send_request(GET, True, peer.now)
    client.send_request(GET, True, peer.now)
    peer.sends(goaway(ANY), goaway(1))
    peer.sees("goaway 2147483647 NO_ERROR", "reset 3 goaway_received REFUSED_STREAM by remote", "closed 3", "goaway 1 NO_ERROR")


def test_graceful_shutdown() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    server.shutdown(peer.now)
    server.shutdown(peer.now)
    peer.gets(goaway(ANY))
    peer.sends(headers(3, request_block(), end_stream=True))
    server.finish_shutdown(peer.now)
    peer.gets(goaway(3))
    peer.forget()
    peer.sends(headers(5, request_block(b"POST")), data(5, b"x"), rst_stream(5, 8))
    peer.sees()
    peer.gets()
    server.send_response(server.streams[1], 204, [], True, peer.now)
    server.send_response(server.streams[3], 204, [], True, peer.now)
    assert server.streams == {}
    assert not server.closed


def test_ignored_requests_still_count_for_the_header_table() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")))
    server.finish_shutdown(peer.now)
    peer.forget()
    peer.sends(headers(3, b"\x40\x01a\x01b"), headers(1, b"\xbe", end_stream=True))
    peer.sees("trailers 1")
    assert server.streams[1].trailers == [(b"a", b"b")]


def test_close() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")))
    peer.forget()
    server.close(2, peer.now, b"bye")
    server.close(2, peer.now, b"bye")
    peer.gets(goaway(1, 2, b"bye"))
    peer.sees("reset 1 closed INTERNAL_ERROR by local", "closed 1")
    peer.sends(ping())
    peer.gets()


# -- RST_STREAM


@pytest.mark.parametrize(("code", "refused"), [(8, False), (7, True), (0x1234, False)])
def test_reset_received(code: int, refused: bool) -> None:
    client, peer = requesting()
    stream = client.send_request(GET, True, peer.now)
    peer.sends(rst_stream(1, code))
    name = {8: "CANCEL", 7: "REFUSED_STREAM"}.get(code, "0x1234")
    assert (stream.refused, stream.closed_code, client.streams) == (refused, code, {})
    error = peer.errors()[0]
    assert (str(error), error.initiator, error.code) == (f"stream 1: the peer sent RST_STREAM {name}", "remote", code)


def test_own_reset_is_not_told() -> None:
    client, peer = requesting()
    stream = client.send_request(GET, True, peer.now)
    peer.forget()
    client.reset_stream(stream, 8, peer.now)
    client.reset_stream(stream, 8, peer.now)
    peer.gets(rst_stream(1, 8))
    peer.sees("closed 1")
    peer.sends(headers(1, b"\x88"), data(1, b"late"), rst_stream(1, 0))
    peer.sees()
    peer.gets()


def test_reset_streams_are_remembered_up_to_a_bound() -> None:
    client, peer = requesting(replace(CLIENT_LIMITS, closed_streams_remembered_max=2))
    for _ in range(4):
        client.reset_stream(client.send_request(GET, True, peer.now), 8, peer.now)
    peer.forget()
    assert list(client.reset_streams) == [5, 7]
    peer.sends(headers(1, b"\x88"), data(1, b"late", end_stream=True))
    assert not client.closed


def test_reset_of_a_stream_with_queued_body() -> None:
    client, peer = requesting()
    stream = client.send_request(POST, False, peer.now)
    client.send_data(stream, bytes(200_000), True, peer.now)
    assert client.queued > 0
    peer.sends(rst_stream(1, 8))
    assert (client.queued, stream.queued, stream.queue) == (0, 0, None)


# -- priorities


def test_old_priorities_are_ignored() -> None:
    _, peer = serving()
    peer.sends(priority(1, 3), priority(99, 0), headers(1, request_block(), end_stream=True), priority(1))
    peer.gets()
    peer.sees("request 1 end")


def test_priority_field_and_update() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"GET", b"/", (b"priority", b"u=1, i"))))
    assert (server.streams[1].urgency, server.streams[1].incremental) == (1, True)
    assert peer.block.read_slots()[counters.slot("priority_streams") + 2 * 1 + True] == 1
    peer.sends(priority_update(1, b"u=6"))
    assert (server.streams[1].urgency, server.streams[1].incremental) == (6, False)


def test_priority_updates_of_idle_streams_are_bounded() -> None:
    server, peer = serving(replace(SERVER_LIMITS, streams_max=2))
    peer.sends(*(priority_update(stream_id, b"u=0") for stream_id in (1, 3, 5, 7)))
    assert list(server.idle_priorities) == [1, 3]


def test_priority_of_an_idle_stream_may_change_when_no_more_are_remembered() -> None:
    server, peer = serving(replace(SERVER_LIMITS, streams_max=2))
    peer.sends(priority_update(1, b"u=1"), priority_update(3, b"u=2"), priority_update(5, b"u=4"), priority_update(3, b"u=6"))
    assert server.idle_priorities == {1: (1, False), 3: (6, False)}
    # Once 3 was passed over, there is room.
    peer.sends(headers(3, request_block(), end_stream=True), headers(5, request_block(), end_stream=True))
    assert server.idle_priorities == {1: (1, False)}
    peer.sends(priority_update(7, b"u=5"), priority_update(9, b"u=5"), priority_update(11, b"u=5"))
    assert server.idle_priorities == {7: (5, False), 9: (5, False)}


def test_priority_update_without_a_value() -> None:
    """An empty value is all defaults (RFC 9218 section 4)."""
    server, peer = serving()
    peer.sends(headers(1, request_block(b"GET", b"/", (b"priority", b"u=1, i")), end_stream=True))
    peer.sends(priority_update(1, b""))
    assert (server.streams[1].urgency, server.streams[1].incremental) == (3, False)


def test_priority_update_sent_is_our_own_priority_too() -> None:
    client, peer = requesting()
    stream = client.send_request(POST, False, peer.now)
    client.send_priority_update(stream, 1, True, peer.now)
    assert (stream.urgency, stream.incremental) == (1, True)


def test_server_sends_no_priority_update() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block()))
    with pytest.raises(LocalProtocolError, match=r"^a server does not send PRIORITY_UPDATE \(RFC 9218 §7.1\)$"):
        server.send_priority_update(server.streams[1], 0, False, peer.now)


# -- unknown frames


@pytest.mark.parametrize("type", [0x0A, 0x0B, 0x0C, 0x0F, 0x11, 0xFF])
def test_unknown_frames_are_ignored(type: int) -> None:
    _, peer = serving()
    peer.sends(frame(type, 0xFF, 0, b"anything"), frame(type, 0, 7), ping())
    peer.gets(ping(ack=True))
    peer.sees()


# -- deadlines


def test_no_deadline_before_start_and_after_close() -> None:
    connection = Connection(server_config())
    assert connection.next_deadline() == math.inf
    connection.start(1.0)
    connection.close(0, 1.0)
    assert connection.next_deadline() == math.inf


def test_deadlines_of_a_handshake() -> None:
    limits = replace(SERVER_LIMITS, preface_timeout_s=3.0, settings_ack_timeout_s=5.0, idle_timeout_s=7.0)
    server, peer = serving(limits, handshake=False)
    assert server.next_deadline() == 1.0 + 3.0
    peer.sends(PREFACE, settings())
    assert server.next_deadline() == 1.0 + 5.0
    peer.sends(settings_ack())
    assert server.next_deadline() == 1.0 + 7.0
    server.tick(7.9)
    assert not server.closed


def test_idle_connection_is_closed() -> None:
    server, peer = serving()
    peer.now += 75.0
    server.tick(peer.now)
    peer.gets(goaway(0, 0, b"idle"))
    assert server.closed
    peer.sees()


def test_ping_does_not_keep_it_alive() -> None:
    server, peer = serving()
    peer.now += 74.0
    peer.sends(ping())
    assert server.next_deadline() == 76.0


@pytest.mark.parametrize("end", [data(5, b"x", end_stream=True), headers(5, block((b"a", b"b")), end_stream=True), rst_stream(5, 8)])
def test_a_body_that_is_owed_is_looked_at_every_second(end: bytes) -> None:
    """And no more once it is complete, though its response is not."""
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    assert server.next_deadline() == math.inf
    peer.sends(headers(3, request_block(b"POST")))
    peer.now += 0.25
    peer.sends(headers(5, request_block(b"POST")))
    assert server.next_deadline() == peer.now + 0.75
    peer.now += 10.0
    server.tick(peer.now)
    assert server.next_deadline() == peer.now + 1.0
    peer.sends(data(3, end_stream=True))
    assert server.next_deadline() == peer.now + 1.0
    peer.sends(end)
    assert server.next_deadline() == math.inf
    peer.now += 10.0
    peer.sends(headers(7, request_block(b"POST")))
    assert server.next_deadline() == peer.now + 1.0


def test_open_stream_is_not_idle() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    assert server.next_deadline() == math.inf
    peer.now += 1000.0
    server.tick(peer.now)
    server.send_response(server.streams[1], 204, [], True, peer.now)
    assert server.next_deadline() == peer.now + 75.0


def test_no_idle_timeout_when_none_is_set() -> None:
    server, _ = serving(replace(SERVER_LIMITS, idle_timeout_s=None))
    assert server.next_deadline() == math.inf


# Something is always short.
STRICT = replace(SERVER_LIMITS, pressure_percent=0)
TOO_SLOW = ["body_too_slow"]
LENGTH = (b"content-length", b"100000")


@pytest.mark.parametrize(
    ("block", "answered", "rules"),
    [
        (request_block(b"POST"), False, TOO_SLOW),
        (request_block(b"POST"), True, []),
        (request_block(b"POST", b"/", LENGTH), True, TOO_SLOW),
        (block((b":method", b"CONNECT"), (b":authority", b"a:1")), False, []),
        (block((b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]), False, []),
    ],
    ids=["request", "answered", "answered, with a length", "CONNECT", "extended CONNECT"],
)
def test_whose_body_must_come(block: bytes, answered: bool, rules: list[str]) -> None:
    """A tunnel may pause, and so may a request whose response has begun, unless it said how much is to come."""
    server, peer = serving(STRICT)
    peer.sends(headers(1, block))
    if answered:
        server.send_response(server.streams[1], 200, [], False, peer.now)
    for _ in range(60):
        peer.now += 1.0
        server.tick(peer.now)
    assert [error.rule for error in peer.errors()] == rules


def test_body_that_came_fast_must_go_on_coming() -> None:
    """The rate is that of the last seconds, and nobody waits for what the application has not read."""
    server, peer = serving(STRICT)
    peer.sends(headers(1, request_block(b"POST")))
    for second in range(40):
        if second < 10:
            peer.sends(data(1, bytes(10_000)))
            server.credit(server.streams[1], 10_000, peer.now)
        elif second == 10:
            peer.sends(data(1, bytes(10_000)))
        elif second == 25:
            assert list(server.streams) == [1]
            server.credit(server.streams[1], 10_000, peer.now)
        peer.now += 1.0
        server.tick(peer.now)
        if not server.streams:
            break
    assert [error.rule for error in peer.errors()] == TOO_SLOW
    assert 30 <= second <= 32


def test_client_waits_for_a_server_that_does_not_read() -> None:
    """How long is for the timeouts of its application to say."""
    client, peer = requesting()
    client.send_request(POST, False, peer.now)
    client.send_data(client.streams[1], bytes(100_000), True, peer.now)
    assert client.next_deadline() == math.inf
    peer.now += 1000.0
    client.tick(peer.now)
    assert list(client.streams) == [1]


def test_client_does_not_close_idle_connections() -> None:
    client, _ = requesting()
    assert client.next_deadline() == math.inf


def test_field_block_deadline_is_not_reset_by_dribble() -> None:
    server, peer = serving()
    peer.sends(headers(1, b"", end_headers=False))
    peer.now += 9.0
    peer.sends(continuation(1, block((b"a", b"b")), end_headers=False))
    assert server.next_deadline() == 11.0


def test_ping_deadline() -> None:
    client, peer = requesting()
    client.send_ping(b"12345678", 2.0)
    client.send_ping(b"87654321", 3.0)
    assert client.next_deadline() == 7.0
    peer.sends(ping(b"12345678", ack=True))
    assert client.next_deadline() == 8.0
    client.tick(8.0)
    peer.sees("pong 12345678", "terminated ping_timeout NO_ERROR by local")


# -- the end of the transport


def test_lost_connection_fails_every_stream_once() -> None:
    client, peer = requesting()
    streams = [client.send_request(GET, True, peer.now) for _ in range(2)]
    error = ConnectionResetError("reset by peer")
    client.connection_lost(error, peer.now)
    client.connection_lost(error, peer.now)
    client.connection_lost(None, peer.now)
    peer.sees(
        "reset 1 connection_lost CANCEL by remote",
        "closed 1",
        "reset 3 connection_lost CANCEL by remote",
        "closed 3",
        "terminated connection_lost NO_ERROR by remote",
    )
    assert (client.streams, client.closed, streams[0].refused) == ({}, True, False)
    assert str(client.error) == "the connection was lost (reset by peer)"
    assert client.error.__cause__ is error


def test_end_without_streams_is_no_error() -> None:
    client, peer = requesting()
    client.connection_lost(None, peer.now)
    peer.sees()
    assert client.error is None


def test_loss_without_streams_is_counted_and_nobody_is_alarmed() -> None:
    client, peer = requesting()
    client.connection_lost(ConnectionResetError("reset by peer"), peer.now)
    peer.sees()
    assert client.error is None
    snapshot = counters.Snapshot()
    snapshot.add_block(client.counters)
    assert sum(snapshot.labelled_histograms["connection_duration"]["client", "2", "connection_lost"].counts) == 1


def test_end_with_a_stream_open() -> None:
    client, peer = requesting()
    client.send_request(GET, True, peer.now)
    client.connection_lost(None, peer.now)
    assert [str(e) for e in peer.errors()] == ["the peer closed the connection"] * 2


def test_lost_before_start() -> None:
    connection = Connection(server_config())
    connection.connection_lost(None, 1.0)
    assert connection.closed


def test_nothing_is_sent_on_a_closed_connection() -> None:
    client, peer = requesting()
    stream = client.send_request(POST, False, peer.now)
    client.connection_lost(None, peer.now)
    peer.forget()
    client.credit(stream, 10, peer.now)
    client.reset_stream(stream, 8, peer.now)
    client.send_ping(b"12345678", peer.now)
    client.shutdown(peer.now)
    client.finish_shutdown(peer.now)
    client.tick(peer.now + 1000)
    client.pump(peer.now)
    peer.gets()
    with pytest.raises(LocalProtocolError, match=r"^the connection is closed$"):
        client.send_request(GET, True, peer.now)


def test_request_before_start() -> None:
    client, peer = requesting(handshake=False)
    fresh = Connection(client.config)
    with pytest.raises(LocalProtocolError, match=r"^start\(\) was not called$"):
        fresh.send_request(GET, True, peer.now)
    with pytest.raises(LocalProtocolError, match=r"^start\(\) called twice$"):
        client.start(peer.now)


def test_stream_ids_run_out() -> None:
    client, peer = requesting()
    if not hasattr(type(client), "__slots__") and hasattr(client, "__dict__"):
        client.next_stream_id = 2**31 + 1
        with pytest.raises(LocalProtocolError, match=r"^stream identifiers are used up at 2147483647 \(RFC 9113 §5.1.1\)$"):
            client.send_request(GET, True, peer.now)


def test_connection_error_ends_streams_and_tells_why() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), data(0))
    peer.sees("request 1", "reset 1 frame_on_stream_zero PROTOCOL_ERROR by local", "closed 1",
              "terminated frame_on_stream_zero PROTOCOL_ERROR by local")  # fmt: skip
    assert [f.type for f in peer.gets_frames()] == [GOAWAY]
    assert server.error.rule == "frame_on_stream_zero"


def test_describe() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block()))
    found = server.describe()
    assert (found["role"], found["streams_open"], found["requests"], found["send_window"]) == ("server", 1, 1, 65_535)
