"""Header fields as users see them: a multi-dictionary without regard to case, over the raw pairs of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from ..escape import escaped

__all__ = ["HeaderTypes", "Headers", "Pairs", "raw_headers"]

Pairs = list[tuple[bytes, bytes]]
HeaderTypes = "Headers | Mapping[Any, Any] | Iterable[tuple[Any, Any]]"

# Meant for the hop of HTTP/1.1 (RFC 9113 section 8.2.2); httpx users set them without thought.
_HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
# Characters of a representation: a peer chooses how long its fields are.
_SHOWN_MAX = 16_384
_SENSITIVE = frozenset((b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"))


def _octets(value: Any, name: Any = None) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        # What a header field may hold beyond ASCII is not defined (RFC 9110 section 5.5); UTF-8 is what servers guess.
        return value.encode("latin-1") if value.isascii() else value.encode("utf-8")
    what = f"the value of {name!r}" if name is not None else "a header name"
    raise TypeError(f"{what} is of type {type(value).__name__}; headers are str or bytes")


def raw_headers(headers: Any) -> Pairs:
    """``headers`` as pairs of bytes, names in lower case, ready for the wire.

    Raises:
        TypeError: it is no mapping and no iterable of pairs, or a name or value is neither str nor bytes.
    """
    if headers is None:
        return []
    if isinstance(headers, Headers):
        return list(headers.raw)
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise TypeError(f"headers are of type {type(headers).__name__}; give a mapping, or pairs of name and value")
    found = []
    for name, value in pairs:
        key = _octets(name).lower()
        if key not in _HOP_BY_HOP:
            found.append((key, _octets(value, name)))
    return found


class Headers(MutableMapping[str, str]):
    """Header fields in order; a repeated one reads as its values joined with ", ".

    Attributes:
        raw: ``(name, value)`` pairs of bytes, names in lower case.  Replaced, never changed, by a modification.
    """

    __slots__ = ("raw",)

    def __init__(self, headers: Any = None) -> None:
        self.raw: Pairs = raw_headers(headers)

    @classmethod
    def of_raw(cls, raw: Pairs) -> Headers:
        """Around pairs as the engine delivers them, without a copy."""
        self = cls.__new__(cls)
        self.raw = raw
        return self

    def __getitem__(self, name: str) -> str:
        values = self.get_list(name)
        if not values:
            raise KeyError(name)
        return values[0] if len(values) == 1 else ", ".join(values)

    def get_list(self, name: str, split_commas: bool = False) -> list[str]:
        """Every value of ``name``, in order; with ``split_commas`` lists inside one field are taken apart."""
        key = _octets(name).lower()
        values = [_text(value) for field, value in self.raw if field == key]
        if split_commas:
            return [part.strip() for value in values for part in value.split(",")]
        return values

    def __setitem__(self, name: str, value: str) -> None:
        key = _octets(name).lower()
        pair = (key, _octets(value, name))
        found = False
        raw: Pairs = []
        for field in self.raw:
            if field[0] != key:
                raw.append(field)
            elif not found:
                raw.append(pair)
                found = True
        if not found:
            raw.append(pair)
        self.raw = raw

    def __delitem__(self, name: str) -> None:
        key = _octets(name).lower()
        raw = [field for field in self.raw if field[0] != key]
        if len(raw) == len(self.raw):
            raise KeyError(name)
        self.raw = raw

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, (str, bytes)):
            return False
        key = _octets(name).lower()
        return any(field[0] == key for field in self.raw)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(_text(name) for name, _ in self.raw))

    def __len__(self) -> int:
        return len({name for name, _ in self.raw})

    def multi_items(self) -> list[tuple[str, str]]:
        """Every field, repeated ones one by one."""
        return [(_text(name), _text(value)) for name, value in self.raw]

    def update(self, headers: Any = None) -> None:  # type: ignore[override]
        """Set the fields of ``headers``; those of the same names are replaced."""
        self.raw = merged(self.raw, raw_headers(headers))

    def copy(self) -> Headers:
        return Headers.of_raw(list(self.raw))

    def __eq__(self, other: object) -> bool:
        try:
            return sorted(self.raw) == sorted(raw_headers(other))
        except (TypeError, ValueError):
            return False

    def __repr__(self) -> str:
        shown = [(_text(name), "[secure]" if name in _SENSITIVE else _text(value)) for name, value in self.raw]
        as_dict = dict(shown)
        return escaped(f"Headers({as_dict if len(as_dict) == len(shown) else shown!r})", _SHOWN_MAX)


def merged(base: Pairs, over: Pairs) -> Pairs:
    """``base`` with the fields of ``over`` in the place of those of the same names."""
    if not over:
        return base
    names = {name for name, _ in over}
    return [*(field for field in base if field[0] not in names), *over]


def _text(octets: bytes) -> str:
    try:
        return octets.decode("ascii")
    except UnicodeDecodeError:
        pass
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")
