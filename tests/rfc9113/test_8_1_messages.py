"""RFC 9113 section 8.1: what one message is made of, and its length."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from tests.support.engine import GET, POST, Peer, requesting
from tests.support.judged import (
    RECEIVING,
    STARTING,
    accepted,
    alive,
    asked_server,
    client,
    message,
    open_client,
    open_server,
    reading_client,
    requirement,
    server,
    stream_error,
    waiting_client,
)
from tests.support.wire import END_STREAM, HEADERS, block, continuation, data, headers, ping, request_block, response_block, rst_stream

TRAILERS = block((b"a", b"b"))


def sized(make: Any, length: bytes) -> Peer:
    """A message that announces its length and has begun."""
    peer = make()
    peer.sends(headers(1, message(peer, (b"content-length", length))))
    peer.forget()
    return peer


@requirement("9113-8.1-1")
@pytest.mark.parametrize(
    ("octets", "events"),
    [
        ([data(1, b"a"), data(1, b"b", end_stream=True)], ["data 1 a", "data 1 b end"]),
        ([data(1, b"a"), headers(1, TRAILERS, end_stream=True)], ["data 1 a", "trailers 1"]),
        ([headers(1, TRAILERS, end_stream=True)], ["trailers 1"]),
        ([data(1), data(1, end_stream=True)], ["data 1  end"]),
        ([headers(1, b"", end_stream=True, end_headers=False), continuation(1, TRAILERS)], ["trailers 1"]),
    ],
)
@pytest.mark.parametrize("make", RECEIVING)
def test_shapes_of_a_message(make: Any, octets: list[bytes], events: list[str]) -> None:
    found = accepted(make(), *octets)
    assert [event for event in found if not event.startswith("closed")] == events


@requirement("9113-8.1-1")
@pytest.mark.parametrize("make", RECEIVING)
@pytest.mark.parametrize("more", [data(1, b"x"), headers(1, TRAILERS, end_stream=True)])
def test_nothing_behind_trailers(make: Any, more: bytes) -> None:
    peer = make()
    peer.sends(headers(1, TRAILERS, end_stream=True), more)
    assert [e.rule for e in peer.errors()] == ["stream_half_closed" if make is open_server else "stream_closed"]


@requirement("9113-8.1-2", "9113-8.1.1-1")
@pytest.mark.parametrize("make", RECEIVING)
@pytest.mark.parametrize("before", [b"", data(1, b"test")])
def test_second_section_that_does_not_end_the_message(make: Any, before: bytes) -> None:
    stream_error(make(), "trailers_no_end", before, headers(1, TRAILERS))
    stream_error(make(), "trailers_no_end", before, headers(1, b"", end_headers=False), continuation(1, TRAILERS))


@requirement("9113-8.1-2")
def test_second_final_response() -> None:
    stream_error(reading_client(), "pseudo_in_trailers", headers(1, response_block(), end_stream=True))
    stream_error(reading_client(), "trailers_no_end", headers(1, response_block()))


@requirement("9113-8.1-1")
@pytest.mark.parametrize("octets", [data(1, b"x"), data(1, b"x", end_stream=True), data(1, end_stream=True)])
def test_data_before_the_final_response(octets: bytes) -> None:
    stream_error(waiting_client(), "data_before_headers", octets)
    stream_error(waiting_client(), "data_before_headers", headers(1, response_block(103)), octets)


@requirement("9113-8.1-3")
@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_informational_response_that_ends_the_stream(status: int) -> None:
    stream_error(waiting_client(), "informational_end", headers(1, response_block(status), end_stream=True))


@requirement("9113-8.1-3")
@pytest.mark.parametrize("make", [waiting_client, open_client])
def test_informational_responses_before_the_final_one(make: Any) -> None:
    octets = (headers(1, response_block(100)), headers(1, response_block(103, (b"link", b"</a>"))), headers(1, response_block()))
    assert accepted(make(), *octets) == ["informational 1 100", "informational 1 103", "response 1 200"]


@requirement("9113-8.1-3")
def test_informational_response_after_the_final_one() -> None:
    stream_error(reading_client(), "trailers_no_end", headers(1, response_block(103)))


@requirement("9113-8.1-4")
@pytest.mark.parametrize("make", RECEIVING)
@pytest.mark.parametrize("name", [b":method", b":scheme", b":path", b":authority", b":status", b":protocol"])
def test_pseudo_field_in_trailers(make: Any, name: bytes) -> None:
    value = {b":method": b"GET", b":scheme": b"https", b":path": b"/", b":authority": b"a", b":status": b"200", b":protocol": b"x"}[name]
    stream_error(make(), "pseudo_in_trailers", data(1, b"x"), headers(1, block((name, value)), end_stream=True))
    peer = make()
    if make is open_server:
        peer.connection.send_response(peer.connection.streams[1], 200, [], False, peer.now)
    else:
        peer = open_client()
    peer.forget()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_trailers(peer.connection.streams[1], [(name, value)], peer.now)
    peer.gets()


@requirement("9113-8.1-1")
@pytest.mark.parametrize("make", RECEIVING)
@pytest.mark.parametrize("field", [(b"content-length", b"0"), (b"host", b"a")])
def test_field_that_frames_or_routes_in_trailers(make: Any, field: tuple[bytes, bytes]) -> None:
    stream_error(make(), "trailers_field", headers(1, block(field), end_stream=True))


@requirement("9113-8.1-5")
def test_early_response_and_reset_without_error() -> None:
    peer = open_server()
    connection, stream = peer.connection, peer.connection.streams[1]
    connection.send_response(stream, 413, [], True, peer.now)
    connection.reset_stream(stream, 0, peer.now)
    peer.gets(our_response(413), rst_stream(1, 0))
    peer.forget()
    assert accepted(peer, data(1, b"late", end_stream=True)) == []


def our_response(status: int) -> bytes:
    """A response as our own encoder writes it: name of the static table, value with indexing and Huffman."""
    other = asked_server()
    other.connection.send_response(other.connection.streams[1], status, [], True, other.now)
    return other.connection.data_to_send()  # type: ignore[no-any-return]


@requirement("9113-8.1-6")
def test_response_survives_the_reset_behind_it() -> None:
    peer = open_client()
    peer.sends(headers(1, response_block(413)), data(1, b"too much", end_stream=True), rst_stream(1, 0))
    peer.sees("response 1 413", "data 1 too much end", "reset 1 rst_stream_received NO_ERROR by remote", "closed 1")
    peer.gets()
    alive(peer)


@requirement("9113-8.1-7")
def test_response_on_the_stream_of_its_request() -> None:
    peer = server()
    peer.sends(headers(1, request_block(), end_stream=True), headers(3, request_block(), end_stream=True))
    peer.forget()
    for stream_id in (3, 1):
        peer.connection.send_response(peer.connection.streams[stream_id], 200, [], True, peer.now)
        assert [(f.type, f.stream_id, f.flags & END_STREAM) for f in peer.gets_frames()] == [(HEADERS, stream_id, END_STREAM)]


@requirement("9113-8.1-7")
def test_one_request_on_one_stream() -> None:
    peer = client()
    first, second = (peer.connection.send_request(GET, True, peer.now) for _ in range(2))
    assert (first.id, second.id) == (1, 3)
    peer = asked_server()
    peer.connection.send_response(peer.connection.streams[1], 200, [], False, peer.now)
    peer.forget()
    with pytest.raises(LocalProtocolError):
        peer.connection.send_response(peer.connection.streams[1], 200, [], True, peer.now)
    peer.gets()


# -- 8.1.1


@requirement("9113-8.1.1-2")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize(
    "octets",
    [
        [data(1, b"abcd", end_stream=True)],
        [data(1, b"abcd")],
        [data(1, b"a"), data(1, b"bcd")],
        [data(1, b"a", end_stream=True)],
        [data(1, b"a"), data(1, b"b", end_stream=True)],
        [data(1, end_stream=True)],
        [data(1, b"a"), headers(1, TRAILERS, end_stream=True)],
        [headers(1, TRAILERS, end_stream=True)],
    ],
)
def test_other_than_content_length(make: Any, octets: list[bytes]) -> None:
    stream_error(sized(make, b"3"), "content_length_mismatch", *octets)


@requirement("9113-8.1.1-2")
@pytest.mark.parametrize("make", STARTING)
def test_content_length_without_data(make: Any) -> None:
    peer = make()
    stream_error(peer, "content_length_mismatch", headers(1, message(peer, (b"content-length", b"3")), end_stream=True))
    peer = make()
    octets = headers(1, message(peer, (b"content-length", b"0")), end_stream=True)
    assert accepted(peer, octets)[0].endswith(" end")


@requirement("9113-8.1.1-2", "9113-10.7-1")
@pytest.mark.parametrize("make", STARTING)
def test_content_length_that_fits(make: Any) -> None:
    """Padding is no content."""
    octets = (data(1, b"a", padding=9), data(1), data(1, b"bc", padding=0), data(1, end_stream=True))
    assert accepted(sized(make, b"3"), *octets)[:3] == ["data 1 a", "data 1 bc", "data 1  end"]


@requirement("9113-8.1.1-2")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1,1", b"1, 1", b"0x1", b"1.0", b"a", b"9" * 30])
def test_content_length_that_is_no_number(make: Any, value: bytes) -> None:
    peer = make()
    stream_error(peer, "content_length_invalid", headers(1, message(peer, (b"content-length", value))))


@requirement("9113-8.1.1-2")
@pytest.mark.parametrize("make", STARTING)
def test_content_length_twice(make: Any) -> None:
    peer = make()
    stream_error(peer, "content_length_invalid", headers(1, message(peer, (b"content-length", b"1"), (b"content-length", b"1"))))


def answered(method: bytes, status: int) -> Peer:
    connection, peer = requesting()
    connection.send_request([(b":method", method), *GET[1:]], True, peer.now)
    peer.forget()
    accepted(peer, headers(1, response_block(status, (b"content-length", b"5"))))
    return peer


@requirement("9113-8.1.1-3")
@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"HEAD", 404), (b"GET", 204), (b"GET", 304), (b"POST", 204)])
def test_content_length_of_a_response_without_content(method: bytes, status: int) -> None:
    """Whether HEADERS end the stream, or empty DATA, or trailers."""
    for octets in (data(1, end_stream=True), headers(1, TRAILERS, end_stream=True)):
        assert accepted(answered(method, status), octets)[-1] == "closed 1"
    connection, peer = requesting()
    connection.send_request([(b":method", method), *GET[1:]], True, peer.now)
    peer.forget()
    octets = headers(1, response_block(status, (b"content-length", b"5")), end_stream=True)
    assert accepted(peer, octets) == [f"response 1 {status} end", "closed 1"]


@requirement("9113-8.1.1-3", "9113-8.1.1-4")
@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_content_where_there_is_none(method: bytes, status: int) -> None:
    stream_error(answered(method, status), "content_length_mismatch", data(1, b"hello", end_stream=True))


@requirement("9113-8.1.1-4")
@pytest.mark.parametrize(
    ("octets", "rule"),
    [
        (headers(1, block((b"a", b"b"))), "pseudo_missing"),
        (headers(1, response_block(200, (b"A", b"b"))), "field_name_invalid"),
        (headers(1, response_block(200, (b"connection", b"close"))), "field_connection_specific"),
        (headers(1, response_block(200, (b"a", b"b\r\nc: d"))), "field_value_invalid"),
        (headers(1, b"\x88\x88"), "pseudo_duplicate"),
    ],
)
def test_malformed_response_reaches_nobody(octets: bytes, rule: str) -> None:
    peer = waiting_client()
    peer.sends(octets)
    assert [event.split()[0] for event in peer.happened()] == ["reset", "closed"]
    stream_error(waiting_client(), rule, octets)


@requirement("9113-8.1.1-1")
@pytest.mark.parametrize(
    "octets",
    [
        headers(1, block((b":method", b"GET"))),
        headers(1, request_block(b"GET", b"/", (b"A", b"b"))),
        headers(1, request_block(b"GET", b"")),
    ],
)
def test_malformed_request_reaches_nobody(octets: bytes) -> None:
    peer = server()
    peer.sends(octets, ping(b"12345678"))
    peer.sees()
    peer.gets(rst_stream(1, 1), ping(b"12345678", ack=True))


def test_request_with_a_body_is_sent_as_it_is_read() -> None:
    peer = client()
    stream = peer.connection.send_request(POST, False, peer.now)
    peer.connection.send_data(stream, b"ab", False, peer.now)
    peer.connection.send_data(stream, b"", True, peer.now)
    assert [(f.stream_id, f.flags & END_STREAM) for f in peer.gets_frames()] == [(1, 0), (1, 0), (1, 1)]
