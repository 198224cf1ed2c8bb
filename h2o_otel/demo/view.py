"""The output of the demo: tables with rich on a terminal, elsewhere one line of figures a second, and totals at the end."""

from __future__ import annotations

import io
import re
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from .figures import Figures

if TYPE_CHECKING:
    from .load import Load

__all__ = ["LEGEND", "NEXT", "LiveView", "PlainView", "RecentLines", "line", "octets", "say", "seconds", "summary"]


def octets(n: float) -> str:
    """A size in readable units."""
    for unit in ("B", "KiB", "MiB"):
        if abs(n) < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"


def seconds(s: float) -> str:
    """A duration in readable units."""
    if s < 0.001:
        return f"{s * 1e6:.0f} us"
    return f"{s * 1e3:.1f} ms" if s < 1 else f"{s:.2f} s"


def say(text: str) -> None:
    """Print a line and flush it, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# A console line of telemetry/logs.py begins with the date and names its logger, which is always ``h2o_otel``.
_DATE = re.compile(r"^\d{4}-\d\d-\d\dT|\.\d+Z|\[h2o_otel\] ")
# Three boxes beside each other, and their legend below; on a smaller terminal the figures of a layer share a line.
_BOXES_WIDTH, _BOXES_HEIGHT = 114, 32

# Explains the figures and log lines, since the load provokes errors on purpose.
LEGEND = (
    "A client calls two servers over TLS, and a part of it misbehaves on purpose: resets, floods, stalls.",
    "So warnings, errors and 'provoked ends' are expected; 'unexpected' counts real faults and stays 0.",
)
NEXT = "next: docs/quickstart.md for a service of your own, docker compose up for the same figures in Grafana"

Rows = list[tuple[str, str]]


class RecentLines(io.StringIO):
    """Log events for the live view: the last few, a line each."""

    def __init__(self, kept: int = 5) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=kept)

    def write(self, text: str) -> int:
        # The first line is the event; a traceback after it is not shown.
        if event := text.partition("\n")[0].strip():
            self._lines.append(" ".join(_DATE.sub("", event).split()))
        return len(text)

    def lines(self) -> list[str]:
        return list(self._lines)


class PlainView:
    """One line a second, for pipes and logs."""

    def __enter__(self) -> PlainView:
        for text in LEGEND:
            say(f"  {text}")
        return self

    def __exit__(self, *exception: object) -> None:
        """Restores nothing: plain output changes no terminal state."""

    def show(self, figures: Figures, load: Load | None) -> None:
        say(line(figures, load))


class LiveView:
    """Tables that are drawn again every second."""

    def __init__(self, title: str, recent: RecentLines | None = None) -> None:
        from rich.live import Live

        self._title = title
        self._recent = recent
        self._live = Live(auto_refresh=False, transient=False, vertical_overflow="crop")

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._live.__exit__(*exception)

    def show(self, figures: Figures, load: Load | None) -> None:
        self._live.update(self.render(figures, load), refresh=True)

    def render(self, f: Figures, load: Load | None) -> Any:
        """The whole view as a renderable of rich."""
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        size = self._live.console.size
        roomy = size.width >= _BOXES_WIDTH and size.height >= _BOXES_HEIGHT
        parts = [_boxes(layers(f, load)) if roomy else _lines(layers(f, load))]
        if self._recent is not None and (events := self._recent.lines()):
            parts.append(Text("\n".join(events), style="dim", no_wrap=True, overflow="ellipsis"))
        if roomy:
            parts.append(Text("\n".join((*LEGEND, NEXT)), style="dim italic", no_wrap=True, overflow="ellipsis"))
        subtitle = "Ctrl-C ends it" if roomy else "faults are provoked on purpose; 'unexpected' stays 0 · Ctrl-C ends it"
        return Panel(Group(*parts), title=self._title, subtitle=subtitle, border_style="blue")


def _boxes(found: dict[str, Rows]) -> Any:
    """A box for each layer."""
    from rich.columns import Columns
    from rich.panel import Panel
    from rich.table import Table

    boxes = []
    for name, rows in found.items():
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for label, value in rows:
            table.add_row(label, value)
        boxes.append(Panel(table, title=name, border_style="cyan", width=36))
    return Columns(boxes, equal=True, expand=False)


def _lines(found: dict[str, Rows]) -> Any:
    """A line or two for each layer, for small terminals."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, rows in found.items():
        figures = Text()
        for label, value in rows:
            # No-break spaces: a figure stays on the line of its label.
            figures.append(f"{label} ".replace(" ", "\u00a0"), style="dim")
            figures.append_text(Text.from_markup(value.replace(" ", "\u00a0")))
            figures.append("  ")
        table.add_row(name.partition(" ")[0], figures)
    return table


def layers(f: Figures, load: Load | None) -> dict[str, Rows]:
    """Label and value of the figures shown for each layer."""
    unexpected = sum(load.unexpected.values()) if load else 0
    return {
        "Requests": [
            ("rate", f"{f.requests:.0f}/s"),
            ("p50", seconds(f.p50)),
            ("p95", seconds(f.p95)),
            ("p99", seconds(f.p99)),
            ("5xx", f"{f.errors:.1f}/s"),
        ],
        "Frames": [
            ("sent", f"{f.frames_sent:.0f}/s"),
            ("received", f"{f.frames_received:.0f}/s"),
            ("per write", f"{f.frames_per_write:.1f}"),
        ],
        "HPACK": [("of plain size", f"{f.hpack_ratio:.0%}"), ("fields from a table", f"{f.hpack_indexed:.0%}")],
        "Streams and flow control": [
            ("open", f"{f.streams}"),
            ("resets", f"{f.resets:.1f}/s"),
            ("stalls", f"{f.stalls:.1f}/s"),
            ("server may send", octets(f.window_send)),
            ("unread", octets(f.unread)),
        ],
        "I/O": [
            ("wire", f"{octets(f.octets)}/s"),
            ("writes", f"{f.writes:.0f}/s"),
            ("reads", f"{f.reads:.0f}/s"),
            ("pauses", f"{f.pauses:.1f}/s"),
            ("to be written", octets(f.write_queue)),
        ],
        "TLS": [("handshakes", f"{f.handshakes:.1f}/s"), ("records", f"{f.records:.0f}/s")],
        "Pool": [("connections", f"{f.connections}"), ("reused", f"{f.reused:.0%}"), ("queued", f"{f.queued}")],
        "Memory": [
            ("resident", octets(f.resident)),
            ("buffers in use", octets(f.buffers_in_use)),
            ("from the pool", f"{f.buffers_hits:.0%}"),
            ("collections", f"{f.gc_pauses:.1f}/s"),
            ("longest", seconds(f.gc_longest)),
        ],
        "Loop and load": [
            ("busy", f"{f.loop_busy:.0%}"),
            ("lag p99", seconds(f.loop_lag_p99)),
            ("scenes", f"{load.finished if load else 0}"),
            ("provoked ends", f"{sum(load.wanted.values()) if load else 0}"),
            ("unexpected", f"[bold red]{unexpected}[/]" if unexpected else "0"),
        ],
    }


def line(f: Figures, load: Load | None) -> str:
    """The figures of one second as ``name=value`` pairs."""
    pairs = {
        "req/s": f"{f.requests:.0f}",
        "err/s": f"{f.errors:.1f}",
        "unexpected": str(sum(load.unexpected.values()) if load else 0),
        "p50": seconds(f.p50).replace(" ", ""),
        "p99": seconds(f.p99).replace(" ", ""),
        "frames/s": f"{f.frames_sent + f.frames_received:.0f}",
        "hpack": f"{f.hpack_ratio:.0%}",
        "streams": str(f.streams),
        "resets/s": f"{f.resets:.1f}",
        "stalls/s": f"{f.stalls:.1f}",
        "unread": octets(f.unread).replace(" ", ""),
        "buffers": octets(f.buffers_in_use).replace(" ", ""),
        "conns": str(f.connections),
        "tls/s": f"{f.handshakes:.1f}",
        "io": f"{octets(f.octets).replace(' ', '')}/s",
        "writes/s": f"{f.writes:.0f}",
        "gc/s": f"{f.gc_pauses:.1f}",
        "lag99": seconds(f.loop_lag_p99).replace(" ", ""),
    }
    return " ".join(f"{name}={value}" for name, value in pairs.items())


def summary(total: Figures, load: Load | None, duration_s: float) -> str:
    """A summary of the run in a few lines, with totals."""
    t = total.seconds
    lines = [
        "",
        f"{duration_s:.1f} s: {sum(total.statuses.values())} requests answered, {total.requests * t:.0f} of the client ended; statuses "
        + (" ".join(f"{k}:{v}" for k, v in total.statuses.items()) or "none"),
        f"latency: p50 {seconds(total.p50)}, p95 {seconds(total.p95)}, p99 {seconds(total.p99)}",
        f"frames: {total.frames_sent * t:.0f} sent, {total.frames_received * t:.0f} received, {total.frames_per_write:.1f} per write",
        f"hpack: {total.hpack_ratio:.0%} of plain size, {total.hpack_indexed:.0%} of fields from a table",
        f"streams: {total.resets * t:.0f} resets, {total.stalls * t:.0f} stalls of flow control",
        f"io: {octets(total.octets * t)} in {total.writes * t:.0f} writes and {total.reads * t:.0f} reads, {total.pauses * t:.0f} pauses",
        f"tls: {total.handshakes * t:.0f} handshakes, {total.records * t:.0f} records",
        f"pool: {total.reused:.0%} of requests on an open connection",
        f"memory: {octets(total.resident)} resident, {total.gc_pauses * t:.0f} collections, the longest {seconds(total.gc_longest)}",
        f"loop: {total.loop_busy:.0%} busy, lag p99 {seconds(total.loop_lag_p99)}",
    ]
    if load is not None:
        wanted = ", ".join(f"{n} {kind}" for kind, n in sorted(load.wanted.items())) or "none"
        unexpected = ", ".join(f"{n} x {kind}" for kind, n in sorted(load.unexpected.items())) or "none"
        lines.append(f"load: {load.finished} of {load.started} scenes ended in order, {load.skipped} skipped; provoked: {wanted}")
        lines.append(f"unexpected: {unexpected}")
    lines.append(NEXT)
    return "\n".join(lines)
