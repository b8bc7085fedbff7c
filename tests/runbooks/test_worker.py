"""One step after the other: claims, attempts, waits, and what people decide in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.engine.models import Event
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.messaging.models import Message
from apps.people.crypto import seal
from apps.runbooks.models import Execution, Secret, StepRun, TargetLock
from apps.runbooks.operations.executing import finish_manual, settle
from apps.runbooks.operations.repairing import repair
from apps.runbooks.queries import at_work_by_state, executions_due, oldest_due_seconds
from apps.runbooks.steps.base import Outcome, StepContext
from apps.runbooks.worker import advance, run_due
from tests.factories import actor, person
from tests.runbooks.rehearsal import FAILS, MAYBE, SCRIPT, begun, commander, log_of, run, runbook, step, steps_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))


def test_steps_run_in_order_each_once_and_the_locks_are_given_back() -> None:
    execution = run(begun(runbook(step("one", with_target="world"), step("two"), step("three"))))
    assert execution.state == "succeeded"
    assert SCRIPT.names == ["one", "two", "three"]
    assert not TargetLock.objects.exists()
    assert (execution.due_at, execution.lease_until, execution.worker) == (None, None, "")


def test_each_step_has_its_intent_its_outcome_and_a_key_of_its_own() -> None:
    execution = run(begun(runbook(step("one"), step("two"))))
    rows = list(execution.steps.order_by("order"))
    assert [key for _, key, _ in SCRIPT.calls] == [row.idempotency_key for row in rows]
    assert len({row.idempotency_key for row in rows}) == 2
    assert rows[0].intent["effect"] == "external"
    assert rows[0].outcome == {"said": "one"}
    assert rows[0].intent_at <= rows[0].outcome_at


def test_a_round_does_one_step_and_then_it_is_the_turn_of_others() -> None:
    long, short = begun(runbook(step("a"), step("b"), step("c"))), begun(runbook(step("x")))
    assert run_due() == 1
    assert run_due() == 1
    assert SCRIPT.names == ["a", "x"]
    while run_due():
        pass
    assert {row.state for row in Execution.objects.filter(pk__in=[long.pk, short.pk])} == {"succeeded"}


def test_a_failed_attempt_is_repeated_later_under_the_same_key(clock: ManualClock) -> None:
    SCRIPT.on("one", FAILS, Outcome("succeeded"))
    with use_clock(clock):
        execution = run(begun(runbook(step("one", retries=1, retry_delay="5s"))))
        assert (execution.state, len(SCRIPT.calls)) == ("running", 1)
        clock.advance(timedelta(seconds=5))
        assert run(execution).state == "succeeded"
    assert len({key for _, key, _ in SCRIPT.calls}) == 1
    assert [attempt for _, _, attempt in SCRIPT.calls] == [1, 2]


def test_a_step_that_may_fail_does_not_stop_the_others() -> None:
    SCRIPT.on("one", FAILS)
    execution = run(begun(runbook(step("one", on_failure="continue"), step("two"))))
    assert execution.state == "succeeded"
    assert "1. One" in execution.state_detail
    assert steps_of(execution) == ["one:failed", "two:succeeded"]


def test_a_step_that_raises_is_a_failed_attempt_with_its_text() -> None:
    def raises(_: StepContext) -> Outcome:
        raise ZeroDivisionError("Authorization: Bearer abcdefghijkl")

    SCRIPT.on("one", raises)
    execution = run(begun(runbook(step("one", idempotent=True))))
    assert execution.state == "failed"
    assert "ZeroDivisionError" in execution.state_detail
    assert "abcdefghijkl" not in log_of(execution) + execution.state_detail


def test_a_wait_leaves_the_worker_and_comes_back_at_its_time(clock: ManualClock) -> None:
    with use_clock(clock):
        written = {"slug": "rest", "name": "Rest", "kind": "wait", "with": {"seconds": "90s"}}
        execution = run(begun(runbook(written, step("two"))))
        assert (execution.state, execution.due_at) == ("running", now() + timedelta(seconds=90))
        assert not executions_due(now())
        clock.advance(timedelta(seconds=90))
        assert run(execution).state == "succeeded"


MANUAL = {"slug": "look", "name": "Look", "kind": "manual", "with": {"instructions": "Look at the world."}}


def test_a_manual_step_waits_for_a_person_who_may_steer() -> None:
    execution = run(begun(runbook(MANUAL, step("two"))))
    row = execution.steps.get(slug="look")
    assert (execution.state, execution.due_at) == ("waiting", None)
    with pytest.raises(Forbidden):
        finish_manual(row.pk, done=True, actor=actor(person("responder")))
    finish_manual(row.pk, done=True, note="all is well", actor=actor(commander()))
    finish_manual(row.pk, done=True, note="all is well", actor=actor(commander()))
    assert run(execution).state == "succeeded"
    assert execution.steps.get(slug="look").outcome["note"] == "all is well"


def test_a_manual_step_that_can_not_be_done_has_failed() -> None:
    execution = run(begun(runbook(step("one", with_undo="yes"), {**MANUAL, "retries": 3}, step("three"))))
    finish_manual(execution.steps.get(slug="look").pk, done=False, note="no access", actor=actor(commander()))
    assert run(execution).state == "undone"
    assert steps_of(execution) == ["one:succeeded", "look:failed", "three:skipped", "undo one:succeeded"]


def test_what_may_have_happened_and_must_not_happen_twice_waits_for_a_person() -> None:
    SCRIPT.on("one", MAYBE)
    execution = run(begun(runbook(step("one", idempotent=False, retries=3), step("two"))))
    assert (execution.state, SCRIPT.names) == ("unknown", ["one"])
    assert Event.objects.filter(kind="runbooks.unknown").count() == 1
    assert Message.objects.filter(recipient=commander(), channel="inbox", title__contains="decision").exists()
    assert not run_due()


def test_a_step_that_has_happened_is_settled_once_and_not_sent_again() -> None:
    SCRIPT.on("one", MAYBE)
    execution = run(begun(runbook(step("one", idempotent=False), step("two"))))
    row = execution.steps.get(slug="one")
    with pytest.raises(Invalid):
        settle(row.pk, happened=True, reason=" ", actor=actor(commander()))
    with pytest.raises(Forbidden):
        settle(row.pk, happened=True, reason="seen", actor=actor(person("responder")))
    settle(row.pk, happened=True, reason="seen in its log", actor=actor(commander()))
    settle(row.pk, happened=True, reason="seen in its log", actor=actor(commander()))
    with pytest.raises(Conflict):
        settle(row.pk, happened=False, reason="no", actor=actor(commander()))
    assert run(execution).state == "succeeded"
    assert SCRIPT.names == ["one", "two"]


def test_a_step_that_has_not_happened_is_tried_again_while_it_has_retries() -> None:
    SCRIPT.on("one", MAYBE, Outcome("succeeded"))
    execution = run(begun(runbook(step("one", idempotent=False, retries=1, retry_delay="0s"))))
    settle(execution.steps.get(slug="one").pk, happened=False, reason="nothing there", actor=actor(commander()))
    assert run(execution).state == "succeeded"
    assert SCRIPT.names == ["one", "one"]


def test_a_step_whose_secret_is_gone_fails_and_not_the_worker() -> None:
    secret = Secret.objects.create(name="gone", value_encrypted=seal("a-very-long-secret"))
    execution = begun(runbook(step("one", with_undo="{{ secret.gone }}"), step("two")))
    secret.delete()
    execution = run(execution)
    assert execution.state == "failed"
    assert "gone" in execution.state_detail
    assert SCRIPT.calls == []


def test_what_was_said_is_stored_without_what_no_column_can_hold() -> None:
    SCRIPT.on("one", Outcome("succeeded", data={"said": "a\x00b\ud800", "n": float("nan"), "deep": [[{"k": object}]]}))
    execution = run(begun(runbook(step("one"))))
    assert execution.state == "succeeded"
    assert "\x00" not in execution.steps.get().outcome["said"]


def test_an_execution_that_nothing_moves_on_is_repaired_and_told() -> None:
    execution = begun(runbook(step("one")))
    Execution.objects.filter(pk=execution.pk).update(due_at=None)
    assert not advance(execution.pk)
    assert len(repair()) == 1
    assert repair() == []
    assert run(execution).state == "succeeded"


def test_gauges_count_what_is_at_work_and_what_is_due(clock: ManualClock) -> None:
    with use_clock(clock):
        execution = begun(runbook(step("one")))
        clock.advance(timedelta(seconds=7))
        assert (at_work_by_state()["running"], oldest_due_seconds()) == (1.0, 7.0)
        run(execution)
        assert (at_work_by_state()["running"], oldest_due_seconds()) == (0.0, 0.0)


def test_step_rows_tell_how_long_each_took() -> None:
    execution = run(begun(runbook(step("one"))))
    row = StepRun.objects.get(execution=execution)
    assert row.started_at is not None
    assert row.finished_at is not None
    assert row.progress == 100
