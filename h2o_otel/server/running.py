"""``run``: one call that serves an application, as ``uvicorn.run`` does."""

from __future__ import annotations

import inspect
from typing import Unpack

from .config import Application, ApplicationFactory, ServerConfig, ServerOptions
from .server import Server

__all__ = ["run"]


def run(app: Application | ApplicationFactory | str, **options: Unpack[ServerOptions]) -> None:
    """Serve an application until SIGINT or SIGTERM; it blocks.

    Args:
        app: an ASGI 3 application, or "module:attribute".
        options: settings of ``ServerConfig``, such as ``host``, ``port`` and ``ssl_certfile``.

    Raises:
        ConfigError: a setting is wrong.
        TypeError: there is no setting of that name.
        LifespanError: the application failed to start or to end.
        OSError: an address cannot be bound.
    """
    Server(ServerConfig(app=app, **options)).run()


def _signature() -> inspect.Signature:
    """That of ``ServerConfig``, with an application that may be positional: help() and editors show every setting."""
    settings = inspect.signature(ServerConfig)
    parameters = [
        parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) if name == "app" else parameter
        for name, parameter in settings.parameters.items()
    ]
    return settings.replace(parameters=parameters, return_annotation="None")


run.__signature__ = _signature()  # type: ignore[attr-defined]
