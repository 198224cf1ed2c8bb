"""What all connections of one server share on one event loop: the application, its tasks, the telemetry.

It starts the tasks of applications, at once where that is safe, keeps those that go on, and
reports how requests and applications end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio import tasks as _tasks
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from functools import partial
from types import CoroutineType as _CoroutineType
from typing import Any

from .. import _mem
from .. import counters as _counters
from ..errors import ErrorCode
from ..io.loop import AsyncioLoop
from ..limits import ServerLimits
from ..streams.stream import REMOTE, Stream
from ..telemetry.runtime import LoopWatch
from ..telemetry.span import RequestSpan
from .forwarded import Trust
from .pressure import Pressure
from .refusals import ended_early

__all__ = ["CREATE_TASK", "EAGER", "Service"]

# How a task begins: in the next turn of the loop, or at once.
CREATE_TASK, CAPTURE, EAGER_START = range(3)
EAGER = EAGER_START if sys.version_info >= (3, 12) else CAPTURE
_CREATE_TASK, _CAPTURE, _EAGER_START = CREATE_TASK, CAPTURE, EAGER_START

_Task = asyncio.Task
_eager: Callable[..., asyncio.Task[Any]] = asyncio.Task  # typeshed has eager_start only for some versions
_current_tasks: dict[Any, Any] = getattr(_tasks, "_current_tasks", {})
# What the line about streams that were cut shows of them.
_CUT_ROUTES_MAX = 16
_ROUTE_MAX = 100
# What ends a stream whose client does not want the rest.
_LEFT = ("rst_stream_received", "connection_lost")
# Shorter ones are no delay that anybody notices.
_LAG_NOTICED_S = 0.005
_TASK_NAME = "h2o-otel request"
_HANDLERS_RUNNING = _counters.slot("asgi_handlers")


class Service:
    """One application on one event loop.

    Args:
        app: the ASGI 3 application.
        loop: the loop that connections and applications run on.
        limits: every bound.
        telemetry: see ``h2o_otel.telemetry``.
        root_path: where the application is mounted.
        trust: whose forwarded fields count, None for nobody's.
        state: what lifespan startup left; each request gets a shallow copy.
        date: add a ``date`` field to responses without one.
        server_header: value of a ``server`` field to add, or None.
        concurrency_max: requests in flight beyond which 503 is the answer, or None.
        start: ``EAGER`` or ``CREATE_TASK``.
        log_requests: one log event per request, whatever the telemetry says; other servers with the same telemetry are not affected.

    Attributes:
        connections: the live connections.
        pressure: what is short.
        tasks: applications that did not end in their first step.
        handlers: applications that run.
        cut_routes: how many streams of each route the end of the server has cut.
        loop_asleep, loop_watch: see ``telemetry.runtime.Watched``.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        loop: AsyncioLoop,
        limits: ServerLimits,
        telemetry: Any,
        *,
        root_path: str = "",
        trust: Trust | None = None,
        state: dict[str, Any] | None = None,
        date: bool = True,
        server_header: str | None = None,
        concurrency_max: int | None = None,
        start: int = EAGER,
        log_requests: bool = False,
    ) -> None:
        self.app = app
        self.loop = loop
        self.limits = limits
        self.telemetry = telemetry
        self.metrics: Any = None
        self.log_requests = log_requests
        self.refresh()
        self.root_path = root_path
        self.trust = trust
        self.raw_root_path = root_path.encode("utf-8")
        self.state = state
        self.counters = _counters.local()
        self.app_durations = self.counters.labelled_histogram("asgi_app_duration", ("",))
        self.date = date
        self.server_field = None if server_header is None else (b"server", server_header.encode("ascii"))
        self.concurrency_max = -1 if concurrency_max is None else concurrency_max
        self.pressure = Pressure(loop, limits, self.log, self.counters)
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.handlers = 0
        self.cut_routes: dict[str, int] = {}
        self.connection_ids = 0
        self.loop_asleep = False
        self.loop_watch: LoopWatch | None = None
        self._event_loop = loop.loop
        self._loop_dict: dict[str, Any] | None = getattr(loop.loop, "__dict__", None)
        self._start = start
        self._mode = _CREATE_TASK
        self._captured: Any = None
        self._captured_context: Any = None
        self._date_field: tuple[bytes, bytes] | None = None
        self._date_until = 0.0

    def refresh(self) -> None:
        """Take over what an application has configured meanwhile; for each new connection."""
        telemetry = self.telemetry
        if self.metrics is None:
            self.metrics = telemetry.server_requests("2")
        self.tracing = telemetry.tracing
        self.log = telemetry.events
        self.access_log = self.log_requests or bool(telemetry.access_log)
        self.excluded = telemetry.excluded

    # -- tasks

    def begin_batch(self) -> None:
        """Decide how the tasks of the coming batch start."""
        self._mode = _CREATE_TASK
        if self._start == _CREATE_TASK or self._event_loop.get_task_factory() is not None:
            return
        if self._start == _CAPTURE:
            # A step cannot run inside another task's, and somebody else may have put his own call_soon there.
            if _current_tasks.get(self._event_loop) is not None or self._loop_dict is None or "call_soon" in self._loop_dict:
                return
        self._mode = self._start

    def end_batch(self, began: float) -> None:
        """The first steps of a batch of applications are over: what they took was not there for anybody else."""
        watch = self.loop_watch
        if watch is not None:
            took = _mem.now_ns() * 1e-9 - began
            if took > _LAG_NOTICED_S:
                watch.blocked(took)
            if self.loop_asleep and self.handlers:
                watch.wake()

    def spawn(self, work: Any, context: Any) -> asyncio.Task[Any]:
        """A real task for ``work``; it may be done when this returns.  ``context``: to run it in, None for a copy of the current one."""
        coroutine: Coroutine[Any, Any, Any] = work
        if type(coroutine) is not _CoroutineType and not asyncio.iscoroutine(coroutine):
            coroutine = _await(work)
        loop = self._event_loop
        if self._mode == _EAGER_START:
            # Returned without a name: a frame that the traceback of a failed application reaches by
            # f_back must not hold the task, which holds that traceback (a reference cycle each time).
            return _eager(coroutine, loop=loop, name=_TASK_NAME, context=context, eager_start=True)
        if self._mode != _CAPTURE:
            # The same here, for the application's factory of tasks may be an eager one.
            return loop.create_task(coroutine, context=context)
        # A Task schedules its first step with loop.call_soon: taking that step from it and running it
        # now is what eager_start does in later versions of Python.
        names = self._loop_dict
        assert names is not None
        names["call_soon"] = self.capture
        try:
            task = _Task(coroutine, loop=loop, name=_TASK_NAME, context=context)
        finally:
            del names["call_soon"]
        step = self._captured
        run_in = self._captured_context
        self._captured = None
        self._captured_context = None
        run_in.run(step)
        return task

    def capture(self, callback: Any, *, context: Any = None) -> None:
        self._captured = callback
        self._captured_context = context

    def cancel_all(self, reason: str) -> None:
        """Cancel every application that still runs."""
        for task in list(self.tasks):
            task.cancel(reason)

    # -- reports

    def report_cut(self, stream: Stream, route: str | None) -> None:
        """The end of the server has ended ``stream`` before its response was complete."""
        name = route if route is not None else (stream.path or b"").partition(b"?")[0].decode("ascii", "replace")
        if len(name) > _ROUTE_MAX:
            name = name[:_ROUTE_MAX] + "..."
        if name not in self.cut_routes and len(self.cut_routes) >= _CUT_ROUTES_MAX:
            name = "others"
        self.cut_routes[name] = self.cut_routes.get(name, 0) + 1

    def handler_began(self) -> int:
        """An application runs; returns the time, in nanoseconds, for ``handler_ended``."""
        self.handlers += 1
        self.counters.slots[_HANDLERS_RUNNING] += 1
        return _mem.now_ns()

    def handler_ended(self, began_ns: int, error: BaseException | None) -> None:
        """It returned or raised."""
        self.handlers -= 1
        self.counters.slots[_HANDLERS_RUNNING] -= 1
        seconds = (_mem.now_ns() - began_ns) * 1e-9
        if error is None:
            self.app_durations.record(seconds)
        else:
            self.counters.labelled_histogram("asgi_app_duration", (type(error).__qualname__,)).record(seconds)

    def report_exception(self, error: BaseException, stream: Stream, span: RequestSpan | None) -> None:
        """The application has failed; the log says where."""
        self.log.emit(
            "http.server.request.exception",
            {
                "http.request.method": (stream.method or b"").decode("ascii", "replace"),
                "url.path": (stream.path or b"").partition(b"?")[0].decode("utf-8", "replace"),
                "error.type": type(error).__qualname__,
            },
            span=span,
            exception=error,
        )

    def report_request(
        self,
        stream: Stream,
        metrics_index: int,
        status: int,
        route: str | None,
        error_type: str | None,
        span: RequestSpan | None,
        scheme: str | None,
        client: tuple[Any, ...] | None,
    ) -> None:
        """The request is over: metrics, span and access log.  ``status`` is 0 where no response began.

        ``scheme`` and ``client`` are those of the access log.
        """
        duration = stream.closed_at - stream.headers_at
        more = ended_early(error_type, route) if error_type is not None or status == 0 else None
        if self.metrics is not None and metrics_index >= 0:
            exemplar = span if span is not None and span.sampled else None
            self.metrics.finished(metrics_index, status, route, error_type, duration, exemplar, stream.body_received, stream.body_sent)
        if span is not None:
            if error_type is not None and error_type in _LEFT and stream.closed_by == REMOTE and stream.closed_code == ErrorCode.CANCEL:
                # A client that does not want the rest is no failure: the span says so, and has no status ERROR.
                span.set("error.type", error_type)
                error_type = None
            if stream.trace is None:
                span.finish(status, error_type, route, 0, stream)
            else:
                # The write that takes the response's last octets along is part of the picture.
                self.loop.call_soon(partial(_finish_span, span, status, error_type, route, stream))
        if self.access_log:
            address = "" if client is None else client[0]
            self.log.access(
                span,
                stream.method,
                stream.path or b"",
                status,
                duration,
                stream.body_received,
                stream.body_sent,
                address,
                scheme or "",
                more,
            )

    # -- responses

    def date_field(self, now: float) -> tuple[bytes, bytes]:
        """The ``date`` field, made once a second."""
        field = self._date_field
        if field is None or now >= self._date_until:
            wall = time.time()
            self._date_until = now + 1.0 - wall % 1.0
            field = self._date_field = (b"date", formatdate(wall, usegmt=True).encode("ascii"))
        return field


def _finish_span(span: RequestSpan, status: int, error_type: str | None, route: str | None, stream: Stream) -> None:
    span.finish(status, error_type, route, 0, stream)


async def _await(work: Any) -> Any:
    """An application may return any awaitable; tasks take coroutines."""
    return await work
