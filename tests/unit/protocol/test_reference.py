"""The engine on ``h2`` behind our interface, against itself and against ours."""

from __future__ import annotations

import math
from typing import Any

import pytest

from h2o_otel.counters import Counters, Snapshot
from h2o_otel.errors import LocalProtocolError
from h2o_otel.protocol import make_connection
from h2o_otel.protocol.config import client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.protocol.reference import ReferenceConnection
from tests.support.engine import GET, POST, Peer
from tests.support.wire import PREFACE, data, frame, headers, request_block, settings


class Pair:
    """A client and a server on chosen engines, and a wire between them."""

    def __init__(self, client: str, server: str, push: bool = False) -> None:
        self.block = Counters()
        self.client = Peer(make_connection(client, client_config(enable_push=push), None, self.block), self.block)
        self.server = Peer(make_connection(server, server_config(), None, self.block), self.block)
        self.ends = (self.client, self.server)
        for end in self.ends:
            end.connection.start(1.0)
        self.run()
        for end in self.ends:
            end.forget()

    def run(self, rounds: int = 30) -> None:
        """Carry octets both ways until both are quiet; bodies are credited as they come."""
        for _ in range(rounds):
            for end, other in (self.ends, self.ends[::-1]):
                end.connection.pump(1.0)
                octets = end.connection.data_to_send()
                if octets:
                    seen = len(other.events)
                    other.sends(octets)
                    for event in other.events[seen:]:
                        if hasattr(event, "data"):
                            other.connection.credit(event.stream, len(event.data), 1.0)

    def balanced(self) -> None:
        snapshot = Snapshot()
        snapshot.add_block(self.block)
        assert [end.connection.streams for end in self.ends] == [{}, {}]
        assert snapshot.value("stream_active") == snapshot.value("flow_control_unread") == 0


@pytest.fixture(params=[("h2", "h2"), ("h2", "native"), ("native", "h2"), ("native", "native")], ids="-".join)
def pair(request: Any) -> Pair:
    return Pair(*request.param)


def test_exchange_with_bodies_and_trailers(pair: Pair) -> None:
    client, server = pair.client.connection, pair.server.connection
    stream = client.send_request(POST, False, 1.0, user="mine")
    client.send_data(stream, b"up" * 300_000, False, 1.0)
    client.send_trailers(stream, [(b"a", b"b")], 1.0)
    pair.run()
    seen = pair.server.happened()
    assert (seen[0], seen[-1]) == ("request 1", "trailers 1")
    request = server.streams[1]
    assert (request.method, request.path, request.body_received) == (b"POST", b"/", 600_000)
    server.send_informational(request, 103, [(b"link", b"</a>")], 1.0)
    server.send_response(request, 200, [(b"x", b"y")], False, 1.0)
    server.send_data(request, b"down" * 300_000, True, 1.0)
    pair.run()
    seen = [text for text in pair.client.happened() if not text.startswith("writable")]
    assert seen[:2] == ["informational 1 103", "response 1 200"]
    assert seen[-1] == "closed 1"
    assert (stream.status, stream.headers, stream.body_received, stream.user) == (200, [(b"x", b"y")], 1_200_000, "mine")
    assert request.trailers == [(b"a", b"b")]
    pair.balanced()


def test_many_streams(pair: Pair) -> None:
    client, server = pair.client.connection, pair.server.connection
    for _ in range(20):
        client.send_request(GET, True, 1.0)
    pair.run(2)
    for stream in list(server.streams.values()):
        server.send_response(stream, 200, [], False, 1.0)
        server.send_data(stream, b"x" * 10_000, True, 1.0)
    pair.run()
    assert sum(text.startswith("closed") for text in pair.client.happened()) == 20
    pair.balanced()


def test_resets_both_ways(pair: Pair) -> None:
    client, server = pair.client.connection, pair.server.connection
    one, two = client.send_request(POST, False, 1.0), client.send_request(POST, False, 1.0)
    pair.run()
    client.reset_stream(one, 8, 1.0)
    server.reset_stream(server.streams[3], 7, 1.0)
    pair.run()
    pair.client.sees("closed 1", "reset 3 rst_stream_received REFUSED_STREAM by remote", "closed 3")
    pair.server.sees("request 1", "request 3", "closed 3", "reset 1 rst_stream_received CANCEL by remote", "closed 1")
    assert (one.refused, two.refused) == (False, True)
    pair.balanced()


def test_ping(pair: Pair) -> None:
    pair.client.connection.send_ping(b"12345678", 1.0)
    pair.run()
    pair.client.sees("pong 12345678")


def test_graceful_shutdown_ends_what_is_open(pair: Pair) -> None:
    client, server = pair.client.connection, pair.server.connection
    client.send_request(GET, True, 1.0)
    pair.run()
    server.shutdown(1.0)
    pair.run()
    assert client.draining
    assert not client.can_open_stream()
    server.finish_shutdown(1.0)
    server.send_response(server.streams[1], 204, [], True, 1.0)
    pair.run()
    pair.client.sees("goaway 2147483647 NO_ERROR", "goaway 1 NO_ERROR", "response 1 204 end", "closed 1")
    pair.balanced()


def test_requests_that_were_not_seen(pair: Pair) -> None:
    client, server = pair.client.connection, pair.server.connection
    server.finish_shutdown(1.0)
    stream = client.send_request(GET, True, 1.0)
    pair.run()
    pair.client.sees("reset 1 goaway_received REFUSED_STREAM by remote", "closed 1", "goaway 0 NO_ERROR")
    pair.server.sees()
    assert stream.refused


def test_close(pair: Pair) -> None:
    pair.client.connection.send_request(GET, True, 1.0)
    pair.run()
    pair.server.forget()
    pair.server.connection.close(2, 1.0, b"bye")
    pair.run()
    pair.server.sees("reset 1 closed INTERNAL_ERROR by local", "closed 1")
    assert pair.server.connection.closed
    assert pair.client.happened()[-1] == "goaway 1 INTERNAL_ERROR"


def test_lost_once(pair: Pair) -> None:
    client = pair.client.connection
    client.send_request(GET, True, 1.0)
    client.connection_lost(None, 1.0)
    client.connection_lost(OSError(), 1.0)
    pair.client.sees("reset 1 connection_lost CANCEL by remote", "closed 1", "terminated connection_lost NO_ERROR by remote")


def test_settings_of_the_peer(pair: Pair) -> None:
    pair.server.connection.update_settings([(3, 1)], 1.0)
    pair.run()
    client = pair.client.connection
    client.send_request(GET, True, 1.0)
    assert not client.can_open_stream()
    with pytest.raises(LocalProtocolError):
        client.send_request(GET, True, 1.0)


def test_paused_output(pair: Pair) -> None:
    client = pair.client.connection
    stream = client.send_request(POST, False, 1.0)
    client.data_to_send()
    client.pause_output()
    assert client.send_data(stream, b"later", True, 1.0) == 5
    client.pump(1.0)
    assert client.out_size() == 0
    client.resume_output(1.0)
    assert b"".join(client.chunks_to_send()) == data(1, b"later", end_stream=True)


def test_misuse_sends_nothing(pair: Pair) -> None:
    client, server = pair.client.connection, pair.server.connection
    for fields in ([*GET, (b"A", b"b")], GET[:2], [*GET, (b"x", b"a\r\nb")]):
        with pytest.raises(LocalProtocolError):
            client.send_request(fields, True, 1.0)
    assert (client.streams, client.data_to_send()) == ({}, b"")
    client.send_request(GET, True, 1.0)
    pair.run()
    stream = server.streams[1]
    with pytest.raises(LocalProtocolError, match=r"^DATA cannot be sent on stream 1 \(half closed remote, RFC 9113 §5.1\)$"):
        server.send_data(stream, b"x", True, 1.0)
    server.send_response(stream, 200, [], True, 1.0)
    pair.run()
    pair.balanced()


@pytest.mark.parametrize("engines", [("h2", "h2"), ("native", "h2"), ("h2", "native")], ids="-".join)
def test_push(engines: tuple[str, str]) -> None:
    pair = Pair(*engines, push=True)
    client, server = pair.client.connection, pair.server.connection
    client.send_request(GET, True, 1.0)
    pair.run()
    promised = server.send_push_promise(server.streams[1], GET, 1.0)
    server.send_response(promised, 200, [], False, 1.0)
    server.send_data(promised, b"pushed", True, 1.0)
    server.send_response(server.streams[1], 204, [], True, 1.0)
    pair.run()
    seen = pair.client.happened()
    assert seen[0] == "push 2 on 1"
    assert {"response 2 200", "closed 2", "closed 1"} <= set(seen)
    assert client.streams == server.streams == {}


def reference(role: str = "server") -> Peer:
    block = Counters()
    config = server_config() if role == "server" else client_config()
    peer = Peer(ReferenceConnection(config, None, block), block)
    peer.connection.start(1.0)
    peer.sends(PREFACE if role == "server" else b"", settings())
    peer.forget()
    return peer


def test_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_connection("h2", client_config()), ReferenceConnection)
    assert isinstance(make_connection(None, client_config()), Connection)
    monkeypatch.setenv("H2O_OTEL_ENGINE", "h2")
    assert isinstance(make_connection(None, client_config()), ReferenceConnection)
    with pytest.raises(LocalProtocolError, match=r"^engine is 'h3'; there are 'native' and 'h2'$"):
        make_connection("h3", client_config())


def test_violation_is_an_event() -> None:
    peer = reference()
    peer.sends(headers(1, request_block(b"POST")), frame(0, 0, 0, b"x"), headers(3, request_block()))
    assert peer.happened() == [
        "request 1",
        "reset 1 ProtocolError PROTOCOL_ERROR by local",
        "closed 1",
        "terminated ProtocolError PROTOCOL_ERROR by local",
    ]
    assert [f.type for f in peer.gets_frames()][-1] == 7
    peer.sends(headers(5, request_block()))
    peer.sees()


def test_garbage_before_the_preface() -> None:
    block = Counters()
    peer = Peer(ReferenceConnection(server_config(), None, block), block)
    peer.connection.start(1.0)
    peer.sends(b"GET / HTTP/1.1\r\n\r\n" + bytes(20))
    assert peer.happened() == ["terminated ProtocolError PROTOCOL_ERROR by local"]
    assert [f.type for f in peer.gets_frames()][-1] == 7


# What the layers above the engine use of a connection.
VERBS = """can_open_stream chunks_to_send close connection_lost credit data_to_send describe finish_shutdown next_deadline out_size
    pause_output prioritize pump receive receive_into reset_stream resume_output send_data send_informational send_ping send_priority_update
    send_push_promise send_request send_response send_trailers shutdown start take_events tick update_settings""".split()
ATTRIBUTES = """active_at blocked_since client closed config counted counters draining error frames_received goaway_last_stream_id
    goaway_received goaway_sent goaway_sent_last handler last_remote_stream_id limits local_settings local_streams_max need_settings
    next_stream_id now opened_at paused pings queued recv_window remote_settings remote_streams_max requests role send_window
    shutting_down started streams streams_local streams_open streams_remote trace_requests""".split()


@pytest.mark.parametrize("engine", ["native", "h2"])
def test_interface(engine: str) -> None:
    connection = make_connection(engine, client_config(), None, Counters())
    assert [name for name in VERBS if not callable(getattr(connection, name, None))] == []
    assert [name for name in ATTRIBUTES if not hasattr(connection, name)] == []


def test_no_deadlines() -> None:
    connection = reference().connection
    assert connection.next_deadline() == math.inf
    connection.tick(10.0**6)
    assert not connection.closed
