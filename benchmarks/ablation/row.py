"""What a row of the ablation is.

A layer's rows are in ``rows_<layer>.py`` beside this file, in a list ``ROWS``; the runner finds
them by that name.  A row names the switch of ``Tuning`` that it turns, and makes the work that
shows what the switch is good for:

    ROWS = [Row("5.3", "dispatch by table", "frame_dispatch_table", FRAMES, make=ControlFrames)]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from h2o_otel.tuning import Tuning

__all__ = ["GOALS", "Row", "Workload"]

# What a row wants less of.  Everything is measured for every row; this decides the verdict.
GOALS = ("cpu", "allocations", "wire", "memory", "gc", "latency")


class Workload:
    """Some work, built for one ``Tuning``; ``run`` is what is measured.

    Attributes:
        unit: what ``run`` counts.
        wire_bytes: octets that went over the wire since it was made, both ways; 0 where there is no wire.
    """

    unit = "request"
    wire_bytes = 0

    def run(self, n: int) -> None:
        """Do ``n`` units; an exception when one of them was not done, so that nothing is measured that did not happen."""
        raise NotImplementedError(type(self).__name__)

    def close(self) -> None:
        """Give back what outlives the object, such as threads and sockets."""


@dataclass(frozen=True)
class Row:
    """One optimisation.

    Attributes:
        number: of the checklist, such as "5.3".
        name: a few words.
        switch: the field of ``Tuning``; several, with commas, where they only make sense together.
        estimate: the checklist's goal for the layer.
        make: builds the work for a ``Tuning``.
        goal: what it should lower, one of ``GOALS``.
        note: what a reader must know about the off side, such as the reference part that takes over.
        base: the ``Tuning`` that the switch is turned in.
    """

    number: str
    name: str
    switch: str
    estimate: str
    make: Callable[[Tuning], Workload]
    goal: str = "cpu"
    note: str = ""
    base: Tuning = field(default_factory=Tuning)

    def __post_init__(self) -> None:
        if self.goal not in GOALS:
            raise ValueError(f"row {self.number}: goal is {self.goal!r}; there are {', '.join(GOALS)}")
        self.tuning(True)

    def tuning(self, on: bool) -> Tuning:
        """The base with this row's switches on, or off."""
        return replace(self.base, **{name.strip(): on for name in self.switch.split(",")})
