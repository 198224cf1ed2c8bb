"""One switch per optimisation, in one frozen dataclass: what the ablation benchmark turns off row by row.

A leaf.  Off means the plain way that a competent author would have written, or the reference
library, never a version slowed on purpose.  A switch is read once, when a connection or a pool is
built, never per frame.  Section numbers are those of the optimisation list in the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from .limits import changes

__all__ = ["Tuning"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tuning:
    """Which optimisations a connection uses; immutable, so it can be shared."""

    # -- 1 buffers
    buffer_pool: bool = True
    buffer_thread_cache: bool = True
    buffer_tracking: bool = True
    buffer_slices: bool = True
    buffer_reuse: bool = True

    # -- 2 HPACK
    hpack_static_forms: bool = True
    hpack_ring_table: bool = True
    hpack_name_cache: bool = True
    hpack_parallel: bool = False

    # -- 4 streams
    stream_pool: bool = False
    stream_state_table: bool = True
    stream_priorities: bool = True
    stream_window_batching: bool = True
    stream_tracking: bool = True

    # -- 5 frames
    frame_batching: bool = True
    frame_size_classes: bool = True
    frame_dispatch_table: bool = True
    frame_validation_cache: bool = True
    frame_metrics: bool = True

    # -- 7 memory
    memory_budget: bool = True
    memory_interning: bool = True
    memory_trimming: bool = True
    memory_heap_kept: bool = True
    memory_gc_freeze: bool = True

    # -- 8 protocol
    protocol_adaptive_compression: bool = True
    protocol_fair_scheduling: bool = True
    protocol_window_tuning: bool = True
    protocol_push: bool = True
    protocol_recovery: bool = True

    def __repr__(self) -> str:
        return changes(self)

    @classmethod
    def baseline(cls) -> Tuning:
        """Everything off."""
        return cls(**{field.name: False for field in fields(cls)})

    @classmethod
    def parse(cls, text: str) -> Tuning:
        """From a command line: names of switches with commas, ``-`` in front turns one off; ``baseline`` first turns all off.

        Raises:
            ValueError: there is no such switch; the text names it.
        """
        known = {field.name for field in fields(cls)}
        changes: dict[str, bool] = {}
        names = [name.strip() for name in text.split(",") if name.strip()]
        base = cls()
        if names[:1] == ["baseline"]:
            base = cls.baseline()
            del names[0]
        for name in names:
            plain = name.removeprefix("-")
            if plain not in known:
                raise ValueError(f"there is no switch {plain!r}; there are {', '.join(sorted(known))}")
            changes[plain] = plain == name
        return replace(base, **changes)
