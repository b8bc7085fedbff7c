"""Runbooks to rehearse with: their steps do what a test tells them, and remember how they were called."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from apps.approvals.operations import approve
from apps.catalog.models import Team
from apps.foundation.actor import Actor
from apps.people.models import User
from apps.runbooks import steps
from apps.runbooks.models import Execution, Runbook, StepRun
from apps.runbooks.operations.authoring import create_runbook, save_version
from apps.runbooks.operations.executing import execute, start
from apps.runbooks.planning import make_dry_run
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind
from apps.runbooks.worker import advance
from tests.factories import actor, named, person, team

Act = Callable[[StepContext], Outcome | None]


class Script:
    """What the steps of a test do: for each name a row of acts, the last of which is repeated; else they succeed."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.acts: dict[str, deque[Act]] = defaultdict(deque)
        self.probes: dict[str, Outcome | None] = {}
        self.calls: list[tuple[str, str, int]] = []
        self.target = "one"
        self.looked: Callable[[], object] = lambda: None

    def on(self, name: str, *acts: Act | Outcome) -> None:
        self.acts[name] = deque((lambda _, it=it: it) if isinstance(it, Outcome) else it for it in acts)

    def act(self, name: str, context: StepContext) -> Outcome | None:
        self.calls.append((name, context.idempotency_key, context.attempt))
        row = self.acts[name]
        act = row.popleft() if len(row) > 1 else row[0] if row else None
        return act(context) if act else Outcome("succeeded", data={"said": name})

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


SCRIPT = Script()
FAILS = Outcome("failed", error="no such luck")
MAYBE = Outcome("failed", error="no answer in time", maybe_done=True)


class RehearsedOptions(Options):
    name: str
    effect: Effect = "external"
    undo: str = ""
    target: str = ""
    once: bool = False


class Rehearsed(StepKind):
    """A step that follows the script."""

    name = "rehearsed"
    title = "Rehearsed"
    options = RehearsedOptions
    outcome_fields = ("said",)

    def effect(self, options: RehearsedOptions) -> Effect:
        return options.effect

    def idempotent(self, options: RehearsedOptions) -> bool:
        return not options.once

    def preview(self, options: RehearsedOptions, context: StepContext) -> Preview:
        SCRIPT.looked()
        target = {"kind": "thing", "key": options.target, "before": SCRIPT.target, "after": "", "version": ""}
        return Preview(text=f"Would do {options.name}.", targets=[target] if options.target else [])

    def perform(self, options: RehearsedOptions, context: StepContext) -> Outcome:
        return SCRIPT.act(options.name, context)  # type: ignore[return-value]  # a script may also forget to answer

    def probe(self, options: RehearsedOptions, context: StepContext) -> Outcome | None:
        return SCRIPT.probes.get(options.name)

    def undo(
        self, options: RehearsedOptions, context: StepContext, data: dict[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        back = {"name": f"undo {options.name}", "effect": options.effect, "once": options.once}
        return (self.name, back) if options.undo else None


steps.register(Rehearsed())


def step(name: str, **more: Any) -> dict[str, Any]:
    """One rehearsed step; `with_…` goes into its options, the rest beside them."""
    given = {key.removeprefix("with_"): value for key, value in more.items() if key.startswith("with_")}
    beside = {key: value for key, value in more.items() if not key.startswith("with_")}
    return {"slug": name, "name": name.capitalize(), "kind": "rehearsed", "with": {"name": name, **given}, **beside}


def runbook(*written: dict[str, Any], owner: Team | None = None, **more: Any) -> Runbook:
    """An active runbook with these steps; no approval is needed unless told otherwise."""
    import yaml

    content = {"title": "Rehearsal", "approval": "none", "target": "30m", **more, "steps": list(written)}
    system, owner = Actor.system(), owner or team(f"Owners {Team.objects.count()}")
    made = create_runbook(f"rehearsal-{Runbook.objects.count()}", "Rehearsal", owner_id=owner.pk, actor=system)
    save_version(made.pk, yaml.safe_dump(content), note="test", activate=True, actor=system)
    made.refresh_from_db()
    return made


def commander() -> User:
    """Somebody who may execute runbooks."""
    return User.objects.filter(username="cora").first() or named("cora", "commander")


def asked(book: Runbook, by: User | None = None, *, incident_id: int | None = None, **parameters: Any) -> Execution:
    """An execution that is asked for."""
    who = actor(by or commander())
    dry_run = make_dry_run(book.pk, parameters, incident_id=incident_id, actor=who)
    return start(dry_run.pk, reason="as a test", actor=who)


def begun(book: Runbook, by: User | None = None, *, incident_id: int | None = None, **parameters: Any) -> Execution:
    """An execution that is at work; approved by somebody else where that is needed."""
    execution = asked(book, by, incident_id=incident_id, **parameters)
    if execution.approval_id is not None:
        approve(execution.approval_id, actor=actor(person("approver")))
    return execute(execution.pk, actor=actor(by or commander()))


def run(execution: Execution, most: int = 40) -> Execution:
    """Let a worker do whatever is due."""
    for _ in range(most):
        if not advance(execution.pk):
            break
    return Execution.objects.get(pk=execution.pk)


def steps_of(execution: Execution) -> list[str]:
    """`one:succeeded`, with `undo ` before those that undo, in order."""
    return [
        f"{'undo ' if row.direction == StepRun.Direction.COMPENSATE else ''}{row.slug}:{row.state}"
        for row in StepRun.objects.filter(execution=execution).order_by("order")
    ]


def log_of(execution: Execution) -> str:
    return "\n".join(execution.log.order_by("id").values_list("text", flat=True))
