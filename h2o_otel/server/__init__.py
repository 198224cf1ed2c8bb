"""The ASGI server on HTTP/2: ``run(app)``, or ``Server(ServerConfig(app=...)).run()``."""

from .config import ConfigError, ServerConfig, load_app
from .ending import SHUTDOWN_KEY, Shutdown
from .lifespan import LifespanError
from .running import run
from .server import Server

__all__ = ["SHUTDOWN_KEY", "ServerConfig", "ConfigError", "LifespanError", "Server", "Shutdown", "load_app", "run"]
