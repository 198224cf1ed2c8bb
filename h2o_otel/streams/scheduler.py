"""Which stream may write next: RFC 9218 urgency, then request order or turns within it.

Two queues per urgency (RFC 9218 §10).  Streams that are not incremental stand in request order and
the first is written to its end; behind them the incremental ones take turns.  Every
``starved_every``-th pick goes to the next queue that has something, counted round through all of
them, so that nothing waits for ever behind a peer that declares everything else urgent.
"""

from __future__ import annotations

from .stream import Stream

__all__ = ["Scheduler"]

URGENCIES = 8
_QUEUES = 2 * URGENCIES
_LAST = _QUEUES - 1
_NONE: list[Stream | None] = []


class Scheduler:
    """Streams with something to send and a window to send it into.

    A queue is a chain through the streams themselves, so that one of them leaves it in one step.

    Args:
        priorities: whether the streams' priorities count; without, all of them take turns.
        starved_every: how many picks apart the queues that wait are served whatever their urgency; 0 for never.
    """

    __slots__ = ("_newest", "_nonempty", "_oldest", "_picks", "_priorities", "_starved_every", "_starved_last", "waiting")

    def __init__(self, priorities: bool = True, starved_every: int = 16) -> None:
        # The queue of a stream is twice its urgency, one more when it is incremental.  Most connections never have one.
        self._oldest: list[Stream | None] = _NONE
        self._newest: list[Stream | None] = _NONE
        self._nonempty = 0
        self._picks = 0
        self._priorities = priorities
        self._starved_every = starved_every
        self._starved_last = 0
        self.waiting = 0

    def index(self, stream: Stream) -> int:
        """The queue that ``stream`` belongs to by its priority."""
        if not self._priorities:
            return 1
        return 2 * stream.urgency + (1 if stream.incremental else 0)

    def push(self, stream: Stream) -> None:
        """Enqueue ``stream`` by its priority."""
        if stream.scheduled:
            return
        if self._oldest is _NONE:
            self._oldest = [None] * _QUEUES
            self._newest = [None] * _QUEUES
        stream.scheduled = True
        index = self.index(stream)
        before = self._newest[index]
        behind = None
        if not index & 1:
            # Request order: one that was just written was the first, and a new one is the last.
            first = self._oldest[index]
            if first is not None and stream.id < first.id:
                before, behind = None, first
            else:
                while before is not None and stream.id < before.id:
                    behind = before
                    before = before.ahead
        stream.ahead = before
        stream.behind = behind
        if before is None:
            self._oldest[index] = stream
        else:
            before.behind = stream
        if behind is None:
            self._newest[index] = stream
        else:
            behind.ahead = stream
        self._nonempty |= 1 << index
        self.waiting += 1

    def pop(self) -> Stream:
        """The stream to write next; call only while ``waiting`` is not 0."""
        mask = self._nonempty
        self._picks += 1
        index = 0
        if self._starved_every and self._picks % self._starved_every == 0:
            # Downwards from the queue served last time: the least urgent comes first.
            index = (self._starved_last + _LAST) % _QUEUES
            while not mask >> index & 1:
                index = (index + _LAST) % _QUEUES
            self._starved_last = index
        else:
            while not mask >> index & 1:
                index += 1
        stream = self._oldest[index]
        assert stream is not None
        self.take(stream, index)
        return stream

    def take(self, stream: Stream, index: int) -> None:
        """Out of the queue ``index``."""
        before = stream.ahead
        behind = stream.behind
        if before is None:
            self._oldest[index] = behind
        else:
            before.behind = behind
        if behind is None:
            self._newest[index] = before
        else:
            behind.ahead = before
        if before is None and behind is None:
            self._nonempty &= ~(1 << index)
        stream.ahead = None
        stream.behind = None
        stream.scheduled = False
        self.waiting -= 1

    def remove(self, stream: Stream) -> None:
        """Forget ``stream``, wherever it stands."""
        if stream.scheduled:
            self.take(stream, self.index(stream))

    def moved(self, stream: Stream, urgency: int, incremental: bool) -> None:
        """Change the priority of ``stream``, re-queueing it when it waits (RFC 9218 §7)."""
        waits = stream.scheduled
        if waits:
            self.remove(stream)
        stream.urgency = urgency
        stream.incremental = incremental
        if waits:
            self.push(stream)
