"""PUSH_PROMISE both ways (RFC 9113 sections 6.6 and 8.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from h2o_otel.counters import Counters
from h2o_otel.errors import LocalProtocolError
from h2o_otel.limits import CLIENT_LIMITS, SERVER_LIMITS
from h2o_otel.protocol.config import DEFAULT_TUNING, client_config, server_config
from h2o_otel.protocol.connection import Connection
from h2o_otel.streams.states import State
from tests.support.engine import GET, POST, Peer, requesting, serving
from tests.support.wire import (
    END_HEADERS,
    PREFACE,
    PUSH_PROMISE,
    continuation,
    data,
    frame,
    goaway,
    headers,
    push_promise,
    request_block,
    response_block,
    rst_stream,
    settings,
    settings_ack,
    window_update,
)


def asked(limit: int = 100) -> tuple[Connection, Peer]:
    """A client that accepts pushes, with an open request."""
    client, peer = requesting(replace(CLIENT_LIMITS, push_promises_max=limit), push=True)
    client.send_request(GET, True, peer.now)
    peer.forget()
    return client, peer


def answering(**more: int) -> tuple[Connection, Peer]:
    """A server whose client accepts pushes, with an open request."""
    server, peer = serving()
    peer.sends(settings({2: more.get("push", 1), 3: more.get("streams", 100)}), headers(1, request_block(), end_stream=True))
    peer.forget()
    return server, peer


# -- received


def test_promise_and_its_response() -> None:
    client, peer = asked()
    peer.sends(push_promise(1, 2, request_block(b"GET", b"/style.css")))
    promised = client.streams[2]
    assert (promised.state, promised.method, promised.path, promised.local) == (State.RESERVED_REMOTE, b"GET", b"/style.css", False)
    peer.sends(headers(2, response_block(200)), data(2, b"body", end_stream=True))
    peer.sees("push 2 on 1", "response 2 200", "data 2 body end", "closed 2")
    assert promised.status == 200


def test_promise_in_pieces_and_padded() -> None:
    _, peer = asked()
    whole = request_block()
    peer.sends(frame(PUSH_PROMISE, 0x08, 1, b"\x03\0\0\0\x02" + whole[:3] + bytes(3)), continuation(1, whole[3:]))
    peer.sees("push 2 on 1")


def test_promise_is_cancelled() -> None:
    client, peer = asked()
    peer.sends(push_promise(1, 2, request_block()))
    client.reset_stream(client.streams[2], 8, peer.now)
    peer.gets(rst_stream(2, 8))
    peer.sends(headers(2, response_block(200)), data(2, b"late", end_stream=True))
    peer.gets()
    assert not client.closed


def test_promise_on_a_request_we_reset() -> None:
    client, peer = asked()
    client.reset_stream(client.streams[1], 8, peer.now)
    peer.forget()
    peer.sends(push_promise(1, 2, request_block()), headers(2, b"\x88"), data(2, b"late", end_stream=True))
    peer.gets(rst_stream(2, 8))
    peer.sees()
    assert not client.closed


def test_promise_on_a_request_the_server_reset() -> None:
    _, peer = asked()
    peer.sends(rst_stream(1, 0), push_promise(1, 2, request_block()))
    assert peer.errors()[-1].rule == "push_promise_bad_stream"


def test_more_promises_than_we_take() -> None:
    client, peer = asked(limit=1)
    peer.sends(push_promise(1, 2, request_block()), push_promise(1, 4, request_block()), headers(4, b"\x88", end_stream=True))
    peer.gets(rst_stream(4, 7))
    assert list(client.streams) == [1, 2]


def test_malformed_promise() -> None:
    client, peer = asked()
    peer.sends(push_promise(1, 2, request_block(b"GET", b"no-slash")))
    peer.gets(rst_stream(2, 1))
    assert not client.closed


def test_promise_on_a_pushed_stream() -> None:
    _, peer = asked()
    peer.sends(push_promise(1, 2, request_block()), headers(2, b"\x88"), push_promise(2, 4, request_block()))
    assert peer.errors()[-1].rule == "push_promise_bad_stream"


def test_promised_ids_grow() -> None:
    _, peer = asked()
    peer.sends(push_promise(1, 4, request_block()), push_promise(1, 2, request_block()))
    assert str(peer.errors()[-1]) == "PUSH_PROMISE on stream 1 promises stream 2, which cannot be (PROTOCOL_ERROR, RFC 9113 §6.6)"


# -- sent


def test_sending_a_promise() -> None:
    server, peer = answering()
    promised = server.send_push_promise(server.streams[1], GET, peer.now)
    found = peer.gets_frames()
    assert [(f.type, f.flags, f.stream_id, f.payload[:4]) for f in found] == [(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02")]
    assert promised.state == State.RESERVED_LOCAL
    server.send_response(promised, 200, [], False, peer.now)
    server.send_data(promised, b"body", True, peer.now)
    peer.gets(headers(2, b"\x88"), data(2, b"body", end_stream=True))
    peer.sees("closed 2")


def test_large_promise_goes_on_in_continuation() -> None:
    server, peer = answering()
    server.send_push_promise(server.streams[1], [*GET, (b"x", b"\x80" * 20_000)], peer.now)
    sent = server.data_to_send()
    client, other = asked()
    other.sends(sent)
    other.sees("push 2 on 1")
    assert client.streams[2].headers == [(b"x", b"\x80" * 20_000)]


def test_promise_is_refused_by_the_client() -> None:
    server, peer = answering()
    server.send_push_promise(server.streams[1], GET, peer.now)
    peer.sends(rst_stream(2, 7))
    peer.sees("reset 2 rst_stream_received REFUSED_STREAM by remote", "closed 2")


def test_window_of_a_promised_stream() -> None:
    server, peer = answering()
    promised = server.send_push_promise(server.streams[1], GET, peer.now)
    peer.sends(window_update(2, 10))
    assert promised.send_window == 65_545


@pytest.mark.parametrize("bad", [data(2, b"x"), headers(2, request_block())])
def test_client_may_not_write_on_a_promised_stream(bad: bytes) -> None:
    server, peer = answering()
    server.send_push_promise(server.streams[1], GET, peer.now)
    peer.sends(bad)
    assert peer.errors()[-1].rule == "stream_reserved"


def test_promises_that_are_not_allowed() -> None:
    server, peer = answering(streams=1)
    stream = server.streams[1]
    refused = {
        "a promised request is GET or HEAD, not b'POST' (RFC 9113 §8.4)": (stream, POST),
        "a request needs :method, :scheme and :path, and no other pseudo-header field but :authority (RFC 9113 §8.3.1)": (stream, GET[:1]),
    }
    for text, (parent, fields) in refused.items():
        with pytest.raises(LocalProtocolError) as caught:
            server.send_push_promise(parent, fields, peer.now)
        assert str(caught.value) == text
    peer.gets()
    promised = server.send_push_promise(stream, GET, peer.now)
    with pytest.raises(LocalProtocolError, match=r"^1 streams are open, the peer allows 1"):
        server.send_push_promise(stream, GET, peer.now)
    server.reset_stream(promised, 8, peer.now)
    with pytest.raises(LocalProtocolError, match=r"^PUSH_PROMISE cannot be sent on stream 2 \(closed"):
        server.send_push_promise(promised, GET, peer.now)
    server.send_response(stream, 200, [], True, peer.now)
    with pytest.raises(LocalProtocolError, match=r"^PUSH_PROMISE cannot be sent on stream 1 \(closed"):
        server.send_push_promise(stream, GET, peer.now)


def test_client_disabled_push() -> None:
    server, peer = serving()
    peer.sends(settings({2: 0}), headers(1, request_block()))
    with pytest.raises(LocalProtocolError, match=r"^the client disabled push \(SETTINGS_ENABLE_PUSH 0, RFC 9113 §8.4\)$"):
        server.send_push_promise(server.streams[1], GET, peer.now)


def test_no_promise_after_goaway() -> None:
    server, peer = answering()
    peer.sends(goaway(0))
    with pytest.raises(LocalProtocolError, match=r"^only a server with a live connection promises streams"):
        server.send_push_promise(server.streams[1], GET, peer.now)


def test_never_twice_on_a_connection() -> None:
    server, peer = answering()
    stream = server.streams[1]
    server.send_push_promise(stream, [*GET, (b"accept", b"text/css")], peer.now)
    with pytest.raises(LocalProtocolError, match="promised on this connection before"):
        server.send_push_promise(stream, [*GET, (b"accept", b"*/*")], peer.now)
    server.send_push_promise(stream, [*GET[:2], (b":path", b"/other"), GET[3]], peer.now)
    assert peer.read("push_promises", "server", "accepted") == 2


def test_promises_of_a_connection_are_bounded() -> None:
    block = Counters()
    server = Connection(server_config(replace(SERVER_LIMITS, push_promises_per_connection_max=1)), None, block)
    peer = Peer(server, block)
    server.start(peer.now)
    peer.sends(PREFACE, settings(), settings_ack(), headers(1, request_block(), end_stream=True))
    assert server.can_push()
    server.send_push_promise(server.streams[1], GET, peer.now)
    assert not server.can_push()
    with pytest.raises(LocalProtocolError, match="push_promises_per_connection_max"):
        server.send_push_promise(server.streams[1], [*GET[:2], (b":path", b"/other"), GET[3]], peer.now)


def test_cancelled_promises_are_counted() -> None:
    server, peer = answering()
    for n, code in enumerate((8, 7)):
        promised = server.send_push_promise(server.streams[1], [*GET[:2], (b":path", b"/%d" % n), GET[3]], peer.now)
        peer.sends(rst_stream(promised.id, code))
    assert peer.read("push_promises", "server", "cancelled") == 1
    assert peer.read("push_promises", "server", "refused") == 1


def test_attempts_at_a_client_that_disabled_push_are_counted() -> None:
    server, peer = answering(push=0)
    assert not server.can_push()
    with pytest.raises(LocalProtocolError, match="disabled push"):
        server.send_push_promise(server.streams[1], GET, peer.now)
    assert peer.read("push_promises", "server", "disabled") == 1


def test_switched_off() -> None:
    server, peer = serving(tuning=replace(DEFAULT_TUNING, protocol_push=False))
    peer.sends(headers(1, request_block(), end_stream=True))
    assert not server.can_push()
    with pytest.raises(LocalProtocolError, match=r"Tuning\.protocol_push"):
        server.send_push_promise(server.streams[1], GET, peer.now)
    client = Connection(client_config(enable_push=True, tuning=replace(DEFAULT_TUNING, protocol_push=False)))
    client.start(1.0)
    assert b"\x00\x02\x00\x00\x00\x00" in client.data_to_send()


def test_client_that_disabled_push_later() -> None:
    client, peer = requesting(push=True)
    client.send_request(GET, True, peer.now)
    client.update_settings([(2, 0)], peer.now)
    # Until the acknowledgement the server cannot know.
    peer.sends(push_promise(1, 2, request_block()))
    assert not client.closed
    peer.sends(settings_ack(), push_promise(1, 4, request_block()))
    assert client.closed
