"""The live view: tables with rich on a terminal, one plain line of figures a second elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .figures import Figures

if TYPE_CHECKING:
    from .load import Load

__all__ = ["LiveView", "PlainView", "line", "octets", "say", "seconds", "summary"]


def octets(n: float) -> str:
    """A size for people."""
    for unit in ("B", "KiB", "MiB"):
        if abs(n) < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"


def seconds(s: float) -> str:
    """A duration for people."""
    if s < 0.001:
        return f"{s * 1e6:.0f} us"
    return f"{s * 1e3:.1f} ms" if s < 1 else f"{s:.2f} s"


def say(text: str) -> None:
    """A line for whoever started the demo, at once even into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class PlainView:
    """One line a second, for pipes and logs."""

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to put back."""

    def show(self, figures: Figures, load: Load | None) -> None:
        say(line(figures, load))


class LiveView:
    """Tables that are drawn again every second."""

    def __init__(self, title: str) -> None:
        from rich.live import Live

        self._title = title
        self._live = Live(auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._live.__exit__(*exception)

    def show(self, figures: Figures, load: Load | None) -> None:
        self._live.update(self.render(figures, load), refresh=True)

    def render(self, f: Figures, load: Load | None) -> Any:
        """The whole picture, as something that rich can draw."""
        from rich.columns import Columns
        from rich.panel import Panel
        from rich.table import Table

        def box(name: str, rows: list[tuple[str, str]]) -> Any:
            table = Table.grid(padding=(0, 2))
            table.add_column(style="dim")
            table.add_column(justify="right")
            for label, value in rows:
                table.add_row(label, value)
            return Panel(table, title=name, border_style="cyan", width=36)

        boxes = [
            box(
                "Requests",
                [
                    ("rate", f"{f.requests:.0f} /s"),
                    ("p50 / p95 / p99", f"{seconds(f.p50)} / {seconds(f.p95)} / {seconds(f.p99)}"),
                    ("statuses", " ".join(f"{k}:{v}" for k, v in f.statuses.items()) or "-"),
                ],
            ),
            box(
                "Frames",
                [
                    ("sent / received", f"{f.frames_sent:.0f} / {f.frames_received:.0f} /s"),
                    ("frames per write", f"{f.frames_per_write:.1f}"),
                    ("HPACK, of plain", f"{f.hpack_ratio:.0%}"),
                    ("fields from a table", f"{f.hpack_indexed:.0%}"),
                ],
            ),
            box(
                "Streams and flow control",
                [
                    ("open", f"{f.streams}"),
                    ("resets", f"{f.resets:.1f} /s"),
                    ("stalls", f"{f.stalls:.1f} /s"),
                    ("server may send", octets(f.window_send)),
                    ("received, unread", octets(f.unread)),
                ],
            ),
            box(
                "I/O and TLS",
                [
                    ("wire", f"{octets(f.octets)}/s"),
                    ("writes", f"{f.writes:.0f} /s"),
                    ("connections", f"{f.connections}"),
                    ("handshakes", f"{f.handshakes:.1f} /s"),
                    ("records", f"{f.records:.0f} /s"),
                ],
            ),
            box(
                "Memory",
                [
                    ("buffers in use", octets(f.buffers_in_use)),
                    ("pool hits", f"{f.buffers_hits:.0%}"),
                    ("collections", f"{f.gc_pauses:.1f} /s"),
                    ("longest pause", seconds(f.gc_longest)),
                ],
            ),
            box(
                "Loop and load",
                [
                    ("loop busy", f"{f.loop_busy:.0%}"),
                    ("loop lag p99", seconds(f.loop_lag_p99)),
                    ("scenes ended", f"{load.finished if load else 0}"),
                    ("provoked ends", f"{sum(load.wanted.values()) if load else 0}"),
                    ("unexpected", f"{sum(load.unexpected.values()) if load else 0}"),
                ],
            ),
        ]
        return Panel(Columns(boxes, equal=True, expand=False), title=self._title, subtitle="Ctrl-C ends it", border_style="blue")


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
    """What happened, in a few lines."""
    requests = sum(total.statuses.values())
    lines = [
        "",
        f"{duration_s:.1f} s: {requests} requests answered, {total.requests:.0f} /s of the client; statuses "
        + (" ".join(f"{k}:{v}" for k, v in total.statuses.items()) or "none"),
        f"latency: p50 {seconds(total.p50)}, p95 {seconds(total.p95)}, p99 {seconds(total.p99)}",
        (
            f"frames: {total.frames_sent:.0f} sent and {total.frames_received:.0f} received a second, "
            f"{total.frames_per_write:.1f} per write; "
            f"HPACK {total.hpack_ratio:.0%} of plain, {total.hpack_indexed:.0%} of fields from a table"
        ),
        (
            f"streams: {total.resets:.1f} resets and {total.stalls:.1f} stalls a second; wire {octets(total.octets)}/s; "
            f"{total.handshakes:.1f} handshakes a second; loop {total.loop_busy:.0%} busy"
        ),
    ]
    if load is not None:
        wanted = ", ".join(f"{n} {kind}" for kind, n in sorted(load.wanted.items())) or "none"
        unexpected = ", ".join(f"{n} x {kind}" for kind, n in sorted(load.unexpected.items())) or "none"
        lines.append(f"load: {load.finished} of {load.started} scenes ended in order, {load.skipped} skipped; provoked: {wanted}")
        lines.append(f"unexpected: {unexpected}")
    return "\n".join(lines)
