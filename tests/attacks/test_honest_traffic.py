"""Traffic that looks like an attack and is none, beside what the files of the rows say: load generators and browsers."""

from __future__ import annotations

from tests.support.engine import GET, requesting, serving
from tests.support.wire import data, headers, request_block, response_block, rst_stream, settings, settings_ack, window_update


def test_ten_connections_of_a_load_generator() -> None:
    """h2load -m 100 -c 10: every stream slot busy all the time, credit given for each response."""
    for _ in range(10):
        server, peer = serving()
        for round in range(10):
            first = round * 200
            peer.sends(*(headers(first + 2 * n + 1, request_block(), end_stream=True) for n in range(100)))
            for stream in list(server.streams.values()):
                server.send_response(stream, 200, [], False, peer.now)
                server.send_data(stream, b"x" * 600, True, peer.now)
            server.data_to_send()
            peer.sends(window_update(0, 60_000))
        assert not server.closed
        assert peer.read("streams", "server", "completed") == 1000


def test_browser_that_navigates_away_from_100_images() -> None:
    server, peer = serving()
    peer.sends(*(headers(2 * n + 1, request_block(), end_stream=True) for n in range(100)))
    for stream in list(server.streams.values()):
        server.send_response(stream, 200, [], False, peer.now)
        server.send_data(stream, b"x" * 100_000, True, peer.now)
    peer.sends(*(rst_stream(2 * n + 1, 8) + window_update(2 * n + 1, 1000) for n in range(100)))
    peer.sends(headers(201, request_block(), end_stream=True))
    server.send_response(server.streams[201], 204, [], True, peer.now)
    assert not server.closed
    assert server.queued == 0


def test_server_that_sends_many_small_responses() -> None:
    """A client that reads what it asked for is never suspicious of 1,000 answers of a few octets."""
    client, peer = requesting()
    for n in range(1000):
        stream = client.send_request(GET, True, peer.now)
        peer.sends(headers(2 * n + 1, response_block()), data(2 * n + 1, b"ok", end_stream=True))
        client.credit(stream, 2, peer.now)
        client.data_to_send()
    assert not client.closed
    assert client.guards.small_unread == 0


def test_peer_that_retunes_its_windows_as_it_learns() -> None:
    server, peer = serving()
    for n in range(60):
        peer.now += 1.0
        peer.sends(settings({4: 65_535 * (1 + n % 4)}))
        server.update_settings([(4, 65_535 * (1 + n % 4))], peer.now)
        peer.sends(settings_ack())
    assert not server.closed
