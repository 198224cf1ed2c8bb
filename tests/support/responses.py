"""A client's response to octets that no server could be made to send so fast: the engine left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from h2o_otel.client.exchange import Exchange
from h2o_otel.client.protocol import ClientProtocol
from h2o_otel.client.request import Request
from h2o_otel.client.response import Response
from h2o_otel.client.timeouts import Timeout
from h2o_otel.io.loop import Loop
from h2o_otel.limits import CLIENT_LIMITS, EngineLimits
from h2o_otel.pool.origin import Origin
from h2o_otel.streams.stream import Stream

Fields = list[tuple[bytes, bytes]]


class StillLoop(Loop):
    """A loop whose time does not pass."""

    def now(self) -> float:
        return 1.0

    def call_at(self, when: float, callback: Any) -> Any:
        return SimpleNamespace(cancel=lambda: None)


def response_of(status: int, fields: Fields, body: bytes, trailers: Fields | None = None, limits: EngineLimits = CLIENT_LIMITS) -> Response:
    """The response with these parts, read whole, its body in DATA frames of 16 KiB.

    Raises:
        TransportError: the body is none.
    """
    protocol = ClientProtocol(StillLoop(), Origin("http", "server", 80), limits, None)
    stream = Stream(1, 65_535, 65_535, 0.0)
    stream.status = status
    stream.headers = fields
    stream.trailers = trailers
    exchange = Exchange()
    exchange.begin(Request("GET", "http://server/"), Timeout(None), False, 0.0)
    exchange.stream = stream
    exchange.protocol = protocol
    exchange.response_received(not body, 1.0)
    for start in range(0, len(body), 16_384):
        piece = body[start : start + 16_384]
        stream.body_received += len(piece)
        last = start + 16_384 >= len(body)
        if stream.assembly is not None:
            stream.assembly.add(piece)
            piece = b""
        exchange.data_received(piece, last, 1.0)
        if exchange.error is not None:
            raise exchange.failure()
    response = Response(exchange)
    response._read_body()
    return response
