"""Connections: how many, how long, why they end; settings, pings, and the guards against abuse."""

from __future__ import annotations

from ..expressions import Count, Events, Level, Quantile, Rate
from ..model import Dashboard, Panel, Query, Row, Threshold, quantiles

_LIFE = Row(
    "Life of connections",
    (
        (
            Panel(
                title="Connections open",
                queries=(Query(Level("h2o.connection.active", by="h2o.role")),),
                healthy="steady; a client needs one for every hundred requests in flight.",
                tune="`ServerLimits.connections_max`, `EngineLimits.idle_timeout_s`.",
            ),
            Panel(
                title="Ended, by reason",
                queries=(Query(Events("h2o.connection.duration", by=("h2o.role", "error.type"))),),
                what="Connections that ended per second; the type is empty for those that ended as they should.",
                healthy="only the empty type.",
                tune="the type is a rule's token or an exception class; its page in the reference says what it means.",
            ),
            Panel(
                title="Lifetime",
                queries=quantiles("h2o.connection.duration", by="h2o.role"),
                healthy="minutes or more: each new connection costs a handshake and an empty HPACK table.",
                tune="`EngineLimits.idle_timeout_s` of the server, `Limits.keepalive_expiry` of the client.",
            ),
        ),
        (
            Panel(
                title="Requests per connection",
                queries=quantiles("h2o.connection.requests", by="h2o.role"),
                healthy="many. Near 1, nothing is multiplexed and HTTP/2 gains nothing.",
                tune="share one `AsyncClient` between tasks; `Limits.keepalive_expiry`.",
            ),
            Panel(
                title="Connections refused",
                queries=(Query(Count("h2o.connection.rejected", by="h2o.reason")),),
                healthy="nothing.",
                tune="the limit that the reason names, in `Limits`.",
                empty="none seen",
            ),
            Panel(
                title="Accepting paused",
                queries=(Query(Count("h2o.io.accept.pauses", by="h2o.reason")),),
                what="How often new connections had to wait because the process or the machine had no descriptor left.",
                healthy="nothing.",
                tune="process_descriptors: `ulimit -n`, or `ServerLimits.connections_max` below it; against one client, "
                "`ServerLimits.connections_per_address_max`.",
                empty="none seen",
            ),
            Panel(
                title="GOAWAY",
                queries=(Query(Count("h2o.goaway", by=("h2o.role", "network.io.direction", "h2o.error_code"))),),
                healthy="only NO_ERROR, on deploys and at idle ends.",
                tune="ENHANCE_YOUR_CALM received: this side does too much of something; PROTOCOL_ERROR sent: the peer is broken.",
                empty="none seen",
            ),
        ),
    ),
)

_PEER = Row(
    "Peers",
    (
        (
            Panel(
                title="Round trip (PING)",
                queries=(
                    Query(Quantile(0.5, "h2o.ping.rtt", by="h2o.role"), "p50 {h2o.role}"),
                    Query(Quantile(0.99, "h2o.ping.rtt", by="h2o.role"), "p99 {h2o.role}"),
                ),
                healthy="the network's round-trip time. A higher value is a peer that answers late because it is busy.",
                tune="`EngineLimits.ping_interval_min_s` bounds how often PING is sent.",
                empty="no pings yet",
            ),
            Panel(
                title="Time to SETTINGS acknowledgement",
                queries=(
                    Query(Quantile(0.5, "h2o.settings.ack.duration", by="h2o.role"), "p50 {h2o.role}"),
                    Query(Quantile(0.99, "h2o.settings.ack.duration", by="h2o.role"), "p99 {h2o.role}"),
                ),
                healthy="one round trip.",
                tune="`EngineLimits.settings_ack_timeout_s` ends a connection whose peer never acknowledges.",
            ),
            Panel(
                title="Unresponsive peers (PING timeouts)",
                queries=(Query(Rate("h2o.ping.timeouts", by="h2o.role")),),
                healthy="0.",
                tune="`EngineLimits.ping_timeout_s`; a steady rate is a middlebox that drops idle connections: lower "
                "`Limits.keepalive_expiry`.",
                thresholds=(Threshold(0.001, "warning"),),
            ),
        ),
        (
            Panel(
                title="Settings exchanged",
                kind="table",
                queries=(
                    Query(
                        Level("h2o.settings.value", by=("h2o.role", "network.io.direction", "h2o.setting.name"), how="max"),
                        "{h2o.role} {network.io.direction} {h2o.setting.name}",
                    ),
                ),
                what="The last values sent and received; the largest over processes. 0 means never exchanged, or 0.",
                healthy="peers that allow at least 100 streams and windows above 64 KiB.",
                tune="sent by this side: `EngineLimits.streams_max`, `EngineLimits.stream_window_bytes`, `EngineLimits.frame_bytes_max`, "
                "`EngineLimits.header_table_bytes`.",
                unit="{setting}",
            ),
        ),
    ),
)

_ABUSE = Row(
    "Abuse and faults",
    (
        (
            Panel(
                title="Abuse stopped, by kind",
                queries=(Query(Count("h2o.abuse.detections", by=("h2o.abuse.kind", "h2o.result"))),),
                healthy="nothing. A steady trickle of one kind is a broken client; a burst is an attack.",
                tune="each guard is a pair `..._burst` and `..._refill_per_s` in `Limits`; the log event has the address to block.",
                empty="none seen",
            ),
            Panel(
                title="Connection errors, by code",
                queries=(Query(Count("h2o.connection.errors", by=("h2o.role", "network.io.direction", "h2o.error_code"))),),
                healthy="nothing.",
                tune="received: the peer reports an error of this side; please report it with the frames of the flight recorder.",
                empty="none seen",
            ),
            Panel(
                title="Rules broken by peers",
                queries=(Query(Count("h2o.frame.errors", by=("h2o.role", "error.type"))),),
                healthy="nothing.",
                tune="nothing to tune: the token names the rule, which the reference of rules explains.",
                empty="none seen",
                link="h2o-frames",
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-connections",
    title="h2o-otel / Connections and abuse",
    description="How long do connections live, why do they end, which settings do peers use, and which peers violate limits?",
    rows=(_LIFE, _PEER, _ABUSE),
)
