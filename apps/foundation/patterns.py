"""Regular expressions in linear time: no value, however it is made, can hold up the grouping of alerts.

Python's own engine goes back and tries again, which takes exponential time on some patterns and values, and labels
come from outside. This one follows all possibilities at once (Thompson's construction) and remembers the sets it has
met, so a match costs at most (length of the value) × (size of the pattern). What can't be done that way
(back-references, looking around) is refused when the pattern is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from re import _constants as ops  # type: ignore[attr-defined]  # the parser of Python's own expressions: same syntax
from re import _parser as parser  # type: ignore[attr-defined]  # the same
from typing import Any

MAX_STATES = 500
MAX_REMEMBERED = 20_000
_ALLOWED_FLAGS = re.IGNORECASE | re.DOTALL | re.VERBOSE | re.UNICODE

Test = Callable[[str], bool]
States = frozenset[int]


class BadPattern(ValueError):
    """Why a text is no regular expression that can be used here: a sentence."""


_CATEGORIES: dict[Any, Test] = {
    ops.CATEGORY_DIGIT: str.isdecimal,
    ops.CATEGORY_NOT_DIGIT: lambda char: not char.isdecimal(),
    ops.CATEGORY_SPACE: str.isspace,
    ops.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    ops.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
    ops.CATEGORY_NOT_WORD: lambda char: not (char.isalnum() or char == "_"),
}


class Pattern:
    """A compiled expression. Safe to share between threads: what it remembers only saves work."""

    def __init__(self, text: str) -> None:
        try:
            tree = parser.parse(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise BadPattern(f"{text!r} is not a regular expression: {error}.") from error
        if tree.state.flags & ~_ALLOWED_FLAGS:
            raise BadPattern(f"{text!r} uses a flag that is not supported; (?i), (?s) and (?x) are.")
        self._flags = tree.state.flags
        # A state either tests a character and goes on to one other, or goes on to others for nothing.
        self._tests: list[Test | None] = []
        self._next: list[list[int]] = []
        self._only_at: list[str] = []
        self._end = self._state()
        self._start = self._sequence(tree, self._end)
        self._known: dict[tuple[States, str], States] = {}
        self._begin = self._closure([self._start], at_start=True)

    def fullmatch(self, value: str) -> bool:
        """Whether the whole of `value` matches."""
        current = self._begin
        for char in value:
            key = (current, char)
            reached = self._known.get(key)
            if reached is None:
                reached = self._step(current, char)
                if len(self._known) >= MAX_REMEMBERED:
                    self._known.clear()
                self._known[key] = reached
            current = reached
            if not current:
                return False
        return self._end in self._closure(current, at_start=not value, at_end=True)

    # --- following ---

    def _step(self, current: States, char: str) -> States:
        return self._closure(self._next[state][0] for state in current if (test := self._tests[state]) and test(char))

    def _closure(self, states: Iterable[int], *, at_start: bool = False, at_end: bool = False) -> States:
        """These states and all that are reached from them without a character."""
        waiting, found = list(states), set[int]()
        while waiting:
            state = waiting.pop()
            if state in found:
                continue
            found.add(state)
            only_at = self._only_at[state]
            passes = not only_at or (at_start if only_at == "start" else at_end)
            if self._tests[state] is None and passes:
                waiting += self._next[state]
        return frozenset(found)

    # --- building, from the end to the beginning ---

    def _state(self, *after: int, test: Test | None = None, only_at: str = "") -> int:
        if len(self._tests) >= MAX_STATES:
            raise BadPattern("The regular expression is too large once its repetitions are written out.")
        self._tests.append(test)
        self._next.append(list(after))
        self._only_at.append(only_at)
        return len(self._tests) - 1

    def _sequence(self, tree: Any, after: int) -> int:
        for op, argument in reversed(list(tree)):
            after = self._piece(op, argument, after)
        return after

    def _piece(self, op: Any, argument: Any, after: int) -> int:
        if op in _SINGLE:
            return self._state(after, test=self._in_any_case(_SINGLE[op](argument, self._flags)))
        if op is ops.BRANCH:
            return self._state(*[self._sequence(branch, after) for branch in argument[1]])
        if op is ops.SUBPATTERN:
            _group, added, removed, inside = argument
            if added or removed:
                raise BadPattern("Flags inside a group are not supported: write them at the beginning.")
            return self._sequence(inside, after)
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            least, most, inside = argument
            return self._repeat(least, most, inside, after)
        if op is ops.AT and argument in (ops.AT_BEGINNING, ops.AT_BEGINNING_STRING):
            return self._state(after, only_at="start")
        if op is ops.AT and argument in (ops.AT_END, ops.AT_END_STRING):
            return self._state(after, only_at="end")
        raise BadPattern("Back-references, looking ahead or behind, \\b and possessive repeats are not supported.")

    def _repeat(self, least: int, most: int, inside: Any, after: int) -> int:
        if most is ops.MAXREPEAT:
            loop = self._state()
            self._next[loop] = [self._sequence(inside, loop), after]
            after = loop
        else:
            out = after
            for _ in range(most - least):
                after = self._state(self._sequence(inside, after), out)
        for _ in range(least):
            after = self._sequence(inside, after)
        return after

    def _in_any_case(self, test: Test) -> Test:
        if not self._flags & re.IGNORECASE:
            return test
        return lambda char: test(char) or test(char.lower()) or test(char.upper())


def _one_of(items: Any, _flags: int) -> Test:
    tests: list[Test] = []
    negated = False
    for op, argument in items:
        if op is ops.NEGATE:
            negated = True
        elif op is ops.LITERAL:
            tests.append(chr(argument).__eq__)
        elif op is ops.RANGE:
            tests.append(_between(chr(argument[0]), chr(argument[1])))
        else:
            tests.append(_CATEGORIES[argument])
    return lambda char: any(test(char) for test in tests) is not negated


def _between(first: str, last: str) -> Test:
    return lambda char: first <= char <= last


def _other_than(argument: int, _flags: int) -> Test:
    excluded = chr(argument)
    return lambda char: char != excluded


def _anything(_argument: Any, flags: int) -> Test:
    return (lambda _char: True) if flags & re.DOTALL else (lambda char: char != "\n")


_SINGLE: dict[Any, Callable[[Any, int], Test]] = {
    ops.LITERAL: lambda argument, _flags: chr(argument).__eq__,
    ops.NOT_LITERAL: _other_than,
    ops.ANY: _anything,
    ops.IN: _one_of,
}


@lru_cache(maxsize=2000)
def compiled(text: str) -> Pattern:
    """The pattern of this text, compiled once. BadPattern says why there is none."""
    return Pattern(text)
