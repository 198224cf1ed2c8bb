"""The flight recorder: what passed, how it prints, and that errors carry it."""

from __future__ import annotations

import json
from dataclasses import replace

from h2o_otel import counters
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.recorder import FlightRecorder, RecordedFrame
from tests.support.engine import requesting, serving
from tests.support.wire import PREFACE, data, headers, request_block, rst_stream, settings


def test_connection_records_both_directions() -> None:
    server, peer = serving()
    peer.now = 2.5
    peer.sends(headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, 2.75)
    server.send_data(server.streams[1], b"hello", True, 2.75)
    n = len(request_block())
    assert [str(f) for f in server.recorder.log().frames()[-3:]] == [
        f"2.500000 < HEADERS stream=1 length={n} END_STREAM END_HEADERS",
        "2.750000 > HEADERS stream=1 length=1 END_HEADERS",
        "2.750000 > DATA stream=1 length=5 END_STREAM",
    ]


def test_ring_keeps_the_last_frames_in_order() -> None:
    server, peer = serving(replace(SERVER_LIMITS, flight_recorder_frames=4))
    peer.sends(headers(1, request_block(b"POST")), *(data(1, b"x" * n) for n in range(300, 310)))
    log = server.recorder.log()
    assert [f.length for f in log.frames()] == [306, 307, 308, 309]
    assert len(log) == 4
    assert log.recorded == server.recorder.recorded > 10


def test_log_is_a_copy_of_that_moment() -> None:
    server, peer = serving()
    before = server.recorder.log()
    n = len(before.frames())
    peer.sends(headers(1, request_block(), end_stream=True))
    assert len(before.frames()) == n


def test_largest_values_survive_packing() -> None:
    _server, peer = serving(replace(SERVER_LIMITS, frame_bytes_max=16_777_215, flight_recorder_frames=1))
    peer.now = 1_000_000_000.0
    peer.connection.receive((16_777_215).to_bytes(3, "big") + b"\xfa\xff\xff\xff\xff\xff" + bytes(16_777_215), peer.now)
    assert peer.connection.recorder.log().frames() == [RecordedFrame(1e9, "recv", 0xFA, 0xFF, 2**31 - 1, 16_777_215)]


def test_no_room_records_nothing() -> None:
    recorder = FlightRecorder(0)
    assert recorder.log().frames() == []
    server = Connection(server_config(replace(SERVER_LIMITS, flight_recorder_frames=0)), None, counters.Counters())
    server.start(1.0)
    server.receive(PREFACE + settings(), 1.0)
    assert len(server.recorder.log()) == 0


def test_stream_error_carries_the_frames_before_it() -> None:
    client, peer = requesting()
    client.send_request([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a")], True, 1.0)
    peer.sends(rst_stream(1, 2))
    flight = peer.errors()[0].flight
    assert str(flight.frames()[-1]) == "1.000000 < RST_STREAM stream=1 length=4"
    assert str(flight).splitlines()[-1] == str(flight.frames()[-1])


def test_connection_error_carries_the_frame_that_broke_the_rule() -> None:
    _server, peer = serving()
    peer.sends(data(1, b"x"))
    flight = peer.errors()[0].flight
    assert str(flight.frames()[-1]) == "1.000000 < DATA stream=1 length=1"


def test_json() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    document = json.loads(server.recorder.log().to_json())
    assert document["recorded"] == server.recorder.recorded
    assert document["frames"][-1] == {
        "time_s": 1.0,
        "direction": "recv",
        "type": "HEADERS",
        "flags": ["END_STREAM", "END_HEADERS"],
        "stream_id": 1,
        "length": len(request_block()),
    }
