"""The optimisations on the command line, ``--tuning``, and the list of them all, ``--list-tuning``."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import fields
from typing import Any

from ..tuning import Tuning
from ._leaving import flush_standard_streams

__all__ = ["SENSIBLE", "SWITCHES", "add_options", "list_tuning", "tuning"]

# The effect of each switch of Tuning on a server.
SWITCHES = {
    "buffer_pool": "buffers are kept for reuse by size class",
    "buffer_thread_cache": "each thread keeps idle buffers of its own, without a lock",
    "buffer_tracking": "buffers in use are counted, leaks and double releases reported",
    "buffer_slices": "large bodies are sent without being copied",
    "buffer_reuse": "one receive buffer serves all connections of an event loop",
    "hpack_static_forms": "common response headers are encoded from prepared bytes",
    "hpack_ring_table": "the HPACK table is our own ring, not that of the hpack library",
    "hpack_name_cache": "header names that were checked are remembered",
    "hpack_parallel": "very large header sections are decoded in threads",
    "stream_pool": "stream objects are used again",
    "stream_state_table": "stream states are looked up in a flat table",
    "stream_priorities": "responses are sent in the order of RFC 9218",
    "stream_window_batching": "WINDOW_UPDATE frames are sent for half a window at once",
    "stream_tracking": "open streams and their outcomes are counted",
    "frame_batching": "the frames of one read are parsed together, and written together",
    "frame_size_classes": "output buffers begin with the size of the first frame",
    "frame_dispatch_table": "frame headers are checked by a table",
    "frame_validation_cache": "header fields that were checked are not checked again",
    "frame_metrics": "frames are counted",
    "memory_budget": "memory is accounted for by connection and bounded by process",
    "memory_interning": "connections share equal header values",
    "memory_trimming": "idle buffers are given back to the system",
    "memory_heap_kept": "memory of freed bodies is kept for the next ones",
    "memory_gc_freeze": "the garbage collector leaves the loaded application alone",
    "protocol_adaptive_compression": "the HPACK table grows where that saves bytes",
    "protocol_fair_scheduling": "connections and urgencies take turns",
    "protocol_window_tuning": "receive windows grow to what the link needs",
    "protocol_push": "server push is offered where the client allows it",
    "protocol_recovery": "refused requests are marked as safe to send again",
}
# The others exist to be measured by the ablation benchmark.
SENSIBLE = ("stream_priorities", "protocol_window_tuning", "protocol_push", "memory_heap_kept", "memory_gc_freeze", "hpack_parallel")


def add_options(group: Any) -> None:
    """``--tuning`` and ``--list-tuning``."""
    group.add_argument(
        "--tuning",
        type=tuning,
        metavar="SWITCHES",
        help="optimisations to turn off (-stream_priorities) or on, with commas; or baseline for none",
    )
    group.add_argument("--list-tuning", action=_List, help="print every switch of --tuning with its effect, and exit")


class _List(argparse.Action):
    """Prints and exits, as ``--help`` does; needs no application."""

    def __init__(self, option_strings: list[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        # The reader may close the pipe early: | head
        with contextlib.suppress(OSError):
            print(list_tuning())
        flush_standard_streams()
        parser.exit()


def list_tuning() -> str:
    """One line for each switch."""
    lines = ["Switches of --tuning: NAME turns one on, -NAME off, baseline (first) turns all off.", ""]
    lines += ["A user may have a reason to change these:", *map(_switch_line, SENSIBLE), ""]
    lines += ["The others are for measuring what each optimisation is worth:"]
    lines += [_switch_line(field.name) for field in fields(Tuning) if field.name not in SENSIBLE]
    return "\n".join(lines)


def _switch_line(name: str) -> str:
    return f"  {name:<30} {'on ' if getattr(Tuning(), name) else 'off'}  {SWITCHES[name]}"


def tuning(text: str) -> Tuning:
    try:
        return Tuning.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
