"""The HTTP/2 client that users call."""

from __future__ import annotations

from .client import AsyncClient
from .headers import Headers
from .request import Request
from .response import Informational, Response, Timings
from .retry import Retry
from .timeouts import Timeout
from .urls import URL

__all__ = ["URL", "AsyncClient", "Headers", "Informational", "Request", "Response", "Retry", "Timeout", "Timings"]
