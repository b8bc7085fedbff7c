"""A version approved ahead of time: who goes by it, what it covers, and how it ends."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import withdraw
from apps.engine.models import Event
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid
from apps.incidents.models import TimelineEntry
from apps.people.models import User
from apps.runbooks.models import Execution, Mitigation, Runbook, RunbookVersion
from apps.runbooks.operations.ahead import approve_version_ahead
from apps.runbooks.operations.authoring import save_version
from apps.runbooks.operations.executing import bypass_and_execute, execute, use_mitigation
from apps.runbooks.planning import make_dry_run
from tests.factories import actor, bearer, incident, named, person
from tests.runbooks.page_world import SYSTEM, get, post
from tests.runbooks.rehearsal import SCRIPT, asked, commander, log_of, run, runbook, step

pytestmark = pytest.mark.django_db
SCHEMA = {"type": "object", "properties": {"percent": {"type": "integer", "maximum": 10}}}


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def ada() -> User:
    return User.objects.filter(username="ada").first() or named("ada", "approver")


def hotfix(**more: Any) -> Runbook:
    return runbook(step("one"), step("two"), **{"approval": "required", "parameters": SCHEMA, **more})


def approved(book: Runbook, by: User | None = None, **more: Any) -> ApprovalRequest:
    given = {"reason": "reviewed with the economy team", **more}
    return approve_version_ahead(book.active_version_id or 0, actor=actor(by or ada()), **given)


def test_an_execution_of_the_version_starts_at_once_and_says_by_whose_word() -> None:
    book, about = hotfix(), incident()
    ahead = approved(book)
    execution = asked(book, incident_id=about.pk, percent=10)
    assert execution.state == "ready"
    assert (execution.approval.answered_by, execution.approval.decided_by) == (ahead, ada())  # type: ignore[union-attr]
    done = run(execute(execution.pk, actor=actor(commander())))
    assert (done.state, SCRIPT.names) == ("succeeded", ["one", "two"])
    assert f"({ahead.pk}): reviewed with the economy team" in log_of(done)
    assert not ApprovalRequest.objects.filter(state="pending").exists()


def test_it_stands_on_the_timeline_the_page_and_in_the_api() -> None:
    from apps.engine.operations import deliver

    book, about = hotfix(), incident()
    ahead = approved(book)
    execution = asked(book, incident_id=about.pk)
    while deliver():
        pass
    texts = "\n".join(TimelineEntry.objects.filter(incident=about).values_list("text", flat=True))
    assert "Approved by Ada" in texts
    assert f"({ahead.pk})" in texts
    page = get(commander(), f"/admin/runbooks/execution/{execution.pk}/change/").content.decode()
    assert "Approved ahead until" in page
    shown = Client().get(f"/api/v1/approvals/{execution.approval_id}/", headers=bearer(commander())).json()
    assert (shown["answered_by"], shown["kind"], shown["decided_by"]) == (ahead.pk, "question", ada().pk)


def test_parameters_that_the_version_does_not_allow_are_refused() -> None:
    book = hotfix()
    approved(book)
    with pytest.raises(Invalid):
        make_dry_run(book.pk, {"percent": 50}, actor=actor(commander()))


def test_whoever_approved_it_ahead_asks_somebody_else_when_they_execute_it() -> None:
    book = hotfix()
    both = named("both", "approver", "commander")
    approved(book, by=both)
    assert asked(book, by=both).state == "awaiting_approval"
    execution = asked(book)
    with pytest.raises(Conflict) as found:
        execute(execution.pk, actor=actor(both))
    assert (found.value.code, "approved ahead themselves" in found.value.message) == ("approval_pending", True)
    assert Execution.objects.get(pk=execution.pk).state == "awaiting_approval"
    approved(book)
    assert asked(book, by=both).state == "ready"


def test_a_new_version_and_the_end_of_its_time_bring_the_usual_approval_back() -> None:
    clock = ManualClock(now())
    with use_clock(clock):
        book = hotfix()
        ahead = approved(book)
        assert ahead.expires_at == clock() + timedelta(days=90)
        clock.advance(timedelta(days=89))
        assert asked(book).state == "ready"
        clock.advance(timedelta(days=1))
        assert asked(book).state == "awaiting_approval"
        approved(book)
        text = RunbookVersion.objects.get(pk=book.active_version_id).text
        save_version(book.pk, f"{text}\n# more", note="more", activate=True, actor=SYSTEM)
        assert asked(Runbook.objects.get(pk=book.pk)).state == "awaiting_approval"


def test_withdrawn_before_the_start_a_second_person_is_asked_instead() -> None:
    book = hotfix()
    ahead = approved(book)
    execution = asked(book)
    withdraw(ahead.pk, reason="the game has changed", actor=actor(person("approver")))
    with pytest.raises(Conflict) as found:
        execute(execution.pk, actor=actor(commander()))
    execution.refresh_from_db()
    assert (found.value.code, execution.state, SCRIPT.calls) == ("approval_pending", "awaiting_approval", [])
    assert execution.approval.state == "pending"  # type: ignore[union-attr]  # it has one
    assert "the game has changed" in execution.state_detail
    bypass_and_execute(execution.pk, reason="nobody is awake", actor=actor(commander()))
    assert run(execution).state == "succeeded"


def test_a_commander_disables_it_in_an_emergency_with_a_reason_and_others_cannot() -> None:
    ahead = approved(hotfix())
    with pytest.raises(Forbidden):
        withdraw(ahead.pk, reason="no", actor=actor(person("responder")))
    with pytest.raises(Invalid):
        withdraw(ahead.pk, reason=" ", actor=actor(commander()))
    for _ in range(2):
        assert withdraw(ahead.pk, reason="it did harm", actor=actor(commander())).state == "withdrawn"
    assert Event.objects.filter(kind="approvals.withdrawn").count() == 1


def test_who_lost_the_right_to_decide_has_said_nothing() -> None:
    book = hotfix()
    approved(book)
    ada().groups.clear()
    assert asked(book).state == "awaiting_approval"


def test_what_cannot_be_approved_ahead_is_refused_with_the_reason() -> None:
    book = hotfix()
    with pytest.raises(Forbidden):
        approved(book, by=commander())
    below = runbook(step("one"))
    sub = {"slug": "sub", "name": "Sub", "kind": "sub_runbook", "with": {"runbook": below.slug}}
    cases: list[tuple[Runbook, dict[str, Any]]] = [
        (book, {"reason": " "}),
        (book, {"until": now() - timedelta(days=1)}),
        (book, {"until": now() + timedelta(days=367)}),
        (hotfix(approval="none"), {}),
        (runbook(sub, approval="required"), {}),
    ]
    for each, given in cases:
        with pytest.raises(Invalid):
            approved(each, **given)
    assert not ApprovalRequest.objects.exists()


def test_the_same_person_again_replaces_what_they_said() -> None:
    book = hotfix()
    first, second = approved(book), approved(book, until=now() + timedelta(days=7))
    first.refresh_from_db()
    assert (first.state, second.state) == ("void", "approved")


def test_one_press_of_a_mitigation_applies_it_in_one_step() -> None:
    heal = Mitigation.objects.create(slug="heal", name="Heal", runbook=hotfix())
    question = f"/admin/runbooks/execution/of-incident/{incident().pk}/use/{heal.pk}/"
    assert "Ask for approval" in get(commander(), question).content.decode()
    approved(heal.runbook)
    assert "Do it now" in get(commander(), question).content.decode()
    pressed = use_mitigation(heal.pk, incident_id=None, reason="it burns", actor=actor(commander()))
    assert (pressed.state, run(pressed).state) == ("running", "succeeded")


def test_the_incident_and_a_dry_run_say_that_nobody_is_asked_where_somebody_approved_ahead() -> None:
    book, about = hotfix(), incident()
    Mitigation.objects.create(slug="heal", name="Heal", runbook=book)
    looked = make_dry_run(book.pk, {"percent": 1}, actor=actor(commander()))
    command, dry_run = f"/admin/incidents/incident/{about.pk}/command/", f"/admin/runbooks/dryrun/{looked.pk}/change/"
    chosen = "/admin/runbooks/dryrun/new/"
    told = {command: "asks for an approval", chosen: "needs an approval", dry_run: "Request approval"}
    for page, text in told.items():
        assert text in get(commander(), page).content.decode(), page
    approved(book)
    for page, text in told.items():
        assert text not in get(commander(), page).content.decode(), page


def test_the_page_of_the_version_asks_for_a_reason_and_a_time_and_lists_what_stands() -> None:
    book = hotfix()
    version = f"/admin/runbooks/runbookversion/{book.active_version_id}"
    assert "Approve ahead…" in get(ada(), f"{version}/change/").content.decode()
    assert "Approve ahead…" not in get(commander(), f"{version}/change/").content.decode()
    assert get(commander(), f"{version}/approve-ahead/").status_code == 403
    assert post(ada(), f"{version}/approve-ahead/", reason="reviewed", choice="30").status_code == 302
    ahead = ApprovalRequest.objects.get()
    assert f"until {ahead.expires_at:%Y-%m-%d}" in get(commander(), f"{version}/change/").content.decode()
    listed = get(ada(), "/admin/approvals/approvalrequest/?waits=ahead").content.decode()
    assert "Any execution of Rehearsal, version 1" in listed
    taken = f"/admin/approvals/approvalrequest/{ahead.pk}"
    assert "Take it back" in get(ada(), f"{taken}/change/").content.decode()
    button = reverse("admin:approvals_approvalrequest_withdraw", args=[ahead.pk])
    sent = post(ada(), button, reason="over", _form_submitted="on")
    ahead.refresh_from_db()
    assert (sent.status_code, ahead.state) == (302, "withdrawn")


def test_over_the_api_it_is_approved_listed_and_withdrawn() -> None:
    book = hotfix()
    url = f"/api/v1/runbook-versions/{book.active_version_id}/approve-ahead/"

    def send(user: User, path: str, body: dict[str, Any]) -> Any:
        return Client().post(path, body, "application/json", headers=bearer(user))

    assert send(commander(), url, {"reason": "mine"}).status_code == 403
    assert send(ada(), url, {}).status_code == 400
    made = send(ada(), url, {"reason": "reviewed"})
    assert (made.status_code, made.json()["kind"], made.json()["state"]) == (201, "ahead", "approved")
    listed = Client().get("/api/v1/approvals/?kind=ahead&state=approved", headers=bearer(commander())).json()
    assert [row["id"] for row in listed["results"]] == [made.json()["id"]]
    gone = send(commander(), f"/api/v1/approvals/{made.json()['id']}/withdraw/", {"reason": "it did harm"})
    assert (gone.status_code, gone.json()["state"]) == (200, "withdrawn")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_withdrawn_while_starting_it_either_began_before_or_asks() -> None:
    from tests.approvals.test_racing import together

    book, cora = hotfix(), commander()
    for _ in range(10):
        ahead, execution = approved(book), asked(book)
        began, _gone = together(
            partial(execute, execution.pk, actor=actor(cora)),
            partial(withdraw, ahead.pk, reason="no", actor=actor(ada())),
        )
        execution.refresh_from_db()
        expected = "awaiting_approval" if isinstance(began, DomainError) else "running"
        assert execution.state == expected
        assert (execution.steps.count() > 0) == (expected == "running")
        Execution.objects.filter(pk=execution.pk).update(due_at=None)
