"""Alerts and recording rules for Prometheus, from the same expressions as the panels.

Each alert is something that a person should act on; its annotation names the panel to look at and
the setting to change.  Thresholds are for a service with an objective of 99.9 %.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .expressions import Expression, Increase, Level, Rate, Total, is_, present
from .pages import common
from .promql import RULES, write

__all__ = ["ALERTS", "RECORDS", "Alert", "Record", "rules"]

BUDGET = 0.001
# The whole month's error budget would be gone in two days; both windows, so that it fires soon
# and ends soon (Site Reliability Workbook, chapter 5).
BURN = 14.4
ERRORS_5M = "job:http_server_request_errors:ratio_rate5m"
ERRORS_1H = "job:http_server_request_errors:ratio_rate1h"


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule: a series that Prometheus computes in advance."""

    name: str
    expression: Expression
    window: str = "5m"

    @property
    def promql(self) -> str:
        return write(self.expression, replace(RULES, window=self.window))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alerting rule.

    Attributes:
        name: begins with H2O, by which the dashboards find it.
        condition: an expression that is compared with ``above``, or PromQL as text.
        lasts: how long it must hold.
        severity: "critical" pages the person on call, "warning" can wait until working hours.
        summary: one line; ``{{ $labels.job }}`` and the like are filled in.
        action: which panel to look at and which setting to change.
        dashboard: uid of the dashboard that shows it.
    """

    name: str
    condition: Expression | str
    lasts: str
    severity: str
    summary: str
    action: str
    dashboard: str
    above: float = 0.0

    @property
    def promql(self) -> str:
        if isinstance(self.condition, str):
            return self.condition
        return f"({write(self.condition, RULES)}) > {self.above:g}"


RECORDS = (
    Record("job:http_server_requests:rate5m", common.SERVED_RATE),
    Record(ERRORS_5M, common.SERVED_ERROR_RATIO),
    Record(ERRORS_1H, common.SERVED_ERROR_RATIO, window="1h"),
    Record("job:http_server_request_duration_seconds:p99_5m", common.SERVED_P99),
    Record("job:http_client_request_errors:ratio_rate5m", common.CALLED_ERROR_RATIO),
    Record("job:http_client_request_duration_seconds:p99_5m", common.CALLED_P99),
)

_HANDSHAKES_FAILED = Rate("h2o.tls.handshakes", present("error.type")) / Rate("h2o.tls.handshakes")

ALERTS = (
    Alert(
        name="H2OErrorBudgetBurns",
        condition=f"{ERRORS_5M} > {BURN * BUDGET:g} and {ERRORS_1H} > {BURN * BUDGET:g}",
        lasts="2m",
        severity="critical",
        summary="{{ $labels.job }} fails {{ $value | humanizePercentage }} of its requests",
        action="The panel Errors by type names the cause; the exemplars of the latency panel link to traces.",
        dashboard="h2o-requests",
    ),
    Alert(
        name="H2OVanished",
        condition="count by (job) (h2o_build_info offset 15m) unless count by (job) (h2o_build_info)",
        lasts="1m",
        severity="critical",
        summary="no process of {{ $labels.job }} reports any more",
        action="Is it running, and can it reach the collector? With OTLP there is no `up` series.",
        dashboard="h2o-overview",
    ),
    Alert(
        name="H2OLoopSaturated",
        condition=common.LOOP_BUSY,
        above=0.9,
        lasts="10m",
        severity="warning",
        summary="the event loop of {{ $labels.instance }} is {{ $value | humanizePercentage }} busy",
        action="More processes; each serves one core.",
        dashboard="h2o-runtime",
    ),
    Alert(
        name="H2OLoopBlocked",
        condition=common.LOOP_LAG_P99,
        above=0.1,
        lasts="10m",
        severity="warning",
        summary="the event loop of {{ $labels.instance }} is delayed by {{ $value | humanizeDuration }}",
        action="A blocking call in the application: move it to a thread. PYTHONASYNCIODEBUG=1 names it.",
        dashboard="h2o-runtime",
    ),
    Alert(
        name="H2OWritesStalled",
        condition=Total("h2o.flow_control.stall.duration", by="h2o.flow_control.scope") / Level("h2o.connection.active"),
        above=0.5,
        lasts="10m",
        severity="warning",
        summary="writers of {{ $labels.job }} wait for {{ $labels.h2o_flow_control_scope }} windows",
        action="Raise EngineLimits.stream_window_bytes or EngineLimits.connection_window_bytes on the receiving side.",
        dashboard="h2o-streams",
    ),
    Alert(
        name="H2OStreamsExhausted",
        condition=Level("h2o.stream.pending", by="h2o.role"),
        lasts="5m",
        severity="warning",
        summary="{{ $value }} requests of {{ $labels.job }} wait for a stream",
        action="The peer's MAX_CONCURRENT_STREAMS is reached: raise EngineLimits.streams_max there, or use a second AsyncClient.",
        dashboard="h2o-streams",
    ),
    Alert(
        name="H2OPoolStarved",
        condition=Level("h2o.pool.pending", by="server.address"),
        lasts="5m",
        severity="warning",
        summary="{{ $value }} requests to {{ $labels.server_address }} wait for a connection",
        action="The origin is slow, or its MAX_CONCURRENT_STREAMS is reached: a second AsyncClient has a connection of its own.",
        dashboard="h2o-pool",
    ),
    Alert(
        name="H2OHandshakesFail",
        condition=_HANDSHAKES_FAILED,
        above=0.2,
        lasts="10m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the TLS handshakes of {{ $labels.job }} fail",
        action="See the panel Failures, by type: an expired certificate, or a peer with an old TLS version.",
        dashboard="h2o-tls",
    ),
    Alert(
        name="H2OAbuse",
        condition=Rate("h2o.abuse.detections", by="h2o.abuse.kind"),
        above=1.0,
        lasts="5m",
        severity="warning",
        summary="{{ $labels.job }} stops {{ $labels.h2o_abuse_kind }} {{ $value }} times per second",
        action="The events h2o.request.refused and h2o.connection.failed have the addresses; block them in front of the service.",
        dashboard="h2o-connections",
    ),
    Alert(
        name="H2OBuffersLeaked",
        condition=Increase("h2o.buffer.pool.leaked", by="h2o.buffer.pool.name"),
        lasts="0m",
        severity="warning",
        summary="{{ $labels.job }} lost buffers of the pool {{ $labels.h2o_buffer_pool_name }}",
        action="A bug of the runtime: please report it.",
        dashboard="h2o-memory",
    ),
    Alert(
        name="H2OTelemetryLost",
        condition=Rate("h2o.telemetry.exports", is_("h2o.result", "failure"), by="h2o.telemetry.signal"),
        lasts="10m",
        severity="warning",
        summary="{{ $labels.job }} cannot export its {{ $labels.h2o_telemetry_signal }}",
        action="Is the collector up at OTEL_EXPORTER_OTLP_ENDPOINT? Requests are not affected.",
        dashboard="h2o-telemetry",
    ),
)


def rules() -> dict[str, Any]:
    """The rule file of Prometheus, before it is written as YAML."""
    records = [{"record": record.name, "expr": record.promql} for record in RECORDS]
    alerts: list[dict[str, Any]] = []
    for alert in ALERTS:
        annotations = {"summary": alert.summary, "action": alert.action, "dashboard": f"/d/{alert.dashboard}"}
        alerts.append(
            {
                "alert": alert.name,
                "expr": alert.promql,
                "for": alert.lasts,
                "labels": {"severity": alert.severity},
                "annotations": annotations,
            }
        )
    return {"groups": [{"name": "h2o-otel-records", "rules": records}, {"name": "h2o-otel-alerts", "rules": alerts}]}
