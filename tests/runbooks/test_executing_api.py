"""Executions over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.approvals.operations import approve
from apps.runbooks.models import Execution, Mitigation
from apps.runbooks.planning import make_dry_run
from tests.factories import actor, bearer, incident, person, superuser
from tests.runbooks.rehearsal import MAYBE, SCRIPT, asked, begun, commander, run, runbook, step

pytestmark = pytest.mark.django_db
URL = "/api/v1/executions/"
MANUAL = {"slug": "look", "name": "Look", "kind": "manual", "with": {"instructions": "Look at the world."}}


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def post(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    return Client().post(f"{URL}{path}", body, content_type="application/json", headers=headers)


def test_ask_approve_execute_and_follow() -> None:
    mine = bearer(commander())
    dry_run = make_dry_run(runbook(step("one"), approval="required").pk, {}, actor=actor(commander()))
    made = post("", {"dry_run": dry_run.pk, "reason": "it burns"}, mine)
    assert (made.status_code, made.json()["state"]) == (201, "awaiting_approval")
    pk = made.json()["id"]
    assert post(f"{pk}/execute/", {}, mine).json()["code"] == "approval_pending"
    approve(made.json()["approval"], actor=actor(person("approver")))
    started = post(f"{pk}/execute/", {}, mine)
    assert (started.status_code, started.json()["state"]) == (200, "running")
    run(Execution.objects.get(pk=pk))
    seen = Client().get(f"{URL}{pk}/", headers=mine).json()
    assert (seen["state"], seen["steps"][0]["state"]) == ("succeeded", "succeeded")
    log = Client().get(f"{URL}{pk}/log/", headers=mine).json()["results"]
    assert log[0]["id"] > log[-1]["id"]
    after = Client().get(f"{URL}{pk}/log/?after={log[0]['id']}", headers=mine)
    assert after.json()["results"] == []


def test_a_repeat_with_the_same_key_starts_once_and_gets_the_same_answer() -> None:
    execution = asked(runbook(step("one")))
    headers = {**bearer(commander()), "Idempotency-Key": "press-1"}
    first, second = (post(f"{execution.pk}/execute/", {}, headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.headers["Idempotency-Replayed"] == "true"
    again = post(f"{execution.pk}/execute/", {}, bearer(commander()))
    assert (again.status_code, again.json()["code"]) == (409, "already_started")


def test_who_may_only_look_is_refused_before_the_body_is_read() -> None:
    execution = run(begun(runbook(MANUAL)))
    theirs = bearer(person("responder"))
    for verb in ("execute", "bypass-and-execute", "cancel", "settle", "finish-manual"):
        assert post(f"{execution.pk}/{verb}/", {"what": 1}, theirs).status_code == 403, verb
    assert post("", {"what": 1}, theirs).status_code == 403
    assert Client().get(f"{URL}{execution.pk}/", headers=theirs).status_code == 200


def test_hidden_executions_are_not_there() -> None:
    chief = superuser()
    about = incident(visibility="private", actor=actor(chief))
    execution = asked(runbook(step("one")), chief, incident_id=about.pk)
    theirs = bearer(commander())
    assert Client().get(f"{URL}{execution.pk}/", headers=theirs).status_code == 404
    assert post(f"{execution.pk}/execute/", {}, theirs).status_code == 404
    assert Client().get(URL, headers=theirs).json()["results"] == []


def test_manual_unknown_and_cancelled_steps_are_decided_over_the_api() -> None:
    mine = bearer(commander())
    manual = run(begun(runbook(MANUAL)))
    body = {"step": manual.steps.get().pk, "done": True, "note": "fine"}
    assert post(f"{manual.pk}/finish-manual/", body, mine).json()["state"] == "succeeded"
    SCRIPT.on("one", MAYBE)
    unknown = run(begun(runbook(step("one", idempotent=False))))
    body = {"step": unknown.steps.get().pk, "happened": True, "reason": "seen"}
    assert post(f"{unknown.pk}/settle/", body, mine).json()["state"] == "succeeded"
    assert post(f"{manual.pk}/settle/", body, mine).status_code == 404
    waiting = run(begun(runbook(MANUAL)))
    assert post(f"{waiting.pk}/cancel/", {"reason": "stop"}, mine).json()["state"] == "cancelled"


@pytest.mark.parametrize(
    "body",
    [{}, {"dry_run": "x"}, {"dry_run": 2**70}, {"dry_run": 1, "reason": "a\x00b"}, {"dry_run": True}, {"dry_run": [1]}],
)
def test_bad_input_is_a_clear_400(body: dict[str, Any]) -> None:
    assert post("", body, bearer(commander())).status_code == 400


def test_the_list_needs_the_same_number_of_queries_however_long_it_is(django_assert_max_num_queries: Any) -> None:
    headers, book = bearer(commander()), runbook(step("one"), step("two"))
    for _ in range(3):
        run(begun(book))
    with django_assert_max_num_queries(14):
        assert len(Client().get(URL, headers=headers).json()["results"]) == 3


def test_a_refusal_with_a_key_voids_the_approval_for_good() -> None:
    execution = asked(runbook(step("one", with_target="world"), approval="required"))
    approval = approve(execution.approval_id, actor=actor(person("approver")))  # type: ignore[arg-type]  # it has one
    SCRIPT.target = "something else"
    headers = {**bearer(commander()), "Idempotency-Key": "press-2"}
    assert post(f"{execution.pk}/execute/", {}, headers).json()["code"] == "plan_changed"
    approval.refresh_from_db()
    execution.refresh_from_db()
    assert (approval.state, execution.state) == ("void", "cancelled")


def test_a_dry_run_whose_execution_was_cancelled_answers_no_old_execution() -> None:
    mine = bearer(commander())
    dry_run = make_dry_run(runbook(step("one"), approval="required").pk, {}, actor=actor(commander()))
    first = post("", {"dry_run": dry_run.pk, "reason": "it burns"}, mine).json()["id"]
    assert post("", {"dry_run": dry_run.pk, "reason": "it burns"}, mine).json()["id"] == first
    post(f"{first}/cancel/", {"reason": "not needed"}, mine)
    again = post("", {"dry_run": dry_run.pk, "reason": "it burns"}, mine)
    assert (again.status_code, again.json()["code"]) == (409, "dry_run_used")
    assert f"Execution {first} of this dry run was cancelled" in again.json()["detail"]


def test_a_button_that_could_not_start_leaves_nothing_that_waits_for_a_start() -> None:
    book = runbook(step("one", with_target="world"))
    begun(book)
    heal = Mitigation.objects.create(slug="heal", name="Heal the world", runbook=book)
    body = {"reason": "it burns"}
    told = Client().post(f"/api/v1/mitigations/{heal.pk}/use/", body, "application/json", headers=bearer(commander()))
    assert (told.status_code, told.json()["code"]) == (409, "target_locked")
    left = Execution.objects.latest("pk")
    assert (left.state, left.state_detail) == ("cancelled", f"It was not started: {told.json()['detail']}")


@pytest.mark.django_db(transaction=True)
def test_a_mitigation_with_a_key_looks_at_the_network_outside_of_transactions_and_once() -> None:
    looks: list[bool] = []
    watched = runbook(step("one", with_target="world"))
    SCRIPT.looked = lambda: looks.append(connection.in_atomic_block)
    heal = Mitigation.objects.create(slug="heal", name="Heal the world", runbook=watched)
    headers = {**bearer(commander()), "Idempotency-Key": "press-3"}
    for _ in range(2):
        pressed = Client().post(
            f"/api/v1/mitigations/{heal.pk}/use/", {"reason": "it burns"}, "application/json", headers=headers
        )
        assert (pressed.status_code, pressed.json()["state"]) == (201, "running")
    assert looks == [False]
    assert Execution.objects.count() == 1
