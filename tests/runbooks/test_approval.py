"""Asking, allowing, starting: one person asks, another says yes to exactly that, and it starts once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve, expire_many, refuse
from apps.engine.operations import deliver
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, use_clock
from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, PreconditionFailed
from apps.incidents.models import Incident
from apps.runbooks.documents import document_of
from apps.runbooks.models import DryRun, Execution, Mitigation, TargetLock
from apps.runbooks.operations.executing import bypass_and_execute, execute, start, use_mitigation
from apps.runbooks.planning import make_dry_run, named_of
from apps.runbooks.queries import visible_dry_runs, visible_executions
from tests.factories import actor, incident, person, superuser, team
from tests.runbooks.rehearsal import SCRIPT, asked, begun, commander, run, runbook, step

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def needs_approval(**more: object) -> Execution:
    return asked(runbook(step("one", with_target="world"), approval="required", **more))


def refused(execution: Execution, by: Actor | None = None) -> str:
    with pytest.raises(Conflict) as found:
        execute(execution.pk, actor=by or actor(commander()))
    return found.value.code


# --- asking -------------------------------------------------------------------------------------------------------


def test_the_same_dry_run_again_is_the_same_execution() -> None:
    execution = needs_approval()
    assert start(execution.dry_run_id, actor=actor(commander())) == execution
    assert ApprovalRequest.objects.count() == 1
    other = superuser()
    assert start(execution.dry_run_id, actor=actor(other)) != execution


def test_only_who_may_execute_may_ask() -> None:
    dry_run = make_dry_run(runbook(step("one")).pk, {}, actor=actor(commander()))
    with pytest.raises(Forbidden):
        start(dry_run.pk, actor=actor(person("responder")))
    with pytest.raises(NotFound):
        start(dry_run.pk, actor=actor(person()))
    with pytest.raises(NotFound):
        start(999_999, actor=actor(commander()))


def test_the_lead_of_the_owner_may_execute_its_runbooks() -> None:
    lead = person("responder")
    owner = team("World owners", lead)
    owner.memberships.update(role="lead")
    assert asked(runbook(step("one"), owner=owner), lead).state == "ready"


def test_a_dry_run_with_problems_an_old_one_and_an_outdated_one_are_refused() -> None:
    clock = ManualClock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    who = actor(commander())
    with use_clock(clock):
        dry_run = make_dry_run(runbook(step("one")).pk, {}, actor=who)
        DryRun.objects.filter(pk=dry_run.pk).update(problems=["no backup"])
        with pytest.raises(Conflict, match="no backup"):
            start(dry_run.pk, actor=who)
        DryRun.objects.filter(pk=dry_run.pk).update(problems=[])
        clock.advance(timedelta(minutes=61))
        with pytest.raises(Conflict) as found:
            start(dry_run.pk, actor=who)
    assert found.value.code == "dry_run_too_old"


def test_a_reason_that_no_column_can_hold_is_refused() -> None:
    dry_run = make_dry_run(runbook(step("one")).pk, {}, actor=actor(commander()))
    for reason in ("a\x00b", "x" * 2001):
        with pytest.raises(Invalid):
            start(dry_run.pk, reason=reason, actor=actor(commander()))


# --- deciding -----------------------------------------------------------------------------------------------------


def test_it_starts_only_when_another_person_has_said_yes() -> None:
    execution = needs_approval()
    assert execution.state == "awaiting_approval"
    assert refused(execution) == "approval_pending"
    with pytest.raises(Forbidden):
        approve(execution.approval_id, actor=actor(commander()))  # type: ignore[arg-type]  # it has one
    approve(execution.approval_id, actor=actor(person("approver")))  # type: ignore[arg-type]  # the same
    while deliver():
        pass
    execution.refresh_from_db()
    assert execution.state == "ready"
    assert run(execute(execution.pk, actor=actor(commander()))).state == "succeeded"


def test_a_superuser_can_not_approve_what_they_asked_for() -> None:
    boss = superuser()
    execution = asked(runbook(step("one"), approval="required"), boss)
    with pytest.raises(Forbidden):
        approve(execution.approval_id, actor=actor(boss))  # type: ignore[arg-type]  # it has one


def test_refused_or_expired_it_is_over() -> None:
    first, second = needs_approval(), needs_approval()
    refuse(first.approval_id, reason="not now", actor=actor(person("approver")))  # type: ignore[arg-type]  # it has one
    expire_many([second.approval], actor=Actor.system())  # type: ignore[list-item]  # the same
    while deliver():
        pass
    first.refresh_from_db()
    assert (first.state, "not now" in first.state_detail) == ("cancelled", True)
    assert refused(first) == "approval_refused"
    assert refused(second) == "approval_expired"


def test_edited_parameters_void_the_approval() -> None:
    schema = {"type": "object", "properties": {"world": {"type": "string", "default": "eu"}}}
    execution = needs_approval(parameters=schema)
    approve(execution.approval_id, actor=actor(person("approver")))  # type: ignore[arg-type]  # it has one
    execution.parameters = {"world": "us"}
    execution.save()
    assert refused(execution) == "plan_changed"
    execution.approval.refresh_from_db()  # type: ignore[union-attr]  # the same
    assert execution.approval.state == "void"  # type: ignore[union-attr]  # the same
    assert refused(execution) == "approval_void"


def test_what_changed_since_the_dry_run_voids_the_approval() -> None:
    execution = needs_approval()
    approve(execution.approval_id, actor=actor(person("approver")))  # type: ignore[arg-type]  # it has one
    SCRIPT.target = "two"
    assert refused(execution) == "plan_changed"
    execution.refresh_from_db()
    assert (execution.state, SCRIPT.calls) == ("cancelled", [])


def test_in_an_emergency_the_approval_is_bypassed_with_a_reason() -> None:
    execution = needs_approval()
    with pytest.raises(Invalid):
        bypass_and_execute(execution.pk, reason=" ", actor=actor(commander()))
    bypass_and_execute(execution.pk, reason="nobody is awake", actor=actor(commander()))
    execution.refresh_from_db()
    assert execution.state == "running"
    assert execution.approval.state == "bypassed"  # type: ignore[union-attr]  # it has one


def test_who_may_not_bypass_does_not_start_it() -> None:
    lead = person("responder")
    owner = team("World owners", lead)
    owner.memberships.update(role="lead")
    execution = asked(runbook(step("one"), owner=owner, approval="required"), lead)
    with pytest.raises(Forbidden):
        bypass_and_execute(execution.pk, reason="please", actor=actor(lead))
    execution.refresh_from_db()
    assert execution.state == "awaiting_approval"


# --- starting -----------------------------------------------------------------------------------------------------


def test_started_twice_it_starts_once() -> None:
    execution = begun(runbook(step("one")))
    assert refused(execution) == "already_started"
    assert run(execution).state == "succeeded"
    assert refused(execution) == "already_started"
    assert SCRIPT.names == ["one"]


def test_an_outdated_version_is_refused() -> None:
    execution = asked(runbook(step("one")))
    with pytest.raises(PreconditionFailed):
        execute(execution.pk, expected_version=execution.version + 1, actor=actor(commander()))


def test_two_executions_of_one_target_do_not_work_at_once() -> None:
    book = runbook(step("one", with_target="world"))
    first, second = begun(book), asked(book)
    assert refused(second) == "target_locked"
    run(first)
    assert not TargetLock.objects.exists()
    assert run(execute(second.pk, actor=actor(commander()))).state == "succeeded"


def _at_once(*verbs: object) -> list[str]:
    barrier, told = threading.Barrier(len(verbs)), []

    def go(verb: object) -> None:
        try:
            barrier.wait()
            verb()  # type: ignore[operator]  # one of those given
            told.append("started")
        except DomainError as error:
            told.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(told)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_executes_at_once_are_one_execution_and_one_conflict() -> None:
    execution = asked(runbook(step("one")))
    who = actor(commander())
    told = _at_once(*[lambda: execute(execution.pk, actor=who)] * 2)
    assert told == ["already_started", "started"]
    assert run(execution).state == "succeeded"
    assert SCRIPT.names == ["one"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_executions_of_one_target_at_once_are_one_start_and_one_conflict() -> None:
    book, who = runbook(step("one", with_target="world")), actor(commander())
    first, second = asked(book), asked(book)
    told = _at_once(lambda: execute(first.pk, actor=who), lambda: execute(second.pk, actor=who))
    assert told == ["started", "target_locked"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_do_each_step_once() -> None:
    from apps.runbooks.worker import advance

    execution = begun(runbook(*[step(f"s{number}") for number in range(6)]))

    def work() -> None:
        for _ in range(30):
            advance(execution.pk)

    _at_once(work, work)
    assert SCRIPT.names == [f"s{number}" for number in range(6)]


# --- mitigations and what is seen ---------------------------------------------------------------------------------


def button(**more: object) -> Mitigation:
    return Mitigation.objects.create(
        slug="heal", name="Heal the world", runbook=runbook(step("one", with_target="world"), **more)
    )


def test_one_press_of_a_mitigation_starts_what_needs_no_approval() -> None:
    about, heal = incident(), button()
    with pytest.raises(Invalid):
        use_mitigation(heal.pk, incident_id=about.pk, reason="", actor=actor(commander()))
    with pytest.raises(Forbidden):
        use_mitigation(heal.pk, incident_id=about.pk, reason="it burns", actor=actor(person("responder")))
    execution = use_mitigation(heal.pk, incident_id=about.pk, reason="it burns", actor=actor(commander()))
    assert (execution.state, execution.incident_id) == ("running", about.pk)
    with pytest.raises(Conflict):
        use_mitigation(heal.pk, incident_id=about.pk, reason="it burns", actor=actor(commander()))


def test_a_mitigation_that_needs_an_approval_asks_for_it() -> None:
    execution = use_mitigation(
        button(approval="required").pk, incident_id=None, reason="it burns", actor=actor(commander())
    )
    assert execution.state == "awaiting_approval"


def test_a_grant_on_a_mitigation_lets_a_responder_press_it_and_start_it() -> None:
    from guardian.shortcuts import assign_perm

    user, heal = person("responder"), button(approval="required")
    assign_perm("runbooks.use_mitigation", user, heal)
    execution = use_mitigation(heal.pk, incident_id=None, reason="it burns", actor=actor(user))
    approve(execution.approval_id, actor=actor(person("approver")))  # type: ignore[arg-type]  # it has one
    assert execute(execution.pk, actor=actor(user)).state == "running"


def test_what_belongs_to_a_private_incident_is_seen_only_by_those_who_see_that() -> None:
    chief = superuser()
    about = incident(visibility="private", actor=actor(chief))
    execution = asked(runbook(step("one")), chief, incident_id=about.pk)
    other = commander()
    assert not visible_executions(other).exists()
    assert not visible_dry_runs(other).exists()
    assert visible_executions(chief).get() == execution
    with pytest.raises(NotFound):
        execute(execution.pk, actor=actor(other))


def named_step() -> dict[str, Any]:
    return {"slug": "look", "kind": "manual", "name": "Look", "with": {"instructions": "See {{ incident.title }}"}}


def test_what_a_step_names_of_the_incident_is_approved_with_it() -> None:
    about = incident("The shop is slow")
    execution = asked(runbook(named_step(), approval="required"), incident_id=about.pk)
    assert execution.approval is not None
    assert execution.approval.content["incident"] == {"title": "The shop is slow"}
    approve(execution.approval.pk, actor=actor(person("approver")))
    Incident.objects.filter(pk=about.pk).update(title="Wipe the shop")
    assert refused(execution) == "plan_changed"
    execution.approval.refresh_from_db()
    assert execution.approval.state == "void"


def test_what_undoes_a_step_may_name_the_incident_too() -> None:
    about = incident("The shop is slow", severity="P2")
    undo = {"kind": "manual", "with": {"instructions": "{{ incident.severity }}"}}
    execution = asked(runbook({**step("one"), "compensate": undo}), incident_id=about.pk)
    assert execution.incident_names == {"severity": "P2"}
    assert named_of(document_of(execution.runbook_version), None) == {}


def test_what_no_step_names_may_change() -> None:
    about = incident("The shop is slow")
    execution = asked(runbook(step("one"), approval="required"), incident_id=about.pk)
    approve(execution.approval_id, actor=actor(person("approver")))  # type: ignore[arg-type]  # it has one
    Incident.objects.filter(pk=about.pk).update(title="The shop is down")
    assert execute(execution.pk, actor=actor(commander())).state == "running"


def test_the_steps_say_what_was_approved_though_the_incident_changes_while_they_run() -> None:
    about = incident("The shop is slow")
    execution = execute(asked(runbook(named_step()), incident_id=about.pk).pk, actor=actor(commander()))
    Incident.objects.filter(pk=about.pk).update(title="Wipe the shop")
    run(execution)
    assert execution.steps.get().intent["with"]["instructions"] == "See The shop is slow"
