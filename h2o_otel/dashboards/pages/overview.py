"""Is it well, and if not, which layer: health in the top row, then rate, errors, duration, then saturation."""

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
        what="Requests without an exception and without a status of 5xx. What clients cancel or break is not counted.",
        good="100 %. Green down to 99.9 %, red under 99 %.",
        knob="none here: the errors by type below name the layer; the exemplars of the latency panel lead to traces.",
        thresholds=(Threshold(0.99, "warning"), Threshold(0.999, "good")),
        falling=True,
        link="h2o-requests",
    ),
    Panel(
        title="Latency p99",
        kind="stat",
        queries=(Query(common.SERVED_P99, "p99"),),
        good="under your objective; steady from hour to hour. The colours assume 250 ms and 1 s.",
        knob="see Loop busy and Stalled writes beside it first: a full loop and a closed window are the two usual reasons.",
        thresholds=(Threshold(0.25, "warning"), Threshold(1.0, "bad")),
        link="h2o-requests",
    ),
    Panel(
        title="Loop busy (worst process)",
        kind="stat",
        queries=(Query(Largest(common.LOOP_BUSY), "busy"),),
        good="under 70 %. One process serves one core; above 85 % requests queue inside it.",
        knob="more processes, one for each core, or find blocking code with Loop lag on the runtime dashboard.",
        thresholds=(Threshold(0.7, "warning"), Threshold(0.85, "bad")),
        maximum=1.0,
        link="h2o-runtime",
    ),
    Panel(
        title="Stalled writes",
        kind="stat",
        queries=(Query(Total("h2o.flow_control.stall.duration"), "stalled"),),
        what="Time that writers waited for the peer to open a window; 100 % is one writer stalled all the time.",
        good="near 0 % without slow readers.",
        knob="`Limits.stream_window_bytes` and `Limits.connection_window_bytes` of the receiving side.",
        thresholds=(Threshold(0.5, "warning"), Threshold(5.0, "bad")),
        link="h2o-streams",
    ),
    Panel(
        title="Protocol errors",
        kind="stat",
        queries=(Query(Count("h2o.connection.errors", whole=True), "errors"),),
        what="Connections that broke, in the time range that is shown.",
        good="none. A burst means one broken or hostile peer; the log events name its address.",
        knob="none of ours: the peer broke a rule. Connections and abuse shows which.",
        thresholds=(Threshold(1, "warning"), Threshold(100, "bad")),
        empty="none seen",
        link="h2o-connections",
    ),
    Panel(
        title="Resident memory",
        kind="stat",
        queries=(Query(Level("process.memory.usage"), "resident"),),
        what="Of all processes together.",
        good="flat under flat load.",
        knob="Memory and buffers says what holds it; `Limits.connections_max` and the windows bound it.",
        link="h2o-memory",
    ),
)

SERVER = Row(
    "What is served",
    (
        (
            Panel(
                title="Requests served",
                queries=(Query(Events(SERVED, by="http.response.status_code")),),
                what="Requests per second by status; an empty status is a request that ended without a response.",
                good="follows your traffic; 5xx and empty statuses are absent.",
                knob="`limit_concurrency` of the server refuses (503) what would only queue.",
                stacked=True,
                link="h2o-requests",
            ),
            Panel(
                title="Errors served, by type",
                queries=(Query(Count(SERVED, present("error.type"), by="error.type")),),
                what="Requests that failed: the exception of the application, the rule that the peer broke, or the status 5xx.",
                good="nothing.",
                knob="the type says whose fault it is; `http.server.request.exception` events carry the traceback.",
                empty="none seen",
                link="h2o-requests",
            ),
            Panel(
                title="Latency served",
                queries=(
                    Query(Quantile(0.5, SERVED), "p50"),
                    Query(Quantile(0.95, SERVED), "p95"),
                    Query(Quantile(0.99, SERVED), "p99", exemplars=True),
                ),
                good="p99 within ten times p50. Dots are sampled requests: click one for its trace.",
                knob="a p99 far from p50 with an idle loop is the application or a window; with a busy loop it is CPU.",
                link="h2o-requests",
            ),
        ),
    ),
)

CLIENT = Row(
    "What is called",
    (
        (
            Panel(
                title="Requests made",
                queries=(Query(Events(CALLED, by="server.address")),),
                what="Requests per second by origin.",
                good="follows your traffic.",
                knob="origins beyond `Limits.origins_labelled_max` are counted as other.",
                stacked=True,
                link="h2o-pool",
            ),
            Panel(
                title="Errors met, by type",
                queries=(Query(Count(CALLED, present("error.type"), by=("server.address", "error.type"))),),
                what="Requests that failed: the exception raised to the caller, or the status 4xx or 5xx.",
                good="nothing but the statuses that your application expects.",
                knob="PoolTimeout: the pool; ConnectTimeout: the network; ReadTimeout: the origin.",
                empty="none seen",
                link="h2o-requests",
            ),
            Panel(
                title="Latency met",
                queries=(
                    Query(Quantile(0.5, CALLED), "p50"),
                    Query(Quantile(0.95, CALLED), "p95"),
                    Query(Quantile(0.99, CALLED), "p99", exemplars=True),
                ),
                good="the origin's own latency plus the network's round trip.",
                knob="compare with Wait for a connection on the pool dashboard before blaming the origin.",
                link="h2o-requests",
            ),
        ),
    ),
)

SATURATION = Row(
    "How full it is",
    (
        (
            Panel(
                title="Streams, of what is allowed",
                queries=(Query(common.SERVER_STREAMS_USED, "server"), Query(common.CLIENT_STREAMS_USED, "client")),
                what="Open streams over the sum of MAX_CONCURRENT_STREAMS of all connections.",
                good="under 80 %. At 100 % requests wait for a stream.",
                knob="`Limits.streams_max` of the server; for the client a second `AsyncClient` has a connection of its own.",
                thresholds=(Threshold(0.8, "warning"), Threshold(0.95, "bad")),
                link="h2o-streams",
            ),
            Panel(
                title="Requests in flight",
                queries=(Query(Level("http.server.active_requests"), "server"), Query(Level("http.client.active_requests"), "client")),
                what="Requests being served and being made.",
                good="rate times latency (Little's law); growth at a constant rate is a queue that forms.",
                knob="`limit_concurrency` of the server; the pool timeout of the client.",
            ),
            Panel(
                title="Loop busy",
                queries=(Query(common.LOOP_BUSY, "{instance}"),),
                good="under 70 %, and even between processes.",
                knob="more processes, one for each core; uvloop; the profile of the busiest one.",
                maximum=1.0,
                thresholds=(Threshold(0.7, "warning"), Threshold(0.85, "bad")),
                link="h2o-runtime",
            ),
            Panel(
                title="Wire",
                queries=(Query(Rate("h2o.io.transferred", by=("h2o.role", "network.io.direction"))),),
                good="follows your traffic.",
                knob="Header bytes against DATA bytes on the frames dashboard, if there is more than you send.",
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
                good="0 but for bursts.",
                knob="`Limits.streams_max` of the peer; a second `AsyncClient` has a connection of its own.",
                link="h2o-pool",
            ),
            Panel(
                title="Connections",
                queries=(Query(Level("h2o.connection.active", by="h2o.role")),),
                good="steady. A client needs few: one connection carries a hundred streams.",
                knob="`Limits.connections_max` of the server.",
                link="h2o-connections",
            ),
            Panel(
                title="Received, not yet read",
                queries=(Query(Level("h2o.flow_control.unread", by="h2o.role")),),
                good="small: at most what the windows allow, and only while applications are slow.",
                knob="`Limits.stream_window_bytes` bounds it per stream.",
                link="h2o-streams",
            ),
            Panel(
                title="Abuse stopped",
                queries=(Query(Count("h2o.abuse.detections", by="h2o.abuse.kind")),),
                good="nothing.",
                knob="the token buckets of `Limits`; raise one only for a peer that you know.",
                empty="none seen",
                link="h2o-connections",
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-overview",
    title="h2o-otel / Overview",
    description="Is it well? If not, which layer? Every panel links to the dashboard that explains it.",
    rows=(Row("Health", (HEALTH,)), SERVER, CLIENT, SATURATION),
)

__all__ = ["DASHBOARD"]
