"""Work that outlives the caller: a connect that several requests share, an upload beside its response."""

from __future__ import annotations

import contextvars
import random
from collections.abc import Coroutine
from typing import Any, Protocol

from ..io.loop import AsyncioLoop, Loop

__all__ = ["Spawned", "back_off", "spawn"]

_BACKOFF_S = 0.01
_BACKOFF_MAX_S = 1.0

# The loop itself holds only weak references to tasks.
_running: set[Any] = set()


class Spawned(Protocol):
    """What ``spawn`` returns."""

    def cancel(self) -> Any: ...


def spawn(loop: Loop, coroutine: Coroutine[Any, Any, None], context: contextvars.Context | None = None) -> Spawned:
    """Run ``coroutine``, which must handle its own errors, beside the caller.

    Args:
        context: its context variables; none of the caller's by default, so that nothing of the request
            that happened to come first stays alive with it.
    """
    if context is None:
        context = contextvars.Context()
    if isinstance(loop, AsyncioLoop):
        task = loop.loop.create_task(coroutine, context=context)
        _running.add(task)
        task.add_done_callback(_running.discard)
        return task
    return _GroupTask(loop, coroutine, context)


async def back_off(loop: Loop, attempts: int, deadline: float) -> None:
    """Give a peer that refuses some time, longer with each of ``attempts``, at random so that its clients do not come back together.

    Args:
        deadline: on the loop's clock; not beyond it.
    """
    waiter = loop.create_waiter()
    seconds = min(_BACKOFF_MAX_S, _BACKOFF_S * 2 ** (attempts - 1)) * (0.5 + random.random() / 2)
    timer = loop.call_at(min(loop.now() + seconds, deadline), lambda: None if waiter.done() else waiter.set_result(None))
    try:
        await waiter
    finally:
        timer.cancel()


class _GroupTask:
    """A task in the group of an ``AnyioLoop``."""

    def __init__(self, loop: Any, coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> None:
        import anyio

        self._scope = anyio.CancelScope()
        # The task gets a copy of the context that is current when it is started.
        context.run(loop.group.start_soon, self._run, coroutine)

    async def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        with self._scope:
            await coroutine

    def cancel(self) -> None:
        self._scope.cancel()
