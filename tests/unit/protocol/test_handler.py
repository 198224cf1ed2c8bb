"""What a handler may do from inside its methods, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel.errors import LocalProtocolError
from h2o_otel.protocol.handler import Handler
from h2o_otel.streams.stream import Stream
from tests.support.engine import requesting, serving
from tests.support.wire import data, headers, ping, request_block, rst_stream, settings, window_update


class Recorder(Handler):
    """Answers from inside its methods as told, and notes the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.connection: Any = None
        self.reaction: dict[str, Any] = {}

    def _note(self, name: str, stream: Stream | None = None) -> None:
        self.calls.append(f"{name} {stream.id}" if stream is not None else name)
        if name in self.reaction:
            self.reaction[name](self.connection, stream)

    def request_received(self, stream: Stream, end_stream: bool) -> None:
        self._note("request", stream)

    def data_received(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        self._note("data", stream)

    def stream_reset(self, stream: Stream, error: Exception) -> None:
        self._note("reset", stream)

    def stream_closed(self, stream: Stream) -> None:
        self._note("closed", stream)

    def stream_writable(self, stream: Stream) -> None:
        self._note("writable", stream)

    def connection_terminated(self, error: Exception) -> None:
        self._note("terminated")


def handled(**reaction: Any) -> tuple[Any, Any, Recorder]:
    handler = Recorder()
    server, peer = serving(handler=handler)
    handler.connection = server
    handler.reaction = reaction
    return server, peer, handler


def respond(connection: Any, stream: Stream) -> None:
    connection.send_response(stream, 200, [], True, 1.0)


def reset(connection: Any, stream: Stream) -> None:
    connection.reset_stream(stream, 8, 1.0)


def close(connection: Any, stream: Stream) -> None:
    connection.close(0, 1.0)


def test_no_events_with_a_handler() -> None:
    server, _, _ = handled()
    assert server.receive(ping(), 1.0) == []
    assert server.take_events() == []


def test_response_from_inside() -> None:
    server, peer, handler = handled(request=respond)
    peer.sends(headers(1, request_block(), end_stream=True), headers(3, request_block(), end_stream=True))
    assert handler.calls == ["request 1", "closed 1", "request 3", "closed 3"]
    peer.gets(headers(1, b"\x88", end_stream=True), headers(3, b"\x88", end_stream=True))
    assert server.streams == {}


def test_reset_from_inside() -> None:
    _, peer, handler = handled(request=reset)
    peer.sends(headers(1, request_block(b"POST")), data(1, b"late", end_stream=True), headers(3, request_block()))
    assert handler.calls == ["request 1", "closed 1", "request 3", "closed 3"]
    peer.gets(rst_stream(1, 8), rst_stream(3, 8))


def test_reset_in_the_last_data() -> None:
    """The exchange is over in both directions: nothing is left to reset."""
    server, peer, handler = handled(request=respond, data=reset)
    peer.sends(headers(1, request_block(b"POST")), data(1, b"x", end_stream=True))
    assert handler.calls == ["request 1", "data 1", "closed 1"]
    peer.gets(headers(1, b"\x88", end_stream=True))
    assert server.recv_uncredited == 1


def test_close_in_the_last_data() -> None:
    server, peer, handler = handled(request=respond, data=close)
    peer.sends(headers(1, request_block(b"POST")), data(1, b"x", end_stream=True), ping())
    assert handler.calls == ["request 1", "data 1", "closed 1"]
    assert server.closed


def test_close_from_inside_stops_the_batch() -> None:
    server, peer, handler = handled(request=close)
    peer.sends(headers(1, request_block()), headers(3, request_block()), ping())
    assert handler.calls == ["request 1", "reset 1", "closed 1"]
    assert [f.type for f in peer.gets_frames()] == [7]
    assert server.closed


def test_close_while_the_connection_fails() -> None:
    _, peer, handler = handled(reset=close, terminated=close)
    peer.sends(headers(1, request_block()), headers(3, request_block()), data(0))
    assert handler.calls == ["request 1", "request 3", "reset 1", "closed 1", "reset 3", "closed 3", "terminated"]
    assert [f.type for f in peer.gets_frames()] == [7]


def test_receive_is_not_reentrant() -> None:
    caught: list[str] = []

    def again(connection: Any, stream: Stream) -> None:
        for receive in (lambda: connection.receive(b"", 1.0), lambda: connection.receive_into(bytearray(1), 0, 1, 1.0)):
            try:
                receive()
            except LocalProtocolError as error:
                caught.append(str(error))

    _, peer, _ = handled(request=again)
    peer.sends(headers(1, request_block()))
    assert caught == ["receive() is not re-entrant", "receive_into() inside a handler, or outside its buffer"]


def test_failing_handler_does_not_lock_the_connection() -> None:
    def fail(connection: Any, stream: Stream) -> None:
        raise RuntimeError("of the application")

    server, peer, handler = handled(request=fail)
    with pytest.raises(RuntimeError, match="of the application"):
        peer.sends(headers(1, request_block()))
    handler.reaction = {}
    peer.sends(ping())
    peer.gets(ping(ack=True))
    assert list(server.streams) == [1]


def test_more_body_from_writable() -> None:
    sent: list[int] = []

    def more(connection: Any, stream: Stream) -> None:
        if len(sent) < 3:
            sent.append(connection.send_data(stream, bytes(100_000), len(sent) == 2, 1.0))

    server, peer, _ = handled(request=lambda c, s: c.send_response(s, 200, [], False, 1.0), writable=more)
    peer.sends(settings({4: 2**24}), window_update(0, 2**24), headers(1, request_block(), end_stream=True))
    server.pause_output()
    server.send_data(server.streams[1], bytes(100_000), False, 1.0)
    server.resume_output(1.0)
    total = 0
    while server.out_size():
        total += sum(len(f.payload) for f in peer.gets_frames() if f.type == 0)
        server.pump(1.0)
    assert (total, len(sent), server.streams) == (400_000, 3, {})


def test_reset_from_writable() -> None:
    server, peer, handler = handled(request=lambda c, s: c.send_response(s, 200, [], False, 1.0), writable=reset)
    peer.sends(settings({4: 2**24}), window_update(0, 2**24), headers(1, request_block(), end_stream=True))
    server.pause_output()
    server.send_data(server.streams[1], bytes(100_000), False, 1.0)
    server.send_trailers(server.streams[1], [(b"a", b"b")], 1.0)
    server.resume_output(1.0)
    assert handler.calls == ["request 1", "writable 1", "closed 1"]
    assert (server.queued, server.streams) == (0, {})


def test_default_handler_does_nothing() -> None:
    client, peer = requesting(handler=Handler())
    peer.sends(settings(), ping())
    assert not client.closed


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (0, 11), (5, 4)])
def test_receive_outside_the_buffer(start: int, end: int) -> None:
    server, peer = serving()
    with pytest.raises(LocalProtocolError):
        server.receive_into(bytearray(10), start, end, peer.now)
