"""Clients and servers on a network that fails: what must hold whatever happens to a connection.

Several connections share one clock.  The network delays octets, cuts them anywhere, lets one
direction or one connection run ahead of the others, stops for good in one direction, and loses
connections with octets under way.  Applications cancel, change settings, stop reading, say GOAWAY
early and close at once.  Everything follows from the seed.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import permutations
from typing import Any

from h2o_otel.counters import CLIENT, DIRECTIONS, FRAME_TYPES, RECV, ROLES, SEND, SERVER, Snapshot
from h2o_otel.errors import ConnectionTerminated, LocalProtocolError, StreamReset
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits
from h2o_otel.rules import all_rules
from h2o_otel.streams.stream import Stream
from tests.simulation.world import CALM, End, Message, Wire

REQUESTS = 20
PAIRS_MAX = 8
# Longer than any world lasts.
WORLD_S = 1e6
STEPS_MAX = 20_000
# What an application waits for a response before it cancels, and the kernel for a network that is gone.
PATIENCE_S = 60.0
# Longer than this, no body octet stands still where nothing is in the way; less than the engine's own deadlines, which would hide it.
WEDGE_S = 25.0
KERNEL_S = 150.0
FAULTS = ("lose", "freeze", "goaway", "close", "starve", "pause", "settings", "cancel", "flood")
# Deadlines are real here; bursts are not what is tested.
CALM_BURSTS = {name: value for name, value in CALM.items() if not name.endswith(("timeout_s", "grace_s"))}
# What peers that keep to the rules may be told by the other's engine: that they were late, or a limit they could not know yet.
LATE = {
    "preface_timeout",
    "settings_timeout",
    "header_block_timeout",
    "frame_timeout",
    "ping_timeout",
    "body_stalled",
    "body_too_slow",
    "send_stalled",
    "send_too_slow",
    "streams_exceeded",
}
TOLD_BY_PEER = {"rst_stream_received", "goaway_received", "connection_lost", "closed"}
GAUGES = (
    "stream_active",
    "flow_control_unread",
    "flow_control_window",
    "connection_active",
    "hpack_table_size",
    "hpack_table_capacity",
    "stream_limit",
    "frame_control_queue_size",
)

assert {rule.token for rule in all_rules()} >= LATE


class FaultyEnd(End):
    """An application that notes how each exchange ended, once."""

    def __init__(self, world: Any, role: int, limits: EngineLimits) -> None:
        super().__init__(world, role, "native", limits, enable_push=role == CLIENT and world.rng.random() < 0.5)
        self.outcomes: dict[int, str] = {}
        self.complete: set[int] = set()
        self.cancelled: set[int] = set()
        self.asked_at: dict[int, float] = {}
        self.starved_until = 0.0
        self.gone = False
        # When something was last in the way of its connection.
        self.hindered_at = 0.0

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        super().request_received(stream, end_stream)
        if end_stream:
            self.complete.add(stream.id)
        if self.rng.random() < 0.1:
            self.push(stream)

    def push(self, stream: Stream) -> None:
        """Promise something with the answer, where the client lets us."""
        fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/pushed"), (b":authority", b"a.example")]
        try:
            promised = self.connection.send_push_promise(stream, fields, self.world.now)
        except LocalProtocolError:
            return
        self.world.told["pushed"] += 1
        self.streams[promised.id] = promised
        self.messages[promised.id] = Message(self.rng)
        self.headers_due.add(promised.id)
        self.complete.add(promised.id)

    def push_received(self, stream: Stream, promised: Stream) -> None:
        self.streams[promised.id] = promised
        self.received[promised.id] = bytearray()

    def response_received(self, stream: Stream, end_stream: bool) -> None:
        if end_stream:
            self.complete.add(stream.id)

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        super().data_received(stream, data, end_stream)
        if end_stream:
            self.complete.add(stream.id)

    def trailers_received(self, stream: Stream) -> None:
        super().trailers_received(stream)
        self.complete.add(stream.id)

    def stream_reset(self, stream: Stream, error: StreamReset) -> None:
        super().stream_reset(stream, error)
        self.documented(error)

    def stream_closed(self, stream: Stream) -> None:
        super().stream_closed(stream)
        assert stream.id not in self.outcomes, "ended twice"
        if stream.id in self.over:
            self.outcomes[stream.id] = self.over[stream.id]
        elif stream.closed_by:
            assert stream.id in self.cancelled, f"stream {stream.id} was reset and nobody told"
            self.outcomes[stream.id] = "cancelled"
            self.unread.pop(stream.id, None)
        else:
            assert stream.id in self.complete
            assert stream.id not in self.messages or self.messages[stream.id].done
            self.outcomes[stream.id] = "result"

    def connection_terminated(self, error: ConnectionTerminated) -> None:
        super().connection_terminated(error)
        self.documented(error)

    def documented(self, error: Any) -> None:
        allowed = LATE if error.initiator == "local" else LATE | TOLD_BY_PEER
        assert error.rule in allowed | ({"closed"} if error.scope == "connection" else set()), error
        assert len(error.flight)
        if error.rule == "send_stalled":
            assert self.world.now < self.hindered_at + self.connection.limits.send_stall_timeout_s + WEDGE_S, (
                "a wedge, which a deadline ended"
            )

    def cancel(self, stream: Stream, now: float) -> None:
        self.cancelled.add(stream.id)
        self.connection.reset_stream(stream, 8, now)

    def act(self, now: float) -> None:
        if self.connection.paused and self.rng.random() < 0.05:
            self.connection.resume_output(now)
        if now < self.starved_until:
            return
        super().act(now)
        if self.streams and self.rng.random() < 0.05:
            stream = self.rng.choice(list(self.streams.values()))
            if self.connection.role == CLIENT and not self.connection.closed:
                self.connection.send_priority_update(stream, self.rng.randrange(8), self.rng.random() < 0.5, now)
            else:
                self.connection.prioritize(stream, self.rng.randrange(8), self.rng.random() < 0.5)

    def out_of_patience(self, now: float) -> None:
        """A client gives up on what takes too long, and asks whether anybody is there."""
        for stream_id, asked_at in list(self.asked_at.items()):
            if now < asked_at + PATIENCE_S:
                continue
            del self.asked_at[stream_id]
            if stream_id not in self.closed:
                self.cancel(self.streams[stream_id], now)
                self.world.told["out of patience"] += 1
                if not self.connection.closed and not self.connection.pings:
                    self.connection.send_ping(b"patience", now)


class Pair:
    """One connection: both ends and the wires between them."""

    def __init__(self, world: FaultyWorld) -> None:
        rng = self.rng = world.rng
        limits = [world.limits(CLIENT_LIMITS), world.limits(SERVER_LIMITS)]
        if any(each.stream_window_bytes <= 1000 for each in limits) or any(kind == "settings" for _, kind in world.faults):
            # A few octets in a round trip are honest while nothing is short, and take longer than a run may.
            limits = [replace(each, pressure_percent=0) for each in limits]
        self.client = FaultyEnd(world, CLIENT, limits[0])
        self.server = FaultyEnd(world, SERVER, limits[1])
        self.ends = ((self.client, self.server), (self.server, self.client))
        self.wires = {self.client: Wire(rng), self.server: Wire(rng)}
        self.frozen: set[FaultyEnd] = set()
        self.frozen_at = 0.0
        self.damaged = False
        # Octets of bodies and exchanges that are over, and when they last became more.
        self.progress = 0
        self.moved_at = world.now
        for end, _ in self.ends:
            end.connection.start(world.now)

    @property
    def over(self) -> bool:
        return self.client.gone and self.server.gone

    def move(self, end: FaultyEnd, other: FaultyEnd, now: float) -> None:
        """One turn of ``end``: its application, its clock, its output, and what arrives at the other end."""
        if not end.gone:
            end.act(now)
            end.connection.tick(now)
            if self.rng.random() < 0.7 or end.connection.closed:
                self.flush(end, now)
            if end.connection.closed:
                # The driver closes the transport once the last octets are out.
                self.lost(end, None, now)
        if end in self.frozen:
            return
        data = self.wires[end].get(now)
        if data and not other.gone:
            other.connection.receive(data, now)
        elif end.gone and not other.gone and not self.wires[end].octets:
            self.lost(other, None, now)

    def check_progress(self, now: float) -> None:
        """Where nothing is in the way, something goes on."""
        progress = sum(
            len(e.outcomes) + len(e.streams) + sum(s.body_sent + s.body_received for s in e.streams.values()) for e, _ in self.ends
        )
        hindered = self.frozen or any(end.connection.paused or end.starved_until + 1.0 > now for end, _ in self.ends)
        if hindered:
            self.client.hindered_at = self.server.hindered_at = now
        if progress != self.progress or hindered or not self.client.connection.streams:
            self.progress = progress
            self.moved_at = now
        assert now < self.moved_at + WEDGE_S, "a wedge: exchanges are open, and nothing moves"

    def flush(self, end: FaultyEnd, now: float) -> None:
        end.connection.pump(now)
        data = b"".join(end.connection.chunks_to_send())
        if data:
            self.wires[end].put(data, now)

    def lost(self, end: FaultyEnd, error: Exception | None, now: float) -> None:
        """The transport of one end is gone."""
        end.gone = True
        self.damaged = True
        end.connection.connection_lost(error, now)

    def break_off(self, now: float) -> None:
        """The network loses the connection; some of what was under way still arrives, cut at any octet."""
        for end, other in self.ends:
            if not other.gone:
                left = b"".join(data for _, data in self.wires[end].octets)
                if left and self.rng.random() < 0.7:
                    other.connection.receive(left[: self.rng.randrange(len(left) + 1)], now)
                self.lost(other, self.rng.choice([None, ConnectionResetError("reset by the simulation")]), now)
            self.wires[end].octets.clear()


class FaultyWorld:
    """Connections, a client that makes requests on them, and faults at steps that the seed chooses.

    Attributes:
        told: how many times what happened, for the summary of a run.
    """

    def __init__(self, seed: int, requests: int = REQUESTS, faults: int | None = None) -> None:
        self.rng = rng = random.Random(seed)
        self.now = 1.0
        self.requests = requests
        self.made = 0
        self.unsent = 0
        self.pairs: list[Pair] = []
        self.told: Counter[str] = Counter()
        self.calm = faults == 0
        count = rng.choice([0, 1, 2, 3, 6]) if faults is None else faults
        self.faults = sorted((rng.randrange(250), rng.choice(FAULTS)) for _ in range(count))

    def limits(self, base: EngineLimits) -> EngineLimits:
        rng = self.rng
        mine: dict[str, Any] = {
            "stream_window_bytes": rng.choice([1, 1000, 65_535, 1_000_000]),
            "connection_window_bytes": rng.choice([65_535, 2_000_000]),
            "streams_max": rng.choice([2, 100]),
            "output_high_water_bytes": rng.choice([1, 20_000, 262_144]),
            "header_table_bytes": rng.choice([0, 4096]),
        }
        if self.calm:
            # A connection that the others leave nothing for would end in order after a while.
            mine["idle_timeout_s"] = WORLD_S
        return replace(base, **CALM_BURSTS, **mine)

    # -- running

    def run(self) -> None:
        steps = 0
        while not self.finished():
            steps += 1
            assert steps < STEPS_MAX, f"a wedge: not over after {STEPS_MAX} steps: {self.state()}"
            self.now += self.rng.choice([0.0, 0.01, 0.2] if self.busy() else [0.5, 2.0])
            while self.faults and self.faults[0][0] <= steps:
                self.fault(self.faults.pop(0)[1])
            self.ask()
            turns = [(pair, end, other) for pair in self.pairs if not pair.over for end, other in pair.ends]
            self.rng.shuffle(turns)
            for pair, end, other in turns:
                if self.rng.random() < 0.8:
                    pair.move(end, other, self.now)
            for pair in self.pairs:
                if not pair.over:
                    pair.check_progress(self.now)
                pair.client.out_of_patience(self.now)
                if pair.frozen and not pair.over and self.now > pair.frozen_at + KERNEL_S:
                    pair.break_off(self.now)
        self.settle()

    def busy(self) -> bool:
        return any(not pair.over and not pair.frozen for pair in self.pairs if pair.client.connection.streams or any_octets(pair))

    def finished(self) -> bool:
        if self.made < self.requests:
            return False
        return all(
            pair.over or not (pair.client.connection.streams or pair.server.connection.streams or any_octets(pair)) for pair in self.pairs
        )

    def ask(self) -> None:
        """The client makes a request on a connection that takes one, or on a new one."""
        if self.made == self.requests or self.rng.random() < 0.4:
            return
        usable = [p for p in self.pairs if not p.client.gone and p.client.connection.can_open_stream()]
        live = [p for p in self.pairs if not p.client.gone and not p.client.connection.draining and not p.client.connection.closed]
        if not usable:
            if not live or self.rng.random() < 0.02:
                if len(self.pairs) < PAIRS_MAX:
                    self.pairs.append(Pair(self))
                else:
                    self.made += 1
                    self.unsent += 1
            return
        end = self.rng.choice(usable).client
        fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/%d" % self.made), (b":authority", b"a.example")]
        fields += [(b"x-%d" % self.rng.randrange(20), self.rng.randbytes(self.rng.choice([0, 5, 500])).hex().encode())]
        stream = end.connection.send_request(fields, False, self.now)
        self.made += 1
        end.streams[stream.id] = stream
        end.messages[stream.id] = Message(self.rng)
        end.received[stream.id] = bytearray()
        end.asked_at[stream.id] = self.now

    def fault(self, what: str) -> None:
        live = [pair for pair in self.pairs if not pair.over]
        if not live:
            return
        self.told[what] += 1
        pair = self.rng.choice(live)
        end, _ = self.rng.choice(pair.ends)
        connection = end.connection
        if what == "lose":
            pair.break_off(self.now)
        elif what == "freeze":
            pair.frozen.add(end)
            pair.damaged = True
            pair.frozen_at = self.now
        elif end.gone or connection.closed:
            return
        elif what == "goaway":
            connection.shutdown(self.now)
            if self.rng.random() < 0.5:
                connection.finish_shutdown(self.now)
        elif what == "close":
            connection.close(self.rng.choice([0, 2, 11]), self.now, b"simulated")
        elif what == "starve":
            end.starved_until = self.now + self.rng.choice([1.0, 40.0])
        elif what == "pause":
            connection.pause_output()
        elif what == "settings":
            size = self.rng.choice([0, 1, 100, 65_535, 500_000])
            connection.update_settings([(4, size), (1, self.rng.choice([0, 100, 4096]))], self.now)
            if size == 0:
                # A window that is shut for good is no fault of the engine: it opens again.
                connection.update_settings([(4, 30_000)], self.now)
        elif what == "cancel" and connection.streams:
            for stream in self.rng.sample(sorted(connection.streams.values(), key=lambda s: s.id), k=1 + len(connection.streams) // 2):
                end.cancel(stream, self.now)
        elif what == "flood":
            # Many small things at once while the transport is full.
            connection.pause_output()
            for _ in range(50):
                connection.send_ping(self.rng.randbytes(8), self.now)
            connection.resume_output(self.now)

    def settle(self) -> None:
        """Read what is left, and let the last acknowledgements and credits arrive where nothing is in the way."""
        for pair in self.pairs:
            for end, _ in pair.ends:
                end.connection.resume_output(self.now)
                for stream_id, n in end.unread.items():
                    end.connection.credit(end.streams[stream_id], n, self.now)
                end.unread.clear()
            if pair.damaged:
                continue
            for _ in range(3):
                for end, other in pair.ends:
                    pair.flush(end, self.now)
                    data = b"".join(data for _, data in pair.wires[end].octets)
                    pair.wires[end].octets.clear()
                    other.connection.receive(data, self.now)

    # -- what must hold

    def check(self) -> None:
        for pair in self.pairs:
            self.check_exchanges(pair)
            if not pair.damaged:
                self.check_agreement(pair)
            for end, _ in pair.ends:
                self.told.update(f"{'client' if end is pair.client else 'server'}: {outcome}" for outcome in end.outcomes.values())
                self.check_nothing_left(end)
        sent = sum(len(pair.client.messages) for pair in self.pairs)
        assert sent + self.unsent == self.requests

    def check_exchanges(self, pair: Pair) -> None:
        """Every exchange ended once; bodies are what was sent, or a beginning of it."""
        for end, other in pair.ends:
            assert set(end.outcomes) == set(end.streams) == set(end.closed)
            for stream_id, body in end.received.items():
                if stream_id in other.messages:
                    sent = other.messages[stream_id].body
                    assert sent.startswith(bytes(body))
                    if stream_id in end.complete:
                        assert bytes(body) == sent
                else:
                    assert not body
                    assert end is pair.client

    def check_agreement(self, pair: Pair) -> None:
        """No window octet is lost, and what one end counted as sent the other counted as received."""
        counted = []
        for end, other in pair.ends:
            mine, peer = end.connection, other.connection
            assert mine.send_window == peer.recv_window
            assert peer.recv_window + peer.recv_uncredited == peer.recv_target
            snapshot = Snapshot()
            snapshot.add_block(end.block)
            counted.append(snapshot)
        for (mine_role, here), (other_role, there) in permutations(zip((CLIENT, SERVER), counted, strict=True)):
            for kind in FRAME_TYPES:
                sent = here.value("frames", ROLES[mine_role], DIRECTIONS[SEND], kind)
                received = there.value("frames", ROLES[other_role], DIRECTIONS[RECV], kind)
                assert sent == received, f"{kind}: {sent} sent, {received} received"

    def check_nothing_left(self, end: FaultyEnd) -> None:
        connection = end.connection
        connection.connection_lost(None, self.now)
        assert (connection.streams, connection.queued, connection.out_size(), connection.scheduler.waiting) == ({}, 0, 0, 0)
        assert sum(stream.recv_unread for stream in end.streams.values()) == 0
        snapshot = Snapshot()
        snapshot.add_block(end.block)
        for gauge in GAUGES:
            assert snapshot.value(gauge) == 0, gauge
        assert snapshot.value("streams") == len(end.streams)

    def state(self) -> list[Any]:
        return [(p.frozen, p.damaged, p.client.connection.describe(), p.server.connection.describe()) for p in self.pairs if not p.over]


def any_octets(pair: Pair) -> int:
    return sum(len(wire.octets) for wire in pair.wires.values()) + sum(end.connection.out_size() for end, _ in pair.ends)


def simulate(seed: int, **arguments: Any) -> FaultyWorld:
    """One run with everything checked; an error names the seed."""
    world = FaultyWorld(seed, **arguments)
    try:
        world.run()
        world.check()
    except Exception as error:
        error.add_note(f"tests.simulation.faults.simulate({seed}, **{arguments})")
        raise
    return world
