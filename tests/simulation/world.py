"""A client and a server on a network and a clock made of one seed.

The network delays octets and cuts them anywhere, transports fill up, applications read slowly,
reset, change settings, ping and shut down.  Everything that happens follows from the seed.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace
from typing import Any

from h2o_otel.counters import CLIENT, SERVER, Counters, Snapshot
from h2o_otel.errors import ConnectionTerminated, LocalProtocolError, StreamReset
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits
from h2o_otel.protocol import make_connection
from h2o_otel.protocol.config import ConnectionConfig
from h2o_otel.protocol.handler import Handler
from h2o_otel.streams.stream import Stream

EXCHANGES = 25
STEPS_MAX = 4000
# Of random settings, none is so small that an exchange could not end, and resets stay below the guards.
CALM: dict[str, Any] = {
    "resets_sent_burst": 10_000,
    "pings_burst": 10_000,
    "settings_burst": 10_000,
    "window_updates_base": 100_000,
    "small_data_bytes_min": 10**9,
    "glitches_burst": 100_000,
    "preface_timeout_s": 1e6,
    "settings_ack_timeout_s": 1e6,
    "header_block_timeout_s": 1e6,
    "frame_timeout_s": 1e6,
    "ping_timeout_s": 1e6,
    "idle_timeout_s": None,
    "body_rate_grace_s": 1e6,
    "send_stall_timeout_s": 1e6,
    "send_rate_grace_s": 1e6,
}


class Wire:
    """One direction of a connection: octets in order, late, in pieces."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.octets: deque[tuple[float, bytes]] = deque()
        self.latest = 0.0

    def put(self, data: bytes, now: float) -> None:
        while data:
            n = self.rng.choice([1, 9, 100, 5000, len(data)])
            self.latest = max(self.latest, now + self.rng.choice([0.0, 0.001, 0.1, 1.0]))
            self.octets.append((self.latest, data[:n]))
            data = data[n:]

    def get(self, now: float) -> bytes:
        return self.octets.popleft()[1] if self.octets and self.octets[0][0] <= now else b""


class Message:
    """What one side has to say on a stream, and how far it is."""

    def __init__(self, rng: random.Random) -> None:
        self.body = rng.randbytes(rng.choice([0, 1, 100, 20_000, 200_000]))
        self.trailers = [(b"checksum", b"%d" % len(self.body))] if rng.random() < 0.2 else []
        self.sent = 0
        self.done = False


class End(Handler):
    """One application on its connection."""

    def __init__(self, world: World, role: int, engine: str, limits: EngineLimits, enable_push: bool = False) -> None:
        self.world = world
        self.rng = world.rng
        self.block = Counters()
        config = ConnectionConfig(role=role, limits=limits, enable_push=enable_push)
        self.connection: Any = make_connection(engine, config, self, self.block)
        self.messages: dict[int, Message] = {}
        self.streams: dict[int, Stream] = {}
        self.received: dict[int, bytearray] = {}
        self.unread: dict[int, int] = {}
        self.over: dict[int, str] = {}
        self.closed: list[int] = []
        self.headers_due: set[int] = set()
        self.terminated: ConnectionTerminated | None = None

    # -- told by the connection

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        assert stream.id not in self.streams
        self.streams[stream.id] = stream
        self.received[stream.id] = bytearray()
        self.messages[stream.id] = Message(self.rng)
        self.headers_due.add(stream.id)

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        assert stream.id not in self.closed
        self.received[stream.id] += data
        self.unread[stream.id] = self.unread.get(stream.id, 0) + len(data)

    def trailers_received(self, stream: Stream) -> None:
        assert stream.trailers == [(b"checksum", b"%d" % len(self.received[stream.id]))]

    def stream_reset(self, stream: Stream, error: StreamReset) -> None:
        assert stream.id not in self.over, "reset twice"
        self.over[stream.id] = error.rule

    def stream_closed(self, stream: Stream) -> None:
        assert stream.id not in self.closed, "closed twice"
        self.closed.append(stream.id)
        if self.over.get(stream.id):
            self.unread.pop(stream.id, None)

    def connection_terminated(self, error: ConnectionTerminated) -> None:
        assert self.terminated is None
        self.terminated = error

    # -- doing something

    def act(self, now: float) -> None:
        """One step of the application."""
        connection = self.connection
        for stream_id in [i for i, n in self.unread.items() if n and self.rng.random() < 0.5]:
            n = self.rng.choice([1, self.unread[stream_id]]) if self.unread[stream_id] < 5000 else self.unread[stream_id]
            self.unread[stream_id] -= n
            connection.credit(self.streams[stream_id], n, now)
        for stream_id, message in self.messages.items():
            stream = self.streams[stream_id]
            if message.done or stream_id in self.closed or self.rng.random() < 0.3:
                continue
            if stream_id in self.headers_due:
                self.headers_due.discard(stream_id)
                if self.rng.random() < 0.2:
                    connection.send_informational(stream, 103, [(b"link", b"</a>")], now)
                connection.send_response(stream, 200, [(b"x-id", b"%d" % stream_id)], False, now)
            self.send_some(stream, message, now)

    def send_some(self, stream: Stream, message: Message, now: float) -> None:
        n = self.rng.choice([1, 1000, 16_384, len(message.body)])
        part = message.body[message.sent : message.sent + n]
        message.sent += len(part)
        end = message.sent == len(message.body)
        message.done = end
        if not end or not message.trailers or part:
            self.connection.send_data(stream, part, end and not message.trailers, now)
        if end and message.trailers:
            self.connection.send_trailers(stream, message.trailers, now)

    def disturb(self, now: float) -> None:
        """Something that exchanges must survive."""
        connection, rng = self.connection, self.rng
        what = rng.randrange(6)
        if what == 0:
            connection.send_ping(rng.randbytes(8), now)
        elif what == 1:
            connection.update_settings([(4, rng.choice([1, 100, 65_535, 500_000])), (1, rng.choice([0, 100, 4096]))], now)
        elif what == 2 and connection.role == SERVER:
            connection.update_settings([(3, rng.choice([1, 5, 100]))], now)
        elif what == 3:
            connection.pause_output()
        elif what == 4:
            connection.resume_output(now)
        elif what == 5 and connection.streams:
            connection.reset_stream(rng.choice(list(connection.streams.values())), 8, now)


class World:
    """Both ends, two wires and the time."""

    def __init__(self, seed: int, engines: tuple[str, str] = ("native", "native"), disturbances: float = 0.1) -> None:
        self.rng = rng = random.Random(seed)
        self.now = 1.0
        self.disturbances = disturbances
        windows = [1, 1000, 65_535, 1_000_000]

        def limits(base: EngineLimits) -> EngineLimits:
            mine = {"stream_window_bytes": rng.choice(windows), "connection_window_bytes": rng.choice([65_535, 2_000_000])}
            return replace(base, **CALM, **mine, streams_max=rng.choice([2, 100]), output_high_water_bytes=rng.choice([1, 20_000, 262_144]))

        self.client = End(self, CLIENT, engines[0], limits(CLIENT_LIMITS))
        self.server = End(self, SERVER, engines[1], limits(SERVER_LIMITS))
        self.wires = {self.client: Wire(rng), self.server: Wire(rng)}
        self.opened = 0
        self.shutdown_at = rng.choice([None, None, None, rng.randrange(EXCHANGES)])
        self.shut_down = False

    def run(self) -> None:
        """Until every exchange is over."""
        for end in (self.client, self.server):
            end.connection.start(self.now)
        steps = 0
        while not self.finished():
            steps += 1
            assert steps < STEPS_MAX, f"not over after {STEPS_MAX} steps: {self.state()}"
            self.step()
        self.settle()

    def step(self) -> None:
        self.now += self.rng.choice([0.0, 0.01, 0.2])
        self.open()
        for end, other in ((self.client, self.server), (self.server, self.client)):
            if self.rng.random() < self.disturbances:
                end.disturb(self.now)
            end.act(self.now)
            self.flush(end)
            self.deliver(other, self.wires[end].get(self.now))
        if self.shutdown_at is not None and self.opened >= self.shutdown_at and not self.shut_down:
            self.shut_down = True
            self.server.connection.shutdown(self.now)
            if self.rng.random() < 0.5:
                self.server.connection.finish_shutdown(self.now)

    def open(self) -> None:
        connection = self.client.connection
        if self.opened == EXCHANGES or not connection.can_open_stream() or self.rng.random() < 0.3:
            return
        fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/%d" % self.opened), (b":authority", b"a.example")]
        fields += [(b"x-%d" % self.rng.randrange(20), self.rng.randbytes(self.rng.choice([0, 5, 500])).hex().encode())]
        stream = connection.send_request(fields, False, self.now)
        self.opened += 1
        self.client.streams[stream.id] = stream
        self.client.messages[stream.id] = Message(self.rng)
        self.client.received[stream.id] = bytearray()

    def flush(self, end: End) -> None:
        end.connection.tick(self.now)
        if self.rng.random() < 0.7:
            end.connection.pump(self.now)
            data = b"".join(end.connection.chunks_to_send())
            if data:
                self.wires[end].put(data, self.now)

    def deliver(self, end: End, data: bytes) -> None:
        if data:
            end.connection.receive(data, self.now)
        assert end.terminated is None, f"{end.terminated}"

    def finished(self) -> bool:
        more = self.opened < EXCHANGES and not self.client.connection.draining
        return not more and not self.client.connection.streams and not self.server.connection.streams and not any(self.octets_under_way())

    def octets_under_way(self) -> list[int]:
        return [len(wire.octets) for wire in self.wires.values()] + [e.connection.out_size() for e in (self.client, self.server)]

    def settle(self) -> None:
        """Read what is left, and let the last acknowledgements and credits arrive."""
        for end in (self.client, self.server):
            end.connection.resume_output(self.now)
        for _ in range(2):
            for end in (self.client, self.server):
                for stream_id, n in end.unread.items():
                    end.connection.credit(end.streams[stream_id], n, self.now)
                end.unread.clear()
            for end, other in ((self.client, self.server), (self.server, self.client)):
                self.deliver(other, b"".join(data for _, data in self.wires[end].octets) + end.connection.data_to_send())
                self.wires[end].octets.clear()

    def state(self) -> str:
        return f"{self.opened} opened, {self.client.connection.describe()}, {self.server.connection.describe()}"

    # -- what must hold at the end

    def check(self) -> None:
        for end, other in ((self.client, self.server), (self.server, self.client)):
            self.check_bodies(end, other)
            self.check_windows(end, other)
            self.check_counters(end)

    def check_bodies(self, end: End, other: End) -> None:
        """Every stream closed once; what was completed arrived whole, what was reset is a beginning of it."""
        assert sorted(end.closed) == sorted(end.streams)
        for stream_id, body in end.received.items():
            if stream_id not in other.messages:
                continue
            message = other.messages[stream_id]
            assert message.body.startswith(bytes(body))
            reset = end.streams[stream_id].closed_by or other.streams[stream_id].closed_by
            assert reset or bytes(body) == message.body

    def check_windows(self, end: End, other: End) -> None:
        """Nothing of a window is lost: both sides agree, and what is not open is only batched."""
        mine, peer = end.connection, other.connection
        assert mine.queued == 0
        assert mine.send_window == peer.recv_window
        if hasattr(peer, "recv_uncredited"):
            assert peer.recv_window + peer.recv_uncredited == peer.recv_target

    def check_counters(self, end: End) -> None:
        snapshot = Snapshot()
        snapshot.add_block(end.block)
        for gauge in ("stream_active", "flow_control_unread"):
            assert snapshot.value(gauge) == 0, gauge
        assert snapshot.value("connection_active") == 1
        assert snapshot.value("streams") == len(end.streams)
        # Before the server's SETTINGS arrive, a client opens as many streams as it likes.
        assert {rule for _, rule in snapshot.labelled["frame_errors"]} <= {"streams_exceeded"}
        end.connection.connection_lost(None, self.now)
        snapshot = Snapshot()
        snapshot.add_block(end.block)
        for gauge in ("connection_active", "hpack_table_size", "hpack_table_capacity"):
            assert snapshot.value(gauge) == 0, gauge


__all__ = ["LocalProtocolError", "World"]
