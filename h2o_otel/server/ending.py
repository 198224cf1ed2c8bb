"""The end of a server: what is under way gets its time, is told, and is cut in the end, so that a process ends when it is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..errors import ErrorCode
from .config import ServerConfig
from .service import Service

__all__ = ["SHUTDOWN_KEY", "GracefulEnd", "Shutdown"]

SHUTDOWN_KEY = "h2o_otel_shutdown"
"""The lifespan state has a ``Shutdown`` under this name, and so has ``scope["state"]`` of every request."""

# Connections that were told to end are looked at this often.
_POLL_S = 0.02


class Shutdown:
    """Whether the server is about to end: what applications see in the lifespan state.

    A loop that streams events can wait for it beside its next event, and end its response in order.
    """

    __slots__ = ("_event",)

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    def is_set(self) -> bool:
        """True from the moment that the server was told to end; may be asked in any thread."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when the server is told to end."""
        await self._event.wait()

    def __repr__(self) -> str:
        return f"<Shutdown {'begun' if self.is_set() else 'not begun'}>"


class GracefulEnd:
    """Ends the connections and handlers of a service, in this order.

    At once: no new work.  After ``ServerConfig.notice_s``: ``http.disconnect`` for the requests that are still open.
    After ``ServerConfig.grace_s``: RST_STREAM for them, and their handlers are cancelled.  ``ServerLimits.shutdown_cleanup_s``
    later at most: the end, whatever still runs.

    Args:
        service: what ends.
        config: of the server.
        hurry: true when somebody wants the end now.

    Attributes:
        due: when all of it is over, on ``time.monotonic``, the lifespan's shutdown included.
        reason: ``grace time over`` or ``forced`` where something was cut, else an empty text.
    """

    def __init__(self, service: Service, config: ServerConfig, hurry: Callable[[], bool]) -> None:
        self._service = service
        self._began = time.monotonic()
        self._notice = self._began + config.notice_s
        self._grace = self._began + config.grace_s
        self._cleanup_s = config.limits.shutdown_cleanup_s
        self._hurry = hurry
        self.due = self._grace + self._cleanup_s
        self.reason = ""

    async def run(self) -> None:
        """Return when no connection is open and no handler runs, or none of them is waited for any more."""
        service = self._service
        for connection in list(service.connections):
            connection.shutdown()
        await self._wait(min(self._notice, self._grace))
        if self._busy() and not self._hurry():
            for connection in list(service.connections):
                connection.notify_shutdown()
            await self._wait(self._grace)
        if self._busy():
            self.reason = "forced" if self._hurry() else "grace time over"
            await self._cut()
        self._report()

    async def _cut(self) -> None:
        service = self._service
        for connection in list(service.connections):
            connection.cut()
        service.cancel_all("the server is shutting down")
        for connection in list(service.connections):
            connection.driver.close(ErrorCode.NO_ERROR)
        # Most of the time is for handlers and the last frames, the rest for the lifespan.
        self._hurry = _never
        await self._wait(time.monotonic() + self._cleanup_s * 2 / 3)
        for connection in list(service.connections):
            connection.driver.abort()
        await asyncio.sleep(0)

    def _report(self) -> None:
        """Say what did not end by itself."""
        cut = self._service.cut_routes
        if cut:
            fields = {"h2o.streams.cut": sum(cut.values()), "h2o.routes": [f"{route} ({n})" for route, n in cut.items()]}
            fields["h2o.duration"] = round(time.monotonic() - self._began, 3)
            fields["h2o.limit"] = "shutdown_grace_s"
            self._service.log.emit("h2o.server.streams_cut", fields)

    def _busy(self) -> bool:
        return bool(self._service.connections or self._service.tasks)

    async def _wait(self, deadline: float) -> None:
        # By looking now and then: an event would be set on the path of every connection.
        while self._busy() and time.monotonic() < deadline and not self._hurry():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)


def _never() -> bool:
    return False
