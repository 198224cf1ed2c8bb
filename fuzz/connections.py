"""A connection of either role against octets of a peer.

An input is an octet of choices, an octet that seeds the cuts, and what the peer sends.  Whatever
that is: nothing raises, the same happens however it is cut, what is kept and written stays within
bounds, nothing is parsed after a connection error, and in the end nothing is left.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from fuzz import octets
from h2o_otel.counters import CLIENT, SERVER, Counters, Snapshot
from h2o_otel.errors import H2OError, LocalProtocolError
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import ConnectionConfig
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.rules import all_rules
from h2o_otel.streams.stream import Stream
from tests.support import wire
from tests.support.counting import repeatable
from tests.support.engine import GET, POST
from tests.support.feeds import Feed, cut_at, in_place, whole

RULES = {rule.token for rule in all_rules()} | {"rst_stream_received", "goaway_received", "connection_lost", "closed"}
GAUGES = (
    "stream_active",
    "flow_control_unread",
    "connection_active",
    "hpack_table_size",
    "hpack_table_capacity",
    "frame_control_queue_size",
)
BODY = 70_000
# What one frame of the peer can make a connection write beside bodies: acknowledgements, RST_STREAM, credits, an answer's fields.
ANSWER_BYTES = 400
# Close enough that inputs reach them.
TIGHT: dict[str, Any] = {
    "streams_max": 3,
    "streams_held_max": 2,
    "streams_held_bytes_max": 700,
    "header_list_bytes_max": 500,
    "header_fields_max": 10,
    "continuation_frames_max": 3,
    "closed_streams_remembered_max": 2,
    "stream_window_bytes": 1000,
    "connection_window_bytes": 65_535,
    "send_buffer_stream_bytes": 1000,
    "output_high_water_bytes": 2000,
    "resets_received_burst": 4,
    "resets_sent_burst": 3,
    "pings_burst": 3,
    "settings_burst": 3,
    "glitches_burst": 5,
    "window_updates_base": 3,
    "priority_frames_per_stream_max": 2,
    "push_promises_max": 2,
    "flight_recorder_frames": 4,
}


class Application(Handler):
    """Does something at every event, by ``choices``, and writes down what it was told."""

    def __init__(self, choices: int) -> None:
        self.told: list[Any] = []
        self.connection: Any = None
        self.seen: dict[int, Stream] = {}
        self.closed: set[int] = set()
        self.reset: set[int] = set()
        self.how = choices >> 3 & 3
        self.credits = choices & 32 == 0

    def tell(self, stream: Stream, what: str, *more: Any) -> None:
        assert stream.id not in self.closed, f"{what} after stream_closed of {stream.id}"
        self.seen[stream.id] = stream
        self.told.append((what, stream.id, *more))

    def verb(self, name: str, *arguments: Any) -> Any:
        """A verb works, or says why it is not allowed."""
        try:
            return getattr(self.connection, name)(*arguments)
        except LocalProtocolError as error:
            self.told.append(("refused", str(error)))
            return None

    def answer(self, stream: Stream) -> None:
        if self.how == 0:
            self.verb("send_response", stream, 200, [(b"x-id", b"%d" % stream.id)], False, 1.0)
            self.verb("send_data", stream, b"x" * BODY, stream.id != 3, 1.0)
        elif self.how == 1:
            self.verb("send_informational", stream, 103, [(b"link", b"</a>")], 1.0)
            promised = self.verb("send_push_promise", stream, GET, 1.0)
            if promised is not None:
                self.seen[promised.id] = promised
                if promised.id != 4:
                    self.verb("send_response", promised, 200, [], promised.id == 2, 1.0)
            self.verb("send_response", stream, 200, [], False, 1.0)
            self.verb("send_data", stream, b"x" * 10, False, 1.0)
            self.verb("send_trailers", stream, [(b"a", b"b")], 1.0)
        elif self.how == 2:
            self.verb("reset_stream", stream, 8, 1.0)
        # Otherwise it never answers.

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        self.tell(stream, "request", stream.method, stream.path, list(stream.headers or ()), end_stream)
        self.answer(stream)

    def response_received(self, stream: Stream, end_stream: bool) -> None:
        self.tell(stream, "response", stream.status, list(stream.headers or ()), end_stream)

    def informational_received(self, stream: Stream, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.tell(stream, "informational", status, list(headers))
        if self.how == 2:
            self.verb("send_data", stream, b"y" * 10, True, 1.0)

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        self.tell(stream, "data", data, end_stream)
        if self.credits:
            self.verb("credit", stream, len(data), 1.0)
        if self.how == 3 and stream.id == 5:
            self.verb("shutdown", 1.0)

    def trailers_received(self, stream: Stream) -> None:
        self.tell(stream, "trailers", list(stream.trailers or ()))

    def stream_writable(self, stream: Stream) -> None:
        self.tell(stream, "writable")

    def stream_reset(self, stream: Stream, error: H2OError) -> None:
        assert stream.id not in self.reset, f"stream_reset twice on {stream.id}"
        self.reset.add(stream.id)
        self.tell(stream, "reset", str(error), self.fault(error))

    def stream_closed(self, stream: Stream) -> None:
        self.tell(stream, "closed", stream.body_received, stream.recv_unread)
        self.closed.add(stream.id)

    def push_received(self, stream: Stream, promised: Stream) -> None:
        self.tell(stream, "push", promised.id, promised.path)
        self.tell(promised, "promised")
        if self.how == 2:
            self.verb("reset_stream", promised, 8, 1.0)

    def goaway_received(self, last_stream_id: int, code: int, debug: bytes) -> None:
        self.told.append(("goaway", last_stream_id, code, debug))

    def settings_received(self) -> None:
        self.told.append(("settings", dict(self.connection.remote_settings)))
        if self.how == 3:
            self.verb("update_settings", [(4, 20_000), (1, 100)], 1.0)

    def ping_acknowledged(self, payload: bytes, rtt_s: float) -> None:
        self.told.append(("pong", payload, rtt_s))

    def connection_terminated(self, error: H2OError) -> None:
        assert not any(entry[0] == "terminated" for entry in self.told), "connection_terminated twice"
        self.told.append(("terminated", str(error), self.fault(error)))

    def fault(self, error: Any) -> str:
        assert error.rule in RULES, error.rule
        assert len(error.flight) <= self.connection.limits.flight_recorder_frames
        return str(error.rule)


def run(role: int, data: bytes) -> Hashable:
    choices, cuts, peer = data[0] if data else 0, data[1] if len(data) > 1 else 0, data[2:]
    if choices & 1:
        peer = (wire.PREFACE if role == SERVER else b"") + wire.settings({4: 100_000}) + wire.settings_ack() + peer
    told, sent, slots = outcome(role, choices, peer, whole)
    rng = random.Random(cuts)
    pieces = [rng.choice([1, 3, 9, 30, 300]) for _ in range(1 + len(peer) // 8)]
    for feed in (cut_at(pieces), in_place(pieces)):
        again, sent_again, slots_again = outcome(role, choices, peer, feed)
        if told and told[-1][-1] == "preface_invalid":
            # Its text quotes as much of the preface as is there.
            assert [entry[-1] for entry in again[-1:]] == ["preface_invalid"]
            continue
        assert again == told
        assert sent_again == sent
        assert slots_again == slots
    return tuple((entry[0], entry[-1] if isinstance(entry[-1], (str, bool)) else "") for entry in told[:40])


def outcome(role: int, choices: int, peer: bytes, feed: Feed) -> tuple[list[Any], bytes, dict[str, list[int]]]:
    """What the application was told, what was written, and the counters."""
    application, block = Application(choices), Counters()
    limits = CLIENT_LIMITS if role == CLIENT else SERVER_LIMITS
    if choices & 2:
        limits = replace(limits, **TIGHT)
    connection = Connection(ConnectionConfig(role=role, limits=limits, enable_push=role == CLIENT and choices & 4 == 0), application, block)
    application.connection = connection
    connection.start(1.0)
    if role == CLIENT:
        application.seen[1] = connection.send_request(GET, True, 1.0)
        stream = application.seen[3] = connection.send_request(POST, False, 1.0)
        connection.send_data(stream, b"x" * BODY, True, 1.0)
        application.seen[5] = connection.send_request(POST, False, 1.0)
        connection.send_ping(b"12345678", 1.0)
    feed(connection, peer)
    check(connection, application)
    nothing_more_is_parsed(connection, application)
    connection.pump(1.0)
    sent = connection.data_to_send()
    check_frames(sent, connection, application)
    check(connection, application)
    told, slots = list(application.told), repeatable(block)
    end(connection, application, block)
    return told, sent, slots


def check(connection: Connection, application: Application) -> None:
    """Bounds and sums that hold at any time."""
    limits, streams = connection.limits, connection.streams
    assert connection.queued == sum(s.queued for s in streams.values())
    assert connection.streams_open == len(streams)
    assert len(connection.reset_streams) <= limits.closed_streams_remembered_max
    assert len(connection.idle_priorities) <= limits.streams_max
    assert 0 <= connection.held_bytes <= limits.streams_held_bytes_max
    assert connection.streams or not connection.held_bytes
    assert 0 <= connection.send_window <= 2**31 - 1
    assert connection.decoder.table.size <= connection.decoder.table.capacity
    assert set(application.seen) >= set(streams)
    unread = sum(s.recv_unread for s in application.seen.values())
    if not connection.closed:
        assert connection.recv_window + connection.recv_uncredited + unread == connection.recv_target
        assert set(streams).isdisjoint(application.closed)
    frames = connection.frames_received + 1
    # Bodies stop at the high-water mark, one frame may pass it.
    bodies = min(limits.output_high_water_bytes + 17_000, sum(s.body_sent for s in application.seen.values()))
    assert connection.out_size() <= bodies + ANSWER_BYTES * frames + 1000


def nothing_more_is_parsed(connection: Connection, application: Application) -> None:
    """After a connection error the peer's octets are not even looked at."""
    if connection.closed:
        before = connection.frames_received, len(application.told), connection.out_size()
        connection.receive(wire.ping(b"afterall") + wire.rst_stream(1, 8) + wire.goaway(0), 1.0)
        assert before == (connection.frames_received, len(application.told), connection.out_size())


def check_frames(sent: bytes, connection: Connection, application: Application) -> None:
    """The output is frames that the peer may be sent."""
    frame_max = max([16_384, *(entry[1].get(5, 0) for entry in application.told if entry[0] == "settings")])
    for frame in wire.frames(sent):
        assert len(frame.payload) <= frame_max
        if frame.type == wire.WINDOW_UPDATE:
            assert int.from_bytes(frame.payload, "big") > 0


def end(connection: Connection, application: Application, block: Counters) -> None:
    """Deadlines pass, the transport goes, and nothing is left."""
    for now in (30.0, 60.0, 200.0):
        connection.tick(now)
        check(connection, application)
    connection.connection_lost(None, 300.0)
    assert connection.next_deadline() == math.inf
    assert (connection.streams, connection.queued, connection.scheduler.waiting) == ({}, 0, 0)
    assert application.closed == set(application.seen)
    for stream in application.seen.values():
        connection.credit(stream, stream.recv_unread, 300.0)
    snapshot = Snapshot()
    snapshot.add_block(block)
    for gauge in GAUGES:
        assert snapshot.value(gauge) == 0, gauge


# -- new inputs

STREAM_IDS = [0, 1, 1, 2, 3, 4, 5, 7, 9, 2**31 - 1]


def mutate(role: int, data: bytes, rng: random.Random) -> bytes:
    head, frames = bytearray(data[:2].ljust(2, b"\x01")), split(data[2:])
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        place = rng.randrange(len(frames) + 1)
        what = rng.randrange(9)
        if what <= 1 or not frames:
            frames.insert(place, new_frame(role, rng))
        elif what == 2:
            frames.insert(place, rng.choice(frames))
        elif what == 3:
            del frames[place % len(frames)]
        elif what == 4:
            head[rng.randrange(2)] = rng.randrange(256)
        elif what == 5:
            i = place % len(frames)
            frames[i] = octets.mutated(frames[i], rng)
        else:
            i = place % len(frames)
            frames[i] = changed_frame(frames[i], rng)
    return bytes(head) + b"".join(frames[:60])


def split(peer: bytes) -> list[bytes]:
    """The frames of an input, as far as there are any."""
    found, pos = [], 0
    while pos < len(peer):
        n = 9 + int.from_bytes(peer[pos : pos + 3], "big")
        found.append(peer[pos : pos + n])
        pos += n
    return found


def changed_frame(frame: bytes, rng: random.Random) -> bytes:
    """Another flag, stream or payload; the length follows, unless it is meant to lie."""
    if len(frame) < 9:
        return frame + bytes(9 - len(frame))
    header, payload = bytearray(frame[:9]), frame[9:]
    what = rng.randrange(5)
    if what == 0:
        header[4] ^= rng.choice([1, 4, 8, 32])
    elif what == 1:
        header[5:9] = rng.choice(STREAM_IDS).to_bytes(4, "big")
    elif what == 2:
        header[3] = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 32])
    elif what == 3:
        payload = octets.mutated(payload, rng)
        header[0:3] = len(payload).to_bytes(3, "big")
    else:
        header[0:3] = rng.choice([0, 1, 4, 5, 8, len(payload) + 1, 16_384, 16_385]).to_bytes(3, "big")
    return bytes(header) + payload


def new_frame(role: int, rng: random.Random) -> bytes:
    stream_id, fin = rng.choice(STREAM_IDS), rng.random() < 0.5
    block = b"".join(rng.choice(octets.REPRESENTATIONS) for _ in range(rng.randrange(3)))
    root = (
        wire.request_block(rng.choice([b"GET", b"POST", b"HEAD"])) if role == SERVER else wire.response_block(rng.choice([103, 200, 204]))
    )
    if rng.random() < 0.7:
        block = root + block
    makers: list[Callable[[], bytes]] = [
        lambda: wire.headers(stream_id, block, end_stream=fin),
        lambda: wire.headers(stream_id, block, end_stream=fin),
        lambda: wire.headers(stream_id, block[:5], end_stream=fin, end_headers=False) + wire.continuation(stream_id, block[5:]),
        lambda: wire.data(stream_id, bytes(rng.choice([0, 1, 300, 1000, 16_384])), end_stream=fin),
        lambda: wire.data(stream_id, b"abc", end_stream=fin, padding=rng.choice([0, 1, 255])),
        lambda: wire.settings({rng.choice([1, 2, 3, 4, 5, 6, 8, 9, 77]): rng.choice([0, 1, 100, 16_384, 65_536, 2**31 - 1, 2**31])}),
        lambda: wire.settings_ack(),
        lambda: wire.window_update(stream_id, rng.choice([0, 1, 1000, 70_000, 2**31 - 1])),
        lambda: wire.rst_stream(stream_id, rng.choice([0, 7, 8, 99])),
        lambda: wire.ping(rng.choice([b"12345678", b"abcdefgh"]), ack=fin),
        lambda: wire.goaway(stream_id, rng.choice([0, 2, 99]), b"x" * rng.randrange(3)),
        lambda: wire.priority(stream_id, rng.choice([0, 1, 3])),
        lambda: wire.priority_update(stream_id, rng.choice([b"u=1", b"i", b"u=7, i", b"\xff"])),
        lambda: wire.push_promise(stream_id, rng.choice([2, 4, 6, 7]), wire.request_block() + block[:4]),
        lambda: wire.continuation(stream_id, block, end_headers=fin),
        lambda: wire.frame(rng.randrange(256), rng.randrange(256), stream_id, rng.randbytes(rng.randrange(20))),
    ]
    return rng.choice(makers)()
