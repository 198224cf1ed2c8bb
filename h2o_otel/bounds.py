"""What a field of a class of limits says about itself: its meaning, what happens when it is reached, when to change it.

A leaf.  ``bound`` makes a dataclass field that carries a ``Bound`` in its metadata, from which the
help of the command line and the reference page are made.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Bound", "UnknownLimit", "bound", "bounds_of", "parse", "replaced", "unit_of"]

T = TypeVar("T")
L = TypeVar("L")

_KEY = "bound"
_SIDES = ("both", "server", "client")
# The last words of a field's name, longest first, and the unit that they stand for.
_UNITS = (
    ("_bytes_per_s", "octets a second"),
    ("_bytes_max", "octets"),
    ("_bytes_min", "octets"),
    ("_bytes", "octets"),
    ("_refill_per_s", "a second"),
    ("_per_s", "a second"),
    ("_s_max", "seconds"),
    ("_max_s", "seconds"),
    ("_min_s", "seconds"),
    ("_s", "seconds"),
    ("_percent", "percent"),
    ("keepalive_expiry", "seconds"),
)


@dataclass(frozen=True, slots=True)
class Bound:
    """The description of one limit.

    Attributes:
        name: of the field.
        kind: its type, such as ``int`` or ``float | None``.
        default: of a server.
        meaning: what it bounds.
        reached: what happens at the bound.
        change: when to set another value.
        side: ``both``, ``server`` or ``client``: who has it.
    """

    name: str
    kind: str
    default: object
    meaning: str
    reached: str
    change: str
    side: str

    @property
    def unit(self) -> str:
        """``octets``, ``seconds``, ``percent``, ... or "" for a plain number."""
        return unit_of(self.name)

    @property
    def optional(self) -> bool:
        """Whether None (no bound) is a value of it."""
        return "None" in self.kind


class UnknownLimit(ValueError):
    """No limit has this name.

    Attributes:
        name: what was given.
        nearest: the names most like it, best first.
    """

    def __init__(self, name: str, nearest: tuple[str, ...]) -> None:
        hint = f"; did you mean {' or '.join(nearest)}?" if nearest else "; see --list-limits"
        super().__init__(f"there is no limit {name[:80]!r}{hint}")
        self.name = name
        self.nearest = nearest


def bound(default: T, meaning: str, *, reached: str, change: str, side: str = "both") -> T:
    """A dataclass field with a description.

    Args:
        default: its default value.
        meaning: a sentence that says what it bounds.
        reached: a sentence that says what happens at the bound.
        change: a sentence that says when to set another value.
        side: ``both``, ``server`` or ``client``.
    """
    assert side in _SIDES
    # A field by its runtime type; to a type checker it is the default value, as in the dataclasses module itself.
    return dataclasses.field(default=default, metadata={_KEY: (meaning, reached, change, side)})


def unit_of(name: str) -> str:
    """The unit of the field ``name``, which its last words say."""
    for suffix, unit in _UNITS:
        if name.endswith(suffix):
            return unit
    return ""


def bounds_of(limits: type) -> dict[str, Bound]:
    """The descriptions of all fields of the dataclass ``limits``, in its order; a field made without ``bound`` has empty sentences."""
    found = {}
    for field in dataclasses.fields(limits):
        meaning, reached, change, side = field.metadata.get(_KEY, ("", "", "", "both"))
        found[field.name] = Bound(field.name, str(field.type), field.default, meaning, reached, change, side)
    return found


def parse(bounds: Mapping[str, Bound], name: str, text: str) -> int | float | None:
    """The value that ``text`` means for the limit ``name``.

    Raises:
        UnknownLimit: there is none of this name.
        ValueError: it is no number of the limit's kind, nor ``none`` where that is a value of it.
    """
    known = bounds.get(name)
    if known is None:
        raise UnknownLimit(name, nearest(name, bounds))
    if known.optional and text.strip().lower() == "none":
        return None
    kind = "an integer" if known.kind.startswith("int") else "a number"
    try:
        value = int(text) if known.kind.startswith("int") else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        unit = f" of {known.unit}" if known.unit and not known.unit.startswith("a ") else ""
        none = ", or none for no bound" if known.optional else ""
        raise ValueError(f"{name} is {text[:80]!r}; it takes {kind}{unit}{none}") from None
    return value


def nearest(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """At most three names that ``name`` may have been meant to be, best first."""
    wanted = name[:80].strip().lower().replace("-", "_")
    known = list(names)
    if wanted in known:
        return (wanted,)
    words = set(wanted.split("_"))
    # A slip of the hand, then a name that was cut short or has its words in another order, then what resembles it.
    found = difflib.get_close_matches(wanted, known, n=3, cutoff=0.85)
    found += [other for other in known if words <= set(other.split("_"))]
    found += difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    return tuple(dict.fromkeys(found))[:3]


def replaced(limits: L, changes: Mapping[str, int | float | None]) -> L:
    """``limits`` with other values; the same object where there are none."""
    return dataclasses.replace(limits, **changes) if changes else limits  # type: ignore[type-var]
