"""How a runbook fared, its checklist, and reminders of its review."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from apps.catalog.models import Membership
from apps.engine.sweep import fire_timers
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Forbidden
from apps.incidents.models import Incident
from apps.messaging.models import Message
from apps.runbooks import operations
from apps.runbooks.documents import document_of
from apps.runbooks.models import Runbook
from apps.runbooks.statistics import checklist_of, review_due_at, statistics_of
from tests.factories import actor, incident, named, superuser, team
from tests.runbooks.rehearsal import FAILS, SCRIPT, begun, run, runbook, step

pytestmark = pytest.mark.django_db
CHECK = {"slug": "look", "name": "Look", "kind": "wait_until", "with": {"at": "2020-01-01T00:00:00Z"}}


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def fresh(made: Runbook) -> Runbook:
    return Runbook.objects.select_related("active_version").get(pk=made.pk)


def missing(made: Runbook) -> list[str]:
    found = fresh(made)
    assert found.active_version is not None
    return [check.text for check in checklist_of(found, document_of(found.active_version)) if not check.holds]


def test_statistics_count_what_ended_and_how_soon_its_incidents_were_resolved() -> None:
    made, about, begins = runbook(step("one")), incident(), now()
    Incident.objects.filter(pk=about.pk).update(
        phase="resolved", detected_at=begins, resolved_at=begins + timedelta(minutes=30)
    )
    run(begun(made))
    run(begun(made, incident_id=about.pk))
    SCRIPT.on("one", FAILS)
    run(begun(made))
    found = statistics_of(made)
    assert (found.ended, found.succeeded, found.mean_mttr_seconds) == (3, 2, 1800.0)
    assert found.proven_at is not None
    assert dict(found.rows())["Succeeded"] == "67 % of 3"


def test_the_checklist_holds_once_it_is_tested_verified_and_says_whom_to_call() -> None:
    made = runbook(step("one"), category="x")
    assert missing(made) == [
        "Tested", "Has a dry run", "Verifies what it did", "Names contacts", "Has an escalation path",
    ]  # fmt: skip
    made = runbook(step("one"), CHECK, contacts=["Ada"], escalation=["the lead"])
    run(begun(made))
    assert missing(made) == []


def test_owners_are_reminded_of_a_review_each_week_until_somebody_reads_it() -> None:
    clock, lead = ManualClock(now()), named("lea", "responder")
    with use_clock(clock):
        owners = team("Owners", lead)
        Membership.objects.filter(team=owners).update(role=Membership.Role.LEAD)
        made = runbook(step("one"), owner=owners)
        told = Message.objects.filter(recipient=lead, title__contains="due for its review", channel="inbox")
        for days, count in ((89, 0), (3, 1), (3, 1), (6, 2)):
            clock.advance(timedelta(days=days))
            fire_timers()
            assert told.count() == count
        assert missing(made)[-1] == "Reviewed"
        operations.review(made.pk, actor=actor(lead))
        assert (review_due_at(fresh(made)) or now()) > now() + timedelta(days=80)
        clock.advance(timedelta(days=14))
        fire_timers()
        assert told.count() == 2
    with pytest.raises(Forbidden):
        operations.review(made.pk, actor=actor(named("vic", "viewer")))


def test_the_page_shows_the_checklist_and_takes_a_review(client: Client) -> None:
    made = runbook(step("one"), contacts=["Ada"])
    client.force_login(superuser())
    page = client.get(reverse("admin:runbooks_runbook_change", args=[made.pk])).content.decode()
    assert "the active version has not succeeded yet" in page
    assert "Ada" in page
    client.post(reverse("admin:runbooks_runbook_review", args=[made.pk]))
    assert fresh(made).reviewed_at is not None
