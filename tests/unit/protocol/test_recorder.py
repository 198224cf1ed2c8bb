"""The flight recorder: what passed, how it prints, and that errors carry it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from h2o_otel import counters
from h2o_otel.errors import ErrorCode
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.recorder import FlightRecorder, RecordedFrame
from tests.support.engine import GET, POST, requesting, serving
from tests.support.faults import for_each
from tests.support.wire import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    data,
    frame,
    frames,
    goaway,
    headers,
    ping,
    request_block,
    response_block,
    rst_stream,
    settings,
    settings_ack,
    window_update,
)


def test_connection_records_both_directions() -> None:
    server, peer = serving()
    peer.now = 2.5
    peer.sends(headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, 2.75)
    server.send_data(server.streams[1], b"hello", True, 2.75)
    n = len(request_block())
    assert [str(f) for f in server.recorder.log().frames()[-3:]] == [
        f"+1.500000 < HEADERS stream=1 length={n} END_STREAM END_HEADERS",
        "+1.750000 > HEADERS stream=1 length=1 END_HEADERS",
        "+1.750000 > DATA stream=1 length=5 END_STREAM",
    ]


@pytest.mark.parametrize("role", [serving, requesting])
def test_what_is_recorded_as_sent_is_what_was_sent(role: Any) -> None:
    """Every frame that a connection writes, by its header on the wire."""
    connection, peer = role(handshake=False)
    preface = b"" if connection.client else PREFACE
    peer.sends(preface, settings(), settings_ack(), ping(), window_update(0, 2**20))
    connection.update_settings([(4, 2**20)], peer.now)
    connection.send_ping(b"12345678", peer.now)
    if connection.client:
        stream = connection.send_request([*POST, (b"x-long", b"\xff" * 20_000)], False, peer.now)
        peer.sends(headers(1, response_block()))
        connection.send_priority_update(stream, 1, True, peer.now)
    else:
        peer.sends(headers(1, request_block(b"POST")))
        stream = connection.streams[1]
        connection.send_informational(stream, 103, [(b"link", b"x")], peer.now)
        connection.send_push_promise(stream, GET, peer.now)
        connection.send_response(stream, 200, [(b"x-long", b"\xff" * 20_000)], False, peer.now)
    connection.send_data(stream, b"hello", False, peer.now)
    connection.send_trailers(stream, [(b"a", b"b")], peer.now)
    for _ in range(20):
        peer.sends(data(1, bytes(16_384)))
        connection.credit(stream, 16_384, peer.now)
    connection.reset_stream(stream, 8, peer.now)
    connection.close(2, peer.now, b"why")
    recorded = [f[2:6] for f in connection.recorder.log().frames() if f.direction == "send"]
    sent = [(f.type, f.flags, f.stream_id, len(f.payload)) for f in frames(connection.data_to_send())]
    blocks = (HEADERS, PUSH_PROMISE, CONTINUATION)
    assert [f[:3] for f in recorded] == [f[:3] for f in sent]
    assert [f for f in recorded if f[0] not in blocks] == [f for f in sent if f[0] not in blocks]
    assert {f[0] for f in sent} >= {DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION}


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
    peer.now = 1.0 + 1_000_000_000.0
    peer.connection.receive((16_777_215).to_bytes(3, "big") + b"\xfa\xff\xff\xff\xff\xff" + bytes(16_777_215), peer.now)
    assert peer.connection.recorder.log().frames() == [RecordedFrame(1e9, "recv", 0xFA, 0xFF, 2**31 - 1, 16_777_215, "")]


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
    assert str(flight.frames()[-1]) == "+0.000000 < RST_STREAM stream=1 length=4 INTERNAL_ERROR"


def test_connection_error_carries_the_frame_that_broke_the_rule() -> None:
    _server, peer = serving()
    peer.sends(data(1, b"x"))
    flight = peer.errors()[0].flight
    assert str(flight.frames()[-1]) == "+0.000000 < DATA stream=1 length=1"


def test_connection_error_of_a_header_alone_carries_it() -> None:
    _server, peer = serving()
    peer.sends(frame(0, 0, 7, b"", length=16_777_215)[:9])
    flight = peer.errors()[0].flight
    assert str(flight.frames()[-1]) == "+0.000000 < DATA stream=7 length=16777215"


def test_errors_of_a_switched_off_recorder_carry_an_empty_log() -> None:
    _server, peer = serving(replace(SERVER_LIMITS, flight_recorder_frames=0))
    peer.sends(data(1, b"x"))
    flight = peer.errors()[0].flight
    assert not flight
    assert flight.lines(16) == []


@pytest.mark.parametrize(("code", "name"), [(0, "NO_ERROR"), (0xD, "HTTP_1_1_REQUIRED"), (0xE, "OTHER"), (2**32 - 1, "OTHER")])
def test_error_codes(code: int, name: str) -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block()), rst_stream(1, code), goaway(0, code))
    server.close(ErrorCode.ENHANCE_YOUR_CALM, 1.0)
    assert [f.error_code for f in server.recorder.log().frames()[-4:]] == ["", name, name, "ENHANCE_YOUR_CALM"]


def test_code_of_the_last_place_of_the_ring_stays_with_its_frame() -> None:
    server, peer = serving(replace(SERVER_LIMITS, flight_recorder_frames=2))
    peer.sends(headers(1, request_block()), headers(3, request_block()))
    for stream_id in (1, 3):
        peer.sends(rst_stream(stream_id, 8))
        before, last = server.recorder.log().frames()
        assert last == RecordedFrame(0.0, "recv", 3, 0, stream_id, 4, "CANCEL")
        assert before.error_code == ("CANCEL" if stream_id == 3 else "")


def test_lines_of_one_stream_are_the_newest_of_it_and_of_the_connection() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), headers(3, request_block(b"POST")), data(1, b"a"), data(3, b"b"), ping())
    lines = server.recorder.log().lines(4, 3)
    assert [line.split()[2:4] for line in lines] == [
        ["HEADERS", "stream=3"],
        ["DATA", "stream=3"],
        ["PING", "stream=0"],
        ["PING", "stream=0"],
    ]
    assert server.recorder.log().lines(1) == [str(server.recorder.log().frames()[-1])]


def documented(language: str) -> list[str]:
    """The examples of the page that are written in ``language``."""
    page = (Path(__file__).parents[3] / "docs/flight-recorder.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_documented_example_is_what_is_printed() -> None:
    server, peer = serving(replace(SERVER_LIMITS, flight_recorder_frames=8), handshake=False)
    peer.now = 1.000412
    peer.sends(PREFACE, settings(), settings_ack(), headers(1, request_block(b"POST", b"/upload")))
    server.send_response(server.streams[1], 200, [], False, 1.002091)
    peer.now = 1.007725
    peer.sends(data(1, bytes(1000)), rst_stream(1, 8), data(5, bytes(20)))
    assert documented("text")[0].rstrip() == str(peer.errors()[-1].flight)


def test_json_has_the_documented_shape() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True), rst_stream(1, 8), b"\x00\x00\x00\xfa\xff\x00\x00\x00\x09")
    document = json.loads(server.recorder.log().to_json())
    schema = json.loads(documented("json")[0])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)
    assert document["recorded"] == server.recorder.recorded
    assert document["started_s"] == 1.0
    assert document["frames"][-3:] == [
        {
            "time_s": 0.0,
            "direction": "recv",
            "type": "HEADERS",
            "flags": ["END_STREAM", "END_HEADERS"],
            "stream_id": 1,
            "length": len(request_block()),
        },
        {"time_s": 0.0, "direction": "recv", "type": "RST_STREAM", "flags": [], "stream_id": 1, "length": 4, "error_code": "CANCEL"},
        {"time_s": 0.0, "direction": "recv", "type": "frame type 0xfa", "flags": [], "stream_id": 9, "length": 0},
    ]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"frames": [document["frames"][-1] | {"more": 1}]}, schema)


@for_each("capacity", [1, 8, 16, 32, 64])
@for_each("more", [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 200])
def test_ring_that_grows_keeps_every_frame_up_to_its_capacity(capacity: int, more: int) -> None:
    server, peer = serving(replace(SERVER_LIMITS, flight_recorder_frames=capacity))
    peer.sends(headers(1, request_block(b"POST")), *(data(1, b"x" * n) for n in range(300, 300 + more)))
    log = server.recorder.log()
    found = log.frames()
    assert len(found) == len(log) == min(log.recorded, capacity)
    assert [f.length for f in found if f.type == 0] == list(range(300, 300 + more))[-capacity:]


def test_ring_is_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="flight_recorder_frames is 48"):
        replace(SERVER_LIMITS, flight_recorder_frames=48)
