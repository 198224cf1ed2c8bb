"""Startup, shutdown and state of applications."""

from __future__ import annotations

from typing import Any

import pytest

from h2o_otel.server import SHUTDOWN_KEY, LifespanError
from tests.support import backends
from tests.support.peer import connected, serving

pytestmark = backends.asyncio_loops


class App:
    """Answers with its state; ``events`` is what lifespan did."""

    def __init__(self, startup: str = "complete", shutdown: str = "complete") -> None:
        self.events: list[str] = []
        self.startup, self.shutdown = startup, shutdown
        self.states: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        self.states.append(scope.get("state"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        self.events.append("startup")
        scope["state"]["database"] = [1]
        if self.startup == "raise":
            raise KeyError("no lifespan here")
        await send({"type": f"lifespan.startup.{self.startup}", "message": "no database"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.events.append("shutdown")
        await send({"type": f"lifespan.shutdown.{self.shutdown}", "message": "no end"})


async def test_state_is_copied_into_each_request() -> None:
    app = App()
    async with connected(app, lifespan="on") as peer:
        await peer.get()
        app.states[0]["mine"] = 1
        await peer.get()
        assert app.events == ["startup"]
    assert [{**state, SHUTDOWN_KEY: None} for state in app.states] == [
        {"database": [1], "mine": 1, SHUTDOWN_KEY: None},
        {"database": [1], SHUTDOWN_KEY: None},
    ]
    assert app.events == ["startup", "shutdown"]


async def test_failed_startup_ends_the_server() -> None:
    with pytest.raises(LifespanError, match="failed to start: no database"):
        async with serving(App("failed"), lifespan="auto"):
            pass


async def test_application_without_lifespan_is_served() -> None:
    app = App("raise")
    async with connected(app, lifespan="auto") as peer:
        assert (await peer.get()).status == 200


async def test_lifespan_on_wants_one() -> None:
    with pytest.raises(LifespanError, match="no lifespan here"):
        async with serving(App("raise"), lifespan="on"):
            pass


async def test_lifespan_off_does_not_call() -> None:
    app = App()
    async with connected(app, lifespan="off") as peer:
        await peer.get()
    assert app.events == []
    assert app.states == [None]


async def test_failed_shutdown_is_told() -> None:
    app = App(shutdown="failed")
    with pytest.raises(LifespanError, match="no end"):
        async with serving(app, lifespan="on"):
            pass
