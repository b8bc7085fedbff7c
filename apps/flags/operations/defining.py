"""What a definition may speak of: segments that exist, and flags of its environment that don't need it themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from apps.flags.evaluation.definitions import BadDefinition, Definition, Mistake, read_definition, segments_in
from apps.flags.models import Experiment, Flag, Segment
from apps.foundation.errors import Conflict


def checked_definition(flag: Flag, raw: Any) -> dict[str, Any]:
    """The definition as it is stored. Raises BadDefinition, which is Invalid. The caller holds the revision's lock."""
    found = read_definition(flag.type, raw)
    mistakes = [*_unknown_segments(found), *_wrong_prerequisites(flag, found)]
    if mistakes:
        raise BadDefinition(mistakes)
    stored: dict[str, Any] = found.model_dump(mode="json", by_alias=True)
    return stored


def _unknown_segments(found: Definition) -> Iterator[Mistake]:
    named = {rule.name: set(segments_in(rule.when)) for rule in found.rules}
    known = set(
        Segment.objects.filter(key__in={key for keys in named.values() for key in keys}).values_list("key", flat=True)
    )
    for number, rule in enumerate(found.rules):
        for key in sorted(named[rule.name] - known):
            yield ("rules", number, "when"), f"There is no segment {key!r}."


def _wrong_prerequisites(flag: Flag, found: Definition) -> Iterator[Mistake]:
    if not found.prerequisites:
        return
    rows = Flag.objects.filter(environment_id=flag.environment_id).values_list("key", "definition")
    others = {key: definition for key, definition in rows if key != flag.key}
    for number, needed in enumerate(found.prerequisites):
        place = ("prerequisites", number)
        if needed.flag == flag.key:
            yield (*place, "flag"), "A flag can't be its own prerequisite."
        elif needed.flag not in others:
            yield (*place, "flag"), f"There is no flag {needed.flag!r} in this environment."
        elif unknown := sorted(set(needed.variants) - set(others[needed.flag]["variants"])):
            yield (*place, "variants"), f"{needed.flag} has no variant {unknown[0]!r}."
        elif flag.key in _all_needed(needed.flag, others):
            yield (*place, "flag"), f"{needed.flag} needs {flag.key} already: prerequisites can't go in a ring."


def _all_needed(key: str, others: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The flag, and all that it needs, directly or not."""
    found: set[str] = set()
    waiting = [key]
    while waiting:
        at = waiting.pop()
        if at not in found:
            found.add(at)
            waiting += [each["flag"] for each in others.get(at, {}).get("prerequisites", ())]
    return found


def broken_by(flag: Flag, variants: Iterable[str]) -> list[str]:
    """Keys of flags of the environment that need a variant of this one which is not among these."""
    kept = set(variants)
    rows = Flag.objects.filter(environment_id=flag.environment_id).exclude(pk=flag.pk).values_list("key", "definition")
    return sorted(
        key
        for key, definition in rows
        for needed in definition.get("prerequisites", ())
        if needed["flag"] == flag.key and not set(needed["variants"]) <= kept
    )


def refuse_to_break_an_experiment(flag: Flag, kind: str, variants: Mapping[str, Any]) -> None:
    """Raise Conflict where an experiment that runs needs a variant that would go, or the kind."""
    if kind == flag.kind and variants.keys() >= flag.definition["variants"].keys():
        return
    running = Experiment.objects.filter(flag=flag, state=Experiment.State.RUNNING).first()
    if running is None:
        return
    gone = sorted(running.percents.keys() - variants.keys())
    if gone or kind != Flag.Kind.EXPERIMENT:
        needed = f"the variant {gone[0]}" if gone else "the kind experiment"
        raise Conflict(f"{running.key} runs on {flag.key} and needs {needed}: end it first.", code="experiment_running")
