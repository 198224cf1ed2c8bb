"""Expressions of panels: a small algebra over instruments of the catalogue.

An expression knows its unit and its labels and nothing of where the numbers are: ``promql`` writes
it for Prometheus, and a view inside the process can evaluate the same tree over ``counters``.
An instrument or attribute that the catalogue does not have is an error when the panel is built.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..telemetry.catalogue import Instrument, by_name

__all__ = [
    "Binary",
    "Buckets",
    "Count",
    "Events",
    "Expression",
    "Increase",
    "Largest",
    "Level",
    "Match",
    "Mean",
    "Number",
    "OrZero",
    "Quantile",
    "Rate",
    "Selected",
    "Total",
    "is_",
    "is_not",
    "like",
    "present",
    "unlike",
]


@dataclass(frozen=True, slots=True)
class Match:
    """A condition on one attribute; ``operator`` is one of Prometheus: = != =~ !~.  An absent attribute equals ""."""

    attribute: str
    operator: str
    value: str


def is_(attribute: str, value: str) -> Match:
    return Match(attribute, "=", value)


def is_not(attribute: str, value: str) -> Match:
    return Match(attribute, "!=", value)


def like(attribute: str, pattern: str) -> Match:
    """``pattern`` is a regular expression that must match the whole value."""
    return Match(attribute, "=~", pattern)


def unlike(attribute: str, pattern: str) -> Match:
    return Match(attribute, "!~", pattern)


def present(attribute: str) -> Match:
    return Match(attribute, "!=", "")


class Expression:
    """Base of the tree; arithmetic makes ``Binary`` nodes."""

    __slots__ = ()

    @property
    def unit(self) -> str:
        """As in the catalogue, ``x/s`` for rates, "ratio" where the unit cancels."""
        raise AssertionError(f"{type(self).__name__} has no unit")

    @property
    def by(self) -> tuple[str, ...]:
        """Attributes that tell the resulting series apart."""
        return ()

    def leaves(self) -> tuple[Selected, ...]:
        """Every selection in the tree."""
        return ()

    def __add__(self, other: Expression) -> Binary:
        return Binary("+", self, other)

    def __sub__(self, other: Expression) -> Binary:
        return Binary("-", self, other)

    def __mul__(self, other: Expression) -> Binary:
        return Binary("*", self, other)

    def __truediv__(self, other: Expression) -> Binary:
        return Binary("/", self, other)


@dataclass(frozen=True, slots=True)
class Number(Expression):
    """A constant; it takes the unit of what it is combined with, and as a divisor or factor changes none."""

    value: float

    @property
    def unit(self) -> str:
        return "ratio"


class Selected(Expression):
    """An aggregation of one instrument; the concrete kinds below say which.

    Args:
        name: of the instrument in the catalogue.
        where: conditions that its series must meet.
        by: attributes to keep, or "instance".
    """

    __slots__ = ("_by", "instrument", "where")
    kinds: tuple[str, ...] = ()

    def __init__(self, name: str, *where: Match, by: str | tuple[str, ...] = ()) -> None:
        self.instrument: Instrument = by_name[name]
        self.where = where
        self._by = (by,) if isinstance(by, str) else by
        if self.kinds and self.instrument.kind not in self.kinds:
            raise ValueError(f"{name} is a {self.instrument.kind}; {type(self).__name__} is for {' or '.join(self.kinds)}")
        known = {attribute.name: attribute for attribute in self.instrument.attributes}
        for attribute in (*(match.attribute for match in where), *self._by):
            if attribute not in known and attribute != "instance":
                raise ValueError(f"{name} has no attribute {attribute}")
        for match in where:
            values = known[match.attribute].values
            if match.operator in ("=", "!=") and match.value and values and match.value not in values:
                raise ValueError(f"{match.attribute} of {name} is never {match.value!r}")

    @property
    def by(self) -> tuple[str, ...]:
        return self._by

    def leaves(self) -> tuple[Selected, ...]:
        return (self,)


class Rate(Selected):
    """Change of a counter per second."""

    __slots__ = ()
    kinds = ("counter",)

    @property
    def unit(self) -> str:
        return "ratio" if self.instrument.unit == "s" else f"{self.instrument.unit}/s"


class Increase(Selected):
    """Change of a counter over the time range that the dashboard shows."""

    __slots__ = ()
    kinds = ("counter",)

    @property
    def unit(self) -> str:
        return self.instrument.unit


class Count(Selected):
    """How many in each interval (or over the whole time range), the first of its kind included.

    A rate needs a series that was there before: of an error that never happened until now it shows
    nothing, which for rare errors is the wrong answer.  After a restart it may count too few.

    Args:
        whole: over the time range that is shown, instead of the interval of one point.
    """

    __slots__ = ("whole",)
    kinds = ("counter", "histogram")

    def __init__(self, name: str, *where: Match, by: str | tuple[str, ...] = (), whole: bool = False) -> None:
        super().__init__(name, *where, by=by)
        self.whole = whole

    @property
    def unit(self) -> str:
        return self.instrument.unit if self.instrument.kind == "counter" else "{request}"


class Level(Selected):
    """The current value of a gauge or up-down counter: the sum over processes, or another aggregate."""

    __slots__ = ("how",)
    kinds = ("gauge", "updowncounter")

    def __init__(self, name: str, *where: Match, by: str | tuple[str, ...] = (), how: str = "sum") -> None:
        super().__init__(name, *where, by=by)
        self.how = how

    @property
    def unit(self) -> str:
        return self.instrument.unit


class Quantile(Selected):
    """A quantile of a histogram, interpolated within its buckets."""

    __slots__ = ("q",)
    kinds = ("histogram",)

    def __init__(self, q: float, name: str, *where: Match, by: str | tuple[str, ...] = ()) -> None:
        super().__init__(name, *where, by=by)
        self.q = q

    @property
    def unit(self) -> str:
        return self.instrument.unit


class Mean(Selected):
    """Mean of what a histogram recorded."""

    __slots__ = ()
    kinds = ("histogram",)

    @property
    def unit(self) -> str:
        return self.instrument.unit


class Events(Selected):
    """How many values per second a histogram recorded."""

    __slots__ = ()
    kinds = ("histogram",)

    @property
    def unit(self) -> str:
        # A histogram counts what its name says; only requests are called by their own word.
        return "{request}/s" if self.instrument.name.endswith("request.duration") else "{event}/s"


class Total(Selected):
    """The sum per second of what a histogram recorded."""

    __slots__ = ()
    kinds = ("histogram",)

    @property
    def unit(self) -> str:
        return "ratio" if self.instrument.unit == "s" else f"{self.instrument.unit}/s"


class Buckets(Selected):
    """The whole distribution over time, for a heat map."""

    __slots__ = ()
    kinds = ("histogram",)

    @property
    def unit(self) -> str:
        return self.instrument.unit


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """``left operator right``; series meet where the labels of the right side are equal."""

    operator: str
    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        if not isinstance(self.left, Number) and not set(self.right.by) <= set(self.left.by):
            raise ValueError(f"the right side is split by {self.right.by}, the left side only by {self.left.by}")

    @property
    def unit(self) -> str:
        if isinstance(self.right, Number):
            return self.left.unit
        if isinstance(self.left, Number):
            return self.right.unit
        if self.operator == "/":
            return "ratio" if self.left.unit == self.right.unit else f"{self.left.unit} per {self.right.unit}"
        return self.left.unit

    @property
    def by(self) -> tuple[str, ...]:
        return self.right.by if isinstance(self.left, Number) else self.left.by

    def leaves(self) -> tuple[Selected, ...]:
        return (*self.left.leaves(), *self.right.leaves())


@dataclass(frozen=True, slots=True)
class OrZero(Expression):
    """``inner``, and zero for each series of ``base`` where it has none: errors of a service that had none are 0, not missing.

    It stays empty when ``base`` is empty, so a service that is not scraped never looks healthy.
    """

    inner: Expression
    base: Expression

    @property
    def unit(self) -> str:
        return self.inner.unit

    @property
    def by(self) -> tuple[str, ...]:
        return self.inner.by

    def leaves(self) -> tuple[Selected, ...]:
        return (*self.inner.leaves(), *self.base.leaves())


@dataclass(frozen=True, slots=True)
class Largest(Expression):
    """The largest of the series of ``inner``: the worst process, the fullest pool."""

    inner: Expression

    @property
    def unit(self) -> str:
        return self.inner.unit

    def leaves(self) -> tuple[Selected, ...]:
        return self.inner.leaves()
