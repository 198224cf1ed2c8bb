"""The metrics of one request: duration, requests in flight, body sizes.

It does not import OpenTelemetry; if another reader or a View needs single measurements, ``RECORDING``
passes each request to the bridge.  The series of a combination of attributes is looked up once
and kept, so that a request costs one small tuple and one dictionary lookup, and not even these
when it equals the previous one.  An object belongs to the thread (event loop) that made it, as does
the block of counters under it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns as _time_ns
from typing import Any

from .. import counters as _counters
from ..counters import Counters, Histogram, Tally

__all__ = ["RECORDING", "ClientRequestMetrics", "Recording", "ServerRequestMetrics", "method_label", "origin_label"]

_METHODS = _counters.HTTP_METHODS
_OTHER = len(_METHODS) - 1
_METHOD_INDEX: dict[Any, int] = {}
for _i, _method in enumerate(_METHODS[:_OTHER]):
    _METHOD_INDEX[_method] = _METHOD_INDEX[_method.encode()] = _i

_ACTIVE = _counters.slot("http_server_active_requests")

# Series kept per object.  Routes come from the framework and statuses from the application, so
# real programs stay far below; beyond it the lookup goes to the counters, which fold into "other".
_SERIES_MAX = 2048

_origins: dict[tuple[str, int], tuple[str, str]] = {}


def method_label(method: bytes | str) -> str:
    """``method`` if it is a known one, else ``_OTHER``: the peer must not choose the number of series."""
    return _METHODS[_METHOD_INDEX.get(method, _OTHER)]


def origin_label(address: str, port: int, origins_max: int = 64) -> tuple[str, str]:
    """The values of ``server.address`` and ``server.port``; ``other`` once ``origins_max`` origins are labelled."""
    found = _origins.get((address, port))
    if found is None:
        if len(_origins) >= origins_max:
            return ("other", "")
        found = _origins[(address, port)] = (address, str(port))
    return found


class Recording:
    """Passes single requests on to the meters of applications; see ``bridge``.

    Attributes:
        active: whether there are sinks.
        sinks: called with the instrument's name, its labels, the value and the sampled span or None.
    """

    __slots__ = ("active", "sinks")

    def __init__(self) -> None:
        self.active = False
        self.sinks: tuple[Callable[[str, tuple[str, ...], float, Any], object], ...] = ()

    def add(self, sink: Callable[[str, tuple[str, ...], float, Any], object]) -> None:
        if sink not in self.sinks:
            self.sinks = (*self.sinks, sink)
        self.active = True

    def remove(self, sink: Callable[[str, tuple[str, ...], float, Any], object]) -> None:
        # A list: Cython compiles no closures in these methods.
        self.sinks = tuple([other for other in self.sinks if other != sink])
        self.active = bool(self.sinks)

    def record(self, name: str, labels: tuple[str, ...], value: float, span: Any) -> None:
        for sink in self.sinks:
            sink(name, labels, value, span)


RECORDING = _RECORDING = Recording()
"""Of the process, as its counters are."""


class _Series:
    """The histograms of one combination of attributes."""

    __slots__ = ("duration", "labels", "request_size", "response_size")

    def __init__(
        self, labels: tuple[str, ...], duration: Histogram, request_size: Histogram | None = None, response_size: Histogram | None = None
    ) -> None:
        self.labels = labels
        self.duration = duration
        self.request_size = request_size
        self.response_size = response_size


def _record(histogram: Histogram, value: float, span: Any) -> None:
    """Record ``value``; a sampled span becomes the exemplar of its bucket."""
    bucket = histogram.record(value)
    if span is not None and span.sampled:
        if histogram.exemplars is None:
            histogram.exemplars = {}
        histogram.exemplars[bucket] = (value, _time_ns(), span.trace_id, span.span_id)


class ServerRequestMetrics:
    """Metrics of the requests that a server takes on one event loop; keep one per protocol version.

    Args:
        protocol_version: ``network.protocol.version``: "2" or "1.1".
        counters: the block to add to, by default that of the calling thread.
        body_sizes: record ``http.server.*.body.size`` too (opt-in in the semantic conventions).
    """

    __slots__ = (
        "_body_sizes",
        "_last",
        "_last_index",
        "_last_route",
        "_last_status",
        "_method",
        "_method_index",
        "_series",
        "_version",
        "block",
    )

    def __init__(self, protocol_version: str = "2", counters: Counters | None = None, body_sizes: bool = False) -> None:
        self._version = protocol_version
        self.block = _counters.local() if counters is None else counters
        self._body_sizes = body_sizes
        self._series: dict[tuple[int, int, str | None, str | None], _Series] = {}
        # The method and the series of the last request: most requests equal the previous one.
        self._method = b""
        self._method_index = _OTHER
        self._last: _Series | None = None
        self._last_index = 0
        self._last_status = 0
        self._last_route: str | None = None

    def started(self, method: bytes, scheme: bytes) -> int:
        """A request began; returns the index for ``finished``."""
        if method is not self._method:
            self._method = method
            self._method_index = _METHOD_INDEX.get(method, _OTHER)
        index = self._method_index * 2
        if scheme == b"https":
            index += 1
        self.block.slots[_ACTIVE + index] += 1
        return index

    def finished(
        self,
        index: int,
        status: int,
        route: str | None,
        error_type: str | None,
        duration_s: float,
        span: Any = None,
        received: int = 0,
        sent: int = 0,
    ) -> None:
        """A request ended.

        Args:
            index: what ``started`` returned.
            status: of the response, 0 when there was none.
            route: template of the framework, such as ``/items/{id}``, never the path.
            error_type: exception class or rule token; a status of 500 and above is an error by itself.
            duration_s: seconds from the complete field section to the end of the response.
            span: the request's ``RequestSpan``, for exemplars.
            received, sent: octets of the two bodies.
        """
        self.block.slots[_ACTIVE + index] -= 1
        series = self._last
        if (
            series is None
            or error_type is not None
            or route is not self._last_route
            or status != self._last_status
            or index != self._last_index
        ):
            series = self._find(index, status, route, error_type)
        _record(series.duration, duration_s, span)
        if series.request_size is not None and series.response_size is not None:
            series.request_size.record(received)
            series.response_size.record(sent)
        if _RECORDING.active:
            self._hand_on(series, duration_s, span, received, sent)

    def _hand_on(self, series: _Series, duration_s: float, span: Any, received: int, sent: int) -> None:
        _RECORDING.record("http.server.request.duration", series.labels, duration_s, span)
        if self._body_sizes:
            labels = series.labels[:3]
            _RECORDING.record("http.server.request.body.size", labels, received, span)
            _RECORDING.record("http.server.response.body.size", labels, sent, span)

    def _find(self, index: int, status: int, route: str | None, error_type: str | None) -> _Series:
        """The series of this combination, which is the last one from now on unless there was an error."""
        key = (index, status, route, error_type)
        series = self._series.get(key)
        if series is None:
            series = self._make(key)
        if error_type is None:
            self._last = series
            self._last_index = index
            self._last_status = status
            self._last_route = route
        return series

    def _make(self, key: tuple[int, int, str | None, str | None]) -> _Series:
        index, status, route, error_type = key
        method = _METHODS[index >> 1]
        scheme = "https" if index & 1 else "http"
        code = str(status) if status else ""
        if error_type is None:
            error_type = code if status >= 500 else ""
        block = self.block
        every = (method, scheme, code, route or "", self._version, error_type)
        duration = block.labelled_histogram("http_server_request_duration", every)
        sizes: tuple[Histogram | None, Histogram | None] = (None, None)
        if self._body_sizes:
            labels = (method, scheme, code)
            sizes = (
                block.labelled_histogram("http_server_request_body_size", labels),
                block.labelled_histogram("http_server_response_body_size", labels),
            )
        series = _Series(every, duration, sizes[0], sizes[1])
        if len(self._series) < _SERIES_MAX:
            self._series[key] = series
        return series


class ClientRequestMetrics:
    """Metrics of the requests to one origin from one event loop; keep one per origin and protocol version.

    Args:
        server_address, server_port: of the origin.
        protocol_version: ``network.protocol.version``: "2" or "1.1".
        counters: the block to add to, by default that of the calling thread.
        origins_max: ``EngineLimits.origins_labelled_max``; later origins share the label ``other``.
    """

    __slots__ = ("_active", "_address", "_last", "_last_index", "_last_status", "_port", "_queue", "_series", "_version", "block")

    def __init__(
        self,
        server_address: str,
        server_port: int,
        protocol_version: str = "2",
        counters: Counters | None = None,
        origins_max: int = 64,
    ) -> None:
        self._address, self._port = origin_label(server_address, server_port, origins_max)
        self._version = protocol_version
        self.block = _counters.local() if counters is None else counters
        # By method, each made on first use.
        self._active: list[Tally | None] = [None] * len(_METHODS)
        self._queue: list[Histogram | None] = [None] * len(_METHODS)
        self._series: dict[tuple[int, int, str | None], _Series] = {}
        self._last: _Series | None = None
        self._last_index = 0
        self._last_status = 0

    def started(self, method: bytes | str) -> int:
        """A request began; returns the index for ``queued`` and ``finished``."""
        index = _METHOD_INDEX.get(method, _OTHER)
        active = self._active[index]
        if active is None:
            key = (_METHODS[index], self._address, self._port)
            active = self._active[index] = self.block.tally("http_client_active_requests", key)
        active.n += 1
        return index

    def queued(self, index: int, duration_s: float) -> None:
        """The request waited so long for a connection or a stream."""
        histogram = self._queue[index]
        labels = (_METHODS[index], self._address, self._version)
        if histogram is None:
            histogram = self._queue[index] = self.block.labelled_histogram("http_client_request_time_in_queue", labels)
        histogram.record(duration_s)
        if _RECORDING.active:
            _RECORDING.record("http.client.request.time_in_queue", labels, duration_s, None)

    def finished(self, index: int, status: int, error_type: str | None, duration_s: float, span: Any = None) -> None:
        """A request ended: the response's field section arrived, or it failed.

        Args:
            index: what ``started`` returned.
            status: of the response, 0 when there was none.
            error_type: exception class or rule token; a status of 400 and above is an error by itself.
            duration_s: seconds from the call to the end of the response body, or to the failure.
            span: the request's ``RequestSpan``, for exemplars.
        """
        active = self._active[index]
        if active is not None:
            active.n -= 1
        series = self._last
        if series is None or error_type is not None or status != self._last_status or index != self._last_index:
            series = self._find(index, status, error_type)
        _record(series.duration, duration_s, span)
        if _RECORDING.active:
            _RECORDING.record("http.client.request.duration", series.labels, duration_s, span)

    def _find(self, index: int, status: int, error_type: str | None) -> _Series:
        """The series of this combination, which is the last one from now on unless there was an error."""
        key = (index, status, error_type)
        series = self._series.get(key)
        if series is None:
            series = self._make(key)
        if error_type is None:
            self._last = series
            self._last_index = index
            self._last_status = status
        return series

    def _make(self, key: tuple[int, int, str | None]) -> _Series:
        index, status, error_type = key
        code = str(status) if status else ""
        if error_type is None:
            error_type = code if status >= 400 else ""
        labels = (_METHODS[index], self._address, self._port, code, self._version, error_type)
        series = _Series(labels, self.block.labelled_histogram("http_client_request_duration", labels))
        if len(self._series) < _SERIES_MAX:
            self._series[key] = series
        return series
