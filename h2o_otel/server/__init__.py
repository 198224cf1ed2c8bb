"""The ASGI server on HTTP/2: ``Server(Config(app=...)).run()``."""

from .config import Config, ConfigError, load_app
from .ending import SHUTDOWN_KEY, Shutdown
from .lifespan import LifespanError
from .server import Server

__all__ = ["SHUTDOWN_KEY", "Config", "ConfigError", "LifespanError", "Server", "Shutdown", "load_app"]
