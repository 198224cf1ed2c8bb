"""The service that the examples of the guide talk to."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["service"]


async def service(scope: Any, receive: Any, send: Any) -> None:
    """Answers JSON that says what came; /missing is a 404, /lines a body in pieces, /slow never answers."""
    assert scope["type"] == "http", scope["type"]
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    path = scope["path"]
    if path == "/slow":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    status = 404 if path == "/missing" else 200
    if path == "/lines":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for number in range(5):
            await send({"type": "http.response.body", "body": b"line %d\n" % number, "more_body": True})
        await send({"type": "http.response.body"})
        return
    body = json.dumps({"method": scope["method"], "path": path, "query": scope["query_string"].decode(), "bytes": size}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
