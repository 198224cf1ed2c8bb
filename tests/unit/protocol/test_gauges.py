"""The connection's gauges: sums that come back to zero."""

from __future__ import annotations

from dataclasses import replace

from h2o_otel.counters import Snapshot, histogram_index
from h2o_otel.limits import SERVER_LIMITS
from tests.support.engine import Peer, requesting, serving
from tests.support.wire import headers, ping, request_block, settings, window_update


def read(peer: Peer) -> Snapshot:
    snapshot = Snapshot()
    snapshot.add_block(peer.block)
    return snapshot


def test_concurrency_granted_by_a_server() -> None:
    server, peer = serving(replace(SERVER_LIMITS, streams_max=7))
    assert read(peer).value("stream_limit", "server", "receive") == 7
    server.update_settings([(3, 9)], 1.0)
    assert read(peer).value("stream_limit", "server", "receive") == 7
    peer.sends(settings_ack_of(server))
    assert read(peer).value("stream_limit", "server", "receive") == 9
    server.connection_lost(None, 1.0)
    assert read(peer).value("stream_limit") == 0


def settings_ack_of(server: object) -> bytes:
    return b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"


def test_concurrency_granted_to_a_client() -> None:
    client, peer = requesting()
    peer.sends(settings({3: 50}))
    assert read(peer).value("stream_limit", "client", "transmit") == 50
    peer.sends(settings({3: 20}))
    assert read(peer).value("stream_limit", "client", "transmit") == 20
    client.close(0, 1.0)
    assert read(peer).value("stream_limit") == 0


def test_windows_are_those_of_the_last_write() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True), window_update(0, 1000))
    server.send_response(server.streams[1], 200, [], False, 1.0)
    server.send_data(server.streams[1], b"x" * 500, True, 1.0)
    server.data_to_send()
    assert read(peer).value("flow_control_window", "server", "transmit") == 65_535 + 1000 - 500
    assert read(peer).value("flow_control_window", "server", "receive") == server.recv_window
    server.connection_lost(None, 1.0)
    assert read(peer).value("flow_control_window") == 0


def test_frames_of_a_write() -> None:
    server, peer = serving()
    before = read(peer).histograms[histogram_index("frame_flush_frames") + 1]
    peer.sends(ping(), ping(), ping())
    server.data_to_send()
    after = read(peer).histograms[histogram_index("frame_flush_frames") + 1]
    assert after.sum - before.sum == 3
    assert sum(after.counts) - sum(before.counts) == 1
    server.data_to_send()
    assert read(peer).histograms[histogram_index("frame_flush_frames") + 1] == after


def test_answers_that_wait_for_a_peer_that_does_not_read() -> None:
    server, peer = serving()
    server.pause_output()
    peer.sends(ping(), ping(), settings())
    assert read(peer).value("frame_control_queue_size", "server") == 3
    server.resume_output(1.0)
    assert read(peer).value("frame_control_queue_size") == 0
    server.pause_output()
    peer.sends(ping())
    server.connection_lost(None, 1.0)
    assert read(peer).value("frame_control_queue_size") == 0
