"""``h2o_otel.run``: uvicorn's way to start a server."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import Any

import pytest

import h2o_otel
from h2o_otel.server import Server, ServerConfig
from h2o_otel.server.config import ServerOptions


async def app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("never asked")


def test_options_are_the_settings_of_the_configuration() -> None:
    settings = {field.name: field.type for field in dataclasses.fields(ServerConfig) if field.name != "app"}
    assert {name: kind.__forward_arg__ for name, kind in ServerOptions.__annotations__.items()} == settings


def test_signature_shows_every_setting() -> None:
    shown = inspect.signature(h2o_otel.run).parameters
    assert list(shown) == [field.name for field in dataclasses.fields(ServerConfig)]
    assert shown["app"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert shown["port"].default == 8000


def test_run_serves_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[ServerConfig] = []
    monkeypatch.setattr(Server, "run", lambda self: ran.append(self.config))
    h2o_otel.run(app, port=0, access_log=True)
    assert ran == [ServerConfig(app=app, port=0, access_log=True)]


def test_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="workerz"):
        h2o_otel.run(app, workerz=2)  # type: ignore[call-arg]


def test_started_is_true_while_it_accepts_connections() -> None:
    async def served() -> list[bool]:
        server = Server(ServerConfig(app=app, port=0, lifespan="off", handle_signals=False))
        seen = [server.started]
        serving = asyncio.ensure_future(server.serve())
        await server.wait_started()
        seen.append(server.started)
        server.stop()
        await serving
        return [*seen, server.started]

    assert asyncio.run(served()) == [False, True, False]
