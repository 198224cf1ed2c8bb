"""RFC 9113 sections 5.1.1 and 5.1.2: numbers of streams, and how many there may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from h2o_otel.errors import LocalProtocolError
from h2o_otel.limits import SERVER_LIMITS
from tests.support.engine import GET, Peer, serving
from tests.support.judged import (
    accepted,
    alive,
    answered_server,
    asked_server,
    client,
    connection_error,
    open_server,
    promised_client,
    pushing_client,
    requirement,
    server,
    stream_error,
    waiting_client,
)
from tests.support.wire import HEADERS, data, goaway, headers, push_promise, request_block, response_block, rst_stream, settings


@requirement("9113-5.1.1-1", "9113-5.1.1-3")
def test_numbers_that_a_client_gives() -> None:
    peer = client()
    for _ in range(4):
        peer.connection.send_request(GET, True, peer.now)
    assert [f.stream_id for f in peer.gets_frames()] == [1, 3, 5, 7]


@requirement("9113-5.1.1-1", "9113-5.1.1-3")
def test_numbers_that_a_server_gives() -> None:
    peer = asked_server()
    asked = [[*GET[:2], (b":path", b"/%d" % n), GET[3]] for n in range(3)]
    promised = [peer.connection.send_push_promise(peer.connection.streams[1], fields, peer.now).id for fields in asked]
    assert promised == [2, 4, 6]


@requirement("9113-5.1.1-2")
@pytest.mark.parametrize("make", [server, client])
def test_zero_is_no_stream(make: object) -> None:
    connection_error(make(), "frame_on_stream_zero", headers(0, request_block()))  # type: ignore[operator]


@requirement("9113-5.1.1-4")
@pytest.mark.parametrize("stream_id", [2, 4, 2**31 - 2])
@pytest.mark.parametrize("end_stream", [False, True])
def test_even_numbers_are_not_the_clients(stream_id: int, end_stream: bool) -> None:
    connection_error(server(), "stream_id_even", headers(stream_id, request_block(), end_stream=end_stream), stream_id=stream_id)


@requirement("9113-5.1.1-4")
@pytest.mark.parametrize("stream_id", [1, 2, 3])
def test_servers_open_no_streams_by_headers(stream_id: int) -> None:
    connection_error(client(), "stream_id_even", headers(stream_id, response_block()), stream_id=stream_id)


@requirement("9113-5.1.1-4")
@pytest.mark.parametrize(
    ("promised", "rule"), [(1, "push_promise_bad_stream"), (3, "push_promise_bad_stream"), (0, "push_promise_bad_stream")]
)
def test_promises_have_even_numbers(promised: int, rule: str) -> None:
    connection_error(pushing_client(), rule, push_promise(1, promised, request_block()))


@requirement("9113-5.1.1-3", "9113-5.1.1-4")
def test_numbers_grow() -> None:
    peer = server()
    accepted(peer, headers(5, request_block(), end_stream=True))
    for stream_id in (3, 1):
        again = server()
        again.sends(headers(5, request_block(), end_stream=True))
        again.forget()
        connection_error(again, "stream_id_reused", headers(stream_id, request_block()), stream_id=stream_id)


@requirement("9113-5.1.1-3")
def test_promised_numbers_grow() -> None:
    peer = promised_client()
    peer.sends(push_promise(1, 6, request_block()))
    peer.forget()
    for promised in (6, 4, 2):
        again = promised_client()
        again.sends(push_promise(1, 6, request_block()))
        again.forget()
        connection_error(again, "push_promise_bad_stream", push_promise(1, promised, request_block()))


@requirement("9113-5.1.1-5")
@pytest.mark.parametrize("octets", [data(1, b"x"), headers(1, request_block())])
def test_numbers_left_out_are_closed(octets: bytes) -> None:
    peer = server()
    accepted(peer, headers(3, request_block(), end_stream=True))
    connection_error(peer, "stream_closed" if octets == data(1, b"x") else "stream_id_reused", octets)


@requirement("9113-5.1.1-5")
def test_numbers_left_out_are_closed_and_not_idle() -> None:
    peer = server()
    accepted(peer, headers(3, request_block(), end_stream=True))
    assert accepted(peer, rst_stream(1, 8)) == []


@requirement("9113-5.1.1-6")
def test_numbers_are_used_once() -> None:
    peer = answered_server()
    peer.sends(data(1, end_stream=True))
    peer.forget()
    connection_error(peer, "stream_closed", headers(1, request_block(), end_stream=True))


@requirement("9113-5.1.1-6")
def test_numbers_run_out() -> None:
    peer = client()
    peer.connection.next_stream_id = 2**31 - 1
    assert peer.connection.send_request(GET, True, peer.now).id == 2**31 - 1
    peer.forget()
    assert not peer.connection.can_open_stream()
    with pytest.raises(LocalProtocolError, match=r"used up at 2147483647 \(RFC 9113 §5\.1\.1\)"):
        peer.connection.send_request(GET, True, peer.now)
    peer.gets()


@requirement("9113-5.1.1-6")
def test_last_number_of_a_client() -> None:
    peer = server()
    peer.sends(headers(2**31 - 1, request_block(), end_stream=True))
    assert peer.happened() == [f"request {2**31 - 1} end"]
    # No other can follow, and the server says so.
    peer.gets(goaway(2**31 - 1, 0, b"half of the stream identifiers are used up"))
    alive(peer)


# -- 5.1.2


def narrow() -> Peer:
    peer = serving(replace(SERVER_LIMITS, streams_max=2))[1]
    peer.sends(headers(1, request_block(b"POST")), headers(3, request_block(), end_stream=True))
    peer.forget()
    return peer


@requirement("9113-5.1.2-1")
def test_limit_of_the_peer_holds_back() -> None:
    peer = client()
    peer.sends(settings({3: 2}))
    peer.forget()
    for _ in range(2):
        peer.connection.send_request(GET, True, peer.now)
    assert not peer.connection.can_open_stream()
    with pytest.raises(LocalProtocolError, match=r"2 streams are open, the peer allows 2 \(RFC 9113 §5\.1\.2\)"):
        peer.connection.send_request(GET, True, peer.now)
    peer.sends(headers(1, response_block(), end_stream=True))
    peer.connection.send_request(GET, True, peer.now)
    assert [f.stream_id for f in peer.gets_frames() if f.type == HEADERS] == [1, 3, 5]


@requirement("9113-5.1.2-1")
def test_limit_of_the_peer_holds_promises_back() -> None:
    peer = asked_server()
    peer.sends(settings({3: 0}))
    peer.forget()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    peer.gets()


@requirement("9113-5.1.2-2")
def test_stream_beyond_the_limit_is_refused() -> None:
    peer = narrow()
    stream_error(peer, "streams_exceeded", headers(5, request_block(), end_stream=True), stream_id=5)
    # Open and half-closed count alike; one that ends makes room.
    peer.connection.send_response(peer.connection.streams[3], 200, [], True, peer.now)
    peer.forget()
    assert peer.connection.streams.keys() == {1}
    peer.sends(headers(7, request_block(), end_stream=True))
    peer.sees("request 7 end")


@requirement("9113-5.1.2-3")
def test_reserved_streams_do_not_count() -> None:
    peer = asked_server()
    peer.sends(settings({3: 1}))
    peer.forget()
    for _ in range(1):
        peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    # The client's own limit is not used up by promises.
    assert accepted(peer, headers(3, request_block(), end_stream=True)) == ["request 3 end"]


@requirement("9113-5.1.2-4")
def test_lower_limit_lets_streams_finish() -> None:
    peer = client()
    for _ in range(3):
        peer.connection.send_request(GET, True, peer.now)
    peer.sends(settings({3: 1}))
    peer.forget()
    assert not peer.connection.can_open_stream()
    for stream_id in (1, 3):
        assert accepted(peer, headers(stream_id, response_block(), end_stream=True))[0] == f"response {stream_id} 200 end"
        assert not peer.connection.can_open_stream()
    accepted(peer, headers(5, response_block(), end_stream=True))
    assert peer.connection.can_open_stream()


@requirement("9113-5.1.2-4", "9113-6.5.2-6")
def test_limit_of_zero() -> None:
    peer = client()
    peer.sends(settings({3: 0}))
    assert not peer.connection.can_open_stream()
    peer.sends(settings({3: 1}))
    assert peer.connection.can_open_stream()


def test_open_streams_go_on_beside_a_refused_one() -> None:
    for peer in (narrow(), waiting_client(), open_server()):
        assert accepted(peer) == []


@requirement("9113-5.1.1-5", "9113-5.1.1-6")
def test_identifier_of_a_gap_stays_closed_as_others_are_opened() -> None:
    """Identifiers that were passed over are closed, whatever came since."""
    peer = server()
    peer.sends(headers(1, request_block(), end_stream=True), *(headers(i, request_block(), end_stream=True) for i in (7, 9, 11)))
    connection_error(peer, "stream_id_reused", headers(3, request_block(), end_stream=True))
    peer = server()
    peer.sends(*(headers(i, request_block(), end_stream=True) for i in (1, 3)))
    peer.connection.send_response(peer.connection.streams[1], 204, [], True, peer.now)
    connection_error(peer, "stream_closed", headers(1, request_block(), end_stream=True))


@requirement("9113-5.1.1-3")
def test_largest_identifier_is_served_while_a_drain_begins() -> None:
    """The first GOAWAY of a drain names it as the last."""
    peer = server()
    peer.connection.shutdown(peer.now)
    peer.sends(headers(2**31 - 1, request_block(), end_stream=True))
    peer.sees(f"request {2**31 - 1} end")
