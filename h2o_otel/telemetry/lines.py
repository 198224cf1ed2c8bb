"""The queue of log lines: a thread formats and writes them, so that no event loop waits for a disk, a pipe or a terminal.

One queue per process, as there is one ``logging``.  It holds ``EngineLimits.log_queue_lines_max`` lines; a line
that finds it full is dropped and counted, and so is one that cannot be written.  The thread works in
slices, with pauses at least as long, since it shares the interpreter lock with the loop.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TextIO

from .. import counters
from ..limits import SERVER_LIMITS

__all__ = ["LineHandler", "LineQueue", "flush", "queue"]

QUEUE_FULL, WRITE_FAILED, SHUTDOWN = range(3)

_SLICE_S = 0.001
_PAUSE_S = 0.002
# A pipe with room for as much takes it without blocking, and whole lines are not mixed with those of other processes.
_PIPE_BYTES = 4096
_FILE_BYTES = 65_536
_POLL_MS = 50
_FORK_FLUSH_S = 0.1
_EXIT_FLUSH_S = 1.0
_STUCK_S = 0.1

Work = Callable[[], object]


def dropped(reason: int, lines: int = 1) -> None:
    counters.local().add("log_dropped", reason, lines)


class _Mark:
    """A place in the queue that a caller of ``flush`` waits for."""

    def __init__(self, write_out: Work) -> None:
        self._reached = threading.Event()
        self._write_out = write_out

    def __call__(self) -> None:
        self._write_out()
        self._reached.set()

    def wait(self, timeout_s: float) -> bool:
        """Until the thread has come here and has written what was before it."""
        return self._reached.wait(timeout_s)


class LineQueue:
    """Calls that a thread makes in order; see the module.

    Args:
        lines_max: that wait at once; may be set later.
    """

    def __init__(self, lines_max: int = SERVER_LIMITS.log_queue_lines_max) -> None:
        self.lines_max = lines_max
        self.handlers: weakref.WeakSet[LineHandler] = weakref.WeakSet()
        self._reset()

    def _reset(self) -> None:
        self._waiting: deque[Work] = deque()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._starting = threading.Lock()
        self._asleep = False
        self._thread: threading.Thread | None = None
        self._progress = 0
        self._stuck_at = -1
        self.closed = False
        """True once the process ends: then callers write their lines themselves."""

    def put(self, work: Work) -> bool:
        """Have the thread do ``work``; false, and counted, where too much waits already."""
        if len(self._waiting) >= self.lines_max:
            dropped(QUEUE_FULL)
            return False
        self._append(work)
        return True

    def _append(self, work: Work) -> None:
        self._waiting.append(work)
        if self._asleep:
            self._asleep = False
            self._wake.set()
        elif self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self.closed:
                self._thread = threading.Thread(target=self._run, name="h2o-otel-log", daemon=True)
                self._thread.start()

    @property
    def mine(self) -> bool:
        """Whether the caller is the queue's thread."""
        return threading.current_thread() is self._thread

    def flush(self, timeout_s: float) -> bool:
        """Wait until every line put before is written; false where that takes longer than ``timeout_s``.

        A reader that stands still is waited for once: while nothing was written since, the next call waits a moment only.
        """
        if self._thread is None or self.mine:
            return True
        if self._stuck_at == self._progress:
            timeout_s = min(timeout_s, _STUCK_S)
        mark = _Mark(self.write_out)
        self._append(mark)
        self._hurry.set()
        done = mark.wait(timeout_s)
        self._hurry.clear()
        self._stuck_at = -1 if done else self._progress
        return done

    def close(self, timeout_s: float = _EXIT_FLUSH_S) -> None:
        """Write what waits, drop what cannot be written in time, and end the thread."""
        thread = self._thread
        self.flush(timeout_s)
        self.closed = True
        while self._waiting:
            with contextlib.suppress(IndexError):
                if not isinstance(self._waiting.popleft(), _Mark):
                    dropped(SHUTDOWN)
        if thread is not None:
            self._hurry.set()
            self._wake.set()
            # It looks every few milliseconds whether the process ends.
            thread.join(_EXIT_FLUSH_S)

    # -- the thread

    def _run(self) -> None:
        while not self.closed:
            if self._waiting:
                began = time.monotonic()
                self._slice(began + _SLICE_S)
                self.write_out()
                if not self._hurry.is_set():
                    self._hurry.wait(max(_PAUSE_S, time.monotonic() - began))
                continue
            self._asleep = True
            # A line may have been queued before its caller could see that.
            if not self._waiting and not self.closed:
                self._wake.wait()
            self._wake.clear()
            self._asleep = False

    def _slice(self, until: float) -> None:
        waiting = self._waiting
        while waiting:
            try:
                waiting.popleft()()
            except IndexError:
                return  # close() has emptied it
            except Exception:
                dropped(WRITE_FAILED)
            self._progress += 1
            if time.monotonic() > until:
                return

    def progressed(self) -> None:
        """Something was written, or given up."""
        self._progress += 1

    def write_out(self) -> None:
        """Have every handler write what it has formatted."""
        for handler in list(self.handlers):
            handler.write_out()

    # -- fork: the parent's lines are the parent's to write, and it alone has the thread

    def before_fork(self) -> None:
        if self._waiting:
            self.flush(_FORK_FLUSH_S)

    def after_fork_in_child(self) -> None:
        self._reset()
        for handler in list(self.handlers):
            handler.forget()


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes records to a stream on the queue's thread, never blocking the caller.

    A stream without a descriptor, which is memory, is written at once.

    Args:
        stream: text stream; if it has a descriptor, that is written to directly, past the stream's own lock and buffer.
    """

    def __init__(self, stream: TextIO, lines: LineQueue) -> None:
        super().__init__(stream)
        self._lines = lines
        self._texts: list[bytes] = []
        self._fd = -1
        self._piece = _PIPE_BYTES
        try:
            stream.flush()
            self._fd = stream.fileno()
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                self._piece = _FILE_BYTES
        except (OSError, ValueError, AttributeError):
            pass  # memory, or closed already
        lines.handlers.add(self)

    def emit(self, record: logging.LogRecord) -> None:
        if self._fd < 0:
            super().emit(record)
        elif self._lines.mine:
            self._format(record)
        elif self._lines.closed:
            self._format(record)
            self.write_out()
        else:
            self._lines.put(lambda: self._format(record))

    def _format(self, record: logging.LogRecord) -> None:
        text = self.format(record) + self.terminator
        self._texts.append(text.encode(getattr(self.stream, "encoding", None) or "utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Written lines are with the system already."""
        if self._fd < 0:
            super().flush()

    def forget(self) -> None:
        """After a fork: these lines are the parent's."""
        self._texts = []

    def write_out(self) -> None:
        """Write what was formatted; what cannot be written is dropped and counted."""
        texts, self._texts = self._texts, []
        while texts:
            count, size = 1, len(texts[0])
            while count < len(texts) and size + len(texts[count]) <= self._piece:
                size += len(texts[count])
                count += 1
            if not self._write(b"".join(texts[:count])):
                dropped(SHUTDOWN if self._lines.closed else WRITE_FAILED, count)
            self._lines.progressed()
            del texts[:count]

    def _write(self, octets: bytes) -> bool:
        rest = memoryview(octets)
        try:
            while rest:
                # The number of a closed stream may be a socket's by now.
                if self.stream.closed or not self._wait_writable():
                    return False
                try:
                    rest = rest[os.write(self._fd, rest[: self._piece]) :]
                except BlockingIOError:
                    time.sleep(_POLL_MS * 1e-3)
        except (OSError, ValueError):
            return False  # the disk is full, or the reader is gone; the next line may do better
        return True

    def _wait_writable(self) -> bool:
        """Wait while the reader of a pipe does not read; false when the process ends meanwhile."""
        if self._piece == _FILE_BYTES or not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while not poll.poll(_POLL_MS):
            if self._lines.closed:
                return False
        return True


queue = LineQueue()
"""The queue of the process."""


def flush(timeout_s: float = _EXIT_FLUSH_S) -> bool:
    """Wait until the lines logged so far are written; false where that takes longer than ``timeout_s``."""
    return queue.flush(timeout_s)


atexit.register(queue.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=queue.before_fork, after_in_child=queue.after_fork_in_child)
