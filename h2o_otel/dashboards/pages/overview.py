"""Overview: health in the top row, then rate, errors and duration, then saturation."""

from __future__ import annotations

from ..expressions import Count, Events, Largest, Level, Number, Quantile, Rate, Total, present
from ..model import Dashboard, Panel, Query, Row, Threshold
from . import common
from .common import CALLED, SERVED

HEALTH = (
    Panel(
        title="Served without error",
        kind="stat",
        queries=(Query(Number(1) - common.SERVED_ERROR_RATIO, "served"),),
        what="Share of requests without an exception and without a 5xx status. Requests that clients cancel or "
        "make invalid are not counted as errors.",
        healthy="100 %. Green down to 99.9 %, red under 99 %.",
        tune="see Errors served, by type: the type names the layer; the exemplars of the latency panel link to traces.",
        thresholds=(Threshold(0.99, "warning"), Threshold(0.999, "good")),
        falling=True,
        link="h2o-requests",
    ),
    Panel(
        title="Latency p99",
        kind="stat",
        queries=(Query(common.SERVED_P99, "p99"),),
        healthy="under your objective; steady from hour to hour. The colours assume 250 ms and 1 s.",
        tune="look at Loop busy and Stalled writes first: a saturated event loop and a closed window are the usual causes.",
        thresholds=(Threshold(0.25, "warning"), Threshold(1.0, "bad")),
        link="h2o-requests",
    ),
    Panel(
        title="Loop busy (worst process)",
        kind="stat",
        queries=(Query(Largest(common.LOOP_BUSY), "busy"),),
        healthy="under 70 %. One process serves one core; above 85 % requests queue inside it.",
        tune="more processes, one for each core, or find blocking code with Loop lag on the runtime dashboard.",
        thresholds=(Threshold(0.7, "warning"), Threshold(0.85, "bad")),
        maximum=1.0,
        link="h2o-runtime",
    ),
    Panel(
        title="Stalled writes",
        kind="stat",
        queries=(Query(Total("h2o.flow_control.stall.duration"), "stalled"),),
        what="Time that writers waited for flow-control window of the peer; 100 % is one writer stalled all the time.",
        healthy="near 0 % without slow readers.",
        tune="`EngineLimits.stream_window_bytes` and `EngineLimits.connection_window_bytes` of the receiving side.",
        thresholds=(Threshold(0.5, "warning"), Threshold(5.0, "bad")),
        link="h2o-streams",
    ),
    Panel(
        title="Protocol errors",
        kind="stat",
        queries=(Query(Count("h2o.connection.errors", whole=True), "errors"),),
        what="Connections that ended with a protocol error, in the time range shown.",
        healthy="none. A burst means one broken or hostile peer; the log events name its address.",
        tune="nothing to tune: the peer violated the protocol. The dashboard Connections and abuse shows the rule.",
        thresholds=(Threshold(1, "warning"), Threshold(100, "bad")),
        empty="none seen",
        link="h2o-connections",
    ),
    Panel(
        title="Resident memory",
        kind="stat",
        queries=(Query(Level("process.memory.usage"), "resident"),),
        what="Of all processes together.",
        healthy="flat under flat load.",
        tune="the dashboard Memory and buffers shows which component uses it; `ServerLimits.connections_max` and the windows bound it.",
        link="h2o-memory",
    ),
)

SERVER = Row(
    "Requests served",
    (
        (
            Panel(
                title="Requests served",
                queries=(Query(Events(SERVED, by="http.response.status_code")),),
                what="Requests per second by status; an empty status is a request that ended without a response.",
                healthy="follows your traffic; 5xx and empty statuses are absent.",
                tune="`limit_concurrency` of the server answers excess requests with 503 instead of queueing them.",
                stacked=True,
                link="h2o-requests",
            ),
            Panel(
                title="Errors served, by type",
                queries=(Query(Count(SERVED, present("error.type"), by="error.type")),),
                what="Requests that failed: the exception of the application, the rule that the peer broke, or the status 5xx.",
                healthy="nothing.",
                tune="an exception class is a fault of the application, a rule's token one of the peer; the events "
                "`http.server.request.exception` have the traceback.",
                empty="none seen",
                link="h2o-requests",
            ),
            Panel(
                title="Latency of requests served",
                queries=(
                    Query(Quantile(0.5, SERVED), "p50"),
                    Query(Quantile(0.95, SERVED), "p95"),
                    Query(Quantile(0.99, SERVED), "p99", exemplars=True),
                ),
                healthy="p99 within ten times p50. Dots are sampled requests: click one for its trace.",
                tune="a p99 far from p50 with an idle loop is the application or a window; with a busy loop it is CPU.",
                link="h2o-requests",
            ),
        ),
    ),
)

CLIENT = Row(
    "Requests made",
    (
        (
            Panel(
                title="Requests made",
                queries=(Query(Events(CALLED, by="server.address")),),
                what="Requests per second by origin.",
                healthy="follows your traffic.",
                tune="origins beyond `EngineLimits.origins_labelled_max` are counted as other.",
                stacked=True,
                link="h2o-pool",
            ),
            Panel(
                title="Errors of requests made, by type",
                queries=(Query(Count(CALLED, present("error.type"), by=("server.address", "error.type"))),),
                what="Requests that failed: the exception raised to the caller, or the status 4xx or 5xx.",
                healthy="only statuses that your application expects.",
                tune="PoolTimeout: the pool; ConnectTimeout: the network; ReadTimeout: the origin.",
                empty="none seen",
                link="h2o-requests",
            ),
            Panel(
                title="Latency of requests made",
                queries=(
                    Query(Quantile(0.5, CALLED), "p50"),
                    Query(Quantile(0.95, CALLED), "p95"),
                    Query(Quantile(0.99, CALLED), "p99", exemplars=True),
                ),
                healthy="the origin's own latency plus the network's round trip.",
                tune="compare with Wait for a connection on the pool dashboard before blaming the origin.",
                link="h2o-requests",
            ),
        ),
    ),
)

SATURATION = Row(
    "Saturation",
    (
        (
            Panel(
                title="Streams, of what is allowed",
                queries=(Query(common.SERVER_STREAMS_USED, "server"), Query(common.CLIENT_STREAMS_USED, "client")),
                what="Open streams over the sum of MAX_CONCURRENT_STREAMS of all connections.",
                healthy="under 80 %. At 100 % requests wait for a stream.",
                tune="`EngineLimits.streams_max` of the server; for the client a second `AsyncClient` has a connection of its own.",
                thresholds=(Threshold(0.8, "warning"), Threshold(0.95, "bad")),
                link="h2o-streams",
            ),
            Panel(
                title="Requests in flight",
                queries=(Query(Level("http.server.active_requests"), "server"), Query(Level("http.client.active_requests"), "client")),
                what="Requests being served and being made.",
                healthy="rate times latency (Little's law); growth at a constant rate means that requests queue.",
                tune="`limit_concurrency` of the server; the pool timeout of the client.",
            ),
            Panel(
                title="Loop busy",
                queries=(Query(common.LOOP_BUSY, "{instance}"),),
                healthy="under 70 %, and even between processes.",
                tune="more processes, one for each core; uvloop; a profile of the busiest process.",
                maximum=1.0,
                thresholds=(Threshold(0.7, "warning"), Threshold(0.85, "bad")),
                link="h2o-runtime",
            ),
            Panel(
                title="Wire",
                queries=(Query(Rate("h2o.io.transferred", by=("h2o.role", "network.io.direction"))),),
                healthy="follows your traffic.",
                tune="if it is more than your applications send, compare header bytes and DATA bytes on the Frames dashboard.",
                link="h2o-io",
            ),
        ),
        (
            Panel(
                title="Waiting for a stream or a connection",
                queries=(
                    Query(Level("h2o.stream.pending", by="h2o.role"), "stream, {h2o.role}"),
                    Query(Level("h2o.pool.pending"), "connection"),
                ),
                what="Requests that cannot start yet.",
                healthy="0, except during bursts.",
                tune="`EngineLimits.streams_max` of the peer; a second `AsyncClient` has a connection of its own.",
                link="h2o-pool",
            ),
            Panel(
                title="Connections",
                queries=(Query(Level("h2o.connection.active", by="h2o.role")),),
                healthy="steady. A client needs few: one connection carries a hundred streams.",
                tune="`ServerLimits.connections_max` of the server.",
                link="h2o-connections",
            ),
            Panel(
                title="Received, not yet read",
                queries=(Query(Level("h2o.flow_control.unread", by="h2o.role")),),
                healthy="small: at most what the windows allow, and only while applications are slow.",
                tune="`EngineLimits.stream_window_bytes` bounds it per stream.",
                link="h2o-streams",
            ),
            Panel(
                title="Abuse stopped",
                queries=(Query(Count("h2o.abuse.detections", by="h2o.abuse.kind")),),
                healthy="nothing.",
                tune="the token buckets of `Limits`; raise one only for a peer that you know.",
                empty="none seen",
                link="h2o-connections",
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-overview",
    title="h2o-otel / Overview",
    description="Is the service healthy, and if not, which layer is the cause? Every panel links to the dashboard with the details.",
    rows=(Row("Health", (HEALTH,)), SERVER, CLIENT, SATURATION),
)

__all__ = ["DASHBOARD"]
