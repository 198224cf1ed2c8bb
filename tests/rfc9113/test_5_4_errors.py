"""RFC 9113 sections 5.3 to 5.5: old priorities, what an error ends, and what is left to extensions."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from h2o_otel.errors import StreamReset
from h2o_otel.protocol.events import StreamEnded
from tests.support.engine import GET
from tests.support.judged import (
    BOTH,
    RECEIVING,
    abandoned_client,
    abandoned_server,
    accepted,
    alive,
    client,
    connection_error,
    open_client,
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
    GOAWAY,
    HEADERS,
    PRIORITY_FLAG,
    RST_STREAM,
    continuation,
    data,
    frame,
    headers,
    ping,
    priority,
    request_block,
    response_block,
    rst_stream,
    settings,
    window_update,
)

# -- 5.3


@requirement("9113-5.3.2-1")
def test_priority_of_a_request_is_read_over() -> None:
    peer = server()
    assert accepted(peer, frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\x80\0\0\x07\xff" + request_block())) == ["request 1"]
    assert peer.connection.streams[1].urgency == 3


@requirement("9113-5.3.2-1")
def test_priority_of_a_response_is_read_over() -> None:
    octets = frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\0\x0f" + response_block())
    assert accepted(waiting_client(), octets) == ["response 1 200"]


@requirement("9113-5.3.2-1")
def test_stream_that_depends_on_itself() -> None:
    stream_error(open_server(), "priority_self_dependency", priority(1, 1))
    stream_error(server(), "priority_self_dependency", priority(1, 1))
    octets = frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\x01\x0f" + request_block())
    stream_error(server(), "priority_self_dependency", octets)


# -- 5.4.1


@requirement("9113-5.4.1-1", "9113-6.8-9")
@pytest.mark.parametrize("make", [server, client, open_server, waiting_client])
def test_connection_error_names_the_last_stream(make: Any) -> None:
    """0 when nothing was processed; a request that is under way when something was."""
    peer = make()
    connection_error(peer, "frame_not_on_stream_zero", frame(0x6, 0, 1, bytes(8)))
    assert peer.connection.last_remote_stream_id == (1 if make is open_server else 0)


@requirement("9113-5.4.1-1")
@pytest.mark.parametrize("make", [open_server, open_client])
def test_connection_error_ends_every_stream_once(make: Any) -> None:
    peer = make()
    if make is open_client:
        peer.connection.send_request(GET, True, peer.now)
    else:
        peer.sends(headers(3, request_block()))
    peer.forget()
    peer.sends(ping(ack=True), frame(0x6, 0, 1, bytes(8)), data(1, b"never read"))
    rule = "frame_not_on_stream_zero PROTOCOL_ERROR by local"
    peer.sees(f"reset 1 {rule}", "closed 1", f"reset 3 {rule}", "closed 3", f"terminated {rule}")
    assert [f.type for f in peer.gets_frames()] == [GOAWAY]


@requirement("9113-5.4.1-2")
def test_debug_data_says_why() -> None:
    peer = server()
    peer.sends(frame(0x6, 0, 1, bytes(8)))
    payload = peer.gets_frames()[-1].payload
    assert payload[8:] == b"PING on stream 1, which belongs on stream 0 (PROTOCOL_ERROR, RFC 9113 section 6)"


# -- 5.4.2


@requirement("9113-5.4.2-1")
@pytest.mark.parametrize("make", RECEIVING)
def test_stream_error_is_one_reset_that_names_its_stream(make: Any) -> None:
    error = stream_error(make(), "window_update_zero", window_update(1, 0))
    assert isinstance(error, StreamReset)


@requirement("9113-5.4.2-1")
def test_stream_error_leaves_the_others_alone() -> None:
    peer = open_server()
    peer.sends(headers(3, request_block(b"POST")), headers(5, request_block(b"POST")))
    peer.forget()
    stream_error(peer, "window_update_zero", window_update(3, 0), stream_id=3)
    peer.sends(data(1, b"a", end_stream=True), data(5, b"b", end_stream=True))
    peer.sees("data 1 a end", "data 5 b end")


@requirement("9113-5.4.2-2")
def test_what_was_under_way_to_a_faulty_stream_is_ignored() -> None:
    peer = open_server()
    peer.sends(window_update(1, 0), data(1, b"x"), window_update(1, 0), headers(1, b"", end_stream=True), rst_stream(1, 8))
    assert [f.type for f in peer.gets_frames()] == [RST_STREAM]
    alive(peer)


@requirement("9113-5.4.2-3")
@pytest.mark.parametrize("make", [open_server, waiting_client, reset_server, reset_client, abandoned_server, abandoned_client])
def test_no_reset_for_a_reset(make: Any) -> None:
    peer = make()
    peer.sends(rst_stream(1, 8), rst_stream(1, 1))
    peer.gets()
    alive(peer)


@requirement("9113-5.4.2-4")
@pytest.mark.parametrize("make", [reset_server, reset_client])
def test_one_reset_for_a_stream(make: Any) -> None:
    peer = make()
    accepted(peer, data(1, b"x"), headers(1, b"\x88" if make is reset_client else b"", end_stream=True), window_update(1, 0), data(1))


# -- 5.4.3


@requirement("9113-5.4.3-1")
@pytest.mark.parametrize("make", [open_server, waiting_client])
def test_connection_that_is_cut_ends_its_streams(make: Any) -> None:
    """The peer may have acted on them: none is marked as one that may be sent again."""
    peer = make()
    peer.connection.connection_lost(ConnectionResetError(), peer.now)
    ended = [e for e in peer.connection.take_events() if isinstance(e, StreamEnded)]
    assert [(e.stream.id, e.error.rule, e.stream.refused) for e in ended] == [(1, "connection_lost", False)]


# -- 5.5


@requirement("9113-5.5-1", "9113-6.5.3-2")
@pytest.mark.parametrize("make", BOTH)
def test_unknown_values_are_ignored(make: Any) -> None:
    peer = make()
    before = dict(peer.connection.remote_settings)
    peer.sends(settings({0: 1, 7: 2, 0xA: 3, 0xFFFF: 2**32 - 1}), frame(0xBE, 0xEF, 0, b"x"), frame(0xBE, 0xEF, 1, b"x"))
    assert len(peer.gets_frames()) == 1
    assert dict(peer.connection.remote_settings) == before
    alive(peer)


@requirement("9113-5.5-2")
def test_extension_inside_a_field_block() -> None:
    for extension in (frame(0xBE, 0, 0, b"x"), frame(0xBE, 0, 1, b"x")):
        connection_error(server(), "continuation_expected", headers(1, request_block(), end_headers=False), extension, continuation(1, b""))
        connection_error(waiting_client(), "continuation_expected", headers(1, b"\x88", end_headers=False), extension)


@requirement("9113-7-1")
@pytest.mark.parametrize("make", [open_server, waiting_client])
@pytest.mark.parametrize("code", [0xE, 0xFF, 0xDEAD, 2**32 - 1])
def test_unknown_error_codes_are_nothing_special(make: Any, code: int) -> None:
    peer = make()
    peer.sends(rst_stream(1, code))
    (error,) = peer.errors()
    assert (error.code, error.rule, error.initiator) == (code, "rst_stream_received", "remote")
    alive(peer)
    peer = make()
    peer.sends(frame(GOAWAY, 0, 0, struct.pack(">LL", 1, code)))
    assert peer.connection.streams.keys() == {1}
    alive(peer)
