"""The reference page of the documentation, generated from the catalogue.

``python -m h2o_otel.telemetry.reference docs/telemetry.md`` writes it; a test says when it is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from .catalogue import EVENTS, INSTRUMENTS, SPANS, Attribute, Instrument

__all__ = ["page"]

_LAYERS = {
    "request": "Requests",
    "buffers": "Buffers",
    "hpack": "HPACK",
    "frames": "Frames",
    "streams": "Streams and flow control",
    "pool": "Connection pool",
    "tls": "TLS",
    "memory": "Memory",
    "protocol": "Protocol",
    "io": "I/O",
    "runtime": "Runtime",
}
_STABILITY = {"stable": "stable", "rc": "release candidate", "dev": "development", "own": "own"}
_VALUES_MAX = 8

_INTRODUCTION = """\
# Telemetry reference

This page is generated from `h2o_otel/telemetry/catalogue.py`; change that and run
`python -m h2o_otel.telemetry.reference docs/telemetry.md`.

Everything that the runtime emits is here, and nothing else is emitted.
Names follow the OpenTelemetry semantic conventions where one exists; the rest begins with `h2o.`.

## Turning it on

```python
from h2o_otel.telemetry import configure

telemetry = configure("my-service", level="traces", otlp="http://localhost:4318", prometheus_port=9464)
```

`configure()` is called once per process, after the fork.
Without it, clients and servers use the providers that the application has set (`default()`).
[With other telemetry](telemetry-beside.md) says what happens to providers, Views and instrumentation that are there already.

| level | what it adds |
|---|---|
| `off` | nothing; also with `OTEL_SDK_DISABLED=true` |
| `metrics` | the instruments below (default) |
| `traces` | a span for each sampled request, connection setup and abnormal end |
| `detail` | a child span for each layer's work in a sampled request; for development |

Environment, honoured also by `h2o-otel serve`:

| variable | here |
|---|---|
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SDK_DISABLED` | as specified |
| `OTEL_EXPORTER_OTLP_*` | as specified; `..._PROTOCOL` is `http/protobuf` or `grpc` |
| `OTEL_{TRACES,METRICS,LOGS}_EXPORTER` | `otlp`, `console`, `none`, for metrics `prometheus`; they overrule `otlp=True`, not an endpoint |
| `OTEL_EXPORTER_PROMETHEUS_HOST`, `..._PORT` | of the endpoint that `OTEL_METRICS_EXPORTER=prometheus` opens (127.0.0.1, 9464) |
| `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`, `OTEL_BLRP_*`, `OTEL_METRIC_EXPORT_*` | as in the SDK |
| `OTEL_PROPAGATORS` | as specified, as is `set_global_textmap()`; others than W3C's cost a call for each request |
| `OTEL_METRICS_EXEMPLAR_FILTER` | `trace_based` or `always_off` |
| `OTEL_PYTHON_EXCLUDED_URLS` | requests whose URL matches have no spans and no request metrics; also `configure(excluded_urls=...)` |
| `H2O_OTEL_TELEMETRY` | the level of `default()` |

What a variable asks for and cannot be had is named once in a warning.

A process that ends exports what it still has: all signals beside each other, within `EngineLimits.telemetry_shutdown_s`.

An exporter that is down, slow or raising never blocks, slows or breaks a request.
`h2o.telemetry.exports`, `h2o.telemetry.spans` and `h2o.telemetry.logs` count what it did.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_INTRODUCTION, *_metrics(), *_spans(), *_events()]).rstrip() + "\n"


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield (
        "The last column names the Prometheus series. An attribute whose values are not listed is bounded by what stands in parentheses;\n"
        "a label set beyond 512 of one instrument is counted under `other`. Families of more than 24 series export only those that were\n"
        "ever touched. Histograms of requests carry exemplars: the trace id of the last sampled request of each bucket.\n"
    )
    for layer, title in _LAYERS.items():
        yield f"### {title}\n"
        yield "| instrument | kind | unit | attributes | what it tells | stability | Prometheus |"
        yield "|---|---|---|---|---|---|---|"
        for instrument in INSTRUMENTS:
            if instrument.layer == layer:
                yield _row(instrument)
        yield ""


def _row(instrument: Instrument) -> str:
    attributes = "<br>".join(_attribute(a) for a in instrument.attributes) or "-"
    return (
        f"| `{instrument.name}` | {instrument.kind} | `{instrument.unit}` | {attributes} | {instrument.why} "
        f"| {_STABILITY[instrument.stability]} | `{instrument.prometheus}` |"
    )


def _attribute(attribute: Attribute) -> str:
    if not attribute.values:
        return f"`{attribute.name}` ({attribute.bound})"
    shown = ", ".join(attribute.values[:_VALUES_MAX])
    more = f", and {len(attribute.values) - _VALUES_MAX} more" if len(attribute.values) > _VALUES_MAX else ""
    return f"`{attribute.name}`: {shown}{more}"


def _spans() -> Iterator[str]:
    yield "## Spans\n"
    yield "| span | kind | when | attributes |"
    yield "|---|---|---|---|"
    for span in SPANS:
        yield f"| `{span.name}` | {span.kind} | {span.when} | {', '.join(f'`{a}`' for a in span.attributes) or '-'} |"
    yield ""


def _events() -> Iterator[str]:
    yield "## Log events\n"
    yield (
        "Events marked limited can be caused by a peer at will: at most `EngineLimits.log_lines_per_s` of each kind are logged,\n"
        "and the next one says in `h2o.suppressed` how many were not.\n"
    )
    yield "| event | level | what happened | limited | attributes |"
    yield "|---|---|---|---|---|"
    for event in EVENTS:
        fields = ", ".join(f"`{a}`" for a in event.attributes)
        yield f"| `{event.name}` | {event.level} | {event.why} | {'yes' if event.limited else '-'} | {fields} |"
    yield ""


def pages() -> dict[str, str]:
    """For ``scripts/generate.py``: the text of each generated file."""
    return {"docs/telemetry.md": page()}


def main(arguments: list[str]) -> int:
    """Write the page to the file given, or to standard output."""
    if arguments:
        Path(arguments[0]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
