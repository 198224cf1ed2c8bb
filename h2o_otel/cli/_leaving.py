"""Ends a server's process on time, even if threads or handlers of the application still run."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress

__all__ = ["Leaving", "flush_standard_streams"]

# Time for the last export of telemetry after all other steps.
_EXPORT_S = 0.8
_NAMES_MAX = 8


class Leaving:
    """Ends the process by force when its time is over.

    An interpreter waits for threads when it ends, and a handler that blocks the event loop keeps it from
    ending at all; a supervisor kills it after a while, and the last telemetry is lost.

    Args:
        seconds: from ``begin`` to the end by force.

    Attributes:
        status: that the process ends with.
    """

    def __init__(self, seconds: float) -> None:
        self.status = 0
        self._seconds = seconds + _EXPORT_S
        self._begun = False

    def begin(self) -> None:
        """Start the countdown; callable from any thread and from signal handlers, later calls do nothing."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._wait, args=(time.monotonic() + self._seconds,), name="h2o-otel leaving", daemon=True).start()

    def _wait(self, due: float) -> None:
        time.sleep(max(0.0, due - time.monotonic()))
        names = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
        what = f"threads of the application still run ({', '.join(names[:_NAMES_MAX])})" if names else "the application still runs"
        with suppress(OSError):
            os.write(2, f"h2o-otel serve: {what}, ends without it\n".encode("ascii", "backslashreplace"))
        os._exit(self.status)


def flush_standard_streams() -> None:
    """Flush standard output and error, which a forced end would lose."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
