"""A request as it was asked for; what users see of it is made when they look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from .._signature import SourceSignature
from ..errors import LocalProtocolError, UnsupportedProtocol
from .content import NO_BODY, Body, encode_body
from .headers import Headers, Pairs, merged, raw_headers
from .timeouts import USE_CLIENT_DEFAULT
from .types import HeaderTypes, ParamTypes, RequestContent, RequestData, TimeoutTypes
from .urls import URL

if TYPE_CHECKING:
    from .retry import Retry

__all__ = ["Arguments", "Request"]

_NO_LENGTH = (b"content-length", b"0")
# RFC 9110 section 8.6: a length is expected of these even when there is no content.
_WITH_CONTENT = frozenset(("POST", "PUT", "PATCH"))


class Arguments(TypedDict, total=False):
    """What ``AsyncClient.request`` takes beside the method and the URL, for the methods that pass it on; see there."""

    content: RequestContent | None
    data: RequestData | None
    json: object
    params: ParamTypes | None
    headers: HeaderTypes | None
    timeout: TimeoutTypes
    retry: Retry | None


class Request:
    """One request, to be given to ``AsyncClient.send``.

    Args:
        method: in any case; sent in upper case.
        url: absolute; ``AsyncClient.build_request`` completes relative ones.
        params: added to the URL's query.
        headers: fields of the request.
        content, data, json: the body, at most one of them.
        retry: when it is sent again, if not as the client's ``retry`` says.

    Attributes:
        method: in upper case.
        timeout: of this request, if it is not the client's.
        retry: of this request, None for the client's.
        body: what is sent.

    Raises:
        LocalProtocolError: the URL or the body is of no use.
    """

    __signature__ = SourceSignature()

    def __init__(
        self,
        method: str,
        url: str | URL,
        *,
        params: ParamTypes | None = None,
        headers: HeaderTypes | None = None,
        content: RequestContent | None = None,
        data: RequestData | None = None,
        json: object = None,
        retry: Retry | None = None,
    ) -> None:
        self.method = method.upper()
        self.retry = retry
        self.timeout: Any = USE_CLIENT_DEFAULT
        self.body: Body = NO_BODY
        self._url: URL | None = URL(url, params)
        if not self._url.is_absolute:
            raise UnsupportedProtocol(f"the URL {str(url)!r} is relative, and there is no base_url to complete it")
        self.target = self._url.target
        self.prefix = ""
        self._headers: Headers | None = None
        self.raw: Pairs = raw_headers(headers)
        self._describe(content, data, json)

    def _describe(self, content: Any, data: Any, json: Any) -> None:
        """Set the body, and the fields that describe it unless the request has its own."""
        if content is not None or data is not None or json is not None:
            self.body, described = encode_body(content, data, json)
            self.raw = merged(described, self.raw)
        elif self.method in _WITH_CONTENT:
            self.raw = merged([_NO_LENGTH], self.raw)

    @property
    def url(self) -> URL:
        if self._url is None:
            self._url = URL(self.prefix + self.target.decode("ascii"))
        return self._url

    @property
    def headers(self) -> Headers:
        """The regular fields; changes before the request is sent are honoured."""
        if self._headers is None:
            self._headers = Headers.of_raw(self.raw)
        return self._headers

    def _fields(self) -> Pairs:
        """The regular fields for the wire."""
        return self.raw if self._headers is None else self._headers.raw

    @property
    def content(self) -> bytes:
        """The body, where it is not made on the way."""
        if self.body.data is None:
            raise LocalProtocolError("the request body is a stream; there is no content to look at", initiator="user")
        return self.body.data

    def _url_text(self) -> str:
        return str(self._url) if self._url is not None else self.prefix + self.target.decode("ascii")

    def __repr__(self) -> str:
        return f"<Request({self.method!r}, {self.url!r})>"


def prepared(method: str, prefix: str, target: bytes, raw: Pairs, timeout: Any) -> Request:
    """A request whose parts are known to be sound."""
    request = Request.__new__(Request)
    request.method = method
    request.timeout = timeout
    request.retry = None
    request.body = NO_BODY
    request._url = None
    request.prefix = prefix
    request.target = target
    request._headers = None
    request.raw = raw
    return request
