"""One test item that asks one question of many values, and fails with the list of all values that fail.

``for_each`` reads like ``pytest.mark.parametrize``.  Use it where the values are data of the project
(panels, files, limits, modules): an item for each would cost more than the check.  Cases that differ
in meaning stay ``parametrize``.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

# A fault is shown so far; the assertion that it quotes may hold a whole document.
FAULT_CHARACTERS_MAX = 1500
# pytest.fail and pytest.skip raise what is no Exception.
OUTCOMES = (pytest.fail.Exception, pytest.skip.Exception)


def for_each(
    names: str, values: Iterable[Any], ids: Callable[[Any], object] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call the test with each of the values, and list every one for which it raises.

    Fixtures are made once for all values, so a test that changes one does not belong here.
    """
    arguments = [name.strip() for name in names.split(",")]
    cases = [
        (value.values, value.id) if isinstance(value, ParameterSet) else ((value,) if len(arguments) == 1 else tuple(value), None)
        for value in values
    ]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        if inspect.iscoroutinefunction(test):
            raise TypeError(f"{test.__name__} is a coroutine function; use pytest.mark.parametrize")
        if any(len(case) != len(arguments) for case, _ in cases):
            raise ValueError(f"{test.__name__}: every value needs {len(arguments)} parts: {names}")
        signature = inspect.signature(test)
        if absent := set(arguments) - set(signature.parameters):
            raise ValueError(f"{test.__name__} has no argument {', '.join(sorted(absent))}")

        @functools.wraps(test)
        def ask_all(*args: Any, **fixtures: Any) -> None:
            __tracebackhide__ = True
            assert cases, "there are no values to ask"
            found = []
            for case, id in cases:
                try:
                    test(*args, **fixtures, **dict(zip(arguments, case, strict=True)))
                except (Exception, *OUTCOMES) as error:
                    shown = id or ", ".join(str(ids(value)) if ids else repr(value)[:80] for value in case)
                    found.append(f"{shown}: {describe(error, test)}")
            if found:
                pytest.fail("\n".join([f"{len(found)} of {len(cases)} fail:", *found]), pytrace=False)

        kept = [parameter for name, parameter in signature.parameters.items() if name not in arguments]
        ask_all.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return ask_all

    return decorate


def describe(error: BaseException, test: Callable[..., None]) -> str:
    """The line of the test that failed, and what failed there."""
    file = inspect.unwrap(test).__code__.co_filename
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    text = f"{type(error).__name__}: {error}"
    shown = text if len(text) <= FAULT_CHARACTERS_MAX else f"{text[:FAULT_CHARACTERS_MAX]}... ({len(text)} characters)"
    return f"line {lines[-1] if lines else '?'}: {shown}"
