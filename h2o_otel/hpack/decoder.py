"""The decoder of one connection: a field block in, a checked field section out.

Two kinds of faults are told apart.  What breaks the coding (the ``hpack_*`` rules) raises: the
table is lost, and with it the connection.  What makes a field malformed concerns one stream only:
the first such fault is kept in ``violation`` and decoding goes on, since the table must follow the
peer's.  Beyond the limits on a field section nothing more is kept of it, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _mem, counters
from ..counters import Counters
from ..limits import Limits
from ..memory.intern import ValueTable
from ..rules import RULES, Rule, Violation, fail
from . import names, table
from . import plain as huffman
from .kinds import (
    AUTHORITY,
    CONTENT_LENGTH,
    COOKIE,
    ENTRY_OVERHEAD,
    HOST,
    LENGTH_INVALID,
    METHOD,
    PATH,
    POLICY_INDEX,
    PRIORITY,
    PROTOCOL,
    PSEUDO_AFTER,
    PSEUDO_TWICE,
    SCHEME,
    STATIC_COUNT,
    STATUS,
    VALUE_INVALID,
)
from .names import FLAWS, Name
from .table import STATIC_ENTRIES, DynamicTable, Entry

if TYPE_CHECKING:
    from .reference import ReferenceDecoder

__all__ = ["Decoder"]

_FIELDS = counters.slot("hpack_fields") + counters.RECV * len(counters.REPRESENTATIONS)
_ENCODED = counters.slot("hpack_size") + counters.RECV * 2
_PLAIN = _ENCODED + 1
_TABLE_SIZE = counters.slot("hpack_table_size")
_TABLE_CAPACITY = counters.slot("hpack_table_capacity")
_EVICTIONS = counters.slot("hpack_table_evictions") + counters.RECV
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
# One block in so many is timed.
_TIMED = 64
# A field in an error's text is cut here.
_SHOWN_BYTES = 64
_STATIC = STATIC_ENTRIES
_NO_FIELDS: dict[str, Any] = {}
_NONE = -1
_POLICY_INDEX = POLICY_INDEX


class Decoder:
    """HPACK decoder of one connection (RFC 7541); the attributes describe the last block decoded.

    Args:
        counters: the block of the thread.
        role: ``counters.CLIENT`` or ``counters.SERVER``.
        limits: of field sections and names.
        name_cache: what a name is, is looked up; without it, each literal name is examined.
        reference: the library ``hpack`` decodes in the place of this table.
        parallel: threads decode the Huffman strings of blocks of ``limits.hpack_parallel_bytes_min`` and more.

    Attributes:
        method, scheme, authority, path, status, protocol: values of the pseudo-header fields, None when absent.
        status_code: ``status`` as a number, 0 when absent or invalid.
        pseudo: bit ``1 << kind`` (``kinds.METHOD`` and on) for each pseudo-header field seen.
        headers: regular fields in order, as pairs of bytes; a new list for each block.
        fields: number of fields, pseudo-header fields included.
        list_bytes: size of the field section, 32 more than its octets for each field (RFC 9113 section 6.5.2).
        content_length: the number, -1 when absent or invalid.
        host: value of the host field, None when absent.
        cookies: number of cookie fields.
        te: whether ``te: trailers`` was seen.
        priority: the priority field, lines joined (RFC 9218 section 5), None when absent.
        violation: the first rule that the fields break, None when they break none.
        violation_fields: the values in its message.
        specials: for callers that must show a block as it came: what is not in ``headers``, pseudo-header and
            malformed fields, as ``(position in headers, pair)``; None unless ``keep_specials`` was called.
        never_indexed: positions, in the block as it came, of the fields that no hop may index.
    """

    __slots__ = (
        "_again",
        "_ahead_of",
        "_allowed",
        "_blocks",
        "_evictions_counted",
        "_fields_max",
        "_first",
        "_list_bytes_max",
        "_name_cache",
        "_names_cached_max",
        "_parallel_bytes_min",
        "_pos",
        "_reference",
        "_reported_capacity",
        "_reported_size",
        "_role",
        "_room",
        "_scratch",
        "_scratch_bytes",
        "_shrink_to",
        "_size_updates_max",
        "_stream_id",
        "_strings",
        "authority",
        "content_length",
        "cookies",
        "counters",
        "fields",
        "headers",
        "host",
        "interned",
        "list_bytes",
        "method",
        "never_indexed",
        "path",
        "priority",
        "protocol",
        "pseudo",
        "scheme",
        "specials",
        "status",
        "status_code",
        "table",
        "te",
        "violation",
        "violation_fields",
    )

    def __init__(
        self,
        counters: Counters,
        role: int,
        limits: Limits,
        validation_cache: bool = True,
        *,
        name_cache: bool = True,
        reference: bool = False,
        parallel: bool = False,
    ) -> None:
        self.counters = counters
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
        self._list_bytes_max = limits.header_list_bytes_max
        self._fields_max = limits.header_fields_max
        self._size_updates_max = limits.hpack_size_updates_max
        self._names_cached_max = limits.names_cached_max
        self._scratch = bytearray(_SCRATCH_BYTES)
        self._room = self._scratch
        self._scratch_bytes = _SCRATCH_BYTES
        self._pos = 0
        self._stream_id = 0
        self._blocks = 0
        self._evictions_counted = 0
        self._reported_size = 0
        self._reported_capacity = 0
        self.specials: list[tuple[int, tuple[bytes, bytes]]] | None = None
        self.never_indexed: list[int] = []
        # Where values that enter the table are looked up, None for nowhere; set by whoever owns the connection.
        self.interned: ValueTable | None = None
        self._reset()
        self._report()

    def keep_specials(self) -> None:
        """From the next block on, fill ``specials`` and ``never_indexed``."""
        self.specials = []

    def _reset(self) -> int:
        self.method: bytes | None = None
        self.scheme: bytes | None = None
        self.authority: bytes | None = None
        self.path: bytes | None = None
        self.status: bytes | None = None
        self.protocol: bytes | None = None
        self.host: bytes | None = None
        self.priority: bytes | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.status_code = 0
        self.pseudo = 0
        self.fields = 0
        self.list_bytes = 0
        self.content_length = -1
        self.cookies = 0
        self.te = False
        self.violation: Rule | None = None
        self.violation_fields: dict[str, Any] = _NO_FIELDS
        if self.specials is not None:
            self.specials = []
            self.never_indexed = []
        return 0

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
        if self.table.size != self._reported_size or self.table.evictions != self._evictions_counted:
            self._report()
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

    def _field(self, name: Name, value: bytes) -> int:
        """A field that enters no table."""
        n = len(value)
        self.fields += 1
        self.list_bytes += len(name.text) + n + ENTRY_OVERHEAD
        if self.list_bytes > self._list_bytes_max or self.fields > self._fields_max:
            return self._exceeded()
        flaw = name.flaw
        if flaw == 0:
            flaw = names.flaw_of_value(name.kind, value, n)
        if flaw or name.kind:
            return self._special(name, value, (name.text, value), flaw)
        self.headers.append((name.text, value))
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
            self._report()
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
            self._make_room(2 * n + 2)
        size = huffman.decode(buf, start, start + n, end, self._room, 0, self._scratch_bytes)
        if size < 0:
            raise self._broken(RULES.hpack_huffman_eos if size == huffman.EOS else RULES.hpack_huffman_padding)
        return _mem.to_bytes(self._room, 0, size, self._scratch_bytes)

    def _make_room(self, size: int) -> int:
        self._scratch = bytearray(size)
        self._room = self._scratch
        self._scratch_bytes = size
        return 0

    # -- field sections (RFC 9113 section 8)

    def _special(self, name: Name, value: bytes, pair: tuple[bytes, bytes], flaw: int) -> int:
        """A field that is malformed, a pseudo-header field, or one of the few that connections look at."""
        kind = name.kind
        if flaw == 0 and 0 < kind <= PROTOCOL:
            if self.pseudo & (1 << kind):
                flaw = PSEUDO_TWICE
            elif self.headers:
                flaw = PSEUDO_AFTER
        if self.specials is not None and (flaw or kind <= PROTOCOL):
            self.specials.append((len(self.headers), pair))
        if flaw:
            return self._malformed(flaw, name, value)
        if kind > PROTOCOL:
            self.headers.append(pair)
            return self._noted(kind, value)
        self.pseudo |= 1 << kind
        if kind == METHOD:
            self.method = value
        elif kind == SCHEME:
            self.scheme = value
        elif kind == AUTHORITY:
            self.authority = value
        elif kind == PATH:
            self.path = value
        elif kind == STATUS:
            self.status = value
            self.status_code = (value[0] - 48) * 100 + (value[1] - 48) * 10 + value[2] - 48
        else:
            self.protocol = value
        return 0

    def _noted(self, kind: int, value: bytes) -> int:
        """A regular field that connections look at."""
        if kind == COOKIE:
            self.cookies += 1
        elif kind == CONTENT_LENGTH:
            if self.content_length >= 0:
                return self._violated(FLAWS[LENGTH_INVALID], {"got": value})
            # 18 digits at most, as names.flaw_of_value has made sure.
            self.content_length = _mem.decimal(value, len(value), len(value))
        elif kind == HOST:
            if self.host is not None:
                return self._violated(RULES.host_mismatch, {"got": value[:_SHOWN_BYTES]})
            self.host = value
        elif kind == PRIORITY:
            self.priority = value if self.priority is None else self.priority + b", " + value
        else:
            self.te = True
        return 0

    def _malformed(self, flaw: int, name: Name, value: bytes) -> int:
        if flaw == VALUE_INVALID:
            return self._violated(FLAWS[flaw], {"name": name.text[:_SHOWN_BYTES]})
        if name.flaw or flaw == PSEUDO_TWICE or flaw == PSEUDO_AFTER:
            return self._violated(FLAWS[flaw], {"got": name.text[:_SHOWN_BYTES]})
        return self._violated(FLAWS[flaw], {"got": value[:_SHOWN_BYTES]})

    def _exceeded(self) -> int:
        """The field section is beyond a limit."""
        if self.violation is not None:
            return 0
        if self.list_bytes > self._list_bytes_max:
            rule = RULES.header_list_too_large
            values = {"actual": self.list_bytes, "limit": self._list_bytes_max}
        else:
            rule = RULES.header_fields_too_many
            values = {"actual": self.fields, "limit": self._fields_max}
        self.counters.count("hpack_errors", ("receive", rule.token))
        return self._violated(rule, values)

    def _violated(self, rule: Rule | None, values: dict[str, Any]) -> int:
        if self.violation is None:
            self.violation = rule
            self.violation_fields = values
        return 0

    def _broken(self, rule: Rule, actual: int = 0, limit: int = 0) -> Violation:
        """The exception for a broken coding."""
        self.counters.count("hpack_errors", ("receive", rule.token))
        return fail(rule, self._stream_id, actual=actual, limit=limit)

    # -- counters

    def _report(self) -> int:
        """Bring the running sums of the process up to date with this table."""
        dynamic = self.table
        slots = self.counters.slots
        place = self._role * 2 + counters.RECV
        slots[_TABLE_SIZE + place] += dynamic.size - self._reported_size
        slots[_TABLE_CAPACITY + place] += dynamic.capacity - self._reported_capacity
        slots[_EVICTIONS] += dynamic.evictions - self._evictions_counted
        self._reported_size = dynamic.size
        self._reported_capacity = dynamic.capacity
        self._evictions_counted = dynamic.evictions
        return 0

    def close(self) -> None:
        """The connection is over: its table leaves the running sums."""
        slots = self.counters.slots
        place = self._role * 2 + counters.RECV
        slots[_TABLE_SIZE + place] -= self._reported_size
        slots[_TABLE_CAPACITY + place] -= self._reported_capacity
        self._reported_size = 0
        self._reported_capacity = 0
