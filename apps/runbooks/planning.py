"""Dry runs: what an execution would do, looked up without changing anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from django.db.models import QuerySet

from apps.approvals.queries import content_hash
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.incidents.models import Incident
from apps.incidents.queries import visible_to
from apps.people.queries import user_of
from apps.runbooks.documents import Compensation, Document, InvalidRunbook, document_of
from apps.runbooks.looking import collisions, look_at
from apps.runbooks.models import DryRun, Execution, Runbook, RunbookVersion
from apps.runbooks.names import incident_names
from apps.runbooks.nesting import unapproved
from apps.runbooks.parameters import filled
from apps.runbooks.permissions import require_look
from apps.runbooks.queries import visible_runbooks
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import StepContext
from apps.runbooks.templating import placeholders

ENOUGH_EXECUTIONS = 3
_LATEST_EXECUTIONS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What `look` found. `content` is what is approved, as `approved_content` makes it; `content_hash` its SHA-256.

    `names` are the values of the incident that the steps name. With `problems` it can't be executed. Secrets are
    masked everywhere.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)
    content_hash: str = ""
    estimate_seconds: int = 0


def look(
    version: RunbookVersion,
    parameters: dict[str, Any],
    *,
    incident_id: int | None,
    actor: Actor,
    above: Sequence[str] = (),
) -> Plan:
    """What this version would do with these parameters, defaults filled in, run by the runbooks `above`, if any.

    Nothing is written, nothing but GET and HEAD is sent; call it outside any transaction. What stands in the way is
    told in `problems`, never raised. It checks no permission.
    """
    vault = Vault()
    problems = list(_state_problems(version))
    try:
        document = document_of(version)
        parameters = _checked(document, parameters, vault)
    except (Invalid, InvalidRunbook) as error:
        lines = [f"{place}: {line}" for place, lines in error.fields.items() for line in lines] or [error.message]
        return _plan(version, vault.mask(parameters), [], [*problems, *lines])
    incident = _incident(incident_id)
    if incident_id is not None and incident is None:
        problems.append("The incident does not exist.")
    names = named_of(document, incident)
    if vault.holds(names):
        problems.append("What a step names of the incident holds the text of a secret: take it out there.")
        names = vault.mask(names)
    context = StepContext(
        parameters=parameters,
        incident=incident_names(incident),
        execution_key="",
        idempotency_key="",
        outcomes={},
        actor=actor,
        incident_id=incident.pk if incident else None,
        team_id=version.runbook.owner_id,
        looking=True,
        trail=(*above, version.runbook.slug),
    )
    steps: list[dict[str, Any]] = []
    for place, step in enumerate(document.steps, start=1):
        planned = {change["path"]: change["after"] for row in steps for change in row["diff"]}
        steps.append(vault.mask(look_at(step, place, replace(context, planned=planned), vault)))
    problems += [f"{step['name']}: {problem}" for step in steps for problem in step["problems"]]
    problems += [*collisions(steps), *unapproved(document)]
    return _plan(version, parameters, steps, problems, names=names, estimate=_estimate(version, document, steps))


def _plan(
    version: RunbookVersion,
    parameters: Any,
    steps: list[dict[str, Any]],
    problems: list[str],
    *,
    names: dict[str, Any] | None = None,
    estimate: int = 0,
) -> Plan:
    targets: dict[tuple[str, str], dict[str, Any]] = {}
    for step in steps:
        for target in step["targets"]:
            targets.setdefault((target["kind"], target["key"]), target)
    listed = [targets[key] for key in sorted(targets)]
    known = names or {}
    content = approved_content(version, parameters, listed, known)
    return Plan(steps, listed, problems, known, content, content_hash(content), estimate)


def approved_content(
    version: RunbookVersion, parameters: Any, targets: list[dict[str, Any]], names: dict[str, Any]
) -> dict[str, Any]:
    """All that decides what the steps will do: the version's text, parameters, the incident's values, the targets.

    Secrets stand in it by their names, as the text has them.
    """
    content = {"version": version.checksum, "parameters": parameters, "targets": targets}
    return {**content, "incident": names} if names else content


def named_of(document: Document, incident: Incident | None) -> dict[str, Any]:
    """The values of the incident that a placeholder of any step, or of what undoes one, stands for."""
    known = incident_names(incident)
    written: list[Any] = [step.with_ for step in document.steps]
    written += [[condition.value, condition.than] for step in document.steps for condition in step.when]
    written += [step.probe.with_ for step in document.steps if step.probe is not None]
    written += [step.compensate.with_ for step in document.steps if isinstance(step.compensate, Compensation)]
    roots = (found.name.split(".")[:2] for found in placeholders(written))
    return {field: known[field] for root, field in sorted(map(tuple, roots)) if root == "incident" and field in known}


def _state_problems(version: RunbookVersion) -> Iterator[str]:
    runbook = version.runbook
    if runbook.state != Runbook.State.ACTIVE:
        yield f"{runbook.name} is {runbook.get_state_display()}: only an active runbook can be executed."
    elif runbook.active_version_id != version.pk:
        yield f"Version {version.number} is not the active one."


def _incident(incident_id: int | None) -> Incident | None:
    rows = Incident.objects.select_related("team", "environment")
    return rows.filter(pk=incident_id).first() if incident_id is not None else None


def _checked(document: Document, parameters: Any, vault: Vault) -> dict[str, Any]:
    """Parameters with their defaults, refused where one holds the text of a secret: they are shown to many."""
    found = filled(document.parameters, parameters)
    if vault.holds(found):
        message = "A parameter holds the text of a secret: let the runbook name the secret instead."
        raise Invalid(message, code="invalid_parameters", fields={"parameters": [message]})
    return found


def _estimate(version: RunbookVersion, document: Document, steps: list[dict[str, Any]]) -> int:
    """Seconds: the median of the runbook's latest successes, else what it declares, else the sum of its steps."""
    rows = past_successes(version.runbook_id).values_list("started_at", "finished_at")[:_LATEST_EXECUTIONS]
    took = [(finished - started).total_seconds() for started, finished in rows if started and finished]
    if len(took) >= ENOUGH_EXECUTIONS:
        return round(median(took))
    if document.estimate is not None:
        return document.estimate
    return sum(step["estimate_seconds"] for step in steps)


def past_successes(runbook_id: int) -> QuerySet[Execution]:
    """Executions of a runbook that succeeded, the latest first."""
    rows = Execution.objects.filter(runbook_id=runbook_id, state=Execution.State.SUCCEEDED)
    return rows.filter(started_at__isnull=False).order_by("-finished_at", "-id")


@dataclass(frozen=True, slots=True)
class Looked:
    """What `look` found, with what it was asked, not kept yet."""

    version: RunbookVersion
    parameters: dict[str, Any]
    plan: Plan
    took_milliseconds: int


def make_dry_run(
    runbook_id: int,
    parameters: dict[str, Any],
    *,
    incident_id: int | None = None,
    version_id: int | None = None,
    actor: Actor,
) -> DryRun:
    """Look at what a runbook would do and keep what was seen: one row, no event. Each call makes another one.

    Of the active version unless `version_id` names another, which editors use to try it. Needs
    `runbooks.dry_run_runbook`, or whatever allows to execute the runbook. Raises NotFound for a runbook or incident
    that the actor may not see, Forbidden, Invalid for wrong parameters with the path of each, Conflict without any
    version. Never call it inside a transaction: it asks the network.
    """
    runbook = _runbook(runbook_id, actor)
    require_look(actor, runbook)
    require_incident(incident_id, actor)
    return record_dry_run(runbook, parameters, incident_id=incident_id, version_id=version_id, actor=actor)


def record_dry_run(
    runbook: Runbook,
    parameters: dict[str, Any],
    *,
    incident_id: int | None = None,
    version_id: int | None = None,
    actor: Actor,
) -> DryRun:
    """`make_dry_run` for callers that have checked the actor's permission in their own way."""
    found = look_closely(runbook, parameters, incident_id=incident_id, version_id=version_id, actor=actor)
    return keep_dry_run(found, incident_id=incident_id, actor=actor)


def look_closely(
    runbook: Runbook,
    parameters: dict[str, Any],
    *,
    incident_id: int | None = None,
    version_id: int | None = None,
    actor: Actor,
    above: Sequence[str] = (),
) -> Looked:
    """The half of `record_dry_run` that asks the network, and writes nothing."""
    version = _version(runbook, version_id)
    given = _checked(document_of(version), parameters, Vault())
    began = time.monotonic()
    plan = look(version, given, incident_id=incident_id, actor=actor, above=above)
    return Looked(version, given, plan, round((time.monotonic() - began) * 1000))


def keep_dry_run(found: Looked, *, incident_id: int | None, actor: Actor) -> DryRun:
    """The other half: one row, also inside a transaction."""
    plan = found.plan
    return DryRun.objects.create(
        runbook_id=found.version.runbook_id,
        runbook_version=found.version,
        incident_id=incident_id,
        parameters=found.parameters,
        incident_names=plan.names,
        targets=plan.targets,
        content_hash=plan.content_hash,
        steps=plan.steps,
        problems=plan.problems,
        estimate_seconds=plan.estimate_seconds,
        took_milliseconds=found.took_milliseconds,
        requested_by_id=actor.user_id,
        requested_by_name=actor.name[:120],
    )


def _runbook(runbook_id: int, actor: Actor) -> Runbook:
    user = user_of(actor)
    rows = Runbook.objects.all() if actor.is_system else visible_runbooks(user) if user else Runbook.objects.none()
    found = rows.select_related("active_version", "owner").filter(pk=runbook_id).first()
    if found is None:
        raise NotFound("There is no such runbook, or you may not see it.")
    return found


def require_incident(incident_id: int | None, actor: Actor) -> None:
    """NotFound unless the actor may know of the incident; without one there is nothing to know."""
    if incident_id is None:
        return
    user = user_of(actor)
    rows = Incident.objects.all() if actor.is_system else visible_to(user) if user else Incident.objects.none()
    if not rows.filter(pk=incident_id).exists():
        raise NotFound("There is no such incident, or you may not see it.")


def _version(runbook: Runbook, version_id: int | None) -> RunbookVersion:
    versions = RunbookVersion.objects.select_related("runbook").filter(runbook=runbook)
    if version_id is not None:
        found = versions.filter(pk=version_id).first()
        if found is None:
            raise NotFound(f"{runbook.name} has no such version.")
        return found
    found = versions.filter(pk=runbook.active_version_id or 0).first() or versions.order_by("-number").first()
    if found is None:
        raise Conflict(f"{runbook.name} has no version yet: save one.", code="runbook_has_no_version")
    return found
