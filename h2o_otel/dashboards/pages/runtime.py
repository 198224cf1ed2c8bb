"""The event loop, the application's time, CPU; and what telemetry itself costs."""

from __future__ import annotations

from ..expressions import Buckets, Count, Level, Mean, Quantile, Rate, is_, present
from ..model import Dashboard, Panel, Query, Row, Threshold
from . import common

_LOOP = Row(
    "Event loop",
    (
        (
            Panel(
                title="Loop busy",
                queries=(Query(common.LOOP_BUSY),),
                healthy="under 70 %, and even between processes.",
                tune="more processes, one for each core; uvloop.",
                maximum=1.0,
                thresholds=(Threshold(0.7, "warning"), Threshold(0.85, "bad")),
            ),
            Panel(
                title="Loop lag",
                queries=(
                    Query(Quantile(0.5, "h2o.loop.lag"), "p50"),
                    Query(Quantile(0.99, "h2o.loop.lag"), "p99"),
                    Query(common.LOOP_LAG_P99, "p99 {instance}"),
                ),
                healthy="p99 under 10 ms.",
                tune="blocking calls of the application: move them to a thread; `PYTHONASYNCIODEBUG=1` names callbacks over 100 ms.",
            ),
            Panel(
                title="Distribution of lag",
                kind="heatmap",
                queries=(Query(Buckets("h2o.loop.lag"), "measurements"),),
                healthy="one band at the bottom.",
                tune="a second band far up is one blocking call.",
            ),
        ),
        (
            Panel(
                title="Time in receive() and send()",
                queries=(Query(Rate("h2o.asgi.wait", by="h2o.reason")),),
                what="Seconds per second that applications waited, summed over requests.",
                healthy="receive: while clients upload. send: near 0.",
                tune="send: clients read slowly, their windows are closed; see Flow control.",
                link="h2o-streams",
            ),
            Panel(
                title="Application",
                queries=(
                    Query(Mean("h2o.asgi.app.duration"), "mean"),
                    Query(Quantile(0.5, "h2o.asgi.app.duration"), "p50"),
                    Query(Quantile(0.99, "h2o.asgi.app.duration"), "p99"),
                ),
                healthy="within the application's own objective.",
                tune="the application.",
            ),
            Panel(
                title="Applications that raised",
                queries=(Query(Count("h2o.asgi.app.duration", present("error.type"), by="error.type")),),
                healthy="nothing.",
                tune="the events `http.server.request.exception` have the tracebacks.",
                empty="none seen",
            ),
        ),
    ),
)

_PROCESS = Row(
    "Process",
    (
        (
            Panel(
                title="CPU",
                queries=(Query(Rate("process.cpu.time", by=("instance", "cpu.mode"))),),
                healthy="mostly user. System time above a third of it means too many small reads and writes.",
                tune="batching, on the I/O dashboard; uvloop.",
                stacked=True,
            ),
            Panel(
                title="CPU per stream",
                queries=(Query(Rate("process.cpu.time") / Rate("h2o.streams"), "mean"),),
                what="CPU time of the processes for each stream that ended, the application's included.",
                healthy="falls with load, since batches grow; steady from release to release.",
                tune="compile it: Build, on the telemetry dashboard, says whether it is.",
                unit="s",
            ),
            Panel(
                title="File descriptors",
                queries=(Query(Level("process.unix.file_descriptor.count", by="instance")),),
                healthy="connections plus a few dozen.",
                tune="`ulimit -n`; `ServerLimits.connections_max` must stay below it.",
            ),
            Panel(
                title="Threads",
                queries=(Query(Level("process.thread.count", by="instance")),),
                healthy="constant.",
                tune="executors of the application.",
            ),
        ),
        (
            Panel(
                title="Applications running",
                queries=(Query(Level("h2o.asgi.handlers", by="h2o.asgi.state")),),
                healthy="running follows the load; waiting is 0.",
                tune="waiting: `ServerLimits.running_handlers_max` per connection, `limit_concurrency` over all.",
                stacked=True,
            ),
            Panel(
                title="Fields dropped",
                queries=(Query(Rate("h2o.asgi.fields.dropped"), "dropped"),),
                healthy="0.",
                tune="the application or its framework sends fields such as `connection`, which mean nothing in HTTP/2.",
            ),
            Panel(
                title="Context switches",
                queries=(Query(Rate("process.context_switches", by="process.context_switch.type")),),
                healthy="involuntary ones are few.",
                tune="involuntary: more processes want CPU than there are cores; fewer processes, or a higher CPU quota.",
            ),
        ),
    ),
)

RUNTIME = Dashboard(
    uid="h2o-runtime",
    title="h2o-otel / Runtime",
    description="Is the event loop blocked, is CPU short, and is time spent in the application or in the runtime?",
    rows=(_LOOP, _PROCESS),
)

_COST = Row(
    "Cost of telemetry",
    (
        (
            Panel(
                title="Time in telemetry",
                queries=(Query(Rate("h2o.telemetry.time", by="h2o.reason")),),
                what="Share of one core: collecting metrics, building spans, writing log events.",
                healthy="under 1 % at level metrics.",
                tune="level (`off`, `metrics`, `traces`, `detail`), sampling, the collection interval.",
                stacked=True,
                thresholds=(Threshold(0.02, "warning"), Threshold(0.05, "bad")),
            ),
            Panel(
                title="Telemetry's share of CPU",
                queries=(Query(Rate("h2o.telemetry.time") / Rate("process.cpu.time"), "telemetry"),),
                what="Time in telemetry over the CPU time of the processes.",
                healthy="under 5 %.",
                tune="see the panel to the left.",
                thresholds=(Threshold(0.05, "warning"), Threshold(0.1, "bad")),
            ),
            Panel(
                title="Time per recorded span",
                queries=(
                    Query(
                        Rate("h2o.telemetry.time", is_("h2o.reason", "spans")) / Rate("h2o.telemetry.spans", is_("h2o.result", "recorded")),
                        "span",
                    ),
                ),
                healthy="under 10 us.",
                tune="level `detail` adds a span for each layer.",
                unit="s",
                empty="no spans",
            ),
        ),
        (
            Panel(
                title="Spans",
                queries=(Query(Rate("h2o.telemetry.spans", by="h2o.result")),),
                healthy="nothing dropped.",
                tune="dropped: `OTEL_BSP_MAX_QUEUE_SIZE`, or a lower sampling ratio; none at all: the level is below `traces`.",
                stacked=True,
            ),
            Panel(
                title="Log events",
                queries=(Query(Rate("h2o.telemetry.logs", by="h2o.result")),),
                healthy="few, nothing dropped. Suppressed ones are repeats that one peer caused.",
                tune="`EngineLimits.log_lines_per_s`.",
            ),
            Panel(
                title="Log lines lost",
                queries=(Query(Rate("h2o.log.dropped", by="h2o.reason")),),
                healthy="0.",
                tune="queue_full: lines come faster than they can be written, so turn `--access-log` off or raise "
                "`EngineLimits.log_queue_lines_max`; write_failed: the disk is full, or the pipe is not read.",
            ),
            Panel(
                title="Exports",
                queries=(Query(Rate("h2o.telemetry.exports", by=("h2o.telemetry.signal", "h2o.result"))),),
                healthy="success only.",
                tune="failure: is the collector up at `OTEL_EXPORTER_OTLP_ENDPOINT`? Requests are not affected.",
            ),
        ),
        (
            Panel(
                title="Build",
                kind="table",
                queries=(
                    Query(
                        Level(
                            "h2o.build.info", by=("instance", "h2o.version", "h2o.compiled", "h2o.tls.backend", "process.runtime.version")
                        ),
                        "{instance}",
                    ),
                ),
                what="Each process: version, whether its modules are compiled, TLS library, Python.",
                healthy="one version, compiled everywhere.",
                tune="`pip install` with a C compiler, or the wheel of your platform.",
            ),
        ),
    ),
)

TELEMETRY = Dashboard(
    uid="h2o-telemetry",
    title="h2o-otel / Telemetry cost",
    description="What does telemetry cost, and is all of it exported?",
    rows=(_COST,),
)
