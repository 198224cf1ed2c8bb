"""Table entries, and the dynamic table as a ring (RFC 7541 sections 2.3 and 4).

Insertion, lookup by index and eviction take constant time.  An entry is examined when it is made
and keeps the pair that applications see, so that a field that comes as an index costs no object
and no second look.  The table knows nothing of the wire.  Decoder and encoder have one each.
"""

from __future__ import annotations

from .. import counters
from ..counters import Counters
from . import names
from .kinds import ENTRY_OVERHEAD
from .names import Name
from .static import STATIC_TABLE

__all__ = ["STATIC_ENTRIES", "DynamicTable", "Entry"]

_TABLE_SIZE = counters.slot("hpack_table_size")
_TABLE_CAPACITY = counters.slot("hpack_table_capacity")
_EVICTIONS = counters.slot("hpack_table_evictions")
# A ring begins small, since most connections keep few fields; it doubles when it is full.
_RING_ENTRIES_MIN = 16


class Entry:
    """One field in a table; never changed once made.

    Attributes:
        name: the name as examined.
        value: the value.
        pair: ``(name, value)`` as applications see it.
        flaw: why the field is malformed, 0 when it is not.
        special: 0 for a regular field that nothing more is to be looked at.
        size: octets that it counts.
        number: how many entries were inserted before it; of a static entry, its index, negative.
        used: whether the encoder wrote it as an index since it was inserted.
    """

    __slots__ = ("flaw", "name", "number", "pair", "size", "special", "used", "value")

    name: Name
    value: bytes
    pair: tuple[bytes, bytes]
    flaw: int
    special: int
    size: int
    number: int
    used: bool


def new_entry(name: Name, value: bytes, flaw: int) -> Entry:
    """An entry that is in no table yet."""
    entry = Entry.__new__(Entry)
    entry.name = name
    entry.value = value
    entry.pair = (name.text, value)
    entry.flaw = flaw
    entry.special = name.kind | flaw
    entry.size = len(name.text) + len(value) + ENTRY_OVERHEAD
    entry.number = 0
    entry.used = False
    return entry


class DynamicTable:
    """The newest entries whose sizes add up to at most ``capacity``."""

    __slots__ = (
        "_mask",
        "_reported_capacity",
        "_reported_evictions",
        "_reported_size",
        "capacity",
        "count",
        "evictions",
        "inserted",
        "ring",
        "size",
    )

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.count = 0
        self.inserted = 0
        self.evictions = 0
        self._reported_size = 0
        self._reported_capacity = 0
        self._reported_evictions = 0
        self._mask = _RING_ENTRIES_MIN - 1
        # The entry with number n lies at n & mask.
        self.ring: list[Entry | None] = [None] * _RING_ENTRIES_MIN

    def at(self, position: int) -> Entry:
        """The entry at ``position`` counted from the newest, 0; the caller checked it against ``count``."""
        entry = self.ring[(self.inserted - 1 - position) & self._mask]
        assert entry is not None
        return entry

    def fits(self, size: int) -> bool:
        """Whether an entry of ``size`` octets goes in without an eviction."""
        return self.size + size <= self.capacity

    def insert(self, entry: Entry) -> None:
        """Put ``entry`` in as the newest; the caller evicted until it fits."""
        if self.count > self._mask:
            self._grow()
        entry.number = self.inserted
        self.ring[self.inserted & self._mask] = entry
        self.inserted += 1
        self.count += 1
        self.size += entry.size

    def evict(self) -> Entry:
        """Take the oldest entry out; the caller knows that there is one."""
        place = (self.inserted - self.count) & self._mask
        entry = self.ring[place]
        assert entry is not None
        self.ring[place] = None
        self.count -= 1
        self.size -= entry.size
        self.evictions += 1
        return entry

    def evict_for(self, size: int) -> None:
        """Evict until ``size`` octets are free, or nothing is left."""
        while self.count and self.size + size > self.capacity:
            self.evict()

    def take_back(self) -> Entry:
        """Undo the newest insertion, which no peer has seen."""
        self.inserted -= 1
        place = self.inserted & self._mask
        entry = self.ring[place]
        assert entry is not None
        self.ring[place] = None
        self.count -= 1
        self.size -= entry.size
        return entry

    def resize(self, capacity: int) -> None:
        """Set the capacity and evict what exceeds it."""
        self.capacity = capacity
        self.evict_for(0)

    def _grow(self) -> None:
        entries = [self.at(i) for i in range(self.count)]
        self._mask = 2 * self._mask + 1
        self.ring = [None] * (self._mask + 1)
        for entry in entries:
            self.ring[entry.number & self._mask] = entry

    def changed(self) -> bool:
        """Whether entries came or went since the last report."""
        return self.size != self._reported_size or self.evictions != self._reported_evictions

    def report(self, block: Counters, role: int, direction: int) -> int:
        """Bring the running sums of the process up to date with this table."""
        slots = block.slots
        place = role * 2 + direction
        slots[_TABLE_SIZE + place] += self.size - self._reported_size
        slots[_TABLE_CAPACITY + place] += self.capacity - self._reported_capacity
        slots[_EVICTIONS + direction] += self.evictions - self._reported_evictions
        self._reported_size = self.size
        self._reported_capacity = self.capacity
        self._reported_evictions = self.evictions
        return 0

    def leave(self, block: Counters, role: int, direction: int) -> int:
        """The connection is over: its table leaves the running sums."""
        slots = block.slots
        place = role * 2 + direction
        slots[_TABLE_SIZE + place] -= self._reported_size
        slots[_TABLE_CAPACITY + place] -= self._reported_capacity
        self._reported_size = 0
        self._reported_capacity = 0
        return 0

    def entries(self) -> list[tuple[bytes, bytes]]:
        """The fields from the newest to the oldest: for tests and tools."""
        return [self.at(i).pair for i in range(self.count)]


def _static_entries() -> list[Entry]:
    # Index 0 is no entry: whoever looks one up has refused it before.
    entries = [new_entry(names.name_of(b"", 0), b"", 0)]
    for index, (text, value) in enumerate(STATIC_TABLE, 1):
        name = names.name_of(text, 0)
        entry = new_entry(name, value, name.flaw or names.flaw_of_value(name.kind, value, len(value)))
        entry.number = -index
        entries.append(entry)
    return entries


STATIC_ENTRIES: list[Entry] = _static_entries()
"""The static table by index, from 1."""
