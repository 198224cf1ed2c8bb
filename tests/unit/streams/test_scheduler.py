"""The order of bodies on the wire (RFC 9218 section 10), seen through a connection whose window opens late."""

from __future__ import annotations

from dataclasses import replace

from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import DEFAULT_TUNING
from h2o_otel.protocol.connection import Connection
from h2o_otel.tuning import Tuning
from tests.support.engine import GET, POST, Peer, requesting, serving
from tests.support.wire import DATA, headers, priority_update, request_block, settings, window_update

FRAME = 16_384


def queued(*priorities: bytes, frames: int = 2, tuning: Tuning = DEFAULT_TUNING) -> tuple[Connection, Peer]:
    """Streams 1, 3, 5... with these priorities, whose bodies wait for the connection's window."""
    server, peer = serving(replace(SERVER_LIMITS, output_high_water_bytes=10**9), tuning=tuning)
    peer.sends(settings({4: 2**20}))
    blocker = peer_request(server, peer, 1, b"u=0")
    server.send_data(server.streams[blocker], bytes(65_535), True, peer.now)
    for i, value in enumerate(priorities):
        stream_id = peer_request(server, peer, 3 + 2 * i, value)
        server.send_data(server.streams[stream_id], bytes(frames * FRAME), True, peer.now)
    peer.forget()
    return server, peer


def peer_request(server: Connection, peer: Peer, stream_id: int, priority: bytes) -> int:
    peer.sends(headers(stream_id, request_block(b"GET", b"/", (b"priority", priority)), end_stream=True))
    server.send_response(server.streams[stream_id], 200, [], False, peer.now)
    return stream_id


def order(server: Connection, peer: Peer) -> list[int]:
    peer.sends(window_update(0, 2**24))
    server.pump(peer.now)
    return [f.stream_id for f in peer.gets_frames() if f.type == DATA]


def test_urgent_first() -> None:
    assert order(*queued(b"u=5", b"u=1", b"u=3")) == [5, 5, 7, 7, 3, 3]


def test_equals_run_to_their_end() -> None:
    assert order(*queued(b"", b"", b"")) == [3, 3, 5, 5, 7, 7]


def test_incremental_equals_take_turns() -> None:
    assert order(*queued(b"i", b"i", b"i")) == [3, 5, 7, 3, 5, 7]


def test_priority_update_moves_what_waits() -> None:
    server, peer = queued(b"u=2", b"u=4")
    peer.sends(priority_update(5, b"u=0"))
    assert order(server, peer) == [5, 5, 3, 3]


def test_priority_update_before_the_request() -> None:
    server, peer = queued(b"u=2")
    peer.sends(priority_update(9, b"u=1"))
    server.send_data(server.streams[peer_request(server, peer, 9, b"u=7")], bytes(FRAME), True, peer.now)
    peer.forget()
    assert order(server, peer) == [9, 3, 3]


def test_least_urgent_is_not_starved() -> None:
    served = order(*queued(b"u=0", b"u=7", frames=40))
    assert served.index(5) == 15
    assert served.count(5) == 40


def test_every_urgency_gets_a_turn() -> None:
    """Two that are less urgent than the first, and one that stands behind an equal which is not incremental."""
    served = order(*queued(b"u=3", b"u=3, i", b"u=5", b"u=7", frames=60))
    picks = [served[i] for i in (15, 31, 47)]
    assert picks == [9, 7, 5]
    assert all(served.count(stream_id) == 60 for stream_id in (3, 5, 7, 9))


def test_request_order_whatever_the_order_of_the_answers() -> None:
    server, peer = queued()
    for stream_id in (3, 5, 7, 9):
        peer_request(server, peer, stream_id, b"")
    for stream_id in (7, 9, 3, 5):
        server.send_data(server.streams[stream_id], bytes(2 * FRAME), True, peer.now)
    peer.forget()
    assert order(server, peer) == [3, 3, 5, 5, 7, 7, 9, 9]


def test_priority_update_keeps_request_order() -> None:
    server, peer = queued(b"u=2", b"u=1", b"u=2")
    peer.sends(priority_update(5, b"u=2"))
    assert order(server, peer) == [3, 3, 5, 5, 7, 7]


def test_without_priorities_all_take_turns() -> None:
    server, peer = queued(b"u=5", b"u=1", b"i", tuning=Tuning(stream_priorities=False))
    peer.sends(priority_update(7, b"u=0"))
    assert sorted(order(server, peer)[:3]) == [3, 5, 7]


def test_reset_stream_is_forgotten() -> None:
    server, peer = queued(b"", b"")
    server.reset_stream(server.streams[3], 8, peer.now)
    peer.forget()
    assert order(server, peer) == [5, 5]
    assert server.scheduler.waiting == 0
    assert server.queued == 0


def test_without_fairness_the_urgent_come_first_whatever_waits() -> None:
    served = order(*queued(b"u=0", b"u=7", frames=40, tuning=Tuning(protocol_fair_scheduling=False)))
    assert served == [3] * 40 + [5] * 40


def test_any_of_those_that_wait_may_leave() -> None:
    """First, last, in between, alone: the chain holds together and the rest keeps its order."""
    for gone in ([3], [9], [5, 7], [3, 5, 7, 9], [7, 3, 9]):
        server, peer = queued(b"", b"", b"", b"", frames=1)
        for stream_id in gone:
            server.reset_stream(server.streams[stream_id], 8, peer.now)
        peer.forget()
        assert order(server, peer) == [stream_id for stream_id in (3, 5, 7, 9) if stream_id not in gone]
        assert server.scheduler.waiting == 0


# -- where priorities come from


def answered(server: Connection, peer: Peer, request: bytes, response: bytes) -> tuple[int, bool]:
    peer.sends(headers(1, request_block(b"GET", b"/", (b"priority", request)), end_stream=True))
    stream = server.streams[1]
    server.send_response(stream, 200, [(b"priority", response)], False, peer.now)
    return stream.urgency, stream.incremental


def test_response_prevails() -> None:
    assert answered(*serving(), b"u=5", b"u=1, i") == (1, True)


def test_what_a_response_does_not_say_stays() -> None:
    assert answered(*serving(), b"u=5, i", b"u=1") == (1, True)
    assert answered(*serving(), b"u=5, i", b"i=?0") == (5, False)
    assert answered(*serving(), b"u=5, i", b"?!") == (5, True)


def test_response_without_the_field_leaves_the_next_one_alone() -> None:
    server, peer = serving()
    answered(server, peer, b"u=5", b"u=0")
    peer.sends(headers(3, request_block(b"GET", b"/", (b"priority", b"u=6")), end_stream=True))
    server.send_response(server.streams[3], 200, [], False, peer.now)
    assert server.streams[3].urgency == 6


def test_uploads_go_out_by_the_priority_of_their_requests() -> None:
    client, peer = requesting()
    peer.sends(settings({4: 2**20}))
    client.send_data(client.send_request(POST, False, peer.now), bytes(65_535), True, peer.now)
    for value in (b"u=6", b"u=1"):
        stream = client.send_request([*POST, (b"priority", value)], False, peer.now)
        client.send_data(stream, bytes(FRAME), True, peer.now)
    peer.forget()
    assert order(client, peer) == [5, 3]


def test_priority_update_of_a_promised_stream() -> None:
    server, peer = serving()
    peer.sends(settings({2: 1, 4: 2**20}), headers(1, request_block(), end_stream=True))
    promised = server.send_push_promise(server.streams[1], GET, peer.now)
    peer.sends(priority_update(promised.id, b"u=0, i"))
    assert (promised.urgency, promised.incremental) == (0, True)
    server.reset_stream(promised, 8, peer.now)
    peer.sends(priority_update(promised.id, b"u=1"))
    assert not server.closed
    peer.sends(priority_update(4, b"u=1"))
    assert [error.rule for error in peer.errors()][-1] == "priority_update_stream"


def test_priorities_of_requests_that_never_come_make_room() -> None:
    limits = replace(SERVER_LIMITS, streams_max=3)
    server, peer = serving(limits)
    peer.sends(*(priority_update(stream_id, b"u=1") for stream_id in (1, 3, 5, 7)))
    assert set(server.idle_priorities) == {1, 3, 5}
    # Known ones are renewed all the same.
    peer.sends(priority_update(5, b"u=2"))
    assert server.idle_priorities[5] == (2, False)
    peer.sends(headers(9, request_block(), end_stream=True), priority_update(11, b"u=4"))
    assert set(server.idle_priorities) == {11}
    assert not server.closed
