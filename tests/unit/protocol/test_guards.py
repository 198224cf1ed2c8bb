"""Every budget of a peer to its last frame: what is just allowed, the one too many, and what earns more (docs/security-limits.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest

from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from tests.support.counting import nonzero
from tests.support.engine import GET, Peer, requesting, serving
from tests.support.wire import (
    data,
    frame,
    headers,
    ping,
    priority,
    priority_update,
    push_promise,
    request_block,
    response_block,
    rst_stream,
    settings,
    settings_ack,
    window_update,
)

REQUEST = request_block()
UPLOAD = request_block(b"POST")
STRICT = replace(
    SERVER_LIMITS,
    resets_received_burst=3,
    resets_sent_burst=3,
    pings_burst=3,
    settings_burst=3,
    glitches_burst=3,
    control_queue_frames_max=3,
    closed_streams_remembered_max=2,
    connection_window_bytes=65_535,
)


def strict_server() -> Peer:
    return serving(STRICT)[1]


def uploading_server() -> Peer:
    peer = serving()[1]
    peer.sends(headers(1, UPLOAD))
    return peer


def small_frame_server() -> Peer:
    """Small DATA may cost 25,600 octets: half the window is less than the least of this budget."""
    peer = serving(replace(SERVER_LIMITS, connection_window_bytes=51_000))[1]
    peer.sends(headers(1, UPLOAD))
    return peer


def small_frame_server_with_a_window() -> Peer:
    """The budget is half the window of the connection."""
    peer = serving(replace(SERVER_LIMITS, small_data_bytes_min=0, connection_window_bytes=2 * 65_536))[1]
    peer.sends(headers(1, UPLOAD))
    return peer


def paused_server() -> Peer:
    connection, peer = serving(replace(STRICT, pings_burst=100))
    connection.pause_output()
    return peer


def cancelled(stream_id: int) -> bytes:
    return headers(stream_id, REQUEST, end_stream=True) + rst_stream(stream_id, 8)


def faulty(stream_id: int) -> bytes:
    return headers(stream_id, REQUEST, end_stream=True) + window_update(stream_id, 0)


BUDGETS: list[tuple[str, Callable[[], Peer], int, Callable[[int], bytes]]] = [
    ("rapid_reset", strict_server, 3, cancelled),
    ("made_you_reset", strict_server, 3, faulty),
    ("ping_flood", strict_server, 3, lambda _: ping()),
    # The handshake took the first.
    ("settings_flood", strict_server, 2, lambda _: settings()),
    ("empty_data_flood", uploading_server, 10, lambda _: data(1)),
    ("empty_data_flood", uploading_server, 100, lambda _: data(1) + data(1, bytes(300))),
    # A frame of one octet costs 255, one of 128 octets costs 128.
    ("small_data_flood", small_frame_server, 25_600 // 128, lambda _: data(1, bytes(128))),
    ("small_data_flood", small_frame_server_with_a_window, 65_536 // 128, lambda _: data(1, bytes(128))),
    ("window_update_flood", strict_server, 5, lambda _: window_update(0, 1)),
    ("priority_flood", strict_server, 100, lambda _: priority_update(1, b"u=1")),
    ("glitch_flood", strict_server, 3, lambda _: frame(0xFA, 0, 0, b"x")),
    ("glitch_flood", strict_server, 3, lambda _: priority(1, 3)),
    ("control_queue_flood", paused_server, 3, lambda _: ping()),
]


@pytest.mark.parametrize(("rule", "make", "allowed", "octets"), BUDGETS, ids=[f"{b[0]}-{b[1].__name__}" for b in BUDGETS])
def test_the_last_and_the_one_too_many(rule: str, make: Callable[[], Peer], allowed: int, octets: Callable[[int], bytes]) -> None:
    peer = make()
    for n in range(allowed):
        peer.sends(octets(2 * n + 1))
    assert not peer.connection.closed
    peer.sends(octets(2 * allowed + 1))
    if rule == "small_data_flood":
        # What one read brings, nobody could read before.
        assert not peer.connection.closed
        peer.now += 0.001
        peer.sends(octets(2 * allowed + 1))
    assert peer.errors()[-1].rule == rule
    assert peer.connection.closed


def frames_until_closed(peer: Peer, octets: Iterator[bytes], most: int = 10_000) -> int:
    """How many of them are taken before one is too many."""
    for n in range(most):
        peer.sends(next(octets))
        if peer.connection.closed:
            return n
    return most


def pings() -> Iterator[bytes]:
    return (ping() for _ in count())


# -- what fills a bucket again


@pytest.mark.parametrize(
    ("octets", "per_s", "rule"),
    [
        (cancelled, STRICT.resets_received_refill_per_s, "rapid_reset"),
        (faulty, STRICT.resets_sent_refill_per_s, "made_you_reset"),
        (lambda _: ping(), STRICT.pings_refill_per_s, "ping_flood"),
        (lambda _: settings(), STRICT.settings_refill_per_s, "settings_flood"),
        (lambda _: frame(0xFA, 0, 0, b"x"), STRICT.glitches_refill_per_s, "glitch_flood"),
    ],
    ids=["rapid_reset", "made_you_reset", "ping_flood", "settings_flood", "glitch_flood"],
)
def test_time_refills_the_bucket(octets: Callable[[int], bytes], per_s: float, rule: str) -> None:
    """As many as its rate says, and never beyond its burst."""
    peer = strict_server()
    ids = count(1, 2)
    peer.sends(*(octets(next(ids)) for _ in range(2)))
    for _ in range(20):
        peer.now += 1.01 / per_s
        peer.sends(octets(next(ids)))
    assert not peer.connection.closed
    peer.now += 1000.0
    assert frames_until_closed(peer, (octets(i) for i in ids)) == 3
    assert peer.errors()[-1].rule == rule


def test_each_message_frame_excuses_one_ping() -> None:
    """Once: those before the last PING are used up, and no more is saved than the burst."""
    server, peer = serving(STRICT)
    peer.sends(ping() * 3)
    for n in range(5):
        peer.sends(headers(2 * n + 1, REQUEST, end_stream=True))
        server.send_response(server.streams[2 * n + 1], 204, [], True, peer.now)
        peer.sends(ping())
    assert not server.closed
    peer.sends(ping())
    assert peer.errors()[-1].rule == "ping_flood"
    server, peer = serving(STRICT)
    for n in range(10):
        peer.sends(headers(2 * n + 1, REQUEST, end_stream=True))
        server.send_response(server.streams[2 * n + 1], 204, [], True, peer.now)
    assert frames_until_closed(peer, pings()) == 3


def test_each_completed_response_earns_one_cancel() -> None:
    server, peer = serving(STRICT)
    peer.sends(*(cancelled(i) for i in (1, 3, 5)))
    for n in range(2):
        stream_id = 7 + 2 * n
        peer.sends(headers(stream_id, REQUEST, end_stream=True))
        server.send_response(server.streams[stream_id], 204, [], True, peer.now)
    assert frames_until_closed(peer, (cancelled(i) for i in count(11, 2))) == 2


# -- what earns WINDOW_UPDATE and PRIORITY


def test_streams_and_message_frames_earn_window_updates() -> None:
    """5 for the connection, 2 for each stream, 20 for each frame of HEADERS or DATA that was sent."""
    server, peer = serving()
    peer.sends(*(headers(2 * n + 1, REQUEST, end_stream=True) for n in range(3)))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    server.send_data(server.streams[1], b"x", True, peer.now)
    assert frames_until_closed(peer, (window_update(0, 1) for _ in count())) == 5 + 2 * 3 + 20 * 2
    assert peer.errors()[-1].rule == "window_update_flood"


@pytest.mark.parametrize("octets", [priority(1, 3), priority_update(1, b"u=1")], ids=["PRIORITY", "PRIORITY_UPDATE"])
def test_streams_earn_priority_frames(octets: bytes) -> None:
    _server, peer = serving(replace(SERVER_LIMITS, priority_frames_per_stream_max=7))
    peer.sends(*(headers(2 * n + 1, REQUEST, end_stream=True) for n in range(3)))
    assert frames_until_closed(peer, (octets for _ in count())) == 7 * (1 + 3)
    assert peer.errors()[-1].rule == "priority_flood"


def test_data_between_them_ends_a_row_of_empty_frames() -> None:
    """Of any size, and the total goes on."""
    _server, peer = serving(replace(SERVER_LIMITS, empty_data_max=30))
    peer.sends(headers(1, UPLOAD))
    peer.sends(data(1) * 10, data(1, b"x"), data(1) * 10, data(1, bytes(300)), data(1) * 10)
    assert not peer.connection.closed
    peer.sends(data(1))
    assert peer.errors()[-1].rule == "empty_data_flood"


def test_small_bodies_are_no_small_frames() -> None:
    """What ends a body may be of any size: a client cannot send less than one frame."""
    server, peer = serving(replace(SERVER_LIMITS, empty_data_max=0))
    for n in range(200):
        peer.sends(headers(2 * n + 1, UPLOAD), data(2 * n + 1, b"x" * (n % 2), end_stream=True))
        server.send_response(server.streams[2 * n + 1], 204, [], True, peer.now)
    assert not server.closed
    assert server.guards.small_unread == 0
    assert nonzero(peer.block, "frame_glitches") == {}


def test_large_frames_do_not_make_up_for_small_ones() -> None:
    peer = small_frame_server()
    peer.sends(*(data(1, bytes(128)) for _ in range(100)), data(1, bytes(16_384)), *(data(1, bytes(128)) for _ in range(100)))
    assert not peer.connection.closed
    peer.sends(data(1, bytes(128)))
    peer.now += 0.001
    peer.sends(data(1, bytes(128)))
    assert peer.errors()[-1].rule == "small_data_flood"


def test_one_read_may_bring_more_small_frames_than_the_budget() -> None:
    """Nobody could read any of it before; what the next read brings is judged by what was read meanwhile."""
    peer = small_frame_server()
    server, crumbs = peer.connection, data(1, b"x") * 1000
    for _ in range(10):
        peer.sends(crumbs)
        server.credit(server.streams[1], 1000, peer.now)
        peer.now += 0.001
    assert not server.closed
    peer.sends(crumbs)
    peer.now += 0.001
    peer.sends(data(1, b"x"))
    assert peer.errors()[-1].rule == "small_data_flood"


def test_promises_that_a_server_takes_back_are_no_cancelled_requests() -> None:
    client, peer = requesting(replace(CLIENT_LIMITS, resets_received_burst=3), push=True)
    client.send_request(GET, True, peer.now)
    for n in range(10):
        peer.sends(push_promise(1, 2 * n + 2, REQUEST), rst_stream(2 * n + 2, 8))
    assert not client.closed


def test_promises_that_a_client_does_not_want_are_no_cancelled_requests() -> None:
    server, peer = serving(replace(SERVER_LIMITS, resets_received_burst=3))
    peer.sends(headers(1, REQUEST, end_stream=True))
    for n in range(10):
        server.send_push_promise(server.streams[1], [*GET[:2], (b":path", b"/%d" % n), GET[3]], peer.now)
        peer.sends(rst_stream(2 * n + 2, 8))
    assert not server.closed


# -- frames on streams that are over


def test_four_frames_about_a_stream_that_has_closed() -> None:
    """They may have been under way, so they are no glitches; more of them are, and only so many are saved up."""
    server, peer = serving(STRICT)
    late = (window_update(1, 1) for _ in count())
    peer.sends(headers(1, REQUEST, end_stream=True))
    server.send_response(server.streams[1], 204, [], True, peer.now)
    assert frames_until_closed(peer, late) == 4 + 3
    assert peer.read("frame_glitches", "server", "closed_stream") == 4
    server, peer = serving(STRICT)
    for n in range(10):
        peer.sends(headers(2 * n + 1, REQUEST, end_stream=True))
        server.send_response(server.streams[2 * n + 1], 204, [], True, peer.now)
    assert frames_until_closed(peer, late) == 4 * 2 + 3


def test_data_under_way_when_its_stream_was_reset() -> None:
    """As many octets as the stream's window let out, small frames as if they were larger; then each frame is a glitch."""
    for size, allowed in ((16_384, 16), (10_000, 26), (256, 1024), (1, 1024)):
        peer = serving(replace(SERVER_LIMITS, glitches_burst=3))[1]
        peer.sends(headers(1, UPLOAD))
        peer.connection.reset_stream(peer.connection.streams[1], 8, peer.now)
        assert frames_until_closed(peer, (data(1, bytes(size)) for _ in count())) == allowed + 3
        assert peer.read("frame_glitches", "server", "closed_stream") == 4


def test_empty_data_under_way_costs_octets_and_no_frames() -> None:
    peer = serving(replace(SERVER_LIMITS, glitches_burst=3, stream_window_bytes=2560))[1]
    peer.sends(headers(1, UPLOAD))
    peer.connection.reset_stream(peer.connection.streams[1], 8, peer.now)
    assert frames_until_closed(peer, (data(1) for _ in count())) == 10 + 3


def test_octets_under_way_are_twice_the_window_at_most() -> None:
    peer = serving(replace(SERVER_LIMITS, glitches_burst=3, connection_window_bytes=65_536))[1]
    for stream_id in (1, 3, 5):
        peer.sends(headers(stream_id, UPLOAD))
        peer.connection.reset_stream(peer.connection.streams[stream_id], 8, peer.now)
    assert frames_until_closed(peer, (data(1, bytes(16_384)) for _ in count())) == 8 + 3


def test_a_window_below_zero_takes_nothing_from_what_is_under_way() -> None:
    """SETTINGS can leave a stream with less than no window (RFC 9113 section 6.9.2)."""
    server, peer = serving(replace(SERVER_LIMITS, glitches_burst=3, stream_window_bytes=2560))
    peer.sends(headers(1, UPLOAD), headers(3, UPLOAD), data(3, bytes(2500)))
    server.reset_stream(server.streams[1], 8, peer.now)
    server.update_settings([(4, 1000)], peer.now)
    peer.sends(settings_ack())
    assert server.streams[3].recv_window < 0
    server.reset_stream(server.streams[3], 8, peer.now)
    assert frames_until_closed(peer, (data(1) for _ in count())) == 10 + 3


def test_no_octets_are_under_way_where_the_window_was_used_or_the_body_was_complete() -> None:
    for octets in (data(1, bytes(1000)), data(1, end_stream=True)):
        peer = serving(replace(SERVER_LIMITS, glitches_burst=3, stream_window_bytes=1000))[1]
        peer.sends(headers(1, UPLOAD), octets)
        peer.connection.reset_stream(peer.connection.streams[1], 8, peer.now)
        assert frames_until_closed(peer, (data(1) for _ in count())) == 3


# -- glitches by their kind


KINDS: dict[str, bytes] = {
    "unknown_type": frame(0xFA, 0, 0, b"x"),
    "empty_data": data(1),
    "priority": priority(1, 3),
    "unasked_pong": ping(ack=True),
}


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("kind", KINDS)
def test_glitches_are_counted_by_kind(kind: str, role: str) -> None:
    if role == "server":
        peer = serving()[1]
        peer.sends(headers(1, UPLOAD))
    else:
        connection, peer = requesting(CLIENT_LIMITS)
        connection.send_request(GET, True, peer.now)
        peer.sends(headers(1, response_block()))
    peer.sends(KINDS[kind] * 3)
    assert nonzero(peer.block, "frame_glitches") == {(role, kind): 3}


def test_requests_after_goaway_are_glitches() -> None:
    server, peer = serving()
    server.finish_shutdown(peer.now)
    peer.sends(headers(1, REQUEST, end_stream=True))
    assert peer.read("frame_glitches", "server", "after_goaway") == 1
    assert not server.closed
