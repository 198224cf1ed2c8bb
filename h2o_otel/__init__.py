"""h2o-otel: an observability-first HTTP/2 runtime.

The public names; each is imported on first use, so that ``import h2o_otel`` stays light.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if os.environ.get("H2O_OTEL_PURE") == "1":
    from . import _pure

    _pure.use_sources(__path__)

if TYPE_CHECKING:
    from .client import URL, AsyncClient, Headers, Request, Response, Retry, Timeout
    from .errors import (
        ClientClosed,
        ConnectError,
        ConnectionTerminated,
        ConnectTimeout,
        ErrorCode,
        H2OError,
        HTTPError,
        HTTPStatusError,
        InvalidURL,
        JSONDecodeError,
        LimitExceeded,
        LocalProtocolError,
        NetworkError,
        PoolTimeout,
        ProtocolError,
        ReadError,
        ReadTimeout,
        RemoteProtocolError,
        StreamClosed,
        StreamConsumed,
        StreamReset,
        TimeoutException,
        TotalTimeout,
        TransportError,
        UnsupportedProtocol,
        WriteError,
        WriteTimeout,
    )
    from .limits import CLIENT_LIMITS, SERVER_LIMITS, EngineLimits, Limits, ServerLimits
    from .server import Server, ServerConfig, run
    from .tuning import Tuning

_MODULES = {
    "client": ("URL", "AsyncClient", "Headers", "Request", "Response", "Retry", "Timeout"),
    "errors": (
        "ClientClosed",
        "ConnectError",
        "ConnectTimeout",
        "ConnectionTerminated",
        "ErrorCode",
        "H2OError",
        "HTTPError",
        "HTTPStatusError",
        "InvalidURL",
        "JSONDecodeError",
        "LimitExceeded",
        "LocalProtocolError",
        "NetworkError",
        "PoolTimeout",
        "ProtocolError",
        "ReadError",
        "ReadTimeout",
        "RemoteProtocolError",
        "StreamClosed",
        "StreamConsumed",
        "StreamReset",
        "TimeoutException",
        "TotalTimeout",
        "TransportError",
        "UnsupportedProtocol",
        "WriteError",
        "WriteTimeout",
    ),
    "limits": ("CLIENT_LIMITS", "SERVER_LIMITS", "EngineLimits", "Limits", "ServerLimits"),
    "server": ("Server", "ServerConfig", "run"),
    "tuning": ("Tuning",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "CLIENT_LIMITS",
    "SERVER_LIMITS",
    "URL",
    "AsyncClient",
    "ClientClosed",
    "ServerConfig",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionTerminated",
    "ErrorCode",
    "H2OError",
    "HTTPError",
    "HTTPStatusError",
    "InvalidURL",
    "Headers",
    "JSONDecodeError",
    "LimitExceeded",
    "EngineLimits",
    "Limits",
    "ServerLimits",
    "LocalProtocolError",
    "NetworkError",
    "PoolTimeout",
    "ProtocolError",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "Request",
    "Response",
    "Retry",
    "Server",
    "StreamClosed",
    "StreamConsumed",
    "StreamReset",
    "Timeout",
    "TimeoutException",
    "TotalTimeout",
    "TransportError",
    "UnsupportedProtocol",
    "Tuning",
    "WriteError",
    "WriteTimeout",
    "__version__",
    "run",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f".{home}", __name__), name)
    except Exception as error:
        from . import _pure

        _pure.explain(error)
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
