"""What an application sees of a request: its scope, and the messages of receive()."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from h2o_otel import counters
from tests.support import backends, wire
from tests.support.judged import requirement
from tests.support.peer import Peer, connected, serving
from tests.support.waiting import eventually

pytestmark = backends.asyncio_loops


class Recorder:
    """Answers 200 with an empty body and keeps the scope."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def scope_of(
    path: str = "/", headers: list[tuple[str, str]] | None = None, *, method: str = "GET", **settings: Any
) -> dict[str, Any]:
    app = Recorder()
    async with connected(app, **settings) as peer:
        assert (await peer.request(method, path, headers).done()).status == 200
    return app.scope


async def test_scope_of_plain_request() -> None:
    scope = await scope_of("/a%20b/%C3%A9?x=1&y=%20", [("accept", "*/*")])
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["http_version"] == "2"
    assert scope["method"] == "GET"
    assert scope["scheme"] == "http"
    assert scope["path"] == "/a b/é"
    assert scope["raw_path"] == b"/a%20b/%C3%A9"
    assert scope["query_string"] == b"x=1&y=%20"
    assert scope["root_path"] == ""
    assert scope["headers"] == [(b"host", b"test.example"), (b"accept", b"*/*")]
    assert scope["client"][0] == "127.0.0.1"
    assert scope["server"][0] == "127.0.0.1"
    assert set(scope["extensions"]) == {"http.response.trailers", "http.response.early_hint", "http.response.push"}


async def test_root_path_stands_before_path() -> None:
    scope = await scope_of("/x", root_path="/api/")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/api", "/api/x", b"/api/x")


async def test_invalid_utf8_in_path_is_replaced() -> None:
    assert (await scope_of("/%ff"))["path"] == "/\ufffd"


@requirement("9113-8.2.3-1")
async def test_cookie_crumbs_are_joined_in_place() -> None:
    # The h2 library joins them itself, at the end.
    scope = await scope_of(headers=[("a", "1"), ("cookie", "x=1"), ("b", "2"), ("cookie", "y=2"), ("a", "3")], engine="native")
    assert scope["headers"][1:] == [(b"a", b"1"), (b"cookie", b"x=1; y=2"), (b"b", b"2"), (b"a", b"3")]


async def test_host_equal_to_authority_stands_once_and_first() -> None:
    scope = await scope_of(headers=[("accept", "*/*"), ("host", "test.example")])
    assert scope["headers"] == [(b"host", b"test.example"), (b"accept", b"*/*")]


async def test_repeated_fields_keep_their_order() -> None:
    fields = [("accept", "a"), ("x", "1"), ("accept", "b"), ("x", "2"), ("x", "")]
    scope = await scope_of(headers=fields)
    assert scope["headers"][1:] == [(name.encode(), value.encode()) for name, value in fields]


async def test_unknown_method_arrives_in_upper_case() -> None:
    assert (await scope_of(method="PURGE"))["method"] == "PURGE"


async def test_parts_of_the_scope_are_not_shared() -> None:
    scopes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"]["mine"] = {}
        scope["headers"].append((b"mine", b"1"))
        scopes.append(scope)
        await Recorder()(scope, receive, send)

    async with connected(app) as peer:
        await peer.get()
        await peer.get()
    assert scopes[0] is not scopes[1]
    assert len(scopes[1]["headers"]) == 2
    assert scopes[0]["extensions"] is not scopes[1]["extensions"]


# -- receive()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def test_request_without_body_is_one_empty_message() -> None:
    messages = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        messages.append(await receive())
        await Recorder()(scope, receive, send)
        messages.append(await receive())
        messages.append(await receive())

    async with connected(app) as peer:
        await peer.get()
    assert messages == [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}, {"type": "http.disconnect"}]


@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_body_larger_than_all_windows_is_echoed(engine: str) -> None:
    body = os.urandom(3_000_000)
    async with connected(echo, peer=Peer(window=1_000_000), engine=engine) as peer:
        answer = peer.request("POST", end=False)
        sent = 0
        while sent < len(body):
            room = min(peer.h2.local_flow_control_window(peer.stream_of(answer)), peer.h2.max_outbound_frame_size, len(body) - sent)
            if room == 0:
                await asyncio.sleep(0.001)
                continue
            peer.send(answer, body[sent : sent + room])
            sent += room
        peer.send(answer, b"", end=True)
        assert (await answer.done()).body == body


async def test_small_pieces_that_wait_are_joined() -> None:
    sizes = []
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await Recorder()(scope, receive, send)

    async with connected(app) as peer:
        answer = peer.request("POST", end=False)
        for _ in range(1000):
            peer.send(answer, b"xxxxxxxxxx")
        peer.send(answer, b"", end=True)
        await peer.heard()
        go.set()
        assert (await answer.done()).status == 200
    assert sum(sizes) == 10_000
    assert len(sizes) < 6


async def test_cancelled_receive_loses_nothing() -> None:
    got = []
    patient = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            try:
                async with asyncio.timeout(0.01):
                    await receive()
            except TimeoutError:
                continue
        patient.set()
        got.append(await receive())
        got.append(await receive())
        await Recorder()(scope, receive, send)

    async with connected(app) as peer:
        answer = peer.request("POST", end=False)
        await patient.wait()
        peer.send(answer, b"one")
        # Sent before it is taken, the rest would be joined to it.
        await eventually(lambda: got)
        peer.send(answer, b"two", end=True)
        await answer.done()
    assert [message["body"] for message in got] == [b"one", b"two"]


async def test_two_receivers_are_both_woken_at_the_end() -> None:
    kinds = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(receive()), group.create_task(receive())
            await asyncio.sleep(0.01)
            await Recorder()(scope, receive, send)
        kinds.extend([first.result()["type"], second.result()["type"]])

    async with connected(app) as peer:
        await peer.get()
        await eventually(lambda: kinds)
    assert kinds == ["http.disconnect"] * 2


async def test_unread_bodies_do_not_use_up_the_connection_window() -> None:
    """Responses that ignore the request's body give its octets back."""
    async with connected(Recorder()) as peer:
        for _ in range(40):
            answer = peer.request("POST", body=b"x" * 16_000, end=False)
            peer.send(answer, b"x" * 16_000)
            await answer.done()
        await eventually(lambda: peer.h2.outbound_flow_control_window >= 500_000)


async def test_trailers_of_a_request_end_its_body() -> None:
    async with connected(echo) as peer:
        answer = peer.request("POST", end=False)
        peer.send(answer, b"abc")
        peer.h2.send_headers(peer.stream_of(answer), [("x-sum", "1")], end_stream=True)
        peer.flush()
        assert (await answer.done()).body == b"abc"


async def test_connect_is_not_implemented() -> None:
    async with connected(Recorder()) as peer:
        tunnel = peer.open([(":method", "CONNECT"), (":authority", "other.example:443")])
        assert (await tunnel.done()).status == 501


async def health_check(**settings: Any) -> tuple[dict[str, Any], list[wire.Frame]]:
    """What an application sees of HAProxy's health check, and what is answered."""
    app = Recorder()
    block = wire.block((b":method", b"OPTIONS"), (b":scheme", b"https"), (b":path", b"/"))
    async with serving(app, **settings) as server:
        reader, writer = await asyncio.open_connection(*server.addresses[0][:2])
        writer.write(wire.PREFACE + wire.settings() + wire.settings_ack() + wire.headers(1, block, end_stream=True) + wire.goaway(0))
        answer = b""
        while not any(frame.stream_id == 1 for frame in whole(answer)):
            answer += await reader.read(65_536)
        writer.close()
    return app.scope, whole(answer)


def whole(octets: bytes) -> list[wire.Frame]:
    """The complete frames at the beginning of ``octets``."""
    end = 0
    while len(octets) >= end + 9 and len(octets) >= (stop := end + 9 + int.from_bytes(octets[end : end + 3], "big")):
        end = stop
    return wire.frames(octets[:end])


async def test_request_without_authority_has_no_host() -> None:
    """None is invented for it."""
    before = counters.collect().value("requests_without_authority")
    scope, answer = await health_check()
    assert (scope["method"], scope["path"], scope["headers"]) == ("OPTIONS", "/", [])
    assert wire.HEADERS in [frame.type for frame in answer if frame.stream_id == 1]
    assert counters.collect().value("requests_without_authority") == before + 1


async def test_request_without_authority_is_refused_where_one_is_required() -> None:
    scope, answer = await health_check(require_authority=True)
    assert scope == {}
    assert [(frame.type, frame.payload) for frame in answer if frame.stream_id == 1] == [(wire.RST_STREAM, b"\0\0\0\1")]
