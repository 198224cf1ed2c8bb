"""Huffman strings decoded ahead by threads: the part of a field block that needs no table.

HPACK is serial within a connection, since each field may change the table that the next one is
read with.  Its strings are not: where they lie is found without the table, and decoding them is
half the work.  So for large blocks, and for batches of blocks of several connections, threads
decode the strings without the GIL, and the decoders find them ready.

Handing work over costs about 40 us, as much as decoding 16 kB, and each string is looked up once
more, so that below ``EngineLimits.hpack_parallel_bytes_min`` everything is done inline.  Off by default
(``Tuning.hpack_parallel``): blocks of requests are a few hundred octets, and where it was measured
it did not pay (docs/layers/hpack.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .. import _mem
from ..counters import Counters
from . import plain as gil
from . import plain as huffman

if TYPE_CHECKING:
    from .decoder import Decoder

__all__ = ["Ahead", "decode_blocks"]

_BATCHES = "hpack_parallel_batches"
_PARALLEL, _INLINE = 0, 1
# Of each string: where its octets begin in the copy, how many they are, and where what became of them ends.
_NUMBERS = 3
_THREADS_MAX = 8
_pool: ThreadPoolExecutor | None = None


def _threads() -> ThreadPoolExecutor:
    """The threads of the process, made when there is work for them."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS_MAX), thread_name_prefix="h2o-hpack")
    return _pool


class Ahead:
    """The Huffman strings of some blocks, decoded.

    A block that is not well-formed is scanned as far as it is; its decoder finds the fault.

    Args:
        blocks: whole field blocks, of any connections.
        shares: threads that decode, this one included.
    """

    __slots__ = (
        "_cap",
        "_end",
        "_memory",
        "_numbers",
        "_pieces",
        "_room",
        "_room_owner",
        "_source",
        "_source_owner",
        "_spans",
        "count",
        "strings",
    )

    def __init__(self, blocks: Sequence[bytes], shares: int = 2) -> None:
        self.count = 0
        self._end = 0
        # By block: the string at each position.
        self.strings: list[dict[int, bytes]] = [{} for _ in blocks]
        self._pieces: list[bytes] = []
        # The block, and the string's position there.
        self._spans: list[tuple[int, int]] = []
        for i in range(len(blocks)):
            self._scan(i, blocks[i], len(blocks[i]))
        self.count = len(self._pieces)
        self._memory = bytearray(8 * _NUMBERS * self.count + 8)
        self._numbers = _mem.integers(self._memory)
        start = 0
        for i in range(self.count):
            n = len(self._pieces[i])
            self._numbers[_NUMBERS * i] = start
            self._numbers[_NUMBERS * i + 1] = n
            start += n
        self._end = start
        self._source_owner = b"".join(self._pieces)
        self._source = self._source_owner
        # No code is shorter than five bits, and a step of decoding writes two octets.
        self._cap = 2 * self._end + 2 * self.count
        self._room_owner = bytearray(self._cap + 1)
        self._room = self._room_owner
        bounds = [self._first_from(self._end * i // shares) for i in range(shares)] + [self.count]
        waiting = [_threads().submit(self.decode, bounds[i], bounds[i + 1]) for i in range(1, shares)]
        self.decode(bounds[0], bounds[1])
        for future in waiting:
            future.result()
        self._collect()

    def _scan(self, block: int, buf: bytes, end: int) -> int:
        """Find the strings of a block."""
        pos = 0
        while 0 <= pos < end:
            octet = _mem.u8(buf, pos, end)
            if octet & 0x80:
                pos = _after_integer(buf, pos, end, 0x7F)
            elif octet & 0xE0 == 0x20:
                pos = _after_integer(buf, pos, end, 0x1F)
            else:
                mask = 0x3F if octet & 0x40 else 0x0F
                pos = _after_integer(buf, pos, end, mask)
                if octet & mask == 0:
                    pos = self._string(block, buf, pos, end)
                pos = self._string(block, buf, pos, end)
        return 0

    def _string(self, block: int, buf: bytes, pos: int, end: int) -> int:
        """Note the string at ``pos`` if it is Huffman-coded; returns the position after it, -1 when there is none."""
        if not 0 <= pos < end:
            return -1
        coded = _mem.u8(buf, pos, end) & 0x80
        after = _after_integer(buf, pos, end, 0x7F)
        if after < 0:
            return -1
        n = _integer(buf, pos, after, 0x7F, end)
        if n > end - after:
            return -1
        if coded:
            self._spans.append((block, after))
            self._pieces.append(_mem.to_bytes(buf, after, after + n, end))
        return after + n

    def _first_from(self, octets: int) -> int:
        """The first string that begins at ``octets`` of the copy or behind."""
        for i in range(self.count):
            if self._numbers[_NUMBERS * i] >= octets:
                return i
        return self.count

    def decode(self, first: int, last: int) -> None:
        """Decode these strings, without the GIL."""
        state = gil.release()
        _decode(self._source, self._end, self._numbers, first, last, self._room, self._cap)
        gil.take(state)

    def _collect(self) -> int:
        for i in range(self.count):
            start = 2 * self._numbers[_NUMBERS * i] + 2 * i
            stop = self._numbers[_NUMBERS * i + 2]
            # Where it is not valid, the decoder will see that for itself.
            if stop >= 0:
                block, pos = self._spans[i]
                self.strings[block][pos] = _mem.to_bytes(self._room, start, stop, self._cap)
        return 0


def _decode(source: bytes, end: int, numbers: list[int], first: int, last: int, room: bytearray, cap: int) -> int:
    for i in range(first, last):
        start = numbers[_NUMBERS * i]
        stop = start + numbers[_NUMBERS * i + 1]
        numbers[_NUMBERS * i + 2] = huffman.decode(source, start, stop, end, room, 2 * start + 2 * i, cap)
    return 0


def _after_integer(buf: bytes, pos: int, end: int, mask: int) -> int:
    """The position after an integer, -1 when it does not end."""
    if _mem.u8(buf, pos, end) & mask != mask:
        return pos + 1
    pos += 1
    while pos < end:
        if _mem.u8(buf, pos, end) < 0x80:
            return pos + 1
        pos += 1
    return -1


def _integer(buf: bytes, pos: int, after: int, mask: int, end: int) -> int:
    """The integer from ``pos`` to ``after``; more than ``end`` where it is longer than decoders take."""
    value = _mem.u8(buf, pos, end) & mask
    if after - pos > 6:
        return end + 1
    shift = 0
    for i in range(pos + 1, after):
        # As wide as the value: bits that are shifted out would make a small number of a large one.
        octet = _mem.u8(buf, i, end) & 0x7F
        value += octet << shift
        shift += 7
    return value


def ahead_of(block: bytes, bytes_min: int, block_counters: Counters) -> dict[int, bytes] | None:
    """The strings of one block, None when it is too small for threads to pay."""
    if len(block) < bytes_min:
        block_counters.add(_BATCHES, _INLINE, 1)
        return None
    block_counters.add(_BATCHES, _PARALLEL, 1)
    return Ahead([block]).strings[0]


def decode_blocks(batch: Sequence[tuple[Decoder, bytes]], bytes_min: int, shares: int = 2) -> Iterator[Decoder]:
    """Decode blocks of several connections, in order; yields each block's decoder while it describes that block.

    Args:
        batch: decoders and whole blocks; a decoder's blocks in the order in which they came.
        bytes_min: with fewer octets in all, everything is done inline.
        shares: threads that decode, this one included.

    Raises:
        Violation: the coding of a block is broken; the blocks before it have been yielded.
    """
    blocks = [block for _, block in batch]
    strings: list[dict[int, bytes] | None] = [None] * len(blocks)
    parallel = sum(map(len, blocks)) >= bytes_min
    if batch:
        batch[0][0].counters.add(_BATCHES, _PARALLEL if parallel else _INLINE, 1)
    if parallel:
        strings[:] = Ahead(blocks, shares).strings
    for i, (decoder, block) in enumerate(batch):
        decoder.use_strings(strings[i])
        decoder.decode_block(block)
        yield decoder
