"""Two ASGI applications: the shop that the load talks to, and the stock service that the shop asks.

Plain ASGI, so that the demo needs nothing beyond the package.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from ..client import Client
from ..errors import ClientDisconnected

__all__ = ["Shop", "stock"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Fields = list[tuple[bytes, bytes]]

_TEXT: Fields = [(b"content-type", b"text/plain; charset=utf-8")]
_JSON: Fields = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache")]
_REPORT = b"".join(b"%08d, a line of the report\n" % n for n in range(8192))
_BIG = bytes(range(256)) * 16_384


async def _answer(send: Send, status: int, fields: Fields, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*fields, (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive) -> int:
    """Read the request's body; its size."""
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected("the client went away while it uploaded")
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            return size


class Shop:
    """The service of the demo.

    Args:
        upstream: URL of the stock service.
        client: asks it.
    """

    def __init__(self, upstream: str, client: Client) -> None:
        self._upstream = upstream
        self._client = client
        self._routes: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            "/": self.index,
            "/report": self.report,
            "/big": self.big,
            "/stream": self.stream,
            "/upload": self.upload,
            "/order": self.order,
            "/slow": self.slow,
            "/fail": self.fail,
            "/trailers": self.trailers,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the demo has no {scope['type']}")
        path = scope["path"]
        if path.startswith("/items/"):
            await self.item(scope, receive, send)
        elif path in self._routes:
            await self._routes[path](scope, receive, send)
        else:
            await _answer(send, 404, _TEXT, b"there is nothing here\n")

    async def index(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, _TEXT, ("\n".join(["/items/7", *self._routes]) + "\n").encode())

    async def item(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix("/items/")
        body = json.dumps({"item": name, "price": len(name) * 100, "tags": ["a", "b", "c"]}).encode()
        await _answer(send, 200, [*_JSON, (b"etag", b'"%x"' % abs(hash(name)))], body)

    async def report(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 200, _TEXT, _REPORT)

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
        size = await _drain(receive)
        await _answer(send, 201, _JSON, json.dumps({"received": size}).encode())

    async def order(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Asks the stock service: one trace over two servers."""
        response = await self._client.get(f"{self._upstream}/stock/{random.randrange(100)}")
        await _answer(send, 200 if response.is_success else 502, _JSON, response.content)

    async def slow(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.3)
        await _answer(send, 200, _TEXT, b"at last\n")

    async def fail(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, 500, _TEXT, b"this one fails on purpose\n")

    async def trailers(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _TEXT, "trailers": True})
        await send({"type": "http.response.body", "body": b"checked below\n"})
        await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"c0ffee")]})


async def stock(scope: Scope, receive: Receive, send: Send) -> None:
    """The stock service: a number for an item, and now and then a pause."""
    if scope["type"] != "http":
        raise RuntimeError(f"the demo has no {scope['type']}")
    await asyncio.sleep(random.expovariate(500))
    number = scope["path"].rpartition("/")[2]
    await _answer(send, 200, _JSON, json.dumps({"item": number, "left": len(number) * 3}).encode())
