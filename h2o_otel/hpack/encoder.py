"""The encoder of one connection: fields straight into its output buffer.

A block is all or nothing.  Each field is checked before it is written, and whatever stops a block
half-way (an invalid field, an exception of the caller's iterable) takes back what the block has
written and inserted: the output ends where it began, and the dynamic table is again what the peer
has.  Only when the block also evicted entries, the table is emptied instead, with the size updates
that empty the peer's.
"""

from __future__ import annotations

from collections.abc import Iterable

from .. import _mem, counters
from ..buffers.output import OutputBuffer
from ..counters import Counters
from ..errors import LocalProtocolError
from . import names, policies
from . import plain as huffman
from .indexing import NO_ENTRY, Indexing
from .kinds import (
    ENTRY_OVERHEAD,
    GONE,
    POLICY_INDEX,
    POLICY_PLAIN,
    PRIORITY,
    PROTOCOL,
    PSEUDO_AFTER,
    PSEUDO_TRAILERS,
    PSEUDO_TWICE,
    REGULAR,
    STATIC_COUNT,
    STATUS,
)
from .policies import Slot
from .static import STATUS_MAX, STATUS_MIN, STATUS_OCTETS, STATUS_VALUES

__all__ = ["Encoder"]

_SEND = counters.SEND
_FIELDS = counters.slot("hpack_fields") + counters.SEND * len(counters.REPRESENTATIONS)
_ENCODED = counters.slot("hpack_size") + counters.SEND * 2
_PLAIN = _ENCODED + 1
_TIME_NS = counters.slot("hpack_time_ns") + counters.SEND
_NAMES = counters.slot("hpack_names") + counters.SEND * 2
_REPEATED = counters.slot("hpack_fields_repeated")
_INDEXED_STATIC, _INDEXED_DYNAMIC, _LITERAL_INDEXED, _LITERAL_PLAIN, _LITERAL_NEVER = range(5)

_TABLE_BYTES_DEFAULT = 4096
# One block in so many is timed.
_TIMED = 64
_STATUS_OCTETS_OWNER = STATUS_OCTETS
_STATUS_OCTETS = _STATUS_OCTETS_OWNER
_STATUS_VALUES = STATUS_VALUES
_STATUS_NAME = b":status"
_NONE = -1
_NO_ENTRY = NO_ENTRY


class Encoder(Indexing):
    """HPACK encoder of one connection (RFC 7541).

    A block is ``begin``, then ``field`` or ``status`` for each of its fields, then ``end``.  Where
    one of them raises ``LocalProtocolError`` the block has been taken back already; a caller that
    gives up for another reason calls ``abort``.  ``encode`` and its kin do all of it.

    Args:
        counters: the block of the thread.
        role: ``counters.CLIENT`` or ``counters.SERVER``.
        table_bytes_max: the dynamic table is never larger, whatever the peer allows.
        names_cached_max: names beside the known ones whose examination is kept.
        huffman: strings are Huffman-coded where that is not longer.
        adaptive: fields are indexed by name and by what was seen, and the table grows; without it, all but secrets are indexed.
        table_bytes_grown_max: an adaptive table that loses entries in use grows to this size where the peer allows it.
        static_forms: the forms of ``:status`` that were made at import are used.
        name_cache: what a name is, is looked up; without it, each name is examined each time.
        reference: the library ``hpack`` codes in the place of this table.
    """

    __slots__ = (
        "_block_evictions",
        "_block_inserted",
        "_block_pending",
        "_block_pending_min",
        "_block_pos",
        "_block_pseudo",
        "_block_regular",
        "_huffman",
        "_place",
        "_plain_bytes",
        "_repeated",
        "_started_ns",
        "_static_forms",
        "_trailers",
        "priority",
    )

    def __init__(
        self,
        counters: Counters,
        role: int,
        table_bytes_max: int = _TABLE_BYTES_DEFAULT,
        names_cached_max: int = 1024,
        *,
        huffman: bool = True,
        adaptive: bool = True,
        table_bytes_grown_max: int = 0,
        static_forms: bool = True,
        name_cache: bool = True,
        reference: bool = False,
    ) -> None:
        Indexing.__init__(self, counters, role, table_bytes_max, names_cached_max, adaptive, table_bytes_grown_max, name_cache)
        self._huffman = huffman
        self._static_forms = static_forms
        self._repeated = 0
        self._place = 0
        self._block_pos = 0
        self._block_inserted = 0
        self._block_evictions = 0
        self._block_pending = _NONE
        self._block_pending_min = _NONE
        self._block_pseudo = 0
        # The priority field of the block, None when it has none.
        self.priority: bytes | None = None
        self._block_regular = False
        self._trailers = False
        self._plain_bytes = 0
        self._started_ns = 0
        if reference:
            from .reference import ReferenceEncoder

            self._reference = ReferenceEncoder(counters, huffman)
            self.set_table_size(_TABLE_BYTES_DEFAULT)
        elif table_bytes_max < _TABLE_BYTES_DEFAULT:
            # The peer's decoder begins with 4096 until it is told otherwise.
            self._set_pending(table_bytes_max)

    # -- blocks

    def encode(self, out: OutputBuffer, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Write one whole block; pseudo-header fields stand first.

        Raises:
            LocalProtocolError: a field cannot be sent; ``out`` and the table are as before.
        """
        self.begin(out)
        self._fields(out, headers)
        self.end(out)

    def encode_trailers(self, out: OutputBuffer, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """As ``encode``, for trailers: no pseudo-header field is allowed."""
        self.begin(out)
        self._trailers = True
        self._fields(out, headers)
        self.end(out)

    def encode_response(self, out: OutputBuffer, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """As ``encode``, for a response with ``status``; ``headers`` are its regular fields."""
        self.begin(out)
        self.status(out, status)
        self._block_regular = True
        self._fields(out, headers)
        self.end(out)

    def begin(self, out: OutputBuffer) -> int:
        """Begin a block at ``out.pos``, with the size updates that are due."""
        self._block_pos = out.pos
        self._block_pseudo = 0
        self.priority = None
        self._block_regular = False
        self._trailers = False
        self._plain_bytes = 0
        self._place = 0
        self._repeated = 0
        self._blocks += 1
        self._started_ns = _mem.now_ns() if self._blocks % _TIMED == 0 else 0
        self._block_pending = self._pending
        self._block_pending_min = self._pending_min
        if self._pending >= 0:
            self._write_size_updates(out)
        self._block_inserted = self.table.inserted
        self._block_evictions = self.table.evictions
        return 0

    def end(self, out: OutputBuffer) -> int:
        """The block is complete: count it."""
        if self._reference is not None:
            out.write(self._reference.finish())
        slots = self.counters.slots
        slots[_ENCODED] += out.pos - self._block_pos
        slots[_PLAIN] += self._plain_bytes
        slots[_REPEATED] += self._repeated
        if self.table.changed() or self._block_pending >= 0:
            self.table.report(self.counters, self._role, _SEND)
        if self._started_ns:
            slots[_TIME_NS] += (_mem.now_ns() - self._started_ns) * _TIMED
        return 0

    def abort(self, out: OutputBuffer) -> None:
        """Take the block back: nothing of it was sent, and the tables of both sides agree again."""
        dynamic = self.table
        if self._reference is not None:
            self._reference.drop()
        out.pos = self._block_pos
        self._pending = self._block_pending
        self._pending_min = self._block_pending_min
        if dynamic.evictions == self._block_evictions:
            while dynamic.inserted > self._block_inserted:
                self._take_back()
        else:
            # The peer still has entries that are gone here: both begin again with none.
            while dynamic.count:
                self._forget(dynamic.evict())
            if self._pending < 0:
                self._pending = dynamic.capacity
            self._pending_min = 0
        self.table.report(self.counters, self._role, _SEND)

    def _fields(self, out: OutputBuffer, headers: Iterable[tuple[bytes, bytes]]) -> int:
        try:
            for name, value in headers:
                self.field(out, name, value)
        except LocalProtocolError:
            raise
        except BaseException:
            self.abort(out)
            raise
        return 0

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Check trailers that are to be encoded later.

        Raises:
            LocalProtocolError: a field cannot be sent.
        """
        for name, value in headers:
            found = names.name_of(name, self._names_cached_max)
            flaw = found.flaw
            if flaw == 0 and found.kind != REGULAR and found.kind <= PROTOCOL:
                flaw = PSEUDO_TRAILERS
            if flaw == 0:
                flaw = names.flaw_of_value(found.kind, value, len(value))
            if flaw:
                raise policies.refusal(flaw, name, value)

    # -- fields

    def status(self, out: OutputBuffer, status: int) -> int:
        """Write ``:status``, the first field of a response."""
        if status < STATUS_MIN or status > STATUS_MAX:
            self.abort(out)
            raise LocalProtocolError(
                f"status {status} is not a code from 100 to 599", rule="status_invalid", scope="stream", initiator="user"
            )
        if not self._static_forms:
            return self.field(out, _STATUS_NAME, b"%d" % status)
        octet: int = _STATUS_OCTETS[status]
        if octet == 0 or self._reference is not None:
            return self.field(out, _STATUS_NAME, _STATUS_VALUES[status])
        out.reserve(1)
        out.put(octet)
        self.counters.slots[_FIELDS + _INDEXED_STATIC] += 1
        self._block_pseudo |= 1 << STATUS
        # ":status" and three digits
        self._plain_bytes += 10
        return 0

    def field(self, out: OutputBuffer, name: bytes, value: bytes) -> int:
        """Write one field.

        Raises:
            LocalProtocolError: the field cannot be sent; the whole block has been taken back.
        """
        place = self._place
        self._place = place + 1
        recent = self._recent[place] if place < self._recent_count else self._new_recent()
        if recent.name is name:
            slot = recent.slot
        else:
            known = self._slots.get(name)
            slot = self._new_slot(name) if known is None else known
            recent.entry = _NO_ENTRY
            if self._name_cache:
                recent.name = name
                recent.slot = slot
            elif known is not None:
                # The plain way: every name is looked at each time that it is sent.
                self.counters.slots[_NAMES + 1] += 1
                if names.flaw_of_name(name):
                    self._refuse(out, names.flaw_of_name(name), name, value)
        if slot.kind == REGULAR:
            if slot.flaw:
                self._refuse(out, slot.flaw, name, value)
            self._block_regular = True
        else:
            self._check_order(out, slot, value)
        if self._reference is not None:
            return self._hand_over(out, slot, value)
        entry = recent.entry
        if recent.value is value and entry.number != GONE:
            self._repeated += 1
        else:
            found = slot.find(value)
            if found is None:
                return self._literal(out, slot, value)
            entry = found
            recent.value = value
            recent.entry = entry
        self._plain_bytes += entry.size - ENTRY_OVERHEAD
        out.reserve(8)
        if entry.number < 0:
            out.put(0x80 - entry.number)
            self.counters.slots[_FIELDS + _INDEXED_STATIC] += 1
            return 0
        slot.unused = 0
        entry.used = True
        write_integer(out, STATIC_COUNT + self.table.inserted - entry.number, 127, 128)
        self.counters.slots[_FIELDS + _INDEXED_DYNAMIC] += 1
        return 0

    def _literal(self, out: OutputBuffer, slot: Slot, value: bytes) -> int:
        """A field that neither table has."""
        n = len(value)
        flaw = names.flaw_of_value(slot.kind, value, n)
        if flaw:
            self._refuse(out, flaw, slot.name.text, value)
        policy = policies.representation(slot, value, n, self.table, self._adaptive)
        index = slot.static_index
        if index == 0 and slot.newest >= 0:
            index = STATIC_COUNT + self.table.inserted - slot.newest
        self._plain_bytes += slot.size - ENTRY_OVERHEAD + n
        out.reserve(8)
        if policy == POLICY_INDEX:
            write_integer(out, index, 63, 64)
            self.counters.slots[_FIELDS + _LITERAL_INDEXED] += 1
        elif policy == POLICY_PLAIN:
            write_integer(out, index, 15, 0)
            self.counters.slots[_FIELDS + _LITERAL_PLAIN] += 1
        else:
            write_integer(out, index, 15, 16)
            self.counters.slots[_FIELDS + _LITERAL_NEVER] += 1
        if index == 0:
            self._string(out, slot.name.text, slot.size - ENTRY_OVERHEAD)
        self._string(out, value, n)
        if policy == POLICY_INDEX:
            self._insert(slot, value)
        return 0

    def _hand_over(self, out: OutputBuffer, slot: Slot, value: bytes) -> int:
        """A checked field for the reference, which codes the block at its end."""
        n = len(value)
        flaw = names.flaw_of_value(slot.kind, value, n)
        if flaw:
            self._refuse(out, flaw, slot.name.text, value)
        assert self._reference is not None
        self._plain_bytes += slot.size - ENTRY_OVERHEAD + n
        self._reference.add(slot.name.text, value, policies.is_secret(slot, n))
        return 0

    def _check_order(self, out: OutputBuffer, slot: Slot, value: bytes) -> int:
        """Pseudo-header fields stand first, each once (RFC 9113 section 8.3)."""
        flaw = slot.flaw
        if slot.kind > PROTOCOL:
            self._block_regular = True
            if slot.kind == PRIORITY:
                self.priority = value
        elif self._trailers:
            flaw = PSEUDO_TRAILERS
        elif self._block_regular:
            flaw = PSEUDO_AFTER
        elif self._block_pseudo & (1 << slot.kind):
            flaw = PSEUDO_TWICE
        else:
            self._block_pseudo |= 1 << slot.kind
        if flaw:
            self._refuse(out, flaw, slot.name.text, value)
        return 0

    def _refuse(self, out: OutputBuffer, flaw: int, name: bytes, value: bytes) -> None:
        self.abort(out)
        raise policies.refusal(flaw, name, value)

    def _string(self, out: OutputBuffer, src: bytes, n: int) -> int:
        """A string literal (RFC 7541 section 5.2), Huffman-coded where that is not longer, as in the examples of appendix C."""
        coded = 0
        if self._huffman:
            if 0 < n < 127:
                # The length takes one octet whichever form wins: code first, then look.
                out.reserve(4 * n + 8)
                pos = out.pos
                coded = huffman.encode(out.mem, pos + 1, out.cap, src, n) - pos - 1
                if coded <= n:
                    out.put(128 | coded)
                    out.pos += coded
                    return 0
            else:
                coded = (huffman.measure(src, n) + 7) >> 3
        if 0 < coded <= n:
            out.reserve(coded + 8)
            write_integer(out, coded, 127, 128)
            out.pos = huffman.encode(out.mem, out.pos, out.cap, src, n)
        else:
            out.reserve(n + 8)
            write_integer(out, n, 127, 0)
            _mem.copy(out.mem, out.pos, out.cap, src, 0, n, n)
            out.pos += n
        return 0

    def _write_size_updates(self, out: OutputBuffer) -> int:
        """The smallest size since the last block, then the last one (RFC 7541 section 4.2)."""
        out.reserve(16)
        self._resize(self._pending_min)
        write_integer(out, self._pending_min, 31, 32)
        if self._pending != self._pending_min:
            self._resize(self._pending)
            write_integer(out, self._pending, 31, 32)
        self._pending = _NONE
        self._pending_min = _NONE
        return 0


def write_integer(out: OutputBuffer, value: int, mask: int, top: int) -> int:
    """An integer behind a prefix of ``mask`` with the bits ``top`` before it (RFC 7541 section 5.1); room was reserved before."""
    if value < mask:
        out.put(top | value)
        return 0
    out.put(top | mask)
    value -= mask
    while value >= 128:
        out.put((value & 127) | 128)
        value >>= 7
    out.put(value)
    return 0
