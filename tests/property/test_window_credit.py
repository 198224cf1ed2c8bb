"""Whatever becomes of the bodies, every octet comes back to the connection's window (RFC 9113 section 6.9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from h2o_otel.limits import SERVER_LIMITS
from h2o_otel.protocol.config import DEFAULT_TUNING
from tests.support.engine import serving
from tests.support.wire import WINDOW_UPDATE, block, data, frames, headers, ping, request_block, rst_stream

LIMITS = replace(
    SERVER_LIMITS,
    stream_window_bytes=70_000,
    connection_window_bytes=200_000,
    window_bytes_max=400_000,
    empty_data_in_a_row_max=10_000,
    empty_data_max=10_000,
    small_data_bytes_min=10_000_000,
    resets_sent_burst=10_000,
    resets_received_burst=10_000,
)

STREAMS = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), STREAMS, st.booleans()),
        st.tuples(st.just("data"), STREAMS, st.integers(0, 16_000), st.none() | st.integers(0, 255), st.booleans()),
        st.tuples(st.just("read"), STREAMS, st.integers(0, 40_000)),
        st.tuples(st.just("answer"), STREAMS, st.booleans()),
        st.tuples(st.just("trailers"), STREAMS),
        st.tuples(st.just("cancel"), STREAMS),
        st.tuples(st.just("cancelled"), STREAMS),
        st.tuples(st.just("limit"), st.integers(0, 400_000)),
        st.tuples(st.just("pong")),
    ),
    min_size=5,
    max_size=60,
)


class World:
    """A server and a peer that keeps to its windows, but breaks other rules now and then."""

    def __init__(self, tuned: bool, batched: bool) -> None:
        tuning = replace(DEFAULT_TUNING, protocol_window_tuning=tuned, stream_window_batching=batched)
        self.server, self.peer = serving(LIMITS, tuning=tuning)
        self.window = self.server.recv_window
        self.windows: dict[int, int] = {}
        self.ids: dict[int, int] = {}
        self.next_id = 1
        self.unread: dict[int, Any] = {}

    def heard(self) -> None:
        """The peer reads what was sent to it."""
        for frame in frames(self.server.data_to_send()):
            if frame.type == WINDOW_UPDATE:
                increment = int.from_bytes(frame.payload, "big")
                assert 0 < increment < 2**31
                if frame.stream_id:
                    self.windows[frame.stream_id] = self.windows.get(frame.stream_id, 0) + increment
                else:
                    self.window += increment

    def step(self, kind: str, *args: Any) -> None:
        server, peer = self.server, self.peer
        stream_id = self.ids.get(args[0], 0) if args else 0
        stream = server.streams.get(stream_id)
        if kind == "request":
            self.ids[args[0]] = self.next_id
            self.windows[self.next_id] = 70_000
            fields = [(b"content-length", b"100")] if args[1] else []
            peer.sends(headers(self.next_id, request_block(b"POST", b"/", *fields)))
            if self.next_id in server.streams:
                self.unread[self.next_id] = server.streams[self.next_id]
            self.next_id += 2
        elif kind == "data" and stream_id:
            size, padding, end = args[1:]
            length = size + (0 if padding is None else padding + 1)
            if length <= min(self.window, self.windows[stream_id]):
                self.window -= length
                self.windows[stream_id] -= length
                peer.sends(data(stream_id, bytes(size), padding=padding, end_stream=end))
        elif kind == "read" and stream_id in self.unread:
            server.credit(self.unread[stream_id], args[1], peer.now)
        elif kind == "answer" and stream is not None and not stream.headers_sent:
            server.send_response(stream, 200, [], args[1], peer.now)
        elif kind == "trailers" and stream_id:
            peer.sends(headers(stream_id, block((b"a", b"b")), end_stream=True))
        elif kind == "cancel" and stream is not None:
            server.reset_stream(stream, 8, peer.now)
        elif kind == "cancelled" and stream_id:
            peer.sends(rst_stream(stream_id, 8))
        elif kind == "limit":
            server.limit_windows(args[0], peer.now)
        elif kind == "pong":
            peer.now += 0.2
            peer.sends(ping(b"\x00h2o-bdp", ack=True))
        self.heard()

    def check(self) -> None:
        server = self.server
        assert server.recv_window == self.window
        held = sum(stream.recv_unread for stream in self.unread.values())
        assert server.recv_window + server.recv_uncredited + held == server.recv_target
        for stream in server.streams.values():
            if stream.state == 3:  # open: the peer may go on sending
                assert stream.recv_window + stream.recv_uncredited + stream.recv_unread == stream.recv_target
                assert stream.recv_window == self.windows[stream.id]


@given(steps=STEPS, tuned=st.booleans(), batched=st.booleans())
def test_every_octet_comes_back(steps: list[tuple[Any, ...]], tuned: bool, batched: bool) -> None:
    world = World(tuned, batched)
    for slot in range(3):
        world.step("request", slot, False)
    for step in steps:
        if world.server.closed:
            break
        world.step(*step)
        if not world.server.closed:
            world.check()
    if world.server.closed:
        return
    # In the end the application reads or abandons everything: nothing is missing.
    for n, stream in enumerate(world.unread.values()):
        if n % 2:
            world.server.credit(stream, stream.recv_unread, world.peer.now)
        else:
            world.server.reset_stream(stream, 8, world.peer.now)
    world.heard()
    assert world.server.recv_window + world.server.recv_uncredited == world.server.recv_target
    # And the peer can always send: less than half of the window is held back, or nothing at all.
    assert world.window > 0
    assert world.server.guards.small_unread == 0
