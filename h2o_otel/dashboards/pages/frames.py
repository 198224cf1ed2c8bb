"""Frames: the mix, sizes, batching, overhead, and what peers get wrong."""

from __future__ import annotations

from ..expressions import Buckets, Count, Events, Level, Rate, is_, is_not, like
from ..model import Dashboard, Panel, Query, Row, Threshold, quantiles

_ROLE, _DIRECTION, _TYPE = "h2o.role", "network.io.direction", "h2o.frame.type"

_MIX = Row(
    "Frame types",
    (
        (
            Panel(
                title="Frames sent",
                queries=(Query(Rate("h2o.frames", is_(_DIRECTION, "transmit"), by=_TYPE)),),
                healthy="mostly HEADERS and DATA; few SETTINGS and PING.",
                tune="many WINDOW_UPDATE: larger windows (`EngineLimits.stream_window_bytes`).",
                stacked=True,
            ),
            Panel(
                title="Frames received",
                queries=(Query(Rate("h2o.frames", is_(_DIRECTION, "receive"), by=_TYPE)),),
                healthy="mostly HEADERS and DATA. Many PING, SETTINGS, RST_STREAM, PRIORITY or CONTINUATION frames are a "
                "flood, which the guards count.",
                tune="`EngineLimits.pings_burst`, `EngineLimits.settings_burst`, `EngineLimits.resets_received_burst`, "
                "`EngineLimits.continuation_frames_max`.",
                stacked=True,
            ),
            Panel(
                title="Frames per stream",
                queries=(Query(Rate("h2o.frames", by=_DIRECTION) / Rate("h2o.streams"), "{network.io.direction}"),),
                what="Frames of all types for each stream that ended.",
                healthy="2 to 3 for small messages: HEADERS, DATA, now and then a WINDOW_UPDATE.",
                tune="for more: fewer and larger `send()` calls of the application, larger windows.",
                unit="{frame}",
            ),
            Panel(
                title="Frames per turn",
                queries=quantiles("h2o.frame.turn.frames", by=_ROLE),
                what="Frames that the engine parsed at once.",
                healthy="grows with load. At `EngineLimits.turn_frames_max` reads are parsed in slices.",
                tune="`EngineLimits.turn_frames_max`; Turns cut short, on the I/O dashboard, shows when that was needed.",
            ),
        ),
    ),
)

_BYTES = Row(
    "Bytes",
    (
        (
            Panel(
                title="Payload by type, sent",
                queries=(Query(Rate("h2o.frame.payload", is_(_DIRECTION, "transmit"), by=_TYPE)),),
                healthy="mostly DATA, unless bodies are small.",
                tune="if HEADERS is the largest, look at the compression ratio on the HPACK dashboard.",
                stacked=True,
            ),
            Panel(
                title="Payload by type, received",
                queries=(Query(Rate("h2o.frame.payload", is_(_DIRECTION, "receive"), by=_TYPE)),),
                healthy="mostly DATA, unless bodies are small.",
                tune="see Payload by type, sent.",
                stacked=True,
            ),
            Panel(
                title="Share that is not DATA",
                queries=(
                    Query(Rate("h2o.frame.payload", is_not(_TYPE, "DATA"), by=_DIRECTION) / Rate("h2o.frame.payload", by=_DIRECTION)),
                ),
                what="Payload of all other frames over all payload.",
                healthy="low for large bodies; most of it for tiny ones.",
                tune="`EngineLimits.header_table_bytes`, fewer and shorter fields.",
            ),
            Panel(
                title="Padding",
                queries=(Query(Rate("h2o.frame.padding", by=_DIRECTION)),),
                healthy="0. Padding hides lengths and uses window.",
                tune="nothing to tune: this runtime never pads; padding that peers send uses their window.",
            ),
        ),
    ),
)

_BATCHES = Row(
    "Sizes and batches",
    (
        (
            Panel(
                title="Size of DATA frames",
                queries=quantiles("h2o.frame.data.size", by=_DIRECTION),
                healthy="near `EngineLimits.frame_bytes_max` for large bodies. Many tiny frames are bad coalescing.",
                tune="larger chunks from the application; `EngineLimits.frame_bytes_max`.",
                empty="no DATA",
            ),
            Panel(
                title="Frames per write",
                queries=quantiles("h2o.frame.flush.frames", by=_ROLE),
                healthy="above 2 under load: one write carries what one turn of the loop produced.",
                tune="at 1 under load, put more requests on each connection.",
            ),
            Panel(
                title="Distribution of frames per write",
                kind="heatmap",
                queries=(Query(Buckets("h2o.frame.flush.frames"), "writes"),),
                healthy="moves up with load.",
                tune="see the panel to the left.",
            ),
            Panel(
                title="Writes",
                queries=(Query(Events("h2o.frame.flush.frames", by=_ROLE)),),
                what="Writes to the transport per second; each costs about as much as framing ten requests.",
                healthy="fewer than requests, under load.",
                tune="more streams on fewer connections.",
                link="h2o-io",
            ),
        ),
    ),
)

_FAULTS = Row(
    "Faults",
    (
        (
            Panel(
                title="Rules broken by peers",
                queries=(Query(Count("h2o.frame.errors", by=(_ROLE, "error.type"))),),
                healthy="nothing.",
                tune="nothing to tune: the token names the rule, which the reference of rules explains.",
                empty="none seen",
            ),
            Panel(
                title="Useless frames",
                queries=(Query(Rate("h2o.frame.glitches", by=(_ROLE, "h2o.glitch.kind"))),),
                what="Valid frames without effect: unknown types, empty DATA, RFC 7540 PRIORITY, frames on closed streams.",
                healthy="a low rate: browsers send PRIORITY, and frames in flight arrive after their stream was cancelled.",
                tune="`EngineLimits.glitches_burst` and `EngineLimits.glitches_refill_per_s` end the connection.",
                empty="none seen",
            ),
            Panel(
                title="Control frames that wait",
                queries=(Query(Level("h2o.frame.control_queue.size", by=_ROLE)),),
                healthy="near 0. It grows when a peer asks faster than it reads.",
                tune="`EngineLimits.control_queue_frames_max` ends the connection.",
                thresholds=(Threshold(500, "warning"), Threshold(900, "bad")),
            ),
            Panel(
                title="Frame types used in floods",
                queries=(
                    Query(
                        Rate(
                            "h2o.frames",
                            is_(_DIRECTION, "receive"),
                            like(_TYPE, "PING|SETTINGS|RST_STREAM|PRIORITY|CONTINUATION|WINDOW_UPDATE|PRIORITY_UPDATE|UNKNOWN"),
                            by=_TYPE,
                        )
                    ),
                ),
                what="Received frames of the types that flood attacks use.",
                healthy="low rates compared with the rate of requests.",
                tune="the guards in `Limits`; Abuse stopped shows when they act.",
                link="h2o-connections",
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-frames",
    title="h2o-otel / Frames",
    description="What is on the wire, how well is it batched, and how much of it is overhead?",
    rows=(_MIX, _BYTES, _BATCHES, _FAULTS),
)
