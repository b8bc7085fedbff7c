"""What the incident's timeline tells of executions, their approvals and flags: each thing once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.approvals.operations import approve, refuse
from apps.catalog.models import Change
from apps.engine.models import Delivery, Event
from apps.engine.operations import deliver
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, use_clock
from apps.foundation.subjects import Subject, is_visible, subject_title
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.operations import resolve
from apps.paging.models import EscalationCondition
from apps.runbooks.operations.executing import cancel, execute
from apps.runbooks.subscribers import tell
from apps.state.operations import restore
from tests.factories import actor, incident, person, superuser
from tests.runbooks.page_world import at_work, work, world
from tests.runbooks.rehearsal import FAILS, MAYBE, SCRIPT, asked, commander, run, runbook, step

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def lines(about: Incident) -> list[str]:
    while deliver():
        pass
    rows = TimelineEntry.objects.filter(incident=about, kind__in=["runbook", "flag"])
    return list(rows.order_by("seq").values_list("text", flat=True))


def test_an_execution_is_told_from_the_question_to_the_end_with_its_time_and_target() -> None:
    clock, about = ManualClock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC)), incident()
    with use_clock(clock):
        execution = asked(runbook(step("one"), step("two"), approval="required"), incident_id=about.pk)
        approver = person("approver")
        approve(execution.approval_id, reason="go", actor=actor(approver))  # type: ignore[arg-type]  # it has one
        execute(execution.pk, actor=actor(commander()))
        clock.advance(timedelta(seconds=72))
        run(execution)
        told = lines(about)
    name = f"Rehearsal #{execution.pk}"
    assert told == [
        f"Asks for {name}, which needs an approval: as a test",
        f"Approved by {approver.username}: Execute Rehearsal (go)",
        f"Started {name}: 2 steps",
        f"{name}, step 1/2: One",
        f"{name}, step 2/2: Two",
        f"{name} succeeded in 1 min 12 s, within its target of 30 min",
    ]


def test_what_fails_what_is_undone_and_what_nobody_knows_is_told() -> None:
    about = incident()
    SCRIPT.on("two", FAILS)
    SCRIPT.on("three", MAYBE)
    book = runbook(step("one", with_undo="yes"), step("two"))
    run(execute(asked(book, incident_id=about.pk).pk, actor=actor(commander())))
    run(execute(asked(runbook(step("three", idempotent=False)), incident_id=about.pk).pk, actor=actor(commander())))
    told = "\n".join(lines(about))
    assert "step 2/2 failed: Two: no such luck" in told
    assert "step 1/2 undone: Undo: One" in told
    assert "failed and undone in" in told
    assert "a person decides" in told


def test_a_refusal_and_a_cancellation_are_told() -> None:
    about = incident()
    first = asked(runbook(step("one"), approval="required"), incident_id=about.pk)
    approver = person("approver")
    refuse(first.approval_id, reason="too risky", actor=actor(approver))  # type: ignore[arg-type]  # it has one
    second = asked(runbook(step("one")), incident_id=about.pk)
    cancel(second.pk, reason="healed by itself", actor=actor(commander()))
    told = "\n".join(lines(about))
    assert f"Refused by {approver.username}: Execute Rehearsal (too risky)" in told
    assert f"Cancelled Rehearsal #{second.pk}: healed by itself" in told


def test_each_event_is_told_once_however_often_it_is_delivered() -> None:
    about = incident()
    run(execute(asked(runbook(step("one")), incident_id=about.pk).pk, actor=actor(commander())))
    before = lines(about)
    tell(list(Event.objects.filter(kind__startswith="runbooks.")))
    Delivery.objects.update(state="pending")
    assert lines(about) == before


def test_a_killed_flag_stands_on_the_timeline_of_the_incident_it_was_killed_for() -> None:
    from apps.engine.operations import publish
    from apps.flags.events import FlagKilled

    about = incident()
    fields = {
        "flag_id": 7, "key": "shop", "environment": "production", "name": "Shop",
        "reason": "it loses items", "about_kind": "incident", "about_key": str(about.pk),
    }  # fmt: skip
    publish(FlagKilled(**fields), subject=Subject("flag", "7"), actor=Actor.system("Ana"))
    assert lines(about) == ["Killed the flag Shop in production: it loses items"]


def test_a_restored_config_has_a_line_of_its_own() -> None:
    here = world()
    at_work(here)
    work()
    lines(here.incident)
    entry = TimelineEntry.objects.get(incident=here.incident, kind="config")
    assert entry.text == "Economy is back at version 1, verified; what was live is kept as version 3"
    assert entry.data == {"event": "state.restored", "document_id": here.document.pk}


def test_a_restore_that_no_runbook_did_stands_on_no_timeline() -> None:
    here = world()
    restore(here.document.pk, expected_checksum=None, effect_key="k", reason="by hand", actor=Actor.system())
    lines(here.incident)
    assert not TimelineEntry.objects.filter(kind="config").exists()


def test_without_an_incident_nothing_is_told_and_nothing_fails() -> None:
    run(execute(asked(runbook(step("one"))).pk, actor=actor(commander())))
    while deliver():
        pass
    assert not Delivery.objects.exclude(state="done").exists()
    assert not TimelineEntry.objects.exists()


def test_what_it_changed_outside_is_recorded_among_the_changes_once() -> None:
    execution = run(execute(asked(runbook(step("one", with_target="world"))).pk, actor=actor(commander())))
    change = Change.objects.get()
    assert (change.kind, change.dedup_key) == ("config", f"execution:{execution.key}")


def test_execution_and_runbook_are_subjects_that_only_those_concerned_see() -> None:
    chief = superuser()
    about = incident(visibility="private", actor=actor(chief))
    execution = asked(runbook(step("one")), chief, incident_id=about.pk)
    subject = Subject("execution", str(execution.pk))
    assert subject_title(subject) == f"Rehearsal #{execution.pk}"
    assert is_visible(subject, chief)
    assert not is_visible(subject, commander())
    assert is_visible(Subject("runbook", str(execution.runbook_id)), commander())


def marked(about: Incident) -> list[str]:
    while deliver():
        pass
    return list(EscalationCondition.objects.filter(subject_key=str(about.pk)).values_list("note", flat=True))


def test_what_fails_for_an_incident_is_marked_so_that_the_pack_may_escalate() -> None:
    about, other = incident(), incident()
    SCRIPT.on("two", FAILS)
    execution = asked(runbook(step("one", with_undo="yes"), step("two")), incident_id=about.pk)
    execute(execution.pk, actor=actor(commander()))
    run(execution)
    (note,) = marked(about)
    assert note.startswith(f"Rehearsal #{execution.pk}: ")
    assert marked(about) == [note]
    assert marked(other) == []


def test_what_a_person_cancels_has_not_failed() -> None:
    about = incident()
    execution = asked(runbook(step("one")), incident_id=about.pk)
    execute(execution.pk, actor=actor(commander()))
    cancel(execution.pk, reason="not now", actor=actor(commander()))
    run(execution)
    assert marked(about) == []


def test_what_fails_after_the_end_of_its_incident_marks_nothing() -> None:
    about = incident()
    SCRIPT.on("one", FAILS)
    execution = asked(runbook(step("one")), incident_id=about.pk)
    execute(execution.pk, actor=actor(commander()))
    resolve(about.pk, actor=Actor.system())
    run(execution)
    assert marked(about) == []
