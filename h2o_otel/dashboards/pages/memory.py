"""Memory: buffers, free lists, the interpreter and its garbage collector."""

from __future__ import annotations

from ..expressions import Level, Quantile, Rate, Total, is_
from ..model import Dashboard, Panel, Query, Row, Threshold

_POOL, _RESULT, _GENERATION = "h2o.buffer.pool.name", "h2o.result", "cpython.gc.generation"
_COMPONENT, _REASON, _STATE = "h2o.memory.component", "h2o.reason", "h2o.memory.state"

_PROCESS = Row(
    "The process",
    (
        (
            Panel(
                title="Resident memory",
                queries=(Query(Level("process.memory.usage", by="instance")),),
                healthy="flat under flat load.",
                tune="Buffers in use and Received, not yet read say what holds it: `ServerLimits.connections_max`, "
                "`EngineLimits.stream_window_bytes`.",
            ),
            Panel(
                title="Address space",
                queries=(Query(Level("process.memory.virtual", by="instance")),),
                healthy="flat; far above resident is normal.",
                tune="steps up without end: threads or mappings leak.",
            ),
            Panel(
                title="Page faults",
                queries=(Query(Rate("process.paging.faults", by="system.paging.fault.type")),),
                healthy="no major ones. Minor ones in the thousands are fresh memory for each read.",
                tune="major: more memory, or less use of it.",
            ),
            Panel(
                title="Blocks of the interpreter",
                queries=(Query(Level("h2o.memory.python.blocks", by="instance")),),
                healthy="flat under flat load. Growth with flat resident memory is a slow leak.",
                tune="`tracemalloc` in a test that repeats the load.",
            ),
        ),
    ),
)

_BUDGET = Row(
    "The budget",
    (
        (
            Panel(
                title="Accounted, by component",
                queries=(Query(Level("h2o.memory.usage", by=_COMPONENT)),),
                what="Memory that the runtime accounts for, without the application's own memory.",
                healthy="follows connections and traffic, and decreases again after a burst.",
                tune="`EngineLimits.memory_process_bytes_max` bounds the sum: at 75 % windows shrink, at 90 % streams are refused.",
                stacked=True,
            ),
            Panel(
                title="Pushed back",
                queries=(Query(Rate("h2o.memory.sheds", by=_REASON)),),
                what="refuse_stream: REFUSED_STREAM to a request; shrink_window: credit withheld; drop_idle: connection closed.",
                healthy="0.",
                tune="more memory and a larger `EngineLimits.memory_process_bytes_max`, or fewer connections for each process.",
                thresholds=(Threshold(0.000001, "warning"),),
            ),
            Panel(
                title="Resources under pressure",
                queries=(Query(Level("h2o.pressure", by="h2o.resource")),),
                what="Number of event loops short of memory or connections, and of connections short of handlers.",
                healthy="0: clients may pause in bodies for as long as `EngineLimits.body_stall_timeout_s`.",
                tune="more of the resource, or `EngineLimits.pressure_percent`; meanwhile bodies keep up "
                "`EngineLimits.body_rate_min_bytes_per_s`.",
                thresholds=(Threshold(0.000001, "warning"),),
            ),
        ),
        (
            Panel(
                title="Heap of the C allocator",
                queries=(Query(Level("h2o.memory.heap", by=_STATE)),),
                what="Memory allocated from the system and memory in use; absent where the C library does not report it.",
                healthy="allocated is at most twice what is used.",
                tune="a gap that remains while resident memory is high is fragmentation: `MALLOC_ARENA_MAX=2`, or jemalloc.",
                empty="not glibc",
            ),
            Panel(
                title="Returned by trimming",
                queries=(Query(Rate("h2o.memory.trimmed"), "returned"),),
                what="Free memory of the C heap that a server returned to the system.",
                healthy="0, with a peak after each burst.",
                tune="for frequent bursts, a larger `EngineLimits.heap_free_bytes_max` avoids repeated trimming.",
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
                healthy="hits.",
                tune="misses of one class at a steady rate: more of that class may be kept.",
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
                healthy="above 95 % once warm.",
                tune="classes with few hits and many takes.",
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
                healthy="in use returns to its base after each burst; idle is a small multiple of it.",
                tune="idle that stays high can be trimmed; in use that only grows is a leak.",
                stacked=True,
            ),
        ),
        (
            Panel(
                title="Used part of the buffers in use",
                queries=(Query(Level("h2o.buffer.pool.requested", by=_POOL) / Level("h2o.buffer.pool.in_use", by=_POOL)),),
                what="What holders asked for over what their size class gave them.",
                healthy="above 25 %, which is what classes in powers of four cost at worst.",
                tune="other size classes.",
                maximum=1.0,
                empty="none in use",
            ),
            Panel(
                title="Time for which buffers are held",
                queries=(Query(Quantile(0.99, "h2o.buffer.pool.held", by=_POOL), "p99, {h2o.buffer.pool.name}"),),
                healthy="output: far below a loop turn; tail: until the rest of a frame arrives.",
                tune="tails that are held for long: peers that send parts of frames.",
                empty="not used yet",
            ),
            Panel(
                title="Waits for the shared buffer pool",
                queries=(Query(Rate("h2o.buffer.pool.contended", by="instance")),),
                healthy="0: each thread's own cache is large enough.",
                tune="`EngineLimits.buffer_cache_bytes_max`.",
                thresholds=(Threshold(1.0, "warning"),),
            ),
        ),
        (
            Panel(
                title="Allocated and evicted",
                queries=(
                    Query(Rate("h2o.buffer.pool.allocated", by=_POOL), "allocated, {h2o.buffer.pool.name}"),
                    Query(Rate("h2o.buffer.pool.evicted", by=_POOL), "evicted, {h2o.buffer.pool.name}"),
                ),
                healthy="both near 0 once warm.",
                tune="evicted that follows allocated: the pool keeps too little.",
            ),
            Panel(
                title="Buffers leaked",
                queries=(Query(Rate("h2o.buffer.pool.leaked", by=_POOL)),),
                healthy="0, always.",
                tune="a bug: please report it.",
                thresholds=(Threshold(0.000001, "bad"),),
            ),
            Panel(
                title="Bytes copied, by reason",
                queries=(Query(Rate("h2o.buffer.copied", by="h2o.reason")),),
                healthy="mostly deliver: applications receive their own copy of each body.",
                tune="tail: reads end inside frames (`EngineLimits.read_buffer_bytes`); split: windows smaller than bodies.",
                stacked=True,
            ),
            Panel(
                title="Bytes copied per byte transferred",
                queries=(Query(Rate("h2o.buffer.copied") / Rate("h2o.io.transferred"), "copied"),),
                what="Bytes copied divided by bytes transferred.",
                healthy="under 100 %: each byte is copied at most once.",
                tune="the largest reason beside it.",
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
                title="Streams from the pool",
                queries=(Query(Rate("h2o.memory.objects", by=_RESULT)),),
                what="hit: a stream object was reused; miss: a new one was made; held: an ended one was not reused "
                "because something still refers to it.",
                healthy="mostly hits on a server. A client's streams are held by their responses.",
                tune="held on a server: the application keeps requests beyond their end. `Tuning.stream_pool`.",
                stacked=True,
                empty="off",
            ),
            Panel(
                title="Field values found again",
                queries=(Query(Rate("h2o.memory.interned.lookups", by=_RESULT)),),
                what="Values that entered an HPACK table; a hit is shared with another connection's table or an earlier field.",
                healthy="mostly hits where clients are similar.",
                tune="with misses only, turn off `Tuning.memory_interning`, or raise `EngineLimits.interned_values_max`.",
                stacked=True,
                empty="no values",
            ),
            Panel(
                title="Interned values",
                queries=(Query(Level("h2o.memory.interned.size", by="instance")),),
                healthy="bounded by `EngineLimits.interned_values_max`, whatever peers send.",
                tune="`EngineLimits.interned_values_max`, `EngineLimits.interned_value_bytes_max`.",
            ),
        ),
        (
            Panel(
                title="Collections",
                queries=(Query(Rate("cpython.gc.collections", by=_GENERATION), "generation {cpython.gc.generation}"),),
                healthy="generation 2 once a minute or less.",
                tune="`gc.set_threshold()`.",
            ),
            Panel(
                title="Pauses",
                queries=(Query(Quantile(0.99, "h2o.gc.pause.duration", by=_GENERATION), "p99, generation {cpython.gc.generation}"),),
                healthy="under 1 ms for generations 0 and 1, under 20 ms for 2.",
                tune="`Tuning.memory_gc_freeze` keeps what start-up made out of generation 2; embedded servers call `gc.freeze()`.",
                empty="no collections",
            ),
            Panel(
                title="Time in the collector",
                queries=(Query(Total("h2o.gc.pause.duration", by="instance")),),
                healthy="under 2 %.",
                tune="`gc.set_threshold()`; cycles in the application.",
                thresholds=(Threshold(0.02, "warning"), Threshold(0.1, "bad")),
            ),
        ),
        (
            Panel(
                title="Cyclic garbage",
                queries=(Query(Rate("cpython.gc.collected_objects", by=_GENERATION), "generation {cpython.gc.generation}"),),
                healthy="near 0: the runtime makes no cycles per request.",
                tune="`gc.set_debug(gc.DEBUG_SAVEALL)` in a test shows whose they are; often exceptions kept with tracebacks.",
            ),
            Panel(
                title="Frozen objects",
                queries=(Query(Level("h2o.gc.frozen", by="instance")),),
                healthy="what the application made while it was loaded; 0 where the server is embedded.",
                tune="`Tuning.memory_gc_freeze`.",
            ),
            Panel(
                title="Uncollectable objects",
                queries=(Query(Rate("cpython.gc.uncollectable_objects", by=_GENERATION), "generation {cpython.gc.generation}"),),
                healthy="0, always.",
                tune="an extension module with a bug.",
                thresholds=(Threshold(0.000001, "bad"),),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="h2o-memory",
    title="h2o-otel / Memory and buffers",
    description="What holds memory, is reuse working, and what does the garbage collector cost?",
    rows=(_PROCESS, _BUDGET, _BUFFERS, _OBJECTS),
)
