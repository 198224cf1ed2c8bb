"""However octets are cut, the same happens: whole, one by one, at random, in place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from h2o_otel import counters
from h2o_otel.counters import CLIENT, Counters
from h2o_otel.errors import H2OError, LocalProtocolError
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import ConnectionConfig
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.streams.stream import Stream
from tests.support import traffic, wire
from tests.support.engine import GET, POST
from tests.support.feeds import Feed, cut_at, in_a_larger_buffer, in_place, one_by_one, whole

pytestmark = pytest.mark.time_limit(600)  # the long profile
# Time spent is the one thing that is never the same.
TIMES = counters.slot("hpack_time_ns")
# And whether a name is known: the process remembers names of earlier connections.
NAMES = counters.slot("hpack_names")
NAMES_END = NAMES + 2 * len(counters.NAME_RESULTS)


class Application(Handler):
    """Answers every request, credits every other body at once, and writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.connection: Any = None

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        self.told.append(("request", stream.id, stream.method, stream.path, list(stream.headers or ()), end_stream))
        self.connection.send_response(stream, 200, [(b"x-id", b"%d" % stream.id)], False, 1.0)
        self.connection.send_data(stream, b"x" * 70_000, stream.id != 3, 1.0)

    def response_received(self, stream: Stream, end_stream: bool) -> None:
        self.told.append(("response", stream.id, stream.status, list(stream.headers or ()), end_stream))

    def informational_received(self, stream: Stream, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.told.append(("informational", stream.id, status, list(headers)))

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        self.told.append(("data", stream.id, data, end_stream))
        if stream.id != 5:
            self.connection.credit(stream, len(data), 1.0)

    def trailers_received(self, stream: Stream) -> None:
        self.told.append(("trailers", stream.id, list(stream.trailers or ())))

    def stream_reset(self, stream: Stream, error: H2OError) -> None:
        self.told.append(("reset", stream.id, str(error)))

    def stream_closed(self, stream: Stream) -> None:
        self.told.append(("closed", stream.id, stream.body_received, stream.recv_unread))

    def push_received(self, stream: Stream, promised: Stream) -> None:
        self.told.append(("push", stream.id, promised.id, promised.path))

    def goaway_received(self, last_stream_id: int, code: int, debug: bytes) -> None:
        self.told.append(("goaway", last_stream_id, code, debug))

    def settings_received(self) -> None:
        self.told.append(("settings", dict(self.connection.remote_settings)))

    def ping_acknowledged(self, payload: bytes, rtt_s: float) -> None:
        self.told.append(("pong", payload, rtt_s))

    def connection_terminated(self, error: H2OError) -> None:
        self.told.append(("terminated", str(error)))


def outcome(role: int, octets: bytes, feed: Feed) -> tuple[list[Any], bytes, list[int]]:
    """The events, the octets sent, and the counters."""
    application, block = Application(), Counters()
    limits = CLIENT_LIMITS if role == CLIENT else SERVER_LIMITS
    connection = Connection(ConnectionConfig(role=role, limits=limits, enable_push=role == CLIENT), application, block)
    application.connection = connection
    connection.start(1.0)
    if role == CLIENT:
        connection.send_request(GET, True, 1.0)
        connection.send_data(connection.send_request(POST, False, 1.0), b"x" * 70_000, True, 1.0)
        connection.send_ping(b"12345678", 1.0)
    feed(connection, octets)
    connection.pump(1.0)
    sent = connection.data_to_send()
    connection.connection_lost(None, 2.0)
    assert connection.streams == {}
    slots = block.read_slots()
    slots[TIMES : TIMES + 2] = [0, 0]
    slots[NAMES:NAMES_END] = [0] * (NAMES_END - NAMES)
    return application.told, sent, slots


CUTS = st.lists(st.integers(0, 60), max_size=60)


@given(traffic.to_server(), CUTS)
def test_server(steps: list[bytes], cuts: list[int]) -> None:
    octets = wire.PREFACE + wire.settings() + b"".join(steps)
    same_however_cut(1, octets, cuts)


@given(traffic.to_client(), CUTS)
@example([wire.headers(1, b"\x88"), wire.data(1, b"x" * 100, padding=3)], [1, 2, 3])
def test_client(steps: list[bytes], cuts: list[int]) -> None:
    octets = wire.settings({4: 2**20}) + b"".join(steps)
    same_however_cut(0, octets, cuts)


def same_however_cut(role: int, octets: bytes, cuts: list[int]) -> None:
    expected = outcome(role, octets, whole)
    for feed in (one_by_one, cut_at(cuts), in_place(cuts), in_place([1] * len(octets)), in_a_larger_buffer):
        assert outcome(role, octets, feed) == expected


@given(st.sampled_from([0, 1]), st.binary(max_size=200), st.booleans(), CUTS)
def test_garbage_never_raises(role: int, garbage: bytes, greeted: bool, cuts: list[int]) -> None:
    greeting = ((wire.PREFACE if role else b"") + wire.settings()) if greeted else b""
    told = [outcome(role, greeting + garbage, feed)[0] for feed in (whole, one_by_one, cut_at(cuts))]
    # The text for a wrong preface quotes as much of it as is there.
    assert {tuple(entry[0] for entry in one) for one in told} == {tuple(entry[0] for entry in told[0])}


@given(traffic.to_server())
def test_errors_are_documented_rules(steps: list[bytes]) -> None:
    from h2o_otel.rules import all_rules

    block = Counters()
    connection = Connection(ConnectionConfig(role=1), None, block)
    connection.start(1.0)
    for event in connection.receive(wire.PREFACE + wire.settings() + b"".join(steps), 1.0):
        error = getattr(event, "error", None)
        if error is not None and error.initiator == "local":
            assert error.rule in {rule.token for rule in all_rules()}
    assert {key[1] for key in block.read_labelled()["frame_errors"]} <= {rule.token for rule in all_rules()}


@given(traffic.to_server(), st.randoms(use_true_random=False))
def test_verbs_at_any_time(steps: list[bytes], random: Any) -> None:
    """Verbs between hostile frames either work or raise LocalProtocolError."""
    block = Counters()
    connection = Connection(ConnectionConfig(role=1), None, block)
    connection.start(1.0)
    connection.receive(wire.PREFACE + wire.settings(), 1.0)
    seen: list[Stream] = []
    for step in steps:
        seen += [e.stream for e in connection.receive(step, 1.0) if hasattr(e, "stream")]
        if not seen:
            continue
        stream = random.choice(seen)
        verb = random.choice(
            [
                lambda s: connection.send_response(s, 200, [], random.random() < 0.3, 1.0),
                lambda s: connection.send_data(s, b"x" * random.choice([0, 10, 100_000]), random.random() < 0.3, 1.0),
                lambda s: connection.send_trailers(s, [(b"a", b"b")], 1.0),
                lambda s: connection.send_informational(s, 103, [], 1.0),
                lambda s: connection.send_push_promise(s, GET, 1.0),
                lambda s: connection.reset_stream(s, 8, 1.0),
                lambda s: connection.credit(s, random.randrange(500), 1.0),
                lambda s: connection.pump(1.0),
                lambda s: connection.pause_output(),
                lambda s: connection.resume_output(1.0),
                lambda s: connection.update_settings([(4, random.choice([0, 10, 10**6]))], 1.0),
            ]
        )
        try:
            verb(stream)
        except LocalProtocolError:
            pass
        assert connection.queued == sum(s.queued for s in connection.streams.values())
        assert connection.streams_open == len(connection.streams)
    wire.frames(connection.data_to_send())
    connection.connection_lost(None, 2.0)
    assert (connection.queued, connection.streams_open, connection.scheduler.waiting) == (0, 0, 0)
