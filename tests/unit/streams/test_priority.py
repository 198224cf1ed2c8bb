from __future__ import annotations

import pytest

from h2o_otel.streams.priority import format_priority, merge_priority, parse_priority


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", (3, False)),
        (b"u=0", (0, False)),
        (b"u=7, i", (7, True)),
        (b"i", (3, True)),
        (b"i=?1", (3, True)),
        (b"i=?0", (3, False)),
        (b"i, u=1", (1, True)),
        (b"u=5;x=1,i;y", (5, True)),
        (b"u=8", (3, False)),
        (b"u=-1", (3, False)),
        (b"u=10", (3, False)),
        (b"u", (3, False)),
        (b"u=1, u=2", (2, False)),
        (b"u=1, u=9", (3, False)),
        (b"colour=red, u=2", (2, False)),
        (b"\xff\x00,,==", (3, False)),
    ],
)
def test_reading_leniently(value: bytes, expected: tuple[int, bool]) -> None:
    assert parse_priority(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b'a="x, u=7", u=1',
        b"a=(1 2;p), u=1",
        b"a=(), u=1",
        b"a=tok/en:*, u=1",
        b"a=:aGk=:, u=1",
        b"a=@1659578233, u=1",
        b'a=%"f%c3%bc", u=1',
        b"a=-1.5;b=2;c, u=1",
        b"u=1;u=5",
        b" u=1 ",
        b"u=3\t,\tu=1",
        b"*a-b._*=?0,u=1",
    ],
)
def test_types_of_other_members(value: bytes) -> None:
    assert parse_priority(value) == (1, False)


@pytest.mark.parametrize(
    "value",
    [b"u=1,", b"u=1,,i", b"u=1 i", b"U=1", b"u=1, i=", b"u=1;", b'u=1, a="', b"u=1, a=(1", b"u=1, 1a", b"=1", b"u=1\n"],
)
def test_what_is_no_dictionary_says_nothing(value: bytes) -> None:
    """RFC 9651 section 4.2: a field that does not parse is ignored as a whole."""
    assert parse_priority(value) == (3, False)


def test_merging() -> None:
    assert merge_priority(b"u=1", 5, True) == (1, True)
    assert merge_priority(b"i=?0", 5, True) == (5, False)
    assert merge_priority(b"", 5, True) == (5, True)
    assert merge_priority(b"u=9, i=2", 5, True) == (5, True)


def test_a_long_value_says_nothing() -> None:
    assert parse_priority(b"u=1" + b" " * 253) == (1, False)
    assert parse_priority(b"u=1" + b" " * 254) == (3, False)
    assert parse_priority(b"u=1" + b" " * 254, 257) == (1, False)
    assert merge_priority(b"u=1" + b" " * 254, 5, True) == (5, True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"a, " * 20_000 + b"u=1", 1), (b'a="' + b"x" * 60_000, 3), (b"u=1;" + b"a" * 60_000 + b"=", 3), (b"a=(" + b"a;b " * 20_000, 3)],
)
def test_a_limit_that_is_raised_reads_them(value: bytes, expected: int) -> None:
    assert parse_priority(value, 100_000) == (expected, False)


@pytest.mark.parametrize("urgency", range(8))
@pytest.mark.parametrize("incremental", [False, True])
def test_round_trip(urgency: int, incremental: bool) -> None:
    assert parse_priority(format_priority(urgency, incremental)) == (urgency, incremental)


def test_defaults_are_left_out() -> None:
    assert format_priority(3, False) == b""
    assert format_priority(1, True) == b"u=1, i"


@pytest.mark.parametrize("urgency", [-1, 8])
def test_urgency_out_of_range(urgency: int) -> None:
    with pytest.raises(ValueError) as caught:
        format_priority(urgency, False)
    assert str(caught.value) == f"urgency is {urgency}; RFC 9218 section 4.1 allows 0 to 7"
