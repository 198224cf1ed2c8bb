"""RFC 9113 sections 6.6 and 8.4: promises, received and sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from h2o_otel.limits import CLIENT_LIMITS
from h2o_otel.streams.states import State
from tests.support.engine import GET, Peer, requesting
from tests.support.judged import (
    accepted,
    asked_server,
    connection_error,
    done_server,
    open_server,
    promised_client,
    promising_server,
    pushing_client,
    requirement,
    server,
    stream_error,
    waiting_client,
)
from tests.support.wire import (
    END_HEADERS,
    HEADERS,
    PADDED,
    PUSH_PROMISE,
    block,
    continuation,
    data,
    frame,
    frames,
    headers,
    push_promise,
    request_block,
    response_block,
    rst_stream,
    settings,
)

PROMISE = push_promise(1, 2, request_block())


# -- received by a client


@requirement("9113-6.6-2")
def test_promise_on_stream_0() -> None:
    connection_error(pushing_client(), "frame_on_stream_zero", push_promise(0, 2, request_block()))


@requirement("9113-6.6-3")
@pytest.mark.parametrize("stream_id", [3, 5, 101])
def test_promise_on_an_idle_stream(stream_id: int) -> None:
    connection_error(pushing_client(), "push_promise_bad_stream", push_promise(stream_id, 2, request_block()))


@requirement("9113-6.6-3")
def test_promise_on_a_stream_that_the_server_ended() -> None:
    peer = pushing_client()
    peer.sends(headers(1, response_block(), end_stream=True))
    peer.forget()
    connection_error(peer, "push_promise_bad_stream", PROMISE)
    peer = pushing_client()
    peer.sends(rst_stream(1, 8))
    peer.forget()
    connection_error(peer, "push_promise_bad_stream", PROMISE)


@requirement("9113-6.6-3")
def test_promise_on_a_promised_stream() -> None:
    connection_error(promised_client(), "push_promise_bad_stream", push_promise(2, 4, request_block()))


@requirement("9113-6.6-3", "9113-8.4.1-1")
def test_promise_while_the_request_is_open_or_half_closed() -> None:
    for end_stream in (False, True):
        connection, peer = requesting(push=True)
        connection.send_request(GET, end_stream, peer.now)
        peer.forget()
        assert accepted(peer, PROMISE) == ["push 2 on 1"]
        assert accepted(peer, headers(1, response_block())) == ["response 1 200"]
        assert accepted(peer, push_promise(1, 4, request_block())) == ["push 4 on 1"]


@requirement("9113-6.6-4")
@pytest.mark.parametrize("promised", [0, 1, 3, 2**31 - 1])
def test_promise_of_a_stream_that_cannot_be(promised: int) -> None:
    connection_error(pushing_client(), "push_promise_bad_stream", push_promise(1, promised, request_block()))


@requirement("9113-6.6-4")
@pytest.mark.parametrize("promised", [2, 4])
def test_promise_of_a_stream_that_was(promised: int) -> None:
    peer = pushing_client()
    peer.sends(push_promise(1, 4, request_block()))
    peer.forget()
    connection_error(peer, "push_promise_bad_stream", push_promise(1, promised, request_block()))


@requirement("9113-6.6-4")
def test_reserved_bit_of_the_promised_number() -> None:
    assert accepted(pushing_client(), push_promise(1, 2**31 + 2, request_block())) == ["push 2 on 1"]


@requirement("9113-6.6-5")
def test_promise_on_a_stream_that_we_reset() -> None:
    peer = pushing_client()
    peer.connection.reset_stream(peer.connection.streams[1], 8, peer.now)
    peer.forget()
    peer.sends(PROMISE)
    peer.gets(rst_stream(2, 8))
    # Its number is used up, and what follows on it is late.
    assert accepted(peer, headers(2, response_block()), data(2, b"x", end_stream=True)) == []
    peer.connection.send_request(GET, True, peer.now)
    peer.forget()
    connection_error(peer, "push_promise_bad_stream", push_promise(3, 2, request_block()))


@requirement("9113-6.6-7")
@pytest.mark.parametrize("padding", [0, 1, 255])
def test_promise_padded_and_in_pieces(padding: int) -> None:
    whole = b"\0\0\0\x02" + request_block(b"GET", b"/style.css")
    peer = pushing_client()
    assert accepted(peer, frame(PUSH_PROMISE, END_HEADERS | PADDED, 1, bytes([padding]) + whole + bytes(padding))) == ["push 2 on 1"]
    peer = pushing_client()
    first = frame(PUSH_PROMISE, PADDED, 1, bytes([padding]) + whole[:9] + bytes(padding))
    assert accepted(peer, first, continuation(1, whole[9:20], end_headers=False), continuation(1, whole[20:])) == ["push 2 on 1"]
    assert peer.connection.streams[2].path == b"/style.css"


@requirement("9113-6.6-7")
@pytest.mark.parametrize("payload", [b"\x01\0\0\0\x02", b"\xff\0\0\0\x02" + bytes(100), b"\x00\0\0\0"])
def test_padding_of_a_promise_too_long(payload: bytes) -> None:
    connection_error(pushing_client(), "padding_too_long", frame(PUSH_PROMISE, END_HEADERS | PADDED, 1, payload))


@requirement("9113-6.6-7")
def test_something_else_inside_a_promise() -> None:
    opened = push_promise(1, 2, request_block(), end_headers=False)
    for octets in (headers(1, response_block()), data(1, b"x"), PROMISE, continuation(2, b"")):
        connection_error(pushing_client(), "continuation_expected", opened, octets)


# -- received by a server


@requirement("9113-8.4-1")
@pytest.mark.parametrize("make", [server, open_server, asked_server, done_server])
def test_clients_do_not_push(make: Any) -> None:
    connection_error(make(), "push_promise_unexpected", PROMISE)


# -- the promised request


@requirement("9113-8.4-2")
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"])
def test_promise_of_a_request_that_is_not_safe_and_cacheable(method: bytes) -> None:
    stream_error(pushing_client(), "push_promise_method", push_promise(1, 2, request_block(method)), stream_id=2)


@requirement("9113-8.4-2")
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_promise_of_a_safe_request(method: bytes) -> None:
    peer = pushing_client()
    assert accepted(peer, push_promise(1, 2, request_block(method))) == ["push 2 on 1"]


@requirement("9113-8.4-2", "9113-8.1.1-1")
@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ([(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a")], "pseudo_missing"),
        ([*GET, (b"connection", b"close")], "field_connection_specific"),
        ([*GET, (b":status", b"200")], "pseudo_wrong_direction"),
        ([*GET, (b"Upper", b"x")], "field_name_invalid"),
    ],
)
def test_malformed_promise(fields: list[tuple[bytes, bytes]], rule: str) -> None:
    peer = pushing_client()
    stream_error(peer, rule, push_promise(1, 2, block(*fields)), stream_id=2)
    assert accepted(peer, headers(1, response_block(), end_stream=True))[0] == "response 1 200 end"


@requirement("9113-8.4-4")
def test_promise_of_a_request_with_content() -> None:
    octets = push_promise(1, 2, request_block(b"GET", b"/", (b"content-length", b"5")))
    stream_error(pushing_client(), "content_length_mismatch", octets, stream_id=2)
    peer = pushing_client()
    assert accepted(peer, push_promise(1, 2, request_block(b"GET", b"/", (b"content-length", b"0")))) == ["push 2 on 1"]
    peer = asked_server()
    with pytest.raises(LocalProtocolError, match=r"^a promised request has no content \(RFC 9113 §8\.4\)$"):
        peer.connection.send_push_promise(peer.connection.streams[1], [*GET, (b"content-length", b"5")], peer.now)
    peer.gets()


@requirement("9113-8.4.2-2")
def test_promise_is_refused() -> None:
    peer = promised_client()
    peer.connection.reset_stream(peer.connection.streams[2], 7, peer.now)
    peer.gets(rst_stream(2, 7))
    peer.forget()
    assert accepted(peer, headers(2, response_block()), data(2, b"late", end_stream=True)) == []


@requirement("9113-8.4.2-2", "9113-5.1.2-2")
def test_more_promises_than_we_take() -> None:
    connection, peer = requesting(replace(CLIENT_LIMITS, push_promises_max=1), push=True)
    connection.send_request(GET, True, peer.now)
    peer.forget()
    peer.sends(PROMISE, push_promise(1, 4, request_block()))
    peer.gets(rst_stream(4, 7))
    peer.sees("push 2 on 1")


# -- sent by a server


def sent(peer: Peer) -> list[tuple[int, int]]:
    return [(f.type, f.stream_id) for f in peer.gets_frames()]


@requirement("9113-6.6-1")
@pytest.mark.parametrize("make", [open_server, asked_server])
def test_promise_on_a_request_that_is_not_answered(make: Any) -> None:
    peer = make()
    peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    assert sent(peer) == [(PUSH_PROMISE, 1)]
    peer.connection.send_response(peer.connection.streams[1], 200, [], False, peer.now)
    peer.connection.send_push_promise(peer.connection.streams[1], [*GET[:2], (b":path", b"/other"), GET[3]], peer.now)
    assert sent(peer) == [(HEADERS, 1), (PUSH_PROMISE, 1)]


@requirement("9113-6.6-1")
def test_no_promise_on_a_stream_that_is_over_or_was_promised() -> None:
    peer = asked_server()
    stream = peer.connection.streams[1]
    peer.connection.send_response(stream, 200, [], True, peer.now)
    peer.forget()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_push_promise(stream, GET, peer.now)
    peer = promising_server()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_push_promise(peer.connection.streams[2], GET, peer.now)
    peer.gets()


@requirement("9113-6.6-1")
def test_clients_send_no_promise() -> None:
    peer = waiting_client()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    peer.gets()


@requirement("9113-8.4-3")
@pytest.mark.parametrize("fields", [GET[1:], [GET[0], *GET[2:]], [*GET, (b":status", b"200")], [*GET, (b"te", b"gzip")]])
def test_promised_request_is_complete(fields: list[tuple[bytes, bytes]]) -> None:
    peer = asked_server()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_push_promise(peer.connection.streams[1], fields, peer.now)
    peer.gets()


@requirement("9113-8.4-2")
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"CONNECT"])
def test_unsafe_requests_are_not_promised(method: bytes) -> None:
    peer = asked_server()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_push_promise(peer.connection.streams[1], [(b":method", method), *GET[1:]], peer.now)
    peer.gets()


@requirement("9113-8.4.1-1", "9113-8.4.2-1")
def test_pushed_response_behind_its_promise() -> None:
    peer = promising_server()
    connection, promised = peer.connection, peer.connection.streams[2]
    assert promised.state == State.RESERVED_LOCAL
    connection.send_response(promised, 200, [], False, peer.now)
    connection.send_data(promised, b"body", True, peer.now)
    peer.gets(headers(2, b"\x88"), data(2, b"body", end_stream=True))
    assert 2 not in connection.streams
    # All three in one write keep their order.
    peer = asked_server()
    promised = peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    peer.connection.send_response(promised, 200, [], True, peer.now)
    assert sent(peer) == [(PUSH_PROMISE, 1), (HEADERS, 2)]


@requirement("9113-8.4.2-1")
def test_pushed_response_is_one_message() -> None:
    connection, peer = requesting(push=True)
    connection.send_request(GET, True, peer.now)
    peer.forget()
    octets = (PROMISE, headers(2, response_block(200, (b"content-length", b"1"))), data(2, b"x", end_stream=True))
    assert accepted(peer, *octets) == ["push 2 on 1", "response 2 200", "data 2 x end", "closed 2"]
    connection_error(peer, "stream_closed", data(2, b"more"))


@requirement("9113-6.5.2-2")
def test_clients_disable_push_unless_they_want_it() -> None:
    for push in (False, True):
        connection, _ = requesting(handshake=False, push=push)
        first = frames(connection.data_to_send())[0].payload
        values = {first[i : i + 2]: first[i + 2 : i + 6] for i in range(0, len(first), 6)}
        assert values[b"\0\x02"] == push.to_bytes(4, "big")
    peer = asked_server()
    peer.sends(settings({2: 1}))
    peer.forget()
    peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    assert sent(peer) == [(PUSH_PROMISE, 1)]
