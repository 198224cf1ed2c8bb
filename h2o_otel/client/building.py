"""Requests put together: a client's defaults, what is kept of each origin, and the short way for URLs that are clean."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import unquote

from ..errors import LocalProtocolError, UnsupportedProtocol
from ..pool.origin import Origin
from ..pool.pool import OriginPool, Pool
from ..telemetry.requests import ClientRequestMetrics
from .headers import Headers, Pairs, merged, raw_headers
from .request import Request, prepared
from .retry import Retry
from .timeouts import USE_CLIENT_DEFAULT
from .types import HeaderTypes, ParamTypes, RequestContent, RequestData, TimeoutTypes
from .urls import URL, encode_params

__all__ = ["Endpoint", "RequestBuilder"]

# Targets that need no normalisation: RFC 3986 characters, and percent-encoding that is complete.
_CLEAN = re.compile(r"/[!$&-;=?-Z\[\]_a-z~]*(?:%[0-9A-Fa-f]{2}[!$&-;=?-Z\[\]_a-z~]*)*").fullmatch
_ORIGINS_KNOWN_MAX = 1024
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch


def _clean(target: str) -> bool:
    """Whether ``target`` can go into ``:path`` as it is."""
    return _CLEAN(target) is not None


class Endpoint:
    """What a client keeps of one origin, so that a request to it is put together from parts that exist.

    Attributes:
        heads: pseudo-header fields by method, ``:path`` excepted.
        prefix: of the URL.
        metrics: None at telemetry level "off".
    """

    __slots__ = ("authority", "heads", "metrics", "origin", "pool", "prefix", "scheme")

    def __init__(self, origin: Origin, pool: OriginPool, metrics: ClientRequestMetrics | None) -> None:
        self.origin = origin
        self.pool = pool
        self.metrics = metrics
        self.prefix = str(origin)
        self.scheme = (b":scheme", origin.scheme.encode("ascii"))
        self.authority = (b":authority", origin.authority.encode("ascii"))
        self.heads: dict[str, Pairs] = {}

    def head(self, method: str) -> Pairs:
        """The pseudo-header fields of ``method``."""
        found = self.heads.get(method)
        if found is None:
            if not _METHOD(method):
                raise LocalProtocolError(f"the method {method!r} is not a token (RFC 9110 §5.6.2)", initiator="user")
            found = [(b":method", method.encode("ascii")), self.scheme, self.authority]
            if len(self.heads) < 64:
                self.heads[method] = found
        return found


class RequestBuilder:
    """The part of a client that makes requests.

    Args:
        base_url: completes relative URLs.
        headers: of every request.
        params: of every request's query.
        h2c: whether ``http://`` URLs can be spoken to.
    """

    def __init__(self, base_url: URL, headers: Headers, params: ParamTypes | None, h2c: bool) -> None:
        self.base_url = base_url
        self.headers = headers
        self.params = params
        self.h2c = h2c
        self.is_closed = False
        self._telemetry: Any = None
        self._pool: Pool | None = None
        self._endpoints: dict[str, Endpoint] = {}

    def build_request(
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
    ) -> Request:
        """A request with this client's defaults, for ``send``; arguments as for ``request``."""
        return self._build(method, url, content, data, json, params, headers, timeout, retry)

    def _build(
        self, method: str, url: Any, content: Any, data: Any, json: Any, params: Any, headers: Any, timeout: Any, retry: Retry | None
    ) -> Request:
        request = None
        if params is None and self.params is None and type(url) is str:
            request = self._known(method, url, timeout)
        if request is None:
            request = self._merged(method, url, params, timeout)
        request.retry = retry
        if headers is not None:
            request.raw = merged(request.raw, raw_headers(headers))
        request._describe(content, data, json)
        return request

    def _known(self, method: str, url: str, timeout: Any) -> Request | None:
        """The request to an origin that is known, by a URL that can go out as it is; else None."""
        end = url.find("/", 8)
        if end < 0:
            return None
        endpoint = self._endpoints.get(url[:end])
        if endpoint is None:
            return None
        target = url[end:]
        if not _clean(target):
            return None
        return prepared(method.upper(), endpoint.prefix, target.encode("ascii"), self.headers.raw, timeout)

    def _merged(self, method: str, url: str | URL, params: Any, timeout: Any) -> Request:
        """The request to whatever ``url`` and ``base_url`` make together."""
        text = str(url)
        target = URL(url)
        if not target.is_absolute:
            base = str(self.base_url)
            if not base:
                raise UnsupportedProtocol(f"the URL {text!r} is relative, and the client has no base_url")
            target = URL(base if not text else f"{base.rstrip('/')}/{text.lstrip('/')}")
        if self.params is not None:
            target = target.copy_merge_params(self.params)
        if params is not None:
            target = target.copy_merge_params(encode_params(params))
        request = Request(method, target)
        request.timeout = timeout
        request.raw = self.headers.raw
        if target.userinfo:
            name, _, password = target.userinfo.partition(":")
            token = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode())
            request.raw = merged(request.raw, [(b"authorization", b"Basic " + token)])
        elif self._pool is not None and not self.is_closed:
            # However the origin was spelled, the next URL that spells it so takes the short way.
            spelled = text[: text.find("/", 8)]
            if spelled not in self._endpoints and spelled.lower().startswith(target.scheme) and len(self._endpoints) < _ORIGINS_KNOWN_MAX:
                self._endpoints[spelled] = self._endpoint(target)
        return request

    def _endpoint(self, url: URL) -> Endpoint:
        """What is kept of the URL's origin, made on first use."""
        origin = url.origin(1 if url.scheme == "https" else 0)
        prefix = str(origin)
        found = self._endpoints.get(prefix)
        if found is None:
            if url.scheme == "http" and not self.h2c:
                raise UnsupportedProtocol(f"{prefix} is a cleartext origin and h2c is off: this client speaks HTTP/2 alone")
            assert self._pool is not None
            metrics = self._telemetry.client_requests(origin.host, origin.port)
            found = Endpoint(origin, self._pool.origin(origin), metrics)
            if len(self._endpoints) < _ORIGINS_KNOWN_MAX:
                self._endpoints[prefix] = found
        return found

    def _endpoint_of(self, request: Request) -> Endpoint:
        endpoint = self._endpoints.get(request.prefix)
        return self._endpoint(request.url) if endpoint is None else endpoint
