"""The rest of a request's body after a full answer: taken and dropped for a while, so that the client gets to read the answer."""

from __future__ import annotations

from typing import Any

from ..errors import ErrorCode
from ..streams.stream import Stream
from .carrier import AsgiConnection

__all__ = ["UploadDrain"]

_NO_ERROR = int(ErrorCode.NO_ERROR)
# An upload that brings so much within ``ServerLimits.request_drain_s`` gets as much time again.
_PROGRESS_BYTES = 262_144


class UploadDrain:
    """Waits for the end of a body that nobody wants, and resets the stream with NO_ERROR when that takes too long.

    RFC 9113 section 8.1 allows RST_STREAM(NO_ERROR) at once, but several clients fail or forget a request that
    is reset while they upload, though the whole response has arrived before it.  Some read the response only
    when everything is sent, so an upload that moves gets more time.

    Args:
        owner: the stream's connection.
        stream: END_STREAM was sent on it, and not received yet.
    """

    __slots__ = ("_drain_s", "_left", "_more_below", "_owner", "_stream", "_timer")

    def __init__(self, owner: AsgiConnection, stream: Stream) -> None:
        limits = owner.service.limits
        self._owner = owner
        self._stream: Stream | None = stream
        self._left = limits.request_drain_bytes
        self._drain_s = limits.request_drain_s
        self._wait()

    def _wait(self) -> None:
        loop = self._owner.loop
        self._more_below = self._left - _PROGRESS_BYTES
        self._timer: Any = loop.call_at(loop.now() + self._drain_s, self._on_timer)

    def _on_timer(self) -> None:
        if self._stream is not None and self._left <= self._more_below:
            self._wait()
        else:
            self.end()

    def drop(self, n: int) -> None:
        """``n`` octets more were dropped."""
        self._left -= n
        if self._left < 0:
            self.end()

    def end(self) -> None:
        """The client had its time."""
        stream = self._stream
        if stream is not None:
            self.stop()
            self._owner.reset(stream, _NO_ERROR, self._owner.loop.now())

    def stop(self) -> None:
        """The stream is over."""
        self._stream = None
        self._timer.cancel()
