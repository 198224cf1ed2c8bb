"""Which stream may write next: RFC 9218 urgency, then request order or turns within it.

Two queues per urgency (RFC 9218 §10).  Streams that are not incremental stand in request order and
the first is written to its end; behind them the incremental ones take turns.  Every
``starved_every``-th pick goes to the next queue that has something, counted round through all of
them, so that nothing waits for ever behind a peer that declares everything else urgent.
"""

from __future__ import annotations

from collections import deque

from .stream import Stream

__all__ = ["Scheduler"]

URGENCIES = 8
_QUEUES = 2 * URGENCIES
_LAST = _QUEUES - 1


class Scheduler:
    """Streams with something to send and a window to send it into.

    Args:
        priorities: whether the streams' priorities count; without, all of them take turns.
        starved_every: how many picks apart the queues that wait are served whatever their urgency; 0 for never.
    """

    __slots__ = ("_nonempty", "_picks", "_priorities", "_queues", "_starved_every", "_starved_last", "waiting")

    def __init__(self, priorities: bool = True, starved_every: int = 16) -> None:
        # The queue of a stream is twice its urgency, one more when it is incremental.
        self._queues: list[deque[Stream]] = [deque() for _ in range(_QUEUES)]
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
        stream.scheduled = True
        index = self.index(stream)
        queue = self._queues[index]
        if index & 1 or not queue:
            queue.append(stream)
        else:
            self.insert(queue, stream)
        self._nonempty |= 1 << index
        self.waiting += 1

    def insert(self, queue: deque[Stream], stream: Stream) -> None:
        """Put ``stream`` into request order; one that was just written was the first, a new one is the last."""
        other = queue[0]
        if stream.id < other.id:
            queue.appendleft(stream)
            return
        at = len(queue)
        other = queue[at - 1]
        while stream.id < other.id:
            at -= 1
            other = queue[at - 1]
        queue.insert(at, stream)

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
        queue = self._queues[index]
        stream = queue.popleft()
        if not queue:
            self._nonempty &= ~(1 << index)
        stream.scheduled = False
        self.waiting -= 1
        return stream

    def remove(self, stream: Stream) -> None:
        """Forget ``stream``, wherever it stands; linear in the streams of its queue, of which ``Limits.streams_max`` bounds the number."""
        if not stream.scheduled:
            return
        index = self.index(stream)
        queue = self._queues[index]
        queue.remove(stream)
        if not queue:
            self._nonempty &= ~(1 << index)
        stream.scheduled = False
        self.waiting -= 1

    def moved(self, stream: Stream, urgency: int, incremental: bool) -> None:
        """Change the priority of ``stream``, re-queueing it when it waits (RFC 9218 §7)."""
        waits = stream.scheduled
        if waits:
            self.remove(stream)
        stream.urgency = urgency
        stream.incremental = incremental
        if waits:
            self.push(stream)
