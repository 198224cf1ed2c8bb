"""Memory: buffers, free lists, the interpreter and its garbage collector."""

from __future__ import annotations

from ..expressions import Level, Quantile, Rate, Total, is_
from ..model import Dashboard, Panel, Query, Row, Threshold

_POOL, _RESULT, _GENERATION = "h2o.buffer.pool.name", "h2o.result", "cpython.gc.generation"

_PROCESS = Row(
    "The process",
    (
        (
            Panel(
                title="Resident memory",
                queries=(Query(Level("process.memory.usage", by="instance")),),
                good="flat under flat load.",
                knob="Buffers in use and Received, not yet read say what holds it: `Limits.connections_max`, `Limits.stream_window_bytes`.",
            ),
            Panel(
                title="Address space",
                queries=(Query(Level("process.memory.virtual", by="instance")),),
                good="flat; far above resident is normal.",
                knob="steps up without end: threads or mappings leak.",
            ),
            Panel(
                title="Page faults",
                queries=(Query(Rate("process.paging.faults", by="system.paging.fault.type")),),
                good="no major ones. Minor ones in the thousands are fresh memory for each read.",
                knob="major: more memory, or less use of it.",
            ),
            Panel(
                title="Blocks of the interpreter",
                queries=(Query(Level("h2o.memory.python.blocks", by="instance")),),
                good="flat under flat load. Growth with flat resident memory is a slow leak.",
                knob="`tracemalloc` in a test that repeats the load.",
            ),
        ),
    ),
)

_BUFFERS = Row(
    "Buffers",
    (
        (
            Panel(
                title="Buffers taken, by result",
                queries=(Query(Rate("h2o.buffer.pool.acquisitions", by=(_POOL, _RESULT))),),
                what="hit: reused; miss: allocated; oversize: larger than any class, never kept.",
                good="hits.",
                knob="misses of one class at a steady rate: more of that class may be kept.",
                empty="not used yet",
            ),
            Panel(
                title="Hit ratio by size",
                queries=(
                    Query(
                        Rate("h2o.buffer.pool.acquisitions", is_(_RESULT, "hit"), by="h2o.buffer.size_class")
                        / Rate("h2o.buffer.pool.acquisitions", by="h2o.buffer.size_class")
                    ),
                ),
                good="above 95 % once warm.",
                knob="classes with few hits and many takes.",
                maximum=1.0,
                falling=True,
                thresholds=(Threshold(0.8, "warning"), Threshold(0.95, "good")),
                empty="not used yet",
            ),
            Panel(
                title="In use and idle",
                queries=(
                    Query(Level("h2o.buffer.pool.in_use", by=_POOL), "in use, {h2o.buffer.pool.name}"),
                    Query(Level("h2o.buffer.pool.idle", by=_POOL), "idle, {h2o.buffer.pool.name}"),
                ),
                good="in use returns to its base after each burst; idle is a small multiple of it.",
                knob="idle that stays high can be trimmed; in use that only grows is a leak.",
                stacked=True,
            ),
        ),
        (
            Panel(
                title="Allocated and given back",
                queries=(
                    Query(Rate("h2o.buffer.pool.allocated", by=_POOL), "allocated, {h2o.buffer.pool.name}"),
                    Query(Rate("h2o.buffer.pool.evicted", by=_POOL), "evicted, {h2o.buffer.pool.name}"),
                ),
                good="both near 0 once warm.",
                knob="evicted that follows allocated: the pool keeps too little.",
            ),
            Panel(
                title="Buffers leaked",
                queries=(Query(Rate("h2o.buffer.pool.leaked", by=_POOL)),),
                good="0, always.",
                knob="a bug: please report it.",
                thresholds=(Threshold(0.000001, "bad"),),
            ),
            Panel(
                title="Octets copied, by reason",
                queries=(Query(Rate("h2o.buffer.copied", by="h2o.reason")),),
                good="deliver leads: what users get is their own copy.",
                knob="tail: reads end inside frames (`Limits.read_buffer_bytes`); split: windows smaller than bodies.",
                stacked=True,
            ),
            Panel(
                title="Copies per octet on the wire",
                queries=(Query(Rate("h2o.buffer.copied") / Rate("h2o.io.transferred"), "copied"),),
                what="Octets copied over octets transferred.",
                good="under 100 %: each octet is copied at most once.",
                knob="the largest reason beside it.",
                thresholds=(Threshold(1.5, "warning"), Threshold(3.0, "bad")),
            ),
        ),
    ),
)

_OBJECTS = Row(
    "Objects and the garbage collector",
    (
        (
            Panel(
                title="Collections",
                queries=(Query(Rate("cpython.gc.collections", by=_GENERATION), "generation {cpython.gc.generation}"),),
                good="generation 2 once a minute or less.",
                knob="`gc.freeze()` after start-up, `gc.set_threshold()`.",
            ),
            Panel(
                title="Pauses",
                queries=(Query(Quantile(0.99, "h2o.gc.pause.duration", by=_GENERATION), "p99, generation {cpython.gc.generation}"),),
                good="under 1 ms for generations 0 and 1, under 20 ms for 2.",
                knob="`gc.freeze()` takes what start-up made out of generation 2.",
                empty="no collections",
            ),
            Panel(
                title="Time in the collector",
                queries=(Query(Total("h2o.gc.pause.duration", by="instance")),),
                good="under 2 %.",
                knob="`gc.set_threshold()`; cycles in the application.",
                thresholds=(Threshold(0.02, "warning"), Threshold(0.1, "bad")),
            ),
        ),
        (
            Panel(
                title="Cyclic garbage",
                queries=(Query(Rate("cpython.gc.collected_objects", by=_GENERATION), "generation {cpython.gc.generation}"),),
                good="near 0: the runtime makes no cycles per request.",
                knob="`gc.set_debug(gc.DEBUG_SAVEALL)` in a test shows whose they are; often exceptions kept with tracebacks.",
            ),
            Panel(
                title="Uncollectable objects",
                queries=(Query(Rate("cpython.gc.uncollectable_objects", by=_GENERATION), "generation {cpython.gc.generation}"),),
                good="0, always.",
                knob="an extension module with a bug.",
                thresholds=(Threshold(0.000001, "bad"),),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-memory",
    title="h2o-otel / Memory and buffers",
    description="What holds memory, is reuse working, and what does the garbage collector cost?",
    rows=(_PROCESS, _BUFFERS, _OBJECTS),
)
