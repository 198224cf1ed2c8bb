"""Streams and flow control: concurrency, endings, windows, priorities."""

from __future__ import annotations

from ..expressions import Level, OrZero, Quantile, Rate, Total, is_, is_not
from ..model import Dashboard, Panel, Query, Row, Threshold
from . import common

_ROLE, _DIRECTION, _SCOPE = "h2o.role", "network.io.direction", "h2o.flow_control.scope"

_CONCURRENCY = Row(
    "Concurrency",
    (
        (
            Panel(
                title="Streams open",
                queries=(
                    Query(Level("h2o.stream.active", by=_ROLE)),
                    Query(Level("h2o.stream.limit", by=(_ROLE, _DIRECTION)), "limit, {h2o.role} {network.io.direction}"),
                ),
                what="Streams open, and MAX_CONCURRENT_STREAMS over all connections: transmit limits streams that this "
                "side opens, receive those of peers.",
                healthy="under 80 % of the limit that applies.",
                tune="`EngineLimits.streams_max` of the server; for the client a second `AsyncClient` has a connection of its own.",
            ),
            Panel(
                title="Streams, of what is allowed",
                queries=(Query(common.SERVER_STREAMS_USED, "server"), Query(common.CLIENT_STREAMS_USED, "client")),
                healthy="under 80 %.",
                tune="`EngineLimits.streams_max` of the server.",
                thresholds=(Threshold(0.8, "warning"), Threshold(0.95, "bad")),
            ),
            Panel(
                title="Waiting for a stream",
                queries=(Query(Level("h2o.stream.pending", by=_ROLE)),),
                healthy="0, except during bursts.",
                tune="the peer's MAX_CONCURRENT_STREAMS; a second `AsyncClient` has a connection of its own.",
            ),
            Panel(
                title="Time spent waiting for a stream",
                queries=(
                    Query(Quantile(0.5, "h2o.stream.time_in_queue", by=_ROLE), "p50 {h2o.role}"),
                    Query(Quantile(0.99, "h2o.stream.time_in_queue", by=_ROLE), "p99 {h2o.role}"),
                ),
                healthy="nothing: no request waits.",
                tune="fewer requests at once; a second `AsyncClient` has a connection of its own.",
                empty="none waited",
            ),
        ),
    ),
)

_ENDINGS = Row(
    "Outcomes of streams",
    (
        (
            Panel(
                title="Streams ended, by outcome",
                queries=(Query(Rate("h2o.streams", by=("h2o.role", "h2o.stream.outcome"))),),
                healthy="completed, and a few resets from users who go away.",
                tune="refused and goaway are replayed by the pool; timeout and conn_lost reach the caller.",
                stacked=True,
            ),
            Panel(
                title="Share that did not complete",
                queries=(Query(Rate("h2o.streams", is_not("h2o.stream.outcome", "completed"), by=_ROLE) / Rate("h2o.streams", by=_ROLE)),),
                what="Streams that ended in any other way than completed, over all that ended.",
                healthy="under 1 %, or what your users' cancellations explain.",
                tune="Resets by code, beside it, says who cancels.",
            ),
            Panel(
                title="Resets, by code",
                queries=(Query(Rate("h2o.stream.resets", by=(_ROLE, _DIRECTION, "h2o.error_code"))),),
                healthy="CANCEL received as often as users go away; NO_ERROR sent for uploads that were answered early.",
                tune="a flood of CANCEL received is rapid reset: `EngineLimits.resets_received_burst`, "
                "`EngineLimits.resets_received_refill_per_s`.",
                empty="none seen",
            ),
        ),
    ),
)

_STALLED = Total("h2o.flow_control.stall.duration", by=(_ROLE, _SCOPE))
_FLOW = Row(
    "Flow control",
    (
        (
            Panel(
                title="Writes stalled",
                queries=(Query(Rate("h2o.flow_control.stalls", by=(_ROLE, _SCOPE))),),
                healthy="0 for small bodies; for large ones at most a few per body.",
                tune="stream: `EngineLimits.stream_window_bytes` of the receiver; connection: "
                "`EngineLimits.connection_window_bytes` of the receiver.",
            ),
            Panel(
                title="Time stalled",
                queries=(Query(_STALLED),),
                what="Seconds stalled per second, summed over streams; 100 % is one writer that never moves.",
                healthy="near 0 %.",
                tune="windows of the receiver: at least bandwidth times round trip.",
            ),
            Panel(
                title="Receive windows adjusted",
                queries=(Query(Rate("h2o.flow_control.retunes", by=(_ROLE, "h2o.result"))),),
                what="Receive windows that grew to a measured bandwidth-delay product, or shrank for want of use or of memory.",
                healthy="a few when large bodies begin; steady shrinking is memory pressure.",
                tune="`EngineLimits.window_bytes_max`, `EngineLimits.window_probe_interval_s`.",
                empty="none",
            ),
            Panel(
                title="Length of a stall",
                queries=(
                    Query(Quantile(0.5, "h2o.flow_control.stall.duration", by=_SCOPE), "p50 {h2o.flow_control.scope}"),
                    Query(Quantile(0.99, "h2o.flow_control.stall.duration", by=_SCOPE), "p99 {h2o.flow_control.scope}"),
                ),
                healthy="about one round trip: the window is slightly too small. Seconds: the reader is slow.",
                tune="`EngineLimits.send_stall_timeout_s` ends a stream whose reader never comes back.",
                empty="no stalls",
            ),
        ),
        (
            Panel(
                title="Windows",
                queries=(Query(Level("h2o.flow_control.window", by=(_ROLE, _DIRECTION))),),
                healthy="transmit well above 0, so that writes need not wait.",
                tune="`EngineLimits.stream_window_bytes`, `EngineLimits.connection_window_bytes`.",
            ),
            Panel(
                title="Target of receive windows",
                queries=(Query(Level("h2o.flow_control.target", by=(_ROLE, _SCOPE))),),
                what="Sum over connections: of the connection's window, and of the window that each gives a stream.",
                healthy="the initial value on paths with a short round trip; larger on long ones, after large bodies.",
                tune="`EngineLimits.window_bytes_max` bounds each; `Tuning.protocol_window_tuning` off keeps the initial values.",
            ),
            Panel(
                title="Received, not yet read",
                queries=(Query(Level("h2o.flow_control.unread", by=_ROLE)),),
                healthy="small. It is memory that slow applications hold.",
                tune="`EngineLimits.stream_window_bytes` bounds it per stream, `EngineLimits.connection_window_bytes` per connection.",
            ),
            Panel(
                title="WINDOW_UPDATE per DATA frame",
                queries=(
                    Query(
                        Rate("h2o.frames", is_(_DIRECTION, "transmit"), is_("h2o.frame.type", "WINDOW_UPDATE"), by=_ROLE)
                        / Rate("h2o.frames", is_(_DIRECTION, "receive"), is_("h2o.frame.type", "DATA"), by=_ROLE)
                    ),
                ),
                what="Credit frames sent for each DATA frame received.",
                healthy="well under 1: credit is given in batches.",
                tune="larger windows make fewer, larger updates.",
                unit="{frame}",
                empty="no DATA received",
            ),
        ),
    ),
)

_PRIORITY = Row(
    "Priorities (RFC 9218) and push",
    (
        (
            Panel(
                title="Promises",
                queries=(Query(Rate("h2o.push.promises", by=(_ROLE, "h2o.result"))),),
                what="Pushed responses: promised or taken, refused at a limit, cancelled by either side, not allowed by the client.",
                healthy="0 unless you push; then few cancelled, since each of those was sent for nothing.",
                tune="103 Early Hints instead; `Tuning.protocol_push`, `EngineLimits.push_promises_max`.",
                empty="none made",
            ),
            Panel(
                title="Streams by urgency",
                queries=(Query(Rate("h2o.priority.streams", by="h2o.priority.urgency"), "urgency {h2o.priority.urgency}"),),
                healthy="more than one urgency, if clients set any; 3 is the default.",
                tune="clients set the field `priority`; where all are 3 the scheduler only shares evenly.",
                stacked=True,
            ),
            Panel(
                title="Share that is incremental",
                queries=(
                    Query(
                        OrZero(
                            Rate("h2o.priority.streams", is_("h2o.priority.incremental", "true")),
                            Rate("h2o.priority.streams"),
                        )
                        / Rate("h2o.priority.streams"),
                        "incremental",
                    ),
                ),
                what="Incremental streams of one urgency share the connection; the others go one after the other.",
                healthy="what your clients mean: images that render as they arrive are incremental, scripts are not.",
                tune="the field `priority: i` of requests and responses.",
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-streams",
    title="h2o-otel / Streams and flow control",
    description="Do requests wait for a stream or for a window, and how do streams end?",
    rows=(_CONCURRENCY, _ENDINGS, _FLOW, _PRIORITY),
)
