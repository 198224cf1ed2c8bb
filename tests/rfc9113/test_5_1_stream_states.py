"""RFC 9113 section 5.1: which frames each state of a stream takes, in both roles, and which it may send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from h2o_otel.streams.states import State
from tests.support.engine import GET, POST, Peer
from tests.support.judged import (
    BOTH,
    abandoned_client,
    abandoned_server,
    accepted,
    alive,
    answered_server,
    asked_server,
    client,
    connection_error,
    done_client,
    done_server,
    open_client,
    open_server,
    promised_client,
    promising_server,
    pushing_client,
    reading_client,
    requirement,
    reset_client,
    reset_server,
    server,
    stream_error,
    uploading_client,
    waiting_client,
)
from tests.support.wire import (
    block,
    continuation,
    data,
    headers,
    priority,
    push_promise,
    request_block,
    response_block,
    rst_stream,
    window_update,
)

TRAILERS = block((b"a", b"b"))
Make = Callable[[], Peer]


# -- idle


@requirement("9113-5.1-1")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("stream_id", [1, 2, 5, 2**31 - 1, 2**31 - 2])
def test_idle_takes_no_frame_but_headers_and_priority(make: Make, stream_id: int) -> None:
    for octets in (data(stream_id, b"x"), data(stream_id), rst_stream(stream_id, 8), window_update(stream_id, 1)):
        connection_error(make(), "stream_idle", octets)
    connection_error(make(), "continuation_unexpected", continuation(stream_id, b"\x82"))


@requirement("9113-5.1-1", "9113-6.3-3")
@pytest.mark.parametrize("make", BOTH)
def test_idle_takes_priority(make: Make) -> None:
    assert accepted(make(), priority(1), priority(2), priority(2**31 - 1)) == []


@requirement("9113-5.1-1")
def test_idle_takes_a_request() -> None:
    assert accepted(server(), headers(1, request_block())) == ["request 1"]


# -- reserved


@requirement("9113-5.1-3")
@pytest.mark.parametrize("octets", [data(2, b"x"), headers(2, TRAILERS, end_stream=True), headers(2, request_block())])
def test_reserved_local_takes_no_message(octets: bytes) -> None:
    connection_error(promising_server(), "stream_reserved", octets)


@requirement("9113-5.1-3")
def test_reserved_local_takes_the_rest() -> None:
    peer = promising_server()
    accepted(peer, window_update(2, 5), priority(2, 1))
    assert peer.connection.streams[2].send_window == 65_540
    peer.sends(rst_stream(2, 8))
    peer.sees("reset 2 rst_stream_received CANCEL by remote", "closed 2")


@requirement("9113-5.1-2")
def test_reserved_local_sends_headers_or_a_reset() -> None:
    peer = promising_server()
    promised = peer.connection.streams[2]
    for verb in (
        lambda: peer.connection.send_data(promised, b"x", False, peer.now),
        lambda: peer.connection.send_trailers(promised, [], peer.now),
        lambda: peer.connection.send_push_promise(promised, GET, peer.now),
    ):
        with pytest.raises(LocalProtocolError):
            verb()
    peer.gets()
    peer.connection.send_response(promised, 200, [], True, peer.now)
    peer.gets(headers(2, b"\x88", end_stream=True))
    peer = promising_server()
    peer.connection.reset_stream(peer.connection.streams[2], 8, peer.now)
    peer.gets(rst_stream(2, 8))


@requirement("9113-5.1-5")
@pytest.mark.parametrize("octets", [data(2, b"x"), window_update(2, 1)])
def test_reserved_remote_takes_no_body(octets: bytes) -> None:
    connection_error(promised_client(), "stream_reserved", octets)


@requirement("9113-5.1-5")
def test_reserved_remote_takes_the_rest() -> None:
    peer = promised_client()
    accepted(peer, priority(2, 1))
    assert accepted(peer, headers(2, response_block())) == ["response 2 200"]
    assert peer.connection.streams[2].state == State.HALF_CLOSED_LOCAL
    peer = promised_client()
    peer.sends(rst_stream(2, 8))
    peer.sees("reset 2 rst_stream_received CANCEL by remote", "closed 2")


@requirement("9113-5.1-4")
def test_reserved_remote_sends_a_reset_only() -> None:
    peer = promised_client()
    promised = peer.connection.streams[2]
    for verb in (
        lambda: peer.connection.send_data(promised, b"x", True, peer.now),
        lambda: peer.connection.send_response(promised, 200, [], True, peer.now),
        lambda: peer.connection.send_trailers(promised, [], peer.now),
    ):
        with pytest.raises(LocalProtocolError):
            verb()
    peer.gets()
    peer.connection.reset_stream(promised, 8, peer.now)
    peer.gets(rst_stream(2, 8))


# -- open and half-closed


@requirement("9113-5.1-14")
@pytest.mark.parametrize("make", [open_server, answered_server])
def test_request_side_takes_every_frame(make: Make) -> None:
    assert accepted(make(), data(1, b"x"), window_update(1, 1), priority(1, 3), headers(1, TRAILERS, end_stream=True))[:2] == [
        "data 1 x",
        "trailers 1",
    ]
    peer = make()
    peer.sends(rst_stream(1, 8))
    peer.sees("reset 1 rst_stream_received CANCEL by remote", "closed 1")


@requirement("9113-5.1-14")
@pytest.mark.parametrize("make", [open_client, waiting_client])
def test_response_side_takes_every_frame(make: Make) -> None:
    octets = (window_update(1, 1), priority(1, 3), headers(1, response_block()), data(1, b"x"), headers(1, TRAILERS, end_stream=True))
    assert accepted(make(), *octets)[:3] == ["response 1 200", "data 1 x", "trailers 1"]
    peer = make()
    peer.sends(rst_stream(1, 8))
    peer.sees("reset 1 rst_stream_received CANCEL by remote", "closed 1")


@requirement("9113-5.1-6")
@pytest.mark.parametrize("make", [answered_server, waiting_client, reading_client])
def test_half_closed_local_sends_no_message(make: Make) -> None:
    peer = make()
    stream = peer.connection.streams[1]
    for verb in (
        lambda: peer.connection.send_data(stream, b"x", False, peer.now),
        lambda: peer.connection.send_data(stream, b"", True, peer.now),
        lambda: peer.connection.send_trailers(stream, [], peer.now),
        lambda: peer.connection.send_response(stream, 200, [], True, peer.now),
        lambda: peer.connection.send_informational(stream, 103, [], peer.now),
    ):
        with pytest.raises(LocalProtocolError):
            verb()
    peer.gets()
    alive(peer)
    peer.connection.reset_stream(stream, 8, peer.now)
    peer.gets(rst_stream(1, 8))


@requirement("9113-5.1-7", "9113-6.1-3")
@pytest.mark.parametrize("make", [asked_server, uploading_client])
@pytest.mark.parametrize(
    "octets", [data(1, b"x"), data(1), data(1, end_stream=True), headers(1, TRAILERS, end_stream=True), headers(1, TRAILERS)]
)
def test_half_closed_remote_takes_no_message(make: Make, octets: bytes) -> None:
    stream_error(make(), "stream_half_closed", octets)


@requirement("9113-5.1-7", "9113-6.9-3")
@pytest.mark.parametrize("make", [asked_server, uploading_client])
def test_half_closed_remote_takes_what_steers_it(make: Make) -> None:
    peer = make()
    window = peer.connection.streams[1].send_window
    assert accepted(peer, window_update(1, 5), priority(1, 3)) == []
    assert peer.connection.streams[1].send_window == window + 5
    peer.sends(rst_stream(1, 8))
    peer.sees("reset 1 rst_stream_received CANCEL by remote", "closed 1")


# -- closed


@requirement("9113-5.1-8")
@pytest.mark.parametrize("make", [asked_server, open_server, open_client, waiting_client])
@pytest.mark.parametrize("ours", [True, False])
def test_closed_sends_nothing(make: Make, ours: bool) -> None:
    peer = make()
    stream = peer.connection.streams[1]
    if ours:
        peer.connection.reset_stream(stream, 8, peer.now)
    else:
        peer.sends(rst_stream(1, 8))
    peer.forget()
    for verb in (
        lambda: peer.connection.send_data(stream, b"x", True, peer.now),
        lambda: peer.connection.send_response(stream, 200, [], True, peer.now),
        lambda: peer.connection.send_trailers(stream, [], peer.now),
    ):
        with pytest.raises(LocalProtocolError):
            verb()
    peer.connection.reset_stream(stream, 8, peer.now)
    peer.connection.credit(stream, 1, peer.now)
    peer.connection.pump(peer.now)
    peer.gets()


@requirement("9113-5.1-9", "9113-5.4.2-2", "9113-6.4-5")
@pytest.mark.parametrize("make", [reset_server, reset_client])
@pytest.mark.parametrize(
    "octets",
    [
        data(1, b"x"),
        data(1, b"x", end_stream=True),
        headers(1, TRAILERS, end_stream=True),
        window_update(1, 1),
        rst_stream(1, 8),
        priority(1),
    ],
)
def test_frames_under_way_after_our_reset_are_discarded(make: Make, octets: bytes) -> None:
    assert accepted(make(), octets, octets) == []


@requirement("9113-5.1-9")
def test_promise_under_way_after_our_reset() -> None:
    peer = pushing_client()
    peer.connection.reset_stream(peer.connection.streams[1], 8, peer.now)
    peer.forget()
    peer.sends(push_promise(1, 2, request_block()))
    peer.gets(rst_stream(2, 8))
    assert accepted(peer, headers(2, response_block()), data(2, b"x")) == []


@requirement("9113-5.1-10", "9113-6.9-5")
@pytest.mark.parametrize("make", [reset_server, reset_client])
def test_data_after_our_reset_counts_against_the_connection_window(make: Make) -> None:
    peer = make()
    window = peer.connection.recv_window
    peer.sends(data(1, bytes(10_000)))
    left = window - peer.connection.recv_window
    credited = sum(int.from_bytes(f.payload, "big") for f in peer.gets_frames() if f.type == 8)
    assert left == 10_000 - credited
    # All of it comes back in the end: the same again and again never runs dry.
    for _ in range(1_500):
        peer.now += 0.1
        peer.sends(data(1, bytes(10_000)))
    assert not peer.connection.closed
    assert peer.connection.recv_window > window // 3


@requirement("9113-5.1-11", "9113-6.9-3")
@pytest.mark.parametrize("make", [done_server, done_client, abandoned_server, abandoned_client, reset_server, reset_client])
@pytest.mark.parametrize("octets", [window_update(1, 1), rst_stream(1, 8), priority(1), priority(1, 3)])
def test_closed_ignores_what_steers_it(make: Make, octets: bytes) -> None:
    assert accepted(make(), octets) == []


@requirement("9113-5.1-12")
@pytest.mark.parametrize("make", [done_server, done_client])
@pytest.mark.parametrize("octets", [data(1, b"x"), data(1), headers(1, TRAILERS, end_stream=True)])
def test_message_after_both_ends(make: Make, octets: bytes) -> None:
    connection_error(make(), "stream_closed", octets)


@requirement("9113-5.1-12", "9113-6.4-4")
@pytest.mark.parametrize("make", [abandoned_server, abandoned_client])
@pytest.mark.parametrize("octets", [data(1, b"x"), data(1), headers(1, TRAILERS, end_stream=True)])
def test_message_after_the_peers_reset(make: Make, octets: bytes) -> None:
    stream_error(make(), "stream_half_closed", octets)


@requirement("9113-5.1-13")
@pytest.mark.parametrize(
    ("make", "octets", "rule"),
    [
        (open_server, push_promise(1, 2, request_block()), "push_promise_unexpected"),
        (asked_server, continuation(1, b"\x82"), "continuation_unexpected"),
        (promised_client, push_promise(2, 4, request_block()), "push_promise_bad_stream"),
        (waiting_client, headers(3, response_block()), "stream_id_even"),
        (server, headers(2, request_block()), "stream_id_even"),
    ],
)
def test_what_is_not_expressly_permitted(make: Make, octets: bytes, rule: str) -> None:
    connection_error(make(), rule, octets)


# -- the way through


@requirement("9113-5.1-15")
def test_states_of_a_request_on_both_ends() -> None:
    asking, answering = client(), server()
    states: list[tuple[Any, Any]] = []

    def exchange() -> None:
        answering.sends(asking.connection.data_to_send())
        asking.sends(answering.connection.data_to_send())
        pair = (asking.connection.streams.get(1), answering.connection.streams.get(1))
        states.append(tuple(None if s is None else State(s.state).name for s in pair))  # type: ignore[arg-type]

    request = asking.connection.send_request(POST, False, asking.now)
    exchange()
    asking.connection.send_data(request, b"x", True, asking.now)
    exchange()
    response = answering.connection.streams[1]
    answering.connection.send_response(response, 200, [], False, answering.now)
    exchange()
    answering.connection.send_data(response, b"x", True, answering.now)
    exchange()
    assert states == [
        ("OPEN", "OPEN"),
        ("HALF_CLOSED_LOCAL", "HALF_CLOSED_REMOTE"),
        ("HALF_CLOSED_LOCAL", "HALF_CLOSED_REMOTE"),
        (None, None),
    ]
