"""RFC 9113 section 4.3: field blocks, and the compression state that all of them share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from tests.support.engine import GET, requesting, serving
from tests.support.judged import (
    STARTING,
    abandoned_server,
    accepted,
    connection_error,
    done_server,
    open_server,
    requirement,
    reset_client,
    reset_server,
    server,
    stream_error,
    waiting_client,
)
from tests.support.wire import (
    END_HEADERS,
    HEADERS,
    block,
    continuation,
    data,
    frame,
    goaway,
    headers,
    ping,
    priority,
    push_promise,
    request_block,
    response_block,
    rst_stream,
    settings,
    settings_ack,
    window_update,
)

INDEXED = b"\x40\x01a\x01b"  # a: b, which becomes entry 62
ENTRY = b"\xbe"


def start(make: Any) -> bytes:
    return request_block() if make is server else response_block()


@requirement("9113-4.3-1")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (b"\x40", "hpack_truncated"),
        (b"\x80", "hpack_index_zero"),
        (b"\xbe", "hpack_index_unknown"),
        (b"\x00\x81\x00", "hpack_huffman_padding"),
    ],
)
def test_decoding_error_ends_the_connection(make: Any, broken: bytes, rule: str) -> None:
    connection_error(make(), rule, headers(1, start(make) + broken, end_stream=True))


@requirement("9113-4.3-2", "9113-6.2-2", "9113-6.10-3")
@pytest.mark.parametrize("make", STARTING)
@pytest.mark.parametrize(
    "between",
    [
        data(1, b"x"),
        headers(1, b"\x88", end_stream=True),
        headers(3, request_block()),
        priority(1),
        rst_stream(1, 8),
        settings(),
        settings_ack(),
        push_promise(1, 2, request_block()),
        ping(),
        goaway(0),
        window_update(0, 1),
        window_update(1, 1),
        continuation(3, b"\x82"),
        frame(0xFA, 0, 0, b"x"),
        frame(0xFA, 0, 1, b"x"),
    ],
)
def test_nothing_stands_inside_a_block(make: Any, between: bytes) -> None:
    whole = start(make)
    connection_error(make(), "continuation_expected", headers(1, whole[:5], end_headers=False), between)
    peer = make()
    connection_error(
        peer, "continuation_expected", headers(1, whole[:5], end_headers=False), continuation(1, b"", end_headers=False), between
    )


@requirement("9113-4.3-2")
@pytest.mark.parametrize("make", STARTING)
def test_our_blocks_are_contiguous(make: Any) -> None:
    """A large block goes out in HEADERS and CONTINUATION of one stream with nothing in between, even beside queued bodies."""
    peer = make()
    connection = peer.connection
    large = [(b"x", b"\xff" * 40_000)]
    if make is server:
        peer.sends(headers(1, request_block(), end_stream=True), headers(3, request_block(), end_stream=True))
        connection.send_response(connection.streams[1], 200, [], False, peer.now)
        connection.send_data(connection.streams[1], bytes(100_000), True, peer.now)
        connection.send_response(connection.streams[3], 200, large, True, peer.now)
    else:
        connection.send_request([*GET, *large], True, peer.now)
    found = peer.gets_frames()
    first = next(i for i, f in enumerate(found) if f.type == HEADERS and not f.flags & END_HEADERS)
    following = found[first + 1 : first + 3]
    assert [(f.type, f.stream_id) for f in following] == [(9, found[first].stream_id)] * 2
    assert [bool(f.flags & END_HEADERS) for f in following] == [False, True]


@requirement("9113-4.3-3", "9113-5.4.2-2")
@pytest.mark.parametrize("make", [reset_server, reset_client])
def test_block_on_a_reset_stream_still_counts(make: Any) -> None:
    peer = make()
    accepted(peer, headers(1, INDEXED, end_stream=True))
    if make is reset_server:
        assert accepted(peer, headers(3, request_block() + ENTRY, end_stream=True)) == ["request 3 end"]
        assert peer.connection.streams[3].headers == [(b"a", b"b")]
    else:
        stream = peer.connection.send_request(GET, True, peer.now)
        peer.forget()
        accepted(peer, headers(3, response_block() + ENTRY))
        assert stream.headers == [(b"a", b"b")]


@requirement("9113-4.3-3")
@pytest.mark.parametrize("make", [reset_server, reset_client])
def test_block_on_a_reset_stream_that_does_not_decode(make: Any) -> None:
    connection_error(make(), "hpack_index_unknown", headers(1, ENTRY, end_stream=True))


@requirement("9113-4.3-3")
def test_block_of_a_refused_request_still_counts() -> None:
    peer = serving(replace(SERVER_LIMITS, streams_max=1))[1]
    peer.sends(headers(1, request_block(b"POST")))
    peer.forget()
    stream_error(peer, "streams_exceeded", headers(3, request_block() + INDEXED, end_stream=True), stream_id=3)
    peer.connection.send_response(peer.connection.streams[1], 200, [], True, peer.now)
    peer.sends(data(1, end_stream=True), headers(5, request_block() + ENTRY, end_stream=True))
    assert peer.connection.streams[5].headers == [(b"a", b"b")]


@requirement("9113-4.3-3", "9113-6.8-5")
def test_block_beyond_our_goaway_still_counts() -> None:
    peer = open_server()
    peer.connection.shutdown(peer.now)
    peer.connection.finish_shutdown(peer.now)
    peer.forget()
    accepted(peer, headers(3, request_block() + INDEXED, end_stream=True))
    accepted(peer, headers(1, ENTRY, end_stream=True))
    assert peer.connection.streams[1].trailers == [(b"a", b"b")]
    connection_error(peer, "hpack_index_unknown", headers(5, b"\xbf", end_stream=True))


@requirement("9113-4.3-3")
def test_error_in_a_block_weighs_more_than_its_stream() -> None:
    """A block that does not decode ends the connection on streams where HEADERS would be a smaller error, too."""
    for make in (done_server, abandoned_server):
        connection_error(make(), "hpack_truncated", headers(1, b"\x40", end_stream=True))


@requirement("9113-4.3-3", "9113-6.6-6")
def test_block_of_a_refused_promise_still_counts() -> None:
    connection, peer = requesting(replace(CLIENT_LIMITS, push_promises_max=0), push=True)
    stream = connection.send_request(GET, True, peer.now)
    peer.forget()
    peer.sends(push_promise(1, 2, request_block() + INDEXED))
    peer.gets(rst_stream(2, 7))
    accepted(peer, headers(1, response_block() + ENTRY))
    assert stream.headers == [(b"a", b"b")]


# -- 4.3.1, the compression state


@requirement("9113-4.3.1-1")
@pytest.mark.parametrize("make", STARTING)
def test_table_is_4096_octets_at_first(make: Any) -> None:
    """Before any setting is acknowledged: 4096 octets are kept, and no more may be asked for."""
    fits = block((b"a", b"x" * (4096 - 33)))
    accepted(make(), headers(1, start(make) + b"\x40" + fits[1:] + ENTRY, end_stream=True))
    connection_error(make(), "hpack_size_update_too_large", headers(1, b"\x3f\xe2\x1f" + start(make)))


@requirement("9113-4.3.1-1")
def test_encoder_keeps_to_the_size_that_the_peer_allows() -> None:
    connection, peer = requesting()
    peer.sends(settings({1: 0}))
    peer.forget()
    for _ in range(2):
        connection.send_request([*GET, (b"x-new", b"value")], True, peer.now)
    first, second = (f.payload for f in peer.gets_frames())
    # The update to 0 stands first, and nothing was indexed.
    assert first[:1] == b"\x20"
    assert first[1:] == second
    assert connection.encoder.table.entries() == []


@requirement("9113-4.3.1-2")
@pytest.mark.parametrize("role", [serving, requesting])
def test_reduction_must_be_acknowledged_in_the_next_block(role: Any) -> None:
    limits = replace(SERVER_LIMITS if role is serving else CLIENT_LIMITS, header_table_bytes=100)
    for update, rule in ((b"", "hpack_size_update_missing"), (b"\x3f\x46", "hpack_size_update_too_large"), (b"\x3f\x45", None)):
        connection, peer = role(limits)
        if role is requesting:
            connection.send_request(GET, True, peer.now)
            peer.forget()
        octets = headers(1, update + (request_block() if role is serving else response_block()), end_stream=True)
        if rule:
            connection_error(peer, rule, octets)
        else:
            accepted(peer, octets)


@requirement("9113-4.3.1-2")
def test_reduction_counts_from_the_acknowledgement() -> None:
    peer = server()
    peer.connection.update_settings([(1, 0)], peer.now)
    peer.forget()
    accepted(peer, headers(1, request_block(), end_stream=True))
    peer.sends(settings_ack())
    connection_error(peer, "hpack_size_update_missing", headers(3, request_block(), end_stream=True))


def test_response_needs_its_request() -> None:
    peer = waiting_client()
    assert accepted(peer, headers(1, response_block(), end_stream=True)) == ["response 1 200 end", "closed 1"]
