"""TLS: handshakes, resumption, ALPN, records."""

from __future__ import annotations

from ..expressions import Count, Level, OrZero, Quantile, Rate, is_, present
from ..model import Dashboard, Panel, Query, Row, Threshold

_ROLE, _DIRECTION, _RESUMED = "h2o.role", "network.io.direction", "tls.resumed"

_HANDSHAKES = Row(
    "Handshakes",
    (
        (
            Panel(
                title="Handshakes",
                queries=(
                    Query(
                        Rate("h2o.tls.handshakes", by=(_ROLE, "tls.protocol.version", _RESUMED)),
                        "{h2o.role} {tls.protocol.version} resumed={tls.resumed}",
                    ),
                ),
                healthy="few beside the rate of requests: connections live long.",
                tune="`Limits.keepalive_expiry` of clients, `EngineLimits.idle_timeout_s` of servers.",
            ),
            Panel(
                title="Failures, by type",
                queries=(Query(Count("h2o.tls.handshakes", present("error.type"), by=(_ROLE, "error.type"))),),
                healthy="nothing; on open ports a few scanners.",
                tune="certificate_*: the chain or the name; unsupported_version or handshake_failure: old peers.",
                empty="none failed",
            ),
            Panel(
                title="Share that resumed",
                queries=(
                    Query(
                        OrZero(Rate("h2o.tls.handshakes", is_(_RESUMED, "true"), by=_ROLE), Rate("h2o.tls.handshakes", by=_ROLE))
                        / Rate("h2o.tls.handshakes", by=_ROLE)
                    ),
                ),
                what="Handshakes that used an earlier session, over all.",
                healthy="above 50 % where clients come back.",
                tune="one `AsyncClient` for the whole process keeps its sessions; processes behind one name must share ticket keys.",
                maximum=1.0,
            ),
        ),
        (
            Panel(
                title="Duration, p95",
                queries=(
                    Query(
                        Quantile(0.95, "h2o.tls.handshake.duration", by=(_ROLE, _RESUMED)),
                        "{h2o.role} resumed={tls.resumed}",
                    ),
                ),
                healthy="one round trip and a millisecond of CPU; resumed is cheaper.",
                tune="ECDSA certificates are cheaper than RSA to sign with.",
            ),
            Panel(
                title="Handshakes in progress",
                queries=(Query(Level("h2o.tls.handshake.active", by=_ROLE)),),
                healthy="near 0. A plateau is a storm: every client reconnects at once.",
                tune="`ServerLimits.connections_max`; more processes; `EngineLimits.tls_handshake_timeout_s`.",
            ),
            Panel(
                title="Protocol chosen (ALPN)",
                queries=(Query(Rate("h2o.tls.alpn", by=(_ROLE, "tls.next_protocol"))),),
                healthy="h2.",
                tune="http/1.1 or none: the peer, or a proxy between, does not speak HTTP/2.",
                stacked=True,
            ),
        ),
    ),
)

_RECORDS = Row(
    "Records",
    (
        (
            Panel(
                title="Records",
                queries=(Query(Rate("h2o.tls.records", by=_DIRECTION)),),
                healthy="follows the wire.",
                tune="Mean record size beside it.",
            ),
            Panel(
                title="Mean record size",
                queries=(Query(Rate("h2o.tls.payload", by=_DIRECTION) / Rate("h2o.tls.records", by=_DIRECTION)),),
                healthy="towards 16 KiB for large bodies; a small record costs 22 bytes of overhead and a system call's worth of work.",
                tune="larger writes: more streams per connection, larger chunks from the application.",
                unit="By",
            ),
            Panel(
                title="Plaintext",
                queries=(Query(Rate("h2o.tls.payload", by=_DIRECTION)),),
                healthy="within 1 % of Wire on the I/O dashboard for large bodies, where all connections use TLS.",
                tune="as Mean record size.",
            ),
            Panel(
                title="Bytes copied by TLS, per byte",
                queries=(Query(Rate("h2o.buffer.copied", is_("h2o.reason", "tls")) / Rate("h2o.tls.payload"), "copied"),),
                healthy="at most 100 %.",
                tune="nothing to tune: OpenSSL's memory BIOs cost one copy in each direction.",
                thresholds=(Threshold(2.5, "warning"),),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-tls",
    title="h2o-otel / TLS",
    description="Do handshakes succeed and resume, which protocol is chosen, and how large are the records?",
    rows=(_HANDSHAKES, _RECORDS),
)
