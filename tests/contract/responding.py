"""What is done about incidents, one row of each kind: the runbook's rows belong to the private incident."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from apps.catalog.models import Environment, Service, Team
from apps.flags.models import Experiment
from apps.flags.operations import (
    create_experiment,
    create_flag,
    create_segment,
    kill,
    schedule_change,
    start_experiment,
)
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.incidents.models import Incident
from apps.incidents.operations import resolve
from apps.postmortems.operations import add_item, open_review
from apps.runbooks import operations as runbooks
from apps.runbooks.models import StepRun
from apps.runbooks.operations.executing import start
from apps.runbooks.planning import make_dry_run
from apps.state.entities.models import Snapshot
from apps.state.entities.operations import compare, create_source, plan_restore
from apps.state.entities.packing import chunk_sum
from apps.state.operations import create_document, set_baseline
from tests import factories

PORTAL = Actor.system()
SECRET = "hush-hush-hush"
RUNBOOK = {
    "title": "By hand",
    "command": "ledger",
    "approval": "required",
    "steps": [
        {"slug": "look", "name": "Look", "kind": "manual", "with": {"instructions": "Look at the ledger."}},
        {"slug": "back", "name": "Back", "kind": "config_restore", "with": {"document": "limits"}},
    ],
}


def respond(team: Team, service: Service, environment: Environment, incident: Incident, title: str) -> dict[str, Any]:
    """The keys of the rows by what the API calls them. `title` is what nobody else may read."""
    flag = create_flag(
        "payments.checkout",
        environment_id=environment.pk,
        owner_id=team.pk,
        name="Checkout",
        blast_radius="Nobody can pay.",
        rollback_expectation="At once.",
        service_ids=[service.pk],
        actor=PORTAL,
    )
    kill(flag.pk, reason=f"for the {title}"[:20], about=Subject("incident", str(incident.pk)), actor=PORTAL)
    everybody = {"when": [{"attribute": "targetingKey", "exists": True}]}
    segment = create_segment("known", owner_id=team.pk, name="Known", definition=everybody, actor=PORTAL)
    tomorrow = now() + timedelta(days=1)
    change = schedule_change(flag.pk, tomorrow, {"state": "disabled"}, reason="it goes", actor=PORTAL)
    document = create_document(
        slug="limits", name="Limits", service_id=service.pk, content={"most": 5, "token": SECRET}, actor=PORTAL
    )
    version = document.versions.get()
    set_baseline(document.pk, version.pk, reason="good", actor=PORTAL)
    runbook = runbooks.create_runbook("ledger-back", "Ledger back", owner_id=team.pk, actor=PORTAL)
    text = json.dumps(RUNBOOK)
    runbook_version = runbooks.save_version(runbook.pk, text, note="first", activate=True, actor=PORTAL)
    dry_run = make_dry_run(runbook.pk, {}, incident_id=incident.pk, actor=PORTAL)
    execution = start(dry_run.pk, reason=f"about the {title}", actor=PORTAL)
    step = StepRun.objects.create(
        execution=execution, position=1, order=1, slug="look", name="Look", kind="manual", idempotency_key="look-1"
    )
    mitigation = runbooks.create_mitigation("ledger", "Ledger back", runbook_id=runbook.pk, actor=PORTAL)
    return {
        "flags": flag.pk,
        "flag_id": flag.pk,
        "segments": segment.pk,
        "flag-changes": change.pk,
        "experiments": experiment(team, environment).pk,
        "mitigation_id": mitigation.pk,
        "step_id": step.pk,
        "configs": document.pk,
        "config-versions": version.pk,
        "runbooks": runbook.pk,
        "runbook-versions": runbook_version.pk,
        "dry-runs": dry_run.pk,
        "executions": execution.pk,
        "approvals": execution.approval_id,
        "mitigations": mitigation.pk,
        "secrets": runbooks.set_secret("pipeline", SECRET, actor=PORTAL).pk,
        **entities(service),
        **review(team, title),
    }


def entities(service: Service) -> dict[str, Any]:
    """A source that nobody asks, two snapshots of nothing, their diff, and a dry run."""
    source = create_source(
        slug="players",
        name="Players",
        kind="player",
        service_id=service.pk,
        base_url="https://game.example.com",
        actor=PORTAL,
    )
    before, after = (
        Snapshot.objects.create(
            source=source, number=number, state="done", checksum=chunk_sum([]), author_name="portal"
        )
        for number in (1, 2)
    )
    return {
        "entity-sources": source.pk,
        "snapshots": before.pk,
        "snapshot-diffs": compare(before.pk, after.pk, actor=PORTAL).pk,
        "entity-restores": plan_restore(before.pk, ["p1"], actor=PORTAL).pk,
    }


def experiment(team: Team, environment: Environment) -> Experiment:
    """One that runs, on a flag of its own."""
    flag = create_flag(
        "storm.reward",
        environment_id=environment.pk,
        owner_id=team.pk,
        name="Storm reward",
        blast_radius="Rewards are the old ones.",
        rollback_expectation="At once.",
        kind="experiment",
        actor=PORTAL,
    )
    halves = {"on": 50, "off": 50}
    made = create_experiment("abx", flag_id=flag.pk, name="Reward", fallback="off", percents=halves, actor=PORTAL)
    return start_experiment(made.pk, actor=PORTAL)


def review(team: Team, title: str) -> dict[str, Any]:
    """A review with a promise, of an incident that was private too."""
    past = factories.incident(f"{title}, the first time", visibility="private", team_id=team.pk)
    resolve(past.pk, summary=f"The {title} is over", actor=PORTAL)
    opened = open_review(past.pk, actor=PORTAL)
    due_at = opened.opened_at + factories.A_DAY
    promise = {"owner_id": None, "team_id": team.pk, "priority": "P1", "due_at": due_at}
    item = add_item(opened.pk, f"Never again {title}", actor=PORTAL, **promise)
    section = opened.sections.order_by("pk")[0].pk
    return {"reviews": opened.pk, "review-sections": section, "section_id": section, "action-items": item.pk}
