from __future__ import annotations

import pytest

from h2o_otel.streams.priority import format_priority, parse_priority


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
        (b"colour=red, u=2", (2, False)),
        (b"\xff\x00,,==", (3, False)),
    ],
)
def test_reading_leniently(value: bytes, expected: tuple[int, bool]) -> None:
    assert parse_priority(value) == expected


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
