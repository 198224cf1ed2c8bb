"""The ASGI server on HTTP/2: ``Server(Config(app=...)).run()``."""

from .config import Config, ConfigError, load_app
from .lifespan import LifespanError
from .server import Server

__all__ = ["Config", "ConfigError", "LifespanError", "Server", "load_app"]
