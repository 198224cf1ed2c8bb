"""``AsyncTransport``: httpx and httpx2 on this package's client, connections and telemetry.

The user's ``httpx.AsyncClient`` keeps what it does itself: redirects, cookies, authentication, event
hooks, mounts and content codings.  The transport sends each request that it is handed and returns the
response as it arrives, its body still encoded.
"""

from __future__ import annotations

import importlib
import ssl
import sys
from collections.abc import AsyncIterator
from os import PathLike
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from .client.client import AsyncClient
from .client.headers import Headers
from .client.request import Request
from .client.response import Informational, Response, Timings
from .client.retry import DEFAULT_RETRY, Retry
from .client.timeouts import Timeout
from .errors import ClientClosed, H2OError, InvalidURL
from .limits import CLIENT_LIMITS, Limits
from .protocol.config import DEFAULT_TUNING
from .telemetry import Telemetry
from .tuning import Tuning

__all__ = ["AsyncTransport", "NetworkStream", "ResponseFacts"]

if TYPE_CHECKING:
    import httpx

    _Base = httpx.AsyncBaseTransport
else:

    def _installed() -> list[ModuleType]:
        """httpx and httpx2, those that are installed."""
        found = []
        for name in ("httpx", "httpx2"):
            try:
                found.append(importlib.import_module(name))
            except ModuleNotFoundError as error:
                if error.name != name:
                    raise
        if not found:
            raise ModuleNotFoundError("h2o_otel.httpx needs httpx or httpx2: pip install 'h2o-otel[httpx]'", name="httpx")
        return found

    # `alias_httpx()` of httpx2 makes both names one module.
    _Base = type("_Base", tuple(dict.fromkeys(module.AsyncBaseTransport for module in _installed())), {})

# Fields of an HTTP/1.1 connection, which HTTP/2 forbids (RFC 9113 section 8.2.2); httpx adds some of them itself.
_CONNECTION_FIELDS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
# Names that the exceptions of httpx share with those of this package, most specific first in each class's MRO.
_EXCEPTIONS = frozenset(
    (
        "ConnectError",
        "ConnectTimeout",
        "LocalProtocolError",
        "NetworkError",
        "PoolTimeout",
        "ProtocolError",
        "ReadError",
        "ReadTimeout",
        "RemoteProtocolError",
        "TimeoutException",
        "TransportError",
        "UnsupportedProtocol",
        "WriteError",
        "WriteTimeout",
    )
)


class NetworkStream:
    """The extension ``network_stream``: facts of the connection; it cannot be read or written, since streams share it."""

    __slots__ = ("_driver",)

    def __init__(self, driver: object) -> None:
        self._driver = driver

    def get_extra_info(self, info: str) -> object:
        """A fact by httpcore's name, None for one that is not known.

        Args:
            info: "server_addr", or "ssl_object" for the ``ssl.SSLObject`` of the connection.
        """
        if info == "server_addr":
            return getattr(self._driver, "peername", None)
        if info == "ssl_object":
            return getattr(getattr(self._driver, "tls", None), "ssl_object", None)
        return None


class ResponseFacts:
    """The extension ``h2o_otel`` of a response: what httpx has no name for; its values grow while the body is read."""

    __slots__ = ("_response",)

    def __init__(self, response: Response) -> None:
        self._response = response

    @property
    def trailers(self) -> Headers | None:
        """The trailer section; None when there was none, or the body has not been read to its end."""
        return self._response.trailers

    @property
    def informational(self) -> list[Informational]:
        """1xx responses that came before, such as 103 Early Hints."""
        return self._response.informational

    @property
    def timings(self) -> Timings:
        """Where the time went, in seconds."""
        return self._response.timings

    @property
    def connection_id(self) -> int:
        """The connection that carried the request, numbered in this process."""
        return self._response.connection_id

    @property
    def retry_reasons(self) -> tuple[str, ...]:
        """Why the request was sent again, one for each time; the values are those of ``H2OError.retry_reasons``."""
        return self._response.retry_reasons


class _Pieces:
    """Iterates over a body as it arrives.

    Not a generator: one that is dropped half-way needs the event loop to be finalized, which trio complains of.
    """

    __slots__ = ("_library", "_pieces", "_request")

    def __init__(self, response: Response, request: httpx.Request, library: ModuleType) -> None:
        self._pieces = response.aiter_raw()
        self._request = request
        self._library = library

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._pieces.__anext__()
        except H2OError as error:
            raise _translated(error, self._request, self._library) from error


class _Body:
    """The body of a response; ``_body_class`` makes it a stream of httpx or httpx2."""

    def __init__(self, response: Response, request: httpx.Request, library: ModuleType) -> None:
        self._response = response
        self._request = request
        self._library = library

    def __aiter__(self) -> _Pieces:
        return _Pieces(self._response, self._request, self._library)

    async def aclose(self) -> None:
        await self._response.aclose()


# One for httpx and one for httpx2.
_body_classes: dict[str, Any] = {}


def _body_class(library: ModuleType) -> Any:
    found = _body_classes.get(library.__name__)
    if found is None:
        found = _body_classes[library.__name__] = type("Body", (_Body, library.AsyncByteStream), {})
    return found


def _translated(error: H2OError, request: httpx.Request, library: ModuleType) -> Exception:
    """The exception of httpx that says the same as ``error``."""
    if isinstance(error, InvalidURL):
        refused: Exception = library.InvalidURL(str(error))
        return refused
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _EXCEPTIONS), "TransportError")
    translated: Exception = getattr(library, name)(str(error), request=request)
    return translated


class AsyncTransport(_Base):
    """A transport for ``httpx.AsyncClient`` and ``httpx2.AsyncClient``, on asyncio and trio.

    ``httpx.AsyncClient(transport=AsyncTransport())`` sends every request over HTTP/2.  It belongs to the event
    loop that first used it; on trio the httpx client must be entered with ``async with``.
    Responses have the extensions ``http_version``, ``reason_phrase``, ``stream_id``, ``network_stream``
    (``NetworkStream``) and ``h2o_otel`` (``ResponseFacts``).  Exceptions are those of httpx; ``__cause__`` is the
    one of this package, with its fields.

    Args:
        verify: True, False, a file or folder of certificates, or an ``ssl.SSLContext``.
        cert: the client's certificate: a PEM file, or a tuple of certificate, key and password.
        limits: every bound of connections and the pool; ``httpx.Limits`` are taken as well.
        http1: must be False: there is no HTTP/1.1.
        http2: must be True.
        proxy: must be None: there are no proxies.
        h2c: speak HTTP/2 by prior knowledge to ``http://`` URLs (RFC 9113 section 3.3).
        uds: a Unix socket that every connection goes to.
        local_address: to connect from.
        engine: "native", "h2" (the reference library), or None for ``H2O_OTEL_ENGINE``.
        telemetry: what ``h2o_otel.telemetry.configure`` returned; by default the process's own.
        tuning: which optimisations its connections use.
        retry: which failed requests are sent again.

    Raises:
        ValueError: ``http1``, ``http2`` or ``proxy`` asks for what there is not.
    """

    def __init__(
        self,
        *,
        verify: bool | str | ssl.SSLContext = True,
        cert: str | tuple[str, ...] | None = None,
        limits: Limits | httpx.Limits = CLIENT_LIMITS,
        http1: bool = False,
        http2: bool = True,
        proxy: object | None = None,
        h2c: bool = True,
        uds: str | PathLike[str] | None = None,
        local_address: str | None = None,
        engine: str | None = None,
        telemetry: Telemetry | None = None,
        tuning: Tuning = DEFAULT_TUNING,
        retry: Retry = DEFAULT_RETRY,
    ) -> None:
        if http1 or not http2:
            raise ValueError(f"http1={http1}, http2={http2}: this transport speaks HTTP/2 alone; use httpx.AsyncHTTPTransport for HTTP/1.1")
        if proxy is not None:
            raise ValueError("proxy: this transport connects directly; mount httpx.AsyncHTTPTransport(proxy=...) for what needs a proxy")
        self._client = AsyncClient(
            verify=verify,
            cert=cert,
            limits=limits,
            h2c=h2c,
            uds=uds,
            local_address=local_address,
            engine=engine,
            telemetry=telemetry,
            tuning=tuning,
            retry=retry,
        )

    async def __aenter__(self) -> AsyncTransport:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None = None, exc_value: BaseException | None = None, traceback: TracebackType | None = None
    ) -> None:
        await self._client.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        """Close every connection; requests under way fail.  May be called again."""
        await self._client.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request``; returns its response as soon as its header section is here.

        Raises:
            httpx.InvalidURL: httpx takes the URL, this package does not.
            httpx.TransportError: no response came; see ``h2o_otel.errors`` for the kinds and ``__cause__``.
            RuntimeError: the transport was closed, or belongs to another event loop.
        """
        library = sys.modules[type(request).__module__.partition(".")[0]]
        try:
            response = await self._client.send(_converted(request, library), stream=True)
        except ClientClosed:
            raise
        except H2OError as error:
            raise _translated(error, request, library) from error
        result: httpx.Response = library.Response(
            response.status_code,
            headers=response.headers.raw,
            stream=_body_class(library)(response, request, library),
            extensions={
                "http_version": b"HTTP/2",
                "reason_phrase": response.reason_phrase.encode("ascii"),
                "stream_id": response.stream_id,
                "network_stream": NetworkStream(response.exchange.protocol.driver),
                "h2o_otel": ResponseFacts(response),
            },
        )
        return result

    def describe(self) -> list[dict[str, object]]:
        """A snapshot of the pool, for consoles and error reports."""
        return self._client.describe()


def _converted(request: httpx.Request, library: ModuleType) -> Request:
    """The request of httpx as one of this package."""
    fields = [(name.lower(), value) for name, value in request.headers.raw]
    content: Any
    try:
        content = request.content or None
    except library.RequestNotRead:
        # A generator, which is never begun twice: many streams of httpx can be read once only.
        content = _pieces(request)
    converted = Request(
        request.method,
        # The fragment is never sent, and the user's name and password are in `authorization` already.
        str(request.url.copy_with(fragment=None, userinfo=b"")),
        headers=[field for field in fields if field[0] not in _CONNECTION_FIELDS],
        content=content,
    )
    # As httpx encoded it, or as the user gave it.
    converted.target = request.extensions.get("target", request.url.raw_path)
    limits = request.extensions.get("timeout", {})
    converted.timeout = Timeout(None, **{name: limits.get(name) for name in ("connect", "read", "write", "pool")})
    return converted


async def _pieces(request: httpx.Request) -> AsyncIterator[bytes]:
    # The client has checked that the stream is an asynchronous one.
    async for piece in request.stream:  # type: ignore[union-attr]
        yield piece
