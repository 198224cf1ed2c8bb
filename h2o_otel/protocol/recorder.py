"""The flight recorder: the last frames of a connection, in a ring of packed integers.

Recording a frame is two stores.  What an error carries is a ``FlightLog``, a copy of the ring at
that moment, which is unpacked only when somebody looks at it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from .. import _mem
from ..counters import RECV, SEND
from ..frames.types import Flag, FrameType, frame_name

__all__ = ["FlightLog", "FlightRecorder", "RecordedFrame"]

# First word: microseconds << 9 | flags << 1 | direction.  Second: stream id << 32 | length << 8 | type.
_FLAG_NAMES = {
    FrameType.DATA: ((Flag.END_STREAM, "END_STREAM"), (Flag.PADDED, "PADDED")),
    FrameType.HEADERS: (
        (Flag.END_STREAM, "END_STREAM"),
        (Flag.END_HEADERS, "END_HEADERS"),
        (Flag.PADDED, "PADDED"),
        (Flag.PRIORITY, "PRIORITY"),
    ),
    FrameType.SETTINGS: ((Flag.ACK, "ACK"),),
    FrameType.PING: ((Flag.ACK, "ACK"),),
    FrameType.PUSH_PROMISE: ((Flag.END_HEADERS, "END_HEADERS"), (Flag.PADDED, "PADDED")),
    FrameType.CONTINUATION: ((Flag.END_HEADERS, "END_HEADERS"),),
}


class RecordedFrame(NamedTuple):
    """One frame as it passed.

    Attributes:
        time_s: on the connection's clock, to a microsecond.
        direction: "send" or "recv".
        type, flags, stream_id, length: of the frame header (RFC 9113 section 4.1).
    """

    time_s: float
    direction: str
    type: int
    flags: int
    stream_id: int
    length: int

    @property
    def flag_names(self) -> list[str]:
        """The flags that are defined for the type, by name."""
        return [name for flag, name in _FLAG_NAMES.get(self.type, ()) if self.flags & flag]  # type: ignore[call-overload]

    def __str__(self) -> str:
        mark = ">" if self.direction == "send" else "<"
        flags = " ".join(self.flag_names)
        return f"{self.time_s:.6f} {mark} {frame_name(self.type)} stream={self.stream_id} length={self.length} {flags}".rstrip()


class FlightLog:
    """The last frames of a connection when something happened; prints as one line per frame, oldest first."""

    __slots__ = ("_capacity", "_packed", "recorded")

    def __init__(self, packed: bytes, capacity: int, recorded: int) -> None:
        self._packed = packed
        self._capacity = capacity
        self.recorded = recorded

    def frames(self) -> list[RecordedFrame]:
        """Oldest first."""
        words = memoryview(self._packed).cast("q")
        found = []
        for i in range(self.recorded - len(self), self.recorded):
            place = 2 * (i % self._capacity)
            first, second = words[place], words[place + 1]
            direction = "send" if first & 1 == SEND else "recv"
            found.append(
                RecordedFrame(
                    (first >> 9) * 1e-6,
                    direction,
                    second & 0xFF,
                    first >> 1 & 0xFF,
                    second >> 32,
                    second >> 8 & 0xFFFFFF,
                )
            )
        return found

    def to_json(self) -> str:
        """One object: how many frames passed in all, and the last ones."""
        frames = [
            {
                "time_s": round(f.time_s, 6),
                "direction": f.direction,
                "type": frame_name(f.type),
                "flags": f.flag_names,
                "stream_id": f.stream_id,
                "length": f.length,
            }
            for f in self.frames()
        ]
        return json.dumps({"recorded": self.recorded, "frames": frames})

    def __str__(self) -> str:
        return "\n".join(str(frame) for frame in self.frames())

    def __len__(self) -> int:
        return min(self.recorded, self._capacity)


class FlightRecorder:
    """The ring.

    Args:
        capacity: frames kept; 0 keeps none.
    """

    __slots__ = ("_memory", "_ring", "capacity", "recorded")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._memory = bytearray(16 * capacity)
        self._ring = _mem.integers(self._memory)
        self.recorded = 0

    def record(self, direction: int, type: int, flags: int, stream_id: int, length: int, now: float) -> None:
        """One frame passed."""
        if self.capacity == 0:
            return
        place = 2 * (self.recorded % self.capacity)
        # Widened before they are shifted: in compiled code a stream id has 32 bits.
        when = int(now * 1e6 + 0.5)
        what = stream_id
        self._ring[place] = when << 9 | flags << 1 | direction
        self._ring[place + 1] = what << 32 | length << 8 | type
        self.recorded += 1

    def log(self) -> FlightLog:
        """A copy of what the ring holds now."""
        return FlightLog(_mem.integers_bytes(self._ring, 2 * self.capacity), self.capacity, self.recorded)


assert (SEND, RECV) == (0, 1)  # the direction is one bit
