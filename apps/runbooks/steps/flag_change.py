"""`flag_change`: a flag is killed, brought back, or serves something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import StringConstraints, model_validator

from apps.flags import operations
from apps.flags.models import Flag
from apps.flags.operations.approving import demands_approval
from apps.flags.queries import answer_in_words, preview_kill
from apps.foundation.errors import DomainError
from apps.foundation.subjects import Subject
from apps.incidents.queries import SUBJECT_KIND as INCIDENT
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.steps.base import (
    Effect,
    Options,
    Outcome,
    Preview,
    StepContext,
    StepKind,
    acting,
    approved,
    written_options,
)
from apps.runbooks.templating import has_placeholder

TARGET = "flag"
_VERBS = {"kill": "Kills", "bring_back": "Brings back", "serve": "Changes what nobody's rule decides of"}
_DONE = {"kill": "killed", "bring_back": "brought back", "serve": "serves something else"}


class FlagChangeOptions(Options):
    """`with` of a `flag_change`. `serve` is a variant or `{split: […]}`.

    `expected` is the state, or what is served, that must be there, unless what is wanted is there already.
    """

    flag: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    environment: Annotated[str, StringConstraints(pattern=r"^[-a-zA-Z0-9_]{1,60}$")]
    do: Literal["kill", "bring_back", "serve"]
    serve: str | dict[str, Any] | None = None
    expected: str | dict[str, Any] | None = None

    @model_validator(mode="after")
    def _what_is_served(self) -> FlagChangeOptions:
        if (self.do == "serve") != (self.serve is not None):
            raise ValueError("Give `serve`, a variant or a split, with `do: serve` and only there.")
        return self

    @property
    def key(self) -> str:
        """The flag as targets name it: `payments.checkout@production`."""
        return f"{self.flag}@{self.environment}"


class FlagChange(StepKind):
    """In the transaction of the step's outcome; every process answers anew within 2 seconds. Undoing goes back."""

    name = "flag_change"
    title = "Change a flag"
    options = FlagChangeOptions
    outcome_fields = ("flag", "environment", "changed", "version", "before", "after")

    def effect(self, options: FlagChangeOptions) -> Effect:
        return "internal"

    def preview(self, options: FlagChangeOptions, context: StepContext) -> Preview:
        flag = flag_of(options)
        if flag is None:
            problem = f"There is no flag `{options.flag}` in `{options.environment}`."
            return Preview(text=problem, problems=[problem])
        place = f"{options.key}.{'serve' if options.do == 'serve' else 'state'}"
        before, after = context.planned.get(place, _now(flag, options)), _goal(flag, options)
        problem = _problem(flag, options)
        changes = before != after and not problem
        diff = [{"path": place, "op": "changed", "before": before, "after": after}] if changes else []
        return Preview(
            text=problem or _told(flag, options, changes=changes),
            diff=diff,
            problems=[problem] if problem else [],
            targets=[{"kind": TARGET, "key": options.key, "before": _seen(flag), "after": "", "version": ""}],
            estimate_seconds=2,
        )

    def perform(self, options: FlagChangeOptions, context: StepContext) -> Outcome:
        flag = flag_of(options)
        if flag is None:
            return Outcome("failed", error=f"There is no flag `{options.flag}` in `{options.environment}`.")
        before = _now(flag, options)
        if _is_overtaken(flag, options, context):
            return Outcome("failed", error=f"{flag.name} was changed after this was looked at: it stays as it is.")
        try:
            done = _do(flag, options, context)
        except DomainError as error:
            return Outcome("failed", error=error.message)
        after = _now(done, options)
        changed = done.version != flag.version
        context.log(f"{flag.name} in {options.environment} {_DONE[options.do] if changed else 'was so already'}.")
        data = {"flag": options.flag, "environment": options.environment, "changed": changed, "version": done.version}
        return Outcome("succeeded", data={**data, "before": before, "after": after})

    def undo(
        self, options: FlagChangeOptions, context: StepContext, data: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        if not data.get("changed"):
            return None
        back: dict[str, Any] = {"flag": options.flag, "environment": options.environment, "expected": data["after"]}
        if options.do == "serve":
            return self.name, {**back, "do": "serve", "serve": data["before"]}
        return self.name, {**back, "do": "bring_back" if options.do == "kill" else "kill"}

    def undo_told(self, options: FlagChangeOptions) -> str:
        way = {"kill": "It is brought back", "bring_back": "It is killed again", "serve": "It serves what it did"}
        return f"{way[options.do]}, unless somebody changed it meanwhile."

    def beyond(self, options: Mapping[str, Any], owner_id: int) -> str:
        key, place = str(options.get("flag", "")), str(options.get("environment", ""))
        rows = Flag.objects.filter(key=key) if has_placeholder(place) else Flag.objects.filter(
            key=key, environment__slug=place
        )  # fmt: skip
        owners = set() if has_placeholder(key) else set(rows.values_list("owner_id", flat=True))
        return "" if owners == {owner_id} else f"it changes the flag {key}, which is not the owning team's"

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        options = written_options(intent)
        rows = [("Flag", f"{options.get('flag', '')} in {options.get('environment', '')}")] if options else []
        if "changed" not in data:
            return rows
        before, after = (_text(data.get(name)) for name in ("before", "after"))
        return [*rows, ("Changed", f"{before} → {after}" if data["changed"] else f"nothing: it was {after}")]

    def readable(self, options: Mapping[str, Any]) -> str:
        served = f" {_text(options.get('serve'))}" if options.get("do") == "serve" else ""
        verb = str(options.get("do", "")).replace("_", " ")
        return f"{verb}{served}: {options.get('flag', '')} in {options.get('environment', '')}"


def flag_of(options: FlagChangeOptions) -> Flag | None:
    """The flag that is meant; None where there is none."""
    rows = Flag.objects.select_related("environment", "owner")
    return rows.filter(key=options.flag, environment__slug=options.environment).first()


def _do(flag: Flag, options: FlagChangeOptions, context: StepContext) -> Flag:
    # Whoever sees flags reads the reason; why the runbook runs may be for the eyes of a private incident's people.
    reason = f"by execution {context.execution_id} of a runbook"
    about = Subject(INCIDENT, str(context.incident_id)) if context.incident_id is not None else None
    actor = acting(context)
    if options.do == "kill":
        return operations.kill(flag.pk, reason=reason, about=about, actor=actor)
    if options.do == "bring_back":
        return operations.bring_back(flag.pk, reason=reason, expected_version=flag.version, actor=actor)
    rules = {**flag.definition, "serve": options.serve}
    return operations.edit_flag(flag.pk, definition=rules, reason=reason, expected_version=flag.version, actor=actor)


def _now(flag: Flag, options: FlagChangeOptions) -> Any:
    return flag.definition["serve"] if options.do == "serve" else str(flag.state)


def _goal(flag: Flag, options: FlagChangeOptions) -> Any:
    if options.do == "serve":
        return options.serve
    return str(Flag.State.KILLED if options.do == "kill" else flag.state_brought_back)


def _is_overtaken(flag: Flag, options: FlagChangeOptions, context: StepContext) -> bool:
    """Whether somebody changed the flag meanwhile, so that this would undo what they decided.

    What earlier steps of the execution did, and sub-runbooks below them, counts as looked at. A kill is right whatever
    has happened.
    """
    if options.expected is not None:
        return bool(_now(flag, options) not in (options.expected, _goal(flag, options)))
    seen = approved(context, TARGET, options.key)
    own = (options.flag, options.environment)
    known = [*context.outcomes.values(), *_outcomes_below(context.execution_id)]
    mine = [row for row in known if (row.get("flag"), row.get("environment")) == own]
    if mine:
        return options.do != "kill" and flag.version != max(row.get("version", 0) for row in mine)
    return options.do != "kill" and seen is not None and seen != _seen(flag)


def _outcomes_below(execution_id: int | None) -> list[Mapping[str, Any]]:
    """What steps of this kind did, and undid, in sub-runbooks of this execution; one query for each floor."""
    found: list[Mapping[str, Any]] = []
    above = [] if execution_id is None else [execution_id]
    while above:
        above = list(Execution.objects.filter(parent_step__execution__in=above).values_list("pk", flat=True))
        runs = StepRun.objects.filter(execution__in=above, kind=FlagChange.name, state=StepRun.State.SUCCEEDED)
        found += [outcome for outcome in runs.values_list("outcome", flat=True) if outcome]
    return found


def _seen(flag: Flag) -> str:
    """What an approval speaks of: the state and, by its checksum, the definition."""
    rules = json.dumps(flag.definition, sort_keys=True)
    return f"{flag.state} {hashlib.sha256(rules.encode()).hexdigest()[:16]}"


def _problem(flag: Flag, options: FlagChangeOptions) -> str:
    if options.do == "bring_back" and flag.state == Flag.State.DISABLED:
        return f"{flag.key} is disabled, not killed: enable it instead."
    if options.do == "serve":
        parts = options.serve.get("split", []) if isinstance(options.serve, dict) else [{"variant": options.serve}]
        named = [part.get("variant") if isinstance(part, dict) else part for part in parts]
        unknown = [str(name) for name in named if name not in flag.definition["variants"]]
        if unknown or not named:
            known = ", ".join(flag.definition["variants"])
            return f"{flag.key} has no variant {', '.join(unknown) or 'to serve'}; it has {known}."
        if demands_approval(flag) and _now(flag, options) != options.serve:
            return f"A second person must approve what {flag.key} serves in {flag.environment.name}: propose it there."
    return ""


def _told(flag: Flag, options: FlagChangeOptions, *, changes: bool) -> str:
    if not changes:
        return f"{flag.name} in {flag.environment.name} is so already: nothing to do."
    what = f"{_VERBS[options.do]} {flag.name} in {flag.environment.name}"
    if options.do == "serve":
        return f"{what}: {_text(options.serve)} instead of {_text(flag.definition['serve'])}."
    if options.do == "bring_back":
        return f"{what}: it answers {answer_in_words(flag, flag.state_brought_back)} again."
    seen = preview_kill(flag)
    services = ", ".join(row.name for row in seen.services) or "no service"
    return f"{what}: {seen.before} becomes {seen.after} for {services}. {seen.blast_radius}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
