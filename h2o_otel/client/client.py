"""``AsyncClient``: requests as httpx users know them, over HTTP/2, on asyncio and trio.

The way of a request that needs no waiting is synchronous up to the one future it awaits; what may
have to wait (a connection, a free stream, a replay) is in ``_send_slowly``.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from .. import _mem, counters
from .._signature import SourceSignature
from ..counters import POOL_ACQUIRE
from ..errors import ClientClosed, H2OError, LocalProtocolError
from ..io.loop import Loop, asyncio_loop
from ..limits import CLIENT_LIMITS, limits_of
from ..pool.pool import Pool
from ..pool.tasks import back_off, spawn
from ..protocol.config import DEFAULT_TUNING
from ..telemetry import current
from ..tuning import Tuning
from .building import Endpoint, RequestBuilder
from .checks import check_type, check_verify
from .connect import Connector
from .decoders import ACCEPT_ENCODING
from .exchange import Exchange, check_length
from .headers import Headers, Pairs
from .protocol import ClientProtocol
from .request import Arguments, Request
from .response import Response
from .retry import DEFAULT_RETRY, SENT_AGAIN_ONCE, Retry, explain_refusal, replay_reason
from .timeouts import DEFAULT_TIMEOUT, USE_CLIENT_DEFAULT, Timeout, timeout_of
from .types import CertTypes, HeaderTypes, LimitsTypes, ParamTypes, RequestContent, RequestData, TimeoutTypes, VerifyTypes
from .urls import URL

if TYPE_CHECKING:
    import os

    from ..telemetry.handle import Telemetry

__all__ = ["AsyncClient"]

_running_loop = asyncio._get_running_loop
_current_context = current.current_context
_MISDIRECTED = 421


class StreamContext:
    """``async with client.stream(...) as response``: leaving it gives up what was not read."""

    __slots__ = ("_arguments", "_client", "_method", "_response", "_url")

    def __init__(self, client: AsyncClient, method: str, url: str | URL, arguments: Arguments) -> None:
        self._client = client
        self._method = method
        self._url = url
        self._arguments = arguments
        self._response: Response | None = None

    async def __aenter__(self) -> Response:
        request = self._client.build_request(self._method, self._url, **self._arguments)
        self._response = response = await self._client.send(request, stream=True)
        return response

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._response is not None:
            self._response.exchange.abandon(error)


class AsyncClient(RequestBuilder):
    """An HTTP/2 client; ``async with AsyncClient() as client: response = await client.get(url)``.

    It belongs to the event loop that first used it.

    Args:
        base_url: completes relative URLs.
        headers: of every request.
        params: of every request's query.
        timeout: of every request: a ``Timeout``, seconds, or None for no limit.
        limits: every bound of connections and the pool; ``max_connections``, ``max_keepalive_connections`` and
            ``keepalive_expiry`` as in httpx, over all origins.
        verify: True, False, a file or folder of certificates, or an ``ssl.SSLContext``.
        cert: what to show a server that asks: a PEM file, or a tuple of certificate, key and password.
        h2c: speak HTTP/2 by prior knowledge to ``http://`` URLs (RFC 9113 section 3.3).
        engine: "native", "h2" (the reference library), or None for ``H2O_OTEL_ENGINE``.
        telemetry: what ``h2o_otel.telemetry.configure`` returned; by default the process's own.
        uds: a Unix socket that every connection goes to.
        local_address: to connect from.
        tuning: which optimisations its connections use.
        retry: which failed requests are sent again.
    """

    __signature__ = SourceSignature()

    def __init__(
        self,
        *,
        base_url: str | URL = "",
        headers: HeaderTypes | None = None,
        params: ParamTypes | None = None,
        timeout: TimeoutTypes = DEFAULT_TIMEOUT,
        limits: LimitsTypes = CLIENT_LIMITS,
        verify: VerifyTypes = True,
        cert: CertTypes | None = None,
        h2c: bool = True,
        engine: str | None = None,
        telemetry: Telemetry | None = None,
        uds: str | os.PathLike[str] | None = None,
        local_address: str | None = None,
        tuning: Tuning = DEFAULT_TUNING,
        retry: Retry = DEFAULT_RETRY,
    ) -> None:
        check_type("retry", retry, Retry)
        check_type("tuning", tuning, Tuning)
        check_verify(verify)
        defaults = Headers([(b"accept", b"*/*"), (b"accept-encoding", ACCEPT_ENCODING), (b"user-agent", _user_agent())])
        defaults.update(headers)
        RequestBuilder.__init__(self, URL(base_url), defaults, params, h2c)
        self.timeout: Timeout = timeout_of(timeout)
        self.limits = limits_of(limits)
        self.tuning = tuning
        self.retry = retry
        self._engine = engine
        self._verify = verify
        self._cert = cert
        self._telemetry: Any = telemetry
        self._uds = uds
        self._local_address = local_address
        self._tracing: Any = None
        self._asyncio_loop: Any = None
        self._loop: Any = None
        self._group: Any = None
        self._without_host: Pairs | None = None

    # -- life

    async def __aenter__(self) -> AsyncClient:
        if self._pool is None and _running_loop() is None:
            from ..io.anyio import AnyioLoop

            loop = AnyioLoop()
            await loop.__aenter__()
            self._group = loop
            self._start(loop)
        self._check()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        group, self._group = self._group, None
        try:
            await self.aclose()
        finally:
            if group is not None:
                # Not with the exception of the body: it would come out wrapped in a group.
                await group.__aexit__(None, None, None)

    async def aclose(self) -> None:
        """Close every connection; requests under way fail.  May be called again.

        On trio ``async with`` must be left as well, since connections live in its scope.
        """
        self.is_closed = True
        if self._pool is not None:
            await self._pool.aclose()

    def _start(self, loop: Loop) -> None:
        if self._telemetry is None:
            from ..telemetry import default

            self._telemetry = default()
        self._tracing = self._telemetry.tracing
        counters.feeds("client")
        self._loop = loop
        connector = Connector(
            loop,
            self._engine,
            self._verify,
            self._cert,
            self._telemetry,
            uds=self._uds,
            local_address=self._local_address,
            tuning=self.tuning,
        )
        self._pool = Pool(loop, connector.open, self.limits)

    def _check(self) -> None:
        """Bind the client to the running loop on first use, and refuse another one.

        Raises:
            ClientClosed: the client was closed.
            RuntimeError: it belongs to another loop.
        """
        running = _running_loop()
        if self.is_closed:
            raise ClientClosed("the client was closed: make another one")
        if self._pool is None:
            if running is None:
                raise RuntimeError("on trio an AsyncClient works inside `async with AsyncClient() as client:`")
            self._asyncio_loop = running
            self._start(asyncio_loop(running))
        elif running is not self._asyncio_loop:
            raise RuntimeError("this AsyncClient belongs to another event loop: make one for each")

    # -- sending

    def send(self, request: Request, *, stream: bool = False) -> Coroutine[Any, Any, Response]:
        """Send ``request``, and return its response: with the whole body, or with ``stream`` as soon as its head is here.

        A response with ``stream`` must be read to its end or closed (``Response.aclose``); one that is dropped is
        closed when it is collected.

        Raises:
            TransportError: no response came; see ``h2o_otel.errors`` for the kinds.  ``error.request`` is set.
            RuntimeError: the client was closed, or belongs to another event loop.
        """
        return self._send(request, stream, None)

    async def _send(self, request: Request | None, streaming: bool, arguments: tuple[Any, ...] | None) -> Response:
        """Send ``request``, or the one that ``arguments`` of ``_build`` make: one coroutine for the whole way."""
        if self._pool is None or self.is_closed or _running_loop() is not self._asyncio_loop:
            self._check()
        if arguments is not None:
            method, url, content, data, json, params, headers, timeout, retry = arguments
            request = self._build(method, url, content, data, json, params, headers, timeout, retry)
        assert request is not None
        exchange = self._begin(request, streaming)
        if exchange.stream is None:
            return await self._send_slowly(exchange)
        waiter = exchange.wait_head(exchange.asked_at) if streaming else exchange.wait_end(exchange.asked_at)
        if waiter is not None:
            try:
                await waiter
            except BaseException as error:
                exchange.abandon(error)
                raise
        if exchange.error is not None or exchange.stream.status == _MISDIRECTED:
            return await self._send_slowly(exchange)
        return _respond(exchange)

    def _begin(self, request: Request, streaming: bool) -> Exchange:
        """An exchange, sent if that can be done now."""
        timeout = self.timeout if request.timeout is USE_CLIENT_DEFAULT else timeout_of(request.timeout)
        endpoint = self._endpoint_of(request)
        exchange = Exchange()
        exchange.begin(request, timeout, streaming, self._loop.now())
        self._observe(exchange, endpoint, 0)
        connection: Any = endpoint.pool.take()
        if connection is not None:
            self._open(exchange, endpoint, connection, exchange.asked_at)
        return exchange

    def _observe(self, exchange: Exchange, endpoint: Endpoint, resend_count: int) -> None:
        """The exchange begins, for the metrics and, if there is tracing, its span."""
        request = exchange.request
        excluded = self._telemetry.excluded
        if excluded is not None and excluded.search(request._url_text().partition("?")[0]):
            return
        origin = endpoint.origin
        metrics = endpoint.metrics
        telemetry = self._telemetry
        if metrics is None and telemetry.level != "off":
            metrics = endpoint.metrics = telemetry.client_requests(origin.host, origin.port)
        if metrics is not None:
            exchange.metrics = metrics
            exchange.metrics_index = metrics.started(request.method)
        # Asked each time, since an application may configure its telemetry after the first request.
        tracing = self._tracing = telemetry.tracing
        if tracing is not None:
            block = None if metrics is None else metrics.block
            exchange.span = tracing.client_started(request.method, request, origin.host, origin.port, _mem.now_ns(), resend_count, block)

    def _open(self, exchange: Exchange, endpoint: Endpoint, connection: ClientProtocol, now: float) -> None:
        """Send the exchange's request on ``connection``; ``exchange.stream`` stays None if the connection has just ended."""
        request = exchange.request
        raw = request._fields()
        span = exchange.span
        trace = None
        try:
            fields = self._fields(endpoint, request, raw)
            if span is not None:
                fields += self._tracing.inject(span, raw)
                trace = span.trace
                if connection.setup_span is not None:
                    span.link(connection.setup_span)
            elif exchange.metrics is not None and _current_context():
                # There are metrics at every level but "off".
                fields += current.inject(raw)
            if request.body.data:
                check_length(raw, len(request.body.data))
            connection.send(exchange, fields, request.body, now, trace)
        except LocalProtocolError as error:
            if connection.connection.closed:
                # It ended without a stream to tell of it.
                connection.finish("error")
                return
            exchange.describe_failure(error)
            exchange.finish(type(error).__name__, now)
            raise
        if exchange.uploading:
            exchange.start_upload(spawn(self._loop, exchange.upload(request.body), contextvars.copy_context()))

    def _fields(self, endpoint: Endpoint, request: Request, raw: Pairs) -> Pairs:
        """The fields of a request as they are sent, pseudo-header fields first.

        A Host that the user gives becomes ``:authority`` (RFC 9113 section 8.3.1); where the request goes, and what
        TLS asks for, stays as the URL says.
        """
        head = endpoint.head(request.method)
        if raw is not self._without_host:
            for field in raw:
                if field[0] == b"host":
                    return _renamed(head, request, raw)
            if raw is self.headers.raw:
                # The client's own fields, which are replaced and never changed: they are looked at once.
                self._without_host = raw
        return [*head, (b":path", request.target), *raw]

    async def _send_slowly(self, exchange: Exchange) -> Response:
        """The way of a request that must wait for its connection, or that is to be replayed; ends in a response or an error."""
        endpoint = self._endpoint_of(exchange.request)
        retry: Retry = self.retry if exchange.request.retry is None else exchange.request.retry
        # In vain: sent, or given a connection that ended before it could be sent.
        attempts = 0
        while True:
            if exchange.stream is None:
                await self._acquire(exchange, endpoint, attempts)
                if exchange.stream is None:
                    # The connection ended between the choice and the request.
                    attempts += 1
                    await back_off(self._loop, attempts, exchange.total_at)
                    continue
                now = exchange.sent_at
                waiter = exchange.wait_head(now) if exchange.streaming else exchange.wait_end(now)
                if waiter is not None:
                    try:
                        await waiter
                    except BaseException as error:
                        exchange.abandon(error)
                        raise
            failed = exchange.error is not None
            reason = replay_reason(exchange, retry)
            sent_max = 1 if reason in SENT_AGAIN_ONCE else self.limits.retries_max
            if not reason or attempts >= sent_max or not exchange.request.body.replayable:
                if not failed:
                    return _respond(exchange)
                explain_refusal(exchange, retry)
                raise exchange.failure()
            if not failed:
                # Not the right server: what is under way there finishes, and another connection is made.
                exchange.abandon()
                exchange.protocol.finish("misdirected")
            attempts += 1
            counters.local().count("pool_retries", (reason,))
            if reason == "REFUSED_STREAM" or exchange.fresh:
                await back_off(self._loop, attempts, exchange.total_at)
            exchange = self._again(exchange, endpoint, reason)

    async def _acquire(self, exchange: Exchange, endpoint: Endpoint, attempts: int) -> None:
        """Wait for a connection with a free stream, and send the request on it."""
        started_ns = counters.clock()
        began = self._loop.now()
        timeout = exchange.timeout
        try:
            connection: Any = await endpoint.pool.acquire(timeout.pool, timeout.connect, exchange.total_at, attempts)
        except BaseException as error:
            if isinstance(error, H2OError):
                exchange.describe_failure(error)
            exchange.finish(getattr(error, "reason", "") or type(error).__name__, self._loop.now())
            raise
        now = self._loop.now()
        ended_ns = counters.clock()
        exchange.waited_s += now - began
        exchange.fresh = connection.opened_at >= began
        if exchange.metrics is not None:
            exchange.metrics.queued(exchange.metrics_index, now - began)
        span = exchange.span
        if span is not None:
            span.set("h2o.request.time_in_queue", exchange.waited_s)
            span.child("HTTP wait_for_connection", started_ns, ended_ns)
            if span.trace is not None:
                span.trace.mark(POOL_ACQUIRE, started_ns, ended_ns)
        self._open(exchange, endpoint, connection, now)

    def _again(self, failed: Exchange, endpoint: Endpoint, reason: str) -> Exchange:
        """Another exchange for the same request, inside the same total time."""
        exchange = Exchange()
        exchange.begin(failed.request, failed.timeout, failed.streaming, self._loop.now())
        exchange.total_at = failed.total_at
        exchange.retry_reasons = (*failed.retry_reasons, reason)
        self._observe(exchange, endpoint, len(exchange.retry_reasons))
        if exchange.span is not None:
            exchange.span.set("h2o.retry.reason", reason)
        return exchange

    # -- verbs

    def request(
        self,
        method: str,
        url: str | URL,
        *,
        content: RequestContent | None = None,
        data: RequestData | None = None,
        json: object = None,
        params: ParamTypes | None = None,
        headers: HeaderTypes | None = None,
        timeout: TimeoutTypes = USE_CLIENT_DEFAULT,
        retry: Retry | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """Send a request and return its response, body included; to be awaited.

        Args:
            method: in any case.
            url: absolute, or completed by ``base_url``.
            content: the body: bytes, str, a file opened for bytes, or an iterable or async iterable of bytes.
            data: the body: a form, as a mapping or pairs.
            json: the body: anything that ``json.dumps`` takes.
            params: added to the query.
            headers: added to the client's; those of the same names are replaced.
            timeout: a ``Timeout``, seconds, or None for no limit, instead of the client's.
            retry: when it is sent again, instead of the client's.

        Raises:
            TransportError: no response came; see ``h2o_otel.errors`` for the kinds.  ``error.request`` is set.
        """
        return self._send(None, False, (method, url, content, data, json, params, headers, timeout, retry))

    def stream(self, method: str, url: str | URL, **arguments: Unpack[Arguments]) -> StreamContext:
        """``async with client.stream("GET", url) as response``: the body is read piece by piece; arguments as for ``request``."""
        return StreamContext(self, method, url, arguments)

    def get(
        self,
        url: str | URL,
        *,
        params: ParamTypes | None = None,
        headers: HeaderTypes | None = None,
        timeout: TimeoutTypes = USE_CLIENT_DEFAULT,
        retry: Retry | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """See ``request``."""
        return self._send(None, False, ("GET", url, None, None, None, params, headers, timeout, retry))

    def head(
        self,
        url: str | URL,
        *,
        params: ParamTypes | None = None,
        headers: HeaderTypes | None = None,
        timeout: TimeoutTypes = USE_CLIENT_DEFAULT,
        retry: Retry | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """See ``request``."""
        return self._send(None, False, ("HEAD", url, None, None, None, params, headers, timeout, retry))

    def options(
        self,
        url: str | URL,
        *,
        params: ParamTypes | None = None,
        headers: HeaderTypes | None = None,
        timeout: TimeoutTypes = USE_CLIENT_DEFAULT,
        retry: Retry | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """See ``request``."""
        return self._send(None, False, ("OPTIONS", url, None, None, None, params, headers, timeout, retry))

    def delete(
        self,
        url: str | URL,
        *,
        params: ParamTypes | None = None,
        headers: HeaderTypes | None = None,
        timeout: TimeoutTypes = USE_CLIENT_DEFAULT,
        retry: Retry | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """See ``request``."""
        return self._send(None, False, ("DELETE", url, None, None, None, params, headers, timeout, retry))

    def post(self, url: str | URL, **arguments: Unpack[Arguments]) -> Coroutine[Any, Any, Response]:
        """See ``request``."""
        return self.request("POST", url, **arguments)

    def put(self, url: str | URL, **arguments: Unpack[Arguments]) -> Coroutine[Any, Any, Response]:
        """See ``request``."""
        return self.request("PUT", url, **arguments)

    def patch(self, url: str | URL, **arguments: Unpack[Arguments]) -> Coroutine[Any, Any, Response]:
        """See ``request``."""
        return self.request("PATCH", url, **arguments)

    def describe(self) -> list[dict[str, Any]]:
        """A snapshot of the pool, for consoles and error reports."""
        return [] if self._pool is None else self._pool.describe()


def _renamed(head: Pairs, request: Request, raw: Pairs) -> Pairs:
    """The fields of a request with a Host."""
    hosts = [field for field in raw if field[0] == b"host"]
    if len(hosts) > 1:
        raise LocalProtocolError(f"the request has {len(hosts)} Host fields; :authority is one", initiator="user", actual=len(hosts))
    others = [field for field in raw if field[0] != b"host"]
    return [head[0], head[1], (b":authority", hosts[0][1]), (b":path", request.target), *others]


def _respond(exchange: Exchange) -> Response:
    """The response of an exchange that is as far as was asked for."""
    response = Response(exchange)
    if not exchange.streaming:
        try:
            response._read_body()
        except H2OError as error:
            exchange.describe_failure(error)
            raise
    else:
        response.watch = _DropWatch(exchange)
    return response


class _DropWatch:
    """Dies with a streaming response: what nobody can read any more goes back to the connection.

    A part of the response, where ``weakref.finalize`` would keep the exchange alive, whose error's traceback
    has the frames, and they the response.
    """

    __slots__ = ("_exchange", "_is_finalizing", "_thread")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._is_finalizing = sys.is_finalizing
        self._thread = threading.get_ident()

    def __del__(self) -> None:
        exchange = self._exchange
        if exchange.finished or self._is_finalizing() or threading.get_ident() != self._thread:
            return
        # Where garbage is collected nothing may be done to a connection, so it is left to the loop's next turn.
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its connections with it
            exchange.protocol.loop.call_soon(exchange.abandon)


def _user_agent() -> bytes:
    package = sys.modules[__name__.partition(".")[0]]
    return f"h2o-otel/{getattr(package, '__version__', '0')}".encode("ascii")
