"""Whatever is switched, a connection does the same things: default, everything off, and each switch alone."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.counters import Counters
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.tuning import Tuning

DEFAULT = Tuning()
SWITCHES = [field.name for field in fields(Tuning)]
OTHERS = {name: replace(DEFAULT, **{name: not getattr(DEFAULT, name)}) for name in SWITCHES} | {"baseline": Tuning.baseline()}

Fields = list[tuple[bytes, bytes]]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


class End(Handler):
    """Writes down what it is told about each message; the order between streams is the scheduler's own."""

    def __init__(self) -> None:
        self.connection: Any = None
        self.seen: dict[int, list[Any]] = {}
        self.bodies: dict[int, bytes] = {}

    def saw(self, stream: Any, *what: Any) -> None:
        self.seen.setdefault(stream.id, []).append(what)

    def data_received(self, stream: Any, data: bytes, end_stream: bool) -> None:
        self.connection.credit(stream, len(data), 1.0)
        self.bodies[stream.id] = self.bodies.get(stream.id, b"") + data
        if end_stream:
            self.message_ended(stream)

    def trailers_received(self, stream: Any) -> None:
        self.message_ended(stream)

    def message_ended(self, stream: Any) -> None:
        body = self.bodies.pop(stream.id, b"")
        self.saw(stream, "end", len(body), digest(body), stream.trailers)

    def stream_reset(self, stream: Any, error: Any) -> None:
        self.bodies.pop(stream.id, None)
        self.saw(stream, "reset", error.rule, error.code)

    def stream_closed(self, stream: Any) -> None:
        self.saw(stream, "closed")


class Client(End):
    def response_received(self, stream: Any, end_stream: bool) -> None:
        self.saw(stream, "response", stream.status, stream.headers)

    def informational_received(self, stream: Any, status: int, headers: Fields) -> None:
        self.saw(stream, "informational", status, headers)


class Server(End):
    def request_received(self, stream: Any, end_stream: bool) -> None:
        self.saw(stream, "request", stream.method, stream.path, stream.headers)
        if end_stream:
            self.message_ended(stream)

    def message_ended(self, stream: Any) -> None:
        super().message_ended(stream)
        connection, n = self.connection, stream.id
        if n % 5 == 0:
            connection.reset_stream(stream, 8, 1.0)
            return
        if n % 3 == 0:
            connection.send_informational(stream, 103, [(b"link", b"</style.css>")], 1.0)
        connection.send_response(stream, 200, [(b"content-type", b"text/plain"), (b"x-request-id", b"%d" % n)], False, 1.0)
        connection.send_data(stream, b"%d" % n * (n * 700), n % 7 != 0, 1.0)
        if n % 7 == 0:
            connection.send_trailers(stream, [(b"x-checksum", b"%d" % n)], 1.0)


def request(i: int) -> Fields:
    return [
        (b":method", b"POST" if i % 2 else b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"example.com"),
        (b":path", b"/items/%d" % i),
        (b"user-agent", b"test"),
        (b"cookie", b"session=%d" % (i // 10)),
        (b"traceparent", b"00-%032x-%016x-01" % (i, i)),
    ]


def carry(client: Connection, server: Connection) -> None:
    """Until both are silent, in reads that cut frames."""
    for _ in range(1000):
        moved = False
        for sender, receiver in ((client, server), (server, client)):
            sender.pump(1.0)
            octets = sender.data_to_send()
            for at in range(0, len(octets), 3000):
                receiver.receive(octets[at : at + 3000], 1.0)
                moved = True
        if not moved:
            return
    raise AssertionError("the two never fall silent")


def conversation(tuning: Tuning) -> dict[str, Any]:
    """30 requests with and without bodies, interim responses, trailers and resets, and a graceful end."""
    client_block, server_block = Counters(), Counters()
    asking, answering = Client(), Server()
    client = asking.connection = Connection(client_config(CLIENT_LIMITS, tuning=tuning), asking, client_block)
    server = answering.connection = Connection(server_config(SERVER_LIMITS, tuning=tuning), answering, server_block)
    client.start(1.0)
    server.start(1.0)
    carry(client, server)
    for i in range(30):
        stream = client.send_request(request(i), i % 2 == 0, 1.0)
        if i % 2:
            client.send_data(stream, b"u" * (i * 900), True, 1.0)
        if i % 10 == 9:
            carry(client, server)
    client.send_ping(b"12345678", 1.0)
    carry(client, server)
    assert not client.streams
    assert not server.streams
    server.shutdown(1.0)
    server.finish_shutdown(1.0)
    carry(client, server)
    result = {
        "client": asking.seen,
        "server": answering.seen,
        "goaway": client.goaway_received,
        "windows": (client.recv_window + client.recv_uncredited, server.recv_window + server.recv_uncredited),
        "errors": (client.error, server.error, client_block.read_labelled()["frame_errors"], server_block.read_labelled()["frame_errors"]),
    }
    for connection in (client, server):
        connection.connection_lost(None, 2.0)
    active = counters.slot("stream_active")
    for block in (client_block, server_block):
        assert block.read_slots()[active : active + 2] == [0, 0]
    return result


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return conversation(DEFAULT)


def test_conversation_is_not_empty(expected: dict[str, Any]) -> None:
    kinds = {what[0] for seen in expected["client"].values() for what in seen}
    assert kinds == {"response", "informational", "end", "reset", "closed"}
    assert len(expected["server"]) == 30


@pytest.mark.parametrize("name", OTHERS)
def test_switch_changes_nothing_that_is_seen(name: str, expected: dict[str, Any]) -> None:
    assert conversation(OTHERS[name]) == expected


def test_parse() -> None:
    assert Tuning.parse("") == DEFAULT
    assert Tuning.parse("baseline") == Tuning.baseline()
    assert Tuning.parse("-stream_priorities, hpack_parallel") == replace(DEFAULT, stream_priorities=False, hpack_parallel=True)
    assert Tuning.parse("baseline,frame_batching") == replace(Tuning.baseline(), frame_batching=True)
    with pytest.raises(ValueError, match="there is no switch 'frame_batch'; there are buffer_pool, "):
        Tuning.parse("-frame_batch")


def test_shown_by_what_differs_from_the_defaults() -> None:
    assert repr(Tuning()) == "Tuning()"
    assert repr(Tuning.parse("-frame_batching")) == "Tuning(frame_batching=False)"


def test_baseline_is_everything_off() -> None:
    assert not any(getattr(Tuning.baseline(), name) for name in SWITCHES)
