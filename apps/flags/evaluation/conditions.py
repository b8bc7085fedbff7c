"""The operators of conditions, each compiled into a function of the context.

An attribute that is missing, or of a kind that an operator can't compare, doesn't meet it: nobody is served something
because of a mistake in their context. `not_…` operators hold for a missing attribute, since it has no such value.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from apps.flags.evaluation.buckets import SLOTS, slot_of
from apps.flags.evaluation.versions import version_of
from apps.foundation.patterns import compiled

Context = Mapping[str, Any]
Check = Callable[[Context], bool]
Compare = Callable[[Any], bool]
_MISSING = object()
LONGEST_MATCHED = 10_000


def read(context: Context, attribute: str) -> Any:
    """The value at `attribute`: by its whole name, else part by part at the dots. `_MISSING` where there is none."""
    found = context.get(attribute, _MISSING)
    if found is not _MISSING or "." not in attribute:
        return found
    value: Any = context
    for part in attribute.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value


def number_of(value: Any) -> float | None:
    """A finite number, also written as a text; None for anything else. True and false are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def instant_of(value: Any) -> datetime | None:
    """An instant in ISO 8601, or in seconds since 1970. Without a zone it is UTC; a date is its first instant."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        return None


def same(left: Any, right: Any) -> bool:
    """Equal, and of one kind: 1 and true are two things, 1 and 1.0 are one."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _each(values: list[Any], test: Callable[[str, Any], bool]) -> Compare:
    return lambda given: isinstance(given, str) and any(test(given, value) for value in values)


def _one_of(values: list[Any]) -> Compare:
    """A list in the context meets it with any of its members."""
    texts = frozenset(value for value in values if isinstance(value, str))

    def compare(given: Any) -> bool:
        if isinstance(given, str):  # mostly it is one: no text is the same as anything else
            return given in texts
        members = given if isinstance(given, list) else [given]
        return any(same(member, value) for member in members for value in values)

    return compare


def _contains(values: list[Any]) -> Compare:
    def compare(given: Any) -> bool:
        if isinstance(given, str):
            return any(isinstance(value, str) and value in given for value in values)
        return isinstance(given, list) and any(same(member, value) for member in given for value in values)

    return compare


def _matches(values: list[Any]) -> Compare:
    patterns = [compiled(value) for value in values]
    return lambda given: (
        isinstance(given, str) and len(given) <= LONGEST_MATCHED and any(each.fullmatch(given) for each in patterns)
    )


def _ordered(read_as: Callable[[Any], Any], test: Callable[[Any, Any], bool]) -> Callable[[list[Any]], Compare]:
    def build(values: list[Any]) -> Compare:
        limits = [limit for limit in map(read_as, values) if limit is not None]
        several = len(limits) > 1

        def compare(given: Any) -> bool:
            found = read_as(given)
            if found is None or not limits:
                return False
            return any(test(found, limit) for limit in limits) if several else test(found, limits[0])

        return compare

    return build


BUILDERS: dict[str, Callable[[list[Any]], Compare]] = {
    "equals": _one_of,
    "in": _one_of,
    "contains": _contains,
    "starts_with": lambda values: _each(values, str.startswith),
    "ends_with": lambda values: _each(values, str.endswith),
    "matches": _matches,
    "greater_than": _ordered(number_of, operator.gt),
    "at_least": _ordered(number_of, operator.ge),
    "less_than": _ordered(number_of, operator.lt),
    "at_most": _ordered(number_of, operator.le),
    "before": _ordered(instant_of, operator.lt),
    "after": _ordered(instant_of, operator.gt),
    "version_equals": _ordered(version_of, operator.eq),
    "version_at_least": _ordered(version_of, operator.ge),
    "version_below": _ordered(version_of, operator.lt),
}
NEGATED = {"not_equals": "equals", "not_in": "in", "not_contains": "contains", "not_matches": "matches"}
# What the values of an operator must be readable as, and how people call that.
VALUES: dict[str, tuple[Callable[[Any], Any], str]] = {
    **dict.fromkeys(["greater_than", "at_least", "less_than", "at_most"], (number_of, "a number")),
    **dict.fromkeys(["before", "after"], (instant_of, "an instant such as 2026-11-21T18:00:00Z")),
    **dict.fromkeys(["version_equals", "version_at_least", "version_below"], (version_of, "a version such as 1.14.2")),
}
TEXTS = frozenset({"starts_with", "ends_with", "matches", "not_matches"})


def comparing(attribute: str, name: str, values: list[Any]) -> Check:
    """Whether the attribute meets any of the values by the operator of this name; by a negated one, none of them."""
    if name in NEGATED:
        compare = BUILDERS[NEGATED[name]](values)
        return lambda context: not compare(read(context, attribute))
    compare = BUILDERS[name](values)
    if "." in attribute:
        return lambda context: compare(read(context, attribute))
    return lambda context: compare(context.get(attribute, _MISSING))


def existing(attribute: str, *, wanted: bool) -> Check:
    """Whether the attribute is there; null is not."""

    def check(context: Context) -> bool:
        found = read(context, attribute)
        return (found is not _MISSING and found is not None) is wanted

    return check


def sampled(attribute: str, salt: str, percent: float) -> Check:
    """Whether the attribute falls into the first `percent` of all; growing it keeps who is in."""
    limit = round(percent * SLOTS / 100)

    def check(context: Context) -> bool:
        key = read(context, attribute)
        if isinstance(key, bool) or not isinstance(key, str | int):
            return False
        return slot_of(salt, str(key)) < limit

    return check


def all_of(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check_all(context: Context) -> bool:
        for check in checks:  # noqa: SIM110  # a generator would cost more than most checks do
            if not check(context):
                return False
        return True

    return check_all


def any_of(checks: list[Check]) -> Check:
    return lambda context: any(check(context) for check in checks)


def none_of(check: Check) -> Check:
    return lambda context: not check(context)
