"""Undoing: in reverse order, all of it, and one page for what can't be undone."""

from __future__ import annotations

import pytest

from apps.engine.models import Event
from apps.foundation.errors import Conflict, Invalid
from apps.incidents.operations import take_role
from apps.messaging.models import Message
from apps.paging.models import Page
from apps.runbooks.models import Execution, TargetLock
from apps.runbooks.operations.executing import cancel, finish_manual, settle
from apps.runbooks.worker import advance
from tests.factories import actor, incident, superuser
from tests.runbooks.rehearsal import FAILS, MAYBE, SCRIPT, asked, begun, commander, run, runbook, step, steps_of

pytestmark = pytest.mark.django_db

MANUAL = {"slug": "look", "name": "Look", "kind": "manual", "with": {"instructions": "Look at the world."}}


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def five() -> Execution:
    names = ["one", "two", "three", "four"]
    return begun(runbook(*[step(name, with_undo="yes", with_target=name) for name in names], step("five")))


def test_when_the_fifth_step_fails_the_others_are_undone_from_the_fourth_to_the_first() -> None:
    SCRIPT.on("five", FAILS)
    execution = run(five())
    assert SCRIPT.names[5:] == ["undo four", "undo three", "undo two", "undo one"]
    assert execution.state == "undone"
    assert "Five" in execution.state_detail
    assert not TargetLock.objects.exists()


def test_undoing_has_keys_of_its_own_and_its_own_retries() -> None:
    SCRIPT.on("two", FAILS)
    SCRIPT.on("undo one", FAILS, FAILS)
    execution = run(begun(runbook(step("one", with_undo="yes", retries=1, retry_delay="0s"), step("two"))))
    undoing = [(name, key) for name, key, _ in SCRIPT.calls if name == "undo one"]
    assert len(undoing) == 2
    assert len(set(undoing)) == 1
    assert len({key for _, key, _ in SCRIPT.calls}) == 3
    assert execution.state == "failed"


def test_what_can_not_be_undone_pages_the_commander_once_and_the_rest_is_undone() -> None:
    about, chief = incident(), superuser(username="chief")
    take_role(about.pk, "commander", chief.pk, actor=actor(chief))
    SCRIPT.on("four", FAILS)
    SCRIPT.on("undo three", FAILS)
    SCRIPT.on("undo one", FAILS)
    names = ["one", "two", "three"]
    book = runbook(*[step(name, with_undo="yes") for name in names], step("four"))
    execution = run(begun(book, incident_id=about.pk))
    assert SCRIPT.names[4:] == ["undo three", "undo two", "undo one"]
    assert execution.state == "failed"
    assert "Not undone: 3. Undo: Three, 1. Undo: One." in execution.state_detail
    assert [page.user_id for page in Page.objects.filter(reason__contains="Undo: Three")] == [chief.pk]
    assert Page.objects.filter(user=chief).count() == 1


def test_without_an_incident_the_portal_reports_a_fault_and_tells_the_requester() -> None:
    SCRIPT.on("two", FAILS)
    SCRIPT.on("undo one", FAILS)
    run(begun(runbook(step("one", with_undo="yes"), step("two"))))
    faults = Event.objects.filter(kind="engine.portal_fault", payload__fault__startswith="execution:")
    assert faults.count() == 1
    assert (
        Message.objects.filter(recipient=commander(), channel="inbox", title__contains="failed for good").count() == 1
    )


def test_what_the_runbook_itself_names_undoes_a_step_with_its_outcome() -> None:
    back = {"kind": "rehearsed", "name": "Put it back", "with": {"name": "back to {{ steps.one.said }}"}}
    SCRIPT.on("two", FAILS)
    execution = run(begun(runbook(step("one", compensate=back), step("two"))))
    assert SCRIPT.names[-1] == "back to one"
    assert execution.steps.get(direction="compensate").name == "Put it back"


def test_a_first_step_that_fails_leaves_nothing_to_undo() -> None:
    SCRIPT.on("one", FAILS)
    execution = run(begun(runbook(step("one", with_undo="yes"), step("two"))))
    assert execution.state == "failed"
    assert steps_of(execution) == ["one:failed", "two:skipped"]


def test_undoing_that_may_not_happen_twice_waits_for_a_person_and_then_goes_on() -> None:
    SCRIPT.on("three", FAILS)
    SCRIPT.on("undo two", MAYBE)
    book = runbook(step("one", with_undo="yes"), step("two", with_undo="yes", with_once=True), step("three"))
    execution = run(begun(book))
    assert (execution.state, SCRIPT.names[-1]) == ("unknown", "undo two")
    row = execution.steps.get(direction="compensate", position=2)
    settle(row.pk, happened=True, reason="seen", actor=actor(commander()))
    execution = run(execution)
    assert (execution.state, SCRIPT.names[-1]) == ("undone", "undo one")
    assert "Three" in execution.state_detail


# --- cancel -------------------------------------------------------------------------------------------------------


def test_cancelled_between_steps_what_is_done_is_undone() -> None:
    execution = begun(runbook(step("one", with_undo="yes"), step("two")))
    advance(execution.pk)
    with pytest.raises(Invalid):
        cancel(execution.pk, reason="", actor=actor(commander()))
    cancel(execution.pk, reason="wrong world", actor=actor(commander()))
    cancel(execution.pk, reason="wrong world", actor=actor(commander()))
    execution = run(execution)
    assert (execution.state, SCRIPT.names) == ("undone", ["one", "undo one"])
    assert "wrong world" in execution.state_detail
    with pytest.raises(Conflict):
        cancel(asked_and_done().pk, reason="late", actor=actor(commander()))


def asked_and_done() -> Execution:
    return run(begun(runbook(step("x"))))


def test_cancelled_while_a_step_runs_the_step_is_finished_first() -> None:
    execution = begun(runbook(step("one", with_undo="yes"), step("two")))

    def cancels(_: object) -> None:
        cancel(execution.pk, reason="stop", actor=actor(commander()))

    SCRIPT.on("one", lambda context: cancels(context) or FAILS.__class__("succeeded"))
    execution = run(execution)
    assert (execution.state, SCRIPT.names) == ("undone", ["one", "undo one"])


def test_cancelled_before_it_began_it_never_begins() -> None:
    execution = asked(runbook(step("one")))
    cancel(execution.pk, reason="not needed", actor=actor(commander()))
    execution.refresh_from_db()
    assert execution.state == "cancelled"
    assert SCRIPT.calls == []


def test_cancelled_while_a_person_is_waited_for() -> None:
    execution = run(begun(runbook(step("one", with_undo="yes"), MANUAL)))
    cancel(execution.pk, reason="stop", actor=actor(commander()))
    with pytest.raises(Conflict):
        finish_manual(execution.steps.get(slug="look").pk, done=True, actor=actor(commander()))
    assert run(execution).state == "undone"


def test_cancelled_while_the_outcome_is_unknown_a_person_still_decides_first() -> None:
    SCRIPT.on("two", MAYBE)
    execution = run(begun(runbook(step("one", with_undo="yes"), step("two", idempotent=False, with_undo="yes"))))
    cancel(execution.pk, reason="stop", actor=actor(commander()))
    assert run(execution).state == "unknown"
    settle(execution.steps.get(slug="two").pk, happened=True, reason="seen", actor=actor(commander()))
    execution = run(execution)
    assert (execution.state, SCRIPT.names[2:]) == ("undone", ["undo two", "undo one"])
    assert "stop" in execution.state_detail
