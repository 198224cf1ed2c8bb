"""What an encoder keeps in its dynamic table, and how it finds it again.

Names and values lead to entries, and so does the place of a field in its block.  The table mirrors
the one of the peer's decoder: what the peer inserts and evicts is inserted and evicted here, and its
size changes with the size updates at the start of a block.  Nothing here writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import counters
from ..counters import Counters
from . import names, table
from .kinds import GONE, POLICY_INDEX, POLICY_PLAIN, POLICY_PRIVATE
from .policies import Recent, Slot
from .table import DynamicTable, Entry

if TYPE_CHECKING:
    from .reference import ReferenceEncoder

__all__ = ["NO_ENTRY", "Indexing"]

_SEND = counters.SEND
_NAMES = counters.slot("hpack_names") + counters.SEND * 2
_LOST = counters.slot("hpack_table_lost")
_GROWTHS = counters.slot("hpack_table_growths")

_TABLE_BYTES_DEFAULT = 4096
_NONE = -1
# The table doubles when so many entries that were in use were evicted within so many blocks.
_LOST_MAX = 16
_LOST_BLOCKS = 256
# Fields of a block, by their place in it, whose last occurrence is kept.
_RECENT_MAX = 32
# Stands where no entry is known; compiled, the first name is a C variable, which no other module can import.
_NO_ENTRY = table.new_entry(names.name_of(b"", 0), b"", 0)
_NO_ENTRY.number = GONE
NO_ENTRY = _NO_ENTRY


class Indexing:
    """The dynamic table of an encoder; the arguments are the encoder's."""

    __slots__ = (
        "_adaptive",
        "_allowed",
        "_blocks",
        "_grown",
        "_grown_max",
        "_lost",
        "_lost_until",
        "_name_cache",
        "_names_cached_max",
        "_pending",
        "_pending_min",
        "_recent",
        "_recent_count",
        "_reference",
        "_role",
        "_slots",
        "_table_bytes_max",
        "counters",
        "table",
    )

    def __init__(
        self,
        counters: Counters,
        role: int,
        table_bytes_max: int,
        names_cached_max: int,
        adaptive: bool,
        table_bytes_grown_max: int,
        name_cache: bool,
    ) -> None:
        self.counters = counters
        self.table = DynamicTable(_TABLE_BYTES_DEFAULT)
        self._role = role
        self._table_bytes_max = table_bytes_max
        self._names_cached_max = names_cached_max
        self._adaptive = adaptive
        self._grown_max = max(table_bytes_max, table_bytes_grown_max) if adaptive else table_bytes_max
        self._allowed = min(_TABLE_BYTES_DEFAULT, self._grown_max)
        self._grown = False
        self._lost = 0
        self._lost_until = 0
        self._name_cache = name_cache
        # Codes in the place of this table where it is set.
        self._reference: ReferenceEncoder | None = None
        self._slots: dict[bytes, Slot] = {}
        self._recent: list[Recent] = []
        self._recent_count = 0
        self._blocks = 0
        # Size updates due at the start of the next block: the smallest and the last, -1 when none is.
        self._pending = _NONE
        self._pending_min = _NONE
        self.table.report(counters, role, _SEND)

    def _new_recent(self) -> Recent:
        """What is kept of a field in the place after the last that is known."""
        recent = Recent()
        recent.entry = _NO_ENTRY
        if self._recent_count < _RECENT_MAX:
            self._recent.append(recent)
            self._recent_count += 1
        return recent

    def _new_slot(self, name: bytes) -> Slot:
        cached = names.name_of_known(name) if self._name_cache else None
        found = names.examine(name, self._names_cached_max if self._name_cache else 0) if cached is None else cached
        self.counters.slots[_NAMES + (1 if cached is None else 0)] += 1
        policy = found.policy
        if not self._adaptive and (policy == POLICY_PLAIN or policy == POLICY_PRIVATE):
            policy = POLICY_INDEX
        slot = Slot(found, policy)
        if slot.flaw == 0:
            if len(self._slots) >= self._names_cached_max:
                self._drop_unused_slots()
            self._slots[found.text] = slot
        return slot

    def trim(self) -> None:
        """Forget what only saves a lookup."""
        self._recent = []
        self._recent_count = 0

    def _drop_unused_slots(self) -> int:
        """Keep the names that the table holds, which are few (an entry counts 32 octets at least); the others can be found again."""
        slots: dict[bytes, Slot] = {}
        for text, slot in self._slots.items():
            if slot.newest >= 0:
                slots[text] = slot  # noqa: PERF403 - a comprehension loses the C type of the slot
        self._slots = slots
        self._recent.clear()
        self._recent_count = 0
        return 0

    def _insert(self, slot: Slot, value: bytes) -> int:
        """Mirror the insertion that the peer makes (RFC 7541 section 4.4)."""
        dynamic = self.table
        size = slot.size + len(value)
        while dynamic.count and not dynamic.fits(size):
            entry = dynamic.evict()
            self._forget(entry)
            if entry.used:
                self._entry_lost()
        if dynamic.fits(size):
            entry = table.new_entry(slot.name, value, 0)
            dynamic.insert(entry)
            slot.add(entry)
            if self._adaptive:
                slot.unused += 1
        return 0

    def _entry_lost(self) -> int:
        """An entry was evicted that had been of use: the table grows where that happens often."""
        self.counters.slots[_LOST] += 1
        if self._blocks > self._lost_until:
            self._lost_until = self._blocks + _LOST_BLOCKS
            self._lost = 0
        self._lost += 1
        capacity = self.table.capacity
        if self._lost >= _LOST_MAX and self._pending < 0 and 0 < capacity < min(self._allowed, self._grown_max):
            self._lost = 0
            self._grown = True
            self.counters.slots[_GROWTHS] += 1
            # With the next block: a size update stands before the fields.
            self._set_pending(min(2 * capacity, self._allowed, self._grown_max))
        return 0

    def _forget(self, entry: Entry) -> int:
        """``entry`` was evicted."""
        slot = self._slots[entry.name.text]
        slot.drop(entry)
        if slot.newest == entry.number:
            # The oldest entry of all is the newest of its name: it was the only one.
            slot.newest = -1
        entry.number = GONE
        return 0

    def _take_back(self) -> int:
        """Undo the newest insertion; the newest entry of its name is now an older one, or none."""
        dynamic = self.table
        entry = dynamic.take_back()
        entry.number = GONE
        slot = self._slots[entry.name.text]
        slot.drop(entry)
        slot.newest = -1
        for position in range(dynamic.count):
            if dynamic.at(position).name is entry.name:
                slot.newest = dynamic.inserted - 1 - position
                break
        return 0

    def set_table_size(self, size: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE: the next block begins with a size update if the table changes."""
        self._allowed = size
        if self._reference is not None:
            self._reference.resize(min(size, self._table_bytes_max))
            return
        capacity = min(size, self._table_bytes_max)
        if self._grown:
            capacity = max(capacity, min(size, self._grown_max, self.table.capacity if self._pending < 0 else self._pending))
        if self._pending < 0 and capacity == self.table.capacity:
            return
        self._set_pending(capacity)

    def _set_pending(self, capacity: int) -> None:
        if self._pending < 0 or capacity < self._pending_min:
            self._pending_min = capacity
        self._pending = capacity

    def _resize(self, capacity: int) -> int:
        dynamic = self.table
        dynamic.capacity = capacity
        while dynamic.size > capacity:
            self._forget(dynamic.evict())
        return 0

    def close(self) -> None:
        """The connection is over: its table leaves the running sums."""
        self.table.leave(self.counters, self._role, _SEND)
