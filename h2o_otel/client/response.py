"""A response as users see it: made at once, its parts only when somebody looks."""

from __future__ import annotations

import datetime
import json as _json
from http import HTTPStatus
from types import TracebackType
from typing import Any, NamedTuple

from .._signature import SourceSignature
from ..errors import HTTPStatusError, JSONDecodeError, StreamClosed, StreamConsumed
from .connection_info import ConnectionInfo, connection_info
from .decoders import ContentDecoder, charset_of, decoder_of, text_decoder, text_of
from .exchange import Exchange
from .headers import Headers
from .iterators import BytesIterator, LinesIterator, TextIterator
from .request import Request
from .urls import URL

__all__ = ["Informational", "Response", "Timings"]


class Timings(NamedTuple):
    """Where the time of a request went, in seconds; the setup of a connection counts only for those that waited for it.

    Attributes:
        queue: until a connection and a stream were there.
        dns, connect, tls: of the connection's setup, inside ``queue``.
        settings: from the transport to the peer's SETTINGS.
        send: until the request was given to the connection's output.
        wait: from there to the final response's header section.
        body: from there to the end of the body.
        stalled: of the request body, waiting for the peer's windows.
        total: from the call to the end of the body.
    """

    queue: float
    dns: float
    connect: float
    tls: float
    settings: float
    send: float
    wait: float
    body: float
    stalled: float
    total: float


class Informational(NamedTuple):
    """A 1xx response that came before the final one."""

    status_code: int
    headers: Headers


def _no_json(error: Exception, content: bytes, response: Response) -> JSONDecodeError:
    if isinstance(error, _json.JSONDecodeError):
        made = JSONDecodeError(error.msg, error.doc, error.pos)
    else:
        made = JSONDecodeError(str(error), content.decode("latin-1"), getattr(error, "start", 0))
    made.request = response.request
    return made


class Response:
    """The response to one request.

    Attributes:
        exchange: what it is made from.
        status_code: of the final response.
        encoding: of ``text``; set it to override what the response says.
        is_closed: nothing more will be read from the peer.
        is_stream_consumed: the body was read, or is being read, piece by piece.
    """

    __signature__ = SourceSignature()

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.status_code: int = exchange.stream.status
        self.is_stream_consumed = False
        self._headers: Headers | None = None
        self._content: bytes | None = None
        self._text: str | None = None
        self._encoding: str | None = None
        # Of a streaming response: gives up what nobody can read any more.
        self.watch: object = None

    # -- head

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = Headers.of_raw(self.exchange.stream.headers or [])
        return self._headers

    @property
    def trailers(self) -> Headers | None:
        """The trailer section; None when there was none, or the body has not been read yet."""
        raw = self.exchange.stream.trailers
        return None if raw is None else Headers.of_raw(raw)

    @property
    def informational(self) -> list[Informational]:
        """1xx responses that came before, such as 103 Early Hints."""
        return [Informational(status, Headers.of_raw(raw)) for status, raw in self.exchange.informational or ()]

    @property
    def request(self) -> Request:
        return self.exchange.request

    @property
    def url(self) -> URL:
        return self.exchange.request.url

    @property
    def http_version(self) -> str:
        return "HTTP/2"

    @property
    def reason_phrase(self) -> str:
        """HTTP/2 has none; what HTTP/1.1 would have said."""
        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return ""

    @property
    def is_informational(self) -> bool:
        return 100 <= self.status_code <= 199

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code <= 299

    @property
    def is_redirect(self) -> bool:
        return 300 <= self.status_code <= 399

    @property
    def has_redirect_location(self) -> bool:
        return self.status_code in (301, 302, 303, 307, 308) and "location" in self.headers

    @property
    def is_client_error(self) -> bool:
        return 400 <= self.status_code <= 499

    @property
    def is_server_error(self) -> bool:
        return 500 <= self.status_code <= 599

    @property
    def is_error(self) -> bool:
        return 400 <= self.status_code <= 599

    def raise_for_status(self) -> Response:
        """Raise for 4xx and 5xx; else return the response.

        Raises:
            HTTPStatusError: with ``request`` and ``response``.
        """
        if self.status_code < 400:
            return self
        kind = "client error" if self.status_code < 500 else "server error"
        phrase = f" {self.reason_phrase}" if self.reason_phrase else ""
        raise HTTPStatusError(
            f"{kind} {self.status_code}{phrase} for {self.request.method} {self.request._url_text()}", request=self.request, response=self
        )

    # -- body

    @property
    def content(self) -> bytes:
        """The whole body, decoded.

        Raises:
            StreamConsumed: of a streaming response that was not read with ``aread``.
        """
        if self._content is None:
            raise StreamConsumed("the body of a streaming response was not read: await response.aread() first")
        return self._content

    def _read_body(self) -> None:
        """Take the body of a response that is complete; the exchange has decoded it."""
        self._content = self.exchange.body()

    def _decoder(self) -> ContentDecoder | None:
        return decoder_of(self.exchange.stream.headers or [], self.exchange.protocol.limits)

    @property
    def encoding(self) -> str:
        """Of ``text``: what ``content-type`` names if that is an encoding of text, else UTF-8; may be set."""
        if self._encoding is None:
            self._encoding = self.charset_encoding or "utf-8"
        return self._encoding

    @encoding.setter
    def encoding(self, value: str) -> None:
        self._encoding = value
        self._text = None

    @property
    def charset_encoding(self) -> str | None:
        """The charset that ``content-type`` names, if it is an encoding of text that Python knows."""
        return charset_of(self.headers.get("content-type"))

    @property
    def text(self) -> str:
        """The body as text; what is no text becomes U+FFFD.

        Raises:
            StreamConsumed: of a streaming response that was not read with ``aread``.
            LookupError: ``encoding`` was set to what Python does not know.
        """
        if self._text is None:
            self._text = text_of(self.content, self.encoding)
        return self._text

    def json(self, **kwargs: Any) -> Any:
        """The body parsed as JSON; ``kwargs`` go to ``json.loads``.

        Raises:
            JSONDecodeError: it is none, is nested too deeply, or has a number with too many digits.
        """
        content = self.content
        try:
            return _json.loads(content, **kwargs)
        except (ValueError, RecursionError) as error:
            raise _no_json(error, content, self) from error

    async def aread(self) -> bytes:
        """Read what is left of a streaming response, and return the whole body."""
        if self._content is None:
            if self.is_stream_consumed:
                raise StreamConsumed("the body was already read piece by piece")
            self._raise_if_closed()
            exchange = self.exchange
            exchange.stop_streaming()
            waiter = exchange.wait_end(exchange.protocol.loop.now())
            if waiter is not None:
                try:
                    await waiter
                except BaseException as error:
                    exchange.abandon(error)
                    raise
            if exchange.error is not None:
                raise exchange.failure()
            self._read_body()
        return self._content or b""

    def aiter_raw(self, chunk_size: int | None = None) -> BytesIterator:
        """The body as it arrived, still encoded; in pieces of ``chunk_size`` if given.

        Raises:
            StreamConsumed: the whole body was read, and decoded.
        """
        if self._content is not None:
            raise StreamConsumed("the body was already read and decoded: stream the response for what arrived")
        return BytesIterator(self._begin_reading(), None, chunk_size, response=self)

    def aiter_bytes(self, chunk_size: int | None = None) -> BytesIterator:
        """The body, decoded; in pieces of ``chunk_size`` if given."""
        if self._content is not None:
            return BytesIterator(None, None, chunk_size, self._content)
        return BytesIterator(self._begin_reading(), self._decoder(), chunk_size, response=self)

    def aiter_text(self, chunk_size: int | None = None) -> TextIterator:
        """The body as text; ``chunk_size`` is in octets."""
        return TextIterator(self.aiter_bytes(chunk_size), text_decoder(self.encoding))

    def aiter_lines(self) -> LinesIterator:
        """The lines of the body, without their ends."""
        return LinesIterator(self.aiter_text())

    def _begin_reading(self) -> Exchange:
        if self.is_stream_consumed:
            raise StreamConsumed("the body was already read piece by piece")
        self._raise_if_closed()
        self.is_stream_consumed = True
        return self.exchange

    def _raise_if_closed(self) -> None:
        if self.exchange.closed:
            raise StreamClosed(f"the response to {self.request.method} {self.request._url_text()} was closed before its body was read")

    # -- the end

    @property
    def is_closed(self) -> bool:
        exchange = self.exchange
        return exchange.closed or exchange.ended or exchange.error is not None

    async def aclose(self) -> None:
        """Give up what was not read: the stream is reset, the connection lives on.  May be called again."""
        self.exchange.abandon()

    async def __aenter__(self) -> Response:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.exchange.abandon(error)

    # -- where it came from

    @property
    def stream_id(self) -> int:
        return int(self.exchange.stream.id)

    @property
    def connection_id(self) -> int:
        return int(self.exchange.protocol.id)

    @property
    def connection(self) -> ConnectionInfo:
        """The connection that the response came on: reused or not, its peer, its TLS."""
        return connection_info(self.exchange)

    @property
    def attempts(self) -> int:
        """How often the request was sent; 1 where the first time was enough."""
        return len(self.exchange.retry_reasons) + 1

    @property
    def retry_reasons(self) -> tuple[str, ...]:
        """Why it was sent again, one for each time; the values are those of ``H2OError.retry_reasons``."""
        return self.exchange.retry_reasons

    @property
    def elapsed(self) -> datetime.timedelta:
        """From the call to the end of the body."""
        return datetime.timedelta(seconds=self.timings.total)

    @property
    def timings(self) -> Timings:
        """Where the time went, so far as it has passed."""
        exchange = self.exchange
        now = exchange.protocol.loop.now()
        phases = exchange.protocol.phases if exchange.fresh else {}
        head_at = exchange.head_at or now
        ended_at = exchange.ended_at or now
        return Timings(
            queue=exchange.waited_s,
            dns=phases.get("dns", 0.0),
            connect=phases.get("tcp", 0.0),
            tls=phases.get("tls", 0.0),
            settings=phases.get("settings", 0.0),
            send=max(0.0, exchange.sent_at - exchange.asked_at - exchange.waited_s),
            wait=head_at - exchange.sent_at,
            body=ended_at - head_at,
            stalled=exchange.stream.stalled_s,
            total=ended_at - exchange.asked_at,
        )

    def __repr__(self) -> str:
        return f"<Response [{self.status_code}{' ' if self.reason_phrase else ''}{self.reason_phrase}]>"
