"""The end of telemetry: everything exports what it still has, at once and within one budget.

The SDK's providers shut down one after the other, and each waits for its exporter: 6 to 10 s for an
endpoint that is gone, which costs the others their last data.  Here every processor and reader is
told to end first, spans and logs before metrics; then all are waited for together.  The SDK's own
threads do the work, since an interpreter that ends cannot start new ones (Python 3.12).
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..limits import SERVER_LIMITS
from . import lines  # noqa: F401 - it is to register its end before this module does

__all__ = ["flush_all", "forget", "remember", "shut_down"]

_log = logging.getLogger("h2o_otel.telemetry")

# Of the budget, for exporters that had to be told to give up.
_GIVE_UP_S = 0.25


class Closable(Protocol):
    """The argument of ``remember``."""

    def shutdown(self, timeout_s: float = ...) -> None: ...


def _ended(thread: threading.Thread, until: float) -> bool:
    thread.join(max(0.0, until - time.monotonic()))
    return not thread.is_alive()


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:
        _log.warning("telemetry: flushing or shutting down failed", exc_info=True)


def _in_thread(call: Callable[[], object]) -> threading.Thread | None:
    """A thread that runs ``call``, or None where none can be started any more: then it has run here."""
    thread = threading.Thread(target=_quietly, args=(call,), name="h2o-otel-telemetry", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        _quietly(call)
        return None
    return thread


def flush_all(calls: Sequence[Callable[[], object]], budget_s: float) -> None:
    """Run ``calls`` beside each other; wait at most ``budget_s`` for them and never raise."""
    until = time.monotonic() + budget_s
    threads = [thread for thread in map(_in_thread, calls) if thread is not None]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        _log.warning("telemetry: an exporter did not finish within %.3g s and was left behind", budget_s)


def shut_down(providers: Sequence[Any], budget_s: float) -> None:
    """Shut down every processor and reader of ``providers``, beside each other; never raises.

    Args:
        providers: of the SDK: spans, logs and metrics in any order.
        budget_s: for all of them together.  An exporter that needs longer is told to give up.
    """
    if not providers:
        return
    from . import _sdk_providers

    until = time.monotonic() + budget_s
    waiting: list[tuple[str, Any, threading.Thread]] = []
    for signal, part in _sdk_providers.parts_of(providers):
        thread = _sdk_providers.begin_shutdown(part) or _in_thread(part.shutdown)
        if thread is not None:
            waiting.append((signal, part, thread))
    in_time = until - min(_GIVE_UP_S, budget_s / 4)
    late = [(signal, thread) for signal, _, thread in waiting if not _ended(thread, in_time)]
    if late:
        names = ", ".join(signal for signal, _ in late)
        _log.warning("telemetry: the last export of %s did not finish within %.3g s and is lost", names, budget_s)
    # Ends waiting for another attempt, and closes the connection of those that have finished.
    closing = [_in_thread(functools.partial(_sdk_providers.close_exporter, part)) for _, part, _ in waiting]
    for last in (*closing, *(thread for _, thread in late)):
        if last is not None:
            _ended(last, until)


# -- what is still open when the process ends

_open: dict[Closable, int] = {}


def remember(telemetry: Closable) -> None:
    """Shut ``telemetry`` down when this process ends, unless it was ``forget``-ed before."""
    _open[telemetry] = os.getpid()


def forget(telemetry: Closable) -> None:
    _open.pop(telemetry, None)


def _at_exit() -> None:
    until = time.monotonic() + SERVER_LIMITS.telemetry_shutdown_s
    for telemetry, pid in list(_open.items()):
        # The parent exports telemetry that was set up before a fork.
        if pid == os.getpid():
            telemetry.shutdown(max(_GIVE_UP_S, until - time.monotonic()))


# Registered after the queue of log lines, which ``lines`` closes at exit: this runs first, and its lines are written.
atexit.register(_at_exit)
