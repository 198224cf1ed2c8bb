"""What is counted of a transcript, family by family, under exactly its labels and under no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from h2o_otel.counters import ERROR_CODES, Snapshot, histogram_index
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.memory.budget import CONNECTION_BYTES, STREAM_BYTES
from tests.support.counting import nonzero
from tests.support.engine import GET, POST, Peer, requesting, serving
from tests.support.faults import for_each
from tests.support.wire import (
    block,
    continuation,
    data,
    frame,
    goaway,
    headers,
    ping,
    priority,
    priority_update,
    request_block,
    response_block,
    rst_stream,
    settings,
    settings_ack,
    window_update,
)

ROLES = ["client", "server"]
UPLOAD = request_block(b"POST")


def met(role: str) -> tuple[Any, Peer]:
    """A connection of this role on which the peer's message on stream 1 has begun."""
    if role == "server":
        connection, peer = serving()
        peer.sends(headers(1, UPLOAD))
    else:
        connection, peer = requesting()
        connection.send_request(GET, True, peer.now)
        peer.sends(headers(1, response_block()))
    peer.forget()
    return connection, peer


def since(peer: Peer, family: str, before: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    now = nonzero(peer.block, family)
    return {labels: now.get(labels, 0) - before.get(labels, 0) for labels in {**before, **now} if now.get(labels) != before.get(labels)}


def recorded(peer: Peer, name: str, index: int = 0) -> tuple[int, float]:
    """How many values a histogram took, and their sum."""
    snapshot = Snapshot()
    snapshot.add_block(peer.block)
    value = snapshot.histograms[histogram_index(name) + index]
    return sum(value.counts), value.sum


# -- frames


RECEIVED: dict[str, tuple[bytes, int]] = {
    "DATA": (data(1, bytes(300)), 300),
    "PRIORITY": (priority(1, 3), 5),
    "SETTINGS": (settings({4: 70_000}), 6),
    "PING": (ping(), 8),
    "GOAWAY": (goaway(1, 0, b"bye"), 11),
    "WINDOW_UPDATE": (window_update(0, 1), 4),
    "UNKNOWN": (frame(0xFA, 0, 0, b"xyz"), 3),
    "RST_STREAM": (rst_stream(1, 8), 4),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("type", RECEIVED)
def test_frames_received(type: str, role: str) -> None:
    _connection, peer = met(role)
    frames, payload = (nonzero(peer.block, name) for name in ("frames", "frame_payload"))
    octets, length = RECEIVED[type]
    peer.sends(octets)
    key = (role, "receive", type)
    assert {k: n for k, n in since(peer, "frames", frames).items() if k[1] == "receive"} == {key: 1}
    assert {k: n for k, n in since(peer, "frame_payload", payload).items() if k[1] == "receive"} == {key: length}


def test_frames_of_a_request_received() -> None:
    server, peer = serving()
    frames, payload = (nonzero(peer.block, name) for name in ("frames", "frame_payload"))
    peer.sends(headers(1, UPLOAD[:10], end_headers=False), continuation(1, UPLOAD[10:]), priority_update(1, b"u=1"))
    types = ("HEADERS", "CONTINUATION", "PRIORITY_UPDATE")
    assert since(peer, "frames", frames) == {("server", "receive", type): 1 for type in types}
    lengths = (10, len(UPLOAD) - 10, 7)
    assert since(peer, "frame_payload", payload) == {("server", "receive", t): n for t, n in zip(types, lengths, strict=True)}
    assert nonzero(peer.block, "buffer_copied") == {("reassembly",): len(UPLOAD)}
    assert server.frames_received == 5


@pytest.mark.parametrize("role", ROLES)
def test_data_received(role: str) -> None:
    connection, peer = met(role)
    copied = nonzero(peer.block, "buffer_copied")
    peer.sends(data(1, bytes(1000)), data(1, bytes(300), padding=20))
    assert since(peer, "buffer_copied", copied) == {("deliver",): 1300}
    assert nonzero(peer.block, "frame_padding") == {("receive",): 21}
    assert nonzero(peer.block, "flow_control_unread") == {(role,): 1300}
    assert recorded(peer, "frame_data_size", 1) == (2, 1300.0)
    connection.credit(connection.streams[1], 1000, peer.now)
    assert nonzero(peer.block, "flow_control_unread") == {(role,): 300}
    connection.reset_stream(connection.streams[1], 8, peer.now)
    assert nonzero(peer.block, "flow_control_unread") == {}


@pytest.mark.parametrize("role", ROLES)
def test_frames_sent(role: str) -> None:
    connection, peer = met(role)
    frames, payload = (nonzero(peer.block, name) for name in ("frames", "frame_payload"))
    if role == "server":
        stream = connection.streams[1]
        connection.send_response(stream, 200, [], False, peer.now)
    else:
        stream = connection.send_request(POST, False, peer.now)
    connection.send_data(stream, bytes(20_000), False, peer.now)
    connection.send_trailers(stream, [(b"a", b"b")], peer.now)
    connection.send_ping(b"12345678", peer.now)
    connection.update_settings([(3, 50), (4, 70_000)], peer.now)
    peer.sends(ping(), settings({3: 1}))
    sent = peer.gets_frames()
    names = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE")
    wanted: dict[tuple[str, ...], int] = {}
    octets: dict[tuple[str, ...], int] = {}
    for f in sent:
        key = (role, "transmit", names[f.type])
        wanted[key] = wanted.get(key, 0) + 1
        octets[key] = octets.get(key, 0) + len(f.payload)
    assert {k[2] for k in wanted} == {"HEADERS", "DATA", "PING", "SETTINGS"}
    assert {k: n for k, n in since(peer, "frames", frames).items() if k[1] == "transmit"} == wanted
    assert {k: n for k, n in since(peer, "frame_payload", payload).items() if k[1] == "transmit"} == octets
    assert recorded(peer, "frame_data_size", 0) == (2, 20_000.0)


def test_fields_sent_in_pieces() -> None:
    """The octets of the block are counted with HEADERS, whose frame is the first of three."""
    client, peer = requesting()
    frames, payload = (nonzero(peer.block, name) for name in ("frames", "frame_payload"))
    client.send_request([*GET, (b"x-long", b"\xff" * 40_000)], True, peer.now)
    size = sum(len(f.payload) for f in peer.gets_frames())
    assert since(peer, "frames", frames) == {("client", "transmit", "HEADERS"): 1, ("client", "transmit", "CONTINUATION"): size // 16_384}
    assert since(peer, "frame_payload", payload) == {("client", "transmit", "HEADERS"): size}


# -- streams and their ends


@for_each("role", ROLES)
@for_each("code", [*range(15), 2**32 - 1])
def test_resets_by_code(code: int, role: str) -> None:
    """Both ways; what RFC 9113 section 7 does not know is UNKNOWN."""
    name = ERROR_CODES[min(code, 14)]
    _connection, peer = met(role)
    peer.sends(rst_stream(1, code))
    assert nonzero(peer.block, "stream_resets") == {(role, "receive", name): 1}
    outcome = "refused" if code == 7 else "reset_recv"
    assert nonzero(peer.block, "streams") == {(role, outcome): 1}
    assert nonzero(peer.block, "stream_active") == {}
    connection, peer = met(role)
    connection.reset_stream(connection.streams[1], code, peer.now)
    assert nonzero(peer.block, "stream_resets") == {(role, "transmit", name): 1}
    assert nonzero(peer.block, "streams") == {(role, "reset_sent"): 1}


@for_each("role", ROLES)
@for_each("code", [*range(15), 2**32 - 1])
def test_goaway_by_code(code: int, role: str) -> None:
    name = ERROR_CODES[min(code, 14)]
    _connection, peer = met(role)
    peer.sends(goaway(1, code))
    assert nonzero(peer.block, "goaway") == {(role, "receive", name): 1}
    connection, peer = met(role)
    connection.close(code, peer.now)
    assert nonzero(peer.block, "goaway") == {(role, "transmit", name): 1}


def test_streams_that_are_completed() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True), headers(3, UPLOAD))
    assert nonzero(peer.block, "stream_active") == {("server",): 2}
    server.send_response(server.streams[1], 204, [], True, peer.now)
    server.send_response(server.streams[3], 204, [], True, peer.now)
    peer.sends(data(3, b"x", end_stream=True))
    assert nonzero(peer.block, "streams") == {("server", "completed"): 2}
    client, peer = requesting()
    client.send_request(GET, True, peer.now)
    client.send_request(GET, True, peer.now)
    assert nonzero(peer.block, "stream_active") == {("client",): 2}
    peer.sends(headers(1, response_block(204), end_stream=True), headers(3, response_block()), data(3, b"x", end_stream=True))
    assert nonzero(peer.block, "streams") == {("client", "completed"): 2}
    assert nonzero(peer.block, "stream_active") == {}


# -- settings, PING, windows


@pytest.mark.parametrize("role", ROLES)
def test_settings_as_gauges(role: str) -> None:
    """What the peer says stands under ``receive`` at once, ours under ``transmit`` once it is acknowledged."""
    connection, peer = serving() if role == "server" else requesting()
    before = nonzero(peer.block, "settings_value")
    entries = {1: 1000, 3: 7, 4: 70_001, 5: 20_000, 6: 50_000}
    names = ("HEADER_TABLE_SIZE", "MAX_CONCURRENT_STREAMS", "INITIAL_WINDOW_SIZE", "MAX_FRAME_SIZE", "MAX_HEADER_LIST_SIZE")
    switches = {8: "ENABLE_CONNECT_PROTOCOL", 9: "NO_RFC7540_PRIORITIES"}
    peer.sends(settings(entries | dict.fromkeys(switches, 1) | {7: 5, 10: 5}))
    said = dict(zip(names, entries.values(), strict=True)) | dict.fromkeys(switches.values(), 1)
    assert since(peer, "settings_value", before) == {(role, "receive", n): v for n, v in said.items()}
    before = nonzero(peer.block, "settings_value")
    connection.update_settings(list(entries.items()), peer.now)
    assert since(peer, "settings_value", before) == {}
    peer.now += 0.25
    peer.sends(settings_ack())
    changed = since(peer, "settings_value", before)
    assert {k: changed[k] + before.get(k, 0) for k in changed} == {
        (role, "transmit", n): v for n, v in zip(names, entries.values(), strict=True)
    }
    # The other was the handshake's, at once.
    assert recorded(peer, "settings_ack_duration", ROLES.index(role)) == (2, 0.25)


@pytest.mark.parametrize("role", ROLES)
def test_streams_that_the_server_allows(role: str) -> None:
    """For a client what its peer allows, for a server what it allows itself."""
    connection, peer = serving() if role == "server" else requesting()
    way = "receive" if role == "server" else "transmit"
    assert nonzero(peer.block, "stream_limit") == ({(role, way): 250} if role == "server" else {})
    peer.sends(settings({3: 50}))
    connection.update_settings([(3, 60)], peer.now)
    peer.sends(settings_ack())
    assert nonzero(peer.block, "stream_limit") == {(role, way): 60 if role == "server" else 50}
    connection.close(0, peer.now)
    assert nonzero(peer.block, "stream_limit") == {}


@pytest.mark.parametrize("role", ROLES)
def test_round_trips(role: str) -> None:
    connection, peer = met(role)
    connection.send_ping(b"12345678", peer.now)
    peer.now += 0.5
    peer.sends(ping(b"12345678", ack=True))
    peer.sees("pong 12345678")
    assert recorded(peer, "ping_rtt", ROLES.index(role)) == (1, 0.5)


@pytest.mark.parametrize("role", ROLES)
def test_stalls(role: str) -> None:
    """Of a stream from when its window is used up, of the connection from the first try without one."""
    for scope, blocked, opens in (("stream", 1, 0), ("connection", 0, 1)):
        connection, peer = met(role)
        peer.sends(window_update(opens, 100_000) if opens == 0 else settings({4: 165_535}))
        if role == "server":
            stream = connection.streams[1]
            connection.send_response(stream, 200, [], False, peer.now)
        else:
            if scope == "stream":
                peer.sends(settings({4: 65_535}))
            stream = connection.send_request(POST, False, peer.now)
        connection.send_data(stream, bytes(100_000), False, peer.now)
        connection.pump(peer.now)
        assert nonzero(peer.block, "flow_control_stalls") == {(role, scope): 1}
        for _ in range(2):
            peer.now += 0.25
            peer.sends(window_update(stream.id if blocked else 0, 10_000))
            connection.pump(peer.now)
        assert nonzero(peer.block, "flow_control_stalls") == {(role, scope): 3}
        index = 2 * ROLES.index(role) + ["connection", "stream"].index(scope)
        assert recorded(peer, "flow_control_stall_duration", index) == (2, 0.5)
        # An increment that leaves it below zero (RFC 9113 section 6.9.2) opens nothing.
        if scope == "stream":
            peer.sends(settings({4: 0}), window_update(stream.id, 1))
            connection.pump(peer.now)
            assert stream.send_window < 0
            assert nonzero(peer.block, "flow_control_stalls") == {(role, scope): 3}
            peer.sends(settings({4: 65_535}))
            assert stream.send_window == 1
        # With a window that is open, more of it ends no stall.
        peer.sends(window_update(stream.id if blocked else 0, 100_000))
        connection.pump(peer.now)
        peer.sends(window_update(stream.id if blocked else 0, 1))
        assert recorded(peer, "flow_control_stall_duration", index)[0] == 3
        assert connection.queued == 0


@pytest.mark.parametrize("role", ROLES)
def test_answers_that_wait(role: str) -> None:
    connection, peer = met(role)
    connection.pause_output()
    peer.sends(ping() * 3, settings())
    assert nonzero(peer.block, "frame_control_queue_size") == {(role,): 4}
    connection.resume_output(peer.now)
    assert nonzero(peer.block, "frame_control_queue_size") == {}
    assert connection.guards.control_queued == 0
    peer.sends(ping())
    assert nonzero(peer.block, "frame_control_queue_size") == {}


@pytest.mark.parametrize("role", ROLES)
def test_windows_as_gauges(role: str) -> None:
    connection, peer = met(role)
    peer.sends(data(1, bytes(1000)), window_update(0, 500))
    connection.data_to_send()
    limits = SERVER_LIMITS if role == "server" else CLIENT_LIMITS
    assert nonzero(peer.block, "flow_control_window") == {
        (role, "transmit"): 66_035,
        (role, "receive"): limits.connection_window_bytes - 1000,
    }
    assert nonzero(peer.block, "flow_control_target") == {
        (role, "connection"): limits.connection_window_bytes,
        (role, "stream"): limits.stream_window_bytes,
    }


@pytest.mark.parametrize("role", ROLES)
def test_windows_that_are_tuned(role: str) -> None:
    connection, peer = met(role)
    connection.limit_windows(2**24, peer.now)
    assert nonzero(peer.block, "flow_control_retunes") == {}
    for _ in range(100):
        peer.sends(data(1, bytes(16_384)))
        connection.credit(connection.streams[1], 16_384, peer.now)
    peer.now += 0.5
    peer.sends(ping(b"\x00h2o-bdp", ack=True))
    assert nonzero(peer.block, "flow_control_retunes") == {(role, "grow"): 1}
    assert recorded(peer, "ping_rtt", ROLES.index(role)) == (1, 0.5)
    connection.limit_windows(0, peer.now)
    assert nonzero(peer.block, "flow_control_retunes") == {(role, "grow"): 1, (role, "shrink"): 1}


@pytest.mark.parametrize(("value", "labels"), [(b"u=0", ("0", "false")), (b"u=5, i", ("5", "true")), (b"i", ("3", "true"))])
def test_priorities_of_requests(value: bytes, labels: tuple[str, str]) -> None:
    _server, peer = serving()
    peer.sends(headers(1, request_block(b"GET", b"/", (b"priority", value)), end_stream=True), headers(3, request_block(), end_stream=True))
    assert nonzero(peer.block, "priority_streams") == {labels: 1}


# -- memory


@pytest.mark.parametrize("role", ROLES)
def test_memory_of_a_connection(role: str) -> None:
    """Itself, its streams with the fields that they keep, its tables, and octets that wait either way."""

    def usage() -> dict[str, int]:
        return {labels[0]: n for labels, n in nonzero(peer.block, "memory_usage").items() if labels[0] != "buffers"}

    connection, peer = serving() if role == "server" else requesting()
    assert usage() == {"connections": CONNECTION_BYTES}
    connection, peer = met(role)
    peer.sends(ping())
    kept = sum(len(name) + len(value) + 32 for name, value in POST) if role == "server" else 42
    table = connection.encoder.table.size + connection.decoder.table.size
    wanted = {"connections": CONNECTION_BYTES, "streams": STREAM_BYTES + kept} | ({"hpack": table} if table else {})
    assert usage() == wanted
    peer.sends(data(1, bytes(1000)))
    assert usage() == wanted | {"queues": 1000}
    assert connection.memory_bytes == sum(usage().values())
    connection.credit(connection.streams[1], 400, peer.now)
    peer.sends(data(1, bytes(300)))
    assert usage() == wanted | {"queues": 900}
    connection.reset_stream(connection.streams[1], 8, peer.now)
    peer.sends(ping())
    assert usage() == {"connections": CONNECTION_BYTES} | ({"hpack": table} if table else {})
    assert connection.unread == 0
    connection.close(0, peer.now)
    assert usage() == {}


def test_memory_of_what_waits_to_be_sent() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], False, peer.now)
    server.send_data(server.streams[1], bytes(100_000), True, peer.now)
    peer.sends(ping())
    assert nonzero(peer.block, "memory_usage")["queues",] == 100_000 - 65_535


def test_trailers_are_kept_with_the_fields() -> None:
    _server, peer = serving()
    peer.sends(headers(1, UPLOAD), ping())
    before = nonzero(peer.block, "memory_usage")["streams",]
    peer.sends(headers(1, block((b"a", b"b")), end_stream=True))
    assert nonzero(peer.block, "memory_usage")["streams",] == before + 34
    peer.sends(rst_stream(1, 8))
    assert ("streams",) not in nonzero(peer.block, "memory_usage")


# -- writes, and the ends of connections


@pytest.mark.parametrize("role", ROLES)
def test_frames_of_a_write(role: str) -> None:
    """Each write that has any, once."""
    connection, peer = met(role)
    count, total = recorded(peer, "frame_flush_frames", ROLES.index(role))
    peer.sends(ping() * 3)
    for _ in range(2):
        connection.data_to_send()
    assert recorded(peer, "frame_flush_frames", ROLES.index(role)) == (count + 1, total + 3.0)
    peer.sends(ping())
    connection.data_to_send()
    assert recorded(peer, "frame_flush_frames", ROLES.index(role)) == (count + 2, total + 4.0)


@pytest.mark.parametrize("role", ROLES)
def test_streams_that_end_with_their_connection(role: str) -> None:
    ends: dict[str, Callable[[Any, Peer], Any]] = {
        "conn_lost": lambda c, p: c.connection_lost(None, p.now),
        "reset_sent": lambda c, p: p.sends(data(0)),
    }
    for outcome, end in [*ends.items(), ("conn_lost", lambda c, p: c.close(2, p.now))]:
        connection, peer = met(role)
        end(connection, peer)
        assert nonzero(peer.block, "streams") == {(role, outcome): 1}
        assert nonzero(peer.block, "stream_active") == nonzero(peer.block, "connection_active") == {}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("code", "error"), [(0, ""), (2, "INTERNAL_ERROR")])
def test_connections_by_what_ended_them(code: int, error: str, role: str) -> None:
    connection, peer = met(role)
    connection.close(code, peer.now)
    assert list(peer.block.read_labelled()["connection_duration"]) == [(role, "2", error)]
    connection, peer = met(role)
    peer.sends(data(0))
    assert list(peer.block.read_labelled()["connection_duration"]) == [(role, "2", "frame_on_stream_zero")]
