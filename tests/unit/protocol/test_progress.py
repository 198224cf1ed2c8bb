"""Pauses in bodies: honest ones end nothing while nothing is short, and what is owed is asked for while something is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from h2o_otel import counters
from h2o_otel.limits import SERVER_LIMITS, EngineLimits
from h2o_otel.memory.budget import QUEUES
from h2o_otel.protocol.config import server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.handler import Handler
from h2o_otel.rules import Violation
from h2o_otel.streams.stream import Stream
from tests.support.engine import GET, POST, Peer, requesting, serving
from tests.support.wire import PREFACE, block, data, frames, headers, ping, request_block, response_block, settings, window_update

SHORT = replace(SERVER_LIMITS, pressure_percent=0)
LENGTH = (b"content-length", b"100000")
PING = 6


def passes(peer: Peer, seconds: int, *, answers: bool = True) -> None:
    """Time goes by second by second; the peer answers PINGs where it ``answers``."""
    for _ in range(seconds):
        peer.now += 1.0
        peer.connection.tick(peer.now)
        if answers:
            sent = frames(peer.connection.data_to_send())
            peer.sends(*(ping(f.payload, ack=True) for f in sent if f.type == PING and not f.flags & 1))


def rules(peer: Peer) -> list[str]:
    return [error.rule for error in peer.errors()]


def uploading(limits: EngineLimits = SERVER_LIMITS, fields: bytes | None = None) -> tuple[Any, Peer]:
    """A server with an open request whose application waits for the body."""
    server, peer = serving(limits)
    peer.sends(headers(1, request_block(b"POST") if fields is None else fields))
    return server, peer


def gives(server: Any, peer: Peer, octets: int) -> None:
    """The peer sends body, and the application takes it."""
    peer.sends(data(1, bytes(octets)))
    server.credit(server.streams[1], octets, peer.now)


# -- honest pauses


@pytest.mark.parametrize("pause_s", [8, 12, 60, 85])
@pytest.mark.parametrize("fields", [request_block(b"POST"), request_block(b"POST", b"/", LENGTH)], ids=["open end", "length"])
def test_upload_that_pauses(pause_s: int, fields: bytes) -> None:
    """Chromium's streaming fetch, a generator of httpx, a gRPC client stream: 100 octets, a pause, 100 more; again and again."""
    server, peer = uploading(fields=fields)
    for _ in range(5):
        gives(server, peer, 100)
        passes(peer, pause_s)
    assert list(server.streams) == [1]
    assert rules(peer) == []


@pytest.mark.parametrize("pause_s", [8, 60])
def test_upload_that_pauses_while_a_resource_is_short(pause_s: int) -> None:
    server, peer = uploading(SHORT)
    gives(server, peer, 100)
    passes(peer, pause_s)
    assert rules(peer) == ["body_too_slow"]


def test_pause_that_is_too_long() -> None:
    server, peer = uploading()
    gives(server, peer, 100)
    passes(peer, 90)
    assert list(server.streams) == [1]
    passes(peer, 1)
    assert rules(peer) == ["body_stalled"]


def test_no_bound_on_pauses() -> None:
    server, peer = uploading(replace(SERVER_LIMITS, body_stall_timeout_s=None))
    passes(peer, 10_000)
    assert list(server.streams) == [1]


def test_application_that_does_something_else_is_owed_nothing() -> None:
    """The client waits for an application that is not in receive(); what is owed begins when it is."""
    for limits, patience_s in ((SERVER_LIMITS, 91), (SHORT, 6)):
        server, peer = uploading(limits)
        server.streams[1].awaited = False
        passes(peer, 300)
        assert list(server.streams) == [1]
        server.streams[1].awaited = True
        passes(peer, patience_s - 1)
        assert list(server.streams) == [1]
        passes(peer, 1)
        assert list(server.streams) == []


@pytest.mark.parametrize("limits", [SERVER_LIMITS, SHORT], ids=["plenty", "short"])
def test_bidirectional_stream_may_pause_for_ever(limits: EngineLimits) -> None:
    """gRPC: both sides talk when they have something to say."""
    server, peer = uploading(limits)
    server.send_response(server.streams[1], 200, [], False, peer.now)
    server.send_data(server.streams[1], b"hello", False, peer.now)
    for _ in range(5):
        passes(peer, 600)
        gives(server, peer, 5)
        server.send_data(server.streams[1], b"hello", False, peer.now)
    assert list(server.streams) == [1]


@pytest.mark.parametrize("limits", [SERVER_LIMITS, SHORT], ids=["plenty", "short"])
def test_events_that_come_rarely(limits: EngineLimits) -> None:
    """Server-sent events: the client has all there was, so it owes nothing, however long nothing is sent."""
    server, peer = serving(limits)
    peer.sends(headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    for _ in range(3):
        server.send_data(server.streams[1], b"data: x\n\n", False, peer.now)
        server.data_to_send()
        passes(peer, 600)
    assert list(server.streams) == [1]


@pytest.mark.parametrize(("limits", "survives"), [(SERVER_LIMITS, True), (SHORT, False)], ids=["plenty", "short"])
def test_download_whose_reader_pauses_for_a_minute(limits: EngineLimits, survives: bool) -> None:
    server, peer = serving(limits)
    peer.sends(headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    server.send_data(server.streams[1], bytes(500_000), True, peer.now)
    for _ in range(4):
        if server.streams:
            passes(peer, 60)
            peer.sends(window_update(0, 65_535), window_update(1, 65_535))
            server.pump(peer.now)
    assert bool(server.streams) is survives
    assert rules(peer) == ([] if survives else ["send_stalled"])
    assert not server.closed


# -- clients that read only once they have sent


def test_client_that_does_not_read_while_it_sends() -> None:
    """It acknowledges SETTINGS and answers PING when its body is complete, as synchronous clients do."""
    server, peer = serving(handshake=False)
    peer.sends(PREFACE + settings(), headers(1, request_block(b"POST")))
    server.send_ping(b"12345678", peer.now)
    for _ in range(3):
        gives(server, peer, 100)
        passes(peer, 60, answers=False)
    peer.sends(data(1, b"", end_stream=True))
    assert not server.closed
    # From its end on there are the usual ten and five seconds.
    passes(peer, 3, answers=False)
    assert not server.closed
    passes(peer, 4, answers=False)
    assert [error.rule for error in peer.errors()][-1] == "ping_timeout"


def test_client_that_sends_all_its_body_and_never_acknowledges() -> None:
    _server, peer = serving(handshake=False)
    peer.sends(PREFACE + settings(), headers(1, request_block(b"POST")))
    passes(peer, 40, answers=False)
    peer.sends(data(1, b"", end_stream=True))
    passes(peer, 11, answers=False)
    assert [error.rule for error in peer.errors()][-1] == "settings_timeout"


def test_held_streams_are_no_excuse_for_no_acknowledgement() -> None:
    server, peer = serving(replace(SERVER_LIMITS, streams_max=2), handshake=False)
    peer.sends(PREFACE + settings(), *(headers(n, request_block(b"POST")) for n in (1, 3, 5, 7)))
    assert server.held_bytes
    passes(peer, 12, answers=False)
    assert [error.rule for error in peer.errors()][-1] == "settings_timeout"


def test_nothing_is_excused_while_a_resource_is_short() -> None:
    server, peer = serving(SHORT, handshake=False)
    peer.sends(PREFACE + settings(), headers(1, request_block(b"POST")))
    server.streams[1].awaited = False
    passes(peer, 11, answers=False)
    assert [error.rule for error in peer.errors()][-1] == "settings_timeout"


def test_server_that_is_busy_before_it_says_anything() -> None:
    """A handler that blocks its loop: the request's own timeouts decide, not ours."""
    client, peer = requesting(handshake=False)
    client.send_request(GET, True, peer.now)
    passes(peer, 60)
    assert not client.closed
    peer.sends(settings())
    passes(peer, 25)
    assert not client.closed
    passes(peer, 6)
    assert [error.rule for error in peer.errors()][-1] == "settings_timeout"


@pytest.mark.parametrize("limits", [SERVER_LIMITS, SHORT], ids=["plenty", "short"])
def test_server_that_pauses(limits: EngineLimits) -> None:
    """A client ends nothing by itself: neither an upload that is not taken, nor a response that does not come."""
    client, peer = requesting(limits)
    client.send_request(POST, False, peer.now)
    client.send_data(client.streams[1], bytes(1_000_000), False, peer.now)
    client.send_request(GET, True, peer.now)
    peer.sends(headers(3, response_block()), data(3, bytes(100)))
    passes(peer, 600)
    assert list(client.streams) == [1, 3]


# -- what is short


def test_memory_that_becomes_short_and_is_not_any_more() -> None:
    """Strict only meanwhile, and the peer's seconds count from then on."""
    block_of = counters.local()
    limits = replace(SERVER_LIMITS, memory_process_bytes_max=10_000_000)
    config = server_config(limits)
    connection = Connection(config, None, block_of)
    peer = Peer(connection, block_of)
    connection.start(peer.now)
    peer.sends(PREFACE, settings(), b"\x00\x00\x00\x04\x01\x00\x00\x00\x00")
    peer.sends(headers(1, request_block(b"POST")))
    passes(peer, 60)
    assert not connection.budget.short
    block_of.add("memory_usage", QUEUES, 8_000_000)
    try:
        passes(peer, 4)
        assert connection.budget.short
        assert list(connection.streams) == [1]
    finally:
        block_of.add("memory_usage", QUEUES, -8_000_000)
    passes(peer, 20)
    assert not connection.budget.short
    assert list(connection.streams) == [1]
    connection.connection_lost(None, peer.now)


class Answering(Handler):
    """A layer above that is short of something, and answers what is overdue."""

    def __init__(self, answers: bool) -> None:
        self.short = ""
        self.answers = answers
        self.overdue: list[tuple[int, str]] = []
        self.resets: list[str] = []
        self.connection: Any = None

    def short_of(self) -> str:
        return self.short

    def body_overdue(self, stream: Stream, violation: Violation) -> bool:
        self.overdue.append((stream.id, violation.rule.token))
        if self.answers:
            stream.awaited = False
            self.connection.send_response(stream, 408, [], True, self.connection.now)
            self.connection.reset_stream(stream, 0, self.connection.now)
        return self.answers

    def stream_reset(self, stream: Stream, error: Any) -> None:
        self.resets.append(error.rule)


def layered(answers: bool) -> tuple[Answering, Peer]:
    handler = Answering(answers)
    block_of = counters.Counters()
    connection = handler.connection = Connection(server_config(SERVER_LIMITS), handler, block_of)
    peer = Peer(connection, block_of)
    connection.start(peer.now)
    peer.sends(PREFACE, settings(), b"\x00\x00\x00\x04\x01\x00\x00\x00\x00")
    peer.forget()
    return handler, peer


@pytest.mark.parametrize("answers", [True, False])
def test_the_layer_above_may_answer_what_is_overdue(answers: bool) -> None:
    handler, peer = layered(answers)
    handler.short = "handlers"
    peer.sends(headers(1, request_block(b"POST")))
    passes(peer, 6)
    assert handler.overdue == [(1, "body_too_slow")]
    assert handler.resets == ([] if answers else ["body_too_slow"])
    assert peer.counted("abuse_detections") == {("body_too_slow", "refused" if answers else "reset"): 1}


def test_a_response_that_has_begun_is_reset() -> None:
    handler, peer = layered(True)
    handler.short = "connections"
    peer.sends(headers(1, request_block(b"POST", b"/", LENGTH)))
    handler.connection.send_response(handler.connection.streams[1], 200, [], False, peer.now)
    passes(peer, 6)
    assert (handler.overdue, handler.resets) == ([], ["body_too_slow"])


def test_a_pause_before_the_shortage_is_forgiven_for_a_while() -> None:
    handler, peer = layered(True)
    peer.sends(headers(1, request_block(b"POST")))
    passes(peer, 60)
    handler.short = "memory"
    passes(peer, 5)
    assert handler.overdue == []
    passes(peer, 1)
    assert handler.overdue == [(1, "body_too_slow")]


def test_a_shortage_that_comes_and_goes_ends_nobody() -> None:
    handler, peer = layered(True)
    peer.sends(headers(1, request_block(b"POST")))
    for _ in range(8):
        handler.short = "memory"
        passes(peer, 4)
        handler.short = ""
        passes(peer, 4)
    assert handler.overdue == []


def test_many_slow_clients_behind_one_proxy_do_not_end_its_connection() -> None:
    """Rules of time do not count as faults of the peer: a proxy has the streams of many clients on one connection."""
    server, peer = serving(SHORT)
    for n in range(300):
        peer.sends(headers(2 * n + 1, request_block(b"POST")))
        if n % 100 == 99:
            passes(peer, 7)
    assert not server.streams
    assert not server.closed


def test_request_that_is_refused_is_told_above() -> None:
    told: list[tuple[int, str]] = []

    class Told(Handler):
        def request_refused(self, stream_id: int, rule: str, violation: Violation | None) -> None:
            told.append((stream_id, rule))

    block_of = counters.Counters()
    connection = Connection(server_config(replace(SERVER_LIMITS, streams_max=1)), Told(), block_of)
    peer = Peer(connection, block_of)
    connection.start(peer.now)
    peer.sends(PREFACE, settings(), b"\x00\x00\x00\x04\x01\x00\x00\x00\x00")
    peer.sends(headers(1, block((b":method", b"GET"), (b"X-Bad", b"1")), end_stream=True))
    peer.sends(headers(3, request_block(b"POST")), headers(5, request_block(b"POST")))
    assert told == [(1, "field_name_invalid"), (5, "streams_exceeded")]
