"""When a request is sent again: the user's policy, and what each way of failing says about the server.

A server that refuses a stream (REFUSED_STREAM) promises that no application saw the request
(RFC 9113 section 8.7), but a proxy in front of it may not know: HAProxy says so whenever its backend
fails before the response on a connection that was used before.  GOAWAY is sent by who reads the
frames, so its last stream identifier is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import ErrorCode, ProtocolError, StreamReset
from .exchange import Exchange
from .request import Request

__all__ = ["DEFAULT_RETRY", "SENT_AGAIN_ONCE", "Retry", "explain_refusal", "replay_reason"]

Refused = Literal["idempotent", "always", "never"]

_MISDIRECTED = 421
# RFC 9110 section 9.2.2.
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "QUERY"))
# Reasons for which a request is sent again only once; the others count against Limits.retries_max.
SENT_AGAIN_ONCE = ("connection_lost", "421", "NO_ERROR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Which failed requests a client sends again.

    Whatever it says, a request that a GOAWAY leaves out is sent again, since the peer has not looked at
    it, and ``Limits.retries_max`` and ``Timeout.total`` hold.

    Attributes:
        refused: on RST_STREAM(REFUSED_STREAM): "idempotent" sends requests of idempotent methods and those with an
            Idempotency-Key again, "always" every request, "never" none.

    Raises:
        ValueError: ``refused`` is none of the three.
    """

    refused: Refused = "idempotent"

    def __post_init__(self) -> None:
        if self.refused not in get_args(Refused):
            raise ValueError(f"Retry.refused is {self.refused!r}; it is 'idempotent', 'always' or 'never'")


DEFAULT_RETRY = Retry()


def replay_reason(exchange: Exchange, retry: Retry) -> str:
    """Why the exchange may be sent again, a value of ``h2o.reason`` of ``h2o.pool.retries``; "" when it must not."""
    error = exchange.error
    stream = exchange.stream
    if error is None:
        # The server is not the one for this origin (RFC 9110 section 15.5.20), whatever the method.
        return "421" if stream.status == _MISDIRECTED else ""
    if stream is None:
        return ""
    repeatable = _is_repeatable(exchange.request)
    if exchange.head and not repeatable:
        # Whatever the peer says of the stream, an application has begun to answer.
        return ""
    if stream.refused:
        if not _is_reset(error) or exchange.protocol.goaway_last < stream.id:
            return "GOAWAY"
        return "REFUSED_STREAM" if retry.refused == "always" or (retry.refused == "idempotent" and repeatable) else ""
    if exchange.head or not repeatable:
        return ""
    if _is_reset(error):
        # No error, and no response either: the peer gave up on the connection, not on this request.
        return "NO_ERROR" if isinstance(error, StreamReset) and error.code == ErrorCode.NO_ERROR else ""
    if exchange.fresh:
        return ""
    # Expected where the connection had been idle.
    lost = error if isinstance(error, ProtocolError) else error.__cause__
    return "connection_lost" if isinstance(lost, StreamReset) and lost.rule in ("connection_lost", "goaway_received") else ""


def explain_refusal(exchange: Exchange, retry: Retry) -> None:
    """Say in the error of a refused request why it was not sent again, where the policy is the reason."""
    error = exchange.error
    if not _is_reset(error) or not isinstance(error, StreamReset) or error.code != ErrorCode.REFUSED_STREAM:
        return
    method = exchange.request.method
    if retry.refused == "never":
        why = "Retry.refused is 'never'"
    elif retry.refused == "idempotent" and not _is_repeatable(exchange.request):
        why = (
            f"a proxy may refuse what its backend has acted on, and {method} is not idempotent:"
            " give it an Idempotency-Key, or Retry(refused='always')"
        )
    else:
        return
    error.args = (f"{error}; not sent again, since {why}",)


def _is_reset(error: BaseException | None) -> bool:
    return isinstance(error, StreamReset) and error.rule == "rst_stream_received"


def _is_repeatable(request: Request) -> bool:
    """Whether acting twice on the request is like acting once, by its method or by what the user promised."""
    return request.method in _IDEMPOTENT or any(name == b"idempotency-key" for name, _ in request._fields())
