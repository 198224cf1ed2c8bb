"""The lifespan protocol of ASGI: the application starts before the first connection and ends after the last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

__all__ = ["Lifespan", "LifespanError"]

# For a lifespan that was cancelled to clean up.
_CANCEL_S = 0.2
_ASGI = {"version": "3.0", "spec_version": "2.0"}


class LifespanError(Exception):
    """The application said that it cannot start or end, or raised where it must not."""


class Lifespan:
    """Runs an application's lifespan.

    Args:
        app: the ASGI application.
        mode: "auto" takes an exception before ``startup.complete`` for an application without
            lifespan, "on" for a failure; "off" does nothing.
        state: what the application finds in its ``state`` from the beginning.

    Attributes:
        state: what the application put into its ``state``; copied into each request's scope.
        supported: whether the application takes part.
    """

    def __init__(self, app: Callable[..., Any], mode: str = "auto", state: dict[str, Any] | None = None) -> None:
        self.state: dict[str, Any] = {} if state is None else state
        self.supported = mode != "off"
        self._app = app
        self._mode = mode
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: str | None = None
        self._error: BaseException | None = None

    async def startup(self) -> None:
        """Return when the application is ready.

        Raises:
            LifespanError: it failed to start.
        """
        if not self.supported:
            return
        # In a task of its own that lives as long as the server: applications open task groups in it.
        self._task = asyncio.create_task(self._run(), name="h2o-otel lifespan")
        self._messages.put_nowait({"type": "lifespan.startup"})
        await self._started.wait()
        if self._failure is not None:
            raise LifespanError(f"the application failed to start: {self._failure}") from self._error
        if self._error is not None:
            if self._mode == "on":
                raise LifespanError(f"the application has no lifespan, or raised in it: {self._error!r}") from self._error
            self.supported = False

    async def shutdown(self, timeout_s: float) -> None:
        """Return when the application has ended.

        Args:
            timeout_s: it is cancelled when it takes longer.

        Raises:
            LifespanError: it failed to, or took too long.
        """
        if not self.supported or self._task is None:
            return
        self._messages.put_nowait({"type": "lifespan.shutdown"})
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            self._task.cancel("the server is shutting down")
            # An application that takes no cancellation is not waited for.
            await asyncio.wait([self._task], timeout=_CANCEL_S)
            raise LifespanError(
                f"the application's lifespan shutdown took more than {timeout_s:.1f} s and was cancelled "
                "(ServerLimits.shutdown_grace_s and shutdown_cleanup_s bound the end)"
            ) from None
        if self._failure is not None or self._error is not None:
            raise LifespanError(f"the application failed to end: {self._failure or repr(self._error)}") from self._error
        # After shutdown.complete it has nothing to do; what it leaves open is cancelled.
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": _ASGI, "state": self.state}
        try:
            await self._app(scope, self._messages.get, self._send)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._error = error
        finally:
            self._started.set()
            self._ended.set()

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._started.set()
        elif kind == "lifespan.startup.failed":
            self._failure = message.get("message", "") or "it gave no reason"
            self._started.set()
        elif kind == "lifespan.shutdown.complete":
            self._ended.set()
        elif kind == "lifespan.shutdown.failed":
            self._failure = message.get("message", "") or "it gave no reason"
            self._ended.set()
        else:
            raise ValueError(f"lifespan has no message of type {kind!r}")
