"""A worker that dies, or comes back too late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.foundation.clock import ManualClock, use_clock
from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many
from apps.runbooks.models import Execution
from apps.runbooks.operations.claiming import LeaseKeeper
from apps.runbooks.steps.base import Outcome, StepContext
from apps.runbooks.worker import advance
from tests.runbooks.rehearsal import SCRIPT, begun, log_of, run, runbook, step, steps_of

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """Ends a worker in the middle of a step, as `kill -9` would: nothing after it runs."""


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))


def dies(_: StepContext) -> Outcome:
    raise Killed


def killed(execution: Execution) -> None:
    with pytest.raises(Killed):
        advance(execution.pk)


def test_nobody_takes_a_step_over_before_its_lease_is_over(clock: ManualClock) -> None:
    SCRIPT.on("one", dies, Outcome("succeeded"))
    with use_clock(clock):
        execution = begun(runbook(step("one")))
        killed(execution)
        assert not advance(execution.pk)
        clock.advance(timedelta(seconds=30))
        assert run(execution).state == "succeeded"
    assert "stopped before it wrote down" in log_of(execution)


def test_what_may_be_repeated_is_repeated_under_the_same_key(clock: ManualClock) -> None:
    SCRIPT.on("one", dies, dies, Outcome("succeeded"))
    with use_clock(clock):
        execution = begun(runbook(step("one", idempotent=True)))
        for _ in range(2):
            killed(execution)
            clock.advance(timedelta(seconds=30))
        assert run(execution).state == "succeeded"
    assert len(SCRIPT.calls) == 3
    assert len({key for _, key, _ in SCRIPT.calls}) == 1


def test_what_must_not_be_repeated_is_unknown_and_never_sent_twice(clock: ManualClock) -> None:
    SCRIPT.on("one", dies)
    with use_clock(clock):
        execution = begun(runbook(step("one", idempotent=False, retries=5)))
        killed(execution)
        clock.advance(timedelta(seconds=30))
        assert run(execution).state == "unknown"
        clock.advance(timedelta(days=1))
        assert run(execution).state == "unknown"
    assert len(SCRIPT.calls) == 1


def test_a_probe_that_knows_saves_the_question(clock: ManualClock) -> None:
    SCRIPT.on("one", dies)
    SCRIPT.probes["one"] = Outcome("succeeded", data={"found": True})
    with use_clock(clock):
        execution = begun(runbook(step("one", idempotent=False)))
        killed(execution)
        clock.advance(timedelta(seconds=30))
        assert run(execution).state == "succeeded"
    assert len(SCRIPT.calls) == 1
    assert execution.steps.get().outcome == {"found": True}


def writes_and(end: Outcome | None) -> object:
    def act(context: StepContext) -> Outcome:
        enqueue_many([
            NewMessage(
                dedupe_key=f"rehearsal:{Message.objects.count()}", channel="inbox", recipient_id=None,
                endpoint_id=None, address="", subject=Subject("", ""), title="rehearsed", body="",
            )
        ])  # fmt: skip
        context.log("written")
        if end is None:
            raise Killed
        return end

    return act


@pytest.mark.django_db(transaction=True)
def test_an_internal_effect_happens_once_though_the_worker_dies_in_the_middle_of_it(clock: ManualClock) -> None:
    SCRIPT.on("one", writes_and(None), writes_and(Outcome("succeeded")))  # type: ignore[arg-type]  # acts
    with use_clock(clock):
        execution = begun(runbook(step("one", with_effect="internal", idempotent=False)))
        killed(execution)
        assert not Message.objects.filter(title="rehearsed").exists()
        clock.advance(timedelta(seconds=30))
        assert run(execution).state == "succeeded"
    assert Message.objects.filter(title="rehearsed").count() == 1


def test_an_internal_effect_that_fails_leaves_no_rows_but_its_log() -> None:
    SCRIPT.on("one", writes_and(Outcome("failed", error="no")))  # type: ignore[arg-type]  # an act
    execution = run(begun(runbook(step("one", with_effect="internal"))))
    assert execution.state == "failed"
    assert not Message.objects.filter(title="rehearsed").exists()
    assert "written" in log_of(execution)


def test_the_write_of_a_worker_that_comes_back_too_late_is_refused_and_told(clock: ManualClock) -> None:
    with use_clock(clock):
        execution = begun(runbook(step("one", idempotent=True), step("two")))

        def sleeps(context: StepContext) -> Outcome:
            clock.advance(timedelta(seconds=31))
            assert advance(execution.pk)  # another worker
            return Outcome("succeeded", data={"by": "the late one"})

        SCRIPT.on("one", sleeps, Outcome("succeeded", data={"by": "the second"}))
        assert advance(execution.pk)
        assert execution.steps.get(slug="one").outcome == {"by": "the second"}
        assert "was refused" in log_of(execution)
        assert run(execution).state == "succeeded"
    assert steps_of(execution) == ["one:succeeded", "two:succeeded"]


def test_a_late_worker_learns_it_when_it_logs_and_stops_before_its_effect(clock: ManualClock) -> None:
    reached: list[str] = []
    with use_clock(clock):
        execution = begun(runbook(step("one", idempotent=True)))

        def sleeps(context: StepContext) -> Outcome:
            clock.advance(timedelta(seconds=31))
            advance(execution.pk)
            context.log("now I send it")
            reached.append("sent")
            return Outcome("succeeded")

        SCRIPT.on("one", sleeps, Outcome("succeeded"))
        advance(execution.pk)
    assert reached == []
    assert "now I send it" not in log_of(execution)
    assert log_of(execution).count("was refused") == 1
    assert Execution.objects.get().state == "succeeded"


def test_a_step_that_kills_every_worker_ends_as_its_own_fault(clock: ManualClock) -> None:
    SCRIPT.on("one", dies)
    with use_clock(clock):
        execution = begun(runbook(step("one", with_effect="none")))
        for _ in range(11):
            killed(execution)
            clock.advance(timedelta(seconds=30))
        execution = run(execution)
    assert execution.state == "failed"
    assert "workers died with it" in execution.state_detail


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_an_effect_takes_its_time(settings: object) -> None:
    import time

    settings.RUNBOOK_LEASE_SECONDS = 1  # type: ignore[attr-defined]  # pytest-django's

    def takes_long(context: StepContext) -> Outcome:
        time.sleep(2.2)
        assert not advance(execution.pk)
        return Outcome("succeeded")

    SCRIPT.on("one", takes_long)
    execution = begun(runbook(step("one", timeout="5s")))
    assert run(execution).state == "succeeded"
    assert len(SCRIPT.calls) == 1


def test_a_lease_keeper_stops_at_the_end_of_the_steps_time() -> None:
    from apps.runbooks.operations.claiming import Claim

    with LeaseKeeper(Claim(1, 1, 1, "w"), longest_seconds=0) as keeper:
        pass
    assert not keeper._thread.is_alive()
