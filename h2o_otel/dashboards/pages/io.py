"""I/O: bytes, system calls, batching at the socket, back-pressure."""

from __future__ import annotations

from ..expressions import Level, Quantile, Rate, Total, is_not
from ..model import Dashboard, Panel, Query, Row, Threshold, quantiles

_ROLE, _DIRECTION = "h2o.role", "network.io.direction"

_SOCKETS = Row(
    "Sockets",
    (
        (
            Panel(
                title="Wire",
                queries=(Query(Rate("h2o.io.transferred", by=(_ROLE, _DIRECTION))),),
                healthy="follows your traffic.",
                tune="none.",
            ),
            Panel(
                title="Reads and writes",
                queries=(Query(Rate("h2o.io.operations", by=_DIRECTION)),),
                healthy="under load, fewer than requests: one read brings many requests, one write takes many responses.",
                tune="fewer connections with more streams each.",
            ),
            Panel(
                title="Operations per stream",
                queries=(Query(Rate("h2o.io.operations", by=_DIRECTION) / Rate("h2o.streams")),),
                what="Reads and writes for each stream that ended.",
                healthy="1 of each at most; well below under load.",
                tune="see the panel to the left.",
                unit="{operation}",
            ),
            Panel(
                title="Operations that were not full",
                queries=(Query(Rate("h2o.io.operations", is_not("h2o.result", "full"), by=(_DIRECTION, "h2o.result"))),),
                what="Partial and refused reads and writes, ends of connections, errors.",
                healthy="partial reads are normal; partial writes mean that the socket is full.",
                tune="transmit partial or would_block: the peer reads slowly, or the socket's send buffer is small.",
            ),
        ),
        (
            Panel(
                title="Size of reads and writes",
                queries=(
                    Query(Quantile(0.5, "h2o.io.size", by=_DIRECTION), "p50 {network.io.direction}"),
                    Query(Quantile(0.99, "h2o.io.size", by=_DIRECTION), "p99 {network.io.direction}"),
                ),
                what="Bytes per read and per write.",
                healthy="grows with load. Reads that sit at `EngineLimits.read_buffer_bytes` want a larger buffer.",
                tune="`EngineLimits.read_buffer_bytes`, `EngineLimits.output_high_water_bytes`.",
            ),
            Panel(
                title="Bytes per operation",
                queries=(Query(Rate("h2o.io.transferred", by=_DIRECTION) / Rate("h2o.io.operations", by=_DIRECTION)),),
                healthy="hundreds at least.",
                tune="as Size of reads and writes.",
                unit="By",
            ),
            Panel(
                title="Turns cut short",
                queries=(Query(Rate("h2o.io.yields", by=_ROLE)),),
                what="Connections that had parsed for `EngineLimits.turn_s_max` and queued behind the others with frames left.",
                healthy="0, except during bursts of small frames. A steady rate is a peer that floods; other connections are "
                "not delayed by it.",
                tune="`EngineLimits.turn_frames_max`, `EngineLimits.turn_s_max`; `Tuning.protocol_fair_scheduling`.",
            ),
        ),
    ),
)

_PRESSURE = Row(
    "Back-pressure",
    (
        (
            Panel(
                title="Waiting on the transport",
                queries=(Query(Level("h2o.io.write_queue.size", by=_ROLE)),),
                healthy="near 0: peers read as fast as this process writes.",
                tune="`EngineLimits.output_high_water_bytes` bounds it per connection.",
            ),
            Panel(
                title="Pauses",
                queries=(Query(Rate("h2o.io.pauses", by=_ROLE)),),
                healthy="0, except for large bodies to slow peers.",
                tune="`EngineLimits.output_high_water_bytes`.",
            ),
            Panel(
                title="Length of pauses",
                queries=quantiles("h2o.io.pause.duration"),
                healthy="the time that the network takes to drain the high-water mark.",
                tune="`EngineLimits.send_stall_timeout_s` ends streams to peers that never read.",
                empty="no pauses",
            ),
            Panel(
                title="Time paused",
                queries=(Query(Total("h2o.io.pause.duration", by=_ROLE)),),
                what="Seconds paused per second, summed over connections; 100 % is one connection that is always full.",
                healthy="low.",
                tune="a few slow peers are normal; many are the network.",
                thresholds=(Threshold(1.0, "warning"), Threshold(10.0, "bad")),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-io",
    title="h2o-otel / I/O",
    description="How many system calls does a request cost, how large are they, and does the network push back?",
    rows=(_SOCKETS, _PRESSURE),
)
