"""Work that does not depend on the machine: opcodes of Python code, and steps of a regular expression with its backtracking."""

from __future__ import annotations

import re._constants as c
import re._parser as parser
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


def opcodes(work: Callable[[], object]) -> int:
    """Instructions of the interpreter that ``work`` takes, in whatever it calls that is written in Python."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


class Steps:
    """A backtracking matcher that tries what ``re`` tries, without its shortcuts, and counts the characters that it looks at.

    Args:
        pattern: compiled; of text or octets.
    """

    def __init__(self, pattern: re.Pattern[Any]) -> None:  # type: ignore[name-defined]  # noqa: F821
        self._tree = list(parser.parse(pattern.pattern, pattern.flags & ~32 if isinstance(pattern.pattern, bytes) else pattern.flags))
        self._text: list[int] = []
        self.count = 0

    def match(self, text: str | bytes, position: int = 0, whole: bool = False) -> int:
        """Where a match from ``position`` ends, -1 for none."""
        self._text = list(text) if isinstance(text, bytes) else [ord(character) for character in text]
        for end in self._sequence(self._tree, 0, position):
            if not whole or end == len(text):
                return end
        return -1

    def _sequence(self, nodes: list[Any], index: int, at: int) -> Iterator[int]:
        if index == len(nodes):
            yield at
            return
        for end in self._node(nodes[index], at):
            yield from self._sequence(nodes, index + 1, end)

    def _node(self, node: Any, at: int) -> Iterator[int]:
        kind, argument = node
        if kind in (c.LITERAL, c.NOT_LITERAL, c.IN, c.ANY):
            self.count += 1
            if at < len(self._text) and self._fits(kind, argument, self._text[at]):
                yield at + 1
        elif kind is c.SUBPATTERN:
            yield from self._sequence(list(argument[3]), 0, at)
        elif kind is c.ATOMIC_GROUP:
            yield from self._first(self._sequence(list(argument), 0, at))
        elif kind is c.BRANCH:
            for branch in argument[1]:
                yield from self._sequence(list(branch), 0, at)
        elif kind is c.POSSESSIVE_REPEAT:
            yield from self._first(self._repeat(argument, at))
        elif kind is c.MAX_REPEAT:
            yield from self._repeat(argument, at)
        elif kind is c.AT:
            self.count += 1
            if at == 0:
                yield at
        elif kind in (c.ASSERT, c.ASSERT_NOT):
            start = at if argument[0] > 0 else at - 1
            found = start >= 0 and next(self._sequence(list(argument[1]), 0, start), None) is not None
            if found == (kind is c.ASSERT):
                yield at
        else:
            raise NotImplementedError(str(kind))

    @staticmethod
    def _first(ends: Iterator[int]) -> Iterator[int]:
        end = next(ends, None)
        if end is not None:
            yield end

    def _repeat(self, argument: Any, at: int) -> Iterator[int]:
        """Greedy: as many as there are, then fewer, each with its other ways of matching."""
        least, most, body = argument
        nodes = list(body)
        ways: list[tuple[int, Iterator[int]]] = [(at, self._sequence(nodes, 0, at))]
        while ways:
            start, ends = ways[-1]
            end = next(ends, None) if len(ways) <= most else None
            if end is not None and end > start:
                ways.append((end, self._sequence(nodes, 0, end)))
                continue
            ways.pop()
            if len(ways) >= least:
                yield start

    def _fits(self, kind: Any, argument: Any, code: int) -> bool:
        if kind is c.LITERAL:
            return bool(code == argument)
        if kind is c.NOT_LITERAL:
            return bool(code != argument)
        if kind is c.ANY:
            return code != 10
        found = False
        for what, value in argument:
            if what is c.NEGATE:
                continue
            found = found or (
                code == value
                if what is c.LITERAL
                else value[0] <= code <= value[1]
                if what is c.RANGE
                else value is c.CATEGORY_DIGIT and 48 <= code <= 57
            )
        return found != (argument[0][0] is c.NEGATE)
