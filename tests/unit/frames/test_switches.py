"""Frames are read and written alike, batched or not, by tables or not, counted or not."""

from __future__ import annotations

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters
from h2o_otel.frames.types import ANY_LENGTH, CHECK_OF_TYPE, CONNECTION_ONLY, LENGTH_OF_TYPE, SCOPE_OF_TYPE, STREAM_ONLY, read_header
from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.tuning import Tuning
from tests.support.engine import GET, POST, Peer, serving
from tests.support.wire import PREFACE, block, data, frame, frames, headers, ping, settings

VARIANTS = {
    "default": Tuning(),
    "each frame alone": Tuning(frame_batching=False),
    "no tables": Tuning(frame_dispatch_table=False),
    "neither": Tuning(frame_batching=False, frame_dispatch_table=False, stream_state_table=False, frame_metrics=False),
}

# A read with an error of a stream in the middle: the window update of nothing on stream 3.
READ = b"".join(
    [
        headers(1, block(*POST)),
        headers(3, block(*POST)),
        frame(8, 0, 3, bytes(4)),
        data(1, b"abc"),
        ping(b"12345678"),
        frame(0x33, 0, 9, b"unknown"),
        data(1, b"", end_stream=True),
    ]
)
SEEN = ["request 1", "request 3", "reset 3 window_update_zero PROTOCOL_ERROR by local", "closed 3", "data 1 abc", "data 1  end"]


def outcome(tuning: Tuning, cut: int) -> tuple[list[str], bytes]:
    server, peer = serving(tuning=tuning)
    for at in range(0, len(READ), cut):
        peer.sends(READ[at : at + cut])
    return peer.happened(), server.data_to_send()


@pytest.mark.parametrize("tuning", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_stream_error_in_the_middle_of_a_read(tuning: Tuning, cut: int) -> None:
    seen, octets = outcome(tuning, cut)
    assert seen == SEEN
    assert [(f.type, f.stream_id) for f in frames(octets)] == [(3, 3), (6, 0)]


@pytest.mark.parametrize("tuning", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize(
    ("octets", "rule"),
    [
        (data(0, b"x"), "frame_on_stream_zero"),
        (frame(6, 0, 1, bytes(8)), "frame_not_on_stream_zero"),
        (frame(6, 0, 0, bytes(7)), "frame_size_wrong"),
        (frame(0, 0, 1, bytes(16_385))[:9], "frame_too_large"),
        (headers(1, block(*GET)[:3], end_headers=False) + data(1, b"x"), "continuation_expected"),
    ],
)
def test_header_that_breaks_a_rule(tuning: Tuning, octets: bytes, rule: str) -> None:
    server, peer = serving(tuning=tuning)
    peer.sends(octets + ping(b"too late"))
    assert peer.counted("frame_errors") == {("server", rule): 1}
    assert server.closed
    assert [f.type for f in peer.gets_frames()] == [7]


@pytest.mark.parametrize("tuning", VARIANTS.values(), ids=VARIANTS)
def test_preface_in_pieces(tuning: Tuning) -> None:
    block_ = Counters()
    connection = Connection(server_config(SERVER_LIMITS, tuning=tuning), None, block_)
    peer = Peer(connection, block_)
    connection.start(1.0)
    peer.sends_slowly(PREFACE, settings())
    peer.sees("settings")


def test_output_in_one_piece_or_one_for_each_frame() -> None:
    pieces = {}
    for batching in (True, False):
        server, peer = serving(tuning=Tuning(frame_batching=batching))
        peer.sends(headers(1, block(*GET), end_stream=True), headers(3, block(*GET), end_stream=True))
        for stream_id in (1, 3):
            server.send_response(server.streams[stream_id], 200, [], False, 1.0)
            server.send_data(server.streams[stream_id], b"body", True, 1.0)
        pieces[batching] = server.chunks_to_send()
    assert len(pieces[True]) == 1
    assert [len(frames(bytes(piece))) for piece in pieces[False]] == [1] * 4
    assert b"".join(pieces[False]) == pieces[True][0]


def test_large_body_is_a_piece_of_its_own() -> None:
    body = bytes(16_384)
    server, peer = serving()
    peer.sends(headers(1, block(*GET), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, 1.0)
    server.send_data(server.streams[1], body, False, 1.0)
    server.send_data(server.streams[1], b"end", True, 1.0)
    before, large, after = server.chunks_to_send()
    assert large is body
    assert [f.type for f in frames(bytes(before) + bytes(large) + bytes(after))] == [1, 0, 0]


@pytest.mark.parametrize("counted", [True, False])
def test_metrics(counted: bool) -> None:
    server, peer = serving(tuning=Tuning(frame_metrics=counted))
    peer.sends(headers(1, block(*POST)), data(1, b"abc", end_stream=True))
    server.send_response(server.streams[1], 200, [], False, 1.0)
    server.send_data(server.streams[1], b"body", True, 1.0)
    server.data_to_send()
    assert (frames_of(peer.block, counters.RECV)[0], frames_of(peer.block, counters.SEND)[0]) == ((1, 1) if counted else (0, 0))
    for name, index in (("frame_data_size", counters.RECV), ("frame_data_size", counters.SEND), ("frame_flush_frames", counters.SERVER)):
        assert (sum(peer.block.histogram(name, index).read()[0]) > 0) is counted


def frames_of(block_: Counters, direction: int) -> list[int]:
    types = len(counters.FRAME_TYPES)
    start = counters.slot("frames") + (counters.SERVER * 2 + direction) * types
    return block_.read_slots()[start : start + types]


def test_tables_agree() -> None:
    for type in range(256):
        for stream_id in (0, 1):
            wrong_stream = SCOPE_OF_TYPE[type] == (CONNECTION_ONLY if stream_id else STREAM_ONLY)
            assert bool(CHECK_OF_TYPE[type + 256 * stream_id]) is (wrong_stream or LENGTH_OF_TYPE[type] != ANY_LENGTH)


def test_read_header() -> None:
    assert read_header(frame(1, 5, 3, b"x" * 70_000)[:9]) == (70_000, 1, 5, 3)
    assert read_header(b"\0\0\4\x08\0\xff\xff\xff\xff") == (4, 8, 0, 2**31 - 1)


@pytest.mark.parametrize(("by_type", "control", "fields"), [(True, 256, 4096), (False, 16_384, 16_384)])
def test_first_block_is_as_large_as_what_comes_first(by_type: bool, control: int, fields: int) -> None:
    server, peer = serving(tuning=Tuning(frame_size_classes=by_type))
    in_use = counters.slot("buffer_pool_in_use") + counters.BUFFER_POOLS.index("output")
    peer.sends(ping(b"12345678"))
    assert peer.block.read_slots()[in_use] == control
    server.data_to_send()
    assert peer.block.read_slots()[in_use] == 0
    peer.sends(headers(1, block(*GET), end_stream=True))
    server.send_response(server.streams[1], 200, [(b"x", b"y")], False, 1.0)
    assert peer.block.read_slots()[in_use] == fields
    peer.sends(ping(b"12345678"))
    server.send_data(server.streams[1], bytes(10_000), True, 1.0)
    assert peer.block.read_slots()[in_use] == 16_384
    assert [f.type for f in peer.gets_frames()] == [1, 6, 0]
