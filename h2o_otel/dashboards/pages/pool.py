"""The client's pool: do requests wait for connections, are connections reused, why do they end."""

from __future__ import annotations

from ..expressions import Count, Level, Quantile, Rate, is_, present
from ..model import Dashboard, Panel, Query, Row, Threshold, quantiles
from . import common

_ADDRESS, _RESULT = "server.address", "h2o.result"

_WAITING = Row(
    "Waiting requests",
    (
        (
            Panel(
                title="Wait for a connection",
                queries=quantiles("http.client.request.time_in_queue"),
                what="Time that requests waited for a connection; only those that waited are counted. Look here first.",
                healthy="no data, or the set-up time of one connection after an idle time.",
                tune="a request at start-up leaves a connection ready; at the origin's stream limit a second `AsyncClient` has another.",
                empty="none waited",
            ),
            Panel(
                title="Requests that wait now",
                queries=(Query(Level("h2o.pool.pending", by=_ADDRESS)),),
                healthy="0, except during bursts.",
                tune="the origin's MAX_CONCURRENT_STREAMS, the pool timeout; a second `AsyncClient` has a connection of its own.",
                empty="none waited",
            ),
            Panel(
                title="How requests got their connection",
                queries=(Query(Rate("h2o.pool.acquisitions", by=_RESULT)),),
                healthy="nearly all reused.",
                tune="new: `Limits.keepalive_expiry` is shorter than the pauses between requests; waited: streams are exhausted.",
                stacked=True,
            ),
            Panel(
                title="Reuse",
                queries=(
                    Query(Rate("h2o.pool.acquisitions", is_(_RESULT, "reused"), by=_ADDRESS) / Rate("h2o.pool.acquisitions", by=_ADDRESS)),
                ),
                what="Share of requests that used an open connection.",
                healthy="above 95 %.",
                tune="one `AsyncClient` for the whole process; `Limits.keepalive_expiry`.",
                maximum=1.0,
                falling=True,
                thresholds=(Threshold(0.5, "warning"), Threshold(0.9, "good")),
            ),
        ),
    ),
)

_CONNECTIONS = Row(
    "Connections",
    (
        (
            Panel(
                title="Connections by state",
                queries=(Query(Level("http.client.open_connections", by=(_ADDRESS, "http.connection.state"))),),
                healthy="few: one carries as many requests as the origin allows streams.",
                tune="one `AsyncClient` for the whole process; `Limits.keepalive_expiry`.",
                stacked=True,
            ),
            Panel(
                title="Connections per pool",
                queries=(Query(common.CONNECTIONS_PER_POOL),),
                what="Connections open divided by the pools' limit: one for each origin of an `AsyncClient`.",
                healthy="at most 1; a little more while a connection drains and its successor is open.",
                tune="far above 1, connections do not close: see Connections ended, by reason.",
                unit="{connection}",
            ),
            Panel(
                title="Lifetime",
                queries=(
                    Query(Quantile(0.5, "http.client.connection.duration", by=_ADDRESS), "p50 {server.address}"),
                    Query(Quantile(0.95, "http.client.connection.duration", by=_ADDRESS), "p95 {server.address}"),
                ),
                healthy="minutes.",
                tune="`Limits.keepalive_expiry`.",
                empty="none ended",
            ),
            Panel(
                title="Connections ended, by reason",
                queries=(Query(Rate("h2o.pool.connections.closed", by="h2o.reason")),),
                healthy="idle and max_age.",
                tune="goaway: the origin deploys, or limits requests per connection; health: a middlebox drops idle connections.",
                stacked=True,
                empty="none ended",
            ),
        ),
        (
            Panel(
                title="Connections made",
                queries=(Query(Rate("h2o.pool.connections.created", by=_ADDRESS)),),
                healthy="near 0 once warm.",
                tune="as Reuse.",
            ),
            Panel(
                title="Attempts that failed, by type",
                queries=(Query(Count("h2o.pool.connections.created", present("error.type"), by=(_ADDRESS, "error.type"))),),
                healthy="nothing.",
                tune="ConnectTimeout: the network or the connect timeout; ConnectError: nothing listens there, or TLS failed.",
                empty="none failed",
            ),
            Panel(
                title="Retries, by reason",
                queries=(Query(Count("h2o.pool.retries", by="h2o.reason")),),
                healthy="no data, except while origins deploy: only requests that are safe to repeat are sent again.",
                tune="`Limits.retries_max`; a steady rate of refused streams is an origin that advertises more streams than it accepts.",
                empty="none seen",
            ),
        ),
        (
            Panel(
                title="Decoded bodies, by result",
                queries=(Query(Rate("h2o.client.decoded", by="h2o.result")),),
                healthy="only complete.",
                tune="too_large: `Limits.decompress_ratio_max`, `response_bytes_max`; the others: an origin or proxy that cuts bodies.",
                empty="none compressed",
            ),
            Panel(
                title="Set-up, p95 by phase",
                queries=(Query(Quantile(0.95, "h2o.pool.connect.duration", by="h2o.connect.phase")),),
                healthy="dns under 5 ms (cached), tcp and settings one round trip each, tls one or two.",
                tune="dns: a cache; tls: session resumption.",
                empty="none made",
            ),
            Panel(
                title="Failed set-ups by phase and error",
                queries=(Query(Count("h2o.pool.connect.duration", present("error.type"), by=("h2o.connect.phase", "error.type"))),),
                what="Connection set-ups that failed, by phase.",
                healthy="nothing.",
                tune="the phase names the layer: the resolver, the network, certificates, or the peer's HTTP/2.",
                empty="none failed",
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-pool",
    title="h2o-otel / Connection pool",
    description="Do requests wait for connections, are connections reused, and what does making one cost?",
    rows=(_WAITING, _CONNECTIONS),
)
