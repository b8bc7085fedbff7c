"""The computed parts are those of the incident: true figures, every event in order, frozen once reviewed."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import timedelta

import pytest

from apps.catalog.operations import NewChange, record_changes
from apps.engine.operations import publish
from apps.flags.events import FlagKilled
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.incidents import operations as incidents
from apps.incidents.models import Incident
from apps.incidents.operations import NewEntry, append_entries
from apps.postmortems import operations
from apps.postmortems.figures import computed, span_words
from apps.postmortems.models import Review
from apps.runbooks.models import DryRun, Execution, Runbook, RunbookVersion
from tests.factories import answers_for, service
from tests.postmortems.conftest import SYSTEM, World


def facts(found: list[object]) -> dict[str, str]:
    return {fact.label: fact.value for fact in found}  # type: ignore[attr-defined]  # facts


def playbook_incident(world: World) -> Incident:
    """The incident of the playbook's example, as far as the portal measures it."""
    made = incidents.declare("API down", "P0", team_id=world.team.pk, actor=world.by("ria"))
    world.wait(minutes=1)
    incidents.acknowledge(made.pk, actor=world.by("ria"))
    world.wait(minutes=1)
    incidents.take_role(made.pk, "commander", actor=world.by("cleo"))
    incidents.mark(made.pk, "triaged", actor=world.by("cleo"))
    world.wait(minutes=2)
    incidents.mark(made.pk, "cause_identified", actor=world.by("cleo"))
    return world.resolve(made, minutes=25)


def test_the_figures_are_those_of_the_playbooks_example(world: World) -> None:
    found = computed(world.review(playbook_incident(world)))
    shown = facts(found.metadata)
    assert shown["Severity"] == "P0 Complete outage"
    assert shown["Duration"] == "29 minutes"
    assert shown["Detected"] == "2026-05-04 14:23:00 UTC"
    assert shown["Resolved"] == "2026-05-04 14:52:00 UTC"
    assert shown["MTTR"] == "29 minutes (target: less than 5 minutes, missed)"
    assert shown["Incident Commander"] == "Cleo"
    detection = facts(found.detection)
    assert detection["Detection method"] == "Reported by a person"
    assert (detection["Time to triage"], detection["Time to root cause"]) == ("2 minutes", "4 minutes")


def test_exactly_on_the_limit_has_missed_it(world: World) -> None:
    found = computed(world.review(playbook_incident(world)))
    answered = next(figure for figure in found.figures if figure.slug == "acknowledged")
    assert (answered.seconds, answered.limit_seconds, answered.met) == (60.0, 60, False)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "not reached"),
        (0, "0 seconds"),
        (0.4, "0 seconds"),
        (1, "1 second"),
        (299.6, "4 minutes 59 seconds"),
        (1740, "29 minutes"),
        (3900, "1 hour 5 minutes"),
        (86400, "1 day"),
        (90061, "1 day 1 hour"),
        (3601, "1 hour"),
    ],
)
def test_a_time_is_said_in_its_two_largest_units(seconds: float | None, words: str) -> None:
    assert span_words(seconds) == words


def test_the_timeline_has_every_entry_in_order_of_when_it_happened(world: World) -> None:
    made = world.open_incident()
    early = now() - timedelta(minutes=3)
    append_entries([NewEntry(made.pk, "note", "Deployment of API v2.3.1", author_name="bot", at=early)])
    world.resolve(made)
    found = computed(world.review(made))
    assert found.timeline[0].text == "Deployment of API v2.3.1"
    assert [(line.at, line.seq) for line in found.timeline] == sorted((line.at, line.seq) for line in found.timeline)
    assert len(found.timeline) == made.timeline.count()


def test_people_pages_alerts_and_roles_are_counted(world: World) -> None:
    answers_for("primary", world.people["ria"])
    made = world.open_incident()
    append_entries([NewEntry(made.pk, "alert", "Alert fires: High error rate", author_name="Prometheus")])
    incidents.hand_over(made.pk, "commander", world.people["ria"].pk, actor=world.by("cleo"))
    world.resolve(made)
    found = computed(world.review(made))
    assert [(holder.name, holder.user) for holder in found.roles] == [
        ("Incident Commander", "Cleo"),
        ("Incident Commander", "Ria"),
    ]
    assert {one.name: one.pages for one in found.participants} == {"Cleo": 0, "Ria": 1}
    assert (found.pages_sent, found.people_paged) == (1, 1)
    assert facts(found.detection)["First alert"] == "High error rate"
    assert facts(found.metadata)["Incident Commander"] == "Ria"


def test_executions_dry_runs_flags_and_changes_are_named(world: World) -> None:
    api = service("api", world.team)
    made = world.open_incident(service_ids=[api.pk])
    runbook = Runbook.objects.create(slug="economy", name="Rollback", owner=world.team)
    version = RunbookVersion.objects.create(
        runbook=runbook, number=2, text="", content={}, checksum="c", author_name="Ria"
    )
    run = DryRun.objects.create(
        runbook=runbook, runbook_version=version, incident=made, content_hash="h", requested_by_name="Ria"
    )
    Execution.objects.create(
        runbook=runbook, runbook_version=version, incident=made, dry_run=run, content_hash="h", state="succeeded",
        requested_by_name="Ria", finished_at=now(),
    )  # fmt: skip
    record_changes([NewChange(title="Release 2.3.1", kind="deploy", service_id=api.pk, author="bot")], actor=SYSTEM)
    tell_of_a_killed_flag(made)
    world.resolve(made)
    found = computed(world.review(made))
    assert [(row.title, row.state_label, row.by) for row in found.executions] == [("Rollback v2", "Succeeded", "Ria")]
    assert [row.state_label for row in found.dry_runs] == ["Passed"]
    assert [row.title for row in found.flags] == ["Flag new-checkout killed"]
    assert [(row.title, row.detail) for row in found.changes] == [("Release 2.3.1", "api")]


def tell_of_a_killed_flag(made: Incident) -> None:
    names = [field.name for field in fields(FlagKilled)]
    given = {name: 1 if name.endswith("_id") else "" for name in names}
    event_id = publish(FlagKilled(**given), subject=Subject("flag", "1"), actor=Actor.system())
    append_entries([NewEntry(made.pk, "flag", "Flag new-checkout killed", author_name="Ria", event_id=event_id)])


def test_a_reopened_incident_is_measured_for_each_time_it_was_open(world: World) -> None:
    made = world.resolved()
    review = world.review(made)
    world.wait(hours=1)
    incidents.reopen(made.pk, actor=world.by("cleo"))
    during = computed(review)
    assert (during.is_open, during.reopened_count, facts(during.metadata)["Resolved"]) == (True, 1, "not yet")
    world.resolve(made, minutes=5)
    found = computed(review)
    assert [cycle.figures[-1].text for cycle in found.cycles] == ["29 minutes", "5 minutes"]
    assert facts(found.metadata)["Duration"] == "34 minutes"
    assert found.figures == found.cycles[1].figures


def test_a_reviewed_review_keeps_its_figures_whatever_becomes_of_the_incident(world: World) -> None:
    made = world.resolved()
    review = world.reviewed(world.review(made))
    before = computed(review)
    assert before.frozen_at == now()
    incidents.reopen(made.pk, actor=world.by("cleo"))
    incidents.post(made.pk, "It is back", actor=world.by("cleo"))
    after = computed(Review.objects.get(pk=review.pk))
    assert after == before
    assert json.loads(json.dumps(review.frozen)) == review.frozen
    operations.reopen_review(review.pk, reason="It came back", actor=world.by("mona"))
    assert computed(Review.objects.get(pk=review.pk)).is_open
