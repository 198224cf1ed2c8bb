"""The model of panels, rows and dashboards; independent of Grafana and Prometheus.

The description of a panel states what it shows, which values are healthy and which setting to tune.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..telemetry.catalogue import Instrument
from .expressions import Expression, Match, Mean, Quantile

__all__ = ["COLOURS", "KINDS", "Dashboard", "Panel", "Query", "Row", "Threshold", "quantiles"]

KINDS = ("timeseries", "stat", "heatmap", "table")

# One meaning, one colour, on every surface.  Keys are attribute values and legends.
GOOD, NOTICE, WARNING, BAD = "#73BF69", "#FADE2A", "#FF9830", "#F2495C"
BLUE, PURPLE, GREY, TEAL = "#5794F2", "#B877D9", "#8E8E8E", "#37A2A0"
COLOURS: dict[str, str] = {
    # quantiles, from usual to rare
    "p50": GOOD,
    "p90": NOTICE,
    "p95": WARNING,
    "p99": BAD,
    "mean": GREY,
    "maximum": PURPLE,
    # who and which way
    "client": PURPLE,
    "server": TEAL,
    "transmit": BLUE,
    "receive": GOOD,
    # outcomes
    "hit": GOOD,
    "success": GOOD,
    "completed": GOOD,
    "full": GOOD,
    "reused": GOOD,
    "active": GOOD,
    "recorded": GOOD,
    "emitted": GOOD,
    "2xx": GOOD,
    "3xx": BLUE,
    "new": BLUE,
    "idle": BLUE,
    "unsampled": GREY,
    "miss": WARNING,
    "partial": WARNING,
    "waited": WARNING,
    "suppressed": WARNING,
    "4xx": WARNING,
    "oversize": BAD,
    "failure": BAD,
    "error": BAD,
    "errors": BAD,
    "failed": BAD,
    "rejected": BAD,
    "timeout": BAD,
    "dropped": BAD,
    "conn_lost": BAD,
    "5xx": BAD,
    # a value against its bound
    "used": BLUE,
    "limit": GREY,
    "capacity": GREY,
}


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel.

    Attributes:
        legend: text with ``{attribute}`` for the attributes that the expression is split by; left out,
            those attributes.
        exemplars: whether points of single requests, which lead to their traces, are drawn with it.
    """

    expression: Expression
    legend: str = ""
    exemplars: bool = False

    def __post_init__(self) -> None:
        if not self.legend:
            object.__setattr__(self, "legend", " ".join(f"{{{attribute}}}" for attribute in self.expression.by))
        if not self.legend:
            raise ValueError("a query that gives one series needs a legend")


def quantiles(name: str, *where: Match, by: str | tuple[str, ...] = (), exemplars: bool = False) -> tuple[Query, ...]:
    """p50, p95 and p99 of a histogram, and its mean, for a time series."""
    legend = " ".join(["{}", *(f"{{{attribute}}}" for attribute in ((by,) if isinstance(by, str) else by))])
    return (
        Query(Mean(name, *where, by=by), legend.replace("{}", "mean", 1)),
        Query(Quantile(0.5, name, *where, by=by), legend.replace("{}", "p50", 1)),
        Query(Quantile(0.95, name, *where, by=by), legend.replace("{}", "p95", 1)),
        Query(Quantile(0.99, name, *where, by=by), legend.replace("{}", "p99", 1), exemplars=exemplars),
    )


@dataclass(frozen=True, slots=True)
class Threshold:
    """From ``value`` on (in the panel's unit) the colour is that of ``level``: good, warning or bad."""

    value: float
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel of a dashboard.

    Attributes:
        what: what the panel shows; by default the catalogue's descriptions of its instruments.
        healthy: the values of a healthy process.
        tune: which setting to change otherwise; names such as ``Limits.x`` are those of real settings.
        kind: one of ``KINDS``.
        unit: of the values; left out, that of the first expression.
        thresholds: ascending; below the first the colour is that of good, or of bad where ``falling``.
        falling: low values are bad, instead of high ones.
        stacked: the series add up to a meaningful whole.
        maximum: end of the scale, where there is one.
        empty: text shown when there are no series.
        link: uid of the dashboard that explains more.
    """

    title: str
    queries: tuple[Query, ...]
    healthy: str
    tune: str
    what: str = ""
    kind: str = "timeseries"
    unit: str = ""
    thresholds: tuple[Threshold, ...] = ()
    falling: bool = False
    stacked: bool = False
    maximum: float | None = None
    empty: str = "no data"
    link: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.title}: {self.kind!r} is none of {', '.join(KINDS)}")
        if not self.unit:
            object.__setattr__(self, "unit", self.queries[0].expression.unit)
        if not self.what:
            object.__setattr__(self, "what", " ".join(dict.fromkeys(instrument.why for instrument in self.instruments())))

    @property
    def description(self) -> str:
        """Markdown: what the panel shows, its healthy values, what to tune."""
        return f"{self.what}\n\n**Healthy:** {self.healthy}\n\n**Tune:** {self.tune}"

    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments of the panel, each once."""
        found = {leaf.instrument.name: leaf.instrument for query in self.queries for leaf in query.expression.leaves()}
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading; the panels of a line share its width evenly.

    Attributes:
        lines: of 1, 2, 3, 4, 6 or 8 panels.
    """

    title: str
    lines: tuple[tuple[Panel, ...], ...]

    def __post_init__(self) -> None:
        for line in self.lines:
            if not line or 24 % len(line):
                raise ValueError(f"{self.title}: a line of {len(line)} panels does not fill the width")

    def panels(self) -> Iterator[Panel]:
        for line in self.lines:
            yield from line


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One page.

    Attributes:
        uid: stable name in links and file names.
        description: the question that the dashboard answers, in one or two sentences.
    """

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        for row in self.rows:
            yield from row.panels()

    def instruments(self) -> set[str]:
        """Names of the instruments that are shown."""
        return {instrument.name for panel in self.panels() for instrument in panel.instruments()}

    def has_roles(self) -> bool:
        """Whether anything on it can be narrowed to clients or servers."""
        return any(
            all(any(a.name == "h2o.role" for a in leaf.instrument.attributes) for leaf in query.expression.leaves())
            for panel in self.panels()
            for query in panel.queries
        )
