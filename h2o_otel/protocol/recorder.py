"""The flight recorder: the last frames of a connection, in a ring of packed integers.

Recording a frame is two stores.  What an error carries is a ``FlightLog``, a copy of the ring at
that moment, which is unpacked only when somebody looks at it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .. import _mem
from ..counters import RECV, SEND
from ..errors import ErrorCode
from ..frames.types import Flag, FrameType, frame_name

__all__ = ["FlightLog", "FlightRecorder", "RecordedFrame"]

# First word: microseconds since the first frame << 13 | error code << 9 | flags << 1 | direction.
# Second: stream id << 32 | length << 8 | type.
# An error code has four bits: 0 for a frame without one, 15 for a code that the registry lacks.
_CODE_OTHER = 15
# Frames that a ring has room for at first.
_ROOM = 16
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
_TABLE_HEAD = "    time_s    frame (> sent, < received)  stream    length  flags, error code"


class RecordedFrame(NamedTuple):
    """One frame as it passed.

    Attributes:
        time_s: since the connection's first frame, to a microsecond.
        direction: "send" or "recv".
        type, flags, stream_id, length: of the frame header (RFC 9113 section 4.1).
        error_code: of RST_STREAM and GOAWAY (RFC 9113 section 7), "OTHER" for one that the registry
            lacks, "" for every other frame.
    """

    time_s: float
    direction: str
    type: int
    flags: int
    stream_id: int
    length: int
    error_code: str

    @property
    def flag_names(self) -> list[str]:
        """The flags that are defined for the type, by name."""
        return [name for flag, name in _FLAG_NAMES.get(self.type, ()) if self.flags & flag]  # type: ignore[call-overload]

    @property
    def remarks(self) -> str:
        """Flags and error code by name."""
        return " ".join([*self.flag_names, self.error_code]).rstrip()

    def __str__(self) -> str:
        mark = ">" if self.direction == "send" else "<"
        return f"+{self.time_s:.6f} {mark} {frame_name(self.type)} stream={self.stream_id} length={self.length} {self.remarks}".rstrip()


class FlightLog:
    """The last frames of a connection when something happened; prints as a table, one row per frame, oldest first.

    Attributes:
        recorded: frames that passed in all; those before the last ``len(log)`` are forgotten.
        started_s: when the first of them passed, on the connection's clock.
    """

    __slots__ = ("_capacity", "_packed", "recorded", "started_s")

    def __init__(self, packed: bytes, capacity: int, recorded: int, started_s: float) -> None:
        self._packed = packed
        self._capacity = capacity
        self.recorded = recorded
        self.started_s = started_s

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
                    (first >> 13) * 1e-6,
                    direction,
                    second & 0xFF,
                    first >> 1 & 0xFF,
                    second >> 32,
                    second >> 8 & 0xFFFFFF,
                    _code_name(first >> 9 & 0xF),
                )
            )
        return found

    def lines(self, frames_max: int, stream_id: int = 0) -> list[str]:
        """One short line per frame, for a span or a log event.

        Args:
            frames_max: the newest of them.
            stream_id: only frames of this stream and of the connection; 0 for all.
        """
        frames = [f for f in self.frames() if stream_id == 0 or f.stream_id in (0, stream_id)]
        return [str(f) for f in frames[max(0, len(frames) - frames_max) :]]

    def to_json(self) -> str:
        """One object: how many frames passed in all, and the last ones (docs/flight-recorder.md has its schema)."""
        return json.dumps({"recorded": self.recorded, "started_s": self.started_s, "frames": [_document(f) for f in self.frames()]})

    def __str__(self) -> str:
        rows = [_TABLE_HEAD]
        for f in self.frames():
            mark = ">" if f.direction == "send" else "<"
            row = f"{f.time_s:+14.6f}  {mark} {frame_name(f.type):<22} {f.stream_id:>10} {f.length:>9}  {f.remarks}"
            rows.append(row.rstrip())
        if self.recorded > len(self):
            rows.append(f"({self.recorded - len(self)} frames before these are forgotten)")
        return "\n".join(rows)

    def __len__(self) -> int:
        return min(self.recorded, self._capacity)


def _code_name(packed: int) -> str:
    if packed == 0:
        return ""
    return "OTHER" if packed == _CODE_OTHER else ErrorCode(packed - 1).name


def _document(frame: RecordedFrame) -> dict[str, Any]:
    found: dict[str, Any] = {
        "time_s": round(frame.time_s, 6),
        "direction": frame.direction,
        "type": frame_name(frame.type),
        "flags": frame.flag_names,
        "stream_id": frame.stream_id,
        "length": frame.length,
    }
    if frame.error_code:
        found["error_code"] = frame.error_code
    return found


class FlightRecorder:
    """The ring, which begins small and doubles until it has its capacity: many connections are idle after a few frames.

    Args:
        capacity: frames kept, a power of two; 0 keeps none.
    """

    __slots__ = ("_memory", "_ring", "_room", "capacity", "recorded", "started_s")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._room = min(capacity, _ROOM)
        self._memory = bytearray(16 * self._room)
        self._ring = _mem.integers(self._memory)
        self.recorded = 0
        self.started_s = 0.0

    def record(self, direction: int, type: int, flags: int, stream_id: int, length: int, now: float) -> None:
        """One frame passed."""
        if self.capacity == 0:
            return
        if self.recorded == 0:
            self.started_s = now
        elif self.recorded == self._room and self._room < self.capacity:
            self._grow()
        place = 2 * (self.recorded & (self._room - 1))
        # Widened before they are shifted: in compiled code a stream id has 32 bits.
        when = int((now - self.started_s) * 1e6 + 0.5)
        what = stream_id
        self._ring[place] = when << 13 | flags << 1 | direction
        self._ring[place + 1] = what << 32 | length << 8 | type
        self.recorded += 1

    def _grow(self) -> int:
        """Twice the room; nothing has been overwritten yet, so every frame stays at its place."""
        memory = bytearray(2 * len(self._memory))
        ring = _mem.integers(memory)
        for i in range(2 * self._room):
            ring[i] = self._ring[i]
        self._memory = memory
        self._ring = ring
        self._room *= 2
        return 0

    def note_code(self, code: int) -> None:
        """The frame recorded last carries this error code."""
        if self.recorded == 0:
            return
        place = 2 * ((self.recorded - 1) & (self._room - 1))
        packed = code + 1 if code <= 0xD else _CODE_OTHER
        self._ring[place] |= packed << 9

    def log(self) -> FlightLog:
        """A copy of what the ring holds now."""
        return FlightLog(_mem.integers_bytes(self._ring, 2 * self._room), self.capacity, self.recorded, self.started_s)


assert (SEND, RECV) == (0, 1)  # the direction is one bit
assert len(ErrorCode) == _CODE_OTHER - 1  # the registry and two more fit four bits
