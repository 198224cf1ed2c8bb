"""A field section while its block is decoded: what its fields are, and whether they may be what they are.

What makes a field malformed concerns one stream only: the first such fault is kept in ``violation``
and the others are passed over.  Beyond the limits on a field section nothing more is kept of it.
The wire is the decoder's.
"""

from __future__ import annotations

from typing import Any

from .. import _mem
from ..counters import IGNORED_FIELDS, Counters, slot
from ..limits import EngineLimits
from ..rules import RULES, Rule
from . import names
from .kinds import (
    AUTHORITY,
    CONTENT_LENGTH,
    COOKIE,
    ENTRY_OVERHEAD,
    HOST,
    LENGTH_INVALID,
    METHOD,
    PATH,
    PRIORITY,
    PROTOCOL,
    PSEUDO_AFTER,
    PSEUDO_TWICE,
    SCHEME,
    STATUS,
    VALUE_INVALID,
)
from .names import FLAWS, Name

__all__ = ["FieldSection"]

_FIELDS_IGNORED = slot("fields_ignored") + IGNORED_FIELDS.index("priority")
# A field in an error's text is cut here.
_SHOWN_BYTES = 64
_NO_FIELDS: dict[str, Any] = {}


class FieldSection:
    """The field section of the last block decoded (RFC 9113 section 8).

    Args:
        counters: the block of the thread.
        limits: of field sections.

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
        "_fields_max",
        "_list_bytes_max",
        "_priority_bytes",
        "_priority_bytes_max",
        "authority",
        "content_length",
        "cookies",
        "counters",
        "fields",
        "headers",
        "host",
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
        "te",
        "violation",
        "violation_fields",
    )

    def __init__(self, counters: Counters, limits: EngineLimits) -> None:
        self.counters = counters
        self._list_bytes_max = limits.header_list_bytes_max
        self._fields_max = limits.header_fields_max
        self._priority_bytes_max = limits.priority_bytes_max
        self.specials: list[tuple[int, tuple[bytes, bytes]]] | None = None
        self.never_indexed: list[int] = []
        self._reset()

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
        self._priority_bytes = 0
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
            self._prioritised(value)
        else:
            self.te = True
        return 0

    def _prioritised(self, value: bytes) -> int:
        """A priority field; together they are bounded, or ignored."""
        before = self._priority_bytes
        self._priority_bytes += len(value) if before == 0 else len(value) + 2
        if self._priority_bytes <= self._priority_bytes_max:
            self.priority = value if self.priority is None else self.priority + b", " + value
        elif before <= self._priority_bytes_max:
            self.priority = None
            self.counters.slots[_FIELDS_IGNORED] += 1
        return 0

    def _malformed(self, flaw: int, name: Name, value: bytes) -> int:
        """Only the first fault of a section is kept: the others cost nothing."""
        if self.violation is not None:
            return 0
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
