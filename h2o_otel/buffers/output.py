"""The output buffer of a connection: one coalescing block, and large bodies by reference.

The block is lent by the thread's pool from the first octet to the next ``take``, so that one warm
block serves all connections of an event loop and an idle connection holds none.

Frames are encoded straight into the block (``reserve``, then write at ``mem[pos]``).  A large
body is not copied: ``append_chunk`` closes the block so far and keeps the body's own object in
order.  What ``take`` and ``take_chunks`` return is immutable, since event loops keep references
to what they could not send at once.
"""

from __future__ import annotations

from dataclasses import replace

from .. import _mem, counters
from ..counters import BUFFERS_ACQUIRE, Counters, Trace
from ..tuning import Tuning
from .pool import CACHE_BYTES_MAX, OUTPUT, Buffer, local_pool

__all__ = ["OutputBuffer"]

_COPIED_GROW = counters.slot("buffer_copied") + counters.COPY_REASONS.index("grow")
_COPIED_OUTPUT = counters.slot("buffer_copied") + counters.COPY_REASONS.index("output")
_BUFFERS_ACQUIRE = BUFFERS_ACQUIRE
_OUTPUT = OUTPUT
# Where ``mem`` points while there is no block; ``cap`` is 0 then.
_EMPTY = bytearray(1)
_BLOCK_BYTES = 16_384


class OutputBuffer:
    """Growable output; compiled code writes through ``mem``, ``pos`` and ``cap`` after ``reserve``.

    Args:
        counters: to add to.
        size_bytes: of the first block.
        tuning: ``buffer_reuse`` or ``buffer_pool`` off, every block is fresh; ``buffer_slices`` off,
            bodies are copied into the block whatever their size.
        cache_bytes_max: what the thread's pool keeps, if this is what makes it.
    """

    __slots__ = ("_block", "_by_reference", "_chunk_bytes", "_chunks", "_kept", "_pool", "cap", "counters", "mem", "pos", "trace")

    def __init__(
        self,
        counters: Counters,
        size_bytes: int = _BLOCK_BYTES,
        tuning: Tuning | None = None,
        cache_bytes_max: int = CACHE_BYTES_MAX,
    ) -> None:
        tuning = Tuning() if tuning is None else tuning
        self.counters = counters
        self._by_reference = tuning.buffer_slices
        self._pool = local_pool(counters, tuning if tuning.buffer_reuse else replace(tuning, buffer_pool=False), cache_bytes_max)
        self._kept = size_bytes
        self._block: Buffer | None = None
        self.mem = _EMPTY
        self.pos = 0
        self.cap = 0
        self._chunks: list[bytes | memoryview] = []
        self._chunk_bytes = 0
        # Of the stream that is being written, at telemetry level ``detail``; None otherwise.
        self.trace: Trace | None = None

    def reserve(self, n: int) -> int:
        """Make room for ``n`` octets at ``pos``; pointers taken before are invalid after."""
        if self.pos + n > self.cap:
            self._grow(self.pos + n)
        return 0

    def _grow(self, needed: int) -> None:
        """A block of at least twice the size, or the first one."""
        started_ns = _mem.now_ns() if self.trace is not None else 0
        old = self._block
        block = self._pool.acquire(max(needed, 2 * self.cap, self._kept), _OUTPUT)
        mem = block.mem
        if old is not None:
            _mem.copy(mem, 0, block.size, self.mem, 0, self.pos, self.cap)
            self.counters.slots[_COPIED_GROW] += self.pos
            self._pool.release(old)
        self._block = block
        self.mem = mem
        self.cap = block.size
        if self.trace is not None:
            self.trace.mark(_BUFFERS_ACQUIRE, started_ns, _mem.now_ns())

    def put(self, octet: int) -> None:
        """One octet; room was reserved before."""
        _mem.put_u8(self.mem, self.pos, octet, self.cap)
        self.pos += 1

    def write(self, data: bytes) -> None:
        """Copy ``data`` to the end."""
        n = len(data)
        self.reserve(n)
        _mem.copy(self.mem, self.pos, self.cap, data, 0, n, n)
        self.pos += n

    def append_chunk(self, data: bytes | memoryview) -> None:
        """Put immutable ``data`` at the end without copying it."""
        n = len(data)
        if not self._by_reference:
            self.counters.slots[_COPIED_OUTPUT] += n
            self.write(bytes(data))
            return
        self.close_chunk()
        self._chunks.append(data)
        self._chunk_bytes += n

    def close_chunk(self) -> None:
        """What is in the block becomes a piece of its own: a frame, where ``Tuning.frame_batching`` is off."""
        if self.pos:
            self._chunks.append(_mem.to_bytes(self.mem, 0, self.pos, self.cap))
            self._chunk_bytes += self.pos
            self.pos = 0

    def size(self) -> int:
        """Octets waiting."""
        return self._chunk_bytes + self.pos

    def take(self) -> bytes:
        """Everything as one ``bytes``; the buffer is empty after."""
        if self._chunks:
            return b"".join(self.take_chunks())
        data = _mem.to_bytes(self.mem, 0, self.pos, self.cap)
        self._reset()
        return data

    def take_chunks(self) -> list[bytes | memoryview]:
        """Everything as immutable pieces in order; the buffer is empty after."""
        chunks = self._chunks
        if self.pos:
            chunks.append(_mem.to_bytes(self.mem, 0, self.pos, self.cap))
        self._chunks = []
        self._reset()
        return chunks

    def clear(self) -> None:
        """Drop everything; for a connection whose transport is gone."""
        self._chunks = []
        self._reset()

    def _reset(self) -> None:
        """Empty, and without a block: whoever writes next on this thread finds it warm."""
        self.pos = 0
        self._chunk_bytes = 0
        if self._block is not None:
            block = self._block
            self._block = None
            self.mem = _EMPTY
            self.cap = 0
            self._pool.release(block)
