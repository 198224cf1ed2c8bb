"""``http.response.push``: promises of an application, answered by it like requests of the client."""

from __future__ import annotations

from typing import Any

import h2.events
import pytest

from h2o_otel.limits import ServerLimits
from h2o_otel.server.checks import pushed_path
from h2o_otel.tuning import Tuning
from tests.support import backends
from tests.support.peer import Answer, Peer, connected
from tests.support.waiting import eventually

pytestmark = backends.asyncio_only

PUSH = "http.response.push"
START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}


def body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data}


class Taking(Peer):
    """A client that takes promises, and keeps them by path."""

    def __init__(self, *, enable: bool = True) -> None:
        super().__init__()
        self.enable = enable
        self.promised: dict[bytes, Answer] = {}
        self.fields: list[Any] = []

    def flush(self) -> None:
        if not self.enable:
            self.enable = True
            self.h2.update_settings({2: 0})
        super().flush()

    def _handle(self, event: Any) -> None:
        if isinstance(event, h2.events.PushedStreamReceived):
            self.fields.append(event.headers)
            self.promised[dict(event.headers)[b":path"]] = self.answers[event.pushed_stream_id] = Answer()
        super()._handle(event)


class Page:
    """``/`` promises; everything else is answered with its path."""

    def __init__(self, *promises: str, headers: Any = ()) -> None:
        self.promises = promises
        self.headers = headers
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["path"] == "/" and not scope["query_string"]:
            for path in self.promises:
                await send({"type": PUSH, "path": path, "headers": self.headers})
        await send(START)
        await send(body(scope["path"].encode()))


async def test_promise_is_answered_by_the_application() -> None:
    app = Page("/a.css", "/b.js?v=1", headers=[(b"Accept", b"text/css"), (b"host", b"evil")])
    async with connected(app, peer=Taking()) as peer:
        assert isinstance(peer, Taking)
        assert (await peer.get()).body == b"/"
        assert [(await answer.done()).body for answer in peer.promised.values()] == [b"/a.css", b"/b.js"]
        assert list(peer.promised) == [b"/a.css", b"/b.js?v=1"]
        assert peer.fields[0] == [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"test.example"),
            (b":path", b"/a.css"),
            (b"accept", b"text/css"),
        ]
        # Once on a connection; a second page is answered without.
        assert (await peer.get()).body == b"/"
        assert len(peer.fields) == 2
    page, css, js, _again = app.scopes
    assert PUSH in page["extensions"]
    assert PUSH not in css["extensions"]
    assert css["headers"] == [(b"host", b"test.example"), (b"accept", b"text/css")]
    assert (js["method"], js["path"], js["query_string"]) == ("GET", "/b.js", b"v=1")


@pytest.mark.parametrize("against", ["client", "tuning", "limit"])
async def test_promise_that_cannot_be_made_comes_to_nothing(against: str) -> None:
    app = Page("/a.css")
    settings: dict[str, Any] = {}
    if against == "tuning":
        settings["tuning"] = Tuning(protocol_push=False)
    elif against == "limit":
        settings["limits"] = ServerLimits(push_promises_per_connection_max=0)
    async with connected(app, peer=Taking(enable=against != "client"), **settings) as peer:
        assert isinstance(peer, Taking)
        assert (await peer.get()).body == b"/"
        assert peer.promised == {}
    assert PUSH not in app.scopes[0]["extensions"]


async def test_promises_wait_for_a_handler_like_requests() -> None:
    paths = [f"/{n}" for n in range(20)]
    app = Page(*paths)
    async with connected(app, peer=Taking(), limits=ServerLimits(running_handlers_max=1)) as peer:
        assert isinstance(peer, Taking)
        assert (await peer.get()).body == b"/"
        await eventually(lambda: len(peer.promised) == 20)
        assert [(await answer.done()).body for answer in peer.promised.values()] == [path.encode() for path in paths]


async def test_cancelled_promise_is_told_to_the_application() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            seen.extend([(await receive())["type"], (await receive())["type"]])
            return
        await send({"type": PUSH, "path": "/slow", "headers": []})
        await send(START)
        await send(body(b"x"))

    async with connected(app, peer=Taking()) as peer:
        assert isinstance(peer, Taking)
        assert (await peer.get()).body == b"x"
        await eventually(lambda: peer.server.service.handlers == 1)
        peer.cancel(peer.promised[b"/slow"])
        await eventually(lambda: peer.server.service.handlers == 0)
    assert seen == ["http.request", "http.disconnect"]


async def test_promise_after_the_response_is_a_mistake() -> None:
    faults: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"x"))
        try:
            await send({"type": PUSH, "path": "/late", "headers": []})
        except RuntimeError as error:
            faults.append(error)

    async with connected(app, peer=Taking()) as peer:
        assert (await peer.get()).body == b"x"
        await eventually(lambda: faults)
    assert "after the response was complete" in str(faults[0])


async def test_path() -> None:
    assert pushed_path("/a b/é?x=%20&y=1") == b"/a%20b/%C3%A9?x=%20&y=1"
    with pytest.raises(ValueError, match="begins with /"):
        pushed_path("https://other.example/")
