"""What of a request's body has arrived and was not asked for yet."""

from __future__ import annotations

from .. import counters as _counters
from ..counters import Counters

__all__ = ["BodyQueue"]

_COPIED_ASGI = _counters.slot("buffer_copied") + _counters.COPY_REASONS.index("asgi")
# Pieces below this are joined with what waits before them: memory follows octets, not frames.
_SMALL_BYTES = 1024
_JOINED_BYTES_MAX = 16_384


class BodyQueue:
    """Pieces of a body in order, made when the first one has to wait."""

    __slots__ = ("_block", "_chunks", "_small")

    def __init__(self, block: Counters, data: bytes) -> None:
        self._block = block
        self._chunks = [data]
        # The pieces behind the chunks, while they are being joined.
        self._small: bytearray | None = None

    def push(self, data: bytes) -> None:
        n = len(data)
        small = self._small
        if small is None:
            if n >= _SMALL_BYTES:
                self._chunks.append(data)
                return
            small = self._small = bytearray()
        small += data
        self._block.slots[_COPIED_ASGI] += n
        if len(small) >= _JOINED_BYTES_MAX:
            self._chunks.append(bytes(small))
            self._small = None

    def pop(self) -> bytes:
        """The next piece; there is one."""
        if self._chunks:
            return self._chunks.pop(0)
        data = bytes(self._small or b"")
        self._small = None
        return data

    def waits(self) -> bool:
        """Whether there is another."""
        return bool(self._chunks) or self._small is not None
