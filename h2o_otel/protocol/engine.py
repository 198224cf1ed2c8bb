"""The interface of an engine, which a driver runs and which servers and clients send through.

``Connection`` is ours, ``ReferenceConnection`` is the ``h2`` library behind the same calls.  It is a
class and not a typing protocol so that compiled callers reach a compiled engine without a lookup,
and any other one by its names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..counters import Trace
from ..streams.stream import Stream
from .settings import INITIAL

__all__ = ["Engine"]

Fields = Sequence[tuple[bytes, bytes]]


class Engine:
    """One connection, sans-IO.  ``Connection`` documents each call; what a class leaves out, it must not be asked for.

    Attributes:
        started: ``start`` was called.
        closed: the connection has ended: it takes nothing more, and what it has to send is its last.
        turn_over: ``receive_into`` stopped before the end of what it could parse, so that others have their turn.
        trace_requests: requests that are received get a trace (level ``detail``).
        traced: those that something was done for since the driver's last write, which empties the list.
        streams: the open streams by identifier.
        requests: streams that either side has opened on the connection.
        queued: octets of bodies that are not framed yet.
        remote_settings: what the peer has set.
        unsent: octets that were written and that the peer has not acknowledged, as of the driver's last look at a full transport.
    """

    def __init__(self) -> None:
        self.started = False
        self.closed = False
        self.turn_over = False
        self.trace_requests = False
        self.traced: list[Trace] = []
        self.streams: dict[int, Stream] = {}
        self.requests = 0
        self.queued = 0
        self.unsent = 0
        self.remote_settings = INITIAL

    # -- octets and time, which a driver brings

    def start(self, now: float) -> None:
        raise NotImplementedError

    def receive_into(self, buffer: bytearray, start: int, end: int, now: float) -> int:
        raise NotImplementedError

    def pump(self, now: float) -> None:
        raise NotImplementedError

    def out_size(self) -> int:
        raise NotImplementedError

    def chunks_to_send(self) -> list[bytes | memoryview]:
        raise NotImplementedError

    def pause_output(self) -> None:
        raise NotImplementedError

    def resume_output(self, now: float) -> None:
        raise NotImplementedError

    def next_deadline(self) -> float:
        raise NotImplementedError

    def tick(self, now: float) -> None:
        raise NotImplementedError

    def close(self, code: int, now: float, debug: bytes = b"") -> None:
        raise NotImplementedError

    def connection_lost(self, error: Exception | None, now: float) -> None:
        raise NotImplementedError

    def barren_records(self, n: int, now: float) -> None:
        """The TLS below received ``n`` records that brought no octet; an engine with guards ends the connection when they are too many."""

    def trim(self, now: float, quiet_s: float) -> bool:
        """Give back what can be made again, once no stream was open for ``quiet_s``; false when it is too early for that."""
        return True

    # -- verbs of servers and clients

    def send_request(self, headers: Fields, end_stream: bool, now: float, user: Any = None, trace: Trace | None = None) -> Stream:
        raise NotImplementedError

    def send_response(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], end_stream: bool, now: float) -> None:
        raise NotImplementedError

    def send_informational(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], now: float) -> None:
        raise NotImplementedError

    def send_data(self, stream: Stream, data: bytes, end_stream: bool, now: float) -> int:
        raise NotImplementedError

    def send_trailers(self, stream: Stream, headers: Fields, now: float) -> None:
        raise NotImplementedError

    def reset_stream(self, stream: Stream, code: int, now: float) -> None:
        raise NotImplementedError

    def credit(self, stream: Stream, n: int, now: float) -> None:
        raise NotImplementedError

    def send_ping(self, payload: bytes, now: float) -> None:
        raise NotImplementedError

    def can_push(self) -> bool:
        """Whether applications may push; an engine that does not know what it has promised says no."""
        return False

    def promised_before(self, headers: Fields) -> bool:
        raise NotImplementedError

    def send_push_promise(self, stream: Stream, headers: Fields, now: float) -> Stream:
        raise NotImplementedError

    def shutdown(self, now: float) -> None:
        raise NotImplementedError

    def finish_shutdown(self, now: float) -> None:
        raise NotImplementedError
