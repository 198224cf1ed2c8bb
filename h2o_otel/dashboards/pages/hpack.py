"""HPACK: what compression gains, what it costs, and whether the table is large enough."""

from __future__ import annotations

from ..expressions import Count, Level, Number, Rate, is_, like
from ..model import Dashboard, Panel, Query, Row, Threshold

_ROLE, _DIRECTION, _FORM, _REPRESENTATION = "h2o.role", "network.io.direction", "h2o.hpack.form", "h2o.hpack.representation"
_RESULT = "h2o.result"
_ENCODED = Rate("h2o.hpack.size", is_(_FORM, "encoded"), by=_DIRECTION)
_PLAIN = Rate("h2o.hpack.size", is_(_FORM, "plain"), by=_DIRECTION)
_BLOCKS = Rate("h2o.frames", is_("h2o.frame.type", "HEADERS"), by=_DIRECTION)

_GAIN = Row(
    "Compression",
    (
        (
            Panel(
                title="Bytes saved",
                queries=(Query(Number(1) - _ENCODED / _PLAIN, "{network.io.direction}"),),
                what="Share of header bytes that compression saves: 1 - encoded / plain.",
                healthy="above 80 % on long-lived connections; new connections start with an empty table.",
                tune="longer-lived connections (`Limits.keepalive_expiry`), then `EngineLimits.header_table_bytes`.",
                maximum=1.0,
                falling=True,
                thresholds=(Threshold(0.3, "warning"), Threshold(0.6, "good")),
            ),
            Panel(
                title="Header bytes, plain and encoded",
                queries=(Query(Rate("h2o.hpack.size", by=(_DIRECTION, _FORM))),),
                healthy="encoded far below plain.",
                tune="send fewer fields and keep their values stable: a value that changes in each request cannot be indexed.",
            ),
            Panel(
                title="Header bytes per block",
                queries=(
                    Query(_ENCODED / _BLOCKS, "encoded, {network.io.direction}"),
                    Query(_PLAIN / _BLOCKS, "plain, {network.io.direction}"),
                ),
                what="Mean size of a header block, as on the wire and as applications see it.",
                healthy="encoded well under 100 bytes.",
                tune="`EngineLimits.header_list_bytes_max` bounds what a peer may send.",
                unit="By",
            ),
        ),
        (
            Panel(
                title="Fields sent, by representation",
                queries=(Query(Rate("h2o.hpack.fields", is_(_DIRECTION, "transmit"), by=_REPRESENTATION)),),
                healthy="mostly indexed. literal_never are credentials, which are never indexed.",
                tune="many literal_indexed at a steady rate: varying values evict stable ones.",
                stacked=True,
            ),
            Panel(
                title="Fields received, by representation",
                queries=(Query(Rate("h2o.hpack.fields", is_(_DIRECTION, "receive"), by=_REPRESENTATION)),),
                healthy="mostly indexed.",
                tune="the peer's encoder decides; the size that it may use is `EngineLimits.header_table_bytes`.",
                stacked=True,
            ),
            Panel(
                title="Share that is indexed",
                queries=(
                    Query(
                        Rate("h2o.hpack.fields", like(_REPRESENTATION, "indexed_.+"), by=_DIRECTION)
                        / Rate("h2o.hpack.fields", by=_DIRECTION)
                    ),
                ),
                what="Share of header fields that are encoded as an index of one or two bytes.",
                healthy="above 70 %.",
                tune="`EngineLimits.header_table_bytes` (receiving), `EngineLimits.encoder_table_bytes_max` (sending).",
                maximum=1.0,
                falling=True,
                thresholds=(Threshold(0.3, "warning"), Threshold(0.6, "good")),
            ),
        ),
    ),
)

_TABLES = Row(
    "Tables",
    (
        (
            Panel(
                title="Dynamic tables, used",
                queries=(
                    Query(
                        Level("h2o.hpack.table.size", by=(_ROLE, _DIRECTION)) / Level("h2o.hpack.table.capacity", by=(_ROLE, _DIRECTION))
                    ),
                ),
                healthy="rises with a connection's age. Full with evictions: too small; nearly empty: too large.",
                tune="`EngineLimits.header_table_bytes`, `EngineLimits.encoder_table_bytes_max`.",
                maximum=1.0,
            ),
            Panel(
                title="Dynamic tables, memory",
                queries=(
                    Query(Level("h2o.hpack.table.size", by=_ROLE), "used, {h2o.role}"),
                    Query(Level("h2o.hpack.table.capacity", by=_ROLE), "capacity, {h2o.role}"),
                ),
                what="RFC 7541 sizes over all connections: what HPACK may hold, and what it holds.",
                healthy="connections times two tables times 4 KiB at most, by default.",
                tune="`EngineLimits.header_table_bytes` where connections are many.",
            ),
            Panel(
                title="Evictions",
                queries=(Query(Rate("h2o.hpack.table.evictions", by=_DIRECTION)),),
                healthy="near 0.",
                tune="raise `EngineLimits.header_table_bytes`, or send volatile values without indexing.",
            ),
        ),
        (
            Panel(
                title="Entries lost in use",
                queries=(Query(Rate("h2o.hpack.table.lost"), "entries lost"), Query(Rate("h2o.hpack.table.growths"), "tables grown")),
                what="Entries that the encoder's tables evicted though they had been of use, and tables that grew for it.",
                healthy="near 0; a burst of losses ends when the table has grown.",
                tune="`EngineLimits.encoder_table_grown_bytes_max`, where the peer allows it; its switch is "
                "`protocol_adaptive_compression`.",
            ),
            Panel(
                title="Fields repeated in place",
                queries=(
                    Query(
                        Rate("h2o.hpack.fields.repeated") / Rate("h2o.hpack.fields", is_(_DIRECTION, "transmit")),
                        "of the fields sent",
                    ),
                ),
                what="Fields whose name and value were the same objects as in the block before: no table was searched for them.",
                healthy="above 50 % where a program sends constants.",
                tune="make names and values once, and send them in the same order.",
                maximum=1.0,
                falling=True,
                thresholds=(Threshold(0.1, "warning"), Threshold(0.5, "good")),
            ),
            Panel(
                title="Names known",
                queries=(
                    Query(
                        Rate("h2o.hpack.names", is_(_RESULT, "cached"), by=_DIRECTION) / Rate("h2o.hpack.names", by=_DIRECTION),
                        "{network.io.direction}",
                    ),
                ),
                what="Hit rate of the cache of examined names, among names that stood in literals or were new to a connection.",
                healthy="above 95 %. Low: a peer makes up names, or `hpack_name_cache` is off.",
                tune="`EngineLimits.names_cached_max`.",
                maximum=1.0,
                falling=True,
                thresholds=(Threshold(0.5, "warning"), Threshold(0.9, "good")),
            ),
        ),
    ),
)

_COST = Row(
    "Cost",
    (
        (
            Panel(
                title="CPU in the codec",
                queries=(Query(Rate("h2o.hpack.time", by=_DIRECTION)),),
                healthy="a few per cent of a core.",
                tune="`h2o_compiled` on the telemetry dashboard: uncompiled it is some thirty times as much.",
                thresholds=(Threshold(0.1, "warning"), Threshold(0.25, "bad")),
            ),
            Panel(
                title="Time per header block",
                queries=(Query(Rate("h2o.hpack.time", by=_DIRECTION) / _BLOCKS),),
                what="Mean time to code one header block.",
                healthy="one to three microseconds, compiled.",
                tune="fewer fields; repeated values.",
                unit="s",
            ),
            Panel(
                title="Errors",
                queries=(Query(Count("h2o.hpack.errors", by=(_DIRECTION, "error.type"))),),
                healthy="nothing.",
                tune="lists too large: `EngineLimits.header_list_bytes_max`, `EngineLimits.header_fields_max`; anything "
                "else: a broken peer.",
                empty="none seen",
            ),
        ),
        (
            Panel(
                title="Fields ignored",
                queries=(Query(Rate("h2o.fields.ignored", by="h2o.field.name")),),
                what="Priority, trace and baggage fields of peers that are longer than their limit or malformed.",
                healthy="0, or a trickle.",
                tune="priority: `EngineLimits.priority_bytes_max`; traceparent, tracestate, baggage: what the client or proxy sends.",
            ),
            Panel(
                title="Batches decoded ahead",
                queries=(Query(Rate("h2o.hpack.parallel.batches", by=_RESULT)),),
                what="With `hpack_parallel`: batches whose Huffman strings threads decoded, and those that were too small for it.",
                healthy="nothing, by default. With it, parallel ones lead: else the threshold is above what arrives.",
                tune="`hpack_parallel`; the threshold is measured by benchmarks/hpack_parallel.py.",
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-hpack",
    title="h2o-otel / HPACK",
    description="What does field compression gain, what does it cost, and is the table large enough?",
    rows=(_GAIN, _TABLES, _COST),
)
