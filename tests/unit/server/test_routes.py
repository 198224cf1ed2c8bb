"""``http.route`` is the whole template of the route, whatever routers and mounts led to it, and never the path."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from h2o_otel.server.routes import route_of
from tests.support import backends

asyncio_test = backends.asyncio_only


async def route(app: Any, path: str, root_path: str = "") -> str | None:
    """The route that ``app`` leaves in the scope of a request for ``path``."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "2",
        "method": "GET",
        "scheme": "http",
        "path": root_path + path,
        "raw_path": (root_path + path).encode(),
        "query_string": b"",
        "root_path": root_path,
        "headers": [(b"host", b"example.test")],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 80),
        "extensions": {},
    }
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        pass

    await app(scope, receive, send)
    return route_of(scope)


def fastapi(folder: Any) -> FastAPI:
    async def nothing() -> None:
        return None

    plain = FastAPI()
    plain.get("/own/{b}")(nothing)
    items = APIRouter(prefix="/v1")
    items.get("/items/{id}")(nothing)
    deep = APIRouter(prefix="/deep/{org}")
    deep.get("/x/{id:int}")(nothing)
    items.include_router(deep)
    items.mount("/inside/{room}", plain)
    app = FastAPI()
    app.get("/plain/{a}")(nothing)
    app.include_router(items)
    app.include_router(items, prefix="/again")
    below = FastAPI()
    below.get("/s/{b}")(nothing)
    below.include_router(items)
    app.mount("/sub", below)
    app.mount("/users/{uid}", below)
    app.mount("/static", StaticFiles(directory=folder))
    return app


def starlette(folder: Any) -> Starlette:
    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    return Starlette(
        routes=[
            Route("/h/{n:int}", hello),
            Mount("/m", routes=[Route("/k/{j}", hello), Mount("/n/{q}", routes=[Route("/z/{y}", hello)])]),
            Mount("/static", StaticFiles(directory=folder)),
            Mount("/api", fastapi(folder)),
            Mount("/any", PlainTextResponse("any")),
            Mount("", Starlette(routes=[Route("/last/{w}", hello)])),
        ]
    )


@pytest.fixture
def folder(tmp_path: Any) -> Any:
    (tmp_path / "a.txt").write_text("text")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/plain/1", "/plain/{a}"),
        ("/v1/items/3", "/v1/items/{id}"),
        ("/again/v1/items/3", "/again/v1/items/{id}"),
        ("/v1/items/no-number", "/v1/items/{id}"),
        ("/v1/deep/acme/x/4", "/v1/deep/{org}/x/{id}"),
        ("/again/inside/9/own/4", "/again/inside/{room}/own/{b}"),
        ("/sub/s/9", "/sub/s/{b}"),
        ("/sub/v1/items/9", "/sub/v1/items/{id}"),
        ("/users/77/s/9", "/users/{uid}/s/{b}"),
        ("/users/77/v1/deep/acme/x/4", "/users/{uid}/v1/deep/{org}/x/{id}"),
        ("/static/a.txt", "/static"),
        ("/static/secret-of-17", "/static"),
        ("/docs", "/docs"),
        ("/nothing/17", None),
    ],
)
@asyncio_test
async def test_fastapi(folder: Any, path: str, expected: str | None) -> None:
    app = fastapi(folder)
    assert await route(app, path) == expected
    assert await route(app, path, "/proxy") == (None if expected is None else "/proxy" + expected)
    assert await route(starlette(folder), "/api" + path) == ("/api" if expected is None else "/api" + expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/h/1", "/h/{n}"),
        ("/m/k/2", "/m/k/{j}"),
        ("/m/n/5/z/6", "/m/n/{q}/z/{y}"),
        ("/m/none/5", "/m"),
        ("/static/a.txt", "/static"),
        ("/any/thing/5", "/any"),
        ("/last/9", "/last/{w}"),
        ("/nothing/17", None),
    ],
)
@asyncio_test
async def test_starlette(folder: Any, path: str, expected: str | None) -> None:
    app = starlette(folder)
    assert await route(app, path) == expected
    assert await route(app, path, "/proxy") == (None if expected is None else "/proxy" + expected)


@asyncio_test
async def test_the_values_of_a_mount_make_no_series(folder: Any) -> None:
    app = fastapi(folder)
    assert {await route(app, f"/users/{i}/s/{i}") for i in range(50)} == {"/users/{uid}/s/{b}"}


@asyncio_test
async def test_requests_of_one_route_share_one_string(folder: Any) -> None:
    app = fastapi(folder)
    assert await route(app, "/sub/s/1") is await route(app, "/sub/s/2")


@asyncio_test
async def test_litestar() -> None:
    litestar = pytest.importorskip("litestar")

    @litestar.get("/l/{n:int}")  # type: ignore[untyped-decorator]
    async def handler() -> None:
        return None

    app = litestar.Litestar([litestar.Router("/pre", route_handlers=[handler])])
    handler_path = "/pre/l/{n}"
    assert await route(app, "/pre/l/3") == handler_path
    assert await route(app, "/pre/l/none") is None
    assert await route(app, "/pre/l/3", "/proxy") == "/proxy" + handler_path
    assert await route(Starlette(routes=[Mount("/lite", app)]), "/lite/pre/l/3") == "/lite" + handler_path


@pytest.mark.parametrize("given", ["/items/<int:id>", "items/<int:id>"])
@asyncio_test
async def test_any_application_can_name_its_route(given: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = given

    assert await route(app, "/items/4") == "/items/<int:id>"
    assert await route(app, "/items/4", "/proxy") == "/proxy/items/<int:id>"


@asyncio_test
async def test_a_prefix_that_no_mount_explains_is_left_out() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update(app_root_path="/base", root_path="/base/tenant-17", route="/items")

    assert await route(app, "/x") == "/base/items"


@pytest.mark.parametrize("scope", [None, {}, {"path": "/secret/17"}, {"route": object()}, {"route": None, "endpoint": object()}])
def test_no_route_where_none_is_known(scope: Any) -> None:
    assert route_of(scope) is None
