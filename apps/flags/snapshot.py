"""All flags as one process holds them: compiled once for each revision, read without a database or a lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from apps.flags.evaluation.compiling import (
    DISABLED,
    STATIC,
    Outcome,
    Segments,
    compile_flag,
    compile_segments,
)
from apps.flags.evaluation.definitions import (
    Definition,
    SegmentDefinition,
    read_definition,
    read_segment,
    switch_definition,
)
from apps.flags.experiments.plan import Placement, Plan
from apps.flags.models import Flag
from apps.foundation.errors import Invalid

PREREQUISITE_FAILED, UNREADABLE = "PREREQUISITE_FAILED", "ERROR"
MISSING = "TARGETING_KEY_MISSING"
MOST_BULKS = 256  # different sets of answers of one environment that are kept as bytes
_DEEPEST = 20  # of prerequisites of prerequisites; saving refuses rings, so this is never met


class Row(NamedTuple):
    """What of a flag matters to those who ask for it."""

    environment: str
    key: str
    state: str
    version: int
    type: str = Flag.Type.BOOLEAN
    kind: str = Flag.Kind.KILL_SWITCH
    definition: Mapping[str, Any] | None = None


# The experiments that run, by the slug of the environment and the key of the flag.
Plans = Mapping[tuple[str, str], Plan]
# The columns of the table of flags that make a row, in its order.
COLUMNS = ("environment__slug", *Row._fields[1:])


class Evaluation(NamedTuple):
    """The answer of one flag. Without a variant it leaves it to the caller's own default; `error` says why it must."""

    key: str
    value: Any
    reason: str
    variant: str | None
    metadata: Mapping[str, Any]
    error: str = ""


class _Flag:
    """One flag of one environment, with the bytes of every answer that it has given."""

    __slots__ = ("_answers", "_compiled", "_definition", "_metadata", "key", "needs", "state")

    def __init__(self, row: Row, segments: Segments, plan: Plan | None) -> None:
        self.key, self.state = row.key, row.state
        self._metadata = {"environment": row.environment, "version": row.version, "state": row.state, "kind": row.kind}
        self._answers: dict[Outcome, Answered] = {}
        self._definition = _definition_of(row)
        placement = _placement(plan, self._definition)
        if plan is not None and placement is not None and row.state == Flag.State.ON:
            self._metadata |= {"experiment": plan.experiment, "epoch": plan.epoch}
        self._compiled = compile_flag(row.key, self._definition, segments, placement) if self._definition else None
        self.needs = self._definition.prerequisites if self._definition and row.state == Flag.State.ON else []

    def fixed(self) -> Outcome | None:
        """What everybody gets, whoever they are and whatever other flags answer; None where that matters."""
        if self.state == Flag.State.DISABLED:
            return Outcome(None, DISABLED)
        if self._definition is None or self._compiled is None:
            return Outcome(None, UNREADABLE)
        if self.state == Flag.State.KILLED:
            return Outcome(self._definition.off, STATIC)
        return None if self.needs else self._compiled.constant

    def answer(self, context: Mapping[str, Any], flags: Mapping[str, _Flag], depth: int = 0) -> Outcome:
        """What this context gets, the prerequisites asked first."""
        found = self.fixed()
        if found is not None:
            return found
        assert self._compiled is not None
        assert self._definition is not None
        for needed in self.needs:
            other = flags.get(needed.flag)
            met = other.answer(context, flags, depth + 1).variant if other is not None and depth < _DEEPEST else None
            if met not in needed.variants:
                return Outcome(self._definition.off, PREREQUISITE_FAILED)
        return self._compiled.answer(context)

    def evaluation(self, outcome: Outcome) -> Evaluation:
        error = ""
        if outcome.missing:
            error = MISSING
        elif outcome.reason == UNREADABLE:
            error = "GENERAL"
        value = (
            None if outcome.variant is None or self._definition is None else self._definition.variants[outcome.variant]
        )
        metadata = {**self._metadata, "rule": outcome.rule} if outcome.rule else self._metadata
        return Evaluation(self.key, value, outcome.reason, outcome.variant, metadata, error)

    def answered(self, outcome: Outcome) -> Answered:
        """The answer as the protocol words it: without `value` a provider takes the default that its caller gave."""
        found = self._answers.get(outcome)
        if found is None:
            said = self.evaluation(outcome)
            body = orjson.dumps(_words(said, outcome))
            found = self._answers[outcome] = Answered(body, said.error, self.key, outcome.variant or "")
        return found

    def given(self) -> list[Answered]:
        """The answers that were given since this was asked last."""
        found = [each for each in list(self._answers.values()) if each.was_given]
        for each in found:
            each.was_given = False
        return found


def _words(found: Evaluation, outcome: Outcome) -> dict[str, Any]:
    if found.error == MISSING:
        details = f"This flag is split by `{outcome.missing}`, which the context lacks."
        return {"key": found.key, "errorCode": MISSING, "errorDetails": details}
    if found.error:
        details = "The definition of this flag can't be read: save it anew."
        return {"key": found.key, "errorCode": found.error, "errorDetails": details}
    value = {} if found.variant is None else {"value": found.value}
    variant = "disabled" if found.variant is None else found.variant
    return {"key": found.key, **value, "reason": found.reason, "variant": variant, "metadata": found.metadata}


def _definition_of(row: Row) -> Definition | None:
    """None for one that was stored by hand and can't be read: the rest of the flags go on."""
    raw = switch_definition() if row.definition is None else row.definition
    try:
        return read_definition(row.type, raw)
    except Invalid:
        return None


class Answered:
    """An answer as bytes; `error` is the protocol's code where there is no value to give.

    `was_given` since the uses were last counted.
    """

    __slots__ = ("body", "error", "key", "variant", "was_given")

    def __init__(self, body: bytes, error: str, key: str, variant: str) -> None:
        self.body, self.error, self.key, self.variant = body, error, key, variant
        self.was_given = False


class Bulk:
    """The answers of all flags, without the brace that ends the object, and their tag."""

    __slots__ = ("body", "parts", "tag", "was_given")

    def __init__(self, parts: Sequence[Answered]) -> None:
        self.parts = tuple(parts)
        self.body = b'{"flags":[%b]' % b",".join(each.body for each in parts)
        self.tag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'
        self.was_given = False


class Environment:
    """The flags of one environment. What doesn't depend on the context is answered with bytes made beforehand."""

    def __init__(self, rows: Iterable[Row], segments: Segments, plans: Plans | None = None, slug: str = "") -> None:
        self.slug = slug
        self.polled: dict[bytes, Bulk] = {}
        running = plans or {}
        self._flags = {
            row.key: _Flag(row, segments, running.get((row.environment, row.key)))
            for row in sorted(rows, key=lambda row: row.key)
        }
        self._fixed = {key: flag.answered(found) for key, flag in self._flags.items() if (found := flag.fixed())}
        # In their order, each with its bytes where they don't depend on the context.
        self._each = [(flag, self._fixed.get(key)) for key, flag in self._flags.items()]
        self._bulks: dict[tuple[int, ...], Bulk] = {}

    def one(self, key: str, context: Mapping[str, Any]) -> Answered | None:
        """The answer of one flag; None for an unknown one."""
        flag = self._flags.get(key)
        if flag is None:
            return None
        return self._fixed.get(key) or flag.answered(flag.answer(context, self._flags))

    def all(self, context: Mapping[str, Any]) -> Bulk:
        """The answers of all flags, and their tag."""
        flags = self._flags
        found = [fixed or flag.answered(flag.answer(context, flags)) for flag, fixed in self._each]
        # Many contexts get the same answers. Those live as long as their flags do, so each is known by its id.
        same = tuple(map(id, found))
        made = self._bulks.get(same)
        if made is None:
            if len(self._bulks) >= MOST_BULKS:
                self._keep_uses()
                self._bulks.clear()
                self.polled.clear()
            made = self._bulks[same] = Bulk(found)
        return made

    def _keep_uses(self) -> None:
        for bulk in list(self._bulks.values()):
            if bulk.was_given:
                bulk.was_given = False
                for part in bulk.parts:
                    part.was_given = True

    def take_uses(self) -> dict[str, set[str]]:
        """Which variants of which flags were given since this was asked last; one who got none counts as empty."""
        self._keep_uses()
        found: dict[str, set[str]] = {}
        for flag in self._flags.values():
            for each in flag.given():
                found.setdefault(flag.key, set()).add(each.variant)
        return found

    def evaluate(self, key: str, context: Mapping[str, Any]) -> Evaluation | None:
        """The same for our own programs: a value instead of bytes."""
        flag = self._flags.get(key)
        return None if flag is None else flag.evaluation(flag.answer(context, self._flags))


class Snapshot:
    """Every flag of every environment at one revision. It never changes; a newer one takes its place."""

    def __init__(
        self,
        revision: int,
        environments: Iterable[str],
        rows: Iterable[Row],
        segments: Mapping[str, Mapping[str, Any]] | None = None,
        plans: Plans | None = None,
        *,
        changed_at: datetime | None = None,
    ) -> None:
        """`environments` are slugs in their order: the first is meant where a caller names none."""
        self.revision, self.changed_at = revision, changed_at
        self.environments = tuple(environments)
        checks = compile_segments(_segments(segments or {}))
        by_environment: dict[str, list[Row]] = {slug: [] for slug in self.environments}
        for row in rows:
            by_environment.setdefault(row.environment, []).append(row)
        self._compiled = {slug: Environment(found, checks, plans, slug) for slug, found in by_environment.items()}
        self._tags = {slug: _tag_of(found, segments or {}, plans or {}) for slug, found in by_environment.items()}
        self._default = self._compiled[self.environments[0]] if self.environments else Environment([], {})

    def environment(self, slug: str | None) -> Environment | None:
        """The answers of one environment, of the first one without a slug; None for an unknown one."""
        return self._compiled.get(slug) if slug else self._default

    def take_uses(self) -> dict[tuple[str, str], set[str]]:
        """Which variants were given since this was asked last, by environment and flag."""
        return {
            (slug, key): variants for slug, each in self._compiled.items() for key, variants in each.take_uses().items()
        }

    def tag(self, slug: str) -> str:
        """Another one whenever anything about an environment's flags is; empty for an unknown one."""
        return self._tags.get(slug, "")

    def evaluate(self, key: str, environment: str | None, context: Mapping[str, Any]) -> Evaluation | None:
        """What the flag answers to this context; None where there is no such flag or environment."""
        found = self.environment(environment)
        return found.evaluate(key, context) if found is not None else None


def _placement(plan: Plan | None, definition: Definition | None) -> Placement | None:
    """The plan made ready; None where the flag has lost a variant of it, which only a hand in the database can do."""
    if plan is None or definition is None:
        return None
    placement = Placement(plan)
    return placement if placement.variants <= definition.variants.keys() else None


def _tag_of(rows: Sequence[Row], segments: Mapping[str, Any], plans: Plans) -> str:
    """By which event streams know whether an environment has changed: a hash of all that it is made of."""
    # A plan by its repr, which has the hash of who is held: they change without another epoch.
    named = {row.key: (*row, repr(plans.get((row.environment, row.key)))) for row in rows}
    whole = orjson.dumps([named, segments], option=orjson.OPT_SORT_KEYS, default=str)
    return hashlib.sha256(whole).hexdigest()[:16]


def _segments(raw: Mapping[str, Mapping[str, Any]]) -> dict[str, SegmentDefinition]:
    found = {}
    for key, definition in raw.items():
        try:
            found[key] = read_segment(definition)
        except Invalid:  # stored by hand: nobody is in it
            continue
    return found
