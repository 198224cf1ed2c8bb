"""Which stream may write next: RFC 9218 urgency, then order or turns within it.

Eight queues, one per urgency.  Within an urgency, a stream that is not incremental is written to
its end before the next begins (it goes back to the front), incremental ones take turns (they go
to the back).  Every ``starved_every``-th pick goes to the least urgent queue, so that nothing
waits for ever behind a peer that declares everything else urgent.
"""

from __future__ import annotations

from collections import deque

from .stream import Stream

__all__ = ["Scheduler"]

URGENCIES = 8


class Scheduler:
    """Streams with something to send and a window to send it into."""

    __slots__ = ("_nonempty", "_picks", "_queues", "_starved_every", "waiting")

    def __init__(self, starved_every: int = 16) -> None:
        self._queues: list[deque[Stream]] = [deque() for _ in range(URGENCIES)]
        self._nonempty = 0
        self._picks = 0
        self._starved_every = starved_every
        self.waiting = 0

    def push(self, stream: Stream, first: bool) -> None:
        """Enqueue ``stream`` by its urgency; ``first`` puts it before its equals."""
        if stream.scheduled:
            return
        stream.scheduled = True
        if first:
            self._queues[stream.urgency].appendleft(stream)
        else:
            self._queues[stream.urgency].append(stream)
        self._nonempty |= 1 << stream.urgency
        self.waiting += 1

    def pop(self) -> Stream:
        """The stream to write next; call only while ``waiting`` is not 0."""
        mask = self._nonempty
        self._picks += 1
        urgency = 0
        if self._picks % self._starved_every == 0:
            urgency = URGENCIES - 1
            while not mask >> urgency & 1:
                urgency -= 1
        else:
            while not mask >> urgency & 1:
                urgency += 1
        queue = self._queues[urgency]
        stream = queue.popleft()
        if not queue:
            self._nonempty &= ~(1 << urgency)
        stream.scheduled = False
        self.waiting -= 1
        return stream

    def remove(self, stream: Stream) -> None:
        """Forget ``stream``, wherever it stands; linear in the streams of its urgency."""
        if not stream.scheduled:
            return
        queue = self._queues[stream.urgency]
        queue.remove(stream)
        if not queue:
            self._nonempty &= ~(1 << stream.urgency)
        stream.scheduled = False
        self.waiting -= 1

    def moved(self, stream: Stream, urgency: int, incremental: bool) -> None:
        """Change the priority of ``stream``, re-queueing it when it waits (RFC 9218 section 7)."""
        waits = stream.scheduled
        if waits:
            self.remove(stream)
        stream.urgency = urgency
        stream.incremental = incremental
        if waits:
            self.push(stream, False)
