"""Two ASGI applications: the shop that the load talks to, and the stock service that the shop asks.

Plain ASGI, so that the demo needs nothing beyond the package.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from ..client import AsyncClient
from ..errors import ClientDisconnected, TransportError

__all__ = ["Route", "Shop", "stock"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Fields = list[tuple[bytes, bytes]]

_TEXT: Fields = [(b"content-type", b"text/plain; charset=utf-8")]
_JSON: Fields = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache")]
_REPORT = b"".join(b"%08d, a line of the report\n" % n for n in range(8192))
_BIG = bytes(range(256)) * 16_384
_REPORT_BYTES_MAX = 33_554_432
_SLEEP_S_MAX = 10.0


class Route(NamedTuple):
    """A route as frameworks set it in ``scope["route"]``; metrics and spans take ``http.route`` from it."""

    path: str


def _number(scope: Scope, name: str, default: float, most: float) -> float:
    """A number of the query string, at most ``most``; the default for other text."""
    for key, value in parse_qsl(scope["query_string"].decode("latin-1")):
        if key == name:
            try:
                return min(max(0.0, float(value)), most)
            except ValueError:
                return default
    return default


async def _answer(send: Send, status: int, fields: Fields, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*fields, (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive, pause_s: float = 0.0) -> int:
    """Read the request's body, with a pause after each part if asked for; its size."""
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected("the client went away while it uploaded")
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            return size
        if pause_s:
            await asyncio.sleep(pause_s)


class Shop:
    """The service of the demo.

    Args:
        upstream: URL of the stock service.
        client: asks it.
    """

    def __init__(self, upstream: str, client: AsyncClient) -> None:
        self._upstream = upstream
        self._client = client
        self._routes: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            "/": self.index,
            "/report": self.report,
            "/big": self.big,
            "/stream": self.stream,
            "/upload": self.upload,
            "/echo": self.echo,
            "/order": self.order,
            "/slow": self.slow,
            "/compute": self.compute,
            "/packed": self.packed,
            "/hints": self.hints,
            "/fail": self.fail,
            "/break": self.breaks,
            "/trailers": self.trailers,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the demo has no {scope['type']}")
        path = scope["path"]
        if path.startswith("/items/"):
            scope["route"] = Route("/items/{item}")
            await self.item(scope, receive, send)
        elif path in self._routes:
            scope["route"] = Route(path)
            await self._routes[path](scope, receive, send)
        else:
            await _answer(send, 404, _TEXT, b"there is nothing here\n")

    async def index(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, _TEXT, ("\n".join(["/items/7", *self._routes]) + "\n").encode())

    async def item(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix("/items/")
        body = json.dumps({"item": name, "price": len(name) * 100, "tags": ["a", "b", "c"]}).encode()
        await _answer(send, 200, [*_JSON, (b"etag", b'"%x"' % zlib.crc32(name.encode()))], body)

    async def report(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = int(_number(scope, "bytes", len(_REPORT), _REPORT_BYTES_MAX))
        await _answer(send, 200, _TEXT, (_REPORT * (size // len(_REPORT) + 1))[:size])

    async def big(self, scope: Scope, receive: Receive, send: Send) -> None:
        """4 MiB: more than the client's stream window, so a slow reader closes it."""
        await _answer(send, 200, [(b"content-type", b"application/octet-stream")], _BIG)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _TEXT})
        for n in range(20):
            await send({"type": "http.response.body", "body": b"line %d\n" % n, "more_body": True})
            await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b""})

    async def upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts the body; with ``pause`` it waits after each part."""
        size = await _drain(receive, _number(scope, "pause", 0.0, _SLEEP_S_MAX))
        await _answer(send, 201, _JSON, json.dumps({"received": size}).encode())

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Echoes each part as it arrives."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/octet-stream")]})
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientDisconnected("the client went away while it talked")
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    async def order(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Asks the stock service twice at once: one trace over two servers."""
        asked = (self._client.get(f"{self._upstream}/stock/{random.randrange(100)}", timeout=5.0) for _ in range(2))
        try:
            first, second = await asyncio.gather(*asked)
        except TransportError as error:
            await _answer(send, 502, _TEXT, f"stock: {error}\n".encode())
            return
        done = first.is_success and second.is_success
        await _answer(send, 200 if done else 502, _JSON, b"[%b,%b]" % (first.content, second.content))

    async def slow(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(_number(scope, "seconds", 0.3, _SLEEP_S_MAX))
        await _answer(send, 200, _TEXT, b"at last\n")

    async def compute(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Blocks the event loop, as forgotten CPU work does."""
        until = time.monotonic() + 0.01
        checksum = 0
        while time.monotonic() < until:
            checksum = zlib.crc32(_REPORT[:16_384], checksum)
        await _answer(send, 200, _TEXT, b"%08x\n" % checksum)

    async def packed(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, [*_TEXT, (b"content-encoding", b"gzip")], gzip.compress(_REPORT[:65_536], 1))

    async def hints(self, scope: Scope, receive: Receive, send: Send) -> None:
        """103 first; and a field of HTTP/1.1, which the server drops."""
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload; as=style"]})
        await _answer(send, 200, [(b"content-type", b"text/html"), (b"Connection", b"keep-alive")], b"<!doctype html>\n")

    async def fail(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 500, _TEXT, b"this one fails on purpose\n")

    async def breaks(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises in the middle of its response: the client sees RST_STREAM INTERNAL_ERROR."""
        await send({"type": "http.response.start", "status": 200, "headers": _TEXT})
        await send({"type": "http.response.body", "body": b"so far, so good\n", "more_body": True})
        raise ValueError("this page of the demo breaks on purpose")

    async def trailers(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _TEXT, "trailers": True})
        await send({"type": "http.response.body", "body": b"checked below\n"})
        await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"c0ffee")]})


async def stock(scope: Scope, receive: Receive, send: Send) -> None:
    """The stock service: a number for an item, and now and then a pause."""
    if scope["type"] != "http":
        raise RuntimeError(f"the demo has no {scope['type']}")
    scope["route"] = Route("/stock/{item}")
    await asyncio.sleep(random.expovariate(500))
    number = scope["path"].rpartition("/")[2]
    await _answer(send, 200, _JSON, json.dumps({"item": number, "left": len(number) * 3}).encode())
