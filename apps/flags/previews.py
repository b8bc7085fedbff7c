"""Who would get another answer by a change of a flag; nothing is written to find out."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.approvals.models import ApprovalRequest
from apps.flags.evaluation.definitions import read_definition
from apps.flags.experiments.plan import Plan
from apps.flags.experiments.slots import allot
from apps.flags.models import Flag, FlagChange, Segment
from apps.flags.plans import read_plans
from apps.flags.queries import DEFAULT_ANSWER, change_in_words, visible_changes
from apps.flags.snapshot import COLUMNS, Evaluation, Row, Snapshot
from apps.flags.yaml_texts import as_yaml
from apps.foundation.errors import Invalid

# Where nobody says who asks, these many made-up people do: they show how a split would move them.
SAMPLED = 1_000
MOST_CONTEXTS = 1_000
MOST_EXAMPLES = 20
_LONGEST = 120
# How what an experiment would start with is read; a database keeps no order.
_WRITTEN = ("experiment", "percents", "traffic", "fallback", "salt", "auto_kill", "guardrails")
_OPEN = frozenset({FlagChange.State.PROPOSED, FlagChange.State.WAITING})

Context = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Move:
    """How many of those asked get `after` where they got `before`: a variant, or an error, or their own default."""

    before: str
    after: str
    count: int


@dataclass(frozen=True, slots=True)
class Example:
    """One context and its two answers."""

    context: Context
    before: Evaluation
    after: Evaluation


@dataclass(frozen=True, slots=True)
class WhoChanges:
    """What a change would do to `asked` contexts, `is_sample` of them made up. The largest move comes first."""

    asked: int
    is_sample: bool
    moves: list[Move]
    examples: list[Example]

    @property
    def changed(self) -> int:
        return sum(move.count for move in self.moves)

    @property
    def percent(self) -> float:
        return round(100 * self.changed / self.asked, 1) if self.asked else 0.0


def sample() -> list[dict[str, Any]]:
    """People who differ in nothing but their key."""
    return [{"targetingKey": f"user-{number}"} for number in range(SAMPLED)]


def who_changes(flag: Flag, change: Mapping[str, Any], contexts: Sequence[Context] = ()) -> WhoChanges:
    """Which of these contexts would get another answer; without any, of a sample of made-up people. Four queries.

    `change` is one of a `FlagChange`. Raises Invalid for a definition that can't be read.
    """
    return _who_changes(_Surroundings(flag), flag, change, contexts)


class _Surroundings:
    """What the answers of one flag depend on, read once: itself, the flags it needs, and those that they need."""

    def __init__(self, flag: Flag) -> None:
        rows = Flag.objects.filter(environment_id=flag.environment_id).values_list(*COLUMNS)
        self.rows = {row.key: row for row in (Row(*values) for values in rows)}
        self.segments = dict(Segment.objects.values_list("key", "definition"))
        self.plans = read_plans(environment_id=flag.environment_id)

    def snapshot(self, row: Row, change: Mapping[str, Any] | None = None) -> Snapshot:
        """Compiled with this row in its flag's place; what has no say in its answers is left out.

        With a change that starts its experiment, or gives newcomers other shares, as if that were done.
        """
        place = (row.environment, row.key)
        plans, planned = self.plans, _planned(self.plans.get(place), change or {})
        if planned is not None:
            plans = {**plans, place: planned}
        rows, found, needed = {**self.rows, row.key: row}, {}, [row.key]
        while needed:
            key = needed.pop()
            if key in rows and key not in found:
                found[key] = rows[key]
                needed += _needed_by(rows[key])
        return Snapshot(0, [row.environment], found.values(), self.segments, plans)


def _planned(plan: Plan | None, change: Mapping[str, Any]) -> Plan | None:
    """What people would be placed by; whoever is held stays so, since only newcomers get other shares."""
    if "start" in change:
        found = change["start"]
        return Plan(found["experiment"], 1, found["salt"], allot(found["percents"], found["traffic"]))
    if "shares" in change and plan is not None:
        found = change["shares"]
        return plan._replace(epoch=plan.epoch + 1, ranges=allot(found["percents"], found["traffic"]))
    return plan


def _needed_by(row: Row) -> list[str]:
    try:
        return [each.flag for each in read_definition(row.type, row.definition).prerequisites]
    except Invalid:
        return []  # stored by hand: nobody gets an answer of it, whatever it needs


def _who_changes(
    around: _Surroundings, flag: Flag, change: Mapping[str, Any], contexts: Sequence[Context] = ()
) -> WhoChanges:
    asked = list(contexts[:MOST_CONTEXTS]) or sample()
    now_row = around.rows[flag.key]
    row_then = _changed(now_row, change)
    read_definition(flag.type, row_then.definition)
    before, after = around.snapshot(now_row), around.snapshot(row_then, change)
    moves: Counter[tuple[str, str]] = Counter()
    examples: list[Example] = []
    for context in asked:
        was = before.evaluate(flag.key, now_row.environment, context)
        will_be = after.evaluate(flag.key, now_row.environment, context)
        assert was is not None
        assert will_be is not None
        if _differs(was, will_be):
            moves[(_named(was), _named(will_be))] += 1
            if len(examples) < MOST_EXAMPLES:
                examples.append(Example(context, was, will_be))
    moved = [Move(one, other, count) for (one, other), count in moves.most_common()]
    return WhoChanges(len(asked), not contexts, moved, examples)


def _changed(row: Row, change: Mapping[str, Any]) -> Row:
    if "state" in change:
        return row._replace(state=change["state"])
    if "definition" in change:
        return row._replace(definition=change["definition"])
    if "serve" in change:
        return row._replace(definition={**(row.definition or {}), "serve": change["serve"]})
    return row


def _differs(was: Evaluation, will_be: Evaluation) -> bool:
    """Whether programs would notice: by value, by variant, or by the error."""
    return (was.value, was.variant, was.error) != (will_be.value, will_be.variant, will_be.error)


def _named(found: Evaluation) -> str:
    if found.variant is not None:
        return f"{found.variant} ({json.dumps(found.value)[:_LONGEST]})"
    return f"{DEFAULT_ANSWER}, with {found.error}" if found.error else DEFAULT_ANSWER


def proposal_context(request: ApprovalRequest, http: Any) -> dict[str, Any]:
    """What the page of a request for approval shows of the proposed changes; nothing of what may not be seen."""
    rows = list(visible_changes(http.user).filter(approval=request).order_by("pk"))  # all of one flag
    around = _Surroundings(rows[0].flag) if any(row.state in _OPEN for row in rows) else None
    return {"proposals": [proposal_shown(row, around) for row in rows]}


def proposal_shown(row: FlagChange, around: _Surroundings | None = None) -> dict[str, Any]:
    """One change for a page: in words, both definitions, and who would get another answer.

    `fault` is why nobody can say, where the flag has changed so that the change doesn't fit it any more.
    """
    flag = row.flag
    shown: dict[str, Any] = {"change": row, "flag": flag, "words": change_in_words(row), "who": None, "lines": []}
    if row.state not in _OPEN:
        return shown
    try:
        who = _who_changes(around or _Surroundings(flag), flag, row.change)
    except Invalid as error:
        return {**shown, "fault": error.message}
    return {**shown, "who": who, "lines": _lines(flag, row.change)}


def _lines(flag: Flag, change: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The definition's lines that would go and come, marked as a diff marks them."""
    before: Any = flag.definition
    after: Any = _changed(Row("", flag.key, flag.state, 0, definition=flag.definition), change).definition
    if is_about := change.keys() & {"start", "shares"}:
        found = change[is_about.pop()]
        before, after = {}, {name: found[name] for name in _WRITTEN if name in found}
    old, new = (as_yaml(each).splitlines() if each else [] for each in (before, after))
    found = list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]
    return [({"+": "new", "-": "old"}.get(line[:1], "same"), line) for line in found if not line.startswith("@@")]
