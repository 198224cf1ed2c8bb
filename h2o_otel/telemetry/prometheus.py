"""A scrape endpoint: our instruments as native Prometheus families with exemplars, the rest of the application beside them.

The stock exporter drops exemplars, so it serves only metrics of other libraries; those of this package come from
its producer.  Needs the extra ``prometheus``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .. import counters
from ..counters import HistogramValue
from . import _sdk_metrics
from .catalogue import Instrument, by_name, prometheus_label
from .failures import failed
from .metrics import Producer

__all__ = ["PrometheusEndpoint"]


class CountersCollector:
    """A collector of ``prometheus_client`` over a producer."""

    def __init__(self, producer: Producer, others: Any = None) -> None:
        self._producer = producer
        self._others = others
        self.claims: frozenset[str] = frozenset()
        """Names of the instruments that the collection under way shows."""
        self.left: Callable[[], frozenset[str]] = frozenset
        """Names that the SDK shows, since a View asks for it."""

    def describe(self) -> list[Any]:
        # Registering must not collect.
        return []

    def collect(self) -> Iterator[Any]:
        found = {family.name: family for family in self._ours()}
        # Metrics of other libraries in the SDK; a name may have only one family.
        for family in () if self._others is None else self._others.collect():
            known = found.setdefault(family.name, family)
            if known is not family and known.type == family.type:
                known.samples.extend(family.samples)
        yield from found.values()

    def _ours(self) -> list[Any]:
        began = counters.clock()
        try:
            left = self.left()
            readings = {name: values for name, values in self._producer.readings().items() if values and name not in left}
            self.claims = frozenset(readings)
            return [_family(by_name[name], values) for name, values in readings.items()]
        except Exception:
            failed("collecting metrics for Prometheus")
            return []
        finally:
            counters.local().add("telemetry_time_ns", 0, counters.clock() - began)


def _family(instrument: Instrument, values: dict[tuple[str, ...], Any]) -> Any:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    labels = [prometheus_label(attribute.name) for attribute in instrument.attributes]
    if instrument.kind == "histogram":
        family = HistogramMetricFamily(instrument.prometheus, instrument.why, labels=labels)
        for key, value in values.items():
            family.add_metric(key, _buckets(instrument.bounds, value), value.sum)
        return family
    made: Any = CounterMetricFamily if instrument.kind == "counter" else GaugeMetricFamily
    numbers = made(instrument.prometheus.removesuffix("_total"), instrument.why, labels=labels)
    for key, value in values.items():
        numbers.add_metric(key, value)
    return numbers


def _buckets(bounds: tuple[float, ...], value: HistogramValue) -> list[Any]:
    from prometheus_client.core import Exemplar

    found: list[Any] = []
    total = 0
    for i, count in enumerate(value.counts):
        total += count
        edge = str(bounds[i]) if i < len(bounds) else "+Inf"
        exemplar = value.exemplars.get(i)
        if exemplar is None:
            found.append((edge, total))
        else:
            observed, at, trace, span = exemplar
            found.append((edge, total, Exemplar({"trace_id": f"{trace:032x}", "span_id": f"{span:016x}"}, observed, at * 1e-9)))
    return found


class PrometheusEndpoint:
    """``/metrics`` on a port of its own.

    Args:
        producer: of our instruments.
        port: to listen on, 0 for any free one.
        host: by default only this machine can scrape.

    Raises:
        ImportError: the extra ``prometheus`` is not installed.
        OSError: the port cannot be bound.
    """

    def __init__(self, producer: Producer, port: int, host: str = "127.0.0.1") -> None:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry, start_http_server

        self.registry = CollectorRegistry(auto_describe=False)
        # The application's own OpenTelemetry metrics, h2o.build.info among them.
        others = CollectorRegistry(auto_describe=False)
        collector = CountersCollector(producer, others)
        self.registry.register(collector)
        reader: Any = _sdk_metrics.counting_reader_class(PrometheusMetricReader)(registry=others)  # type: ignore[call-arg]
        self.reader = reader
        reader.h2o_claims = lambda: collector.claims
        collector.left = lambda: reader.h2o_left
        self._server, self._thread = start_http_server(port, host, registry=self.registry)
        self.host = host
        self.port: int = self._server.server_port

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/metrics"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)
