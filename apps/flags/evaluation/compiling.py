"""Definitions made into functions once, so that an evaluation is a few calls and no parsing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from apps.flags.evaluation.buckets import Share, bounds, slot_of
from apps.flags.evaluation.conditions import Check, Context, all_of, any_of, comparing, existing, none_of, sampled
from apps.flags.evaluation.definitions import (
    BY,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Definition,
    InSegment,
    NotThis,
    Percentage,
    Presence,
    SegmentDefinition,
    Serve,
)
from apps.flags.experiments.plan import Placement

# Reasons of the OpenFeature specification.
STATIC, DEFAULT, TARGETING_MATCH, SPLIT, DISABLED = "STATIC", "DEFAULT", "TARGETING_MATCH", "SPLIT", "DISABLED"
Segments = Mapping[str, Check]


class Outcome(NamedTuple):
    """Which variant, why, and by which rule. No variant: the context lacks the attribute `missing` of a split."""

    variant: str | None
    reason: str
    missing: str = ""
    rule: str = ""


Answer = Callable[[Context], Outcome]


class Compiled(NamedTuple):
    """A flag as a function; `constant` is its only outcome where the context doesn't matter."""

    answer: Answer
    constant: Outcome | None


def compile_segments(definitions: Mapping[str, SegmentDefinition], salt: str = "") -> Segments:
    """Each segment as a check."""
    return {
        key: all_of([_check(each, {}, f"{salt}{key}") for each in found.when]) for key, found in definitions.items()
    }


def compile_flag(key: str, definition: Definition, segments: Segments, placement: Placement | None = None) -> Compiled:
    """A flag that is on and has its prerequisites met, as a function of the context.

    `key` salts its splits and percentages, unless they have a salt of their own: then flags that share it treat people
    alike. A segment that doesn't exist is nobody's. A `placement` is an experiment that runs: whoever takes part in it
    gets their variant where the flag would else serve its default.
    """
    otherwise = _serve(definition.serve, key, DEFAULT if definition.rules else STATIC)
    if placement is not None:
        otherwise = _placed(placement, otherwise)
    rules = [
        (
            all_of([_check(each, segments, key) for each in rule.when]),
            _serve(rule.serve, key, TARGETING_MATCH, rule.name),
        )
        for rule in definition.rules
    ]
    if not rules:
        return otherwise

    def answer(context: Context) -> Outcome:
        for meets, serve in rules:
            if meets(context):
                return serve.constant or serve.answer(context)
        return otherwise.constant or otherwise.answer(context)

    return Compiled(answer, None)


def _serve(serve: Serve, key: str, reason: str, rule: str = "") -> Compiled:
    if isinstance(serve, str):
        always = Outcome(serve, reason, rule=rule)
        return Compiled(lambda _: always, always)
    ends = bounds([Share(portion.variant, portion.weight) for portion in serve.split])
    limits, outcomes = [end for end, _ in ends], [Outcome(variant, SPLIT, rule=rule) for _, variant in ends]
    salt, by = serve.salt or key, serve.by
    missing = Outcome(None, SPLIT, by, rule)

    def answer(context: Context) -> Outcome:
        found = context.get(by)
        if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
            return missing
        return outcomes[bisect_right(limits, slot_of(salt, str(found)))]

    return Compiled(answer, None)


def _placed(placement: Placement, others: Compiled) -> Compiled:
    outcomes = {variant: Outcome(variant, SPLIT) for variant in placement.variants}
    missing = Outcome(None, SPLIT, BY)

    def answer(context: Context) -> Outcome:
        found = context.get(BY)
        if not isinstance(found, str) or found == "":
            return missing
        variant = placement.variant(found)
        return outcomes[variant] if variant is not None else others.constant or others.answer(context)

    return Compiled(answer, None)


def _check(each: Condition, segments: Segments, key: str) -> Check:
    match each:
        case Comparison():
            found = comparing(each.attribute, each.operator, list(each.values))
        case Presence():
            found = existing(each.attribute, wanted=each.exists)
        case Percentage():
            found = sampled(each.by, each.salt or key, each.percentage)
        case InSegment():
            found = segments.get(each.segment, _nobody)
        case AnyOf():
            found = any_of(_checks(each.any, segments, key))
        case AllOf():
            found = all_of(_checks(each.all, segments, key))
        case NotThis():
            found = none_of(_check(each.not_, segments, key))
    return found


def _checks(several: Sequence[Condition], segments: Segments, key: str) -> list[Check]:
    return [_check(each, segments, key) for each in several]


def _nobody(context: Mapping[str, Any]) -> bool:
    return False
