"""Frames that a connection writes, octet for octet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from h2o_otel.counters import Snapshot
from h2o_otel.frames.writer import BY_REFERENCE_BYTES
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.connection import Connection
from tests.support.engine import GET, Peer, requesting, serving
from tests.support.wire import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    data,
    frames,
    goaway,
    headers,
    ping,
    priority_update,
    request_block,
    rst_stream,
    settings,
    settings_ack,
    window_update,
)


def answering() -> tuple[Connection, Peer]:
    """A server with a request on stream 1 whose response has begun."""
    server, peer = serving(replace(SERVER_LIMITS, output_high_water_bytes=10**9))
    peer.sends(settings({4: 2**24}), window_update(0, 2**24), headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    peer.forget()
    return server, peer


def test_preface_of_a_client() -> None:
    limits = replace(CLIENT_LIMITS, stream_window_bytes=70_000, connection_window_bytes=100_000)
    _, peer = requesting(limits, handshake=False)
    peer.gets(PREFACE, settings({1: 4096, 4: 70_000, 5: 16_384, 6: 65_536, 2: 0, 9: 1}), window_update(0, 34_465))


def test_preface_of_a_server() -> None:
    limits = replace(SERVER_LIMITS, stream_window_bytes=1000, connection_window_bytes=65_535)
    _, peer = serving(limits, handshake=False)
    peer.gets(settings({1: 4096, 4: 1000, 5: 16_384, 6: 65_536, 3: 250, 8: 1, 9: 1}))


def test_settings_and_ping_are_answered() -> None:
    _, peer = serving()
    peer.sends(settings(), ping(b"12345678"))
    peer.gets(settings_ack(), ping(b"12345678", ack=True))


@pytest.mark.parametrize("size", [0, 1, 100, BY_REFERENCE_BYTES - 1, BY_REFERENCE_BYTES])
@pytest.mark.parametrize("end", [False, True])
def test_data_of_one_frame(size: int, end: bool) -> None:
    server, peer = answering()
    server.send_data(server.streams[1], b"x" * size, end, peer.now)
    peer.gets(data(1, b"x" * size, end_stream=end) if size or end else b"")


def test_data_is_cut_at_the_peers_frame_size() -> None:
    server, peer = answering()
    body = bytes(range(256)) * 160
    server.send_data(server.streams[1], body, True, peer.now)
    peer.gets(data(1, body[:16_384]), data(1, body[16_384:32_768]), data(1, body[32_768:], end_stream=True))


def test_larger_frames_when_the_peer_takes_them() -> None:
    server, peer = answering()
    peer.sends(settings({5: 50_000}))
    peer.forget()
    body = bytes(100_000)
    server.send_data(server.streams[1], body, True, peer.now)
    chunks = server.chunks_to_send()
    assert b"".join(chunks) == data(1, body[:50_000]) + data(1, body[50_000:], end_stream=True)
    assert all(chunk.obj is body for chunk in chunks if isinstance(chunk, memoryview))


def test_large_body_in_one_frame_is_not_copied() -> None:
    server, peer = answering()
    body = b"x" * BY_REFERENCE_BYTES
    server.send_data(server.streams[1], body, True, peer.now)
    assert server.chunks_to_send()[1] is body


@pytest.mark.parametrize("size", [16_384, 16_385, 32_768, 40_000, 60_000])
def test_block_larger_than_a_frame_goes_on_in_continuation(size: int) -> None:
    client, peer = requesting()
    client.send_request([*GET, (b"x-long", b"\x80" * size)], True, peer.now)
    found = peer.gets_frames()
    lengths = [len(f.payload) for f in found]
    assert [f.type for f in found] == [HEADERS] + [CONTINUATION] * (len(found) - 1)
    assert lengths[:-1] == [16_384] * (len(found) - 1)
    assert 0 < lengths[-1] <= 16_384
    assert found[0].flags == END_STREAM
    assert [f.flags for f in found[1:]] == [0] * (len(found) - 2) + [END_HEADERS]
    server, other = serving()
    other.sends(*(bytes.fromhex(f"{len(f.payload):06x}{f.type:02x}{f.flags:02x}{f.stream_id:08x}") + f.payload for f in found))
    other.sees("request 1 end")
    assert server.streams[1].headers == [(b"x-long", b"\x80" * size)]


def test_rst_stream() -> None:
    server, peer = answering()
    server.reset_stream(server.streams[1], 0x8, peer.now)
    peer.gets(rst_stream(1, 8))


def test_goaway_with_reason() -> None:
    server, peer = answering()
    server.close(0xB, peer.now, b"too much")
    peer.gets(goaway(1, 0xB, b"too much"))


def test_reason_is_cut_at_200_octets() -> None:
    server, peer = answering()
    server.close(0, peer.now, b"x" * 300)
    peer.gets(goaway(1, 0, b"x" * 200))


def test_priority_update() -> None:
    client, peer = requesting()
    stream = client.send_request(GET, True, peer.now)
    peer.forget()
    client.send_priority_update(stream, 1, True, peer.now)
    peer.gets(priority_update(1, b"u=1, i"))


def test_what_is_written_is_counted() -> None:
    server, peer = answering()
    before = Snapshot()
    before.add_block(peer.block)
    server.send_data(server.streams[1], bytes(100), True, peer.now)
    assert len(frames(server.data_to_send())) == 1
    after = Snapshot()
    after.add_block(peer.block)
    assert after.value("frames", "server", "transmit", "DATA") == before.value("frames", "server", "transmit", "DATA") + 1
    assert after.value("frame_payload", "server", "transmit", "DATA") == before.value("frame_payload", "server", "transmit", "DATA") + 100
    assert after.value("streams", "server", "completed") == before.value("streams", "server", "completed") + 1
    assert after.value("stream_active", "server") == 0
