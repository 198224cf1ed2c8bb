"""A body put together in the very object that its reader gets."""

from __future__ import annotations

import io
from typing import Any

from .. import _mem, counters
from ..counters import Counters

__all__ = ["Assembly"]

_COPIED_GROW = counters.slot("buffer_copied") + counters.COPY_REASONS.index("grow")
# How many times what has arrived is reserved if that much was promised.  What is reserved and not
# written costs addresses, no memory, while each step copies what is there.
TRUSTED_TIMES = 8
# A promise of at most so many times what has arrived is reserved at once: the last step copies little of the body.
TRUSTED_AT_ONCE = TRUSTED_TIMES * TRUSTED_TIMES
# The first block where the length is not known.
FIRST_BYTES = 65_536
# From here on a body of unknown length grows in place, where the C library can move pages instead of octets.
DOUBLED_BYTES = 262_144


class Assembly:
    """Pieces of a body in the order in which they come, each copied to its place at once.

    The other way, a list of pieces joined at the end, needs the whole body twice.  Here it is there once, and
    an eighth of it again while it grows.

    Args:
        expected: the length that ``content-length`` promises, negative when it is not known.  Beyond
            ``FIRST_BYTES`` no more than ``TRUSTED_AT_ONCE`` times what has arrived is reserved for it.
        block: where what a larger block copies is counted.
    """

    __slots__ = ("_block", "_expected", "_growing", "_room", "counters", "size")

    def __init__(self, expected: int, block: Counters) -> None:
        self.counters = block
        self._expected = expected
        self._block: Any = None
        self._growing: io.BytesIO | None = None
        self._room = 0
        self.size = 0

    def add(self, piece: bytes) -> None:
        """``piece`` is next."""
        self.put(piece, 0, len(piece))

    def put(self, src: bytes, pos: int, end: int) -> None:
        """``src[pos:end]`` is next; ``add`` for the engine, whose octets stand in the receive buffer."""
        n = end - pos
        if n == 0:
            return
        if n > self._room - self.size:
            if self._expected < self.size + n and self.size + n > DOUBLED_BYTES:
                self._append(_mem.to_bytes(src, pos, end, end))
                return
            self._grow(self.size + n)
        _mem.fill(self._block, self.size, self._room, src, pos, n, end)
        self.size += n

    def _grow(self, needed: int) -> None:
        room = max(2 * needed, FIRST_BYTES)
        if needed <= self._expected <= TRUSTED_AT_ONCE * needed:
            room = self._expected
        elif self._expected > needed:
            room = min(self._expected, max(TRUSTED_TIMES * needed, FIRST_BYTES))
        block = _mem.blank(room)
        if self.size:
            _mem.fill(block, 0, room, self._block, 0, self.size, self._room)
            self.counters.slots[_COPIED_GROW] += self.size
        self._block = block
        self._room = room

    def _append(self, piece: bytes) -> None:
        """``piece`` is next in a large body whose length is not known."""
        if self._growing is None:
            self._growing = io.BytesIO()
            self._growing.write(self._filled())
        self._growing.write(piece)
        self.size += len(piece)

    def take(self) -> bytes:
        """The body; the assembly is empty again."""
        if self._growing is not None:
            # The very octets that were written, without a copy.
            body = self._growing.getvalue()
            self._growing = None
            self.size = 0
            return body
        body = self._filled()
        self.size = 0
        return body

    def _filled(self) -> bytes:
        """What is in the block, which is gone."""
        block, size = self._block, self.size
        self._block = None
        self._room = 0
        return _mem.filled(block, size) if size else b""
