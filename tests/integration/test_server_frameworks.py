"""Applications of Starlette and FastAPI, as they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, File, HTTPException, UploadFile
from fastapi.responses import StreamingResponse as FastStreamingResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from h2o_otel import counters
from h2o_otel.limits import ServerLimits
from tests.support import backends
from tests.support.peer import connected
from tests.support.waiting import eventually

pytestmark = backends.asyncio_loops


class Events(list[str]):
    async def until(self, *expected: str) -> None:
        await eventually(lambda: set(expected) <= set(self))


class Timing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["X-Middle"] = request.url.path
        return response


def starlette(events: Events, *, middleware: bool = True) -> Starlette:
    async def hello(request: Request) -> Response:
        return JSONResponse({"path": request.url.path, "query": dict(request.query_params), "host": request.headers["host"]})

    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/octet-stream")

    async def pieces(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                for i in range(50):
                    yield b"%d," % i
                    await asyncio.sleep(0)
            finally:
                events.append("pieces ended")

        return StreamingResponse(body())

    async def forever(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"tick"
                    await asyncio.sleep(0.005)
            finally:
                events.append("forever ended")

        return StreamingResponse(body())

    async def background(request: Request) -> Response:
        async def work() -> None:
            await asyncio.sleep(0.02)
            events.append("background ended")

        return PlainTextResponse("ok", background=BackgroundTask(work))

    async def fail(request: Request) -> Response:
        raise KeyError("fail")

    async def missing(request: Request) -> Response:
        raise StarletteHTTPException(418, "teapot")

    async def upload(request: Request) -> Response:
        size = 0
        events.append("upload begun")
        try:
            async for piece in request.stream():
                size += len(piece)
        except ClientDisconnect:
            events.append("upload cut")
            raise
        return PlainTextResponse(str(size))

    def blocking(request: Request) -> Response:
        return PlainTextResponse("from a thread")

    async def cookies(request: Request) -> Response:
        response = RedirectResponse("/elsewhere")
        response.set_cookie("a", request.cookies.get("x", "none"))
        response.set_cookie("b", request.cookies.get("y", "none"))
        return response

    routes = [
        Route("/hello/{name}", hello),
        Route("/echo", echo, methods=["POST"]),
        Route("/pieces", pieces),
        Route("/forever", forever),
        Route("/background", background),
        Route("/fail", fail),
        Route("/missing", missing),
        Route("/upload", upload, methods=["POST"]),
        Route("/blocking", blocking),
        Route("/cookies", cookies),
        Mount("/sub", routes=[Route("/hello", hello)]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(GZipMiddleware, minimum_size=100_000), Middleware(Timing)] if middleware else [])


@pytest.mark.parametrize("middleware", [True, False])
@pytest.mark.parametrize("engine", ["native", "h2"])
async def test_starlette(middleware: bool, engine: str) -> None:
    events = Events()
    async with connected(starlette(events, middleware=middleware), lifespan="auto", engine=engine) as peer:
        answer = await peer.get("/hello/a%20b?a=1")
        assert json.loads(answer.body) == {"path": "/hello/a b", "query": {"a": "1"}, "host": "test.example"}
        assert (await peer.get("/nowhere")).status == 404
        assert (await peer.request("HEAD", "/hello/x").done()).body == b""
        assert (await peer.request("POST", "/echo", body=b"data").done()).body == b"data"
        assert (await peer.get("/pieces")).body.startswith(b"0,1,2,")
        await events.until("pieces ended")
        assert (await peer.get("/background")).body == b"ok"
        await events.until("background ended")
        assert (await peer.get("/fail")).status == 500
        assert (await peer.get("/missing")).status == 418
        assert (await peer.get("/blocking")).body == b"from a thread"
        assert json.loads((await peer.get("/sub/hello")).body)["path"] == "/sub/hello"
        answer = await peer.get("/cookies", headers=[("cookie", "x=1"), ("cookie", "y=2")])
        assert [value.partition(b";")[0] for name, value in answer.headers if name == b"set-cookie"] == [b"a=1", b"b=2"]
        assert answer[b"location"] == b"/elsewhere"


@pytest.mark.parametrize("middleware", [True, False])
async def test_starlette_streams_end_with_their_clients(middleware: bool) -> None:
    events = Events()
    limits = ServerLimits(disconnect_grace_s=0.2)
    async with connected(starlette(events, middleware=middleware), limits=limits) as peer:
        answer = peer.request(path="/forever")
        while b"tick" not in answer.body:
            await answer.change()
        peer.cancel(answer)
        await events.until("forever ended")
        upload = peer.request("POST", "/upload", end=False)
        peer.send(upload, b"x" * 1000)
        await events.until("upload begun")
        peer.cancel(upload)
        if not middleware:
            await events.until("upload cut")
        await eventually(lambda: not peer.server.service.tasks)


@pytest.mark.parametrize("middleware", [True, False])
@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("framework", ["starlette", "sse-starlette"])
async def test_stream_that_waits_for_its_next_event_ends_with_its_client(framework: str, how: str, middleware: bool, caplog: Any) -> None:
    """At once, in whatever it waits: the grace is for others."""
    events = Events()

    async def body() -> AsyncIterator[str]:
        try:
            yield "first"
            await asyncio.sleep(3600)
        finally:
            events.append("ended")

    async def stream(request: Request) -> Response:
        if framework == "starlette":
            return StreamingResponse(body(), media_type="text/event-stream")
        sse: Any = pytest.importorskip("sse_starlette")
        response: Response = sse.EventSourceResponse(body())
        return response

    app = Starlette(routes=[Route("/", stream)], middleware=[Middleware(Timing)] if middleware else [])
    async with connected(app, limits=ServerLimits(disconnect_grace_s=1800.0)) as peer:
        answer = peer.request()
        await eventually(lambda: b"first" in answer.body)
        if how == "reset":
            peer.cancel(answer)
        else:
            await peer.close()
        await events.until("ended")
        await eventually(lambda: not peer.server.service.handlers)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_starlette_files(tmp_path: Any) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * 4000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await FileResponse(path)(scope, receive, send)

    async with connected(app) as peer:
        answer = await peer.get()
        assert answer.body == path.read_bytes()
        assert answer[b"content-length"] == b"1024000"
        part = await peer.get(headers=[("range", "bytes=10-19")])
        assert (part.status, part.body) == (206, path.read_bytes()[10:20])


class Item(BaseModel):
    name: str
    price: float


def fastapi(events: Events) -> FastAPI:
    app = FastAPI()

    async def token(request: Request) -> AsyncIterator[str]:
        yield request.headers.get("x-token", "none")
        events.append("dependency ended")

    @app.get("/items/{id}")
    async def read(id: int, q: str | None = None, token: str = Depends(token)) -> dict[str, Any]:
        if id == 404:
            raise HTTPException(404, "no such item")
        return {"id": id, "q": q, "token": token}

    @app.post("/items")
    async def create(item: Item, background: BackgroundTasks) -> Item:
        background.add_task(events.append, f"created {item.name}")
        return item

    @app.get("/sync")
    def sync() -> dict[str, str]:
        return {"from": "a thread"}

    @app.post("/files")
    async def files(file: UploadFile = File()) -> dict[str, Any]:  # noqa: B008 -- how FastAPI declares it
        return {"name": file.filename, "size": len(await file.read())}

    @app.get("/stream")
    async def stream() -> FastStreamingResponse:
        async def body() -> AsyncIterator[str]:
            for i in range(3):
                await asyncio.sleep(0.001)
                yield f"data: {i}\n\n"

        return FastStreamingResponse(body(), media_type="text/event-stream")

    return app


async def test_fastapi() -> None:
    pytest.importorskip("python_multipart")
    events = Events()
    counters._reset_after_fork()
    async with connected(fastapi(events), lifespan="on") as peer:
        assert json.loads((await peer.get("/items/5?q=x", headers=[("x-token", "t")])).body) == {"id": 5, "q": "x", "token": "t"}
        await events.until("dependency ended")
        assert (await peer.get("/items/404")).status == 404
        assert (await peer.get("/items/none")).status == 422
        body = b'{"name": "x", "price": 1.5}'
        answer = await peer.request("POST", "/items", [("content-type", "application/json")], body).done()
        assert json.loads(answer.body) == {"name": "x", "price": 1.5}
        await events.until("created x")
        assert json.loads((await peer.get("/sync")).body) == {"from": "a thread"}
        form = b'--B\r\ncontent-disposition: form-data; name="file"; filename="f.txt"\r\n\r\n' + b"x" * 50_000 + b"\r\n--B--\r\n"
        answer = peer.request("POST", "/files", [("content-type", "multipart/form-data; boundary=B")], end=False)
        for start in range(0, len(form), 16_000):
            peer.send(answer, form[start : start + 16_000], end=start + 16_000 >= len(form))
        assert json.loads((await answer.done()).body) == {"name": "f.txt", "size": 50_000}
        answer = await peer.get("/stream")
        assert answer.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert (await peer.get("/openapi.json")).status == 200
    routes = {key[3] for key in counters.collect().labelled_histograms["http_server_request_duration"]}
    assert {"/items/{id}", "/items", "/sync", "/files", "/stream"} <= routes
