"""Regular expressions out of schemas: only those that can't run for ages on a text of some hundred characters."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from math import log2

# The parser of the standard library's own expressions; it has no public name.
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

LONGEST_PATTERN = 200
LONGEST_MATCHED = 500
MOST_BITS = 28.5
_REPEATS = {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}
_STARTS = {codes.AT_BEGINNING, codes.AT_BEGINNING_STRING}


def pattern_fault(pattern: str) -> str:
    """Why a pattern can't be used, or nothing.

    A matcher that backtracks may try every combination of the lengths of its repeats and of its choices. Their number
    is bounded here to some hundred millions: three open repeats in a row at the start of the text, hardly any
    repeat inside a repeat.
    """
    if len(pattern) > LONGEST_PATTERN:
        return f"A pattern holds at most {LONGEST_PATTERN} characters."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
            parsed = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"This is no regular expression: {error}"
    anchored = bool(parsed) and parsed[0][0] is codes.AT and parsed[0][1] in _STARTS
    if _bits(parsed, 1) + (0 if anchored else log2(LONGEST_MATCHED)) > MOST_BITS:
        return (
            "This pattern could run for ages: begin it with ^, have at most three open repeats, and no repeat or "
            "choice inside a repeat."
        )
    return ""


def _bits(parsed: Any, times: int) -> float:
    """The logarithm of how many combinations a matcher may try; `times` is how often the part itself may repeat."""
    found = 0.0
    for code, argument in parsed:
        if code in _REPEATS:
            least, most = min(argument[0], LONGEST_MATCHED), min(argument[1], LONGEST_MATCHED)
            found += times * log2(most - least + 1) + _bits(argument[2], times * max(most, 1))
            continue
        if code is codes.BRANCH:
            found += times * log2(len(argument[1]))
        found += sum(_bits(part, times) for part in _parts(code, argument))
    return found


def _parts(code: Any, argument: Any) -> list[Any]:
    if code is codes.SUBPATTERN:
        return [argument[3]]
    if code is codes.BRANCH:
        return list(argument[1])
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return [argument[1]]
    if code is codes.ATOMIC_GROUP:
        return [argument]
    if code is codes.GROUPREF_EXISTS:
        return [part for part in argument[1:] if part is not None]
    return []


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    return None if pattern_fault(pattern) else re.compile(pattern)


def is_match(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text; an unusable pattern matches nothing."""
    found = _compiled(pattern)
    return found is not None and found.search(text) is not None
