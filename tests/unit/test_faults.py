"""Tests that ask one question of many values list every value that fails."""

from __future__ import annotations

import inspect

import pytest

from tests.support.faults import for_each


def test_every_fault_is_listed() -> None:
    asked = []

    @for_each("value", [1, 2, pytest.param(3, id="three"), 4])
    def odd(value: int) -> None:
        asked.append(value)
        if value == 4:
            raise KeyError("four")
        assert value == 1, f"{value} is not 1"

    with pytest.raises(pytest.fail.Exception) as caught:
        odd()
    assert asked == [1, 2, 3, 4]
    first, *faults = [line for line in str(caught.value).splitlines() if "fail" in line or "line " in line]
    assert first == "3 of 4 fail:"
    assert [fault.partition(":")[0] for fault in faults] == ["2", "three", "4"]
    assert "AssertionError: 3 is not 1" in faults[1]
    assert "KeyError: 'four'" in faults[2]


def test_skips_and_failures_inside_are_faults() -> None:
    @for_each("value", [pytest.skip, pytest.fail])
    def ends(value: type) -> None:
        value("why")

    with pytest.raises(pytest.fail.Exception, match="2 of 2 fail"):
        ends()


def test_an_interrupt_ends_the_loop() -> None:
    @for_each("value", [1, 2])
    def interrupted(value: int) -> None:
        assert value == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_no_values_fail() -> None:
    @for_each("value", [])
    def never(value: int) -> None:
        raise AssertionError

    with pytest.raises(AssertionError, match="there are no values to ask"):
        never()


def test_several_arguments_and_fixtures() -> None:
    asked = []

    @for_each("a, b", [(1, 2), (3, 4)])
    def test(fixture: str, a: int, b: int) -> None:
        asked.append((fixture, a, b))

    assert list(inspect.signature(test).parameters) == ["fixture"]
    test(fixture="f")
    assert asked == [("f", 1, 2), ("f", 3, 4)]


def test_wrong_use_is_found_when_the_test_is_defined() -> None:
    async def later(value: int) -> None: ...

    with pytest.raises(TypeError, match="coroutine"):
        for_each("value", [1])(later)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no argument other"):
        for_each("other", [1])(lambda value: None)
    with pytest.raises(ValueError, match="every value needs 2 parts"):
        for_each("a, b", [(1,)])(lambda a, b: None)
