"""The page on which an execution is followed, its list, and the buttons of those who may steer it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.approvals.operations import refuse
from apps.foundation.clock import now
from apps.runbooks import steps as registry
from apps.runbooks.admin.next_deed import next_deed
from apps.runbooks.models import Execution, LogLine, StepRun
from tests.factories import actor, named
from tests.runbooks.page_world import (
    MANUAL,
    World,
    allowed,
    asked,
    at_work,
    get,
    page,
    post,
    work,
    world,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    return world()


@pytest.fixture
def by_hand(db: None) -> World:
    return world(more=MANUAL)


def test_before_an_approval_one_waits_and_sees_what_was_asked_for(here: World) -> None:
    execution = asked(here)
    shown = get(here.ana, page(execution)).content.decode()
    assert "A second person must approve it" in shown
    assert "drop_rate" in shown
    assert f"/admin/approvals/approvalrequest/{execution.approval_id}/change/" in shown
    assert page(execution, "start") not in shown
    assert page(execution, "bypass") in shown
    assert 'hx-trigger="every 5s"' in shown


def test_an_approved_one_can_be_started_by_a_button(here: World) -> None:
    execution = allowed(here)
    assert page(execution, "start") in get(here.ana, page(execution)).content.decode()
    answer = post(here.ana, page(execution, "start"), part=True)
    assert answer["HX-Redirect"] == page(execution)
    execution.refresh_from_db()
    assert execution.state == "running"


def test_at_work_it_polls_each_second_and_stops_when_it_is_over(here: World) -> None:
    execution = at_work(here)
    assert 'hx-trigger="every 1s"' in get(here.ana, page(execution)).content.decode()
    work()
    live = get(here.ana, page(execution, "live"), part=True).content.decode()
    assert "Done: every step succeeded" in live
    assert "hx-trigger" not in live
    assert "within target" in live
    assert "1 of 1 steps done" in live


def test_a_failure_after_what_is_to_stay_asks_nobody_for_repairs() -> None:
    done, undone = StepRun(direction="forward", state="succeeded"), StepRun(direction="compensate", state="failed")
    failed = Execution(state=Execution.State.FAILED)
    assert next_deed(failed, [done], steers=True).title == "It failed, and what had been done stays"
    assert "they need a person" in next_deed(failed, [done, undone], steers=True).text


def test_it_names_who_asked_who_allowed_and_who_started(here: World) -> None:
    execution = at_work(here)
    shown = get(here.vic, page(execution)).content.decode()
    for text in ("Asked for by", "Approved by", "Started by", "Ana", "Max", "it loses money"):
        assert text in shown


def test_a_refused_one_says_what_to_do(here: World) -> None:
    execution = asked(here)
    assert execution.approval_id is not None
    refuse(execution.approval_id, reason="not at night", actor=actor(here.max))
    shown = get(here.ana, page(execution)).content.decode()
    assert "not at night" in shown
    assert page(execution, "start") not in shown


def test_a_viewer_sees_no_button_and_is_refused(here: World) -> None:
    execution = allowed(here)
    assert "data-ask" not in get(here.vic, page(execution)).content.decode().replace("data-asks", "")
    for verb in ("start", "bypass", "cancel"):
        assert get(here.vic, page(execution, verb)).status_code == 403
        assert post(here.vic, page(execution, verb), reason="x").status_code == 403
    assert post(here.vic, page(execution)).status_code == 403
    execution.refresh_from_db()
    assert execution.started_at is None


def test_only_holders_of_the_bypass_get_its_button(here: World) -> None:
    mia, execution = named("mia", "manager"), asked(here)
    assert page(execution, "bypass") not in get(mia, page(execution)).content.decode()
    assert post(mia, page(execution, "bypass"), reason="x").status_code == 403
    assert "Every approver and manager" in get(here.ana, page(execution, "bypass")).content.decode()
    assert post(here.ana, page(execution, "bypass"), part=True).status_code == 200
    post(here.ana, page(execution, "bypass"), reason="nobody answers")
    execution.refresh_from_db()
    assert execution.state == "running"
    assert execution.approval is not None
    assert execution.approval.state == "bypassed"


def test_cancelling_before_the_start_changes_nothing(here: World) -> None:
    execution = asked(here)
    post(here.ana, page(execution, "cancel"), reason="a false alarm")
    execution.refresh_from_db()
    assert execution.state == "cancelled"
    assert "Nothing was changed" in get(here.ana, page(execution)).content.decode()


def test_what_changed_since_the_approval_is_told_and_nothing_starts(here: World) -> None:
    from apps.state.operations import edit_config
    from tests.runbooks.page_world import GOOD, SYSTEM

    execution = allowed(here)
    here.document.refresh_from_db()
    worse = {**GOOD, "tax": 99}
    edit_config(here.document.pk, worse, expected_revision=here.document.revision, note="worse", actor=SYSTEM)
    answer = post(here.ana, page(execution, "start"))
    assert answer.status_code == 409
    assert b"Make a new one" in answer.content
    assert StepRun.objects.count() == 0


def test_a_manual_step_is_finished_by_a_person(by_hand: World) -> None:
    execution = at_work(by_hand)
    work()
    step = StepRun.objects.get(kind="manual")
    shown = get(by_hand.ana, page(execution)).content.decode()
    assert "Waits for a person" in shown
    assert "Buy a sword in shop" in shown
    address = page(execution, f"finish/{step.pk}")
    assert address in shown
    assert post(by_hand.vic, address, choice="yes").status_code == 403
    assert b"Choose one of the answers" in post(by_hand.ana, address, part=True, choice="maybe").content
    post(by_hand.ana, address, choice="yes", reason="it worked")
    work()
    execution.refresh_from_db()
    assert execution.state == "succeeded"


def test_a_manual_step_that_cannot_be_done_undoes_the_rest(by_hand: World) -> None:
    execution = at_work(by_hand)
    work()
    step = StepRun.objects.get(kind="manual")
    post(by_hand.ana, page(execution, f"finish/{step.pk}"), choice="no", reason="the shop is closed")
    work()
    shown = get(by_hand.ana, page(execution)).content.decode()
    assert "everything was taken back" in shown
    assert "Undoing, the last step first" in shown


def test_an_unknown_step_is_settled_with_its_consequences_explained(by_hand: World) -> None:
    execution = at_work(by_hand)
    work()
    step = StepRun.objects.get(kind="manual")
    StepRun.objects.filter(pk=step.pk).update(state="unknown", error="The worker died with it.")
    Execution.objects.filter(pk=execution.pk).update(state="unknown")
    shown = get(by_hand.ana, page(execution)).content.decode()
    assert "Nobody knows whether this happened" in shown
    assert "twice might do harm" in shown
    address = page(execution, f"settle/{step.pk}")
    asking = get(by_hand.ana, address).content.decode()
    assert "counts as done" in asking
    assert "counts as failed" in asking
    assert post(by_hand.vic, address, choice="yes", reason="x").status_code == 403
    assert post(by_hand.ana, address, choice="yes").status_code == 400
    post(by_hand.ana, address, choice="yes", reason="I saw it")
    work()
    execution.refresh_from_db()
    assert execution.state == "succeeded"


def test_a_step_of_another_execution_is_a_404(by_hand: World) -> None:
    execution = at_work(by_hand)
    work()
    for verb in ("settle", "finish"):
        assert get(by_hand.ana, page(execution, f"{verb}/999999")).status_code == 404


def test_the_end_of_a_long_log_is_shown_with_its_warnings(here: World) -> None:
    execution = at_work(here)
    LogLine.objects.bulk_create(LogLine(execution=execution, text=f"line {number}") for number in range(300))
    LogLine.objects.create(execution=execution, level="error", text="<b>broken</b>")
    shown = get(here.ana, page(execution)).content.decode()
    assert "line 299" in shown
    assert "line 5<" not in shown
    assert "the newest lines" in shown
    assert "error: &lt;b&gt;broken" in shown


def test_over_its_target_the_page_says_so(here: World) -> None:
    execution = at_work(here)
    Execution.objects.filter(pk=execution.pk).update(started_at=now() - timedelta(hours=1))
    assert "over target" in get(here.ana, page(execution)).content.decode()


def test_the_page_of_the_approval_shows_steps_and_difference(here: World) -> None:
    execution = asked(here)
    shown = get(here.max, f"/admin/approvals/approvalrequest/{execution.approval_id}/change/").content.decode()
    for text in ("Put the baseline back", "drop_rate", "<del", "<ins", "4 values would change"):
        assert text in shown


def test_the_list_is_narrowed_by_state_runbook_incident_and_by_who_asked(here: World) -> None:
    at_work(here)
    listed = "/admin/runbooks/execution/"
    for query in ("state=running", "state=open", "runbook=economy-rollback", f"incident={here.incident.pk}", "mine=1"):
        assert "Economy rollback #" in get(here.ana, f"{listed}?{query}").content.decode(), query
    for query in ("state=failed", "runbook=other", "incident=0", "incident=x", f"incident={'9' * 30}"):
        assert "Economy rollback #" not in get(here.ana, f"{listed}?{query}").content.decode(), query
    assert "Economy rollback #" not in get(here.vic, f"{listed}?mine=1").content.decode()


def test_executions_are_only_read(here: World) -> None:
    execution = at_work(here)
    assert get(here.ana, "/admin/runbooks/execution/add/").status_code == 403
    assert post(here.ana, f"/admin/runbooks/execution/{execution.pk}/delete/", post="yes").status_code == 403
    assert get(here.ana, page(execution, "history")).status_code == 200


@pytest.mark.parametrize("key", ["0", "x", "9" * 30])
def test_what_is_not_there_is_a_404(here: World, key: str) -> None:
    assert get(here.ana, f"/admin/runbooks/execution/{key}/change/").status_code in {302, 404}
    assert get(here.ana, f"/admin/runbooks/execution/{key}/live/").status_code in {302, 404}


# --- what came of a step, in words ---


@pytest.mark.parametrize(
    ("kind", "intent", "outcome", "told"),
    [
        (
            "http_request",
            {"method": "POST", "url": "https://shop.example/api/x?token=1"},
            {"status": 201, "elapsed_ms": 35, "text": "ok"},
            ["Request: POST https://shop.example/api/x", "Answer: 201 after 35 ms"],
        ),
        (
            "health_check",
            {"with": {"url": "http://shop/health"}},
            {"status": 200, "elapsed_ms": 7, "attempts": 3},
            ["Request: GET http://shop/health", "Answer: 200 after 7 ms", "Attempts: 3"],
        ),
        (
            "metric_check",
            {"with": {"metric": "errors", "comparison": "<", "threshold": 0.05}},
            {"value": 0.0123456, "held_seconds": 30.0},
            ["Measured: 0.01235, wanted < 0.05", "Metric: errors", "Held: 30 s"],
        ),
        (
            "config_restore",
            {"with": {"document": "economy", "version": None}},
            {"document": "economy", "changed": True, "version": 5, "backup": 4, "before": "a" * 64, "after": "b" * 64},
            [
                "Document: economy",
                "Restored: from version 4, kept as backup, to version 5, a copy of the baseline",
                f"Checksum: {'a' * 12} → {'b' * 12}",
            ],
        ),
        (
            "config_restore",
            {"with": {"document": "economy", "version": 2}},
            {"document": "economy", "changed": False, "version": 5, "backup": 4, "before": "b" * 64, "after": "b" * 64},
            ["Document: economy", "Restored: nothing: a copy of version 2 was live", f"Checksum: {'b' * 12}"],
        ),
        ("wait", {"with": {"seconds": 120}}, {}, ["Waits: 2 min"]),
        (
            "manual",
            {},
            {"instructions": "Buy a sword", "done": False, "by": "Ana", "note": "sold out"},
            ["Asked for: Buy a sword", "Not done, says: Ana", "Note: sold out"],
        ),
        (
            "notify",
            {"with": {"people": ["ana"], "roles": ["primary"], "title": "Healed"}},
            {"messages": 4, "left_out": ["Ben"]},
            ["To: ana, primary", "Says: Healed", "Messages: 4", "Left out: Ben: they may not see the incident"],
        ),
    ],
)
def test_each_kind_of_step_tells_what_came_of_it(kind: str, intent: Any, outcome: Any, told: list[str]) -> None:
    assert [f"{name}: {value}" for name, value in registry.kind(kind).told(intent, outcome)] == told


@pytest.mark.parametrize("kind", [kind.name for kind in registry.kinds()])
def test_what_an_older_release_recorded_is_no_reason_to_fail(kind: str) -> None:
    registry.kind(kind).told({}, {})
    registry.kind(kind).told({"with": None, "url": "http://[•••]/"}, {"status": 200})


def test_the_page_shows_a_restore_in_words_and_what_was_recorded_behind_a_fold(here: World) -> None:
    execution = at_work(here)
    work()
    shown = get(here.vic, page(execution)).content.decode()
    assert "from version 3, kept as backup, to version 4, a copy of the baseline" in shown
    fold = shown[shown.index("As recorded") :]
    assert "&quot;outcome&quot;: {" in fold
    assert "<details id=" in shown[: shown.index("As recorded")]
