"""Which resources of a server are short: memory, connections, or the handlers of a connection.

While none is, clients may pause for long; while one is, bodies have to make progress
(``EngineLimits.pressure_percent``).  Entry and exit are logged, and a gauge shows what is short.
"""

from __future__ import annotations

from typing import Any

from .. import counters
from ..io.loop import Loop
from ..limits import ServerLimits
from ..memory.budget import eased, local_budget
from ..memory.machine import process_bytes_max

__all__ = ["CONNECTIONS", "HANDLERS", "MEMORY", "Pressure", "threshold"]

MEMORY, CONNECTIONS, HANDLERS = range(len(counters.PRESSURES))
# The limits that say how much there is, by resource.
_LIMITS = ("memory_process_bytes_max", "connections_max", "running_handlers_max")
# While memory is short, it is looked at this often, whether or not a connection does anything.
_LOOK_S = 1.0


def threshold(limits: ServerLimits, most: int) -> int:
    """Of ``most``, what can be used before it is short."""
    return most * limits.pressure_percent // 100


class Pressure:
    """The resources that the connections of a server on one loop share.

    Args:
        loop: of the connections.
        limits: of the server.
        log: where entry and exit are reported.
        block: counters of the loop's thread.
    """

    def __init__(self, loop: Loop, limits: ServerLimits, log: Any, block: counters.Counters) -> None:
        self._loop = loop
        self._limits = limits
        self._log = log
        self._block = block
        self._threshold = threshold(limits, limits.connections_max)
        self._connections_short = False
        self._memory_short = False
        self._timer: Any = None
        self._budget = local_budget(
            block, process_bytes_max(limits), limits.memory_shrink_percent, limits.memory_refuse_percent, limits.pressure_percent
        )
        self._budget.watchers.add(self)
        self.memory_changed()

    def short_of(self) -> str:
        """What is short of what all connections share, beside memory, which engines know of; "" for nothing."""
        return "connections" if self._connections_short else ""

    def connections_changed(self, number: int) -> None:
        """``number`` connections are open now."""
        if not self._connections_short:
            if number > self._threshold:
                self._connections_short = True
                self._entered(CONNECTIONS, number, self._limits.connections_max)
        elif number <= eased(self._threshold):
            self._connections_short = False
            self._left(CONNECTIONS, number, self._limits.connections_max)

    def memory_changed(self) -> None:
        """The budget of the thread says that memory is short, or is not any more."""
        budget = self._budget
        if budget.short == self._memory_short:
            return
        self._memory_short = budget.short
        if budget.short:
            self._entered(MEMORY, budget.used_bytes, budget.bytes_max)
            self._look()
        else:
            self._left(MEMORY, budget.used_bytes, budget.bytes_max)

    def _look(self) -> None:
        self._timer = None
        self._budget.check(self._loop.now())
        if self._memory_short and self._timer is None:
            self._timer = self._loop.call_at(self._loop.now() + _LOOK_S, self._look)

    def _entered(self, resource: int, used: int, most: int) -> None:
        self.count(resource, 1)
        self._log.emit("h2o.pressure.entered", self.entry(resource, used, most))

    def _left(self, resource: int, used: int, most: int) -> None:
        self.count(resource, -1)
        self._log.emit("h2o.pressure.left", self.fields(resource, used, most))

    def count(self, resource: int, n: int) -> None:
        """``resource`` is short once more (1), or once less (-1)."""
        self._block.add("pressure", resource, n)

    def entry(self, resource: int, used: int, most: int) -> dict[str, Any]:
        """The fields of the event that says that ``resource`` is short."""
        name = _LIMITS[resource]
        hint = (
            f"bodies must make progress while more than {self._limits.pressure_percent} % of it is in use:"
            f" raise it with --limit {name}=VALUE, or --limit pressure_percent=VALUE"
        )
        return {**self.fields(resource, used, most), "h2o.hint": hint}

    def fields(self, resource: int, used: int, most: int) -> dict[str, Any]:
        """The fields of an event about ``resource``."""
        return {
            "h2o.resource": counters.PRESSURES[resource],
            "h2o.limit.name": _LIMITS[resource],
            "h2o.limit.value": most,
            "h2o.limit.actual": used,
        }

    def close(self) -> None:
        """The server has ended: what was short is not shown any more."""
        self._budget.watchers.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._memory_short:
            self._memory_short = False
            self.count(MEMORY, -1)
        if self._connections_short:
            self._connections_short = False
            self.count(CONNECTIONS, -1)
