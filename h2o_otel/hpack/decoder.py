"""The decoder of one connection: a field block in, a checked field section out.

Here is the wire: integers, strings, representations and size updates; what the fields mean is kept
by ``section``.  Two kinds of faults are told apart.  What breaks the coding (the ``hpack_*`` rules)
raises: the table is lost, and with it the connection.  What makes a field malformed concerns one
stream only, and decoding goes on, since the table must follow the peer's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import _mem, counters
from ..counters import Counters
from ..limits import EngineLimits
from ..memory.intern import ValueTable
from ..rules import RULES, Rule, Violation, fail
from . import names, table
from . import plain as huffman
from .kinds import ENTRY_OVERHEAD, POLICY_INDEX, STATIC_COUNT
from .names import Name
from .section import FieldSection
from .table import STATIC_ENTRIES, DynamicTable, Entry

if TYPE_CHECKING:
    from .reference import ReferenceDecoder

__all__ = ["Decoder"]

_RECV = counters.RECV
_FIELDS = counters.slot("hpack_fields") + counters.RECV * len(counters.REPRESENTATIONS)
_ENCODED = counters.slot("hpack_size") + counters.RECV * 2
_PLAIN = _ENCODED + 1
_TIME_NS = counters.slot("hpack_time_ns") + counters.RECV
_NAMES = counters.slot("hpack_names") + counters.RECV * 2
_INDEXED_STATIC, _INDEXED_DYNAMIC, _LITERAL_INDEXED, _LITERAL_PLAIN, _LITERAL_NEVER = range(5)

_TABLE_BYTES_DEFAULT = 4096
# An integer is a prefix and at most five octets more: 2^32 - 1 fits.
_INTEGER_OCTETS_MAX = 6
_INTEGER_MAX = 0xFFFFFFFF
# Room for decoded Huffman strings: what most need, and what is kept between blocks.
_SCRATCH_BYTES = 512
_SCRATCH_KEPT_BYTES = 4096
_NO_ROOM = bytearray()
# One block in so many is timed.
_TIMED = 64
_STATIC = STATIC_ENTRIES
_NONE = -1
_POLICY_INDEX = POLICY_INDEX


class Decoder(FieldSection):
    """HPACK decoder of one connection (RFC 7541); the attributes of ``FieldSection`` describe the last block decoded.

    Args:
        counters: the block of the thread.
        role: ``counters.CLIENT`` or ``counters.SERVER``.
        limits: of field sections and names.
        name_cache: what a name is, is looked up; without it, each literal name is examined.
        reference: the library ``hpack`` decodes in the place of this table.
        parallel: threads decode the Huffman strings of blocks of ``limits.hpack_parallel_bytes_min`` and more.
    """

    __slots__ = (
        "_again",
        "_ahead_of",
        "_allowed",
        "_blocks",
        "_first",
        "_name_cache",
        "_names_cached_max",
        "_parallel_bytes_min",
        "_pos",
        "_reference",
        "_role",
        "_room",
        "_scratch",
        "_scratch_bytes",
        "_shrink_to",
        "_size_updates_max",
        "_stream_id",
        "_strings",
        "interned",
        "table",
    )

    def __init__(
        self,
        counters: Counters,
        role: int,
        limits: EngineLimits,
        validation_cache: bool = True,
        *,
        name_cache: bool = True,
        reference: bool = False,
        parallel: bool = False,
    ) -> None:
        FieldSection.__init__(self, counters, limits)
        self._name_cache = name_cache
        self._parallel_bytes_min = limits.hpack_parallel_bytes_min
        self._ahead_of: Callable[[bytes, int, Counters], dict[int, bytes] | None] | None = None
        if parallel:
            from .parallel import ahead_of

            self._ahead_of = ahead_of
        # Of the block that is being decoded: where it begins, and the strings in it that are decoded already.
        self._first = 0
        self._strings: dict[int, bytes] | None = None
        self._reference: ReferenceDecoder | None = None
        if reference:
            from .reference import ReferenceDecoder

            self._reference = ReferenceDecoder(limits.header_list_bytes_max)
        self.table = DynamicTable(_TABLE_BYTES_DEFAULT)
        self._role = role
        # Entries are examined again each time that they come (Tuning.frame_validation_cache off).
        self._again = not validation_cache
        # What our SETTINGS allow: 4096 until the peer acknowledged another value.
        self._allowed = _TABLE_BYTES_DEFAULT
        # The size that the peer must go down to before anything else, -1 for none.
        self._shrink_to = _NONE
        self._size_updates_max = limits.hpack_size_updates_max
        self._names_cached_max = limits.names_cached_max
        self._scratch = _NO_ROOM
        self._room = self._scratch
        self._scratch_bytes = 0
        self._pos = 0
        self._stream_id = 0
        self._blocks = 0
        # Where values that enter the table are looked up, None for nowhere; set by whoever owns the connection.
        self.interned: ValueTable | None = None
        self.table.report(counters, role, _RECV)

    def decode_block(self, data: bytes, stream_id: int = 0) -> list[tuple[bytes, bytes]]:
        """Decode ``data``, one whole block; returns ``headers``: for callers that are not compiled.

        Raises:
            Violation: the coding is broken; the connection cannot go on.
        """
        self.decode(data, 0, len(data), stream_id)
        return self.headers

    def decode(self, buf: bytes, pos: int, end: int, stream_id: int) -> int:
        """Decode the block ``buf[pos:end]``.

        Raises:
            Violation: the coding is broken; the connection cannot go on.
        """
        started_ns = 0
        self._blocks += 1
        if self._blocks % _TIMED == 0:
            started_ns = _mem.now_ns()
        self._reset()
        self._stream_id = stream_id
        slots = self.counters.slots
        slots[_ENCODED] += end - pos
        if self._reference is not None:
            self._hand_over(_mem.to_bytes(buf, pos, end, end))
            pos = end
        self._pos = pos
        self._first = pos
        if self._ahead_of is not None and self._strings is None:
            self._strings = self._ahead_of(_mem.to_bytes(buf, pos, end, end), self._parallel_bytes_min, self.counters)
        if self._shrink_to >= 0 or (pos < end and _mem.u8(buf, pos, end) & 0xE0 == 0x20):
            self._size_updates(buf, end)
        while self._pos < end:
            octet = _mem.u8(buf, self._pos, end)
            if octet & 0x80 == 0:
                self._literal(buf, end, octet)
                continue
            if octet == 0xFF:
                index = self._integer(buf, end, 0x7F)
            else:
                index = octet & 0x7F
                self._pos += 1
            if index <= STATIC_COUNT:
                if index == 0:
                    raise self._broken(RULES.hpack_index_zero)
                entry = _STATIC[index]
                slots[_FIELDS + _INDEXED_STATIC] += 1
            else:
                entry = self._dynamic(index)
                slots[_FIELDS + _INDEXED_DYNAMIC] += 1
            self.fields += 1
            self.list_bytes += entry.size
            if self.list_bytes > self._list_bytes_max or self.fields > self._fields_max:
                self._exceeded()
            elif self._again:
                self._examined(entry)
            elif entry.special:
                self._special(entry.name, entry.value, entry.pair, entry.flaw)
            else:
                self.headers.append(entry.pair)
        if self._strings is not None:
            self._strings = None
        slots[_PLAIN] += self.list_bytes - self.fields * ENTRY_OVERHEAD
        if self.table.changed():
            self.table.report(self.counters, self._role, _RECV)
        if self._scratch_bytes > _SCRATCH_KEPT_BYTES:
            self._make_room(_SCRATCH_BYTES)
        if started_ns:
            slots[_TIME_NS] += (_mem.now_ns() - started_ns) * _TIMED
        return 0

    def _examined(self, entry: Entry) -> int:
        """An indexed field, looked at as if it were new."""
        name = entry.name
        flaw = names.flaw_of_name(name.text)
        if flaw == 0:
            flaw = names.flaw_of_value(name.kind, entry.value, len(entry.value))
        if flaw or name.kind:
            return self._special(name, entry.value, entry.pair, flaw)
        self.headers.append(entry.pair)
        return 0

    def use_strings(self, strings: dict[int, bytes] | None) -> None:
        """Huffman strings of the next block that are decoded already, by their position in it."""
        self._strings = strings

    # -- representations (RFC 7541 section 6)

    def _literal(self, buf: bytes, end: int, octet: int) -> int:
        """A literal field; ``octet`` is its first."""
        slots = self.counters.slots
        if octet & 0x40:
            mask = 0x3F
            slots[_FIELDS + _LITERAL_INDEXED] += 1
        elif octet & 0x20:
            raise self._broken(RULES.hpack_size_update_late)
        else:
            mask = 0x0F
            slots[_FIELDS + (_LITERAL_NEVER if octet & 0x10 else _LITERAL_PLAIN)] += 1
        index = octet & mask
        if index == mask:
            index = self._integer(buf, end, mask)
        else:
            self._pos += 1
        if index == 0:
            name = self._name(self._string(buf, end))
        elif index <= STATIC_COUNT:
            name = _STATIC[index].name
        else:
            name = self._dynamic(index).name
        value = self._string(buf, end)
        if mask == 0x3F:
            return self._insert(name, value)
        if self.specials is None or not octet & 0x10:
            return self._field(name, value)
        position = len(self.headers) + len(self.specials)
        self._field(name, value)
        if len(self.headers) + len(self.specials) > position:
            self.never_indexed.append(position)
        return 0

    def _name(self, text: bytes) -> Name:
        """A name as examined, now or before."""
        if self._name_cache:
            known = names.name_of_known(text)
            if known is not None:
                self.counters.slots[_NAMES] += 1
                return known
        self.counters.slots[_NAMES + 1] += 1
        return names.examine(text, self._names_cached_max if self._name_cache else 0)

    def _hand_over(self, block: bytes) -> int:
        """A whole block for the reference; its fields are checked as ours are."""
        from .reference import Broken

        assert self._reference is not None
        try:
            fields = self._reference.decode(block)
        except Broken as error:
            raise self._broken(error.rule, error.actual, error.limit) from None
        for text, value in fields:
            self._field(self._name(text), value)
        return 0

    def _insert(self, name: Name, value: bytes) -> int:
        """A literal field with indexing (RFC 7541 section 6.2.1)."""
        self.fields += 1
        self.list_bytes += len(name.text) + len(value) + ENTRY_OVERHEAD
        exceeded = self.list_bytes > self._list_bytes_max or self.fields > self._fields_max
        if exceeded:
            self._exceeded()
        flaw = name.flaw
        if flaw == 0:
            flaw = names.flaw_of_value(name.kind, value, len(value))
        if self.interned is not None and name.policy == _POLICY_INDEX and not flaw:
            value = self.interned.intern(value)
        entry = table.new_entry(name, value, flaw)
        dynamic = self.table
        dynamic.evict_for(entry.size)
        if dynamic.fits(entry.size):
            dynamic.insert(entry)
        if exceeded:
            return 0
        if entry.special:
            self._special(name, value, entry.pair, flaw)
        else:
            self.headers.append(entry.pair)
        return 0

    def _dynamic(self, index: int) -> Entry:
        """The entry at ``index`` of the dynamic table."""
        if index - STATIC_COUNT > self.table.count:
            raise self._broken(RULES.hpack_index_unknown, index, STATIC_COUNT + self.table.count)
        return self.table.at(index - STATIC_COUNT - 1)

    def _size_updates(self, buf: bytes, end: int) -> int:
        """The dynamic table size updates at the start of a block (RFC 7541 sections 4.2 and 6.3)."""
        n = 0
        while self._pos < end and _mem.u8(buf, self._pos, end) & 0xE0 == 0x20:
            n += 1
            if n > self._size_updates_max:
                raise self._broken(RULES.hpack_size_updates, n, self._size_updates_max)
            size = self._integer(buf, end, 0x1F)
            if size > self._allowed:
                raise self._broken(RULES.hpack_size_update_too_large, size, self._allowed)
            if size <= self._shrink_to:
                self._shrink_to = _NONE
            self.table.resize(size)
        if self._shrink_to >= 0:
            raise self._broken(RULES.hpack_size_update_missing, limit=self._shrink_to)
        if n:
            self.table.report(self.counters, self._role, _RECV)
        return 0

    def set_allowed_table_size(self, size: int) -> None:
        """The peer acknowledged our SETTINGS_HEADER_TABLE_SIZE: a larger table must shrink at the start of the next block."""
        self._allowed = size
        if self._reference is not None:
            self._reference.allow(size)
            return
        if size < self.table.capacity and (self._shrink_to < 0 or size < self._shrink_to):
            self._shrink_to = size

    # -- primitives (RFC 7541 section 5)

    def _integer(self, buf: bytes, end: int, mask: int) -> int:
        """The integer at ``_pos`` behind a prefix of ``mask``."""
        pos = self._pos
        value = _mem.u8(buf, pos, end) & mask
        pos += 1
        if value == mask:
            shift = 0
            while True:
                if pos >= end:
                    raise self._broken(RULES.hpack_truncated)
                if pos - self._pos >= _INTEGER_OCTETS_MAX:
                    raise self._broken(RULES.hpack_integer_too_large, limit=_INTEGER_OCTETS_MAX)
                octet = _mem.u8(buf, pos, end)
                pos += 1
                value += (octet & 0x7F) << shift
                shift += 7
                if octet < 0x80:
                    break
            if value > _INTEGER_MAX:
                raise self._broken(RULES.hpack_integer_too_large, limit=_INTEGER_OCTETS_MAX)
        self._pos = pos
        return value

    def _string(self, buf: bytes, end: int) -> bytes:
        """The string literal at ``_pos``; its length is checked before anything is made of it."""
        if self._pos >= end:
            raise self._broken(RULES.hpack_truncated)
        octet = _mem.u8(buf, self._pos, end)
        n = octet & 0x7F
        if n == 0x7F:
            n = self._integer(buf, end, 0x7F)
        else:
            self._pos += 1
        start = self._pos
        if n > end - start:
            raise self._broken(RULES.hpack_string_too_long, n, end - start)
        self._pos = start + n
        if octet & 0x80 == 0:
            return _mem.to_bytes(buf, start, start + n, end)
        if self._strings is not None:
            text = self._strings.get(start - self._first)
            if text is not None:
                return text
        if 2 * n + 2 > self._scratch_bytes:
            self._make_room(max(2 * n + 2, _SCRATCH_BYTES))
        size = huffman.decode(buf, start, start + n, end, self._room, 0, self._scratch_bytes)
        if size < 0:
            raise self._broken(RULES.hpack_huffman_eos if size == huffman.EOS else RULES.hpack_huffman_padding)
        return _mem.to_bytes(self._room, 0, size, self._scratch_bytes)

    def _make_room(self, size: int) -> int:
        self._scratch = bytearray(size)
        self._room = self._scratch
        self._scratch_bytes = size
        return 0

    def trim(self) -> None:
        """Let go of the last block's fields and of the room for strings."""
        self._reset()
        self._scratch = _NO_ROOM
        self._room = self._scratch
        self._scratch_bytes = 0

    def _broken(self, rule: Rule, actual: int = 0, limit: int = 0) -> Violation:
        """The exception for a broken coding."""
        self.counters.count("hpack_errors", ("receive", rule.token))
        return fail(rule, self._stream_id, actual=actual, limit=limit)

    def close(self) -> None:
        """The connection is over: its table leaves the running sums."""
        self.table.leave(self.counters, self._role, _RECV)
