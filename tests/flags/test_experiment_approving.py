"""The start of an experiment, and other shares, where a second person must approve them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve, bypass
from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers
from apps.flags.models import Experiment, Flag, FlagChange, Guardrail
from apps.flags.operations import (
    add_guardrail,
    edit_experiment,
    edit_flag,
    edit_guardrail,
    kill,
    kill_variant,
    reallocate,
    remove_guardrail,
    schedule_change,
    start_experiment,
)
from apps.flags.operations.scheduling import do_changes
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid
from apps.people.models import User
from tests.factories import actor, bearer, person
from tests.flags.conftest import state_of, sweep
from tests.flags.experimenting import make_experiment, values

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
WATCHED: Any = {"kind": "mean", "worse": "higher", "against": "limit", "threshold": 1.08, "sensitivity": 0.03}
REVIEW = "/api/v1/experiments/{}/review/"


@pytest.fixture
def draft(reward_flag: Flag) -> Experiment:
    """A draft on a flag whose answers a second person approves, with a guardrail."""
    edit_flag(reward_flag.pk, needs_approval=True, actor=SYSTEM)
    made = make_experiment(reward_flag)
    add_guardrail(made.pk, "inflation", **WATCHED, actor=SYSTEM)
    return made


@pytest.fixture
def manager() -> User:
    return person("manager")


def proposed(experiment: Experiment, by: User, change: Any = None) -> FlagChange:
    wanted = {"start": experiment.key} if change is None else change
    return schedule_change(experiment.flag_id, None, wanted, reason="reviewed", actor=actor(by))


def say_yes(by: Any = approve, role: str = "approver", **given: Any) -> None:
    by(ApprovalRequest.objects.latest("pk").pk, actor=actor(person(role)), **given)


def test_a_start_waits_for_another_person_and_is_then_done_once(draft: Experiment, manager: User) -> None:
    with pytest.raises(Conflict) as refused:
        start_experiment(draft.pk, actor=actor(manager))
    assert refused.value.code == "approval_needed"
    change = proposed(draft, manager)
    with pytest.raises(Forbidden):
        approve(ApprovalRequest.objects.get().pk, actor=actor(manager))
    say_yes()
    sweep()
    assert (state_of(change)[0], Experiment.objects.get().state) == ("done", "running")
    assert set(values(draft, [f"user-{n}" for n in range(60)]).values()) == {"control", "a", "b"}
    sweep()
    assert Event.objects.filter(kind="flags.experiment_started").count() == 1


def test_what_is_asked_for_says_all_that_would_start(draft: Experiment, manager: User) -> None:
    change = proposed(draft, manager)
    start = change.change["start"]
    assert (start["percents"], start["fallback"], start["traffic"], start["auto_kill"]) == (
        {"control": 33.34, "a": 33.33, "b": 33.33},
        "control",
        100,
        False,
    )
    assert start["guardrails"] == [{"metric": "inflation", **WATCHED, "alpha": 0.01}]
    asked = ApprovalRequest.objects.get()
    assert asked.content["changes"][0]["change"] == change.change
    assert "The experiment abx-storm-reward starts: " in asked.title
    assert "control 33.34 %" in asked.title


def test_the_emergency_bypass_starts_it_and_is_told(draft: Experiment, manager: User) -> None:
    change = proposed(draft, manager)
    say_yes(bypass, "commander", reason="the event is live")
    sweep()
    assert (state_of(change)[0], Experiment.objects.get().state) == ("done", "running")
    assert Event.objects.get(kind="approvals.bypassed").payload["reason"] == "the event is live"


@pytest.mark.parametrize("what", ["guardrail", "auto_kill", "added", "gone", "flag"])
def test_another_guard_voids_what_is_asked_and_what_was_approved(draft: Experiment, manager: User, what: str) -> None:
    guardrail = Guardrail.objects.get()

    def change_it(number: int) -> None:
        if what == "guardrail":
            edit_guardrail(draft.pk, guardrail.pk, threshold=2.0 + number, reason="x", actor=SYSTEM)
        elif what == "auto_kill":
            edit_experiment(draft.pk, auto_kill=number == 0, actor=SYSTEM)
        elif what == "added":
            add_guardrail(draft.pk, f"crashes{number}", **WATCHED, actor=SYSTEM)
        elif what == "gone":
            remove_guardrail(draft.pk, Guardrail.objects.order_by("pk")[0].pk, reason="x", actor=SYSTEM)
        else:
            edit_flag(draft.flag_id, name=f"Name {number}", actor=SYSTEM)

    add_guardrail(draft.pk, "hangs", **WATCHED, actor=SYSTEM)
    first = proposed(draft, manager)
    change_it(0)
    assert (state_of(first)[0], ApprovalRequest.objects.get().state) == ("failed", "void")
    second = proposed(draft, manager)
    say_yes()
    while deliver():
        pass
    change_it(1)
    second.refresh_from_db()
    do_changes([second])
    assert (state_of(second)[0], Experiment.objects.get().state) == ("failed", "draft")


def test_what_runs_as_it_was_approved_is_not_guarded_less(draft: Experiment, manager: User) -> None:
    edit_experiment(draft.pk, auto_kill=True, actor=SYSTEM)
    proposed(draft, manager)
    say_yes()
    sweep()
    one = Guardrail.objects.get().pk
    for verb, given in (
        (edit_guardrail, {"guardrail_id": one, "threshold": 9.0, "reason": "x"}),
        (remove_guardrail, {"guardrail_id": one, "reason": "x"}),
        (edit_experiment, {"auto_kill": False}),
    ):
        with pytest.raises(Conflict) as refused:
            verb(draft.pk, **given, actor=actor(manager))  # type: ignore[operator]  # three verbs
        assert refused.value.code == "approval_needed"
    add_guardrail(draft.pk, "crashes", **WATCHED, actor=actor(manager))
    assert kill_variant(draft.pk, "b", reason="it burns", actor=actor(manager)).state == "running"


def test_other_shares_are_approved_too_and_a_kill_in_between_voids_them(draft: Experiment, manager: User) -> None:
    proposed(draft, manager)
    say_yes()
    sweep()
    shares = {"shares": {"experiment": draft.key, "percents": {"control": 20, "a": 40, "b": 40}}}
    change = proposed(draft, manager, shares)
    kill_variant(draft.pk, "b", reason="it burns", actor=SYSTEM)
    assert state_of(change)[0] == "failed"
    with pytest.raises(Invalid, match="b was killed"):
        proposed(draft, manager, shares)
    with pytest.raises(Conflict):
        reallocate(draft.pk, {"control": 20, "a": 80}, reason="x", actor=actor(manager))
    change = proposed(draft, manager, {"shares": {"experiment": draft.key, "percents": {"control": 20, "a": 80}}})
    say_yes()
    sweep()
    assert state_of(change) == ("done", "")
    assert Experiment.objects.get().percents == {"control": 20, "a": 80, "b": 0}


def test_a_start_that_was_approved_does_not_undo_a_kill_of_the_flag(draft: Experiment, manager: User) -> None:
    change = proposed(draft, manager)
    say_yes()
    while deliver():
        pass
    kill(draft.flag_id, reason="it burns", actor=SYSTEM)
    fire_timers()
    assert "has changed since this was approved" in state_of(change)[1]
    assert (Experiment.objects.get().state, Flag.objects.get().state) == ("draft", "killed")


@pytest.mark.parametrize(
    "change",
    [
        {"start": "nothing"},
        {"start": {"experiment": "abx-storm-reward"}},
        {"start": "abx\x00"},
        {"start": "abx-storm-reward", "state": "on"},
        {"shares": "abx-storm-reward"},
        {"shares": {"experiment": "abx-storm-reward", "percents": {"control": 1}}},
        {"shares": {"experiment": "abx-storm-reward", "percents": {}, "traffic": "x"}},
    ],
)
def test_what_is_no_start_and_no_shares_is_refused(draft: Experiment, manager: User, change: Any) -> None:
    with pytest.raises(DomainError) as refused:
        proposed(draft, manager, change)
    assert refused.value.http_status in {400, 409}
    assert not FlagChange.objects.exists()


def test_the_review_says_what_would_start_and_what_became_of_the_question(
    client: Client, draft: Experiment, manager: User
) -> None:
    def read() -> Any:
        return client.get(REVIEW.format(draft.pk), headers=bearer(person("viewer"))).json()

    before = read()
    assert (before["state"], before["needs_approval"], before["proposal"]) == ("draft", True, None)
    assert 600 < before["who_changes"]["changed"] < 730  # two thirds of a thousand leave control
    assert before["warnings"] == ["A breached guardrail proposes a kill, and waits for a person."]
    change = proposed(draft, manager)
    asked = read()
    assert (asked["proposal"]["id"], asked["proposal"]["approval_state"], asked["is_current"]) == (
        change.pk,
        "pending",
        True,
    )
    assert asked["change"] == change.change
    edit_experiment(draft.pk, auto_kill=True, actor=SYSTEM)
    assert (read()["proposal"]["approval_state"], read()["is_current"]) == ("void", False)


def test_on_the_page_start_asks_and_the_approver_sees_who_would_change(draft: Experiment, manager: User) -> None:
    client = Client()
    client.force_login(manager)
    button = reverse("admin:flags_experiment_start", args=[draft.pk])
    client.post(button, {"_form_submitted": "on", "reason": "reviewed"})
    assert FlagChange.objects.get().state == "proposed"
    page = reverse("admin:flags_experiment_change", args=[draft.pk])
    assert "Its start waits for a second person" in client.get(page).content.decode()
    approver = Client()
    approver.force_login(person("approver"))
    asked = reverse("admin:approvals_approvalrequest_change", args=[ApprovalRequest.objects.get().pk])
    shown = approver.get(asked).content.decode()
    assert "of 1000 made-up people" in shown
    assert "metric: inflation" in shown
    say_yes()
    sweep()
    shares = reverse("admin:flags_experiment_shares", args=[draft.pk])
    client.post(shares, {"_form_submitted": "on", "reason": "x", "shares": "control 50\na 50\nb 0"})
    assert FlagChange.objects.latest("pk").change["shares"]["percents"] == {"control": 50, "a": 50, "b": 0}
