"""Requests: rate, errors and duration from both ends, and where the time goes."""

from __future__ import annotations

from ..expressions import Buckets, Count, Events, Level, Mean, Quantile, Rate, like, present
from ..model import Dashboard, Panel, Query, Row, quantiles
from .common import CALLED, SERVED

_SERVER = Row(
    "Server",
    (
        (
            Panel(
                title="Rate by route",
                queries=(Query(Events(SERVED, by=("http.request.method", "http.route"))),),
                what="Requests per second. Without a framework that names its routes the route is empty.",
                healthy="follows your traffic.",
                tune="`http.route` comes from the framework only, never from the path, so that series stay few.",
                stacked=True,
            ),
            Panel(
                title="Share of 5xx by route",
                queries=(
                    Query(Events(SERVED, like("http.response.status_code", "5.."), by="http.route") / Events(SERVED, by="http.route")),
                ),
                healthy="nothing, or under your error budget.",
                tune="the application: the events `http.server.request.exception` have the tracebacks.",
                empty="none seen",
            ),
            Panel(
                title="Errors by type",
                queries=(Query(Count(SERVED, present("error.type"), by="error.type")),),
                healthy="nothing.",
                tune="an exception class is the application's fault, a rule's token the peer's; a status is the application's answer.",
                empty="none seen",
            ),
        ),
        (
            Panel(
                title="Duration",
                queries=quantiles(SERVED, exemplars=True),
                what="From the request's headers to the end of the response. Dots are sampled requests: click one for its trace.",
                healthy="p99 within ten times p50.",
                tune="Time in the application, below, shows the share of the application and of the runtime.",
            ),
            Panel(
                title="Duration p95 by route",
                queries=(Query(Quantile(0.95, SERVED, by="http.route"), exemplars=True),),
                healthy="each route within its own objective.",
                tune="the slowest route first.",
            ),
            Panel(
                title="Distribution",
                kind="heatmap",
                queries=(Query(Buckets(SERVED), "requests", exemplars=True),),
                healthy="one band. Two bands are two populations (a cache hit and a miss, a cold and a warm connection).",
                tune="split the upper band by route.",
            ),
        ),
        (
            Panel(
                title="Time in the application",
                queries=(
                    Query(Mean(SERVED), "request"),
                    Query(Mean("h2o.asgi.app.duration"), "application"),
                ),
                what="Mean duration of the request and of the application's call; the difference is spent in the runtime "
                "and waiting for the client.",
                healthy="the two lines are close.",
                tune="a gap: Time in receive() and send() on the runtime dashboard says whether clients are slow.",
                link="h2o-runtime",
            ),
            Panel(
                title="Requests in flight",
                queries=(Query(Level("http.server.active_requests", by="http.request.method")),),
                healthy="rate times duration; it returns to the base after each burst.",
                tune="`limit_concurrency`, `ServerLimits.running_handlers_max` per connection.",
                stacked=True,
            ),
            Panel(
                title="Requests without authority",
                queries=(Query(Rate("h2o.requests.without_authority"), "requests"),),
                what="Requests with neither `:authority` nor `host`, which name no site; HAProxy's health check is one.",
                healthy="the rate of your proxy's health checks, or nothing.",
                tune="`--require-authority` refuses them.",
                empty="none seen",
            ),
            Panel(
                title="Body sizes",
                queries=(
                    Query(Quantile(0.5, "http.server.request.body.size"), "request p50"),
                    Query(Quantile(0.99, "http.server.request.body.size"), "request p99"),
                    Query(Quantile(0.5, "http.server.response.body.size"), "response p50"),
                    Query(Quantile(0.99, "http.server.response.body.size"), "response p99"),
                ),
                what="Sizes of uploads and downloads. Recorded only with `configure(body_sizes=True)`.",
                healthy="what your application expects.",
                tune="`EngineLimits.stream_window_bytes` near the p99 of uploads lets one arrive in a single round trip.",
                empty="off (body_sizes)",
            ),
        ),
    ),
)

_CLIENT = Row(
    "Client",
    (
        (
            Panel(
                title="Rate by origin",
                queries=(Query(Events(CALLED, by=("http.request.method", "server.address"))),),
                healthy="follows your traffic.",
                tune="`EngineLimits.origins_labelled_max` origins have a label of their own.",
                stacked=True,
            ),
            Panel(
                title="Share of failures by origin",
                queries=(Query(Events(CALLED, present("error.type"), by="server.address") / Events(CALLED, by="server.address")),),
                healthy="no data, or within the origin's objective.",
                tune="`Limits.retries_max` bounds what is repeated safely; see Retries on the pool dashboard.",
                empty="none seen",
            ),
            Panel(
                title="Errors by type",
                queries=(Query(Count(CALLED, present("error.type"), by="error.type")),),
                healthy="nothing but expected statuses.",
                tune="the class of a timeout names the one to change: connect, read, write, pool or total.",
                empty="none seen",
            ),
        ),
        (
            Panel(
                title="Duration",
                queries=quantiles(CALLED, exemplars=True),
                what="From the call to the end of the body, the wait for a connection included. Dots are exemplars that link to traces.",
                healthy="the origin's latency and the network's.",
                tune="subtract Wait for a connection, on the pool dashboard, which is time in this process.",
            ),
            Panel(
                title="Duration p95 by origin",
                queries=(Query(Quantile(0.95, CALLED, by="server.address"), exemplars=True),),
                healthy="each origin within its objective.",
                tune="timeouts per request: connect, read, write, pool, total.",
            ),
            Panel(
                title="Requests in flight",
                queries=(Query(Level("http.client.active_requests", by="server.address")),),
                healthy="rate times duration.",
                tune="the origin's MAX_CONCURRENT_STREAMS is the most that one `AsyncClient` can have; further requests wait.",
                stacked=True,
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-requests",
    title="h2o-otel / Requests and latency",
    description="Which requests are slow or fail, and is it the application, the peer or the runtime?",
    rows=(_SERVER, _CLIENT),
)

__all__ = ["DASHBOARD"]
