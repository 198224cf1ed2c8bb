"""RFC 9113 section 6.5: SETTINGS, each value in force in order, acknowledged at once."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from tests.support.engine import GET, requesting, serving
from tests.support.judged import (
    BOTH,
    WITH_STREAM,
    accepted,
    alive,
    asked_server,
    client,
    connection_error,
    open_client,
    open_server,
    requirement,
    server,
    waiting_client,
)
from tests.support.wire import (
    ACK,
    DATA,
    PREFACE,
    SETTINGS,
    data,
    frame,
    frames,
    headers,
    push_promise,
    request_block,
    settings,
    settings_ack,
)


@requirement("9113-6.5-1")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
def test_settings_at_any_time(make: Any) -> None:
    peer = make()
    for _ in range(3):
        peer.sends(settings({4: 70_000}))
        peer.gets(settings_ack())
    peer.connection.update_settings([(4, 100_000)], peer.now)
    peer.gets(settings({4: 100_000}))
    peer.sends(settings_ack())
    alive(peer)


@requirement("9113-6.5-2")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("size", [1, 6])
def test_acknowledgement_with_a_payload(make: Any, size: int) -> None:
    connection_error(make(), "settings_ack_payload", frame(SETTINGS, ACK, 0, bytes(size)))


@requirement("9113-6.5-3")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
@pytest.mark.parametrize("octets", [frame(SETTINGS, 0, 1), frame(SETTINGS, ACK, 1), frame(SETTINGS, 0, 2, bytes(6))])
def test_settings_on_a_stream(make: Any, octets: bytes) -> None:
    connection_error(make(), "frame_not_on_stream_zero", octets)


@requirement("9113-6.5-4")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("size", [1, 3, 5, 7, 13])
def test_settings_of_an_odd_length(make: Any, size: int) -> None:
    connection_error(make(), "settings_length", frame(SETTINGS, 0, 0, bytes(size)))


@requirement("9113-6.5-5")
def test_settings_keep_their_values() -> None:
    peer = server()
    peer.sends(settings({4: 1000, 5: 20_000}), settings({3: 7}), settings())
    remote = peer.connection.remote_settings
    assert (remote[3], remote[4], remote[5]) == (7, 1000, 20_000)


@requirement("9113-6.5.2-1")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("value", [2, 3, 2**32 - 1])
def test_enable_push_above_1(make: Any, value: int) -> None:
    connection_error(make(), "settings_enable_push", settings({2: value}))


@requirement("9113-6.5.2-1")
def test_enable_push_of_a_client() -> None:
    for value in (0, 1):
        peer = server()
        peer.sends(settings({2: value}))
        peer.gets(settings_ack())
        assert peer.connection.remote_settings[2] == value


@requirement("9113-6.5.2-2")
def test_no_promise_once_push_is_disabled() -> None:
    peer = asked_server()
    peer.sends(settings({2: 0}))
    peer.forget()
    with pytest.raises(LocalProtocolError, match="disabled push"):
        peer.connection.send_push_promise(peer.connection.streams[1], GET, peer.now)
    peer.gets()


@requirement("9113-6.5.2-3")
def test_promise_to_a_client_that_disabled_push() -> None:
    payload = frames(requesting(handshake=False)[0].data_to_send())[0].payload
    assert bytes.fromhex("000200000000") in [payload[i : i + 6] for i in range(0, len(payload), 6)]
    connection_error(waiting_client(), "push_promise_unexpected", push_promise(1, 2, request_block()))
    connection_error(client(), "push_promise_unexpected", push_promise(1, 2, request_block()))


@requirement("9113-6.5.2-4")
def test_server_does_not_speak_of_push() -> None:
    connection, peer = serving(handshake=False)
    payload = frames(connection.data_to_send())[0].payload
    with pytest.raises(LocalProtocolError, match=r"RFC 9113 §6\.5\.2"):
        connection.update_settings([(2, 1)], peer.now)
    peer.gets()
    assert 2 not in {int.from_bytes(payload[i : i + 2], "big") for i in range(0, len(payload), 6)}


@requirement("9113-6.5.2-5")
def test_enable_push_of_a_server() -> None:
    connection_error(client(), "settings_enable_push", settings({2: 1}))
    peer = client()
    peer.sends(settings({2: 0}))
    peer.gets(settings_ack())


@requirement("9113-6.5.2-7")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
@pytest.mark.parametrize("value", [2**31, 2**32 - 1])
def test_initial_window_beyond_the_largest(make: Any, value: int) -> None:
    connection_error(make(), "settings_initial_window", settings({4: value}))


@requirement("9113-6.5.2-7")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("value", [0, 1, 2**31 - 1])
def test_initial_window_within(make: Any, value: int) -> None:
    peer = make()
    peer.sends(settings({4: value}))
    peer.gets(settings_ack())
    assert peer.connection.remote_initial_window == value


@requirement("9113-6.5.2-8")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("value", [0, 16_383, 2**24, 2**32 - 1])
def test_max_frame_size_outside_its_range(make: Any, value: int) -> None:
    connection_error(make(), "settings_max_frame_size", settings({5: value}))


@requirement("9113-6.5.2-8")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("value", [16_384, 2**24 - 1])
def test_max_frame_size_at_its_edges(make: Any, value: int) -> None:
    peer = make()
    assert peer.connection.remote_settings[5] == 16_384
    peer.sends(settings({5: value}))
    peer.gets(settings_ack())
    assert peer.connection.remote_settings[5] == value


@requirement("9113-6.5.2-9")
@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("code", [0, 0x7, 0xA, 0x10, 0xFFFF])
def test_unknown_settings(make: Any, code: int) -> None:
    peer = make()
    peer.sends(settings({code: 2**32 - 1, 4: 1000}))
    peer.gets(settings_ack())
    assert code not in peer.connection.remote_settings
    assert peer.connection.remote_initial_window == 1000


@requirement("9113-6.5.2-10")
@pytest.mark.parametrize("size", [0, 1, 100, 4096, 2**32 - 1])
def test_header_table_size_of_the_peer(size: int) -> None:
    connection, peer = requesting()
    peer.sends(settings({1: size}))
    for i in range(20):
        connection.send_request([*GET, (b"x-name-%d" % i, b"value" * 10)], True, peer.now)
    assert connection.encoder.table.size <= min(size, 4096)
    _, other = serving(connect=False)
    if size <= 4096:
        other.connection.decoder.set_allowed_table_size(size)
    other.sends(b"".join(frame(f.type, f.flags, f.stream_id, f.payload) for f in peer.gets_frames() if f.type != SETTINGS))
    assert other.happened() == [f"request {i} end" for i in range(1, 40, 2)]


# -- 6.5.3


@requirement("9113-6.5.3-1")
@pytest.mark.parametrize("make", [open_client, asked_server])
def test_order_of_values(make: Any) -> None:
    peer = make()
    connection, stream = peer.connection, peer.connection.streams[1]
    if make is asked_server:
        connection.send_response(stream, 200, [], False, peer.now)
        peer.forget()
    two = frame(SETTINGS, 0, 0, bytes.fromhex("000400000064000400000001"))
    peer.sends(two)
    connection.send_data(stream, b"abcdef", True, peer.now)
    peer.gets(settings_ack(), data(1, b"a"))


@requirement("9113-6.5.3-1")
def test_values_before_a_bad_one_and_none_behind_it() -> None:
    peer = server()
    connection_error(
        peer, "settings_max_frame_size", frame(SETTINGS, 0, 0, bytes.fromhex("000400000064" + "000500000000" + "000400000001"))
    )
    assert peer.connection.remote_initial_window == 100


@requirement("9113-6.5.3-3")
@pytest.mark.parametrize("make", [*BOTH, *WITH_STREAM])
def test_acknowledged_at_once(make: Any) -> None:
    """Before anything that answers what came behind them."""
    peer = make()
    peer.sends(settings({4: 10}), frame(0x6, 0, 0, bytes(8)), settings({4: 20}))
    assert [(f.type, f.flags) for f in peer.gets_frames()] == [(SETTINGS, ACK), (0x6, ACK), (SETTINGS, ACK)]


@requirement("9113-6.5.3-4")
def test_ours_count_from_their_acknowledgement() -> None:
    peer = open_server()
    connection = peer.connection
    connection.update_settings([(4, 10)], peer.now)
    connection.update_settings([(3, 1)], peer.now)
    peer.forget()
    assert accepted(peer, data(1, b"x" * 100)) == ["data 1 100"]
    peer.sends(settings_ack())
    assert (connection.local_settings[4], connection.local_streams_max) == (10, 250)
    assert accepted(peer, headers(3, request_block())) == ["request 3"]
    peer.sends(settings_ack())
    assert connection.local_streams_max == 1


@requirement("9113-6.5.3-4")
@pytest.mark.parametrize("make", BOTH)
def test_acknowledgement_of_nothing(make: Any) -> None:
    connection_error(make(), "settings_ack_unexpected", settings_ack())


@requirement("9113-6.5.3-5")
@pytest.mark.parametrize(("role", "preface"), [(serving, PREFACE), (requesting, b"")])
def test_acknowledgement_that_does_not_come(role: Any, preface: bytes) -> None:
    connection, peer = role(handshake=False)
    peer.sends(preface, settings())
    connection.tick(peer.now + 9.9)
    assert not connection.closed
    connection.tick(peer.now + 10.0)
    assert [e.rule for e in peer.errors()] == ["settings_timeout"]
    assert peer.gets_frames()[-1].payload[4:8] == b"\0\0\0\x04"


def test_windows_of_open_streams_follow_our_setting() -> None:
    peer = open_server()
    peer.connection.update_settings([(4, 65_535)], peer.now)
    peer.forget()
    before = peer.connection.streams[1].recv_window
    peer.sends(settings_ack())
    assert peer.connection.streams[1].recv_window == before + 65_535 - 262_144
    assert DATA not in [f.type for f in peer.gets_frames()]
    assert open_client().connection.local_initial_window == 1_048_576
