"""Auto-tuning of receive windows: the policy by itself, and through a connection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import DEFAULT_TUNING
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.windows import WindowTuner
from tests.support.engine import Peer, serving
from tests.support.wire import PING, WINDOW_UPDATE, data, frames, headers, ping, request_block, rst_stream, settings_ack

KB = 1024
PROBE = b"\x00h2o-bdp"


def tuner(**changes: Any) -> WindowTuner:
    return WindowTuner(replace(SERVER_LIMITS, **changes), True)


def round_trip(t: WindowTuner, octets: int, now: float, *, stream: int = -1, unread: int = 0, rtt_s: float = 0.1) -> bool:
    """A PING under way while ``octets`` arrive."""
    assert t.received(10**9, now)
    t.begin(1, 0, now)
    assert not t.received(octets, now)
    return t.end(stream, unread, now + rtt_s)


class TestPolicy:
    def test_grows_to_twice_what_a_round_trip_holds(self) -> None:
        t = tuner()
        assert round_trip(t, 900 * KB, 1.0, stream=200 * KB)
        assert (t.connection_bytes, t.stream_bytes) == (1800 * KB, 400 * KB)
        assert t.bandwidth_delay_bytes == 900 * KB
        assert 0.09 < t.rtt_s < 0.11

    def test_stays_where_the_path_holds_less_than_the_window(self) -> None:
        t = tuner()
        assert not round_trip(t, 600 * KB, 1.0, stream=160 * KB)
        assert (t.connection_bytes, t.stream_bytes) == (1024 * KB, 256 * KB)

    def test_grows_no_further_than_its_bound(self) -> None:
        t = tuner(window_bytes_max=2048 * KB)
        for n in range(10):
            round_trip(t, 10_000 * KB, 100.0 * n + 1, stream=10_000 * KB)
        assert (t.connection_bytes, t.stream_bytes) == (2048 * KB, 2048 * KB)

    def test_connection_is_never_smaller_than_a_stream(self) -> None:
        t = tuner()
        round_trip(t, 700 * KB, 1.0, stream=700 * KB)
        assert t.stream_bytes == t.connection_bytes == 1400 * KB

    def test_window_that_a_stream_outgrows_follows_it(self) -> None:
        t = tuner()
        assert round_trip(t, 600 * KB, 1.0, stream=600 * KB)
        assert t.stream_bytes == t.connection_bytes == 1200 * KB

    def test_two_thirds_of_a_window_are_enough(self) -> None:
        limits = {"connection_window_bytes": 1_200_000, "stream_window_bytes": 600_000}
        t = tuner(**limits)
        assert round_trip(t, 800_000, 1.0)
        assert (t.connection_bytes, t.stream_bytes) == (1_600_000, 600_000)
        t = tuner(**limits)
        assert not round_trip(t, 799_999, 1.0, stream=399_999)
        t = tuner(**limits)
        assert round_trip(t, 799_999, 1.0, stream=400_000)
        assert (t.connection_bytes, t.stream_bytes) == (1_200_000, 800_000)

    def test_half_of_the_window_unread_is_no_reason_to_grow(self) -> None:
        assert not round_trip(tuner(), 1024 * KB, 1.0, unread=512 * KB)
        assert round_trip(tuner(), 1024 * KB, 1.0, unread=512 * KB - 1)

    def test_three_idle_round_trips_in_a_row_shrink_it(self) -> None:
        """Idle is less than an eighth of the window."""
        t = tuner()
        round_trip(t, 4096 * KB, 1.0, stream=4096 * KB)
        assert t.connection_bytes == 8192 * KB
        idle, used = 1024 * KB - 1, 1024 * KB
        for n, octets in enumerate((idle, idle, used, idle, idle)):
            assert not round_trip(t, octets, 100.0 * n + 100)
        assert round_trip(t, idle, 1000.0)
        assert (t.connection_bytes, t.stream_bytes) == (4096 * KB, 4096 * KB)
        assert not round_trip(t, 0, 1100.0)
        assert not round_trip(t, 0, 1200.0)
        assert round_trip(t, 0, 1300.0)
        assert t.connection_bytes == 2048 * KB

    def test_probe_that_learns_nothing_makes_the_next_one_wait_twice_as_long(self) -> None:
        t, now = tuner(), 1.0
        for wait_s in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0):
            assert not round_trip(t, 300 * KB, now)
            now += 0.1 + wait_s
            assert not t.received(10**9, now - 0.01)
            now += 0.01

    def test_limit_tells_whether_anything_changed(self) -> None:
        t = tuner(stream_window_bytes=64 * KB)
        round_trip(t, 4096 * KB, 1.0)
        assert t.limit(2048 * KB)
        assert (t.connection_bytes, t.stream_bytes) == (2048 * KB, 64 * KB)
        assert not t.limit(2048 * KB)

    def test_application_that_does_not_read_is_no_reason(self) -> None:
        t = tuner()
        assert not round_trip(t, 1024 * KB, 1.0, stream=256 * KB, unread=600 * KB)

    def test_shrinks_when_round_trips_use_little_of_it(self) -> None:
        t = tuner()
        round_trip(t, 4000 * KB, 1.0, stream=4000 * KB)
        grown = t.connection_bytes
        for n in range(3):
            round_trip(t, 100 * KB, 100.0 * n + 100)
        assert t.connection_bytes == grown // 2
        for n in range(100):
            round_trip(t, 10 * KB, 100.0 * n + 1000)
        assert (t.connection_bytes, t.stream_bytes) == (1024 * KB, 256 * KB)

    def test_limit_shrinks_but_not_below_the_beginning(self) -> None:
        t = tuner()
        round_trip(t, 4000 * KB, 1.0, stream=4000 * KB)
        assert t.limit(2048 * KB)
        assert (t.connection_bytes, t.stream_bytes) == (2048 * KB, 2048 * KB)
        assert t.limit(0)
        assert (t.connection_bytes, t.stream_bytes) == (1024 * KB, 256 * KB)
        assert not t.limit(2**40)
        assert t.bytes_max == SERVER_LIMITS.window_bytes_max

    def test_pings_become_rare_where_there_is_nothing_to_learn(self) -> None:
        t = tuner()
        now, pings = 0.0, 0
        for _ in range(60_000):
            now += 0.001
            if t.probing:
                t.end(-1, 0, now)
            elif t.received(100_000, now):
                t.begin(1, 0, now)
                pings += 1
        # 0.1 s, 0.2 s, 0.4 s ... 10 s apart: ten in a minute of full speed.
        assert 5 < pings < 15

    def test_small_transfers_are_not_measured(self) -> None:
        t = tuner()
        assert not t.received(100_000, 1.0)

    def test_switched_off(self) -> None:
        t = WindowTuner(SERVER_LIMITS, False)
        assert not t.received(2**40, 1.0)


# -- through a connection


def uploading(**changes: Any) -> tuple[Connection, Peer]:
    server, peer = serving(replace(SERVER_LIMITS, **changes))
    peer.sends(headers(1, request_block(b"POST")))
    peer.forget()
    return server, peer


def upload(server: Connection, peer: Peer, octets: int, *, read: bool = True) -> None:
    """``octets`` arrive and are read; whatever the window allows."""
    while octets:
        n = min(octets, 16_384)
        assert n <= server.streams[1].recv_window
        peer.sends(data(1, bytes(n)))
        octets -= n
        if read:
            server.credit(server.streams[1], n, peer.now)


def updates(peer: Peer) -> list[tuple[int, int]]:
    """(stream, increment) of the WINDOW_UPDATEs that were sent."""
    found = frames(peer.connection.data_to_send())
    return [(f.stream_id, int.from_bytes(f.payload, "big")) for f in found if f.type == WINDOW_UPDATE]


def test_upload_over_a_long_path() -> None:
    """A round trip of 100 ms that holds all that the windows allow: they grow until they do not hold it back."""
    server, peer = uploading()
    for _ in range(40):
        peer.now += 0.1
        upload(server, peer, min(server.streams[1].recv_window, 3000 * KB))
        peer.sends(ping(PROBE, ack=True))
        server.data_to_send()
    assert not server.closed
    assert 3000 * KB <= server.stream_target <= 6000 * KB
    assert server.recv_target >= server.stream_target
    assert peer.read("flow_control_retunes", "server", "grow") > 2
    assert peer.read("flow_control_target", "server", "connection") == server.recv_target
    assert peer.read("flow_control_target", "server", "stream") == server.stream_target
    # The invariants of both windows.
    stream = server.streams[1]
    assert stream.recv_window + stream.recv_unread + stream.recv_uncredited == stream.recv_target == server.stream_target
    assert server.recv_window + stream.recv_unread + server.recv_uncredited == server.recv_target
    server.close(0, peer.now)
    assert peer.read("flow_control_target", "server", "connection") == 0
    assert peer.read("flow_control_target", "server", "stream") == 0


def grown() -> tuple[Connection, Peer]:
    """After one measured round trip of 1000 KiB."""
    server, peer = uploading()
    upload(server, peer, 131_072)
    assert [f.payload for f in peer.gets_frames() if f.type == PING] == [PROBE]
    upload(server, peer, 1000 * KB)
    server.data_to_send()
    peer.now += 0.05
    peer.sends(ping(PROBE, ack=True))
    # The stream that was measured and the connection get their larger windows at once.
    assert {stream_id for stream_id, _ in updates(peer)} == {0, 1}
    assert server.stream_target == server.recv_target == 2 * (1000 * KB)
    peer.forget()
    return server, peer


def test_budgets_follow_the_window() -> None:
    server, _ = grown()
    assert server.guards.small_max == 1000 * KB


def test_late_octets_follow_the_window() -> None:
    """What a peer may have had under way is twice the connection's window, which has grown to 2,048,000."""
    server, peer = grown()
    for stream_id in range(1, 23, 2):
        if stream_id > 1:
            peer.sends(headers(stream_id, request_block(b"POST")))
        server.reset_stream(server.streams[stream_id], 8, peer.now)
    peer.sends(*(data(3, bytes(16_384)) for _ in range(250)))
    assert peer.read("frame_glitches", "server", "closed_stream") == 0
    peer.sends(data(3, bytes(16_384)))
    assert peer.read("frame_glitches", "server", "closed_stream") == 1


def test_limit_of_the_memory_budget() -> None:
    """A lower limit is reached by holding credit back, and nothing is stuck."""
    server, peer = grown()
    server.limit_windows(1_200_000, peer.now)
    assert server.recv_target == server.stream_target == 1_200_000
    assert peer.read("flow_control_retunes", "server", "shrink") == 1
    for _ in range(20):
        upload(server, peer, min(server.streams[1].recv_window, 500_000))
    assert not server.closed
    stream = server.streams[1]
    assert stream.recv_window <= 1_200_000
    assert stream.recv_window + stream.recv_unread + stream.recv_uncredited == 1_200_000


def test_credit_goes_out_in_halves_of_the_new_window() -> None:
    server, peer = grown()
    # Half of 2,048,000.
    server.credit(server.streams[1], 0, peer.now)
    upload(server, peer, 1_000_000)
    assert updates(peer) == []
    upload(server, peer, 24_000)
    assert {stream_id for stream_id, _ in updates(peer)} == {0, 1}


def test_ping_of_the_application_beside_the_probe() -> None:
    server, peer = uploading()
    upload(server, peer, 200_000)
    assert server.tuner.probing
    server.send_ping(b"12345678", peer.now)
    peer.sends(ping(b"12345678", ack=True))
    assert "pong 12345678" in peer.happened()
    assert server.tuner.probing
    peer.sends(ping(PROBE, ack=True))
    assert not server.tuner.probing


def test_measured_stream_is_gone_before_the_answer() -> None:
    server, peer = uploading()
    upload(server, peer, 200_000)
    peer.sends(rst_stream(1, 8))
    peer.sends(ping(PROBE, ack=True))
    assert not server.closed
    assert not server.tuner.probing


def test_acknowledged_settings_set_the_beginning() -> None:
    server, peer = grown()
    server.update_settings([(4, 300_000)], peer.now)
    peer.sends(settings_ack())
    assert server.stream_target == 300_000
    assert server.tuner.stream_bytes == server.tuner.stream_bytes_min == 300_000
    for _ in range(50):
        upload(server, peer, min(server.streams[1].recv_window, 100_000))
    stream = server.streams[1]
    assert stream.recv_window + stream.recv_unread + stream.recv_uncredited == stream.recv_target == 300_000


def test_probe_that_is_never_answered_ends_nothing() -> None:
    server, peer = uploading(idle_timeout_s=None)
    upload(server, peer, 200_000)
    peer.now += 60.0
    upload(server, peer, 16_384)
    server.tick(peer.now)
    assert not server.closed
    assert server.tuner.probes == 1


def test_switched_off() -> None:
    server, peer = serving(tuning=replace(DEFAULT_TUNING, protocol_window_tuning=False))
    peer.sends(headers(1, request_block(b"POST")))
    peer.forget()
    upload(server, peer, 1000 * KB)
    assert not [f for f in peer.gets_frames() if f.type == PING]


def test_credit_without_batching_is_returned_at_once() -> None:
    server, peer = serving(tuning=replace(DEFAULT_TUNING, stream_window_batching=False))
    peer.sends(headers(1, request_block(b"POST")), data(1, b"x" * 100))
    peer.forget()
    server.credit(server.streams[1], 60, peer.now)
    server.credit(server.streams[1], 40, peer.now)
    assert updates(peer) == [(0, 60), (1, 60), (0, 40), (1, 40)]
