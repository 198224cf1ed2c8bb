"""Requests and responses: field blocks in pieces, 1xx, trailers, content-length (RFC 9113 section 8.1)."""

from __future__ import annotations

import pytest

from h2o_otel.errors import LocalProtocolError
from tests.support.engine import GET, POST, requesting, serving
from tests.support.wire import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PRIORITY_FLAG,
    block,
    continuation,
    data,
    frame,
    headers,
    request_block,
    response_block,
    rst_stream,
    settings,
    window_update,
)

# -- received by a server


def test_request() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"GET", b"/a?b", (b"x", b"1"), (b"x", b"2")), end_stream=True))
    peer.sees("request 1 end")
    stream = server.streams[1]
    assert (stream.method, stream.scheme, stream.authority, stream.path) == (b"GET", b"https", b"example.com", b"/a?b")
    assert (stream.protocol, stream.headers) == (None, [(b"x", b"1"), (b"x", b"2")])
    assert (stream.local, stream.opened_at, stream.headers_at) == (False, peer.now, peer.now)


def test_request_with_body_and_trailers() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST", b"/", (b"content-length", b"3"))), data(1, b"ab"), data(1, b"c"))
    peer.sends(headers(1, block((b"checksum", b"9")), end_stream=True))
    peer.sees("request 1", "data 1 ab", "data 1 c", "trailers 1")
    assert server.streams[1].trailers == [(b"checksum", b"9")]
    assert server.streams[1].content_length == server.streams[1].body_received == 3


def test_frames_of_two_streams_in_turn() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), headers(3, request_block(b"POST")))
    peer.sends(data(1, b"a"), data(3, b"b"), data(3, b"c"), data(1, b"d", end_stream=True), data(3, b"e", end_stream=True))
    peer.sees("request 1", "request 3", "data 1 a", "data 3 b", "data 3 c", "data 1 d end", "data 3 e end")
    assert [s.body_received for s in server.streams.values()] == [2, 3]


def test_stream_is_forgotten_with_its_end() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), rst_stream(1, 8), data(1, b"late"), window_update(1, 1))
    assert not server.streams
    assert not [event for event in peer.happened() if event.startswith("data")]


def test_data_after_trailers() -> None:
    _, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), headers(1, b"", end_stream=True), data(1, b"x"))
    peer.gets(rst_stream(1, 5))
    peer.sees("request 1", "trailers 1", "reset 1 stream_half_closed STREAM_CLOSED by local", "closed 1")


def test_trailers_short_of_content_length() -> None:
    _, peer = serving()
    peer.sends(headers(1, request_block(b"POST", b"/", (b"content-length", b"3"))), data(1, b"ab"), headers(1, b"", end_stream=True))
    assert [str(e) for e in peer.errors()] == ["stream 1: 2 octets of DATA, content-length is 3 (PROTOCOL_ERROR, RFC 9113 §8.1.1)"]


def test_block_in_pieces() -> None:
    server, peer = serving()
    whole = request_block()
    peer.sends(headers(1, whole[:5], end_headers=False, end_stream=True))
    peer.sends(continuation(1, whole[5:9], end_headers=False), continuation(1, b"", end_headers=False))
    peer.sees()
    peer.sends(continuation(1, whole[9:]))
    peer.sees("request 1 end")
    assert server.streams[1].path == b"/"


def test_trailers_in_pieces() -> None:
    server, peer = serving()
    whole = block((b"a", b"b"))
    peer.sends(headers(1, request_block(b"POST")), headers(1, whole[:2], end_headers=False, end_stream=True), continuation(1, whole[2:]))
    peer.sees("request 1", "trailers 1")
    assert server.streams[1].trailers == [(b"a", b"b")]


def test_padding_and_priority_of_headers() -> None:
    _, peer = serving()
    payload = b"\x03" + b"\x80\0\0\x07\xff" + request_block() + bytes(3)
    peer.sends(frame(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITY_FLAG, 1, payload))
    peer.sees("request 1 end")


def test_padding_in_a_block_of_pieces() -> None:
    _, peer = serving()
    whole = request_block()
    peer.sends(frame(HEADERS, END_STREAM | PADDED, 1, b"\x02" + whole[:4] + bytes(2)), continuation(1, whole[4:]))
    peer.sees("request 1 end")


def test_self_dependency_uses_the_stream_up() -> None:
    """What the client sends on it before it learns of the reset is no error of the connection."""
    server, peer = serving()
    peer.sends(frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\x01\x0f" + request_block()), data(1, b"x"))
    peer.gets(rst_stream(1, 1))
    peer.sends(headers(3, request_block(), end_stream=True))
    peer.sees("request 3 end")
    assert not server.closed


def test_self_dependency_in_pieces_keeps_the_table() -> None:
    _, peer = serving()
    indexed = b"\x40\x01a\x01b"
    peer.sends(frame(HEADERS, PRIORITY_FLAG, 1, b"\0\0\0\x01\x0f" + request_block()), continuation(1, indexed))
    peer.sends(headers(3, request_block() + b"\xbe", end_stream=True))
    peer.sees("request 3 end")


def test_malformed_request_keeps_the_table() -> None:
    """The block of a refused request still belongs to the connection's HPACK state."""
    _, peer = serving()
    peer.sends(headers(1, b"\x40\x01a\x01b"), headers(3, request_block() + b"\xbe", end_stream=True))
    peer.gets(rst_stream(1, 1))
    peer.sees("request 3 end")


def test_two_requests_in_one_read() -> None:
    _, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True), headers(3, request_block(), end_stream=True))
    peer.sees("request 1 end", "request 3 end")


def test_empty_data_is_not_told() -> None:
    _, peer = serving()
    peer.sends(headers(1, request_block(b"POST")), data(1), data(1, end_stream=True))
    peer.sees("request 1", "data 1  end")


# -- received by a client


def test_response() -> None:
    client, peer = requesting()
    stream = client.send_request(GET, True, peer.now, user="mine")
    peer.sends(headers(1, response_block(200, (b"a", b"b"))), data(1, b"body", end_stream=True))
    peer.sees("response 1 200", "data 1 body end", "closed 1")
    assert (stream.status, stream.headers, stream.user) == (200, [(b"a", b"b")], "mine")
    assert client.streams == {}


def test_informational_responses() -> None:
    client, peer = requesting()
    client.send_request(GET, True, peer.now)
    peer.sends(headers(1, response_block(103, (b"link", b"</a>"))), headers(1, response_block(100)), headers(1, b"\x88", end_stream=True))
    peer.sees("informational 1 103", "informational 1 100", "response 1 200 end", "closed 1")


def test_response_before_the_request_has_ended() -> None:
    client, peer = requesting()
    stream = client.send_request(POST, False, peer.now)
    peer.sends(headers(1, b"\x88", end_stream=True))
    peer.sees("response 1 200 end")
    client.send_data(stream, b"", True, peer.now)
    peer.sees("closed 1")


def test_reset_with_no_error_after_the_response() -> None:
    client, peer = requesting()
    client.send_request(POST, False, peer.now)
    peer.sends(headers(1, b"\x88", end_stream=True), rst_stream(1, 0))
    peer.sees("response 1 200 end", "reset 1 rst_stream_received NO_ERROR by remote", "closed 1")


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_content_length_of_head(method: bytes) -> None:
    client, peer = requesting()
    client.send_request([(b":method", method), *GET[1:]], True, peer.now)
    peer.sends(headers(1, response_block(200, (b"content-length", b"5")), end_stream=True))
    errors = peer.errors()
    assert [e.rule for e in errors] == ([] if method == b"HEAD" else ["content_length_mismatch"])


def test_content_length_of_304() -> None:
    client, peer = requesting()
    client.send_request(GET, True, peer.now)
    peer.sends(headers(1, response_block(304, (b"content-length", b"5")), end_stream=True))
    peer.sees("response 1 304 end", "closed 1")


def test_content_length_that_fits() -> None:
    client, peer = requesting()
    client.send_request(GET, True, peer.now)
    peer.sends(headers(1, response_block(200, (b"content-length", b"2"))), data(1, b"a"), data(1, b"b", end_stream=True))
    peer.sees("response 1 200", "data 1 a", "data 1 b end", "closed 1")


# -- sent


def test_sending_a_request_with_trailers() -> None:
    client, peer = requesting()
    stream = client.send_request(POST, False, peer.now)
    client.send_data(stream, b"body", False, peer.now)
    client.send_trailers(stream, [(b"a", b"b")], peer.now)
    _, other = serving()
    other.sends(b"".join(frame(f.type, f.flags, f.stream_id, f.payload) for f in peer.gets_frames()))
    other.sees("request 1", "data 1 body", "trailers 1")


def test_sending_informational_and_final() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    stream = server.streams[1]
    server.send_informational(stream, 100, [], peer.now)
    server.send_response(stream, 200, [], True, peer.now)
    found = peer.gets_frames()
    assert [(f.type, f.flags) for f in found] == [(HEADERS, END_HEADERS), (HEADERS, END_HEADERS | END_STREAM)]
    assert found[1].payload == b"\x88"


MISSING = "a request needs :method, :scheme and :path, and no other pseudo-header field but :authority (RFC 9113 §8.3.1)"
METHOD, SCHEME, PATH, AUTHORITY = GET
CONNECT = (b":method", b"CONNECT")
WEBSOCKET = (b":protocol", b"websocket")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (GET[1:], MISSING),
        ([METHOD, PATH, AUTHORITY], MISSING),
        ([METHOD, SCHEME], MISSING),
        ([*GET, (b":status", b"200")], MISSING),
        ([*GET, WEBSOCKET], MISSING),
        ([CONNECT], "a request with CONNECT has :method and :authority, and no other pseudo-header field (RFC 9113 §8.5)"),
        ([CONNECT, *GET[1:]], "a request with CONNECT has :method and :authority, and no other pseudo-header field (RFC 9113 §8.5)"),
        ([CONNECT, AUTHORITY, WEBSOCKET], "a request with :protocol has :method, :scheme, :path and :authority (RFC 8441 §4)"),
        ([*GET, METHOD], "cannot be sent: pseudo-header field b':method' twice (RFC 9113 §8.3)"),
        ([(b"a", b"b"), *GET], "cannot be sent: pseudo-header field b':method' after a regular field (RFC 9113 §8.3)"),
        ([*GET, (b"A", b"b")], "cannot be sent: field name b'A' is not a lower-case token (RFC 9113 §8.2.1)"),
        ([*GET, (b"connection", b"close")], "cannot be sent: connection-specific field b'connection' (RFC 9113 §8.2.2)"),
        (
            [*GET, (b"a", b"b\r\nc: d")],
            "cannot be sent: the value of field b'a' has CR, LF, NUL or white space at its edge (RFC 9113 §8.2.1)",
        ),
    ],
)
def test_bad_request_is_not_sent(fields: list[tuple[bytes, bytes]], text: str) -> None:
    client, peer = requesting()
    peer.sends(settings({8: 1}))
    peer.forget()
    with pytest.raises(LocalProtocolError) as caught:
        client.send_request([*fields, (b"x-new", b"value")] if fields[-1][0] != b"x-new" else fields, True, peer.now)
    assert str(caught.value) == text
    assert (caught.value.initiator, client.streams, client.next_stream_id) == ("user", {}, 1)
    peer.gets()
    # The header table is as before: a server understands the next request.
    client.send_request([*GET, (b"x-new", b"value")], True, peer.now)
    _, other = serving()
    other.sends(b"".join(frame(f.type, f.flags, f.stream_id, f.payload) for f in peer.gets_frames()))
    other.sees("request 1 end")


def test_connect() -> None:
    client, peer = requesting()
    client.send_request([CONNECT, (b":authority", b"a:1")], False, peer.now)
    assert len(peer.gets_frames()) == 1


def test_extended_connect_needs_the_setting() -> None:
    client, peer = requesting()
    with pytest.raises(LocalProtocolError, match=r"needs a server that sent SETTINGS_ENABLE_CONNECT_PROTOCOL \(RFC 8441 §3\)$"):
        client.send_request([CONNECT, SCHEME, PATH, AUTHORITY, WEBSOCKET], False, peer.now)
    peer.sends(settings({8: 1}))
    assert client.send_request([CONNECT, SCHEME, PATH, AUTHORITY, WEBSOCKET], False, peer.now).id == 1


@pytest.mark.parametrize("queued", [False, True])
def test_pseudo_field_in_trailers(queued: bool) -> None:
    client, peer = requesting()
    stream = client.send_request(POST, False, peer.now)
    if queued:
        client.pause_output()
        client.send_data(stream, b"waits", False, peer.now)
    peer.forget()
    with pytest.raises(LocalProtocolError, match=r"^cannot be sent: pseudo-header field b':path' in trailers"):
        client.send_trailers(stream, [(b":path", b"/")], peer.now)
    peer.gets()
    client.send_trailers(stream, [(b"a", b"b")], peer.now)


def test_misuse_of_a_stream() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    stream = server.streams[1]
    texts = []
    misuses = [
        lambda: server.send_data(stream, b"x", False, peer.now),
        lambda: server.send_trailers(stream, [], peer.now),
        lambda: server.send_response(stream, 100, [], False, peer.now),
        lambda: server.send_response(stream, 600, [], False, peer.now),
        lambda: server.send_informational(stream, 101, [], peer.now),
        lambda: server.send_informational(stream, 200, [], peer.now),
        lambda: (server.send_response(stream, 200, [], False, peer.now), server.send_response(stream, 200, [], False, peer.now)),
        lambda: server.send_informational(stream, 103, [], peer.now),
        lambda: (server.send_data(stream, b"", True, peer.now), server.send_data(stream, b"", True, peer.now)),
        lambda: server.send_request(GET, True, peer.now),
    ]
    for misuse in misuses:
        with pytest.raises(LocalProtocolError) as caught:
            misuse()
        texts.append(str(caught.value))
    half = "cannot be sent on stream 1 (half closed remote, RFC 9113 §5.1)"
    assert texts == [
        f"DATA {half}",
        f"trailers {half}",
        f"a response with status 100 {half}",
        f"a response with status 600 {half}",
        f"an informational response with status 101 {half}",
        f"an informational response with status 200 {half}",
        f"a response with status 200 after another {half}",
        f"an informational response with status 103 {half}",
        "DATA cannot be sent on stream 1 (closed, RFC 9113 §5.1)",
        "send_request on a server's connection",
    ]


def test_data_after_a_queued_end() -> None:
    client, peer = requesting()
    stream = client.send_request(POST, False, peer.now)
    client.pause_output()
    client.send_data(stream, b"last", True, peer.now)
    with pytest.raises(LocalProtocolError):
        client.send_data(stream, b"more", False, peer.now)
    with pytest.raises(LocalProtocolError):
        client.send_trailers(stream, [], peer.now)


def test_iterables_of_fields_may_fail() -> None:
    """An exception of the application's own iterable leaves output and table as they were."""

    def fields() -> object:
        yield (b"x-new", b"1")
        raise RuntimeError("of the application")

    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    with pytest.raises(RuntimeError, match="of the application"):
        server.send_response(server.streams[1], 200, fields(), True, peer.now)  # type: ignore[arg-type]
    peer.gets()
    server.send_response(server.streams[1], 200, [], True, peer.now)
    peer.gets(headers(1, b"\x88", end_stream=True))


def test_window_update_on_a_finished_stream_is_ignored() -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    server.send_response(server.streams[1], 200, [], True, peer.now)
    peer.forget()
    peer.sends(window_update(1, 5), rst_stream(1, 8))
    peer.gets()
    peer.sees()


@pytest.mark.parametrize("status", [100, 103, 199])
def test_informational_statuses(status: int) -> None:
    server, peer = serving()
    peer.sends(headers(1, request_block(), end_stream=True))
    peer.forget()
    server.send_informational(server.streams[1], status, [], peer.now)
    server.send_response(server.streams[1], 204, [], True, peer.now)
    assert [(f.type, f.flags) for f in peer.gets_frames()] == [(1, 4), (1, 5)]
