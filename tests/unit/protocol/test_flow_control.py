"""Windows both ways (RFC 9113 section 6.9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from h2o_otel.errors import LocalProtocolError
from h2o_otel.limits import SERVER_LIMITS, EngineLimits
from h2o_otel.protocol.connection import Connection
from tests.support.engine import POST, Peer, requesting, serving
from tests.support.wire import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    data,
    headers,
    request_block,
    response_block,
    rst_stream,
    settings,
    settings_ack,
    window_update,
)

SMALL = replace(SERVER_LIMITS, stream_window_bytes=1000, connection_window_bytes=65_535)


def receiving(limits: EngineLimits = SMALL) -> tuple[Connection, Peer]:
    server, peer = serving(limits)
    peer.sends(headers(1, request_block(b"POST")))
    peer.forget()
    return server, peer


def sending(**windows: int) -> tuple[Connection, Peer]:
    """A client with an open request whose body waits; ``stream`` and ``connection`` are the windows."""
    client, peer = requesting()
    peer.sends(settings({4: windows.get("stream", 65_535)}))
    if windows.get("connection"):
        peer.sends(window_update(0, windows["connection"] - 65_535))
    client.send_request(POST, False, peer.now)
    peer.forget()
    return client, peer


# -- receiving


def test_credit_in_batches_of_half() -> None:
    server, peer = receiving()
    peer.sends(data(1, bytes(900)))
    server.credit(server.streams[1], 499, peer.now)
    peer.gets()
    server.credit(server.streams[1], 1, peer.now)
    peer.gets(window_update(1, 500))
    assert server.streams[1].recv_window == 600
    assert server.streams[1].recv_unread == 400


def test_connection_credit() -> None:
    server, peer = receiving(replace(SERVER_LIMITS, connection_window_bytes=100_000))
    peer.sends(data(1, bytes(16_384)) * 4)
    server.credit(server.streams[1], 49_999, peer.now)
    peer.gets()
    server.credit(server.streams[1], 1, peer.now)
    peer.gets(window_update(0, 50_000))
    assert server.recv_window == 100_000 - 65_536 + 50_000


def test_more_credit_than_unread_is_cut() -> None:
    server, peer = receiving()
    peer.sends(data(1, bytes(600)))
    server.credit(server.streams[1], 10**9, peer.now)
    peer.gets(window_update(1, 600))
    server.credit(server.streams[1], 5, peer.now)
    server.credit(server.streams[1], -5, peer.now)
    peer.gets()


def test_padding_is_credited_at_once() -> None:
    server, peer = receiving()
    peer.sends(data(1, b"x" * 10, padding=200))
    assert server.streams[1].recv_unread == 10
    peer.sends(data(1, b"x" * 10, padding=255), data(1, b"", padding=255))
    peer.gets(window_update(1, 713))


def test_padding_alone_never_closes_the_window() -> None:
    _, peer = receiving(replace(SMALL, empty_data_max=1000, empty_data_in_a_row_max=1000))
    for _ in range(100):
        peer.sends(data(1, b"", padding=255))
    assert not peer.connection.closed
    assert peer.connection.streams[1].recv_window >= 500


def test_no_stream_credit_once_the_peer_ended() -> None:
    server, peer = receiving()
    peer.sends(data(1, bytes(1000), end_stream=True))
    server.credit(server.streams[1], 1000, peer.now)
    peer.gets()
    assert server.recv_uncredited == 1000


def test_abandoned_body_returns_to_the_connection() -> None:
    server, peer = receiving(replace(SERVER_LIMITS, connection_window_bytes=65_535))
    peer.sends(data(1, bytes(16_384)) * 3)
    server.reset_stream(server.streams[1], 8, peer.now)
    peer.gets(rst_stream(1, 8), window_update(0, 49_152))
    assert server.recv_window == 65_535


def test_body_of_a_finished_stream_is_still_credited() -> None:
    server, peer = receiving(replace(SERVER_LIMITS, connection_window_bytes=65_535))
    stream = server.streams[1]
    peer.sends(data(1, bytes(16_384)) * 2, data(1, b"", end_stream=True))
    server.send_response(stream, 204, [], True, peer.now)
    assert server.streams == {}
    assert stream.recv_unread == 32_768
    peer.forget()
    server.reset_stream(stream, 8, peer.now)
    peer.gets(window_update(0, 32_768))


def test_data_after_our_reset_returns_to_the_connection() -> None:
    server, peer = receiving(replace(SERVER_LIMITS, connection_window_bytes=65_535))
    server.reset_stream(server.streams[1], 8, peer.now)
    peer.forget()
    peer.sends(data(1, bytes(16_384)) * 2)
    peer.gets(window_update(0, 32_768))


def test_credit_kept_back_goes_out_when_the_window_becomes_smaller() -> None:
    """Half of the old size was not there yet, and below the new size nothing more can arrive that would complete it."""
    server, peer = receiving()
    peer.sends(data(1, bytes(400)))
    server.credit(server.streams[1], 400, peer.now)
    server.update_settings([(4, 100)], peer.now)
    peer.forget()
    peer.sends(settings_ack())
    peer.gets(window_update(1, 400))
    assert server.streams[1].recv_window == 100


def test_exactly_the_window_is_allowed() -> None:
    _, peer = receiving()
    peer.sends(data(1, bytes(1000)))
    peer.sees("data 1 1000")


# -- sending


def test_stream_window_holds_back() -> None:
    client, peer = sending(stream=5)
    assert client.send_data(client.streams[1], b"0123456789", True, peer.now) == 5
    peer.gets(data(1, b"01234"))
    peer.sends(window_update(1, 3))
    client.pump(peer.now)
    peer.gets(data(1, b"567"))
    peer.sends(window_update(1, 3))
    client.pump(peer.now)
    peer.gets(data(1, b"89", end_stream=True))


def test_connection_window_holds_back() -> None:
    client, peer = sending(stream=10**6)
    client.send_data(client.streams[1], bytes(65_536), True, peer.now)
    assert sum(len(f.payload) for f in peer.gets_frames()) == 65_535
    client.pump(peer.now)
    peer.gets()
    peer.sends(window_update(0, 1))
    client.pump(peer.now)
    peer.gets(data(1, b"\0", end_stream=True))


def test_negative_window_of_a_stream() -> None:
    """The RFC's own sum: 64 KiB sent into the default window, then INITIAL_WINDOW_SIZE 16384 leaves -49151."""
    client, peer = sending()
    client.send_data(client.streams[1], bytes(65_535), False, peer.now)
    peer.sends(settings({4: 16_384}))
    assert client.streams[1].send_window == -49_151
    client.send_data(client.streams[1], b"more", False, peer.now)
    peer.forget()
    peer.sends(window_update(0, 65_535), window_update(1, 49_151))
    client.pump(peer.now)
    peer.gets()
    peer.sends(window_update(1, 1))
    client.pump(peer.now)
    peer.gets(data(1, b"m"))


def test_larger_initial_window_lets_go() -> None:
    client, peer = sending(stream=0)
    client.send_data(client.streams[1], b"hello", True, peer.now)
    peer.gets()
    peer.sends(settings({4: 5}))
    peer.forget()
    client.pump(peer.now)
    peer.gets(data(1, b"hello", end_stream=True))


def test_empty_end_needs_no_window() -> None:
    client, peer = sending(stream=0)
    assert client.send_data(client.streams[1], b"", True, peer.now) == 0
    peer.gets(data(1, b"", end_stream=True))


def test_empty_end_behind_the_last_octet_needs_no_window() -> None:
    """Stream 1 uses the connection's window up, and its end must not wait for more while stream 3 does."""
    client, peer = sending(stream=10**6)
    client.pause_output()
    other = client.send_request(POST, False, peer.now)
    client.send_data(client.streams[1], bytes(49_151), False, peer.now)
    client.send_data(client.streams[1], bytes(16_384), False, peer.now)
    client.send_data(client.streams[1], b"", True, peer.now)
    client.send_data(other, b"waits", True, peer.now)
    peer.forget()
    client.resume_output(peer.now)
    sent = [f for f in peer.gets_frames() if f.type == DATA]
    assert {f.stream_id for f in sent} == {1}
    assert (sum(len(f.payload) for f in sent), sent[-1].flags) == (65_535, 1)


def test_empty_end_while_output_is_paused() -> None:
    client, peer = sending()
    client.pause_output()
    client.send_data(client.streams[1], b"", True, peer.now)
    peer.gets(data(1, b"", end_stream=True))


def test_paused_output_queues() -> None:
    client, peer = sending()
    client.pause_output()
    assert client.send_data(client.streams[1], b"later", True, peer.now) == 5
    client.pump(peer.now)
    peer.gets()
    client.resume_output(peer.now)
    peer.gets(data(1, b"later", end_stream=True))


def test_high_water_mark_of_the_output() -> None:
    server, peer = serving(replace(SERVER_LIMITS, output_high_water_bytes=30_000))
    peer.sends(settings({4: 10**6}), window_update(0, 10**6), headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    peer.forget()
    assert server.send_data(server.streams[1], bytes(100_000), True, peer.now) == 70_000
    assert 30_000 <= server.out_size() < 30_100
    rounds = 0
    while server.streams:
        peer.gets_frames()
        server.pump(peer.now)
        rounds += 1
    assert rounds == 3


def test_writable_below_the_low_water_mark() -> None:
    client, peer = sending(stream=0)
    limit = client.limits.send_buffer_stream_bytes
    client.send_data(client.streams[1], bytes(limit), False, peer.now)
    client.send_data(client.streams[1], b"x", False, peer.now)
    peer.sends(window_update(1, limit // 2))
    client.pump(peer.now)
    peer.sees()
    peer.sends(window_update(1, 1))
    client.pump(peer.now)
    peer.sees("writable 1")
    peer.sends(window_update(1, 1))
    client.pump(peer.now)
    peer.sees()


def test_trailers_wait_behind_the_body() -> None:
    client, peer = sending(stream=3)
    client.send_data(client.streams[1], b"abcdef", False, peer.now)
    client.send_trailers(client.streams[1], [(b"a", b"b")], peer.now)
    peer.gets(data(1, b"abc"))
    peer.sends(window_update(1, 3))
    client.pump(peer.now)
    found = peer.gets_frames()
    assert [(f.type, f.flags) for f in found] == [(0, 0), (1, 5)]
    assert found[0].payload == b"def"


def test_stall_is_measured() -> None:
    client, peer = sending(stream=0)
    client.send_data(client.streams[1], b"x", True, peer.now)
    stream = client.streams[1]
    peer.now += 2.5
    peer.sends(window_update(1, 1))
    assert stream.stalled_s == pytest.approx(2.5)


def test_largest_window() -> None:
    client, peer = sending()
    peer.sends(window_update(1, 2**31 - 1 - 65_535), window_update(0, 2**31 - 1 - 65_535))
    assert client.streams[1].send_window == client.send_window == 2**31 - 1
    assert not client.closed


def test_overflow_resets_the_stream_alone() -> None:
    client, peer = sending()
    peer.sends(window_update(1, 2**31 - 65_535))
    peer.gets(rst_stream(1, 3))
    assert not client.closed


def test_reserved_bit_of_the_increment_is_ignored() -> None:
    client, peer = sending()
    peer.sends(window_update(0, 0x8000_0001))
    assert client.send_window == 65_536


def test_response_body_interleaves_with_the_request_body() -> None:
    client, peer = sending(stream=2)
    client.send_data(client.streams[1], b"abcd", True, peer.now)
    peer.sends(headers(1, response_block(200)), data(1, b"early"), window_update(1, 2))
    client.pump(peer.now)
    peer.gets(data(1, b"ab"), data(1, b"cd", end_stream=True))
    peer.sees("response 1 200", "data 1 early")


@pytest.mark.parametrize(("size", "told"), [(65_536, []), (65_537, ["writable 1"])])
def test_producer_is_told_only_if_it_had_to_wait(size: int, told: list[str]) -> None:
    """Above ``EngineLimits.send_buffer_stream_bytes`` it waits, and goes on below half of that."""
    client, peer = sending(stream=0)
    client.send_data(client.streams[1], bytes(size), False, peer.now)
    peer.sends(window_update(1, size - 32_769))
    client.pump(peer.now)
    peer.sees()
    peer.sends(window_update(1, 1))
    client.pump(peer.now)
    peer.sees(*told)
    peer.sends(window_update(1, 32_768))
    client.pump(peer.now)
    peer.sees()


def test_nothing_follows_trailers_that_wait() -> None:
    client, peer = sending(stream=0)
    stream = client.streams[1]
    client.send_data(stream, b"body", False, peer.now)
    client.send_trailers(stream, [(b"a", b"b")], peer.now)
    with pytest.raises(LocalProtocolError, match="trailers cannot be sent"):
        client.send_trailers(stream, [(b"c", b"d")], peer.now)
    with pytest.raises(LocalProtocolError, match="DATA cannot be sent"):
        client.send_data(stream, b"more", True, peer.now)
    peer.sends(window_update(1, 100))
    client.pump(peer.now)
    sent = peer.gets_frames()
    assert [(f.type, f.flags) for f in sent] == [(DATA, 0), (HEADERS, END_STREAM | END_HEADERS)]


def test_nothing_follows_an_end_that_waits() -> None:
    client, peer = sending(stream=0)
    stream = client.streams[1]
    client.send_data(stream, b"body", True, peer.now)
    for more in (lambda: client.send_data(stream, b"", True, peer.now), lambda: client.send_trailers(stream, [(b"a", b"b")], peer.now)):
        with pytest.raises(LocalProtocolError):
            more()
