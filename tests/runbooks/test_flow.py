"""Which steps run: conditions, jumps after failures, probes of what nobody knows, and runbooks within runbooks."""

from __future__ import annotations

from typing import Any

import pytest

from apps.foundation.errors import DomainError
from apps.paging.models import Page
from apps.runbooks.documents import InvalidRunbook, problems_of
from apps.runbooks.models import Execution, Runbook, RunbookVersion, TargetLock
from apps.runbooks.operations.authoring import save_version
from apps.runbooks.operations.executing import cancel
from apps.runbooks.planning import make_dry_run
from apps.runbooks.queries import due_executions
from apps.runbooks.steps.base import Outcome
from apps.runbooks.worker import advance, run_due
from apps.state.models import ConfigDocument
from apps.state.operations import edit_config
from tests.factories import actor, incident
from tests.runbooks.rehearsal import FAILS, MAYBE, SCRIPT, asked, begun, commander, run, runbook, step, steps_of
from tests.runbooks.test_steps import perform
from tests.runbooks.test_steps import step as a_step
from tests.runbooks.writing import PORTAL, Receiver, context, receiver, text_of  # noqa: F401  # pytest finds it by its name
from tests.state.making import again, held_here

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


# --- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_", "than", "runs"),
    [
        (5, ">", 4, True),
        (5, "==", 5.0, True),
        (True, "==", 1, False),
        ("b", "<", "c", True),
        ("b", "<", 3, False),
        ("P1", "in", ["P1", "P2"], True),
        ("P3", "not in", ["P1", "P2"], True),
        ("{{ steps.one.said }}", "==", "one", True),
        ("{{ steps.one.result }}", "!=", "succeeded", False),
    ],
)
def test_a_step_runs_only_when_its_condition_holds(value: Any, is_: str, than: Any, runs: bool) -> None:
    when = [{"value": value, "is": is_, "than": than}]
    execution = run(begun(runbook(step("one"), step("two", when=when), step("three"))))
    assert execution.state == "succeeded"
    assert SCRIPT.names == ["one", *(["two"] if runs else []), "three"]


def test_the_dry_run_tells_what_is_skipped_and_what_only_an_execution_knows() -> None:
    never = step("two", with_target="x", when=[{"value": 1, "is": ">", "than": 2}])
    perhaps = step("three", when=[{"value": "{{ steps.one.said }}", "than": "one"}])
    dry_run = make_dry_run(runbook(step("one"), never, perhaps).pk, {}, actor=PORTAL)
    texts = [row["text"] for row in dry_run.steps]
    assert (texts[1], dry_run.targets) == ("Skipped: 1 > 2 does not hold.", [])
    assert texts[2] == "Only if {{ steps.one.said }} == one. Would do three."


def test_a_condition_on_a_step_that_failed_does_not_hold() -> None:
    SCRIPT.on("one", FAILS)
    when = [{"value": "{{ steps.one.said }}", "than": "one"}]
    execution = run(begun(runbook(step("one", on_failure="continue"), step("two", when=when))))
    assert steps_of(execution) == ["one:failed", "two:skipped"]


# --- go_to ----------------------------------------------------------------------------------------------------------


def test_after_a_failure_it_goes_on_at_the_step_that_is_named() -> None:
    SCRIPT.on("one", FAILS)
    rescue = step("rescue", when=[{"value": "{{ steps.one.result }}", "than": "failed"}])
    execution = run(begun(runbook(step("one", on_failure={"go_to": "rescue"}), step("two"), rescue)))
    assert steps_of(execution) == ["one:failed", "two:skipped", "rescue:succeeded"]
    assert execution.state == "succeeded"
    assert "1. One" in execution.state_detail


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"on_failure": {"go_to": "s1"}}, "after it come none"),
        ({"on_failure": "jump"}, ""),
        ({"when": [{"value": "{{ steps.x.said }}", "than": 1}]}, "No step `x` comes before"),
        ({"when": [{"value": "{{ params.__class__.__mro__ }}", "than": 1}]}, "this runbook declares none"),
        ({"when": [{"value": 1, "is": "in", "than": 2}]}, "looks into a list"),
        ({"probe": {"kind": "notify", "with": {"title": "x", "people": ["a"]}}}, "only looks"),
        ({"probe": {"kind": "http_request", "with": {"method": "POST", "url": "https://a.example/"}}}, "GET or HEAD"),
    ],
)
def test_a_flow_that_can_not_be_is_refused_when_it_is_written(more: dict[str, Any], said: str) -> None:
    found = problems_of(text_of({"kind": "rehearsed", "with": {"name": "one"}, **more}))
    assert any(said in problem.message for problem in found), found


# --- probe ----------------------------------------------------------------------------------------------------------


def probed(receiver: Receiver) -> Execution:  # noqa: F811
    probe = {"kind": "health_check", "with": {"url": receiver.url + "/done", "attempts": 1}}
    SCRIPT.on("one", MAYBE)
    return run(begun(runbook(step("one", with_once=True, probe=probe), step("two"))))


def test_a_probe_that_succeeds_settles_what_nobody_knew(receiver: Receiver) -> None:  # noqa: F811
    execution = probed(receiver)
    assert (execution.state, SCRIPT.names) == ("succeeded", ["one", "two"])


def test_a_probe_that_fails_leaves_it_to_a_person_and_nothing_is_sent_again(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/done"] = (404, b"")
    execution = probed(receiver)
    assert (execution.state, SCRIPT.names) == ("unknown", ["one"])


# --- sub_runbook ----------------------------------------------------------------------------------------------------


def sub(below: Runbook, **more: Any) -> dict[str, Any]:
    return {"slug": "sub", "name": "Sub", "kind": "sub_runbook", "with": {"runbook": below.slug}, **more}


def run_all(most: int = 60) -> None:
    """Let a worker do whatever is due, and what a sub-runbook wakes."""
    for _ in range(most):
        if not run_due():
            break


def test_a_sub_runbook_runs_as_one_step_under_the_locks_of_the_one_above() -> None:
    below = runbook(step("in", with_target="deep"))
    execution = begun(runbook(step("one"), sub(below), step("two")))
    assert {item["key"] for item in execution.targets} == {below.slug, "deep"}
    assert TargetLock.objects.filter(execution=execution, target="thing:deep").exists()
    run_all()
    execution.refresh_from_db()
    child = Execution.objects.get(parent_step__execution=execution)
    assert (execution.state, child.state, SCRIPT.names) == ("succeeded", "succeeded", ["one", "in", "two"])
    assert execution.steps.get(slug="sub").outcome == {"execution": child.pk, "runbook": below.slug}
    assert not TargetLock.objects.exists()


def test_what_a_sub_runbook_did_is_undone_in_its_place() -> None:
    below = runbook(step("in1", with_undo="yes"), step("in2", with_undo="yes"))
    SCRIPT.on("three", FAILS)
    execution = begun(runbook(step("one", with_undo="yes"), sub(below), step("two", with_undo="yes"), step("three")))
    run_all()
    execution.refresh_from_db()
    assert SCRIPT.names[-4:] == ["undo two", "undo in2", "undo in1", "undo one"]
    assert execution.state == "undone"
    assert Execution.objects.get(parent_step__execution=execution).state == "undone"


def test_what_a_sub_runbook_can_not_undo_pages_once() -> None:
    about = incident()
    below = runbook(step("in", with_undo="yes"))
    SCRIPT.on("two", FAILS)
    SCRIPT.on("undo in", FAILS)
    execution = begun(runbook(step("one", with_undo="yes"), sub(below), step("two")), incident_id=about.pk)
    before = Page.objects.count()
    run_all()
    execution.refresh_from_db()
    assert (execution.state, SCRIPT.names[-1]) == ("failed", "undo one")
    assert Page.objects.count() == before + 1


def test_stopping_the_one_above_stops_and_undoes_the_one_below_first() -> None:
    waits = {"slug": "wait", "name": "Wait", "kind": "manual", "with": {"instructions": "Look."}}
    below = runbook(step("in", with_undo="yes"), waits)
    execution = begun(runbook(step("one", with_undo="yes"), sub(below)))
    run_all()
    cancel(execution.pk, reason="stop", actor=actor(commander()))
    run_all()
    execution.refresh_from_db()
    assert (execution.state, SCRIPT.names) == ("undone", ["one", "in", "undo in", "undo one"])
    assert not due_executions(execution.requested_at).exists()


def test_a_failed_sub_runbook_is_a_failed_step() -> None:
    SCRIPT.on("in", FAILS)
    execution = begun(runbook(step("one", with_undo="yes"), sub(runbook(step("in")))))
    run_all()
    execution.refresh_from_db()
    assert (execution.state, SCRIPT.names[-1]) == ("undone", "undo one")
    assert "no such luck" in execution.steps.get(slug="sub").error


@pytest.mark.parametrize(
    "options", [{"set": {"rate": 2}}, {"content": {"rate": 2}}], ids=["values", "the whole document"]
)
def test_what_somebody_edits_while_a_step_above_waits_is_not_overwritten_below(options: dict[str, Any]) -> None:
    document = held_here({"rate": 1, "cap": 5})
    below = runbook(
        {"kind": "config_apply", "slug": "in", "name": "In", "with": {"document": document.slug, **options}}
    )
    SCRIPT.on("one", lambda _: _edited(document, {"rate": 9, "cap": 5}))
    execution = begun(runbook(step("one", with_undo="yes"), sub(below)))
    run_all()
    execution.refresh_from_db()
    assert (execution.state, again(document).head.content) == ("undone", {"rate": 9, "cap": 5})
    assert "was changed after this was looked at" in execution.steps.get(slug="sub").error


def _edited(document: ConfigDocument, content: Any) -> Outcome:
    edit_config(document.pk, content, expected_revision=again(document).revision, note="by hand", actor=PORTAL)
    return Outcome("succeeded")


def test_a_sub_runbook_goes_on_from_what_an_earlier_step_changed_and_from_nothing_else() -> None:
    below = runbook(step("in", with_target="lamp"))
    seen: list[str] = []
    SCRIPT.on("in", lambda known: (seen.append(known.targets[0]["before"]), Outcome("succeeded"))[1])  # type: ignore[func-returns-value]
    for above in (step("one", with_target="lamp"), step("one")):
        SCRIPT.target = "as approved"
        execution = begun(runbook(above, sub(below)))
        SCRIPT.target = "as it is now"
        run_all()
        assert execution.steps.get(slug="sub").state == "succeeded"
    assert seen == ["as it is now", "as approved"]


def test_rings_are_refused_when_they_are_saved_and_floors_beyond_the_third() -> None:
    one = runbook(step("in"))
    two = runbook(sub(one))
    with pytest.raises(InvalidRunbook, match="can't run in a ring"):
        save_version(one.pk, text_of(sub(two)), actor=PORTAL)
    with pytest.raises(InvalidRunbook, match="can't run in a ring"):
        save_version(one.pk, text_of(sub(one)), actor=PORTAL)
    three = runbook(sub(two))
    with pytest.raises(InvalidRunbook, match="at most 3 runbooks"):
        runbook(sub(three))
    named = {"kind": "sub_runbook", "with": {"runbook": "{{ params.x }}"}}
    text = text_of(named, parameters={"properties": {"x": {}}})
    with pytest.raises(InvalidRunbook, match="written out"):
        save_version(one.pk, text, actor=PORTAL)


def test_a_ring_that_came_about_in_another_way_is_refused_in_the_dry_run_and_at_work() -> None:
    one = runbook(step("in"))
    two = runbook(sub(one))
    begins = begun(two).steps.get(slug="sub")
    again = perform(a_step("sub_runbook", runbook=two.slug), context(idempotency_key=begins.idempotency_key))
    assert "can't run in a ring" in again.error
    content = {"title": "Ring", "approval": "none", "steps": [sub(two)]}
    ring = RunbookVersion.objects.create(runbook=one, number=9, text="", content=content, checksum="9", author_name="x")
    Runbook.objects.filter(pk=one.pk).update(active_version=ring)
    assert any("can't run in a ring" in problem for problem in make_dry_run(two.pk, {}, actor=PORTAL).problems)


def test_what_needs_an_approval_is_not_run_by_what_needs_none_and_what_is_asked_holds_for_both() -> None:
    below = runbook(step("in", with_target="deep"), approval="required")
    with pytest.raises(DomainError, match="needs an approval"):
        asked(runbook(sub(below)))
    execution = begun(runbook(sub(below), approval="required"))
    save_version(below.pk, text_of(step("other")), activate=True, actor=PORTAL)
    run_all()
    execution.refresh_from_db()
    assert (execution.state, SCRIPT.names) == ("failed", [])
    assert advance(execution.pk) is False
